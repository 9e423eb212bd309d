//! Pairs that SODA itself makes: whatever becomes of its `POST`, one pair is published, and nobody asks
//! twice for what may still appear.

use std::time::Duration;

use futures::future::join_all;
use testkit::{
    server::Fault,
    soda::{Generation, KEYSTONE_CREATE, Lie},
    wire,
};

use super::*;
use crate::stage::message_of;

fn through() -> Value {
    json!({"issueThrough": "Soda"})
}

async fn rig(name: &str, generation: Generation) -> Rig {
    let options = SodaOptions {
        generation,
        // Five seconds at the real one; what it has begun goes on after that.
        deadline: Duration::from_millis(500),
        ..SodaOptions::default()
    };
    let mut rig = Rig::simulated(name, options).await;
    rig.keystone.stage.start().await;
    rig
}

/// The pairs that are alive, by their access keys.
async fn alive(rig: &Rig) -> Vec<String> {
    let live = rig.soda.live().await.unwrap();
    live.into_iter().map(|key| key.access).collect()
}

async fn one_is_made_and_shared(name: &str, generation: Generation) {
    let rig = rig(name, generation).await;
    // Made for another request: it goes with that, and is nobody else's to share.
    let own = rig.ready("own", json!({})).await;
    let pair = rig.ready("first", through()).await;
    assert_ne!(own, pair);
    assert!(rig.keystone.accepts(&pair).await);
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

/// Waits until SODA was asked to make a pair, and that did not go well. It is not asked in the first seconds.
async fn asked(rig: &Rig) {
    let failed = |request: &CredentialRequest| {
        let (reason, words) = (status_of(request, "Ready").1, message_of(request, "Ready"));
        ["ProviderUnavailable", "Timeout"].contains(&reason)
            && !words.contains("before the operator")
    };
    rig.stage().until("it", "an error", failed).await;
    assert_eq!(rig.creates(), 1);
}

/// Whatever goes wrong in the one call, the pair that comes of it is found.
async fn what_went_wrong_is_found(
    name: &str,
    generation: Generation,
    break_it: impl Fn(&Rig),
    made: usize,
) -> Rig {
    let rig = rig(name, generation).await;
    break_it(&rig);
    rig.stage().apply(&rig.request("it", through())).await;
    asked(&rig).await;
    // Another one that comes meanwhile waits as well.
    rig.stage().apply(&rig.request("other", through())).await;
    for name in ["it", "other"] {
        rig.stage().ready(name).await;
    }
    assert_eq!(rig.creates(), 1, "it was asked for once");
    let pair = rig.keystone.pair("it").await;
    assert_eq!(rig.keystone.pair("other").await, pair);
    assert!(rig.keystone.accepts(&pair).await);
    let alive = alive(&rig).await;
    assert_eq!(alive.len(), made, "{alive:?}");
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
    let stories = both.map(async |(name, generation)| {
        let late = |rig: &Rig| {
            let late = Fault::Delay(Duration::from_secs(6));
            rig.soda.keystone_faults().push_n(KEYSTONE_CREATE, late, 1);
        };
        // The older generation says in its error that time ran out.
        let rig = rig_of_late(name, generation, late).await;
        rig.finish().await;
    });
    join_all(stories).await;
}

async fn rig_of_late(name: &str, generation: Generation, break_it: impl Fn(&Rig)) -> Rig {
    let rig = rig(name, generation).await;
    break_it(&rig);
    rig.stage().apply(&rig.request("it", through())).await;
    asked(&rig).await;
    assert_eq!(alive(&rig).await, [""; 0], "it is not there yet");
    // Nobody else has to wait for that, and a wish does not have it asked for again.
    rig.rotate("it", "now").await;
    rig.ready("own", json!({})).await;
    assert_eq!(alive(&rig).await, [""; 0], "it is not there yet");
    rig.delete("own").await;
    rig.rotated("it", "now").await;
    assert_eq!(rig.creates(), 1, "it was asked for once");
    let pair = rig.keystone.pair("it").await;
    assert_eq!(alive(&rig).await, std::slice::from_ref(&pair.0));
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_one_call_has_made_one_is_published_and_the_other_told_of() {
    // Keystone's answer is lost on its way to SODA, which repeats the call and tells nobody.
    let both = [
        ("soda-two-new", Generation::Strato),
        ("soda-two-old", Generation::MultiCloud),
    ];
    let stories = both.map(async |(name, generation)| {
        let rig = rig(name, generation).await;
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
