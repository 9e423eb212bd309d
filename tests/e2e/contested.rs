//! The Secret cannot be kept right: somebody deletes it again and again, has made it immutable, or the
//! API server does not let it be written. That is said, and costs ever less.

use k8s_openapi::api::core::v1::{ResourceQuota, Secret};
use kube::api::DeleteParams;
use serde_json::json;
use testkit::wait::eventually;

use crate::{
    stage::{SOON, Stage, is_about_secret, message_of, status_of},
    tampering::{merge, replaced},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_contested_secret_slows_down_and_says_so() {
    let mut stage = Stage::new("contested").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    for round in 0..10 {
        stage
            .api::<Secret>()
            .delete("api", &DeleteParams::default())
            .await
            .unwrap();
        replaced(&stage, "api", round + 2).await;
    }
    let asked = stage.dce.token_requests();
    stage
        .api::<Secret>()
        .delete("api", &DeleteParams::default())
        .await
        .unwrap();
    let request = stage
        .until("api", "TargetContested", |request| {
            status_of(request, "Ready") == ("False", "TargetContested")
        })
        .await;
    assert!(
        message_of(&request, "Ready").contains("Secret api"),
        "{}",
        message_of(&request, "Ready")
    );
    assert_eq!(
        status_of(&request, "Reconciling"),
        ("True", "TargetContested")
    );
    let status = request.status.unwrap();
    let wait = status
        .next_action_time
        .unwrap()
        .duration_since(credential_operator::clock::now());
    assert!(
        wait > jiff::SignedDuration::from_secs(60),
        "it waits for {wait:#}"
    );
    let warned = |event: &String| event.starts_with("TargetContested: ");
    eventually(SOON, || async {
        anyhow::ensure!(stage.events().await.iter().any(warned), "no event");
        Ok(())
    })
    .await
    .unwrap();

    // Others are not slowed down by it.
    stage.apply(&stage.request("other")).await;
    stage.ready("other").await;
    assert_eq!(stage.dce.token_requests(), asked + 1);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_secret_marked_immutable_is_used_until_it_has_to_be_written() {
    let mut stage = Stage::new("immutable").await;
    stage.start().await;
    for name in ["whole", "damaged"] {
        stage.apply(&stage.request(name)).await;
        stage.ready(name).await;
    }
    // Whole: nothing is wrong until another credential has to be written.
    merge(&stage, "whole", json!({"immutable": true})).await;
    let mut request = stage.request("whole");
    request["spec"]["dce"]["token"]["cycle"] = json!(5);
    stage.apply(&request).await;
    let request = stage
        .until("whole", "TargetImmutable", |request| {
            status_of(request, "Stalled") == ("True", "TargetImmutable")
        })
        .await;
    assert!(
        message_of(&request, "Stalled").contains("delete it"),
        "{}",
        message_of(&request, "Stalled")
    );
    assert_eq!(
        status_of(&request, "Ready"),
        ("True", "Synced"),
        "the old credential works"
    );
    assert_eq!(
        status_of(&request, "RenewalFailing"),
        ("True", "TargetImmutable")
    );

    // Damaged and immutable in one write: what is in it is of no use.
    merge(
        &stage,
        "damaged",
        json!({"immutable": true, "stringData": {"token": "changed"}}),
    )
    .await;
    let request = stage
        .until("damaged", "TargetImmutable", |request| {
            status_of(request, "Stalled") == ("True", "TargetImmutable")
        })
        .await;
    assert_eq!(status_of(&request, "Ready"), ("False", "TargetImmutable"));

    // No storm, neither of writes nor of tokens.
    let mark = stage.wire.mark();
    let asked = stage.dce.token_requests();
    stage.apply(&stage.request("meanwhile")).await;
    stage.ready("meanwhile").await;
    let calls = stage.wire.since(mark);
    let writes = calls.iter().filter(|call| {
        call.is_changing()
            && ["whole", "damaged"]
                .iter()
                .any(|name| is_about_secret(call, name))
    });
    assert_eq!(writes.count(), 0);
    assert_eq!(stage.dce.token_requests(), asked + 1);

    for name in ["whole", "damaged"] {
        stage
            .api::<Secret>()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
        replaced(&stage, name, 2).await;
        stage
            .until(name, "well again", |request| {
                status_of(request, "Ready") == ("True", "Synced")
                    && status_of(request, "Stalled").0 == "False"
                    && status_of(request, "RenewalFailing").0 == "False"
            })
            .await;
    }
    stage.finish().await;
}

/// A quota stands for whatever else may refuse: admission policies, webhooks, the operator's rights.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_api_server_refuses_is_told_and_tried_ever_more_rarely() {
    let mut stage = Stage::new("quota").await;
    stage.start().await;
    stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "no-secrets", "namespace": stage.team},
            "spec": {"hard": {"count/secrets": "0"}},
        }))
        .await;
    // It forbids nothing until its use has been counted.
    eventually(SOON, || async {
        let quota = stage.api::<ResourceQuota>().get("no-secrets").await?;
        let counted = quota
            .status
            .and_then(|status| status.used)
            .is_some_and(|used| used.contains_key("count/secrets"));
        anyhow::ensure!(counted, "not counted");
        Ok(())
    })
    .await
    .unwrap();
    stage.apply(&stage.request("api")).await;
    let request = stage
        .until("api", "SecretRefused", |request| {
            status_of(request, "Ready") == ("False", "SecretRefused")
        })
        .await;
    assert!(
        message_of(&request, "Ready").contains("quota no-secrets is exceeded"),
        "{}",
        message_of(&request, "Ready")
    );
    let asked = stage.dce.token_requests();
    let request = stage
        .until("api", "three attempts", |request| {
            request
                .status
                .as_ref()
                .and_then(|status| status.write_failure.as_ref())
                .is_some_and(|failure| failure.attempts >= 3)
        })
        .await;
    let attempts = request.status.unwrap().write_failure.unwrap().attempts as usize;
    let creates = stage
        .wire
        .calls_where(|call| is_about_secret(call, "api") && call.is_changing());
    assert!(
        creates.len() <= attempts + 1,
        "{} writes in {attempts} attempts",
        creates.len()
    );
    assert_eq!(
        stage.dce.token_requests(),
        asked,
        "the token that was issued is kept"
    );

    stage
        .api::<ResourceQuota>()
        .delete("no-secrets", &DeleteParams::default())
        .await
        .unwrap();
    stage.ready("api").await;
    assert_eq!(stage.dce.token_requests(), asked);
    stage.finish().await;
}
