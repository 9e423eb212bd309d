//! The finalizer of a request or a provider is taken away by others, as `kubectl replace` does and
//! Argo CD with `Replace=true`. It comes back, and no key is left alive without a word.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use credential_operator::api::{IN_USE_FINALIZER, REVOKE_FINALIZER};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use testkit::wire::{Fault, Mark, ResponseParts, RuleHandle};

use super::*;
use crate::stage::{message_of, status_of};

const LEFT: &str = "credential_operator_left_behind_credentials_total";

/// Writes the object as it stands in its file over what is there, as `kubectl replace -f` does.
async fn replace(rig: &Rig, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    eventually(SOON, || async {
        let live = rig.stage.requests().get(name).await?;
        let mut new: CredentialRequest = serde_json::from_value(object.clone())?;
        new.metadata.resource_version = live.metadata.resource_version;
        let requests = rig.stage.requests();
        requests.replace(name, &PostParams::default(), &new).await?;
        Ok(())
    })
    .await
    .unwrap();
}

/// The operator's writes of finalizers of requests since a mark.
fn additions(rig: &Rig, mark: Mark) -> usize {
    let calls = rig.stage.wire.since(mark);
    calls.iter().filter(|call| is_addition(call)).count()
}

fn is_addition(call: &CallHead) -> bool {
    call.label() == "patch credentialrequests"
}

fn has_finalizer(request: &CredentialRequest) -> bool {
    request.finalizers().iter().any(|it| it == REVOKE_FINALIZER)
}

async fn until_nothing_is_alive(rig: &Rig) {
    eventually(SOON, || async {
        anyhow::ensure!(rig.made().is_empty(), "{:?}", rig.made());
        Ok(())
    })
    .await
    .unwrap();
}

/// From here on the operator cannot put a finalizer on a request.
fn keep_from_adding(rig: &Rig) -> RuleHandle {
    rig.stage.wire.rule(is_addition, Fault::CutBefore, None)
}

