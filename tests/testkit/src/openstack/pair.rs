//! The question with which an S3 service asks Keystone whether a request is signed by a pair of
//! keys.
//!
//! Source: `keystone/api/s3tokens.py` of Keystone 30.0.0, which computes the signature again, and
//! AWS's description of Signature Version 4.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::REGION;
use crate::sigv4::{hex, signature};

/// The body of `POST /v3/s3tokens`, about a request that was made now.
pub(super) fn question(access: &str, secret: &str) -> Value {
    let now = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let text = string_to_sign(&now);
    json!({"credentials": {
        "access": access,
        "token": URL_SAFE.encode(&text),
        "signature": signature(secret, &[&now[..8], REGION, "s3", "aws4_request"], &text),
    }})
}

/// What a client signs: `now`, and a digest of a request. Nobody makes that request, and Keystone
/// does not see more than the digest of any.
fn string_to_sign(now: &str) -> String {
    let request = hex(&Sha256::digest("GET\n/\n"));
    let date = &now[..8];
    format!("AWS4-HMAC-SHA256\n{now}\n{date}/{REGION}/s3/aws4_request\n{request}")
}
