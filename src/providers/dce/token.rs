//! The token as a credential: how long it lives, and what goes into the Secret.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::{Ask, jwt::Claims};
use crate::{
    api::Reason,
    plan::{Credential, Failure},
    providers::{Issued, driver, http::failed},
    secret::SecretData,
};

/// The answer of the token endpoint (DCE documentation, "Generate token based on key pair").
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<Zeroizing<String>>,
}

/// Names from a provider go into status and annotations only when they look like names.
pub fn name(text: Option<&String>) -> Option<String> {
    text.filter(|text| {
        !text.is_empty()
            && text.len() <= 128
            && text
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "._@-".contains(char))
    })
    .cloned()
}

/// Reads the answer of the token endpoint.
///
/// # Errors
/// `UnexpectedAnswer` when there is no usable token in it.
pub fn read(
    body: &[u8],
    cycle: u16,
    endpoint: &Url,
    received: Timestamp,
) -> Result<Issued, Failure> {
    let nonsense =
        |what: &str| failed(Reason::UnexpectedAnswer, format!("DCE answers with {what}"));
    let answer: Option<TokenAnswer> = serde_json::from_slice(body)
        .map_err(|_| nonsense("something that is no JSON object; check the endpoint"))?;
    let token = answer
        .and_then(|answer| answer.token)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| nonsense("no token"))?;
    let printable = token.bytes().all(|byte| byte.is_ascii_graphic());
    let claims = Claims::read(&token)
        .filter(|_| printable)
        .ok_or_else(|| nonsense("a token that is no JWT"))?;
    let expires_at = lifetime(&claims, cycle, received);
    if expires_at <= received {
        return Err(nonsense(
            "a token that has expired already; check the clocks of DCE and of this cluster",
        ));
    }
    let credential = Credential {
        serial: 0,
        id: None,
        owner: name(claims.preferred_username.as_ref()).or_else(|| name(claims.sub.as_ref())),
        issued_at: received,
        expires_at: Some(expires_at),
        asked: String::new(),
        rotation: None,
        leak: None,
    };
    let data = data(&token, endpoint, &credential);
    Ok(Issued {
        credential,
        data,
        remark: None,
    })
}

/// When a token expires by this machine's clock. The life that it states counts from now on, since
/// DCE's clock may be ahead; where it is behind, the stated time is the earlier one and counts. A
/// token that states none lives as long as was asked for.
fn lifetime(claims: &Claims, cycle: u16, received: Timestamp) -> Timestamp {
    let asked = received + SignedDuration::from_hours(24 * i64::from(cycle));
    let Some(stated) = claims.expires_at() else {
        return asked;
    };
    let by_length = claims
        .issued_at()
        .and_then(|issued| received.checked_add(stated.duration_since(issued)).ok());
    by_length.map_or(stated, |by_length| stated.min(by_length))
}

/// The keys of the Secret.
pub fn data(token: &str, endpoint: &Url, credential: &Credential) -> SecretData {
    let data = SecretData::default()
        .with("token", token)
        .with("authorization", format!("Bearer {token}"))
        .with("endpoint", endpoint.as_str().trim_end_matches('/'));
    match credential.expires_at {
        Some(at) => data.with("expiry", at.to_string()),
        None => data,
    }
}

/// What each Secret has beside the credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Where DCE is.
    pub endpoint: Url,
}

impl driver::Layout for Layout {
    type Ask = Ask;

    /// The endpoint of a provider cannot be changed.
    fn digest(&self) -> Option<String> {
        None
    }

    fn recover(&self, ask: &Ask, found: &SecretData, credential: &Credential) -> Vec<SecretData> {
        match ask {
            Ask::Token(_) | Ask::AccessKey(_) => recover(&self.endpoint, found, credential),
        }
    }
}

/// All keys, from each of the two that hold the token; the caller knows by a digest which is right.
pub fn recover(endpoint: &Url, found: &SecretData, credential: &Credential) -> Vec<SecretData> {
    let bearer = found
        .text("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    [found.text("token"), bearer]
        .into_iter()
        .flatten()
        .map(|token| data(token, endpoint, credential))
        .collect()
}