/// Ready, and then without its finalizer before the operator can help it.
async fn strip_and_delete(rig: &Rig, request: &Value) {
    let name = request["metadata"]["name"].as_str().unwrap();
    replace(rig, request).await;
    rig.delete(name).await;
    rig.stage.gone::<CredentialRequest>(name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalizer_that_a_replace_takes_comes_back_at_once_and_the_key_goes_with_its_request() {
    let mut rig = Rig::new("dce-replace").await;
    rig.stage.start().await;
    for suspend in [false, true] {
        let mut request = rig.request("key", 1000);
        rig.stage.apply(&request).await;
        rig.stage.ready("key").await;
        if suspend {
            request["spec"]["suspend"] = json!(true);
        }
        let mark = rig.stage.wire.mark();
        replace(&rig, &request).await;
        rig.stage
            .until("key", "the finalizer is back", has_finalizer)
            .await;
        assert_eq!(additions(&rig, mark), 1, "suspended: {suspend}");
        rig.remove("key").await;
        assert_eq!(rig.made(), [], "suspended: {suspend}");
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizers_that_were_taken_while_the_operator_was_down_are_back_after_its_start() {
    let mut rig = Rig::new("dce-replace-down").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 1000)).await;
    rig.stage.ready("key").await;
    let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    for down in [true, false] {
        if down {
            rig.stage.stop().await;
        }
        replace(&rig, &rig.request("key", 1000)).await;
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        providers
            .patch(&rig.name(), &PatchParams::default(), &none)
            .await
            .unwrap();
        if down {
            rig.stage.start().await;
        }
        rig.stage
            .until("key", "the finalizer is back", has_finalizer)
            .await;
        eventually(SOON, || async {
            let provider = providers.get(&rig.name()).await?;
            anyhow::ensure!(
                provider.finalizers() == [IN_USE_FINALIZER],
                "down: {down}: {:?}",
                provider.finalizers()
            );
            Ok(())
        })
        .await
        .unwrap();
    }
    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_gone_before_its_finalizer_is_back_has_its_keys_revoked_all_the_same() {
    let mut rig = Rig::new("dce-gone").await;
    rig.stage.start().await;
    // Also the one that was replaced and works through its overlap.
    rig.stage.apply(&rig.request("key", 600_000)).await;
    rig.stage.ready("key").await;
    rig.rotate("key", "1").await;
    rig.until("key", 2, 2).await;
    let held = keep_from_adding(&rig);
    strip_and_delete(&rig, &rig.request("key", 600_000)).await;
    until_nothing_is_alive(&rig).await;
    held.remove();
    // A provider that is away for a moment is asked again.
    rig.stage.apply(&rig.request("other", 1000)).await;
    rig.stage.ready("other").await;
    let held = keep_from_adding(&rig);
    rig.wire.set_down(true);
    strip_and_delete(&rig, &rig.request("other", 1000)).await;
    let failed = "credential_operator_failures_total{reason=\"ProviderUnavailable\"}";
    eventually(SOON, || async {
        anyhow::ensure!(rig.stage.metric(failed).await > Some(0.0), "no try yet");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(rig.made().len(), 1);
    rig.wire.set_down(false);
    until_nothing_is_alive(&rig).await;
    held.remove();
    assert_eq!(rig.stage.metric(LEFT).await, Some(0.0));
    // One of the same name begins again, and keeps what it gets.
    rig.stage.apply(&rig.request("key", 1000)).await;
    rig.stage.ready("key").await;
    assert_eq!(rig.made().len(), 1);
    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_while_its_request_goes_is_revoked_after_it() {
    let mut rig = Rig::new("dce-gone-thinking").await;
    rig.stage.start().await;
    rig.provider_ready().await;
    // DCE has made the key, and the operator does not know.
    let made = rig.wire.rule(
        |call| dce_label(call) == "POST current-user/accesstoken",
        Fault::HoldAfter,
        Some(1),
    );
    rig.stage.apply(&rig.request("key", 1000)).await;
    made.hit(SOON).await.unwrap();
    let held = keep_from_adding(&rig);
    strip_and_delete(&rig, &rig.request("key", 1000)).await;
    made.release();
    until_nothing_is_alive(&rig).await;
    held.remove();
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_goes_between_two_lists_has_its_key_revoked() {
    let mut rig = Rig::new("dce-gone-list").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 1000)).await;
    rig.stage.ready("key").await;
    let expired = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "Expired", "message": "too old resource version", "code": 410,
    });
    let listed = rig.stage.wire.rule(
        |call| call.label() == "list credentialrequests",
        Fault::HoldBefore,
        None,
    );
    let watched = rig.stage.wire.rule(
        |call| call.label() == "watch credentialrequests",
        Fault::Reply(ResponseParts::json(
            200,
            &json!({"type": "ERROR", "object": expired}),
        )),
        None,
    );
    rig.stage.wire.cut_connections();
    listed.hit(SOON).await.unwrap();
    strip_and_delete(&rig, &rig.request("key", 1000)).await;
    // Another one of the same name is there by the time of the list.
    rig.stage.apply(&rig.request("key", 1000)).await;
    watched.remove();
    listed.release();
    listed.remove();
    let uid = rig.stage.ready("key").await.uid().unwrap();
    eventually(SOON, || async {
        let made = rig.made();
        let names: Vec<_> = made.iter().map(|key| key.name.as_str()).collect();
        anyhow::ensure!(names.len() == 1 && names[0].contains(&uid), "{names:?}");
        Ok(())
    })
    .await
    .unwrap();
    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

/// A gateway or a cache may answer an empty list.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_lacks_a_request_has_nothing_revoked() {
    let mut rig = Rig::new("dce-false-list").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 3_600_000)).await;
    rig.stage.ready("key").await;
    let key = rig.key("key").await;
    let expired = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "Expired", "message": "too old resource version", "code": 410,
    });
    let listed = rig.stage.wire.rule(
        |call| call.label() == "list credentialrequests",
        Fault::rewrite(|answer| {
            let mut list: Value = serde_json::from_slice(&answer.body).unwrap();
            list["items"] = json!([]);
            ResponseParts::json(answer.status, &list)
        }),
        Some(1),
    );
    let watched = rig.stage.wire.rule(
        |call| call.label() == "watch credentialrequests",
        Fault::Reply(ResponseParts::json(
            200,
            &json!({"type": "ERROR", "object": expired}),
        )),
        None,
    );
    let mark = rig.stage.wire.mark();
    rig.stage.wire.cut_connections();
    listed.hit(SOON).await.unwrap();
    watched.remove();
    eventually(SOON, || async {
        let calls = rig.stage.wire.since(mark);
        let asked = calls
            .iter()
            .any(|call| call.label() == "get credentialrequests");
        anyhow::ensure!(asked, "the request is not asked about");
        Ok(())
    })
    .await
    .unwrap();
    rig.rotate("key", "after the list").await;
    rig.until("key", 2, 2).await;
    let deletes = rig.wire.calls_where(|call| call.method == "DELETE");
    assert_eq!(deletes.len(), 0);
    assert!(rig.works(&key), "the first key lives for the overlap");
    rig.remove("key").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_revoked_any_more_is_counted_logged_and_told() {
    let mut rig = Rig::new("dce-gone-told").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 1000)).await;
    let ready = rig.stage.ready("key").await;
    let id = ready.status.unwrap().credentials[0].id.clone().unwrap();
    let held = keep_from_adding(&rig);
    // Longer than anything is tried for a request that is gone.
    let answer = ResponseParts::json(429, &json!({})).with_header("retry-after", "3600");
    let paused = rig
        .wire
        .rule(|call| call.method == "DELETE", Fault::Reply(answer), None);
    strip_and_delete(&rig, &rig.request("key", 1000)).await;
    eventually(SOON, || async {
        let left = rig.stage.metric(LEFT).await;
        anyhow::ensure!(left == Some(1.0), "{left:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert!(rig.stage.logs().contains(&id));
    let events: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(rig.stage.client.clone(), "default");
    let provider = rig.name();
    eventually(SOON, || async {
        let told = events.list(&Default::default()).await?;
        let about = told.iter().find(|event| {
            event.reason.as_deref() == Some("GivenUp")
                && event.regarding.as_ref().and_then(|it| it.name.as_ref()) == Some(&provider)
        });
        let note = about.and_then(|it| it.note.clone()).unwrap_or_default();
        anyhow::ensure!(note.contains(&id), "{note}");
        Ok(())
    })
    .await
    .unwrap();
    held.remove();
    paused.remove();
    assert_eq!(rig.made().len(), 1);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_ends_says_what_it_could_not_revoke() {
    let mut rig = Rig::new("dce-gone-end").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 1000)).await;
    let ready = rig.stage.ready("key").await;
    let id = ready.status.unwrap().credentials[0].id.clone().unwrap();
    let held = keep_from_adding(&rig);
    rig.wire.set_down(true);
    strip_and_delete(&rig, &rig.request("key", 1000)).await;
    eventually(SOON, || async {
        let logs = rig.stage.logs();
        anyhow::ensure!(logs.contains("a request is gone without its finalizer"));
        Ok(())
    })
    .await
    .unwrap();
    held.remove();
    rig.stage.stop().await;
    let logs = rig.stage.logs();
    let told = logs
        .lines()
        .find(|line| line.contains("credentials were given up and may be alive"));
    assert!(told.is_some_and(|line| line.contains(&id)), "{told:?}");
    rig.wire.set_down(false);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_goes_without_its_finalizer_and_is_held_by_others_has_its_key_revoked() {
    let mut rig = Rig::new("dce-held").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 1000)).await;
    rig.stage.ready("key").await;
    let held = keep_from_adding(&rig);
    let requests = rig.stage.requests();
    let merge = async |finalizers: Value| {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        requests.patch("key", &PatchParams::default(), &patch).await
    };
    merge(json!(["example.com/held"])).await.unwrap();
    requests
        .delete("key", &DeleteParams::default())
        .await
        .unwrap();
    let refused = merge(json!(["example.com/held", REVOKE_FINALIZER])).await;
    match refused {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 422, "{status:?}"),
        other => panic!("a finalizer was added to an object that is being deleted: {other:?}"),
    }
    held.remove();
    until_nothing_is_alive(&rig).await;
    assert!(requests.get_opt("key").await.unwrap().is_some(), "it waits");
    merge(Value::Null).await.unwrap();
    rig.stage.gone::<CredentialRequest>("key").await;
    assert_eq!(rig.stage.metric(LEFT).await, Some(0.0));
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fight_about_a_finalizer_comes_to_rest_and_is_told() {
    let mut rig = Rig::new("dce-fight").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("key", 1000)).await;
    rig.stage.ready("key").await;
    let over = Arc::new(AtomicBool::new(false));
    let mark = rig.stage.wire.mark();
    let fighter = {
        let (over, requests) = (Arc::clone(&over), rig.stage.requests());
        tokio::spawn(async move {
            let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
            while !over.load(Ordering::Relaxed) {
                if let Ok(request) = requests.get("key").await
                    && has_finalizer(&request)
                {
                    // Another writer may be faster.
                    drop(requests.patch("key", &PatchParams::default(), &none).await);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    };
    let contested = |request: &CredentialRequest| {
        status_of(request, "RevocationFailing") == ("True", "TargetContested")
    };
    let request = rig.stage.until("key", "it is contested", contested).await;
    let said = message_of(&request, "RevocationFailing");
    assert!(said.contains(REVOKE_FINALIZER), "{said}");
    assert_eq!(status_of(&request, "Ready"), ("True", "Synced"));
    let warned = |event: &String| event.starts_with("TargetContested: ");
    eventually(SOON, || async {
        anyhow::ensure!(rig.stage.events().await.iter().any(warned), "no event");
        Ok(())
    })
    .await
    .unwrap();
    // Nothing more is made that nobody would hold, and other requests are served.
    rig.rotate("key", "1").await;
    rig.stage
        .until("key", "the rotation waits", |request| {
            status_of(request, "RenewalFailing") == ("True", "TargetContested")
        })
        .await;
    rig.stage.apply(&rig.request("other", 1000)).await;
    rig.stage.ready("other").await;
    let calls = rig.stage.wire.since(mark);
    let fought = calls
        .iter()
        .filter(|call| is_addition(call) && call.path.ends_with("/key"));
    // The first one was there before the mark.
    assert_eq!(fought.count(), 4);
    over.store(true, Ordering::Relaxed);
    fighter.await.unwrap();
    for name in ["key", "other"] {
        rig.remove(name).await;
    }
    until_nothing_is_alive(&rig).await;
    rig.finish().await;
}

/// The API server refuses calls of this kind.
fn refuse(rig: &Rig, label: &'static str) -> RuleHandle {
    let refused = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": "Forbidden", "message": "a policy says no", "code": 403,
    });
    rig.stage.wire.rule(
        move |call| call.label() == label,
        Fault::Reply(ResponseParts::json(403, &refused)),
        None,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalizer_that_the_api_server_refuses_is_said_and_no_key_is_made_without_it() {
    let mut rig = Rig::new("dce-refused").await;
    rig.stage.start().await;
    rig.provider_ready().await;
    let of_requests = refuse(&rig, "patch credentialrequests");
    let of_providers = refuse(&rig, "patch clustercredentialproviders");
    rig.stage.apply(&rig.request("key", 1000)).await;
    let refused = |words: &'static str| {
        move |request: &CredentialRequest| {
            status_of(request, "Ready") == ("False", "FinalizerRefused")
                && message_of(request, "Ready").contains(words)
        }
    };
    let words = "credential-operator.dev/in-use is missing on ClusterCredentialProvider";
    let request = rig
        .stage
        .until("key", "the provider is not held", refused(words))
        .await;
    let said = message_of(&request, "Ready");
    assert!(said.contains("403 Forbidden"), "{said}");
    let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    eventually(SOON, || async {
        let status = providers.get(&rig.name()).await?.status.unwrap_or_default();
        let said = in_conditions(&status.conditions, "Reconciling");
        anyhow::ensure!(said == ("True", "FinalizerRefused"), "{status:?}");
        let ready = in_conditions(&status.conditions, "Ready");
        anyhow::ensure!(ready == ("True", "LoginWorks"), "{status:?}");
        Ok(())
    })
    .await
    .unwrap();
    of_providers.remove();
    let words = "credential-operator.dev/revoke is missing on this request";
    rig.stage
        .until("key", "the request is not held", refused(words))
        .await;
    assert_eq!(rig.made(), []);
    of_requests.remove();
    rig.stage.ready("key").await;
    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}
