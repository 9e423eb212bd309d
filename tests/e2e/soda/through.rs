//! Pairs that SODA itself makes: whatever becomes of its `POST`, one pair is published, and nobody asks
//! twice for what may still appear.

use std::time::{Duration, Instant};

use credential_operator::clock;
use futures::future::join_all;
use testkit::{
    server::Fault,
    soda::{Generation, KEYSTONE_CREATE, Lie},
    wire::{self, RuleHandle},
};

use super::*;
use crate::stage::message_of;

/// Until when the operator looks for pairs as it likes: well within the seven seconds in which it does not
/// ask for one.
const LOOKS_EARLY: Duration = Duration::from_secs(4);

pub fn through() -> Value {
    json!({"issueThrough": "Soda"})
}

/// A stage where SODA gives up after this time: five seconds at the real one. What it has begun goes on after
/// that.
async fn rig(name: &str, generation: Generation, deadline: Duration) -> Rig {
    let options = SodaOptions {
        generation,
        deadline,
        ..SodaOptions::default()
    };
    let mut rig = Rig::simulated(name, options).await;
    rig.keystone.stage.start().await;
    rig
}

/// Keeps the operator from looking for pairs later than this, until the rule is removed. So a story has all
/// the time that it needs to look around: that the machine is slow has nobody ask for a second pair.
pub fn no_late_look(rig: &Rig, since: Instant) -> RuleHandle {
    rig.keystone.wire.rule(
        move |call| {
            let is_look = call.method == "GET" && call.path == "/v3/credentials";
            is_look && since.elapsed() >= LOOKS_EARLY
        },
        wire::Fault::HoldBefore,
        None,
    )
}

/// The pairs that are alive, by their access keys.
pub async fn alive(rig: &Rig) -> Vec<String> {
    let live = rig.soda.live().await.unwrap();
    live.into_iter().map(|key| key.access).collect()
}

