//! Which access key the operator itself logs in with, where it has not published it itself. DCE does not
//! say it: a key is a token that states when it was made, and the list of keys states the same of each, so
//! the two are held against each other.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{answer::Key, jwt::Claims};

/// How far the second that a token states may be from the one that the list states: it is signed a moment
/// before or after the key is noted.
const APART: i64 = 1;

/// How far their ends may be apart: DCE's own page counts in minutes.
const ENDS_APART: SignedDuration = SignedDuration::from_mins(1);

/// A moment as DCE's answers write it: RFC 3339, or milliseconds since 1970 as a text. An empty text and
/// `0` are no moment.
pub fn moment(value: &Value) -> Option<Timestamp> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match text.parse::<i64>() {
        Ok(0) => None,
        Ok(millis) => Timestamp::from_millisecond(millis).ok(),
        Err(_) => text.parse().ok(),
    }
}

/// The id of the key that a token is, as far as that can be told: the one that was made when the token
/// says it was, where that is one alone.
pub fn find<'a>(token: &str, keys: &'a [Key]) -> Option<&'a str> {
    let claims = Claims::read(token)?;
    let issued = claims.issued_at()?.as_second();
    let mut made_then = keys.iter().filter(|key| {
        let made = moment(&key.created_at);
        made.is_some_and(|made| (made.as_second() - issued).abs() <= APART)
            && ends_alike(&claims, key)
    });
    match (made_then.next(), made_then.next()) {
        (Some(key), None) => Some(&key.id),
        _ => None,
    }
}

/// Whether a key may end when the token says it does. One of the two may say nothing.
fn ends_alike(claims: &Claims, key: &Key) -> bool {
    match (claims.expires_at(), moment(&key.expired_at)) {
        (Some(stated), Some(listed)) => stated.duration_since(listed).abs() <= ENDS_APART,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn token(claims: &Value) -> String {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        format!("h.{claims}.s")
    }

    fn key(id: &str, created: Value, expired: Value) -> Key {
        Key {
            id: id.to_owned(),
            name: String::new(),
            created_at: created,
            expired_at: expired,
        }
    }

    fn millis(seconds: i64) -> Value {
        json!((seconds * 1000 + 250).to_string())
    }

    #[test]
    fn moments_have_two_forms_and_never_has_three() {
        let at = Timestamp::from_millisecond(1_660_632_794_800).ok();
        for (text, expected) in [
            (json!("1660632794800"), at),
            (json!(1_660_632_794_800_i64), at),
            (json!("2022-08-16T06:53:14.8Z"), at),
            (json!("2022-08-16T14:53:14.8+08:00"), at),
            (json!("0"), None),
            (json!(0), None),
            (json!(""), None),
            (Value::Null, None),
            (json!("soon"), None),
            (json!("99999999999999999999"), None),
            (json!({}), None),
        ] {
            assert_eq!(moment(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_token_is_the_key_that_was_made_when_it_was() {
        let never = || json!("0");
        let others = || {
            vec![
                key("older", millis(NOW - 10), never()),
                key("newer", millis(NOW + 10), never()),
            ]
        };
        let with = |mut more: Vec<Key>| {
            let mut keys = others();
            keys.append(&mut more);
            keys
        };
        let stated = json!({"iat": NOW});
        let ends = json!({"iat": NOW, "exp": NOW + 3600});
        for (case, claims, keys, expected) in [
            (
                "by milliseconds",
                &stated,
                with(vec![key("it", millis(NOW), never())]),
                Some("it"),
            ),
            (
                "by RFC 3339",
                &stated,
                with(vec![key("it", json!("2023-11-14T22:13:20.9Z"), json!(""))]),
                Some("it"),
            ),
            (
                "noted a moment later",
                &stated,
                with(vec![key("it", millis(NOW + 1), never())]),
                Some("it"),
            ),
            (
                "two within a second",
                &stated,
                with(vec![
                    key("one", millis(NOW), never()),
                    key("other", millis(NOW + 1), never()),
                ]),
                None,
            ),
            (
                "two at once",
                &stated,
                with(vec![
                    key("one", millis(NOW), never()),
                    key("other", millis(NOW), never()),
                ]),
                None,
            ),
            (
                "two at once that end at different times",
                &ends,
                with(vec![
                    key("it", millis(NOW), millis(NOW + 3600)),
                    key("other", millis(NOW), millis(NOW + 7200)),
                ]),
                Some("it"),
            ),
            (
                "a list that says nothing about ends",
                &ends,
                with(vec![key("it", millis(NOW), Value::Null)]),
                Some("it"),
            ),
            ("none of them", &stated, others(), None),
            (
                "a list without moments",
                &stated,
                vec![key("it", Value::Null, Value::Null)],
                None,
            ),
            (
                "a token without a moment",
                &json!({}),
                with(vec![key("it", millis(NOW), never())]),
                None,
            ),
        ] {
            assert_eq!(find(&token(claims), &keys), expected, "{case}");
        }
        assert_eq!(find("opaque", &others()), None);
    }
}
