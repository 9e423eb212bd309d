//! The question with which an S3 service asks Keystone whether a request is signed by a pair of
//! keys.
//!
//! Source: `keystone/api/s3tokens.py` of Keystone 30.0.0, which computes the signature again, and
//! AWS's description of Signature Version 4.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::REGION;

/// The body of `POST /v3/s3tokens`, about a request that was made now.
pub(super) fn question(access: &str, secret: &str) -> Value {
    let now = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let text = string_to_sign(&now);
    json!({"credentials": {
        "access": access,
        "token": URL_SAFE.encode(&text),
        "signature": signature(secret, &now[..8], REGION, &text),
    }})
}

/// What a client signs: `now`, and a digest of a request. Nobody makes that request, and Keystone
/// does not see more than the digest of any.
fn string_to_sign(now: &str) -> String {
    let request = hex(&Sha256::digest("GET\n/\n"));
    let date = &now[..8];
    format!("AWS4-HMAC-SHA256\n{now}\n{date}/{REGION}/s3/aws4_request\n{request}")
}

fn signature(secret: &str, date: &str, region: &str, text: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, "s3", "aws4_request"] {
        key = keyed(&key, part).as_ref().to_vec();
    }
    hex(keyed(&key, text).as_ref())
}

fn keyed(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "GET Object" of AWS's documentation of Signature Version 4 for S3.
    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let text = "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\
                    7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972";
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        assert_eq!(
            signature(secret, "20130524", "us-east-1", text),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }
}
