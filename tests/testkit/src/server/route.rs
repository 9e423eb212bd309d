//! Which requests a fault or a question is about.

use http::Method;

/// A set of requests: a method, or any, and a pattern for the path.
///
/// In the pattern `*` stands for any run of characters, also an empty one and also one with slashes; everything else
/// is literal. The query is not looked at. Written as text: `"*"`, `"*/token"`, `"GET */token"`, `"DELETE /v1/users/*/keys"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    method: Option<Method>,
    pattern: String,
}

impl Route {
    /// Every request.
    pub fn any() -> Self {
        Self::from("*")
    }

    /// Whether a request with this method and path belongs to the set.
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method) && glob(&self.pattern, path)
    }
}

impl From<&str> for Route {
    /// Panics on a method that HTTP does not allow: the caller is a test.
    fn from(text: &str) -> Self {
        match text.split_once(' ') {
            Some((method, pattern)) => Route {
                method: Some(method.parse().expect("a method before the space")),
                pattern: pattern.to_owned(),
            },
            None => Route {
                method: None,
                pattern: text.to_owned(),
            },
        }
    }
}

impl From<&Route> for Route {
    fn from(route: &Route) -> Self {
        route.clone()
    }
}

/// The pieces between stars must occur in order, the first at the start and the last at the end.
fn glob(pattern: &str, path: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(mut left) = path.strip_prefix(first) else {
        return false;
    };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        let Some(at) = left.find(piece) else {
            return false;
        };
        left = &left[at + piece.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_matches_by_method_and_pattern() {
        let cases = [
            ("*", "GET", "/", true),
            ("/a", "GET", "/a", true),
            ("/a", "GET", "/a/", false),
            ("*/token", "POST", "/dce/x/token", true),
            ("*/token", "GET", "/token/x", false),
            ("GET */token", "POST", "/x/token", false),
            ("/u/*/keys", "GET", "/u/7/keys", true),
            ("/u/*/keys", "GET", "/u/keys", false),
            ("/u/*/keys/*", "GET", "/u/7/keys/3", true),
            ("a*b*a", "GET", "aba", true),
            ("aa*aa", "GET", "aaa", false),
        ];
        for (route, method, path, expected) in cases {
            let matched = Route::from(route).matches(&method.parse().unwrap(), path);
            assert_eq!(matched, expected, "{route} against {method} {path}");
        }
    }
}
