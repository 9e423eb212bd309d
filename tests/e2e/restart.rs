//! A restart of the operator, orderly or not, is no reason to do anything: neither for what is well
//! nor for what waits.

use std::{collections::BTreeMap, time::Duration};

use anyhow::ensure;
use credential_operator::api::{CredentialRequest, request::CredentialRequestStatus};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::ListParams};
use testkit::{
    dce::TOKEN,
    server::Fault,
    wait::eventually,
    wire::{self, Mark, summarize},
};

use crate::stage::{SOON, Stage, status_of};

/// So many requests are there when the operator starts.
const MANY: usize = 100;

/// The versions of all that the operator may write.
async fn versions(stage: &Stage) -> Vec<String> {
    let all = ListParams::default();
    let secrets: Api<Secret> = stage.api();
    let secrets = secrets.list(&all).await.expect("Secrets can be listed");
    let requests = stage
        .requests()
        .list(&all)
        .await
        .expect("requests can be listed");
    let version = |kind: &str, object: &kube::core::ObjectMeta| {
        format!("{kind} {:?} {:?}", object.name, object.resource_version)
    };
    let provider = stage.live_provider().await;
    secrets
        .iter()
        .map(|secret| version("Secret", &secret.metadata))
        .chain(
            requests
                .iter()
                .map(|request| version("request", &request.metadata)),
        )
        .chain([version("provider", &provider.metadata)])
        .collect()
}

