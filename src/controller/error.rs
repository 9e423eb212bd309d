//! Why a pass ends early. What a provider does wrong is not among it: that is observed.

use super::refused::is_by_admission;
use crate::{api::Reason, plan::Failure, providers::http::failed};

/// Why a pass cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Somebody else has written in between; the next look tells.
    #[error("somebody else has written in between")]
    Conflict,
    /// The namespace is being deleted, and the request goes with it.
    #[error("the namespace is being deleted")]
    NamespaceTerminating,
    /// Another copy of the operator acts by now.
    #[error("this copy does not act any more")]
    NotLeading,
    /// The API server failed.
    #[error("API server: {}", brief(.0))]
    Api(kube::Error),
}

impl From<kube::Error> for PassError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 409 && !is_by_admission(status) => {
                PassError::Conflict
            }
            kube::Error::Api(status)
                if status.code == 403 && is_terminating(status) && !is_by_admission(status) =>
            {
                PassError::NamespaceTerminating
            }
            _ => PassError::Api(error),
        }
    }
}

/// Whether the API server refuses a write because the namespace is being deleted.
pub fn is_terminating(status: &kube::core::Status) -> bool {
    status.details.as_ref().is_some_and(|details| {
        details
            .causes
            .iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
    })
}

/// A failure of the operator itself.
pub fn defect() -> Failure {
    failed(
        Reason::InternalError,
        "the operator failed on this object; its log has the details; others are not concerned",
    )
}

/// An error of the API server without its words: an admission webhook may repeat the object that it
/// refuses, and an answer that cannot be read may be a Secret.
pub fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        kube::Error::SerdeError(_) => "an answer that cannot be read".to_owned(),
        other => other.to_string(),
    }
}
