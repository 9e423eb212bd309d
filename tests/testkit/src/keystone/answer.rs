//! Answers in Keystone's form, and its words for refusals.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{SimResponse, html, json as json_answer};

/// An answer that ends a handler early; in a box, because answers are large and handlers mostly succeed.
pub(super) type Refusal = Box<SimResponse>;

/// What a handler returns.
pub(super) type Answer = Result<SimResponse, Refusal>;

pub(super) const DELEGATED: &str = "Delegated tokens cannot access credentials directly";

const UNAUTHORIZED: &str = "The request you have made requires authentication.";
const CLIENT_IN_ERROR: &str = "The server could not comply with the request since it is either malformed or \
    otherwise incorrect. The client is assumed to be in error.";
const METHOD_NOT_ALLOWED: &str = "The method is not allowed for the requested URL.";

pub(super) fn ok(body: &Value) -> Answer {
    Ok(json_answer(StatusCode::OK, body))
}

pub(super) fn created(body: &Value) -> Answer {
    Ok(json_answer(StatusCode::CREATED, body))
}

pub(super) fn no_content() -> Answer {
    let response = Response::builder().status(StatusCode::NO_CONTENT);
    Ok(response.body(Bytes::new()).unwrap())
}

/// Keystone's envelope: the title is HTTP's name of the status.
pub(super) fn refuse(status: StatusCode, message: impl Into<String>) -> Refusal {
    refuse_with(status, message, json!({}))
}

/// Like [`refuse`], with more members in the envelope.
pub(super) fn refuse_with(status: StatusCode, message: impl Into<String>, more: Value) -> Refusal {
    let mut error = json!({
        "code": status.as_u16(),
        "message": message.into(),
        "title": status.canonical_reason(),
    });
    if let (Some(error), Value::Object(more)) = (error.as_object_mut(), more) {
        error.extend(more);
    }
    json_answer(status, &json!({"error": error})).into()
}

pub(super) fn unauthorized() -> Refusal {
    refuse(StatusCode::UNAUTHORIZED, UNAUTHORIZED)
}

/// The action is a rule of Keystone's policy, or words: both stand at the same place.
pub(super) fn forbidden(action: &str) -> Refusal {
    let not = "You are not authorized to perform the requested action";
    refuse(StatusCode::FORBIDDEN, format!("{not}: {action}."))
}

pub(super) fn not_found(message: impl Into<String>) -> Refusal {
    refuse(StatusCode::NOT_FOUND, message)
}

pub(super) fn bad_request(message: impl Into<String>) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, message)
}

/// A 400 that ends as many of Keystone's do.
pub(super) fn client_in_error(what: &str) -> Refusal {
    bad_request(format!("{what} {CLIENT_IN_ERROR}"))
}

pub(super) fn missing(attribute: &str, target: &str) -> Refusal {
    client_in_error(&format!("Expecting to find {attribute} in {target}."))
}

pub(super) fn conflict(kind: &str, details: &str) -> Refusal {
    let occurred = "Conflict occurred attempting to store";
    refuse(
        StatusCode::CONFLICT,
        format!("{occurred} {kind} - {details}."),
    )
}

pub(super) fn not_simulated(what: &str) -> Refusal {
    refuse(
        StatusCode::NOT_IMPLEMENTED,
        format!("The simulator cannot do this: {what}"),
    )
}

/// Flask's answer for APIs, which is not in the envelope.
pub(super) fn method_not_allowed() -> Refusal {
    let body = json!({"message": METHOD_NOT_ALLOWED});
    json_answer(StatusCode::METHOD_NOT_ALLOWED, &body).into()
}

/// Flask's page, which the versions at `/` and `/v3` answer with.
pub(super) fn method_not_allowed_page() -> Refusal {
    flask_page(StatusCode::METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED)
}

pub(super) fn unknown_path() -> Refusal {
    flask_page(
        StatusCode::NOT_FOUND,
        "The requested URL was not found on the server. If you entered the URL manually please check your spelling \
         and try again.",
    )
}

fn flask_page(status: StatusCode, words: &str) -> Refusal {
    let reason = status.canonical_reason().unwrap_or_default();
    let code = status.as_u16();
    let mut page = html(
        status,
        format!(
            "<!doctype html>\n<html lang=en>\n<title>{code} {reason}</title>\n<h1>{reason}</h1>\n<p>{words}</p>\n"
        ),
    );
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    page.headers_mut().insert(header::CONTENT_TYPE, kind);
    page.into()
}

/// What stands in front of Keystone says this, in HTML.
pub(super) fn server_page(status: StatusCode) -> Refusal {
    let reason = status.canonical_reason().unwrap_or_default();
    html(
        status,
        format!(
            "<html>\n  <head>\n    <title>{reason}</title>\n  </head>\n  <body>\n    <h1><p>{reason}</p></h1>\n    \n  \
             </body>\n</html>\n"
        ),
    )
    .into()
}

/// Adds the headers that every answer has. `base` is the URL without a path.
pub(super) fn finish(mut response: SimResponse, base: &str) -> SimResponse {
    let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("X-Auth-Token"));
    let id = format!("req-{}", Uuid::new_v4());
    headers.insert("x-openstack-request-id", id.parse().unwrap());
    if unauthorized && let Ok(challenge) = format!("Keystone uri=\"{base}/v3\"").parse() {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
