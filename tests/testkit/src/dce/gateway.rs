//! The ingress in front of ghippo: Envoy's check of the bearer token. Its answers are plain text, not ghippo's JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use uuid::Uuid;

use super::ledger::Ledger;
use super::now_ms;
use super::protocol::Refusal;
use super::signer::{Claims, ISSUER, Signer};
use crate::server::{SimRequest, text};

const NOT_A_JWT: &str =
    "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
const BAD_HEADER_BASE64: &str = "Jwt header is an invalid Base64url encoded";
const BAD_HEADER_JSON: &str = "Jwt header is an invalid JSON";
const BAD_PAYLOAD_BASE64: &str = "Jwt payload is an invalid Base64url encoded";
const BAD_PAYLOAD_JSON: &str = "Jwt payload is an invalid JSON";
const UNKNOWN_ISSUER: &str = "Jwt issuer is not configured";
const EXPIRED: &str = "Jwt is expired";
const UNKNOWN_KEY: &str = "Jwks doesn't have key to match kid or alg from Jwt";
const BAD_SIGNATURE: &str = "Jwt verification fails";

/// What the check needs of a token's header.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

/// The user whose token the request bears, or the gateway's refusal.
///
/// Two of Envoy's habits are left out. It accepts a token for a minute after its `exp`; here it dies on the dot,
/// because tests count in seconds. And it knows no revocation; here a revoked token fails as if its signature were
/// wrong.
pub(super) fn check(
    signer: &Signer,
    ledger: &Ledger,
    request: &SimRequest,
) -> Result<Uuid, Refusal> {
    let Some(token) = request.bearer() else {
        // Not the JWT check, which lets requests without a token pass, but the authorization policy behind it.
        return Err(text(StatusCode::FORBIDDEN, "RBAC: access denied").into());
    };
    let user = judge(signer, ledger, token).map_err(|reason| refusal(request, reason))?;
    ledger.used(token);
    Ok(user)
}

/// The order of the checks is Envoy's: form, issuer, time, key, signature.
fn judge(signer: &Signer, ledger: &Ledger, token: &str) -> Result<Uuid, &'static str> {
    let standing = ledger.standing(token);
    let now_ms = now_ms();
    let opaque = standing.as_ref().is_some_and(|standing| standing.opaque);
    if !opaque {
        let parts: Vec<&str> = token.split('.').collect();
        let &[header, payload, signature] = &parts[..] else {
            return Err(NOT_A_JWT);
        };
        let decoded = |part, failure| URL_SAFE_NO_PAD.decode(part).map_err(|_| failure);
        let kind: Header = serde_json::from_slice(&decoded(header, BAD_HEADER_BASE64)?)
            .map_err(|_| BAD_HEADER_JSON)?;
        let claims: Claims = serde_json::from_slice(&decoded(payload, BAD_PAYLOAD_BASE64)?)
            .map_err(|_| BAD_PAYLOAD_JSON)?;
        if claims.iss != ISSUER {
            return Err(UNKNOWN_ISSUER);
        }
        if claims
            .exp
            .is_some_and(|exp| now_ms >= exp.saturating_mul(1000))
        {
            return Err(EXPIRED);
        }
        if kind.alg != "RS256" || kind.kid != signer.kid() {
            return Err(UNKNOWN_KEY);
        }
        let message = &token[..header.len() + 1 + payload.len()];
        if !signer.is_ours(message, signature) {
            return Err(BAD_SIGNATURE);
        }
    }
    match standing {
        Some(standing) if standing.revoked => Err(BAD_SIGNATURE),
        Some(standing) if now_ms >= standing.works_until_ms => Err(EXPIRED),
        Some(standing) => Ok(standing.user),
        None => Err(BAD_SIGNATURE),
    }
}

fn refusal(request: &SimRequest, reason: &'static str) -> Refusal {
    let mut response = text(StatusCode::UNAUTHORIZED, reason);
    let (host, path) = (request.host(), &request.path);
    let challenge = format!("Bearer realm=\"http://{host}{path}\", error=\"invalid_token\"");
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response.into()
}
