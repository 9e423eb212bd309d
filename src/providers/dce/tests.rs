//! What DCE's answers mean, case by case. That the calls are right is proven against the simulator,
//! end to end.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use url::Url;

use super::{jwt::Claims, token};
use crate::{api::Reason, providers::Issued, secret::SecretData};

const RECEIVED: i64 = 1_000_000;

fn received() -> Timestamp {
    Timestamp::from_second(RECEIVED).unwrap()
}

fn endpoint() -> Url {
    Url::parse("https://dce.example.com/prefix").unwrap()
}

fn jwt(claims: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
}

fn read(body: &str) -> Result<Issued, crate::plan::Failure> {
    token::read(body.as_bytes(), 3, &endpoint(), received())
}

fn lives(claims: &Value) -> Result<i64, Reason> {
    let issued =
        read(&json!({"token": jwt(claims)}).to_string()).map_err(|failure| failure.reason)?;
    Ok(issued.credential.expires_at.unwrap().as_second() - RECEIVED)
}

#[test]
fn a_token_lives_as_long_as_it_says() {
    let day = 86_400;
    for (name, claims, expected) in [
        (
            "seven days",
            json!({"iat": RECEIVED, "exp": RECEIVED + 7 * day}),
            Ok(7 * day),
        ),
        (
            "less than was asked for",
            json!({"iat": RECEIVED, "exp": RECEIVED + 5}),
            Ok(5),
        ),
        (
            "DCE's clock is an hour ahead",
            json!({"iat": RECEIVED + 3600, "exp": RECEIVED + 3600 + day}),
            Ok(day),
        ),
        (
            "DCE's clock is an hour behind",
            json!({"iat": RECEIVED - 3600, "exp": RECEIVED - 3600 + day}),
            Ok(day - 3600),
        ),
        ("no iat", json!({"exp": RECEIVED + day}), Ok(day)),
        (
            "no exp: what was asked for",
            json!({"iat": RECEIVED}),
            Ok(3 * day),
        ),
        (
            "fractions",
            json!({"iat": RECEIVED, "exp": f64::from(1_000_010) + 0.5}),
            Ok(10),
        ),
        (
            "over already",
            json!({"iat": RECEIVED - day, "exp": RECEIVED - 1}),
            Err(Reason::UnexpectedAnswer),
        ),
        (
            "over by its own account",
            json!({"iat": RECEIVED + 10, "exp": RECEIVED + 5}),
            Err(Reason::UnexpectedAnswer),
        ),
        ("beyond time", json!({"exp": 1e300}), Ok(3 * day)),
        (
            "a text for a time",
            json!({"exp": "tomorrow"}),
            Err(Reason::UnexpectedAnswer),
        ),
    ] {
        assert_eq!(lives(&claims), expected, "{name}");
    }
}

#[test]
fn nonsense_is_no_token() {
    let good = jwt(&json!({"exp": RECEIVED + 60}));
    for body in [
        "",
        "null",
        "{}",
        "[]",
        "42",
        "<html></html>",
        r#"{"token": null}"#,
        r#"{"token": ""}"#,
        r#"{"token": 7}"#,
        r#"{"token": "opaque"}"#,
        r#"{"token": "a.b.c"}"#,
        r#"{"token": "a.b"}"#,
        r#"{"Token": "x"}"#,
        r#"{"token": "..."}"#,
        &json!({"token": format!("{good}.more")}).to_string(),
        &json!({"token": format!("{good}\nX-Evil: 1")}).to_string(),
        &json!({"token": format!(" {good}")}).to_string(),
    ] {
        let failure = read(body).expect_err(body);
        assert_eq!(failure.reason, Reason::UnexpectedAnswer, "{body}");
    }
    assert!(read(&json!({"token": good}).to_string()).is_ok());
}

#[test]
fn only_what_looks_like_a_name_becomes_one() {
    let owner = |claims: &Value| {
        read(&json!({"token": jwt(claims)}).to_string())
            .unwrap()
            .credential
            .owner
    };
    assert_eq!(
        owner(&json!({"preferred_username": "alice", "sub": "1-2"})).as_deref(),
        Some("alice")
    );
    assert_eq!(owner(&json!({"sub": "f7c8-1"})).as_deref(), Some("f7c8-1"));
    for odd in ["", "two words", "<b>", "a\nb", &"x".repeat(129)] {
        assert_eq!(owner(&json!({"preferred_username": odd})), None, "{odd}");
    }
}

#[test]
fn the_secret_has_the_documented_keys_and_can_be_had_from_the_token_alone() {
    let claims = json!({"iat": RECEIVED, "exp": RECEIVED + 60});
    let Issued {
        credential, data, ..
    } = read(&json!({"token": jwt(&claims)}).to_string()).unwrap();
    assert_eq!(
        data.keys().collect::<Vec<_>>(),
        ["authorization", "endpoint", "expiry", "token"]
    );
    assert_eq!(
        data.text("authorization"),
        Some(format!("Bearer {}", jwt(&claims)).as_str())
    );
    assert_eq!(
        data.text("endpoint"),
        Some("https://dce.example.com/prefix")
    );
    assert_eq!(
        data.text("expiry"),
        Some(
            (received() + SignedDuration::from_secs(60))
                .to_string()
                .as_str()
        )
    );
    for key in ["token", "authorization"] {
        let left = SecretData::default().with(key, data.get(key).unwrap());
        assert_eq!(
            token::recover(&endpoint(), &left, &credential),
            vec![data.clone()],
            "from {key}"
        );
    }
    assert_eq!(
        token::recover(
            &endpoint(),
            &SecretData::default().with("endpoint", "x"),
            &credential
        ),
        []
    );
}

#[test]
fn claims_are_read_with_and_without_padding() {
    let padded = format!(
        "h.{}.s",
        base64::prelude::BASE64_URL_SAFE.encode(r#"{"sub":"a"}"#)
    );
    assert_eq!(Claims::read(&padded).unwrap().sub.as_deref(), Some("a"));
    assert!(Claims::read("h.e30.s").is_some());
    assert!(Claims::read("h.###.s").is_none());
}
