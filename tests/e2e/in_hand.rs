//! What was issued goes first where a provider's budget is scarce.

use std::time::Duration;

use serde_json::json;
use testkit::{
    dce::{CURRENT_USER, TOKEN},
    server::{Fault, Route},
};

use crate::stage::{Stage, status_of};

const CROWD: usize = 60;
const AT_ONCE: usize = 4;
/// Longer than a pass waits for a call, so that each credential comes back to a pass of its own.
const SLOW: Duration = Duration::from_millis(700);

/// The highest number of tokens that were issued and not asked about yet.
fn most_unproven(stage: &Stage) -> i64 {
    let mut moments = Vec::new();
    for call in stage.dce.calls() {
        let is = |route: &str| Route::from(route).matches(&call.method, &call.path);
        if is(TOKEN) {
            moments.extend(call.ended.map(|at| (at, 1)));
        } else if is(CURRENT_USER) {
            moments.push((call.at, -1));
        }
    }
    moments.sort();
    let running = moments.iter().scan(0_i64, |sum, (_, step)| {
        // Asking about the login counts for nothing.
        *sum = (*sum + step).max(0);
        Some(*sum)
    });
    running.max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_is_proven_before_others_are_issued_although_a_crowd_waits() {
    let mut stage = Stage::new("in-hand").await;
    let mut provider = stage.provider();
    provider["spec"]["budget"] = json!({"requestsPerSecond": 1000, "concurrency": AT_ONCE});
    stage.apply(&provider).await;
    stage.dce.faults().set(TOKEN, Fault::Delay(SLOW));
    stage.apply_crowd(CROWD).await;
    stage.start().await;
    stage
        .all_within(Duration::from_secs(90), "Ready=True", |request| {
            status_of(request, "Ready") == ("True", "Synced")
        })
        .await;
    let most = most_unproven(&stage);
    let half = i64::try_from(CROWD / 2).unwrap();
    assert!(
        most < half,
        "{most} of {CROWD} tokens were issued before they were proven"
    );
    stage.finish().await;
}
