//! What DCE answers to calls about access keys (Access Key API of ghippo, `current-user/accesstokens`).

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    api::Reason,
    plan::Failure,
    providers::http::{Answer, failed},
};

/// The answer to `GET current-user/accesstokens`. It has no pages.
#[derive(Deserialize)]
pub struct Keys {
    /// All of the login's user.
    #[serde(default)]
    pub items: Option<Vec<Key>>,
}

/// An access key without the key itself. What the moments look like is nowhere said, so that they may be
/// anything.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// The id.
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was made.
    #[serde(default)]
    pub created_at: Value,
    /// When it ends.
    #[serde(default)]
    pub expired_at: Value,
}

/// gRPC's `RESOURCE_EXHAUSTED` and `FAILED_PRECONDITION` (google.rpc.Code), which DCE's envelope carries.
const EXHAUSTED: i64 = 8;
const PRECONDITION: i64 = 9;

/// Whether DCE itself refuses one more access key because there are too many. The sources name no limit; these are
/// the codes with which services of its kind say it. With 429, code 8 is what a busy one says, too.
pub fn is_quota(answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct Envelope {
        code: i64,
    }
    let envelope: Option<Envelope> = serde_json::from_slice(&answer.body).ok();
    let code = envelope.map(|envelope| envelope.code);
    answer.status == StatusCode::BAD_REQUEST && matches!(code, Some(EXHAUSTED | PRECONDITION))
}

/// The words for that.
pub fn no_more(answer: &Answer) -> Failure {
    failed(
        Reason::QuotaExceeded,
        format!(
            "DCE lets the login's user have no more access keys (HTTP {}); remove some in the Personal Center",
            answer.status.as_u16()
        ),
    )
}

/// Why there is no success. Access is checked at DCE's gateway, which answers in plain text, while DCE
/// itself answers in JSON.
pub fn refused(answer: &Answer) -> Failure {
    match answer.status {
        StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::GONE
        | StatusCode::NOT_IMPLEMENTED => failed(
            Reason::NotOffered,
            "this DCE has no access keys (they came with ghippo 0.14), or the endpoint lacks a path prefix; for older \
             versions use spec.dce.auth.keyPair and ask for a token",
        ),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !answer.is_json => failed(
            Reason::LoginRefused,
            format!(
                "DCE's gateway refuses the access key of the login (HTTP {}): it is wrong, expired or deleted, or its user is \
                 disabled",
                answer.status.as_u16()
            ),
        ),
        _ => answer.failure("DCE"),
    }
}
