//! How soon a copy that stands by takes over.

use super::*;

/// The first call since a mark that changes the Lease.
fn change_of_lease(calls: &[Call], holder: &str) -> Option<Call> {
    let is = |call: &&Call| {
        let body = call.json().unwrap_or_default();
        call.label() == "patch leases"
            && call.status == Some(200)
            && body["spec"].get("holderIdentity").is_some()
            && body["spec"]["holderIdentity"].as_str().unwrap_or_default() == holder
    };
    calls.iter().find(is).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_stands_by_takes_over_within_two_seconds_of_the_end_of_the_other() {
    let mut stage = Stage::new("handover").await;
    // No matter how long the Lease would last.
    stage.lease_seconds = 60;
    let mut first = stage.spawn("first").await;
    answers(&first, "ok").await.unwrap();
    let second = stage.spawn("second").await;
    answers(&second, "standing by").await.unwrap();
    let mark = stage.wire.mark();
    first.signal("-TERM");
    assert!(ended(&mut first).await.success());
    answers(&second, "ok").await.unwrap();
    let calls = stage.wire.since(mark);
    let released = change_of_lease(&calls, "").expect("the first gives it back");
    let taken = change_of_lease(&calls, "second").expect("the second takes it");
    let released = released.finished.unwrap();
    let took = taken.started.saturating_duration_since(released);
    assert!(took < Duration::from_secs(2), "{took:?}");
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    drop(second);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_the_right_to_watch_the_lease_takes_over_all_the_same() {
    let mut stage = Stage::new("handover-blind").await;
    stage.lease_seconds = 60;
    stage.wire.rule(
        |call| call.label() == "watch leases",
        Fault::Reply(testkit::wire::ResponseParts::json(
            403,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "reason": "Forbidden", "message": "no", "code": 403}),
        )),
        None,
    );
    let mut first = stage.spawn("first").await;
    answers(&first, "ok").await.unwrap();
    let second = stage.spawn("second").await;
    answers(&second, "standing by").await.unwrap();
    first.signal("-TERM");
    assert!(ended(&mut first).await.success());
    answers(&second, "ok").await.unwrap();
    drop(second);
    stage.finish().await;
}
