//! CloudMC's envelope, and its variants.

use http::StatusCode;
use serde_json::{Value, json};

use super::lie::Lie;
use super::state::Settings;
use crate::server::{SimResponse, html, json as json_answer};

/// In which form errors carry their codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorCodes {
    /// `"code": 2012` (getting started).
    #[default]
    Number,
    /// `"code": "2012"`.
    Text,
    /// `"errorCode": "NOT_FOUND"`, which the Go client reads, and no `code`.
    ErrorCode,
}

/// In which form `data` holds a single object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SingleShape {
    /// As the documentation's samples do: an array for a connection, the object itself for anything else.
    #[default]
    Documented,
    /// Always an array of one.
    Array,
    /// Always the object itself.
    Object,
}

/// How those are refused who are no members of an environment. The sources do not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stranger {
    /// 403.
    #[default]
    Forbidden,
    /// 404, as if there were no such environment.
    NotFound,
}

/// The variants that are set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    pub(super) codes: ErrorCodes,
    pub(super) beside_200: bool,
    pub(super) single: SingleShape,
    pub(super) stranger: Stranger,
}

/// Why a handler ends early. How it looks is decided where it leaves.
pub(super) struct Refusal {
    status: StatusCode,
    /// The number is the simulator's own: of the real ones the documentation shows a single one.
    code: (u16, &'static str),
    message: String,
    /// The kind of object that it is about.
    kind: &'static str,
}

/// What a handler returns.
pub(super) type Answer = Result<SimResponse, Refusal>;

fn refusal(status: StatusCode, code: (u16, &'static str), message: String) -> Refusal {
    Refusal {
        status,
        code,
        message,
        kind: "",
    }
}

pub(super) fn unauthorized() -> Refusal {
    let code = (1001, "UNAUTHORIZED");
    let message = "Invalid credentials".to_owned();
    refusal(StatusCode::UNAUTHORIZED, code, message)
}

pub(super) fn forbidden() -> Refusal {
    let message = "You are not authorized to perform this request".to_owned();
    refusal(StatusCode::FORBIDDEN, (1003, "FORBIDDEN"), message)
}

pub(super) fn invalid(message: &str) -> Refusal {
    let code = (1400, "INVALID_PARAMETER");
    refusal(StatusCode::BAD_REQUEST, code, message.to_owned())
}

pub(super) fn not_found(kind: &'static str) -> Refusal {
    let message = format!("Cannot locate the specified object of type {kind}");
    Refusal {
        kind,
        ..refusal(StatusCode::NOT_FOUND, (1404, "NOT_FOUND"), message)
    }
}

pub(super) fn no_endpoint() -> Refusal {
    let message = "Cannot locate the specified endpoint".to_owned();
    refusal(StatusCode::NOT_FOUND, (1404, "NOT_FOUND"), message)
}

pub(super) fn wrong_method() -> Refusal {
    let message = "Cannot use that HTTP verb on the specified endpoint".to_owned();
    let code = (1405, "METHOD_NOT_ALLOWED");
    refusal(StatusCode::METHOD_NOT_ALLOWED, code, message)
}

impl Refusal {
    pub(super) fn answer(self, style: Style) -> SimResponse {
        let (number, word) = self.code;
        let mut context = json!({});
        if !self.kind.is_empty() {
            context["type"] = json!(self.kind);
        }
        let mut error = json!({"message": self.message, "context": context});
        match style.codes {
            ErrorCodes::Number => error["code"] = json!(number),
            ErrorCodes::Text => error["code"] = json!(number.to_string()),
            ErrorCodes::ErrorCode => error["errorCode"] = json!(word),
        }
        let status = if style.beside_200 {
            StatusCode::OK
        } else {
            self.status
        };
        json_answer(status, &json!({"errors": [error]}))
    }
}

/// How a stranger is refused.
pub(super) fn stranger(style: Style) -> Refusal {
    match style.stranger {
        Stranger::Forbidden => forbidden(),
        Stranger::NotFound => not_found("environments"),
    }
}

pub(super) fn list(settings: &Settings, items: Vec<Value>) -> Answer {
    let mut body = json!({});
    let more = match settings.lie(false) {
        Some(Lie::NoMetadata) => None,
        Some(Lie::PartOfTheList) => Some(1),
        _ => Some(0),
    };
    if let Some(more) = more {
        body["metadata"] = json!({"recordCount": items.len() + more});
    }
    body["data"] = json!(items);
    Ok(json_answer(StatusCode::OK, &body))
}

/// One object; `in_array` is how the documentation shows it.
pub(super) fn single(settings: &Settings, object: Value, in_array: bool) -> Answer {
    let in_array = match settings.style.single {
        SingleShape::Documented => in_array,
        SingleShape::Array => true,
        SingleShape::Object => false,
    };
    let data = match settings.lie(false) {
        Some(Lie::TwoInOne) => json!([object, another(object.clone())]),
        Some(Lie::AnotherId) if in_array => json!([another(object)]),
        Some(Lie::AnotherId) => another(object),
        _ if in_array => json!([object]),
        _ => object,
    };
    Ok(json_answer(StatusCode::OK, &json!({"data": data})))
}

/// The same object with another id.
fn another(mut object: Value) -> Value {
    object["id"] = json!(super::state::new_id());
    object
}

/// Outside the API there is the portal.
pub(super) fn portal() -> SimResponse {
    html(
        StatusCode::NOT_FOUND,
        "<!DOCTYPE html>\n<html><head><title>CloudMC</title></head><body></body></html>\n",
    )
}
