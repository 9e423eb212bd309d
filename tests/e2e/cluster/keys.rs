//! Keys that have to be revoked, while the cluster refuses the writes that come before.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use testkit::{
    wait::eventually,
    wire::{Fault, ResponseParts},
};

use super::policies::{deny_writes, stop_denying};
use crate::{
    dce_access_key::Rig,
    stage::{SOON, is_about_secret, message_of, status_of, value},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_secret_that_may_not_be_patched_keeps_its_request_with_one_try_per_back_off() {
    let mut rig = Rig::new("retain-refused").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("api", 200)).await;
    rig.stage.ready("api").await;
    deny_writes(&rig.stage).await;
    rig.stage
        .change("api", json!({"spec": {"deletionPolicy": "Retain"}}))
        .await;
    rig.stage
        .until("api", "the policy is told", |request| {
            status_of(request, "RenewalFailing") == ("True", "SecretRefused")
        })
        .await;
    let mark = rig.stage.wire.mark();
    let begun = credential_operator::clock::monotonic();
    rig.stage
        .requests()
        .delete("api", &DeleteParams::default())
        .await
        .unwrap();
    let named = format!("admission policy {}", rig.stage.team);
    rig.stage
        .until("api", "several attempts", |request| {
            status_of(request, "RevocationFailing") == ("True", "SecretRefused")
                && status_of(request, "Ready").0 == "False"
                && message_of(request, "RevocationFailing").contains(&named)
                && request
                    .status
                    .as_ref()
                    .unwrap()
                    .write_failure
                    .as_ref()
                    .is_some_and(|failure| failure.attempts >= 3)
        })
        .await;
    let writes = rig
        .stage
        .wire
        .since(mark)
        .iter()
        .filter(|call| is_about_secret(call, "api") && call.is_changing())
        .count() as u64;
    assert!(
        writes <= begun.elapsed().as_secs() + 2,
        "{writes} writes in {:?}",
        begun.elapsed()
    );
    assert!(
        !rig.stage.logs().contains("does not come to an end"),
        "the plan goes round in circles"
    );
    stop_denying(&rig.stage).await;
    rig.stage
        .gone::<credential_operator::api::CredentialRequest>("api")
        .await;
    let secret = rig.stage.secret("api").await;
    assert!(
        rig.made()
            .iter()
            .any(|key| key.token == value(&secret, "token")),
        "the retained key is alive"
    );
    rig.stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_leak_only_the_published_key_outlives_a_refused_write_and_that_is_said() {
    let mut rig = Rig::new("leak-refused").await;
    rig.stage.start().await;
    let hour = Duration::from_secs(3600).as_millis() as u64;
    rig.stage.apply(&rig.request("api", hour)).await;
    rig.stage.ready("api").await;
    rig.stage
        .annotate("api", "credential-operator.dev/rotate", "now")
        .await;
    eventually(SOON, || async {
        ensure!(rig.made().len() == 2, "one published, one retiring");
        let request = rig.stage.requests().get("api").await?;
        let credentials = request.status.unwrap().credentials;
        ensure!(credentials.len() == 2, "not recorded yet");
        Ok(())
    })
    .await
    .unwrap();
    let published = value(&rig.stage.secret("api").await, "token");
    deny_writes(&rig.stage).await;
    rig.stage
        .annotate("api", "credential-operator.dev/revoke-retiring", "leak-1")
        .await;
    let request = rig
        .stage
        .until(
            "api",
            "it is said that the published one is alive",
            |request| status_of(request, "RevocationFailing") == ("True", "SecretRefused"),
        )
        .await;
    let words = message_of(&request, "RevocationFailing");
    assert!(
        words.contains("the published credential with serial 2 is still alive"),
        "{words}"
    );
    eventually(SOON, || async {
        let made = rig.made();
        let old = made.iter().filter(|key| key.token == published).count();
        ensure!(old == 1 && made.len() <= 2, "{} keys are alive", made.len());
        ensure!(
            rig.stage
                .requests()
                .get("api")
                .await?
                .status
                .unwrap()
                .credentials
                .iter()
                .all(|it| it.serial != 1),
            "the retiring one is still recorded"
        );
        Ok(())
    })
    .await
    .unwrap();

    stop_denying(&rig.stage).await;
    eventually(SOON, || async {
        let now = value(&rig.stage.secret("api").await, "token");
        let made = rig.made();
        ensure!(now != published, "no successor yet");
        ensure!(
            made.len() == 1 && made[0].token == now,
            "only the successor may be alive"
        );
        Ok(())
    })
    .await
    .unwrap();
    rig.stage
        .until("api", "well", |request| {
            status_of(request, "RevocationFailing").0 == "False"
        })
        .await;
    rig.stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalizer_that_cannot_be_written_is_said_and_nothing_is_issued() {
    let mut rig = Rig::new("finalizer-refused").await;
    rig.stage.start().await;
    let denied = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "admission webhook \"guard.example.com\" denied the request: no",
        "reason": "Conflict", "code": 409,
    });
    rig.stage.wire.rule(
        |call| {
            call.is_changing()
                && call.kubernetes().is_some_and(|meant| {
                    meant.resource == "credentialrequests" && meant.subresource.is_none()
                })
        },
        Fault::Reply(ResponseParts::json(409, &denied)),
        None,
    );
    rig.stage.apply(&rig.request("api", 200)).await;
    let request = rig
        .stage
        .until("api", "FinalizerRefused", |request| {
            status_of(request, "Ready") == ("False", "FinalizerRefused")
        })
        .await;
    let words = message_of(&request, "Ready");
    assert!(
        words.contains("admission webhook guard.example.com denied it"),
        "{words}"
    );
    assert!(rig.made().is_empty());
    rig.stage.wire.clear_rules();
    rig.stage.ready("api").await;
    rig.stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_read_is_said_and_stays_as_ready_as_it_was_for_a_while() {
    let mut rig = Rig::new("unreadable").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("api", 200)).await;
    rig.stage.ready("api").await;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "kms is away", "reason": "InternalError", "code": 500,
    });
    rig.stage.wire.rule(
        |call| is_about_secret(call, "api") && call.method == "GET",
        Fault::Reply(ResponseParts::json(500, &status)),
        None,
    );
    let patch = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}});
    rig.stage
        .api::<Secret>()
        .patch("api", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    rig.stage
        .until("api", "first it is as ready as it was", |request| {
            status_of(request, "RenewalFailing") == ("True", "SecretUnreadable")
                && status_of(request, "Ready").0 == "True"
        })
        .await;
    rig.stage
        .until("api", "then it is not ready", |request| {
            status_of(request, "Ready") == ("False", "SecretUnreadable")
        })
        .await;
    rig.stage.wire.clear_rules();
    rig.stage.ready("api").await;
    rig.stage.finish().await;
}
