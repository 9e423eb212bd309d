//! Answers to `apiInfo` that hold no service keys, and the reasons that they are told by.

use serde_json::{Value, json};

use super::{
    super::service_keys,
    MARK, answer,
    answers::{check, field},
    ask, page, with_fields,
};
use crate::{api::Reason, providers::http::Answer};

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
