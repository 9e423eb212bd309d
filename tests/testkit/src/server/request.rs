//! A request, read completely, in the form in which protocols look at it.

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use url::form_urlencoded;

/// One request with its whole body.
#[derive(Clone, Debug)]
pub struct SimRequest {
    /// The method.
    pub method: Method,
    /// The path as it was sent, without the query.
    pub path: String,
    /// The query as it was sent, without the question mark; empty when there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most one MiB: larger ones are answered with 413 before a protocol sees them.
    pub body: Bytes,
}

impl SimRequest {
    /// The decoded value of a query parameter; the first one when it is given twice.
    pub fn query_param(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The token of `Authorization: Bearer …`.
    pub fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ")
    }

    /// The value of the `Host` header, empty when there is none.
    pub fn host(&self) -> &str {
        let value = self.headers.get(header::HOST);
        value.and_then(|host| host.to_str().ok()).unwrap_or("")
    }

    /// The body as text, without white space around it; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}
