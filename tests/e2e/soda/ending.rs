//! The end of a pair by SODA's `DELETE`: only where a request asks for it and a grant allows it, after it
//! was said what goes, once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::future::join_all;
use k8s_openapi::api::{core::v1::Namespace, events::v1::Event};
use testkit::{
    server::Fault,
    soda::KEYSTONE_DELETE,
    wire::{self, ResponseParts, RuleHandle},
};

use super::*;
use crate::stage::{is_about_secret, message_of};

/// Waits until a request that is being deleted says why it stays; returns the words.
async fn stays(rig: &Rig, name: &str, reason: &str) -> String {
    let stays =
        |request: &CredentialRequest| status_of(request, "RevocationFailing") == ("True", reason);
    let request = rig.stage().until(name, reason, stays).await;
    message_of(&request, "RevocationFailing").to_owned()
}

fn ending() -> Value {
    json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"})
}

/// Lets the operator see once what will go, and not again before the rule is removed: however long a story
/// takes to act after the notice, `DELETE` does not come meanwhile.
fn one_look(rig: &Rig) -> RuleHandle {
    let has_looked = AtomicBool::new(false);
    let fails = ResponseParts::json(503, &json!({"error": {"code": 503}}));
    rig.keystone.wire.rule(
        move |call| is_look(call) && has_looked.swap(true, Ordering::Relaxed),
        wire::Fault::Reply(fails),
        None,
    )
}

/// Whether Keystone is asked for all credentials of the user.
fn is_look(call: &wire::CallHead) -> bool {
    call.method == "GET" && call.path == "/v3/credentials"
}

