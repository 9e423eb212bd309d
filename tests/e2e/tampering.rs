//! Somebody changes or deletes the Secret by hand: it is put right at once, with the same credential
//! where that is still there, and without touching what is not the operator's.

use std::time::Duration;

use credential_operator::clock;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use testkit::wait::eventually;

use crate::stage::{SOON, Stage, is_about_secret, message_of, status_of, value};

pub async fn merge(stage: &Stage, name: &str, patch: Value) -> Secret {
    stage
        .api::<Secret>()
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .expect("the administrator may do everything")
}

/// The Secret without what the API server counts and notes: what has to be restored.
fn content(secret: &Secret) -> Value {
    let mut content = serde_json::to_value(secret).expect("JSON");
    for field in [
        "resourceVersion",
        "managedFields",
        "uid",
        "creationTimestamp",
    ] {
        content["metadata"]
            .as_object_mut()
            .expect("metadata")
            .remove(field);
    }
    content
}

async fn restored(stage: &Stage, name: &str, expected: &Value, what: &str) {
    eventually(SOON, || async {
        let found = content(&stage.secret(name).await);
        anyhow::ensure!(found == *expected, "{found:#}");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{what}: {error:#}"));
}

/// Waits until the credential with this serial is in the Secret, whole and alive. Tokens cannot be
/// told apart by their text: of two that DCE issues within a second, both are the same.
pub async fn replaced(stage: &Stage, name: &str, serial: u64) -> Secret {
    eventually(SOON, || async {
        let secret = stage.api::<Secret>().get(name).await?;
        let found = secret
            .annotations()
            .get("credential-operator.dev/serial")
            .cloned();
        anyhow::ensure!(found == Some(serial.to_string()), "the serial is {found:?}");
        let token = value(&secret, "token");
        anyhow::ensure!(stage.dce.is_live(&token), "not live");
        anyhow::ensure!(
            value(&secret, "authorization") == format!("Bearer {token}"),
            "not whole"
        );
        Ok(secret)
    })
    .await
    .unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

fn annotations(patch: Value) -> Value {
    json!({"metadata": {"annotations": patch}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_repaired_is_repaired_without_a_new_token() {
    let mut stage = Stage::new("repair").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let good = content(&stage.secret("api").await);
    let asked = stage.dce.token_requests();
    let cases = [
        (
            "a value changed",
            json!({"stringData": {"endpoint": "https://evil.example.com"}}),
        ),
        (
            "the token changed",
            json!({"stringData": {"token": "changed"}}),
        ),
        (
            "the header changed",
            json!({"stringData": {"authorization": "Bearer changed"}}),
        ),
        ("a value emptied", json!({"data": {"expiry": ""}})),
        ("a key removed", json!({"data": {"authorization": null}})),
        (
            "all keys but the token removed",
            json!({"data": {"authorization": null, "endpoint": null, "expiry": null}}),
        ),
        (
            "an annotation changed",
            annotations(json!({"credential-operator.dev/expires-at": "2999-01-01T00:00:00Z"})),
        ),
        (
            "an annotation removed",
            annotations(json!({"credential-operator.dev/serial": null})),
        ),
        (
            "an annotation of ours added",
            annotations(json!({"credential-operator.dev/unverified": "true"})),
        ),
        (
            "all annotations removed",
            json!({"metadata": {"annotations": null}}),
        ),
        (
            "the digest fits the changed value",
            json!({
                "metadata": {"annotations": {"credential-operator.dev/content": "0".repeat(64), "credential-operator.dev/keys": "theirs"}},
                "stringData": {"token": "changed"},
            }),
        ),
        (
            "the label that says who manages it changed",
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "helm"}}}),
        ),
    ];
    for (what, patch) in cases {
        let tampered = merge(&stage, "api", patch).await;
        assert_ne!(content(&tampered), good, "{what}");
        restored(&stage, "api", &good, what).await;
    }
    assert_eq!(
        stage.dce.token_requests(),
        asked,
        "the token was in the Secret all the time"
    );
    let request = stage.ready("api").await;
    assert_eq!(request.status.unwrap().credentials[0].serial, 1);
    let repaired =
        |event: &String| event.starts_with("Repaired: Secret api was not as it should be");
    eventually(SOON, || async {
        anyhow::ensure!(stage.events().await.iter().any(repaired), "no event");
        Ok(())
    })
    .await
    .unwrap();
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_gone_from_the_secret_is_replaced_by_one_new_one() {
    let mut stage = Stage::new("replace").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let cases = [
        ("all data removed", Some(json!({"data": null}))),
        (
            "both places of the token changed",
            Some(json!({"stringData": {"token": "x", "authorization": "y"}})),
        ),
        (
            "both places removed",
            Some(json!({"data": {"token": null, "authorization": null}})),
        ),
        // A token that is of no use to the operator, since it cannot know where it comes from.
        (
            "another token of the same form",
            Some(json!({"stringData": {"token": "a.b.c", "authorization": "Bearer a.b.c"}})),
        ),
        ("the Secret deleted", None),
    ];
    for (number, (what, patch)) in cases.into_iter().enumerate() {
        let asked = stage.dce.token_requests();
        match patch {
            Some(patch) => drop(merge(&stage, "api", patch).await),
            None => drop(
                stage
                    .api::<Secret>()
                    .delete("api", &DeleteParams::default())
                    .await
                    .unwrap(),
            ),
        }
        let serial = number as u64 + 2;
        replaced(&stage, "api", serial).await;
        assert_eq!(stage.dce.token_requests(), asked + 1, "{what}");
        stage
            .until("api", "the ledger follows", |request| {
                request
                    .status
                    .as_ref()
                    .is_some_and(|status| status.credentials[0].serial == serial)
                    && status_of(request, "Ready") == ("True", "Synced")
            })
            .await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_lost_the_label_gets_it_back_and_is_foreign_only_with_other_data() {
    let mut stage = Stage::new("label").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    let uid = stage.ready("api").await.uid().unwrap();
    let (good, asked) = (
        content(&stage.secret("api").await),
        stage.dce.token_requests(),
    );
    let label = |value: Value| json!({"metadata": {"labels": {"credential-operator.dev/request-uid": value}}});
    merge(&stage, "api", label(Value::Null)).await;
    eventually(SOON, || async {
        let secret = stage.api::<Secret>().get("api").await?;
        let labelled = secret.labels().get("credential-operator.dev/request-uid") == Some(&uid);
        anyhow::ensure!(labelled, "the label is not back");
        Ok(())
    })
    .await
    .unwrap();
    stage.ready("api").await;

    // With other data it is not what the operator wrote. After a restart nothing else tells.
    stage.kill();
    let mut other = label(Value::Null);
    other["stringData"] = json!({"token": "another"});
    let unlabelled = merge(&stage, "api", other).await;
    stage.start().await;
    let request = stage
        .until("api", "Stalled", |request| {
            status_of(request, "Stalled") == ("True", "TargetNotOwned")
        })
        .await;
    let message = message_of(&request, "Stalled");
    assert!(
        message.contains("credential-operator.dev/request-uid") && message.contains(&uid),
        "{message}"
    );
    assert_eq!(stage.secret("api").await, unlabelled, "it is left as it is");

    let mut back = label(json!(uid));
    back["data"] = json!({"token": good["data"]["token"]});
    merge(&stage, "api", back).await;
    stage.ready("api").await;
    assert_eq!(content(&stage.secret("api").await), good);
    assert_eq!(stage.dce.token_requests(), asked);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_add_to_the_secret_stays_and_costs_no_write() {
    let mut stage = Stage::new("additions").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let mark = stage.wire.mark();
    let mut last = None;
    for (number, addition) in [
        json!({"metadata": {"labels": {"theirs": "yes"}}}),
        json!({"metadata": {"annotations": {"theirs": "too"}}}),
        json!({"stringData": {"theirs": "key"}}),
        json!({"metadata": {"finalizers": ["example.com/theirs"]}}),
    ]
    .into_iter()
    .enumerate()
    {
        last = Some(merge(&stage, "api", addition).await);
        eventually(SOON, || async {
            let looks = stage
                .wire
                .since(mark)
                .iter()
                .filter(|call| is_about_secret(call, "api"))
                .count();
            anyhow::ensure!(looks > number, "{looks} looks");
            Ok(())
        })
        .await
        .unwrap();
    }
    // Another request goes all the way meanwhile.
    stage.apply(&stage.request("meanwhile")).await;
    stage.ready("meanwhile").await;
    assert_eq!(Some(stage.secret("api").await), last);
    let written = stage.wire.since(mark);
    let written: Vec<_> = written
        .iter()
        .filter(|call| {
            call.is_changing()
                && call
                    .kubernetes()
                    .is_some_and(|call| call.name.as_deref() == Some("api"))
        })
        .map(|call| call.label())
        .collect();
    assert!(written.is_empty(), "{written:?}");

    // And it outlives both a repair and a new credential.
    merge(&stage, "api", json!({"data": {"token": null}})).await;
    stage
        .annotate("api", "credential-operator.dev/rotate", "1")
        .await;
    stage
        .until("api", "rotated", |request| {
            request
                .status
                .as_ref()
                .is_some_and(|status| status.rotated.is_some())
        })
        .await;
    let secret = stage.secret("api").await;
    assert_eq!(value(&secret, "theirs"), "key");
    assert_eq!(
        (
            secret.labels()["theirs"].as_str(),
            secret.annotations()["theirs"].as_str()
        ),
        ("yes", "too")
    );
    assert_eq!(secret.finalizers(), ["example.com/theirs"]);
    assert!(stage.dce.is_live(&value(&secret, "token")));
    merge(&stage, "api", json!({"metadata": {"finalizers": null}})).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_value_is_repaired_within_a_tenth_of_a_second() {
    const REPAIRS: usize = 24;
    let mut stage = Stage::new("repair-time").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let good = stage.secret("api").await;
    let params = WatchParams::default().fields("metadata.name=api");
    let mut watch = stage
        .api::<Secret>()
        .watch(&params, &good.resource_version().unwrap())
        .await
        .unwrap()
        .boxed();
    let mut times = Vec::new();
    for round in 0..REPAIRS {
        merge(
            &stage,
            "api",
            json!({"stringData": {"token": format!("changed {round}")}}),
        )
        .await;
        let answered = clock::monotonic();
        let mut changed = false;
        let repaired = async {
            while let Some(event) = watch.try_next().await.expect("the watch goes on") {
                let WatchEvent::Modified(secret) = event else {
                    panic!("{event:?}")
                };
                if secret.data == good.data && changed {
                    return;
                }
                changed |= secret.data != good.data;
            }
            panic!("the watch ended");
        };
        tokio::time::timeout(SOON, repaired)
            .await
            .expect("it is repaired");
        times.push(answered.elapsed());
    }
    times.sort_unstable();
    let median = times[REPAIRS / 2];
    println!(
        "repair of a changed value: median {median:?}, fastest {:?}, slowest {:?}",
        times[0],
        times[REPAIRS - 1]
    );
    // What is promised is a median of 100 ms on a machine that has nothing else to do. Here a dozen
    // other tests run at the same time, so the promise is checked with the faster half alone, which
    // a single pause or retry of 100 ms would break as well, and the median with some room.
    assert!(times[REPAIRS / 4] < Duration::from_millis(100), "{times:?}");
    assert!(median < Duration::from_millis(500), "{times:?}");
    stage.finish().await;
}
