//! What Keystone's answers say beside their status. Nothing of their text is ever shown: it is
//! compared with what Keystone is known to say.

use reqwest::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    api::Reason,
    plan::Failure,
    providers::http::{Answer, failed},
};

/// How the system is called in messages.
pub const NAME: &str = "Keystone";

/// The envelope of Keystone's errors.
#[derive(Deserialize)]
struct Envelope {
    error: Inner,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    message: String,
}

/// Keystone's own words, if the answer is an error of Keystone rather than of something before it.
pub fn words(answer: &Answer) -> Option<String> {
    let envelope: Envelope = serde_json::from_slice(&answer.body).ok()?;
    Some(envelope.error.message)
}

/// The body of a good answer.
///
/// # Errors
/// `UnexpectedAnswer` when it is not what Keystone answers.
pub fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body)
        .map_err(|_| unexpected("answers with something that it never says; check its endpoint"))
}

/// An answer that makes no sense.
pub fn unexpected(what: &str) -> Failure {
    failed(Reason::UnexpectedAnswer, format!("{NAME} {what}"))
}

/// Keystone says that a token is none. What stands before it (a gateway that is being reloaded, a filter) knows
/// nothing of tokens.
///
/// # Errors
/// `UnexpectedAnswer` where something else says so; those of any other answer.
pub fn no_token(answer: &Answer) -> Result<(), Failure> {
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND if words(answer).is_some() => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Err(unexpected(&format!(
            "is not what answers with HTTP {} to a question about a token; look at its endpoint, and at what stands between",
            answer.status.as_u16()
        ))),
        _ => Err(failure(answer)),
    }
}

/// What the refusal of a new credential means. `needs` says what a login with an application credential
/// is told that may not make any; a full quota is answered with 403 as well.
pub fn refused(answer: &Answer, delegated: bool, needs: &str) -> Failure {
    let failure = failure(answer);
    if delegated && failure.reason == Reason::Forbidden {
        return failed(Reason::Forbidden, needs);
    }
    failure
}

/// What an answer to a call with a session means that is no success, where it is the same for all
/// calls. Quotas are answered with 403 (`CredentialLimitExceeded` and
/// `ApplicationCredentialLimitExceeded` in Keystone's `exception.py`).
pub fn failure(answer: &Answer) -> Failure {
    if answer.status == reqwest::StatusCode::FORBIDDEN
        && words(answer).is_some_and(|words| {
            words.starts_with("Unable to create additional") && words.contains("maximum of")
        })
    {
        return failed(
            Reason::QuotaExceeded,
            format!("{NAME} lets the login's user have no more credentials of this kind"),
        );
    }
    answer.failure(NAME)
}