fn written_since(stage: &Stage, mark: Mark) -> BTreeMap<String, usize> {
    let mut calls = stage.wire.since(mark);
    // A start takes the Lease, which is no write about any request.
    calls.retain(|call| call.is_changing() && !call.label().ends_with(" leases"));
    summarize(&calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_a_hundred_synced_requests_asks_for_no_token_and_writes_nothing() {
    let mut stage = Stage::new("restart").await;
    stage.apply_crowd(MANY).await;
    stage.start().await;
    assert_eq!(stage.all_ready().await.len(), MANY);
    stage.counted(&stage.team, MANY).await;
    let (before, mut tokens) = (versions(&stage).await, stage.dce.token_requests());
    for orderly in [true, false] {
        if orderly {
            stage.stop().await;
        } else {
            stage.kill();
        }
        let mark = stage.wire.mark();
        stage.start().await;
        stage.passes(MANY).await;
        assert_eq!(written_since(&stage, mark), [].into(), "orderly: {orderly}");
        assert_eq!(stage.dce.token_requests(), tokens, "orderly: {orderly}");
        // It is awake, and knows its provider: what is asked of it is done.
        let canary = format!("r-{:03}", if orderly { 0 } else { 1 });
        stage
            .annotate(&canary, "credential-operator.dev/rotate", "now")
            .await;
        stage
            .until(&canary, "rotated", |request| {
                status(request).rotated.as_deref() == Some("now")
            })
            .await;
        tokens += 1;
        assert_eq!(stage.dce.token_requests(), tokens);
        let cost = [
            ("patch secrets", 1),
            ("patch credentialrequests/status", 1),
            ("create events", 1),
        ];
        let cost = BTreeMap::from(cost.map(|(call, times)| (call.to_owned(), times)));
        let paid = eventually(SOON, || async {
            ensure!(
                written_since(&stage, mark) == cost,
                "{:?}",
                written_since(&stage, mark)
            );
            Ok(())
        });
        paid.await.expect("nothing but the rotation is written");
    }
    let after = versions(&stage).await;
    let same = after
        .iter()
        .filter(|version| before.contains(version))
        .count();
    assert_eq!(
        same,
        2 * MANY + 1 - 4,
        "all but the two that were rotated, and their Secrets"
    );
    stage.finish().await;
}

fn status(request: &CredentialRequest) -> CredentialRequestStatus {
    request.status.clone().unwrap_or_default()
}

fn attempts(request: &CredentialRequest) -> u32 {
    status(request)
        .failure
        .map_or(0, |failure| failure.attempts)
}

/// A stage on which the login works and then everything fails with `fault`, and a new request that
/// has been tried so often.
async fn failing(name: &str, fault: Fault, times: u32) -> (Stage, CredentialRequest) {
    let mut stage = Stage::new(name).await;
    stage.start().await;
    stage
        .provider_says(SOON, "Ready", ("True", "LoginWorks"))
        .await;
    stage.dce.faults().set(TOKEN, fault);
    stage.apply(&stage.request("api")).await;
    let failing = stage
        .until("api", "failing", |request| attempts(request) >= times)
        .await;
    assert_eq!(attempts(&failing), times);
    (stage, failing)
}

/// When DCE was asked for tokens, since so many calls.
fn asked(stage: &Stage, calls: usize) -> Vec<Timestamp> {
    let calls = stage.dce.server().calls_to(TOKEN).into_iter().skip(calls);
    let at = |since_epoch: Duration| Timestamp::UNIX_EPOCH + since_epoch;
    calls.map(|call| at(call.at_unix)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_neither_resets_nor_repeats_a_failed_attempt() {
    let (mut stage, before) = failing("backoff", Fault::Html(503), 3).await;
    let due = status(&before).next_action_time.expect("it is tried again");
    let calls = asked(&stage, 0).len();
    stage.kill();
    stage.start().await;
    let after = stage
        .until("api", "tried again", |request| attempts(request) > 3)
        .await;
    assert_eq!(attempts(&after), 4);
    let last = status(&after).failure.expect("it failed").last_attempt_time;
    assert!(last >= due, "tried at {last}, due at {due}");
    let first = asked(&stage, calls)[0];
    assert!(first >= due, "asked at {first}, due at {due}");
    assert_eq!(status_of(&after, "Ready"), ("False", "ProviderUnavailable"));
    stage.dce.faults().clear();
    stage.ready("api").await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asked_to_be_left_alone_is_left_alone_by_the_next_operator_too() {
    let fault = Fault::RetryAfter {
        status: 429,
        header_value: Some("7".into()),
    };
    let (mut stage, before) = failing("retry-after", fault, 1).await;
    assert_eq!(status_of(&before, "Ready"), ("False", "RateLimited"));
    let due = status(&before).next_action_time.expect("it is tried again");
    let failure = status(&before).failure.expect("it failed");
    assert!(due.duration_since(failure.last_attempt_time).as_secs() >= 7);
    let calls = asked(&stage, 0).len();
    stage.dce.faults().clear();
    stage.stop().await;
    stage.start().await;
    stage.passes(1).await;
    stage.ready("api").await;
    let asked = asked(&stage, calls);
    assert_eq!(asked.len(), 1);
    assert!(asked[0] >= due, "asked at {}, due at {due}", asked[0]);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_carried_out_once_although_the_operator_dies_before_it_can_say_so() {
    let mut stage = Stage::new("rotated-once").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let told = stage.wire.rule(
        |call| call.label() == "patch credentialrequests/status",
        wire::Fault::HoldBefore,
        Some(1),
    );
    stage
        .annotate("api", "credential-operator.dev/rotate", "now")
        .await;
    told.hit(SOON).await.unwrap();
    stage.kill();
    stage.wire.clear_rules();
    let rotated = stage.token("api").await;
    stage.start().await;
    let request = stage
        .until("api", "the rotation is acknowledged", |request| {
            let status = request.status.as_ref().unwrap();
            status.rotated.as_deref() == Some("now")
        })
        .await;
    assert_eq!(request.status.unwrap().credentials[0].serial, 2);
    assert_eq!(stage.token("api").await, rotated);
    // The test of the login asks for one day, the request for three.
    let asked = stage.dce.issued();
    let asked = asked.iter().filter(|token| token.cycle_asked == Some(3));
    assert_eq!(asked.count(), 2);
    stage.finish().await;
}
