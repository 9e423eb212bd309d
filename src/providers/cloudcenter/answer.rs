//! What CloudCenter's answers mean that are the same for all calls. Nothing of their text is ever
//! shown.

use reqwest::StatusCode;
use serde::de::DeserializeOwned;

use crate::{
    api::Reason,
    plan::Failure,
    providers::http::{Answer, failed},
};

/// How the system is called in messages.
pub const NAME: &str = "CloudCenter";

/// The body of a good answer: a JSON object.
///
/// # Errors
/// `UnexpectedAnswer` when it is not what CloudCenter answers.
pub fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    // Lists would be read as objects, by the order of their items.
    let is_object = answer.body.trim_ascii_start().starts_with(b"{");
    let read = serde_json::from_slice(&answer.body);
    read.ok()
        .filter(|_| is_object)
        .ok_or_else(|| unexpected("answers with something that it never says; check the endpoint"))
}

/// An answer that makes no sense.
pub fn unexpected(what: &str) -> Failure {
    failed(Reason::UnexpectedAnswer, format!("{NAME} {what}"))
}

/// What an answer means that is no success. The body is not needed for that: the application server
/// refuses a login in HTML or without a word before CloudCenter has a say (clients look at the status
/// first).
pub fn failure(answer: &Answer) -> Failure {
    match answer.status {
        StatusCode::UNAUTHORIZED => Failure {
            message: format!(
                "{NAME} refuses the login (HTTP 401): the user name or the API key is wrong, a new key was made for the user, or \
                 the user is disabled"
            ),
            ..answer.failure(NAME)
        },
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => unexpected(
            "has no such path; the endpoint is the URL of a manager of version 4, without /v1",
        ),
        _ => answer.failure(NAME),
    }
}
