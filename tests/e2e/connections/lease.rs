//! A copy that cannot prove that it holds its Lease.

use super::*;

/// How many passes were made, whatever came of them, by what `/metrics` says.
fn passes(metrics: &str) -> f64 {
    metrics
        .lines()
        .filter(|line| line.starts_with("credential_operator_passes_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// Waits until the Lease could not be renewed so many times. Returns how often that was.
async fn failed_renewals(stage: &Stage, at_least: usize) -> usize {
    let failed = eventually(SOON, || async {
        let logs = stage.logs();
        let failed = logs.matches("the lease could not be renewed").count();
        ensure!(failed >= at_least, "{failed} failed renewals");
        Ok(failed)
    });
    failed.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_renew_its_lease_makes_no_passes_and_ends_when_others_are_answered() {
    let mut stage = Stage::new("unproven").await;
    stage.lease_seconds = 6;
    stage.apply(&stage.request("before")).await;
    let mut operator = stage.spawn("only").await;
    answers(&operator, "ok").await.unwrap();
    stage.ready("before").await;
    let held = hold(&stage, "patch leases");
    answers(&operator, "does not hear the API server: the lease")
        .await
        .unwrap();
    // The Lease is over by then, and the copy has not given up yet.
    let failed = failed_renewals(&stage, 5).await;
    let (mark, before) = (stage.wire.mark(), operator.get("/metrics").await.unwrap());
    stage.apply(&stage.request("after")).await;
    failed_renewals(&stage, failed + 1).await;
    let after = operator.get("/metrics").await.unwrap();
    let made = passes(&after) - passes(&before);
    assert!(made < 1.0, "{made} passes");
    assert!(!ended(&mut operator).await.success(), "it begins anew");
    let changes = stage.changes_since(mark);
    assert!(changes.is_empty(), "{changes:?}");
    assert!(
        stage.logs().contains("and yet the lease cannot be renewed"),
        "{}",
        stage.logs_tail()
    );
    held.remove();
    stage.start().await;
    stage.ready("after").await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_keeps_what_is_in_hand_while_the_api_server_answers_nobody() {
    let mut stage = impatient_stage("outage").await;
    stage.lease_seconds = 3;
    stage.start().await;
    // A token is issued, and the write of its Secret never arrives.
    let held = stage.wire.rule(
        |call| call.label() == "create secrets",
        Fault::HoldBefore,
        Some(1),
    );
    stage.apply(&stage.request("api")).await;
    held.hit(SOON).await.unwrap();
    let issued = stage.dce.issued().len();
    tcp(&stage).refuse_new(Some(TcpFault::Freeze));
    tcp(&stage).break_open(TcpFault::Freeze, |_| true);
    let pid = stage.pid();
    eventually(SOON, || async {
        let answer = stage.get("/readyz").await?;
        ensure!(answer.contains("the lease"), "{answer}");
        Ok(())
    })
    .await
    .unwrap();
    // Several leases later it is still there, alive, and makes no passes.
    let failed = failed_renewals(&stage, 1).await;
    let before = stage.get("/metrics").await.unwrap();
    failed_renewals(&stage, failed + 10).await;
    let made = passes(&stage.get("/metrics").await.unwrap()) - passes(&before);
    assert!(made < 5.0, "{made} passes");
    assert_eq!(stage.get("/livez").await.unwrap(), "ok\n");
    tcp(&stage).refuse_new(None);
    tcp(&stage).break_open(TcpFault::Reset, |_| true);
    stage.ready("api").await;
    assert_eq!(stage.pid(), pid);
    assert_eq!(stage.dce.issued().len(), issued, "nothing is issued twice");
    stage.finish().await;
}
