//! Answers to `apiInfo`, and what comes of them.

use serde_json::{Value, json};

use super::{super::service_keys, MARK, answer, ask, owned, page, pairs, with_fields};
use crate::{api::Reason, providers::http::Answer};

/// What comes of an answer: the keys of the Secret, or a reason and a part of the message.
type Expected<'a> = Result<&'a [(&'a str, &'a str)], (Reason, &'a str)>;

fn field(key: &str, value: impl Into<Value>) -> Value {
    json!({"key": key, "value": value.into(), "sensitive": true, "environmentSpecific": false})
}

fn check(what: &str, answer: &Answer, expected: Expected<'_>) {
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

#[test]
fn what_is_no_answer_with_service_keys_is_a_failure_by_its_reason() {
    use Reason::{
        Forbidden, LoginRefused, ProviderUnavailable, QuotaExceeded, RateLimited, Timeout,
        UnexpectedAnswer,
    };
    const NONSENSE: (Reason, &str) = (UnexpectedAnswer, "something that it never says");
    const LOST: (Reason, &str) = (Forbidden, "is not, or no longer, a member of it");
    let data = json!({"fields": [field("secret_key", MARK)]});
    let error =
        |code: Value| json!({"code": code, "message": "CLOUDMC-SAYS", "context": {"key": MARK}});
    let beside = |error: Value| json!({"errors": [error], "data": data}).to_string();
    let plain = |error: Value| json!({"errors": [error]}).to_string();
    let with_errors = |errors: &str| format!(r#"{{"data": {data}, "errors": {errors}}}"#);
    let rows: &[(&str, u16, String, (Reason, &str))] = &[
        // The envelope.
        (
            "two objects",
            200,
            json!({"data": [data, data]}).to_string(),
            NONSENSE,
        ),
        (
            "an empty list",
            200,
            json!({"data": []}).to_string(),
            NONSENSE,
        ),
        (
            "no data",
            200,
            "{}".into(),
            (UnexpectedAnswer, "without data"),
        ),
        (
            "data that is null",
            200,
            r#"{"data": null}"#.into(),
            (UnexpectedAnswer, "without data"),
        ),
        (
            "data that is a text",
            200,
            json!({"data": MARK}).to_string(),
            NONSENSE,
        ),
        (
            "no fields",
            200,
            r#"{"data": {"canRegenerateCredentials": true}}"#.into(),
            NONSENSE,
        ),
        (
            "fields that are null",
            200,
            r#"{"data": {"fields": null}}"#.into(),
            NONSENSE,
        ),
        (
            "fields as an object",
            200,
            json!({"data": {"fields": {"secret_key": MARK}}}).to_string(),
            NONSENSE,
        ),
        (
            "a list of no fields",
            200,
            r#"{"data": {"fields": []}}"#.into(),
            (UnexpectedAnswer, "proves nothing"),
        ),
        (
            "a field without a name",
            200,
            json!({"data": {"fields": [{"value": MARK}]}}).to_string(),
            NONSENSE,
        ),
        (
            "a field whose name is none",
            200,
            json!({"data": {"fields": [field("a", MARK), {"key": 7}]}}).to_string(),
            NONSENSE,
        ),
        ("nothing at all", 200, String::new(), NONSENSE),
        ("no content", 204, String::new(), NONSENSE),
        ("null", 200, "null".into(), NONSENSE),
        ("a list", 200, "[]".into(), NONSENSE),
        ("a number", 200, "42".into(), NONSENSE),
        ("a text", 200, json!(MARK).to_string(), NONSENSE),
        (
            "the portal's page",
            200,
            format!("<html>{MARK}</html>"),
            NONSENSE,
        ),
        (
            "an answer that is cut off",
            200,
            json!({"data": data}).to_string()[..40].into(),
            NONSENSE,
        ),
        (
            "an answer with a rest",
            200,
            json!({"data": data}).to_string() + "}",
            NONSENSE,
        ),
        // Errors beside 200.
        (
            "a number as code",
            200,
            plain(error(json!(2012))),
            (UnexpectedAnswer, "its code is 2012"),
        ),
        (
            "a text as code",
            200,
            plain(error(json!("2012"))),
            (UnexpectedAnswer, "its code is 2012"),
        ),
        (
            "errors and data",
            200,
            beside(error(json!(2012))),
            (UnexpectedAnswer, "(HTTP 200)"),
        ),
        (
            "a word as errorCode",
            200,
            plain(json!({"errorCode": "CLOUDMC-SAYS"})),
            (UnexpectedAnswer, "(HTTP 200)"),
        ),
        (
            "a number as errorCode",
            200,
            plain(json!({"errorCode": "404"})),
            LOST,
        ),
        (
            "no code",
            200,
            plain(json!({})),
            (UnexpectedAnswer, "(HTTP 200)"),
        ),
        (
            "a code that is none",
            200,
            plain(error(json!({"a": MARK}))),
            (UnexpectedAnswer, "(HTTP 200)"),
        ),
        (
            "a huge code",
            200,
            plain(error(json!(1e300))),
            (UnexpectedAnswer, "(HTTP 200)"),
        ),
        (
            "errors as an object",
            200,
            json!({"errors": {"message": "CLOUDMC-SAYS"}, "data": data}).to_string(),
            (UnexpectedAnswer, "(HTTP 200)"),
        ),
        (
            "a single error that is no list",
            200,
            json!({"errors": error(json!(403)), "data": data}).to_string(),
            LOST,
        ),
        (
            "a single error of another code",
            200,
            json!({"errors": {"errorCode": "2012"}}).to_string(),
            (UnexpectedAnswer, "its code is 2012"),
        ),
        // Errors that cannot be read are errors all the same.
        (
            "half a character in an error",
            200,
            with_errors(r#"[{"message": "\ud83d"}]"#),
            NONSENSE,
        ),
        (
            "a number in an error that no number can be",
            200,
            with_errors(r#"[{"code": 1e999}]"#),
            NONSENSE,
        ),
        (
            "errors twice",
            200,
            with_errors(r#"[{"code": 403}], "errors": []"#),
            NONSENSE,
        ),
        (
            "errors in errors",
            200,
            with_errors(&format!("{}{}", "[".repeat(200), "]".repeat(200))),
            NONSENSE,
        ),
        (
            "half a character in an error beside a failure",
            403,
            with_errors(r#"[{"message": "\ud83d"}]"#),
            LOST,
        ),
        (
            "errors as a text",
            200,
            json!({"errors": "CLOUDMC-SAYS", "data": data}).to_string(),
            (UnexpectedAnswer, "(HTTP 200)"),
        ),
        (
            "a refused key beside 200",
            200,
            plain(error(json!(401))),
            (LoginRefused, "refuses the API key"),
        ),
        (
            "a lost membership beside 200",
            200,
            plain(error(json!("403"))),
            LOST,
        ),
        (
            "too many calls beside 200",
            200,
            plain(error(json!(429))),
            (RateLimited, "fewer calls"),
        ),
        // Statuses.
        (
            "a refused key",
            401,
            plain(error(json!(1001))),
            (LoginRefused, "refuses the API key"),
        ),
        ("a lost membership", 403, plain(error(json!(1003))), LOST),
        (
            "an environment that is not shown",
            404,
            plain(error(json!(1404))),
            LOST,
        ),
        (
            "an environment that is not shown, or a call that is not offered",
            404,
            plain(error(json!(1404))),
            (Forbidden, "or this CloudMC does not offer the call"),
        ),
        (
            "a bad request",
            400,
            plain(error(json!(1400))),
            (UnexpectedAnswer, "(HTTP 400); its code is 1400"),
        ),
        (
            "data beside a failure",
            400,
            json!({"data": data}).to_string(),
            (UnexpectedAnswer, "(HTTP 400)"),
        ),
        (
            "a wrong method",
            405,
            plain(error(json!(1405))),
            (UnexpectedAnswer, "(HTTP 405)"),
        ),
        (
            "a full quota",
            402,
            "{}".into(),
            (QuotaExceeded, "(HTTP 402)"),
        ),
        (
            "too many calls",
            429,
            "{}".into(),
            (RateLimited, "(HTTP 429)"),
        ),
        (
            "a defect",
            500,
            plain(error(json!(5000))),
            (ProviderUnavailable, "(HTTP 500); its code is 5000"),
        ),
        (
            "maintenance",
            503,
            MARK.into(),
            (ProviderUnavailable, "(HTTP 503)"),
        ),
        (
            "a gateway that gives up",
            504,
            String::new(),
            (Timeout, "(HTTP 504)"),
        ),
        (
            "another address",
            302,
            String::new(),
            (UnexpectedAnswer, "not followed"),
        ),
    ];
    for (what, status, body, expected) in rows {
        check(what, &answer(*status, body), Err(*expected));
    }
    // Of a gateway that soon is well again, or of CloudMC itself.
    for words in [LOST.1, "or this CloudMC does not offer the call"] {
        check(
            "a page that is not there",
            &page(404, &format!("<html>{MARK}</html>")),
            Err((UnexpectedAnswer, words)),
        );
        check(
            "nothing there",
            &page(404, ""),
            Err((UnexpectedAnswer, words)),
        );
    }
    check(
        "a gateway's page about a refused key",
        &page(401, MARK),
        Err((LoginRefused, "refuses the API key")),
    );
    for (what, value) in [
        ("a fraction", json!(1.5)),
        ("a list of values", json!([MARK])),
        ("an object as value", json!({"a": {"b": [MARK]}})),
    ] {
        check(
            what,
            &with_fields(&json!([field("a", MARK), field("b", value)])),
            Err((
                UnexpectedAnswer,
                "a value that is no text; choose fields in spec.cloudMC.serviceKeys.keys",
            )),
        );
    }
    let headers = [("content-type", "application/json"), ("retry-after", "7")];
    let waits = service_keys::read(&ask(&json!({})), &Answer::of(403, &headers, "{}"));
    assert_eq!(
        waits.unwrap_err().retry_after.map(|wait| wait.as_secs()),
        Some(7)
    );
}

#[test]
fn nobody_has_that_many_fields_or_such_long_ones() {
    const MANY: (Reason, &str) = (Reason::UnexpectedAnswer, "more than 256 fields");
    const LONG: (Reason, &str) = (Reason::UnexpectedAnswer, "more than 256 KiB together");
    let fields = |count: usize| {
        let fields = (0..count).map(|number| field(&format!("key-{number}"), MARK));
        with_fields(&fields.collect())
    };
    for count in [257, 10_000] {
        check("many fields", &fields(count), Err(MANY));
    }
    let data = service_keys::read(&ask(&json!({})), &fields(256)).unwrap();
    assert_eq!(data.keys().count(), 256);

    let long = |length: usize| with_fields(&json!([field("key", MARK.repeat(length))]));
    let most = 256 * 1024;
    check(
        "a huge value",
        &long(2 * 1024 * 1024 / MARK.len()),
        Err(LONG),
    );
    check("a long value", &long(most / MARK.len() + 1), Err(LONG));
    assert!(service_keys::read(&ask(&json!({})), &long(most / MARK.len() - 1)).is_ok());
    let halves = json!([
        field("a", "x".repeat(most / 2)),
        field("b", "x".repeat(most / 2))
    ]);
    check("two long values", &with_fields(&halves), Err(LONG));
    let unused = json!([field("wanted", MARK), field(&"n".repeat(most), "v")]);
    check("a long name", &with_fields(&unused), Err(LONG));
}
