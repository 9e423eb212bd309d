//! A request, read completely, in the form in which protocols look at it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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

    /// User and password of `Authorization: Basic …`. The password begins after the first colon.
    pub fn basic(&self) -> Option<(String, String)> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// The value of a header, empty when there is none or it is not ASCII.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The value of the `Host` header, empty when there is none.
    pub fn host(&self) -> &str {
        self.header(header::HOST.as_str())
    }

    /// The segments of the path, each decoded on its own, so that an encoded slash does not make two of one. A slash at
    /// the end makes no segment. `None` when an escape is broken or does not give UTF-8.
    pub fn segments(&self) -> Option<Vec<String>> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let path = path.strip_suffix('/').unwrap_or(path);
        path.split('/').map(decoded).collect()
    }

    /// The body as text, without white space around it; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

/// Undoes percent encoding. A plus sign stays one: that it is a space is a rule of queries.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit()? * 16 + digit()?;
                u8::try_from(value).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, authorization: Option<&str>) -> SimRequest {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        SimRequest {
            method: Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers,
            body: Bytes::new(),
        }
    }

    #[test]
    fn a_path_is_split_before_it_is_decoded() {
        let cases: [(&str, Option<&[&str]>); 8] = [
            ("/a/b", Some(&["a", "b"])),
            ("/a/b/", Some(&["a", "b"])),
            ("/", Some(&[""])),
            ("/a//b", Some(&["a", "", "b"])),
            ("/a%2Fb/..%2f/c+d", Some(&["a/b", "../", "c+d"])),
            ("/%C3%BC%20%3f", Some(&["ü ?"])),
            ("/%zz", None),
            ("/%ff", None),
        ];
        for (path, expected) in cases {
            let segments = request(path, None).segments();
            let expected = expected.map(|e| e.iter().map(|s| (*s).to_owned()).collect());
            assert_eq!(segments, expected, "{path}");
        }
    }

    #[test]
    fn a_basic_password_may_hold_colons() {
        let encoded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        let cases = [
            (encoded("u:p"), pair("u", "p")),
            (encoded("a@b,1:p:q"), pair("a@b,1", "p:q")),
            (encoded(":"), pair("", "")),
            (encoded("none"), None),
            ("Basic !".to_owned(), None),
            ("Bearer x".to_owned(), None),
        ];
        for (value, expected) in cases {
            assert_eq!(request("/", Some(&value)).basic(), expected, "{value}");
        }
        assert_eq!(request("/", None).basic(), None);
    }
}
