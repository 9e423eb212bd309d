//! Somebody else writes a Secret between the operator's look at it and its write. The wire proxy
//! holds the write for as long as that takes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use testkit::{
    wait::eventually,
    wire::{Fault, RuleHandle},
};

use crate::stage::{SOON, Stage, create, is_about_secret, status_of, value};

/// Holds the operator's next write of a Secret.
fn hold_write(stage: &Stage, name: &str) -> RuleHandle {
    let name = name.to_owned();
    let matcher = move |call: &_| is_about_secret(call, &name) && call.is_changing();
    stage.wire.rule(matcher, Fault::HoldBefore, Some(1))
}

async fn is_held(held: &RuleHandle) {
    held.hit(SOON).await.expect("the operator writes");
}

async fn create_foreign(stage: &Stage, name: &str) -> Secret {
    let body =
        json!({"metadata": {"name": name}, "stringData": {"token": "theirs", "other": "theirs"}});
    create::<Secret>(&stage.api(), body).await
}

async fn merge(stage: &Stage, name: &str, patch: Value) -> Secret {
    stage
        .api::<Secret>()
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .expect("the administrator may do everything")
}

async fn delete(stage: &Stage, name: &str) {
    stage
        .api::<Secret>()
        .delete(name, &DeleteParams::default())
        .await
        .expect("it is there");
}

async fn not_owned(stage: &Stage, name: &str) {
    stage
        .until(name, "TargetNotOwned", |request| {
            status_of(request, "Stalled") == ("True", "TargetNotOwned")
        })
        .await;
}

