//! How requests, namespaces and providers go: nothing is left alive, and nothing hangs without saying
//! why.

use std::time::Duration;

use credential_operator::api::{ClusterCredentialProvider, CredentialProvider};
use k8s_openapi::api::{core::v1::Namespace, events::v1::Event};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy},
};

use testkit::wire::{Fault, ResponseParts};

use super::*;
use crate::stage::{in_conditions, is_about_secret, message_of, status_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_another_user_that_is_in_hand_when_its_request_is_deleted_is_revoked() {
    let mut rig = Rig::new("ks-in-hand").await;
    let create = async |name: &str, role: &str| {
        let name = format!("{name}-{}", rig.project);
        let user = rig.cloud.create_user(&name).await;
        rig.cloud.assign_role(&user, &rig.project_id, role).await;
        user
    };
    let (admin, other) = (
        create("admin", "admin").await,
        create("other", "reader").await,
    );
    rig.write_login(&admin).await;
    let mut provider = rig.provider();
    provider["spec"]["allow"][0]["keystone"]["users"] = json!([{"id": other.id}]);
    rig.stage.apply(&provider).await;
    rig.stage.start().await;
    // The API server refuses the Secret: the pair is made, proven, and never published.
    let refused = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": "secrets \"s3\" is forbidden: exceeded quota: no-secrets",
    });
    rig.stage.wire.rule(
        |call| call.method == "POST" && is_about_secret(call, "s3"),
        Fault::Reply(ResponseParts::json(403, &refused)),
        None,
    );
    let pair = json!({"project": rig.project_ref(), "user": {"id": other.id}});
    rig.stage
        .apply(&rig.request("s3", json!({"accessKey": pair})))
        .await;
    rig.stage
        .until("s3", "SecretRefused", |request| {
            status_of(request, "Ready") == ("False", "SecretRefused")
        })
        .await;
    let alive = rig.admin().ec2_credentials(&other.id).await.unwrap();
    assert_eq!(alive.len(), 1);
    rig.delete("s3").await;
    rig.gone("s3").await;
    let left = rig.admin().ec2_credentials(&other.id).await.unwrap();
    assert!(left.is_empty(), "let go alive: {left:?}");
    rig.stage
        .more_secret_values
        .extend([admin.password, other.password]);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_with_its_deletion_while_keystone_is_down_and_says_so() {
    let mut rig = Rig::new("ks-down").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    let ready = rig.stage.ready("s3").await;
    let id = ready.status.unwrap().credentials[0].id.clone().unwrap();
    let pair = rig.pair("s3").await;
    rig.wire.set_down(true);
    rig.delete("s3").await;
    let waiting = rig
        .stage
        .until("s3", "what is still alive", |request| {
            status_of(request, "Ready") == ("False", "ProviderUnavailable")
        })
        .await;
    let said = message_of(&waiting, "Ready");
    assert!(
        said.contains(&format!(
            "still alive at the provider: credential 1 (id {id})"
        )),
        "{said}"
    );
    assert_eq!(
        status_of(&waiting, "RevocationFailing"),
        ("True", "ProviderUnavailable")
    );
    let status = waiting.status.unwrap();
    assert!(
        status.next_action_time.is_some(),
        "it says when it is tried again"
    );
    assert_eq!(
        serde_json::to_value(status.next_action).unwrap(),
        json!("Revoke")
    );
    assert_eq!(status.credentials.len(), 1);
    assert!(
        rig.stage.secret("s3").await.data.is_some(),
        "the Secret stays as long"
    );
    // A restart changes nothing about that.
    rig.stage.kill();
    rig.stage.start().await;
    rig.wire.set_down(false);
    rig.gone("s3").await;
    assert!(!rig.accepts(&pair).await);
    assert_eq!(rig.pairs().await, []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_retained_outlives_its_request_and_what_was_replaced_before_does_not() {
    let mut rig = Rig::new("ks-retain").await;
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["deletionPolicy"] = json!("Retain");
    rig.stage.apply(&request).await;
    rig.stage.ready("s3").await;
    let secret = rig.stage.secret("s3").await;
    assert_eq!(secret.owner_references(), [], "nothing takes it along");
    let first = pair_in(&secret);
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    rig.stage
        .until("s3", "two credentials", |request| {
            request.status.as_ref().unwrap().credentials.len() == 2
        })
        .await;
    let second = rig.pair("s3").await;
    // Foreground deletion removes what is owned first.
    let foreground = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    };
    rig.stage
        .requests()
        .delete("s3", &foreground)
        .await
        .unwrap();
    rig.gone("s3").await;
    assert!(rig.accepts(&second).await, "it works on");
    assert_eq!(rig.pair("s3").await, second, "and is where it was");
    assert!(!rig.accepts(&first).await, "its predecessor does not");
    // The other way round: an owner reference is taken up again.
    rig.stage.apply(&rig.access_key("other")).await;
    rig.stage.ready("other").await;
    for (policy, owners) in [("Retain", 0), ("Revoke", 1)] {
        rig.stage
            .change("other", json!({"spec": {"deletionPolicy": policy}}))
            .await;
        eventually(SOON, || async {
            let secret = rig.stage.secret("other").await;
            anyhow::ensure!(secret.owner_references().len() == owners, "{policy}");
            Ok(())
        })
        .await
        .unwrap();
    }
    rig.delete("other").await;
    rig.gone("other").await;
    rig.stage.gone::<Secret>("other").await;
    assert_eq!(rig.pairs().await.len(), 1);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_given_up_only_when_somebody_says_so() {
    let mut rig = Rig::new("ks-abandon").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    let ready = rig.stage.ready("s3").await;
    let id = ready.status.unwrap().credentials[0].id.clone().unwrap();
    // The whole Keystone is gone, for good.
    rig.wire.set_down(true);
    rig.delete("s3").await;
    rig.stage
        .until("s3", "waiting", |request| {
            status_of(request, "RevocationFailing").0 == "True"
        })
        .await;
    rig.stage
        .annotate("s3", "credential-operator.dev/abandon", "something-else")
        .await;
    rig.stage
        .annotate("s3", "credential-operator.dev/abandon", &format!("x {id}"))
        .await;
    rig.gone("s3").await;
    let left = rig
        .stage
        .metric("credential_operator_left_behind_credentials_total")
        .await;
    assert_eq!(left, Some(1.0));
    assert!(
        rig.stage.logs().contains(&id),
        "the log has what was given up"
    );
    rig.wire.set_down(false);
    assert_eq!(rig.pairs().await.len(), 1);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_waits_with_its_deletion_for_those_who_need_it_and_names_them() {
    let mut rig = Rig::new("ks-in-use").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    rig.stage.ready("s3").await;
    let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    let name = rig.name();
    providers
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    eventually(SOON, || async {
        let status = providers.get(&name).await?.status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .find(|one| one.type_ == "Ready")
            .unwrap();
        anyhow::ensure!(ready.reason == "InUse", "{ready:?}");
        anyhow::ensure!(
            ready.message.contains(&format!("{}/s3", rig.stage.team)),
            "{ready:?}"
        );
        Ok(())
    })
    .await
    .unwrap();
    // It issues nothing any more, and what it has issued works on.
    rig.stage.apply(&rig.access_key("late")).await;
    let said = super::bad_input::refused(&rig, "late", "ProviderTerminating").await;
    assert!(said.contains("is being deleted"), "{said}");
    let request = rig.stage.requests().get("s3").await.unwrap();
    assert_eq!(status_of(&request, "Ready"), ("True", "Synced"));
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    rig.stage
        .until("s3", "no renewal", |request| {
            status_of(request, "RenewalFailing") == ("True", "ProviderTerminating")
                && status_of(request, "Ready").0 == "True"
        })
        .await;
    // Also after a restart.
    rig.stage.kill();
    rig.stage.start().await;
    rig.delete("s3").await;
    rig.gone("s3").await;
    assert_eq!(rig.pairs().await, []);
    eventually(SOON, || async {
        anyhow::ensure!(
            providers.get_opt(&name).await?.is_none(),
            "it is still there"
        );
        Ok(())
    })
    .await
    .unwrap();
    rig.delete("late").await;
    rig.gone("late").await;
    rig.finish().await;
}

/// A provider of the team's own namespace, with a login there.
async fn local_provider(rig: &Rig) {
    rig.stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "login", "namespace": rig.stage.team,
                "annotations": {"credential-operator.dev/login-for": rig.wire.url()},
            },
            "stringData": {"username": rig.user.name, "password": rig.user.password},
        }))
        .await;
    let mut local = rig.provider();
    local["kind"] = json!("CredentialProvider");
    local["metadata"] = json!({"name": "local", "namespace": rig.stage.team});
    local["spec"]["keystone"]["auth"]["password"]["secretRef"] = json!({"name": "login"});
    local["spec"]["allow"][0]
        .as_object_mut()
        .unwrap()
        .remove("namespaces");
    rig.stage.apply(&local).await;
}

