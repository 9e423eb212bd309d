//! Two copies of the operator at once: one acts, and one that was stopped and goes on changes nothing.

mod fence;

use k8s_openapi::api::coordination::v1::Lease;
use testkit::wire::{Fault, Mark};

use super::*;
use crate::stage::{Operator, status_of};

/// The shortest that is accepted.
const LEASE: u64 = 3;

async fn until_answer(operator: &Operator, beginning: &str) {
    eventually(SOON, || async {
        let answer = operator.get("/readyz").await?;
        anyhow::ensure!(answer.starts_with(beginning), "{answer}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn ended(operator: &mut Operator) -> std::process::ExitStatus {
    eventually(SOON, || {
        let ended = operator.ended();
        async move { ended.ok_or_else(|| anyhow::anyhow!("it goes on")) }
    })
    .await
    .unwrap()
}

/// Nothing was changed about requests, nor at Keystone, where at most somebody has logged in.
fn nothing_was_changed_since(rig: &Rig, mark: (Mark, Mark)) {
    let mut changes = rig.stage.wire.since(mark.0);
    changes
        .retain(|call| call.is_changing() && concerns_a_request(call) && call.status != Some(409));
    let changes: Vec<_> = changes.iter().map(|call| call.label()).collect();
    assert!(changes.is_empty(), "{changes:?}");
    let mut calls = rig.wire.since(mark.1);
    calls.retain(|call| call.is_changing() && call.path != "/v3/auth/tokens");
    let calls: Vec<_> = calls.iter().map(|call| keystone_label(call)).collect();
    assert!(calls.is_empty(), "{calls:?}");
}

/// The pair that a request has, and its serial.
async fn held(rig: &Rig, name: &str) -> ((String, String), Vec<u64>) {
    let request = rig.stage.requests().get(name).await.unwrap();
    let status = request.status.unwrap();
    let serials = status.credentials.iter().map(|record| record.serial);
    (rig.pair(name).await, serials.collect())
}

/// How many pairs were asked for, and how many were to be revoked.
fn made_and_revoked(rig: &Rig) -> (usize, usize) {
    let made = rig
        .wire
        .calls_where(|call| call.method == "POST" && call.path == "/v3/credentials");
    let revoked = rig
        .wire
        .calls_where(|call| call.method == "DELETE" && call.path.starts_with("/v3/credentials/"));
    (made.len(), revoked.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_one_acts_and_the_other_takes_over() {
    let mut rig = Rig::new("ks-copies").await;
    rig.stage.lease_seconds = LEASE;
    let mut first = rig.stage.spawn("first").await;
    until_answer(&first, "ok").await;
    let second = rig.stage.spawn("second").await;
    until_answer(&second, "standing by").await;
    rig.stage.apply(&rig.access_key("of-the-first")).await;
    rig.stage.ready("of-the-first").await;
    let of_the_first = held(&rig, "of-the-first").await;
    assert_eq!(rig.pairs().await.len(), 1);
    // One that ends well gives the Lease back.
    first.signal("-TERM");
    assert!(ended(&mut first).await.success());
    let leases: Api<Lease> = Api::namespaced(rig.stage.client.clone(), &rig.stage.platform);
    let lease = leases.get("credential-operator").await.unwrap();
    let holder = lease.spec.unwrap().holder_identity;
    assert_ne!(holder.as_deref(), Some("first"));
    until_answer(&second, "ok").await;
    rig.stage.apply(&rig.access_key("of-the-second")).await;
    rig.stage.ready("of-the-second").await;
    let of_the_second = held(&rig, "of-the-second").await;
    // One that is killed is waited for until its Lease is over.
    let third = rig.stage.spawn("third").await;
    until_answer(&third, "standing by").await;
    drop(second);
    until_answer(&third, "ok").await;
    rig.stage.apply(&rig.access_key("of-the-third")).await;
    rig.stage.ready("of-the-third").await;
    // Who takes over goes on with what is there: nothing is made a second time, and nothing goes.
    assert_eq!(held(&rig, "of-the-first").await, of_the_first);
    assert_eq!(held(&rig, "of-the-second").await, of_the_second);
    assert_eq!(made_and_revoked(&rig), (3, 0));
    for name in ["of-the-first", "of-the-second", "of-the-third"] {
        rig.delete(name).await;
        rig.gone(name).await;
    }
    assert_eq!(rig.pairs().await, []);
    drop(third);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_beyond_its_lease_changes_nothing_when_it_goes_on() {
    let mut rig = Rig::new("ks-stopped").await;
    rig.stage.lease_seconds = LEASE;
    let mut first = rig.stage.spawn("first").await;
    until_answer(&first, "ok").await;
    let mut request = rig.access_key("s3");
    request["spec"]["renewal"] = json!({"overlap": "1s"});
    rig.stage.apply(&request).await;
    rig.stage.ready("s3").await;
    let second = rig.stage.spawn("second").await;
    until_answer(&second, "standing by").await;

    // Stopped in the middle of a rotation: the second pair is made, and the answer on its way.
    let held = rig.wire.rule(
        |call| call.method == "POST" && call.path == "/v3/credentials",
        Fault::HoldAfter,
        Some(1),
    );
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    held.hit(SOON).await.unwrap();
    first.signal("-STOP");
    held.release();
    until_answer(&second, "ok").await;
    let rotated = rig
        .stage
        .until("s3", "rotated by the second, and tidied up", |request| {
            let status = request.status.as_ref().unwrap();
            status.rotated.as_deref() == Some("1") && status.credentials.len() == 1
        })
        .await;
    // What the first has made is taken for a leftover: its serial is skipped, and it is revoked.
    assert_eq!(rotated.status.as_ref().unwrap().credentials[0].serial, 3);
    let pair = rig.pair("s3").await;
    let pairs = rig.pairs().await;
    assert_eq!(pairs.len(), 1);

    let mark = (rig.stage.wire.mark(), rig.wire.mark());
    first.signal("-CONT");
    assert!(!ended(&mut first).await.success(), "it ends, to begin anew");
    // It may have noticed before it sent anything; that it does no harm where it has not is in `fence`.
    nothing_was_changed_since(&rig, mark);
    assert_eq!(rig.pairs().await, pairs, "no second credential");
    assert_eq!(rig.pair("s3").await, pair, "nothing undone");
    assert!(rig.accepts(&pair).await);
    let request = rig.stage.requests().get("s3").await.unwrap();
    assert_eq!(status_of(&request, "Ready"), ("True", "Synced"));
    drop(second);
    rig.finish().await;
}
