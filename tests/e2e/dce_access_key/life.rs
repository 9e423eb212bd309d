//! From the first sync to the last deletion.

use credential_operator::clock;
use testkit::{
    dce::{NeverForm, TimeForm},
    wire::{Fault, ResponseParts},
};

use super::*;
use crate::{
    journal,
    stage::{message_of, status_of},
};

/// What was called at DCE since a mark, in its order.
fn calls_since(rig: &Rig, mark: testkit::wire::Mark) -> Vec<String> {
    rig.wire
        .since(mark)
        .iter()
        .map(|it| dce_label(it))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_under_its_name_shown_once_proven_rotated_and_deleted_by_id() {
    let mut rig = Rig::new("dce-key").await;
    rig.stage.start().await;
    rig.provider_ready().await;
    let mark = rig.wire.mark();
    let mut request = rig.request("key", 3000);
    request["spec"]["dce"]["accessKey"]["lifetime"] = json!("1h");
    rig.stage.apply(&request).await;
    let ready = rig.stage.ready("key").await;
    assert_eq!(
        calls_since(&rig, mark),
        [
            "GET current-user",
            "GET current-user/accesstokens",
            "POST current-user/accesstoken",
            // The proof.
            "GET current-user",
        ]
    );
    let first = rig.key("key").await;
    assert_eq!(first.name, derived(&ready, 1));
    assert_eq!(first.username, USER);
    let secret = rig.stage.secret("key").await;
    assert_eq!(
        value(&secret, "authorization"),
        format!("Bearer {}", first.token)
    );
    assert_eq!(value(&secret, "endpoint"), rig.wire.url());
    assert_eq!(
        secret.annotations()["credential-operator.dev/credential-id"],
        first.id
    );
    let status = ready.status.as_ref().unwrap();
    assert_eq!(status.credential.as_deref(), Some("dce.accessKey"));
    let record = &status.credentials[0];
    assert_eq!(record.id.as_ref(), Some(&first.id));
    assert_eq!(record.owner.as_deref(), Some(USER));
    let expiry: jiff::Timestamp = value(&secret, "expiry").parse().unwrap();
    assert_eq!(Some(expiry), status.expires_at);
    assert_eq!(Some(expiry.as_millisecond()), first.expires_ms);
    let life = expiry.duration_since(record.issued_at.unwrap());
    assert!((3599..=3600).contains(&life.as_secs()), "{life}");

    // By annotation; the old one works through the overlap, and is then deleted by its id.
    let mark = rig.wire.mark();
    rig.rotate("key", "1").await;
    let rotated = rig.until("key", 2, 2).await;
    assert_eq!(status_of(&rotated, "Ready"), ("True", "Synced"));
    let second = rig.key("key").await;
    assert_eq!(second.name, derived(&ready, 2));
    assert!(rig.works(&first) && rig.works(&second));
    rig.until("key", 2, 1).await;
    assert!(!rig.works(&first) && rig.works(&second));
    let calls = rig.wire.since(mark);
    let deleted = calls
        .iter()
        .position(|call| call.method == "DELETE")
        .unwrap();
    assert!(calls[deleted].path.ends_with(&format!("/{}", first.id)));
    let after: Vec<_> = calls[deleted + 1..]
        .iter()
        .map(|it| dce_label(it))
        .collect();
    assert!(
        after.contains(&"GET current-user/accesstokens".to_owned()),
        "that it is gone is confirmed: {after:?}"
    );
    journal::was_always_good(&rig.stage, &rig.wire, "key").unwrap();
    assert_eq!(journal::most_alive(&rig.wire, mark), 1);
    let shown = rig.wire.calls_where(|call| call.method == "POST");
    assert_eq!(shown.len(), 2, "each was made, and shown, once");

    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_renewed_before_it_ends_and_the_old_one_is_deleted_after_the_overlap() {
    let mut rig = Rig::new("dce-expiry").await;
    rig.stage.start().await;
    let mut request = rig.request("key", 2000);
    request["spec"]["dce"]["accessKey"]["lifetime"] = json!("1m");
    request["spec"]["renewal"]["renewBefore"] = json!("54s");
    rig.stage.apply(&request).await;
    rig.stage.ready("key").await;
    let first = rig.key("key").await;
    rig.until("key", 2, 2).await;
    let second = rig.key("key").await;
    let now = clock::now().as_millisecond();
    assert!(first.expires_ms.unwrap() > now, "it was renewed in time");
    assert!(second.expires_ms > first.expires_ms);
    assert!(rig.works(&first) && rig.works(&second));
    rig.until("key", 2, 1).await;
    assert!(!rig.works(&first), "deleted before it would have ended");
    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_form_dces_times_have_keys_are_made_and_deleted() {
    let mut rig = Rig::new("dce-times").await;
    rig.stage.start().await;
    let mut round = 0;
    for times in [TimeForm::EpochMillis, TimeForm::Rfc3339] {
        for never in [NeverForm::Zero, NeverForm::Empty, NeverForm::Missing] {
            round += 1;
            rig.stage.dce.write_times(times);
            rig.stage.dce.write_never(never);
            let (forever, ends) = (format!("forever-{round}"), format!("ends-{round}"));
            rig.stage.apply(&rig.request(&forever, 1)).await;
            let mut request = rig.request(&ends, 1);
            request["spec"]["dce"]["accessKey"]["lifetime"] = json!("1h");
            rig.stage.apply(&request).await;
            for (name, ends) in [(&forever, false), (&ends, true)] {
                let ready = rig.stage.ready(name).await;
                let key = rig.key(name).await;
                assert_eq!(key.expires_ms.is_some(), ends, "{times:?} {never:?}");
                let status = ready.status.as_ref().unwrap();
                assert_eq!(status.expires_at.is_some(), ends, "{times:?} {never:?}");
                let secret = rig.stage.secret(name).await;
                let keys = secret.data.as_ref().unwrap();
                assert_eq!(keys.contains_key("expiry"), ends);
                rig.rotate(name, "1").await;
                rig.until(name, 2, 1).await;
                assert!(!rig.works(&key), "{times:?} {never:?}");
                rig.remove(name).await;
            }
            assert_eq!(rig.made(), [], "{times:?} {never:?}");
        }
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_that_no_grant_allows_is_refused_with_the_field_named() {
    let mut rig = Rig::new("dce-grant").await;
    let mut provider = rig.provider();
    provider["spec"]["allow"][0]["dce"]["maxLifetime"] = json!("24h");
    rig.stage.apply(&provider).await;
    rig.stage.start().await;
    let mark = rig.wire.mark();
    for (name, lifetime, words) in [
        ("longer", json!("25h"), "may be at most 24h, not 25h"),
        ("forever", Value::Null, "has to be set, to at most 24h"),
    ] {
        let mut request = rig.request(name, 1000);
        if !lifetime.is_null() {
            request["spec"]["dce"]["accessKey"]["lifetime"] = lifetime;
        }
        rig.stage.apply(&request).await;
        let refused = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
        let request = rig.stage.until(name, "NotAllowed", refused).await;
        let said = message_of(&request, "Ready");
        let expected = format!("spec.dce.accessKey.lifetime {words}");
        assert!(said.contains(&expected), "{said}");
    }
    let changes = rig.wire.since(mark).into_iter();
    assert_eq!(changes.filter(|call| call.is_changing()).count(), 0);
    // What is shorter than DCE can count is refused as well, by the field.
    let mut request = rig.request("short", 1000);
    request["spec"]["dce"]["accessKey"]["lifetime"] = json!("30s");
    rig.stage.apply(&request).await;
    let refused = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "InvalidSpec");
    let request = rig.stage.until("short", "InvalidSpec", refused).await;
    let said = message_of(&request, "Ready");
    assert!(said.contains("spec.dce.accessKey.lifetime"), "{said}");
    let mut request = rig.request("longest", 1000);
    request["spec"]["dce"]["accessKey"]["lifetime"] = json!("24h");
    rig.stage.apply(&request).await;
    rig.stage.ready("longest").await;
    for name in ["longer", "forever", "short", "longest"] {
        rig.remove(name).await;
    }
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_proven_yet_is_listed_while_it_lives() {
    let mut rig = Rig::new("dce-unproven").await;
    rig.stage.start().await;
    rig.provider_ready().await;
    let login = format!("Bearer {}", rig.login.token);
    let proof = rig.wire.rule(
        move |call| {
            let by = call.headers.get("authorization");
            let by = by.and_then(|by| by.to_str().ok());
            dce_label(call) == "GET current-user" && by.is_some_and(|by| by != login)
        },
        Fault::Reply(ResponseParts::text(503, "away")),
        None,
    );
    rig.stage.apply(&rig.request("key", 1000)).await;
    let listed = |request: &CredentialRequest| {
        let status = request.status.clone().unwrap_or_default();
        status_of(request, "Ready").0 == "False" && status.credentials.len() == 1
    };
    let request = rig.stage.until("key", "it is listed", listed).await;
    let made = rig.made();
    assert_eq!(made.len(), 1);
    let record = &request.status.unwrap().credentials[0];
    assert_eq!(record.id.as_ref(), Some(&made[0].id));
    assert_eq!(
        (serde_json::to_value(record.state).unwrap(), record.serial),
        (json!("Retiring"), 1)
    );
    proof.remove();
    let ready = rig.stage.ready("key").await;
    let record = &ready.status.unwrap().credentials[0];
    assert_eq!(
        serde_json::to_value(record.state).unwrap(),
        json!("Current")
    );
    assert_eq!(rig.key("key").await.id, made[0].id, "the same key");
    rig.stage.told(1, "Issued: ").await;
    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}