fn of_local(mut request: Value) -> Value {
    request["spec"]["providerRef"] = json!({"kind": "CredentialProvider", "name": "local"});
    request
}

async fn delete_namespace(rig: &Rig, name: &str) {
    let namespaces: Api<Namespace> = Api::all(rig.stage.client.clone());
    namespaces
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
}

async fn namespace_gone(rig: &Rig, name: &str) {
    let namespaces: Api<Namespace> = Api::all(rig.stage.client.clone());
    eventually(Duration::from_secs(60), || async {
        anyhow::ensure!(
            namespaces.get_opt(name).await?.is_none(),
            "{name} is still there"
        );
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_with_everything_in_it_revoked_by_the_session_that_lives() {
    let mut rig = Rig::new("ks-namespace").await;
    rig.stage
        .flags
        .push("--tenant-endpoints=127.0.0.0/8".to_owned());
    rig.stage.start().await;
    local_provider(&rig).await;
    for name in ["one", "two"] {
        rig.stage.apply(&of_local(rig.access_key(name))).await;
        rig.stage.ready(name).await;
    }
    // The login and the provider go at the same time as the requests.
    let team = rig.stage.team.clone();
    delete_namespace(&rig, &team).await;
    namespace_gone(&rig, &team).await;
    assert_eq!(rig.pairs().await, []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_namespace_that_goes_a_credential_whose_login_is_gone_is_given_up_after_a_while() {
    let mut rig = Rig::new("ks-given-up").await;
    rig.stage.flags.push("--give-up-after=5s".to_owned());
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    let ready = rig.stage.ready("s3").await;
    let id = ready.status.unwrap().credentials[0].id.clone().unwrap();
    // No session outlives a restart, and the login is lost.
    rig.stage.kill();
    let secrets: Api<Secret> = Api::namespaced(rig.stage.client.clone(), &rig.stage.platform);
    secrets
        .delete("keystone-login", &DeleteParams::default())
        .await
        .unwrap();
    rig.stage.start().await;
    let began = credential_operator::clock::monotonic();
    let team = rig.stage.team.clone();
    delete_namespace(&rig, &team).await;
    namespace_gone(&rig, &team).await;
    assert!(
        began.elapsed() >= Duration::from_secs(4),
        "not at once: {:?}",
        began.elapsed()
    );
    let events: Api<Event> = Api::namespaced(rig.stage.client.clone(), "default");
    let provider = rig.name();
    eventually(SOON, || async {
        let told = events.list(&ListParams::default()).await?;
        let about = told.iter().find(|event| {
            event.reason.as_deref() == Some("GivenUp")
                && event.regarding.as_ref().and_then(|it| it.name.as_ref()) == Some(&provider)
        });
        let note = about
            .and_then(|event| event.note.clone())
            .unwrap_or_default();
        anyhow::ensure!(note.contains(&id), "{note}");
        Ok(())
    })
    .await
    .unwrap();
    assert!(
        rig.stage
            .logs()
            .contains("credentials were given up and may be alive")
    );
    let left = rig
        .stage
        .metric("credential_operator_left_behind_credentials_total")
        .await;
    assert_eq!(left, Some(1.0));
    assert_eq!(rig.pairs().await.len(), 1, "nobody could revoke it");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_login_is_told_at_once_and_a_living_session_goes_on() {
    let mut rig = Rig::new("ks-lost-login").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    rig.stage.ready("s3").await;
    let secrets: Api<Secret> = Api::namespaced(rig.stage.client.clone(), &rig.stage.platform);
    secrets
        .delete("keystone-login", &DeleteParams::default())
        .await
        .unwrap();
    let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    let name = rig.name();
    let told = eventually(Duration::from_secs(2), || async {
        let status = providers.get(&name).await?.status.unwrap_or_default();
        let ready = in_conditions(&status.conditions, "Ready");
        anyhow::ensure!(ready == ("False", "LoginSecretNotFound"), "{ready:?}");
        Ok(())
    });
    told.await.unwrap();
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    rig.stage
        .until("s3", "rotated", |request| {
            request.status.as_ref().unwrap().rotated.as_deref() == Some("1")
        })
        .await;
    rig.delete("s3").await;
    rig.gone("s3").await;
    assert_eq!(rig.pairs().await, []);
    // Taking consent back is something else.
    rig.write_login(&rig.user).await;
    rig.provider_ready().await;
    secrets
        .patch(
            "keystone-login",
            &PatchParams::default(),
            &Patch::Merge(
                &json!({"metadata": {"annotations": {"credential-operator.dev/login-for": null}}}),
            ),
        )
        .await
        .unwrap();
    super::bad_input::provider_refused(&rig, &name, "NoConsent").await;
    rig.stage.apply(&rig.access_key("late")).await;
    super::bad_input::refused(&rig, "late", "NoConsent").await;
    let local: Api<CredentialProvider> = rig.stage.api();
    assert!(
        local
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    rig.finish().await;
}
