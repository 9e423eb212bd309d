//! What tests can do with access keys, and which lies they can have told.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::dce::{Lie, NeverForm, QuotaRefusal, TimeForm};

use super::access_keys::Keys;
use super::{decode, now};

#[tokio::test]
async fn times_are_written_in_the_form_that_was_asked_for_and_read_in_any() {
    let keys = Keys::new();
    let at = (now() + 3600) * 1000;
    let text = jiff::Timestamp::from_millisecond(at).unwrap().to_string();
    for expired_at in [&text, &at.to_string(), "0", ""] {
        keys.make("key", expired_at).await;
    }
    let dce = &keys.site.dce;
    let millis = at.to_string();
    for (times, never, ends, nothing) in [
        (TimeForm::EpochMillis, NeverForm::Zero, &millis, json!("0")),
        (TimeForm::EpochMillis, NeverForm::Empty, &millis, json!("")),
        (TimeForm::Rfc3339, NeverForm::Zero, &text, json!("0")),
        (TimeForm::Rfc3339, NeverForm::Missing, &text, Value::Null),
    ] {
        dce.write_times(times);
        dce.write_never(never);
        let items = keys.list().await;
        let written: Vec<&Value> = items.iter().map(|item| &item["expiredAt"]).collect();
        let ends = &json!(ends);
        assert_eq!(written, [&nothing, ends, ends, &nothing, &nothing]);
        assert!(items.iter().all(|item| item["updatedAt"] == nothing));
        let created = items[4]["createdAt"].as_str().unwrap();
        let made = dce.access_keys()[4].created_ms;
        let made = match times {
            TimeForm::EpochMillis => made.to_string(),
            TimeForm::Rfc3339 => jiff::Timestamp::from_millisecond(made).unwrap().to_string(),
        };
        assert_eq!(created, made);
    }
    let ends: Vec<Option<i64>> = dce.access_keys().iter().map(|k| k.expires_ms).collect();
    assert_eq!(ends, [None, Some(at), Some(at), None, None]);
}

