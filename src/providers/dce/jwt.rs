//! What a token says about itself. Its signature is not checked: the operator only wants to know
//! when to renew, and whether a token works is found out by using it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Deserialize;

/// The claims that matter. DCE's tokens carry `exp`, `iat`, `iss`, `sub`, `preferred_username` and
/// `groups` (its documentation's own example, decoded).
#[derive(Deserialize)]
pub struct Claims {
    exp: Option<f64>,
    iat: Option<f64>,
    /// The user's id.
    pub sub: Option<String>,
    /// The user's name.
    pub preferred_username: Option<String>,
}

impl Claims {
    /// Reads the claims of a JWT.
    pub fn read(token: &str) -> Option<Claims> {
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let json = BASE64_URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// When the token expires.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.exp.and_then(second)
    }

    /// When it was issued.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.iat.and_then(second)
    }
}

/// RFC 7519: seconds since 1970, possibly with a fraction.
#[allow(
    clippy::cast_possible_truncation,
    reason = "a fraction of a millisecond does not matter, and the range is checked"
)]
fn second(value: f64) -> Option<Timestamp> {
    (value.is_finite() && value.abs() < 1e12).then_some(())?;
    Timestamp::from_millisecond((value * 1000.0) as i64).ok()
}
