//! The operator dies around the one call that makes something without a name: SODA's `POST`. Whoever comes
//! after it finds the pair that has come of the call, or asks for one where none can come any more.

use std::time::Duration;

use credential_operator::clock;
use testkit::{
    server::Fault,
    soda::{KEYSTONE_CREATE, READ},
    wire::{self, RuleHandle},
};

use super::{
    through::{alive, no_late_look, through},
    *,
};
use crate::stage::is_about_secret;

/// A stage with an operator that a request has told to ask SODA for a pair.
async fn asking(name: &str, arm: impl FnOnce(&Rig) -> RuleHandle) -> (Rig, RuleHandle) {
    let options = SodaOptions {
        // It gives up on nothing by itself.
        deadline: Duration::from_secs(600),
        ..SodaOptions::default()
    };
    let mut rig = Rig::simulated(name, options).await;
    rig.keystone.stage.start().await;
    let rule = arm(&rig);
    rig.stage().apply(&rig.request("it", through())).await;
    (rig, rule)
}

fn at_post(fault: wire::Fault) -> impl FnOnce(&Rig) -> RuleHandle {
    move |rig| {
        let is_post = |call: &wire::CallHead| call.method == "POST";
        rig.wire.rule(is_post, fault, Some(1))
    }
}

/// The operator dies in the call that is held, and comes back.
async fn dies(rig: &mut Rig, held: &RuleHandle) {
    rig.keystone.stage.kill();
    held.remove();
    rig.keystone.stage.start().await;
}

/// It dies in a call that comes after the pair was made.
async fn dies_when_it_is_made(mut rig: Rig, held: RuleHandle) {
    held.hit(SOON).await.unwrap();
    assert_eq!(alive(&rig).await.len(), 1, "it is done");
    dies(&mut rig, &held).await;
    one_is_published(rig).await;
}

/// One pair was made in all, and it is alive and published, to `other` as well.
async fn one_is_published(rig: Rig) {
    rig.stage().ready("it").await;
    let pair = rig.keystone.pair("it").await;
    assert!(rig.keystone.accepts(&pair).await);
    assert_eq!(rig.ready("other", through()).await, pair);
    assert_eq!(alive(&rig).await, [pair.0], "alive");
    assert_eq!(rig.creates(), 1, "SODA was asked to make one");
    assert_eq!(rig.soda.issued().len(), 1, "made");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_before_the_call_has_made_nothing_and_one_is_asked_for() {
    let (mut rig, held) = asking("soda-killed-early", at_post(wire::Fault::HoldBefore)).await;
    held.hit(SOON).await.unwrap();
    dies(&mut rig, &held).await;
    rig.stage().ready("it").await;
    let calls = rig.wire.calls_where(|call| call.method == "POST");
    let forwarded: Vec<_> = calls.iter().map(|call| call.forwarded).collect();
    assert_eq!(forwarded, [false, true]);
    one_is_published(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_after_the_call_was_done_has_made_the_one_that_is_found() {
    let (rig, held) = asking("soda-killed-late", at_post(wire::Fault::HoldAfter)).await;
    dies_when_it_is_made(rig, held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_with_the_answer_has_published_nothing_and_it_is_found() {
    let secret = |rig: &Rig| {
        let creates = |call: &wire::CallHead| call.method == "POST" && is_about_secret(call, "it");
        rig.stage()
            .wire
            .rule(creates, wire::Fault::HoldBefore, Some(1))
    };
    let (rig, held) = asking("soda-killed-told", secret).await;
    dies_when_it_is_made(rig, held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_one_that_died_waits_for_what_may_still_appear() {
    let (mut rig, sent) = asking("soda-killed-between", |rig| {
        let faults = rig.soda.keystone_faults();
        faults.push_n(KEYSTONE_CREATE, Fault::Hang, 1);
        at_post(wire::Fault::Delay(Duration::ZERO))(rig)
    })
    .await;
    sent.hit(SOON).await.unwrap();
    // It has reached Keystone's door, and SODA goes on without anybody who waits for it.
    eventually(SOON, || async {
        anyhow::ensure!(rig.soda.issued().len() == 1);
        Ok(())
    })
    .await
    .unwrap();
    rig.keystone.stage.kill();
    let read = rig.soda.server().calls_to(READ).len();
    let looks = no_late_look(&rig, clock::monotonic());
    rig.keystone.stage.start().await;
    // The login is tested, and it is looked for a pair: there is none.
    eventually(SOON, || async {
        let more = rig.soda.server().calls_to(READ).len() - read;
        anyhow::ensure!(more >= 2, "{more} readings");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(alive(&rig).await, [""; 0], "it is not there yet");
    rig.soda.keystone_faults().clear();
    eventually(SOON, || async {
        anyhow::ensure!(alive(&rig).await.len() == 1);
        Ok(())
    })
    .await
    .unwrap();
    looks.remove();
    one_is_published(rig).await;
}