#[tokio::test]
async fn a_key_too_many_is_refused_in_each_form() {
    let keys = Keys::new();
    let dce = &keys.site.dce;
    let (id, _) = keys.make("second", "").await;
    dce.limit_access_keys(Some(2));
    for (refusal, status, code) in [
        (QuotaRefusal::FailedPrecondition, 400, r#""code":9"#),
        (QuotaRefusal::PermissionDenied, 403, r#""code":7"#),
        (QuotaRefusal::ResourceExhausted, 429, r#""code":8"#),
    ] {
        dce.refuse_quota_with(refusal);
        let body = json!({"name": "third"});
        let (got, body) = keys.call("POST current-user/accesstoken", body).await;
        assert_eq!(got, status, "{body}");
        assert!(body.contains(code) && body.contains("limit of 2"), "{body}");
    }
    assert!(dce.expire_access_key(&id));
    let third = json!({"name": "third"});
    let full = keys.call("POST current-user/accesstoken", third).await;
    assert_eq!(full.0, 429, "expired ones count");
    assert!(dce.delete_access_key(&id) && !dce.delete_access_key(&id));
    keys.make("third", "").await;
    dce.add_access_key("alice", "past the limit", None);
    assert_eq!(dce.live_access_keys().len(), 3);

    dce.limit_access_keys(None);
    dce.refuse_duplicate_names(true);
    let body = json!({"name": "third"});
    let (status, body) = keys.call("POST current-user/accesstoken", body).await;
    assert_eq!(
        (status, body.contains(r#""code":6"#)),
        (409, true),
        "{body}"
    );
    let deleted = dce.access_keys().into_iter().find(|k| k.name == "third");
    assert!(dce.delete_access_key(&deleted.unwrap().id));
    keys.make("third", "").await;
}

#[tokio::test]
async fn keys_end_behind_the_back_of_whoever_uses_them() {
    let keys = Keys::new();
    let dce = &keys.site.dce;
    let hour = Some(Duration::from_secs(3600));
    let [expired, deleted, revoked] =
        ["expired", "deleted", "revoked"].map(|name| dce.add_access_key("alice", name, hour));
    assert!(dce.live_access_keys().contains(&expired));
    assert!(dce.expire_access_key(&expired.id) && !dce.expire_access_key("x"));
    dce.delete_access_key(&deleted.id);
    dce.revoke(&revoked.token);
    for (key, words) in [
        (&expired, "Jwt is expired"),
        (&deleted, "Jwt verification fails"),
        (&revoked, "Jwt verification fails"),
    ] {
        let refused = keys.site.self_test(&key.token).await;
        assert_eq!(refused, (401, words.to_owned()), "{}", key.name);
        assert!(!dce.access_key(&key.id).unwrap().live);
    }
    let names = keys
        .list()
        .await
        .into_iter()
        .map(|mut item| item["name"].take());
    assert!(names.eq(["login", "expired", "revoked"]));
    dce.revoke_all();
    assert!(dce.live_access_keys().is_empty());
    assert_eq!(dce.access_keys().len(), 4);
}

#[tokio::test]
async fn lies_about_keys_are_told_while_the_ledger_tells_the_truth() {
    let keys = Keys::new();
    let dce = &keys.site.dce;
    let make = async || {
        let body = json!({"name": "lie", "expiredAt": ((now() + 60) * 1000).to_string()});
        let (status, body) = keys.call("POST current-user/accesstoken", body).await;
        assert_eq!(status, 200, "{body}");
        let made = dce.access_keys().pop().unwrap();
        (serde_json::from_str::<Value>(&body).unwrap(), made)
    };
    for lie in [
        Lie::EmptyObject,
        Lie::Null,
        Lie::EmptyToken,
        Lie::KeyWithoutId,
    ] {
        dce.lie(lie);
        let (body, made) = make().await;
        let expected = match lie {
            Lie::EmptyObject => json!({}),
            Lie::Null => Value::Null,
            Lie::EmptyToken => json!({"id": made.id, "token": ""}),
            _ => json!({"token": made.token}),
        };
        assert_eq!(body, expected);
        assert!(made.live, "made, though nobody was told");
    }
    for (lie, works) in [
        (Lie::ExpMissing, true),
        (Lie::ExpPast, false),
        (Lie::DiesEarly(Duration::ZERO), false),
        (Lie::Opaque, true),
    ] {
        dce.lie(lie);
        let (body, made) = make().await;
        let token = body["token"].as_str().unwrap();
        assert_eq!((token, made.live), (made.token.as_str(), works), "{lie:?}");
        assert_eq!(keys.site.self_test(token).await.0 == 200, works, "{lie:?}");
    }
    dce.lie(Lie::OtherUser);
    let (body, _) = make().await;
    let claims = decode(body["token"].as_str().unwrap(), 1);
    assert_eq!(claims["preferred_username"], "somebody-else");

    dce.lie(Lie::KeysHidden);
    assert!(keys.list().await.is_empty());
    dce.lie(Lie::DeleteUndone);
    let made = dce.access_keys().remove(1);
    let delete = format!("DELETE current-user/accesstokens/{}", made.id);
    let undone = keys.call(&delete, Value::Null).await;
    assert_eq!((undone.0, dce.is_live(&made.token)), (200, true));
    dce.lie(Lie::SelfTestOtherUser);
    let (status, user) = keys.site.self_test(&keys.login).await;
    assert_eq!(
        (status, user.contains("somebody-else")),
        (200, true),
        "{user}"
    );

    dce.stop_lying();
    assert_eq!(keys.list().await.len(), dce.access_keys().len());
    assert_eq!(keys.call(&delete, Value::Null).await.0, 200);
    assert!(!dce.is_live(&made.token));
    let secrets = dce.secret_values();
    assert!(
        dce.access_keys()
            .iter()
            .all(|key| secrets.contains(&key.token))
    );
}
