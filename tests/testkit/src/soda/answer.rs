//! Answers in go-restful's forms: bodies that are indented by one space, and errors as plain text.

use http::{Response, StatusCode, header};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::server::{SimResponse, text};

/// What go-restful writes an entity with: always 200.
pub(super) fn entity(body: &impl Serialize) -> SimResponse {
    let mut bytes = Vec::new();
    let mut into = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b" "));
    body.serialize(&mut into).unwrap();
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    response.body(bytes.into()).unwrap()
}

/// An error's text, whatever stands in it, has no other form than text.
pub(super) fn error(status: StatusCode, words: impl Into<String>) -> SimResponse {
    text(status, words)
}

/// go-restful's own refusals: `404: Page Not Found`.
pub(super) fn routing(status: StatusCode) -> SimResponse {
    let reason = match status {
        StatusCode::NOT_FOUND => "Page Not Found",
        _ => status.canonical_reason().unwrap_or_default(),
    };
    error(status, format!("{}: {reason}", status.as_u16()))
}

/// The kinds of JSON, as Go names them.
pub(super) fn kind(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "bool",
        serde_json::Value::Number(_) => "number",
        serde_json::Value::String(_) => "string",
        serde_json::Value::Array(_) => "array",
        serde_json::Value::Object(_) => "object",
    }
}