#[tokio::test(flavor = "multi_thread")]
async fn all_credentials_of_the_user_go_with_a_request_that_asks_for_it_and_say_so_before() {
    let mut rig = Rig::new("soda-ending").await;
    rig.keystone.stage.start().await;
    let ungranted = |rig: &Rig| {
        let mut provider = rig.provider();
        provider["spec"]["allow"][0]["soda"]["deleteAll"] = json!(false);
        provider
    };
    rig.stage().apply(&ungranted(&rig)).await;
    let mut request = rig.request("it", ending());
    request["spec"]["renewal"] = json!({"overlap": "100ms"});
    rig.stage().apply(&request).await;
    let words = rig.not_ready("it", "NotAllowed").await;
    assert!(words.contains("onDelete"), "{words}");
    rig.stage().apply(&rig.provider()).await;
    rig.stage().ready("it").await;
    let pair = rig.keystone.pair("it").await;

    // What else the user has: another project's pair, and something that is no pair.
    let admin = rig.keystone.admin();
    let user = &rig.keystone.user.id;
    let elsewhere = format!("{}-elsewhere", rig.keystone.project);
    let elsewhere = rig.keystone.cloud.create_project(&elsewhere).await;
    admin
        .create_credential(user, &elsewhere, "AKELSEWHERE", "the-secret-elsewhere")
        .await
        .unwrap();
    let blob = json!({"ca": "x"}).to_string();
    admin
        .create_credential_of(user, "cert", &blob)
        .await
        .unwrap();

    // Nothing else than its own deletion ends it.
    for value in ["1", "2"] {
        rig.rotate("it", value).await;
        rig.rotated("it", value).await;
    }
    assert_eq!(rig.keystone.pair("it").await, pair);
    assert_eq!(rig.keystone.pairs().await.len(), 2);
    rig.ready("kept", ending()).await;
    assert_eq!(rig.soda.delete_calls(), 0);

    // Somebody reads what will happen, and gives up the pair instead.
    rig.keystone.delete("kept").await;
    let words = stays(&rig, "kept", "DestroysMore").await;
    for part in ["These 3 go", "ec2 AKELSE…", "cert ", &pair.0[..6]] {
        assert!(words.contains(part), "{words}");
    }
    rig.stage()
        .annotate("kept", "credential-operator.dev/abandon", "all")
        .await;
    rig.keystone.gone("kept").await;

    // A grant that is withdrawn meanwhile keeps it from happening.
    rig.stage().apply(&ungranted(&rig)).await;
    rig.keystone.delete("it").await;
    let words = stays(&rig, "it", "NotAllowed").await;
    assert!(words.contains("abandon"), "{words}");
    assert_eq!(rig.soda.delete_calls(), 0);
    assert!(rig.keystone.accepts(&pair).await);
    // Keystone refuses one deletion, of which SODA says nothing: the rest is gone, and is listed anew.
    let refused = Fault::status(403, "application/json", "{}");
    rig.soda
        .keystone_faults()
        .push_n(KEYSTONE_DELETE, refused, 4);
    let blind = one_look(&rig);
    rig.stage().apply(&rig.provider()).await;
    // It is tried again by itself after a while; somebody who has mended it need not wait.
    rig.touch_login("granted").await;
    rig.stage().told(2, "These 3 go").await;
    // What was said before a crash was said by somebody else: it is said anew.
    rig.keystone.stage.kill();
    blind.remove();
    let blind = one_look(&rig);
    let mark = rig.keystone.wire.mark();
    rig.keystone.stage.start().await;
    rig.stage().told(3, "These 3 go").await;
    // So it is when the list has changed.
    let blob = json!({"ca": "y"}).to_string();
    let (admin, user) = (rig.keystone.admin(), &rig.keystone.user.id);
    admin
        .create_credential_of(user, "cert", &blob)
        .await
        .unwrap();
    let changed = credential_operator::clock::monotonic();
    blind.remove();
    rig.stage().told(1, "These 4 go").await;
    let called = |times: u64| {
        let rig = &rig;
        async move {
            eventually(SOON, || async {
                anyhow::ensure!(rig.soda.delete_calls() >= times);
                Ok(())
            })
            .await
            .unwrap();
        }
    };
    called(1).await;
    let calls = rig.keystone.wire.since(mark);
    let mut listed = calls
        .iter()
        .filter(|call| is_look(call) && call.status == Some(200) && call.started > changed);
    let said = listed.next().expect("it was listed anew").started;
    let calls = rig.soda.calls();
    let deleted = calls.iter().find(|call| call.method == "DELETE").unwrap();
    let for_so_long = deleted.at.duration_since(said);
    assert!(for_so_long >= Duration::from_secs(10), "{for_so_long:?}");
    let words = stays(&rig, "it", "Forbidden").await;
    assert!(words.contains("still there"), "{words}");
    assert!(rig.keystone.accepts(&pair).await, "nothing was deleted");
    rig.touch_login("mended").await;
    rig.keystone.gone("it").await;
    assert!(!rig.keystone.accepts(&pair).await);
    assert!(rig.keystone.pairs().await.is_empty());
    let deletions = rig.soda.deletions();
    let vanished: Vec<_> = deletions.iter().map(|one| one.vanished.len()).collect();
    assert_eq!(vanished, [0, 4], "each was said before");
    rig.stage().told(3, "These 3 go").await;
    rig.stage().told(2, "These 4 go").await;
    rig.finish_after_deleting_all(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_is_in_hand_when_the_request_is_deleted_ends_with_it() {
    let mut rig = Rig::simulated("soda-ending-hand", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    // The API server refuses the Secret: the pair is made, proven, and never published.
    let refused = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": "secrets \"it\" is forbidden: exceeded quota: no-secrets",
    });
    rig.stage().wire.rule(
        |call| call.method == "POST" && is_about_secret(call, "it"),
        wire::Fault::Reply(ResponseParts::json(403, &refused)),
        None,
    );
    rig.stage().apply(&rig.request("it", ending())).await;
    rig.not_ready("it", "SecretRefused").await;
    let pairs = rig.keystone.pairs().await;
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    rig.keystone.delete("it").await;
    let words = stays(&rig, "it", "DestroysMore").await;
    for part in ["These 1 go", &pairs[0].access[..6]] {
        assert!(words.contains(part), "{words}");
    }
    rig.keystone.gone("it").await;
    let left = rig.keystone.pairs().await;
    assert!(left.is_empty(), "let go alive: {left:?}");
    rig.finish_after_deleting_all(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_namespace_that_goes_it_is_said_beside_the_provider() {
    let mut rig = Rig::simulated("soda-ending-ns", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    let pair = rig.ready("it", ending()).await;
    // Something before Keystone lets the login see no credentials.
    let refused = ResponseParts::json(403, &json!({"error": {"code": 403}}));
    rig.keystone.wire.rule(
        |call| call.path.contains("/credentials"),
        wire::Fault::Reply(refused),
        None,
    );
    let team = rig.stage().team.clone();
    let namespaces: Api<Namespace> = Api::all(rig.stage().client.clone());
    namespaces.delete(&team, &Default::default()).await.unwrap();
    let notes = |words: &'static str| {
        let events: Api<Event> = Api::namespaced(rig.stage().client.clone(), "default");
        let about = format!("CredentialRequest {team}/it: ");
        async move {
            eventually(SOON, || async {
                let events = events.list(&Default::default()).await?;
                let mut notes = events.into_iter().filter_map(|event| event.note);
                anyhow::ensure!(
                    notes.any(|note| note.starts_with(&about) && note.contains(words)),
                    "not told: {words}"
                );
                Ok(())
            })
            .await
            .unwrap();
        }
    };
    notes("These 1 go").await;
    let words = stays(&rig, "it", "Forbidden").await;
    assert!(words.contains("was answered HTTP 200"), "{words}");
    assert!(!rig.keystone.accepts(&pair).await);
    rig.stage()
        .annotate("it", "credential-operator.dev/abandon", "all")
        .await;
    eventually(SOON, || async {
        let left = namespaces.get_opt(&team).await?;
        let request = rig.stage().requests().get_opt("it").await?;
        anyhow::ensure!(left.is_none(), "{left:#?} {request:#?}");
        Ok(())
    })
    .await
    .unwrap();
    rig.finish_after_deleting_all(1).await;
}

/// SODA has done it, and the operator does not hear that it has. Keystone lets the login list nothing, and
/// may say of the one pair that it is gone.
async fn is_done_without_an_answer(name: &str, mishap: wire::Fault, is_told: bool) {
    let mut rig = Rig::simulated(name, SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    let pair = rig.ready("it", ending()).await;
    let refused = ResponseParts::json(403, &json!({"error": {"code": 403}}));
    rig.keystone.wire.rule(
        move |call| is_look(call) || (!is_told && call.path.contains("/OS-EC2/")),
        wire::Fault::Reply(refused),
        None,
    );
    let is_delete = |call: &wire::CallHead| call.method == "DELETE";
    rig.wire.rule(is_delete, mishap, Some(1));
    rig.keystone.delete("it").await;
    if !is_told {
        let words = stays(&rig, "it", "Forbidden").await;
        assert!(words.contains("its DELETE was called"), "{words}");
        rig.stage()
            .annotate("it", "credential-operator.dev/abandon", "all")
            .await;
    }
    rig.keystone.gone("it").await;
    assert!(!rig.keystone.accepts(&pair).await);
    rig.finish_after_deleting_all(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_has_failed_may_be_done_and_keystone_is_asked_about_the_pair() {
    let broken = || wire::Fault::rewrite(|_| ResponseParts::text(500, "unexpected EOF"));
    let stories = [
        ("soda-ending-500", broken(), true),
        ("soda-ending-cut", wire::Fault::CutAfter, true),
        // Until the operator waits no longer.
        ("soda-ending-silent", wire::Fault::HoldAfter, true),
        ("soda-ending-untold", broken(), false),
    ];
    let stories =
        stories.map(|(name, mishap, is_told)| is_done_without_an_answer(name, mishap, is_told));
    join_all(stories).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_one_that_died_with_the_call_finds_the_pair_gone() {
    let mut rig = Rig::simulated("soda-ending-killed", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    let pair = rig.ready("it", ending()).await;
    let is_delete = |call: &wire::CallHead| call.method == "DELETE";
    let held = rig.wire.rule(is_delete, wire::Fault::HoldAfter, Some(1));
    rig.keystone.delete("it").await;
    held.hit(SOON).await.unwrap();
    rig.keystone.stage.kill();
    held.remove();
    assert!(!rig.keystone.accepts(&pair).await, "it is done");
    rig.keystone.stage.start().await;
    rig.keystone.gone("it").await;
    rig.finish_after_deleting_all(1).await;
}
