//! Two copies of the operator at once: one acts, and one that was stopped and goes on changes nothing.

use std::time::Duration;

use testkit::wire::Fault;

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

#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_one_acts_and_the_other_takes_over() {
    let mut rig = Rig::new("ks-copies").await;
    rig.stage.lease_seconds = LEASE;
    let mut first = rig.stage.spawn("first").await;
    until_answer(&first, "ok").await;
    let second = rig.stage.spawn("second").await;
    until_answer(&second, "standing by").await;
    rig.stage.apply(&rig.access_key("s3")).await;
    rig.stage.ready("s3").await;
    assert_eq!(rig.pairs().await.len(), 1);
    // One that ends well gives the Lease back.
    let began = credential_operator::clock::monotonic();
    first.signal("-TERM");
    assert!(ended(&mut first).await.success());
    until_answer(&second, "ok").await;
    assert!(began.elapsed() < Duration::from_secs(15));
    rig.stage.apply(&rig.access_key("more")).await;
    rig.stage.ready("more").await;
    // One that is killed is waited for until its Lease is over.
    let third = rig.stage.spawn("third").await;
    until_answer(&third, "standing by").await;
    drop(second);
    until_answer(&third, "ok").await;
    for name in ["s3", "more"] {
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
    let changes: Vec<_> = rig
        .stage
        .wire
        .since(mark.0)
        .into_iter()
        .filter(|call| call.is_changing() && concerns_a_request(call))
        .map(|call| (call.label(), call.status))
        .collect();
    assert!(
        changes.iter().all(|(_, status)| *status == Some(409)),
        "{changes:?}"
    );
    let calls = rig.keystone_calls_since(mark.1);
    assert!(
        !calls.keys().any(|call| call.starts_with("DELETE")),
        "{calls:?}"
    );
    assert!(!calls.contains_key("POST /v3/credentials"), "{calls:?}");
    assert_eq!(rig.pairs().await, pairs, "no second credential");
    assert_eq!(rig.pair("s3").await, pair, "nothing undone");
    assert!(rig.accepts(&pair).await);
    let request = rig.stage.requests().get("s3").await.unwrap();
    assert_eq!(status_of(&request, "Ready"), ("True", "Synced"));
    drop(second);
    rig.finish().await;
}
