//! Answers in CloudCenter's form.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::state::LoginRefusal;
use crate::server::{SimResponse, html, json as json_answer};

/// An answer that ends a handler early; in a box, because answers are large and handlers mostly succeed.
pub(super) type Refusal = Box<SimResponse>;

/// What a handler returns.
pub(super) type Answer = Result<SimResponse, Refusal>;

pub(super) fn ok(body: &Value) -> Answer {
    Ok(json_answer(StatusCode::OK, body))
}

/// CloudCenter's envelope (clients). The codes are the simulator's own: the sources show none.
pub(super) fn refuse(status: StatusCode, code: &str, message: &str) -> Refusal {
    let body = json!({"errors": [{"code": code, "message": message}]});
    json_answer(status, &body).into()
}

pub(super) fn forbidden() -> Refusal {
    let message = "You are not authorized to perform this operation.";
    refuse(StatusCode::FORBIDDEN, "ACCESS_DENIED", message)
}

pub(super) fn no_such_user() -> Refusal {
    refuse(StatusCode::NOT_FOUND, "USER_NOT_FOUND", "No such user.")
}

pub(super) fn invalid(message: &str) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
}

/// What the application server says before CloudCenter has a say.
pub(super) fn server_page(status: StatusCode) -> Refusal {
    html(status, page(status)).into()
}

/// The challenge is there because HTTP demands one; its realm is a guess.
pub(super) fn unauthorized(style: LoginRefusal) -> Refusal {
    let status = StatusCode::UNAUTHORIZED;
    let mut response = match style {
        LoginRefusal::Html => html(status, page(status)),
        LoginRefusal::Empty => {
            let response = Response::builder().status(status);
            response.body(Bytes::new()).unwrap()
        }
    };
    let challenge = HeaderValue::from_static("Basic realm=\"CloudCenter\"");
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, challenge);
    response.into()
}

fn page(status: StatusCode) -> String {
    format!(
        "<html><head><title>Apache Tomcat - Error report</title></head><body><h1>HTTP Status {}</h1>\
         <hr size=\"1\"><h3>Apache Tomcat</h3></body></html>",
        status.as_u16()
    )
}
