//! SODA's S3 endpoint, as far as it takes to use a pair: the check of a signature, and a few calls behind it.
//!
//! Source: `api/pkg/filters/signature` (`v4-parser.go`, `v4.go`), and what the unmodified services of both generations
//! answered: an access key that is not 5 to 20 characters of `[a-zA-Z0-9-._~]` is answered with 403,
//! `InvalidAccessKeyId`, as one that Keystone does not know is, whoever lists it.
//!
//! What differs from the real one: that one lists all credentials of all users for each call, and fails for everybody
//! when one of them is no JSON; this one asks Keystone for the one credential. Signatures in the query, signatures of
//! version 2 and bodies that are signed piece by piece are not simulated.

use std::sync::Arc;

use http::{Method, StatusCode};
use jiff::fmt::strtime;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::buckets::Buckets;
use super::protocol::Soda;
use crate::server::{Later, Protocol, SimRequest, SimResponse};
use crate::sigv4::{Authorization, Request, hex, signature};

/// How far a client's clock may be off, in seconds.
const SKEW: i64 = 15 * 60;

/// The endpoint.
pub(super) struct S3 {
    pub(super) soda: Arc<Soda>,
    pub(super) buckets: Buckets,
}

/// A refusal: the code and its status.
pub(super) struct Refused(pub(super) &'static str, pub(super) StatusCode);

/// The pair is none, or none that is known.
const INVALID_ACCESS_KEY: Refused = Refused("InvalidAccessKeyId", StatusCode::FORBIDDEN);

impl Protocol for S3 {
    /// Every call is answered later: Keystone is asked first.
    fn answer(&self, _: &SimRequest) -> SimResponse {
        refuse(&Refused("InternalError", StatusCode::INTERNAL_SERVER_ERROR))
    }

    fn answer_later(self: Arc<Self>, request: &SimRequest) -> Option<Later> {
        let request = request.clone();
        Some(Box::pin(async move {
            let answer = match self.project_of(&request).await {
                Ok(project) => self.buckets.serve(&project, &request),
                Err(refused) => Err(refused),
            };
            Some(answer.unwrap_or_else(|refused| refuse(&refused)))
        }))
    }
}

impl S3 {
    /// The project of the pair that a request is signed with.
    async fn project_of(&self, request: &SimRequest) -> Result<String, Refused> {
        let malformed = Refused("AuthorizationHeaderMalformed", StatusCode::BAD_REQUEST);
        let header = request.header("authorization");
        if header.is_empty() {
            return Err(Refused("AccessDenied", StatusCode::FORBIDDEN));
        }
        let said = Authorization::read(header).ok_or(malformed)?;
        if !is_access_key(said.access) {
            return Err(INVALID_ACCESS_KEY);
        }
        if said.scope[2] != "s3" {
            return Err(Refused(
                "AuthorizationHeaderMalformed",
                StatusCode::BAD_REQUEST,
            ));
        }
        let signs = |name: &str| said.signed_headers.contains(&name);
        let mut amz = request.headers.keys().map(http::HeaderName::as_str);
        if !signs("host") || amz.any(|name| name.starts_with("x-amz-") && !signs(name)) {
            return Err(Refused("AccessDenied", StatusCode::FORBIDDEN));
        }
        let date = request.header("x-amz-date");
        let parsed = strtime::parse("%Y%m%dT%H%M%SZ", date).and_then(|time| time.to_datetime());
        let parsed = parsed.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC));
        let time = parsed.map_err(|_| Refused("AccessDenied", StatusCode::FORBIDDEN))?;
        let off = jiff::Timestamp::now().duration_since(time.timestamp());
        if off.as_secs().abs() > SKEW || !date.starts_with(said.scope[0]) {
            return Err(Refused("RequestTimeTooSkewed", StatusCode::FORBIDDEN));
        }
        let payload = request.header("x-amz-content-sha256");
        if payload != "UNSIGNED-PAYLOAD" && payload != hex(&Sha256::digest(&request.body)) {
            return Err(Refused(
                "XAmzContentSHA256Mismatch",
                StatusCode::BAD_REQUEST,
            ));
        }
        let pair = self.pair(said.access).await?;
        let signed = Request {
            method: &request.method,
            path: &request.path,
            query: &request.query,
            headers: &request.headers,
            payload,
        };
        let text = signed.string_to_sign(date, &said.scope, &said.signed_headers);
        if signature(&pair.secret, &said.scope, &text) != said.signature {
            return Err(Refused("SignatureDoesNotMatch", StatusCode::FORBIDDEN));
        }
        Ok(pair.project)
    }

    /// What Keystone has under an access key. As the real one, it drops every backslash before it reads the blob.
    async fn pair(&self, access: &str) -> Result<Known, Refused> {
        let found = self.soda.link.key(access).await;
        let found = found.map_err(|_| INVALID_ACCESS_KEY)?;
        let found = found.ok_or(INVALID_ACCESS_KEY)?;
        let blob = found["blob"].as_str().unwrap_or_default();
        let blob: Value =
            serde_json::from_str(&blob.replace('\\', "")).map_err(|_| INVALID_ACCESS_KEY)?;
        if blob["access"] != access {
            return Err(INVALID_ACCESS_KEY);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Known {
            secret: text(&blob["secret"]),
            project: text(&found["project_id"]),
        })
    }
}

/// A pair of Keystone's.
struct Known {
    secret: String,
    project: String,
}

/// What SODA's S3, and MinIO, take for an access key.
fn is_access_key(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (5..=20).contains(&text.len()) && text.bytes().all(is_fit)
}

fn refuse(Refused(code, status): &Refused) -> SimResponse {
    let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    super::buckets::xml(*status, &body)
}

impl Refused {
    /// The call is one that is not simulated.
    pub(super) fn not_simulated(method: &Method) -> Self {
        match *method {
            Method::GET | Method::PUT | Method::HEAD | Method::DELETE => {
                Refused("NotImplemented", StatusCode::NOT_IMPLEMENTED)
            }
            _ => Refused("MethodNotAllowed", StatusCode::METHOD_NOT_ALLOWED),
        }
    }
}
