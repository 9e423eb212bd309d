//! AWS Signature Version 4, which clients of S3 sign their requests with.
//!
//! Source: AWS's pages "Authenticating Requests: Using the Authorization Header" and "Signature Calculations for the
//! Authorization Header". Clients bring the signing half along; this is what a server needs to compute it again.

use aws_lc_rs::hmac;
use http::{HeaderMap, Method};
use sha2::{Digest as _, Sha256};

/// The name of the algorithm, with which the header `Authorization` and the signed text begin.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a client says of its signature, in the header `Authorization`.
pub(crate) struct Authorization<'a> {
    pub(crate) access: &'a str,
    /// Date, region, service, and `aws4_request`.
    pub(crate) scope: Vec<&'a str>,
    pub(crate) signed_headers: Vec<&'a str>,
    pub(crate) signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`; `None` when it is something else.
    pub(crate) fn read(header: &'a str) -> Option<Self> {
        let mut parts = header.strip_prefix(ALGORITHM)?.split(',').map(str::trim);
        let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
        let credential = part("Credential")?;
        let signed_headers = part("SignedHeaders")?.split(';').collect();
        let signature = part("Signature")?;
        let mut credential = credential.split('/');
        let access = credential.next()?;
        let scope: Vec<_> = credential.collect();
        matches!(scope[..], [_, _, _, "aws4_request"]).then_some(Self {
            access,
            scope,
            signed_headers,
            signature,
        })
    }
}

/// A request as it is signed.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a Method,
    /// As it stands in the request line, percent signs included.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
    /// The header `x-amz-content-sha256`.
    pub(crate) payload: &'a str,
}

impl Request<'_> {
    /// The text that is signed, with `date` as in the header `x-amz-date`.
    pub(crate) fn string_to_sign(&self, date: &str, scope: &[&str], signed: &[&str]) -> String {
        let digest = hex(&Sha256::digest(self.canonical(signed)));
        format!("{ALGORITHM}\n{date}\n{}\n{digest}", scope.join("/"))
    }

    fn canonical(&self, signed: &[&str]) -> String {
        let mut query: Vec<_> = self.query.split('&').filter(|it| !it.is_empty()).collect();
        let mut pairs: Vec<String> = query
            .drain(..)
            .map(|pair| match pair.contains('=') {
                true => pair.to_owned(),
                false => format!("{pair}="),
            })
            .collect();
        pairs.sort();
        let headers: String = signed
            .iter()
            .map(|name| {
                let values = self.headers.get_all(*name).iter();
                let values = values.map(|value| {
                    let value = value.to_str().unwrap_or_default();
                    value.split_whitespace().collect::<Vec<_>>().join(" ")
                });
                format!("{name}:{}\n", values.collect::<Vec<_>>().join(","))
            })
            .collect();
        format!(
            "{}\n{}\n{}\n{headers}\n{}\n{}",
            self.method,
            self.path,
            pairs.join("&"),
            signed.join(";"),
            self.payload,
        )
    }
}

/// The signature of a text.
pub(crate) fn signature(secret: &str, scope: &[&str], text: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope {
        key = keyed(&key, part).as_ref().to_vec();
    }
    hex(keyed(&key, text).as_ref())
}

fn keyed(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// Hexadecimal digits, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "GET Object" of AWS's documentation of Signature Version 4 for S3.
    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let header = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                      SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
                      Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        let said = Authorization::read(header).unwrap();
        assert_eq!(said.access, "AKIAIOSFODNN7EXAMPLE");
        let payload = hex(&Sha256::digest(""));
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", " bytes=0-9"),
            ("x-amz-content-sha256", &payload),
            ("x-amz-date", "20130524T000000Z"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let request = Request {
            method: &Method::GET,
            path: "/test.txt",
            query: "",
            headers: &headers,
            payload: &payload,
        };
        let text = request.string_to_sign("20130524T000000Z", &said.scope, &said.signed_headers);
        assert!(
            text.ends_with("7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"),
            "{text}"
        );
        assert_eq!(signature(secret, &said.scope, &text), said.signature);
    }

    /// The example "GET Bucket Lifecycle" of the same page: a part of the query without a value.
    #[test]
    fn a_query_without_a_value_is_signed_with_an_empty_one() {
        let payload = hex(&Sha256::digest(""));
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("x-amz-content-sha256", &payload),
            ("x-amz-date", "20130524T000000Z"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let request = Request {
            method: &Method::GET,
            path: "/",
            query: "lifecycle",
            headers: &headers,
            payload: &payload,
        };
        let scope = ["20130524", "us-east-1", "s3", "aws4_request"];
        let signed = ["host", "x-amz-content-sha256", "x-amz-date"];
        let text = request.string_to_sign("20130524T000000Z", &scope, &signed);
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        assert_eq!(
            signature(secret, &scope, &text),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
    }
}
