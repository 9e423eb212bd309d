//! When a Keystone is left alone: it has asked for that, or it does not answer; with a simulator,
//! since much is asked for.

use std::time::Duration;

use testkit::wire::{Fault, ResponseParts};

use super::*;
use crate::stage::{message_of, status_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_keystone_that_asks_for_a_pause_gets_it_from_all_requests() {
    // Longer than a new request stands in a queue without a word.
    const PAUSE: Duration = Duration::from_secs(20);
    let mut rig = Rig::simulated("ks-pause").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("before")).await;
    rig.stage.ready("before").await;
    let busy = ResponseParts::text(429, "slow down")
        .with_header("retry-after", &PAUSE.as_secs().to_string());
    rig.wire.rule(
        |call| call.method == "POST" && call.path == "/v3/credentials",
        Fault::Reply(busy),
        Some(1),
    );
    rig.stage.apply(&rig.access_key("first")).await;
    rig.stage
        .until("first", "told", |request| {
            status_of(request, "Ready") == ("False", "RateLimited")
        })
        .await;
    // One that knows nothing of it, and one that had nothing to do until now.
    rig.stage.apply(&rig.access_key("second")).await;
    rig.stage
        .annotate("before", "credential-operator.dev/rotate", "1")
        .await;
    let told = rig
        .stage
        .until("second", "the pause is told", |request| {
            status_of(request, "Ready") == ("False", "RateLimited")
        })
        .await;
    let words = message_of(&told, "Ready");
    let provider = format!("ClusterCredentialProvider {}", rig.name());
    assert!(
        words.starts_with(&format!("{provider} asked to be left alone")),
        "{words}"
    );
    for name in ["first", "second"] {
        rig.stage
            .within(PAUSE + SOON, name, "Ready=True", |request| {
                status_of(request, "Ready") == ("True", "Synced")
            })
            .await;
    }
    rig.stage
        .until("before", "rotated", |request| {
            request.status.as_ref().unwrap().rotated.as_deref() == Some("1")
        })
        .await;
    let calls = rig.wire.calls();
    let refused = calls.iter().position(|call| call.status == Some(429));
    let (refused, later) = calls[refused.unwrap()..].split_first().unwrap();
    let pause = later[0].started - refused.finished.unwrap();
    assert!(pause >= PAUSE, "{} after {pause:?}", later[0].label());
    // Then it goes on: nobody adds a pause of their own.
    assert!(pause < PAUSE + Duration::from_secs(3), "{pause:?}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keystone_that_does_not_answer_is_left_alone_and_then_asked_gently() {
    let mut rig = Rig::simulated("ks-breaker").await;
    rig.stage.start().await;
    rig.provider_ready().await;
    rig.stage.apply(&rig.access_key("before")).await;
    rig.stage.ready("before").await;
    let down = rig.wire.rule(|_| true, Fault::CutBefore, None);
    let mark = rig.wire.mark();
    let began = credential_operator::clock::monotonic();
    for number in 0..50 {
        rig.stage
            .apply(&rig.access_key(&format!("r-{number:02}")))
            .await;
    }
    rig.stage
        .all("told", |request| {
            kube::ResourceExt::name_any(request) == "before"
                || status_of(request, "Ready") == ("False", "ProviderUnavailable")
        })
        .await;
    eventually(Duration::from_secs(30), || async {
        anyhow::ensure!(began.elapsed() > Duration::from_secs(12), "not long enough");
        Ok(())
    })
    .await
    .unwrap();
    let calls = rig.wire.since(mark).len();
    assert!(
        calls < 40,
        "{calls} calls of fifty requests in {:?}",
        began.elapsed()
    );
    let before = rig.stage.requests().get("before").await.unwrap();
    assert_eq!(
        status_of(&before, "Ready"),
        ("True", "Synced"),
        "what works goes on"
    );
    down.remove();
    rig.stage
        .all_within(Duration::from_secs(60), "Ready=True", |request| {
            status_of(request, "Ready") == ("True", "Synced")
        })
        .await;
    rig.finish().await;
}
