//! A client of S3 that makes one signed call, for stories that only ask whether a pair is taken. That real clients are
//! understood is shown by `boto3` and `aws`.

use anyhow::{Context as _, Result};
use http::{HeaderMap, Method};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::SodaSimulator;
use crate::sigv4::{ALGORITHM, Request, hex, signature};

/// The headers that are signed.
const SIGNED: [&str; 3] = ["host", "x-amz-content-sha256", "x-amz-date"];

impl SodaSimulator {
    /// Asks SODA's S3 for the list of buckets, with a request that is signed with a pair: the status, and the body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn list_buckets(&self, access: &str, secret: &str) -> Result<(u16, String)> {
        let url: Url = self.s3_endpoint().parse()?;
        let host = format!(
            "{}:{}",
            url.host_str().context("no host")?,
            url.port().context("no port")?
        );
        let date = jiff::Timestamp::now()
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        let payload = hex(&Sha256::digest(""));
        let mut headers = HeaderMap::new();
        for (name, value) in SIGNED.into_iter().zip([&host, &payload, &date]) {
            headers.insert(name, value.parse()?);
        }
        let scope = [&date[..8], "us-east-1", "s3", "aws4_request"];
        let request = Request {
            method: &Method::GET,
            path: "/",
            query: "",
            headers: &headers,
            payload: &payload,
        };
        let signature = signature(
            secret,
            &scope,
            &request.string_to_sign(&date, &scope, &SIGNED),
        );
        let authorization = format!(
            "{ALGORITHM} Credential={access}/{}, SignedHeaders={}, Signature={signature}",
            scope.join("/"),
            SIGNED.join(";")
        );
        headers.insert("authorization", authorization.parse()?);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(url).headers(headers).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}
