//! Short ways to build the answers that protocols give.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::Value;

use super::SimResponse;

/// A JSON answer.
pub fn json(status: StatusCode, body: &Value) -> SimResponse {
    build(status, "application/json", body.to_string())
}

/// A plain-text answer, as gateways give it: no trailing newline.
pub fn text(status: StatusCode, body: impl Into<String>) -> SimResponse {
    build(status, "text/plain", body)
}

/// An HTML page.
pub fn html(status: StatusCode, body: impl Into<String>) -> SimResponse {
    build(status, "text/html", body)
}

/// An answer with any content type.
///
/// Panics when the content type cannot be a header value: the caller is a test, and should hear of it.
pub(super) fn build(
    status: StatusCode,
    content_type: &str,
    body: impl Into<String>,
) -> SimResponse {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .body(Bytes::from(body.into()))
        .expect("a content type that is a valid header value")
}