/// In front of a real Keystone.
async fn one_is_made_and_shared(name: &str, generation: Generation) {
    let options = SodaOptions {
        generation,
        ..SodaOptions::default()
    };
    let mut rig = Rig::with(name, Cloud::real(), options).await;
    rig.keystone.stage.start().await;
    // Made for another request: it goes with that, and is nobody else's to share.
    let own = rig.ready("own", json!({})).await;
    let pair = rig.ready("first", through()).await;
    assert_ne!(own, pair);
    assert!(rig.keystone.accepts(&pair).await);
    for pair in [&own, &pair] {
        rig.is_taken_by_s3(pair).await;
    }
    assert_eq!(rig.creates(), 1);
    let request = rig.stage().ready("first").await;
    let status = request.status.as_ref().unwrap();
    let kind = Some("soda.accessKey.issueThrough");
    assert_eq!(status.credential.as_deref(), kind);
    assert_eq!(request.metadata.finalizers, None, "it cannot be revoked");

    // Three at once share it, and so does a rotation.
    for name in ["a", "b", "c"] {
        rig.stage().apply(&rig.request(name, through())).await;
    }
    for name in ["a", "b", "c"] {
        rig.stage().ready(name).await;
        assert_eq!(rig.keystone.pair(name).await, pair);
    }
    rig.rotate("first", "1").await;
    rig.rotated("first", "1").await;
    assert_eq!(rig.keystone.pair("first").await, pair);
    assert_eq!(rig.creates(), 1, "whoever looks finds it");

    // Where nobody but SODA can say so, that there is none is no reason to make another one.
    let refused = wire::ResponseParts::json(403, &json!({"error": {"code": 403}}));
    let closed = rig.keystone.wire.rule(
        |call| call.path == "/v3/credentials",
        wire::Fault::Reply(refused),
        None,
    );
    rig.soda.lie(Lie::Hidden);
    rig.rotate("first", "2").await;
    let words = rig.failing("first", "ProviderUnavailable").await;
    assert!(words.contains("although the request has one"), "{words}");
    closed.remove();
    rig.soda.stop_lying();
    rig.rotated("first", "2").await;
    assert_eq!(rig.keystone.pair("first").await, pair);
    assert_eq!(rig.creates(), 1);

    for name in ["first", "a", "b", "c", "own"] {
        rig.delete(name).await;
    }
    assert!(rig.keystone.accepts(&pair).await, "it lives on");
    assert!(!rig.keystone.accepts(&own).await);
    assert_eq!(alive(&rig).await, [pair.0]);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strato_makes_one_pair_which_all_requests_share() {
    one_is_made_and_shared("soda-strato", Generation::Strato).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn multi_cloud_makes_one_pair_which_all_requests_share() {
    one_is_made_and_shared("soda-multi", Generation::MultiCloud).await;
}

/// Has `it` ask SODA for a pair. Right after it they look who have come meanwhile: `other`, and `it` with a
/// wish. Nobody looks later before the rule is removed.
async fn asked(rig: &Rig) -> RuleHandle {
    let is_post = |call: &wire::CallHead| call.method == "POST";
    let posted = rig.wire.rule(is_post, wire::Fault::HoldBefore, Some(1));
    rig.stage().apply(&rig.request("it", through())).await;
    posted.hit(SOON).await.unwrap();
    rig.stage().apply(&rig.request("other", through())).await;
    rig.rotate("it", "now").await;
    let looks = no_late_look(rig, clock::monotonic());
    posted.release();
    looks
}

/// All find what has come of the one call.
async fn found(rig: &Rig, looks: &RuleHandle, made: usize) {
    looks.remove();
    for name in ["it", "other"] {
        rig.stage().ready(name).await;
    }
    rig.rotated("it", "now").await;
    let faults = [rig.soda.faults(), rig.soda.keystone_faults()];
    assert_eq!(
        faults.map(testkit::server::Faults::pending),
        [0, 0],
        "it went wrong"
    );
    assert_eq!(rig.creates(), 1, "it was asked for once");
    let pair = rig.keystone.pair("it").await;
    assert_eq!(rig.keystone.pair("other").await, pair);
    assert!(rig.keystone.accepts(&pair).await);
    let alive = alive(rig).await;
    assert_eq!(alive.len(), made, "{alive:?}");
}

/// Whatever goes wrong in the one call, the pair that comes of it is found.
async fn what_went_wrong_is_found(
    name: &str,
    generation: Generation,
    break_it: impl Fn(&Rig),
    made: usize,
) -> Rig {
    let rig = rig(name, generation, SOON).await;
    break_it(&rig);
    let looks = asked(&rig).await;
    found(&rig, &looks, made).await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_no_reason_to_ask_again() {
    let both = [
        ("soda-lost-new", Generation::Strato),
        ("soda-lost-old", Generation::MultiCloud),
    ];
    let stories = both.map(async |(name, generation)| {
        let lose = |rig: &Rig| rig.soda.faults().push_n(CREATE, Fault::LoseAnswer, 1);
        what_went_wrong_is_found(name, generation, lose, 1)
            .await
            .finish()
            .await;
    });
    join_all(stories).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_appears_seconds_after_an_error_is_taken() {
    let both = [
        ("soda-late-new", Generation::Strato),
        ("soda-late-old", Generation::MultiCloud),
    ];
    // The older generation says in its error that time ran out.
    join_all(both.map(|(name, generation)| a_late_one_is_taken(name, generation))).await;
}

async fn a_late_one_is_taken(name: &str, generation: Generation) {
    let rig = rig(name, generation, Duration::from_millis(500)).await;
    let faults = rig.soda.keystone_faults();
    faults.push_n(KEYSTONE_CREATE, Fault::Hang, 1);
    let looks = asked(&rig).await;
    let failed = |request: &CredentialRequest| {
        let (reason, words) = (status_of(request, "Ready").1, message_of(request, "Ready"));
        ["ProviderUnavailable", "Timeout"].contains(&reason)
            && !words.contains("before the operator")
    };
    rig.stage().until("it", "an error", failed).await;
    assert_eq!(rig.creates(), 1);
    // Nobody else has to wait for that, and a wish does not have it asked for again.
    rig.ready("own", json!({})).await;
    rig.delete("own").await;
    assert_eq!(alive(&rig).await, [""; 0], "it is not there yet");
    faults.clear();
    eventually(SOON, || async {
        anyhow::ensure!(alive(&rig).await.len() == 1);
        Ok(())
    })
    .await
    .unwrap();
    found(&rig, &looks, 1).await;
    let pair = rig.keystone.pair("it").await;
    assert_eq!(alive(&rig).await, [pair.0]);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_one_call_has_made_one_is_published_and_the_other_told_of() {
    // Keystone's answer is lost on its way to SODA, which repeats the call and tells nobody.
    let both = [
        ("soda-two-new", Generation::Strato),
        ("soda-two-old", Generation::MultiCloud),
    ];
    let stories = both.map(async |(name, generation)| {
        let rig = rig(name, generation, SOON).await;
        let faults = rig.soda.keystone_faults();
        faults.push_n(KEYSTONE_CREATE, Fault::LoseAnswer, 1);
        let pair = rig.ready("it", through()).await;
        let alive = alive(&rig).await;
        assert_eq!((alive.len(), rig.creates()), (2, 1));
        assert!(alive.contains(&pair.0));
        let surplus = alive.iter().find(|access| **access != pair.0).unwrap();
        rig.stage().told(1, &surplus[..6]).await;
        // Whoever looks later finds the one in the Secret, and another request the first of both.
        rig.rotate("it", "1").await;
        rig.rotated("it", "1").await;
        assert_eq!(rig.keystone.pair("it").await, pair);
        let other = rig.ready("other", through()).await;
        assert_eq!(Some(&other.0), alive.iter().min());
        assert_eq!(rig.creates(), 1);
        rig.finish().await;
    });
    join_all(stories).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_nobody_was_told_of_the_first_is_taken() {
    let twice = |rig: &Rig| {
        let faults = rig.soda.keystone_faults();
        faults.push_n(KEYSTONE_CREATE, Fault::LoseAnswer, 2);
    };
    let rig = what_went_wrong_is_found("soda-both-lost", Generation::Strato, twice, 2).await;
    let pair = rig.keystone.pair("it").await;
    let alive = alive(&rig).await;
    assert_eq!(alive.iter().min(), Some(&pair.0));
    rig.stage().told(2, "has 1 more for the same project").await;
    rig.finish().await;
}
