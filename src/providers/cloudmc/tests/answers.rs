//! Answers to `apiInfo` that hold service keys, and what comes of them.

use serde_json::{Value, json};

use super::{super::service_keys, MARK, answer, ask, owned, pairs, with_fields};
use crate::{api::Reason, providers::http::Answer};

/// What comes of an answer: the keys of the Secret, or a reason and a part of the message.
pub(super) type Expected<'a> = Result<&'a [(&'a str, &'a str)], (Reason, &'a str)>;

pub(super) fn field(key: &str, value: impl Into<Value>) -> Value {
    json!({"key": key, "value": value.into(), "sensitive": true, "environmentSpecific": false})
}

pub(super) fn check(what: &str, answer: &Answer, expected: Expected<'_>) {
    let found = service_keys::read(&ask(&json!({})), answer);
    match (found, expected) {
        (Ok(data), Ok(expected)) => assert_eq!(pairs(&data), owned(expected), "{what}"),
        (Err(failure), Err((reason, words))) => {
            assert_eq!(failure.reason, reason, "{what}: {}", failure.message);
            let message = failure.message;
            assert!(message.contains(words), "{what}: {message}");
            assert!(!message.contains(MARK), "{what} shows a value: {message}");
            assert!(
                !message.contains("CLOUDMC-SAYS"),
                "{what} shows a text: {message}"
            );
        }
        (found, expected) => panic!("{what}: {found:?} and not {expected:?}"),
    }
}

#[test]
fn service_keys_are_read_in_every_form_that_they_have() {
    let sample = json!([
        {"key": "endpoint", "value": "https://your_endpoint.com/auth", "sensitive": false},
        {"key": "api_key", "value": "my_api_key", "sensitive": true},
        {"key": "secret_key", "value": "my_secret_key", "sensitive": true},
        {"key": "project_id", "value": "079bdead-61b5-4b38-86ed-dbbf963808ec", "sensitive": false},
    ]);
    let keys: &[_] = &[
        ("api_key", "my_api_key"),
        ("endpoint", "https://your_endpoint.com/auth"),
        ("project_id", "079bdead-61b5-4b38-86ed-dbbf963808ec"),
        ("secret_key", "my_secret_key"),
    ];
    check(
        "the documentation's sample",
        &with_fields(&sample),
        Ok(keys),
    );
    let object = json!({"canRegenerateCredentials": true, "fields": sample});
    for (what, body) in [
        ("a list of one", json!({"data": [object]})),
        ("no errors", json!({"data": object, "errors": []})),
        (
            "errors that are null",
            json!({"data": object, "errors": null}),
        ),
        (
            "more than is known",
            json!({"data": object, "metadata": {"recordCount": 1}, "taskId": "7", "new": [1]}),
        ),
    ] {
        check(what, &answer(200, &body.to_string()), Ok(keys));
    }
    for (what, value, expected) in [
        ("a number", json!(3), "3"),
        ("a negative number", json!(-3), "-3"),
        ("a truth value", json!(true), "true"),
        ("more lines", json!("a\nb"), "a\nb"),
        ("escapes", json!("ä\"\\\u{1F600}"), "ä\"\\\u{1F600}"),
    ] {
        let answer = with_fields(&json!([field("key", value)]));
        check(what, &answer, Ok(&[("key", expected)]));
    }
}

#[test]
fn fields_stand_under_their_own_names_where_a_secret_can_have_such_keys() {
    const UNFIT: (Reason, &str) = (
        Reason::UnexpectedAnswer,
        "cannot be a key of a Secret; choose fields",
    );
    for (name, expected) in [
        ("api-key.1_A", Ok("api-key.1_A")),
        ("S3 API access key", Ok("S3_API_access_key")),
        ("clé/secrète", Ok("cl__secr_te")),
        ("a/../b", Ok("a_.._b")),
        ("a\nb", Ok("a_b")),
        (".hidden", Ok(".hidden")),
        ("", Err(UNFIT)),
        (".", Err(UNFIT)),
        ("..", Err(UNFIT)),
        ("..data", Err(UNFIT)),
        (&"x".repeat(254), Err(UNFIT)),
    ] {
        let answer = with_fields(&json!([field(name, MARK)]));
        match expected {
            Ok(key) => check(name, &answer, Ok(&[(key, MARK)])),
            Err(refused) => check(name, &answer, Err(refused)),
        }
    }
    let same = json!([field("a b", MARK), field("a_b", "other")]);
    check(
        "two names that become one",
        &with_fields(&same),
        Err((Reason::UnexpectedAnswer, "the same key of the Secret")),
    );
    let twice = json!([field("a", MARK), field("a", MARK)]);
    check(
        "a name that is there twice",
        &with_fields(&twice),
        Err((Reason::UnexpectedAnswer, "the same key of the Secret")),
    );
    let partly = json!([
        field("a", MARK), field("b", ""), field("c", Value::Null), {"key": "d"},
        {"key": "e", "value": "plain"},
    ]);
    check(
        "what is empty is left out",
        &with_fields(&partly),
        Ok(&[("a", MARK), ("e", "plain")]),
    );
}