/// Waits until the Secret holds the credential with this serial, whole and alive.
async fn published(stage: &Stage, name: &str, serial: u64) -> Secret {
    let ledger = |request: &credential_operator::api::CredentialRequest| {
        let status = request.status.as_ref();
        status.is_some_and(|status| {
            status
                .credentials
                .iter()
                .any(|record| record.serial == serial)
        })
    };
    stage
        .until(name, "published", |request| {
            ledger(request) && status_of(request, "Ready") == ("True", "Synced")
        })
        .await;
    eventually(SOON, || async {
        let secret = stage.secret(name).await;
        let token = value(&secret, "token");
        anyhow::ensure!(
            secret.annotations()["credential-operator.dev/serial"] == serial.to_string(),
            "{secret:?}"
        );
        anyhow::ensure!(
            value(&secret, "authorization") == format!("Bearer {token}"),
            "damaged"
        );
        anyhow::ensure!(stage.dce.is_live(&token), "the token is not live");
        Ok(secret)
    })
    .await
    .unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_that_appears_before_ours_is_created_is_not_merged_into() {
    let mut stage = Stage::new("race-create").await;
    stage.start().await;
    for round in 0..5 {
        let name = format!("api-{round}");
        let held = hold_write(&stage, &name);
        stage.apply(&stage.request(&name)).await;
        is_held(&held).await;
        let asked = stage.dce.token_requests();
        let theirs = create_foreign(&stage, &name).await;
        held.release();
        not_owned(&stage, &name).await;
        assert_eq!(stage.secret(&name).await, theirs, "round {round}");

        delete(&stage, &name).await;
        published(&stage, &name, 1).await;
        assert_eq!(
            stage.dce.token_requests(),
            asked,
            "the token that was issued before is used"
        );
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_secret_changed_before_a_new_credential_is_written_ends_up_right() {
    let mut stage = Stage::new("race-change").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let changes = [
        json!({"metadata": {"labels": {"theirs": "yes"}}}),
        json!({"stringData": {"token": "changed", "authorization": "changed"}}),
        json!({"data": {"expiry": null}, "stringData": {"theirs": "yes"}}),
        json!({"metadata": {"annotations": {"credential-operator.dev/serial": "77", "credential-operator.dev/keys": null}}}),
        json!({"data": null}),
    ];
    for (round, change) in changes.into_iter().enumerate() {
        let asked = stage.dce.token_requests();
        let held = hold_write(&stage, "api");
        stage
            .annotate("api", "credential-operator.dev/rotate", &round.to_string())
            .await;
        is_held(&held).await;
        merge(&stage, "api", change.clone()).await;
        held.release();
        let secret = published(&stage, "api", round as u64 + 2).await;
        assert_eq!(secret.labels()["theirs"], "yes", "round {round}");
        assert_eq!(
            stage.dce.token_requests(),
            asked + 1,
            "{change}: one new token, whatever became of the old one"
        );
        let stale = stage
            .wire
            .calls_where(|call| is_about_secret(call, "api") && call.status == Some(409));
        assert_eq!(
            stale.len(),
            round + 1,
            "{change}: the write that was held is refused"
        );
        held.remove();
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_secret_in_the_place_of_ours_is_not_merged_into() {
    let mut stage = Stage::new("race-replace").await;
    stage.start().await;
    for round in 0..4 {
        let name = format!("api-{round}");
        stage.apply(&stage.request(&name)).await;
        stage.ready(&name).await;
        let asked = stage.dce.token_requests();
        let held = hold_write(&stage, &name);
        // A new credential is on its way, or a repair.
        let renewal = round % 2 == 0;
        if renewal {
            stage
                .annotate(&name, "credential-operator.dev/rotate", "now")
                .await;
        } else {
            merge(
                &stage,
                &name,
                json!({"stringData": {"endpoint": "https://elsewhere.example.com"}}),
            )
            .await;
        }
        is_held(&held).await;
        delete(&stage, &name).await;
        let theirs = create_foreign(&stage, &name).await;
        held.release();
        not_owned(&stage, &name).await;
        assert_eq!(stage.secret(&name).await, theirs, "round {round}");

        delete(&stage, &name).await;
        published(&stage, &name, 2).await;
        assert_eq!(stage.dce.token_requests(), asked + 1, "round {round}");
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_secret_deleted_before_it_is_written_is_created_anew() {
    let mut stage = Stage::new("race-delete").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    for round in 0..3 {
        let asked = stage.dce.token_requests();
        let held = hold_write(&stage, "api");
        stage
            .annotate("api", "credential-operator.dev/rotate", &round.to_string())
            .await;
        is_held(&held).await;
        delete(&stage, "api").await;
        held.release();
        published(&stage, "api", round + 2).await;
        assert_eq!(
            stage.dce.token_requests(),
            asked + 1,
            "the token in hand is published"
        );
        held.remove();
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_that_is_withdrawn_before_a_secret_is_taken_over_counts() {
    let mut stage = Stage::new("race-adopt").await;
    stage.start().await;
    for round in 0..3 {
        let name = format!("api-{round}");
        create_foreign(&stage, &name).await;
        stage.apply(&stage.request(&name)).await;
        not_owned(&stage, &name).await;
        let held = hold_write(&stage, &name);
        let consent = |by: Value| json!({"metadata": {"annotations": {"credential-operator.dev/adopt-by": by}}});
        merge(&stage, &name, consent(json!(name))).await;
        is_held(&held).await;
        let theirs = merge(&stage, &name, consent(Value::Null)).await;
        held.release();
        eventually(SOON, || async {
            let refused = stage.wire.calls_where(|call| {
                is_about_secret(call, &name) && call.label() == "patch secrets"
            });
            anyhow::ensure!(
                refused.iter().any(|call| call.status == Some(409)),
                "{}",
                refused.len()
            );
            Ok(())
        })
        .await
        .unwrap();
        not_owned(&stage, &name).await;
        assert_eq!(stage.secret(&name).await, theirs, "round {round}");
    }
    stage.finish().await;
}

/// The same without a proxy that arranges it: whoever comes first keeps it, and nothing is mixed.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_create_a_secret_at_once_the_first_keeps_it_unmixed() {
    let mut stage = Stage::new("race-free").await;
    stage.start().await;
    let mut winners: BTreeMap<&str, usize> = BTreeMap::new();
    for round in 0..12 {
        let name = format!("api-{round}");
        let foreign = json!({"metadata": {"name": name}, "stringData": {"token": "theirs", "other": "theirs"}});
        let foreign: Secret = serde_json::from_value(foreign).unwrap();
        let asked = stage.dce.token_requests();
        stage.apply(&stage.request(&name)).await;
        if round % 2 == 0 {
            // The operator writes a moment after it has asked for the token.
            let token_asked = || async {
                anyhow::ensure!(stage.dce.token_requests() > asked, "no token was asked for");
                Ok(())
            };
            eventually(SOON, token_asked).await.unwrap();
        }
        if let Ok(theirs) = stage
            .api::<Secret>()
            .create(&PostParams::default(), &foreign)
            .await
        {
            *winners.entry("somebody else").or_default() += 1;
            not_owned(&stage, &name).await;
            assert_eq!(stage.secret(&name).await, theirs, "round {round}");
        } else {
            *winners.entry("the operator").or_default() += 1;
            let secret = published(&stage, &name, 1).await;
            assert!(!secret.data.unwrap().contains_key("other"), "round {round}");
        }
    }
    println!("who came first: {winners:?}");
    stage.finish().await;
}
