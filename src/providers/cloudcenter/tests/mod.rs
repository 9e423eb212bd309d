//! What CloudCenter's answers mean, case by case. That the calls are right is proven against the
//! simulator, end to end.

mod grants;
mod listing;
mod regenerate;

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    api_key, layout,
    users::{self, Bearer, User},
};
use crate::{
    api::Reason,
    plan::Credential,
    providers::{driver::Layout as _, http::Answer},
    secret::SecretData,
};

const KEY: &str = "464B3C3CB5324A5A";

fn answer(status: u16, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    Answer::of(status, &headers, &body.to_string())
}

fn text(status: u16, body: &str) -> Answer {
    Answer::of(status, &[("content-type", "text/html")], body)
}

fn error(status: u16) -> Answer {
    let body = json!({"errors": [{"code": "SOME_CODE", "message": "words of the server"}]});
    answer(status, &body)
}

fn user() -> User {
    User {
        id: "4".into(),
        username: "alice_5".into(),
        email: Some("alice@example.com".into()),
        enabled: true,
    }
}

/// The user as the list and the single answer show one.
fn row() -> Value {
    json!({
        "id": "4", "resource": "https://ccm.example.com/v1/users/4", "username": "alice_5",
        "password": "===redacted===", "enabled": true, "type": "STANDARD", "emailAddr": "alice@example.com",
        "accessKeys": "https://ccm.example.com/v1/users/4/keys", "perms": [], "tenantId": "1", "detail": null,
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut row = row();
    change(&mut row);
    row
}

fn key(answer: &Answer) -> Result<String, Reason> {
    let read = api_key::read(answer, "alice_5", &Bearer::Other(user()));
    read.map(|key| key.as_str().to_owned()).map_err(|failure| {
        assert!(!failure.message.contains("words of the server"));
        assert!(!failure.message.contains(KEY), "{}", failure.message);
        failure.reason
    })
}

#[test]
fn a_key_is_read_in_each_form_that_it_may_have() {
    let resource = "https://10.0.0.1:8443/v1/users/4/keys";
    for (name, body) in [
        ("an object", json!({"apiKey": {"key": KEY}})),
        (
            "all that there can be",
            json!({"apiKey": {"resource": resource, "username": "alice_5", "key": KEY, "more": [1]}}),
        ),
        ("a text", json!({"apiKey": KEY})),
        (
            "at the top",
            json!({"resource": resource, "username": "alice_5", "key": KEY}),
        ),
        (
            "an object counts more than what is beside it",
            json!({"key": "another", "apiKey": {"key": KEY}}),
        ),
        ("a text does, too", json!({"key": "another", "apiKey": KEY})),
        (
            "what is null is not there",
            json!({"apiKey": null, "key": KEY}),
        ),
        ("and so is what is empty", json!({"apiKey": {}, "key": KEY})),
        (
            "names that are not told",
            json!({"apiKey": {"key": KEY, "username": null, "resource": null}}),
        ),
        (
            "a link that leads somewhere else altogether",
            json!({"apiKey": {"key": KEY, "resource": "https://evil.example.com/"}}),
        ),
        (
            "a link behind a prefix",
            json!({"apiKey": {"key": KEY, "resource": "https://h/ccm/v1/users/4/keys/?a=/users/5/keys"}}),
        ),
    ] {
        assert_eq!(key(&answer(200, &body)), Ok(KEY.to_owned()), "{name}");
    }
    // With a colon, which ends the name and not the key.
    let colon = answer(200, &json!({"apiKey": {"key": "a:b"}}));
    assert_eq!(key(&colon).as_deref(), Ok("a:b"));
    // Blanks before it are no reason to refuse it.
    let padded = Answer::of(200, &[], &format!("\n {{\"apiKey\": \"{KEY}\"}} "));
    assert_eq!(key(&padded).as_deref(), Ok(KEY));
}

#[test]
fn what_is_no_key_of_the_user_is_refused() {
    let long = "A".repeat(1025);
    for body in [
        "",
        "null",
        "{}",
        "[]",
        "42",
        "\"464B3C3CB5324A5A\"",
        "<html><body>Log in</body></html>",
        "{\"apiKey\": {\"key\": \"464B3C3CB5324A5A\"",
        r#"["464B3C3CB5324A5A"]"#,
        r#"{"apiKey": null}"#,
        r#"{"apiKey": {}}"#,
        r#"{"apiKey": []}"#,
        r#"{"apiKey": ["464B3C3CB5324A5A"]}"#,
        r#"{"apiKey": 7}"#,
        r#"{"apiKey": true}"#,
        r#"{"apiKey": ""}"#,
        r#"{"apiKey": {"key": ""}}"#,
        r#"{"apiKey": {"key": 7}}"#,
        r#"{"apiKey": {"key": null}}"#,
        r#"{"apiKey": {"key": {"key": "464B3C3CB5324A5A"}}}"#,
        r#"{"apiKey": {"apiKey": {"key": "464B3C3CB5324A5A"}}}"#,
        r#"{"apiKey": {"key": "two words"}}"#,
        r#"{"apiKey": {"key": "line\nbreak"}}"#,
        r#"{"apiKey": {"key": "schlüssel"}}"#,
        r#"{"ApiKey": {"key": "464B3C3CB5324A5A"}}"#,
        r#"{"errors": [{"code": "X", "message": "words of the server"}]}"#,
        r#"{"accessKeys": "https://ccm.example.com/v1/users/4/keys"}"#,
        &json!({"apiKey": {"key": long}}).to_string(),
        // Somebody else's.
        r#"{"apiKey": {"username": "bob_6", "key": "464B3C3CB5324A5A"}}"#,
        r#"{"username": "bob_6", "key": "464B3C3CB5324A5A"}"#,
        r#"{"username": "bob_6", "apiKey": "464B3C3CB5324A5A"}"#,
        r#"{"username": "Alice_5", "apiKey": "464B3C3CB5324A5A"}"#,
        r#"{"username": 7, "apiKey": "464B3C3CB5324A5A"}"#,
        r#"{"apiKey": {"resource": "https://ccm.example.com/v1/users/5/keys", "key": "464B3C3CB5324A5A"}}"#,
        r#"{"resource": "https://ccm.example.com/v1/users/5/keys/", "key": "464B3C3CB5324A5A"}"#,
        r#"{"resource": "/v1/users/44/keys#/v1/users/4/keys", "key": "464B3C3CB5324A5A"}"#,
    ] {
        let answer = Answer::of(200, &[], body);
        assert_eq!(key(&answer), Err(Reason::UnexpectedAnswer), "{body}");
    }
}

#[test]
fn the_login_s_own_key_comes_with_the_login_s_own_name() {
    let own = |body: &Value| {
        let read = api_key::read(&answer(200, body), "admin_3", &Bearer::Own);
        read.map(|key| key.as_str().to_owned())
            .map_err(|failure| failure.reason)
    };
    let good = json!({"apiKey": {"resource": "https://h/v1/user/keys", "username": "admin_3", "key": KEY}});
    assert_eq!(own(&good).as_deref(), Ok(KEY));
    let by_id = json!({"apiKey": {"resource": "https://h/v1/users/2/keys", "key": KEY}});
    assert_eq!(own(&by_id).as_deref(), Ok(KEY), "its id is not known");
    let other = json!({"apiKey": {"username": "alice_5", "key": KEY}});
    assert_eq!(own(&other), Err(Reason::UnexpectedAnswer));
}

#[test]
fn refusals_have_their_reasons_whatever_is_in_the_body() {
    let html = "<html><h1>HTTP Status</h1></html>";
    for (name, answer, expected) in [
        (
            "a wrong login, in HTML",
            text(401, html),
            Reason::LoginRefused,
        ),
        ("without a word", text(401, ""), Reason::LoginRefused),
        ("in CloudCenter's form", error(401), Reason::LoginRefused),
        ("not permitted", error(403), Reason::Forbidden),
        ("not permitted, in HTML", text(403, html), Reason::Forbidden),
        ("no key yet", error(404), Reason::UnexpectedAnswer),
        ("another path", text(404, html), Reason::UnexpectedAnswer),
        ("another method", text(405, html), Reason::UnexpectedAnswer),
        ("a bad request", error(400), Reason::UnexpectedAnswer),
        ("only XML", text(406, html), Reason::UnexpectedAnswer),
        ("too many", error(429), Reason::RateLimited),
        ("an error", error(500), Reason::ProviderUnavailable),
        ("a gateway", text(502, html), Reason::ProviderUnavailable),
        ("maintenance", text(503, html), Reason::ProviderUnavailable),
        ("a slow one", text(504, html), Reason::Timeout),
        (
            "accepted for later",
            answer(202, &json!({})),
            Reason::UnexpectedAnswer,
        ),
        ("nothing", text(204, ""), Reason::UnexpectedAnswer),
        (
            "another host",
            Answer::of(302, &[("location", "https://evil.example.com/")], ""),
            Reason::UnexpectedAnswer,
        ),
    ] {
        assert_eq!(key(&answer), Err(expected), "{name}");
        let user = users::read_user(&answer, "4").map_err(|failure| failure.reason);
        assert_eq!(user, Err(expected), "a user: {name}");
        let page = users::read_page(&answer).map_err(|failure| failure.reason);
        assert_eq!(page.err(), Some(expected), "a page: {name}");
    }
    let waits = Answer::of(429, &[("retry-after", "7")], "");
    let failure = api_key::read(&waits, "alice_5", &Bearer::Own).unwrap_err();
    assert_eq!(failure.retry_after.map(|wait| wait.as_secs()), Some(7));
}

#[test]
fn a_user_is_the_one_that_was_asked_for() {
    let read = |body: &Value| users::read_user(&answer(200, body), "4").map_err(|it| it.reason);
    assert_eq!(read(&row()), Ok(user()));
    assert_eq!(read(&changed(|row| row["id"] = json!(4))), Ok(user()));
    let disabled = read(&changed(|row| row["enabled"] = json!(false))).unwrap();
    assert!(!disabled.enabled);
    let silent = read(&json!({"id": "4", "username": "alice_5"})).unwrap();
    assert_eq!((silent.email, silent.enabled), (None, true));
    for (name, body) in [
        ("somebody else", changed(|row| row["id"] = json!("5"))),
        (
            "somebody else, by number",
            changed(|row| row["id"] = json!(44)),
        ),
        ("no id", changed(|row| row["id"] = json!(null))),
        ("no user name", changed(|row| row["username"] = json!(null))),
        ("an odd id", changed(|row| row["id"] = json!({"id": "4"}))),
        ("a list", json!([row()])),
        ("an error", json!({"errors": []})),
    ] {
        assert_eq!(read(&body), Err(Reason::UnexpectedAnswer), "{name}");
    }
    let odd = changed(|row| row["id"] = json!("../4"));
    let odd = users::read_user(&answer(200, &odd), "../4");
    assert_eq!(odd.unwrap_err().reason, Reason::UnexpectedAnswer);
}

#[test]
fn only_what_can_be_a_name_or_a_key_is_taken_for_one() {
    for (text, is_name, is_key) in [
        ("alice_5", true, true),
        ("alice@example.com,1", true, true),
        ("", false, false),
        ("two words", false, false),
        ("colon:colon", false, true),
        ("müller_7", false, false),
        ("line\nbreak", false, false),
        ("tab\t", false, false),
        (&"a".repeat(255), true, true),
        (&"a".repeat(256), false, true),
        (&"a".repeat(1025), false, false),
    ] {
        assert_eq!(api_key::is_username(text), is_name, "{text}");
        assert_eq!(api_key::is_key(text), is_key, "{text}");
    }
}

#[test]
fn the_secret_has_the_documented_keys_and_can_be_had_from_what_is_left() {
    let layout = layout::Layout {
        endpoint: "https://ccm.example.com/prefix".into(),
    };
    // The key may hold a colon.
    let data = layout.data("alice_5", "AB:CD");
    assert_eq!(
        data.keys().collect::<Vec<_>>(),
        ["authorization", "endpoint", "key", "username"]
    );
    assert_eq!(data.text("username"), Some("alice_5"));
    assert_eq!(data.text("key"), Some("AB:CD"));
    assert_eq!(
        data.text("endpoint"),
        Some("https://ccm.example.com/prefix")
    );
    let basic = format!("Basic {}", BASE64_STANDARD.encode("alice_5:AB:CD"));
    assert_eq!(data.text("authorization"), Some(basic.as_str()));
    let credential = Credential {
        serial: 1,
        id: None,
        owner: None,
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
        asked: String::new(),
        rotation: None,
        leak: None,
    };
    let ask = super::Ask {
        whose: super::Whose::Own,
        regenerate: false,
    };
    let guesses = |left: &SecretData| layout.recover(&ask, left, &credential);
    let left = |keys: &[&str]| {
        keys.iter().fold(SecretData::default(), |left, key| {
            left.with(key, data.get(key).unwrap())
        })
    };
    for keys in [&["authorization"][..], &["username", "key"]] {
        assert!(guesses(&left(keys)).contains(&data), "{keys:?}");
    }
    let wrong = left(&["authorization", "username"]).with("key", "wrong");
    assert!(guesses(&wrong).contains(&data));
    assert_eq!(guesses(&left(&["key"])), []);
    assert_eq!(guesses(&left(&["endpoint", "username"])), []);
    for odd in ["Bearer x", "Basic ???", "Basic YWJj", "Basic /w=="] {
        assert_eq!(
            guesses(&SecretData::default().with("authorization", odd)),
            []
        );
    }
}
