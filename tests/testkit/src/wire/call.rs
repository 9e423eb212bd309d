//! What the proxy knows of one call, and what it means to Kubernetes.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderMap, Method};

/// How much of the body of a request is kept, in bytes.
const KEPT_BODY: usize = 1024 * 1024;

/// What a client asked: known before anything is forwarded, so that is what rules match on.
#[derive(Clone, Debug)]
pub struct CallHead {
    /// Counts the calls of one proxy from 0.
    pub seq: u64,
    /// The HTTP method.
    pub method: Method,
    /// The path, as sent (percent-encoded).
    pub path: String,
    /// What follows the `?`.
    pub query: Option<String>,
    /// The `Accept` header.
    pub accept: Option<String>,
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// All headers, `Authorization` among them.
    pub headers: HeaderMap,
    /// The first MiB of the body.
    pub request_body: Bytes,
}

/// One call, as far as it has come.
#[derive(Clone, Debug)]
pub struct Call {
    /// What was asked; its fields can be read from the call itself.
    pub head: CallHead,
    /// Whether the call was sent on to the upstream.
    pub forwarded: bool,
    /// The status that the upstream answered with, or the one that a fault put in its place; None
    /// if there was none (yet). A fault may have kept it from the client.
    pub status: Option<u16>,
    /// When the whole request was there.
    pub started: Instant,
    /// When the call was over: the last byte of the answer passed on, the connection cut, or the
    /// client gone.
    pub finished: Option<Instant>,
}

impl Deref for Call {
    type Target = CallHead;

    fn deref(&self) -> &CallHead {
        &self.head
    }
}

impl CallHead {
    pub(super) fn new(seq: u64, parts: &http::request::Parts, body: &Bytes) -> Self {
        let header = |name: HeaderName| {
            let value = parts.headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            seq,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            accept: header(ACCEPT),
            content_type: header(CONTENT_TYPE),
            user_agent: header(USER_AGENT),
            headers: parts.headers.clone(),
            request_body: body.slice(..body.len().min(KEPT_BODY)),
        }
    }

    /// Whether the method is one that can change something: not GET, HEAD or OPTIONS.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// Whether the client accepts only the metadata of objects, so that no data of a Secret can
    /// have come over the wire.
    #[must_use]
    pub fn is_metadata_only(&self) -> bool {
        let alternatives = self.accept.as_deref().unwrap_or_default().split(',');
        // Each of them: a server may choose any.
        alternatives.clone().all(|one| {
            one.split(';')
                .any(|part| part.trim().starts_with("as=PartialObjectMetadata"))
        })
    }

    /// The body as JSON; None if it is none.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.request_body).ok()
    }

    /// What the call means to a Kubernetes API server; None if its path names no resource there.
    #[must_use]
    pub fn kubernetes(&self) -> Option<KubernetesCall> {
        KubernetesCall::parse(&self.method, &self.path, self.query.as_deref())
    }

    /// The call in a few words: `create secrets`, `patch credentialrequests/status`, or `POST
    /// /v3/auth/tokens`.
    #[must_use]
    pub fn label(&self) -> String {
        match self.kubernetes() {
            Some(call) => call.label(),
            None => format!("{} {}", self.method, self.path),
        }
    }
}

/// Counts calls by their [label](CallHead::label).
#[must_use]
pub fn summarize(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.label()).or_default() += 1;
    }
    counts
}

/// A call in the words of Kubernetes, as RBAC and the audit log use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesCall {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: String,
    /// None for cluster-scoped resources and for all namespaces at once.
    pub namespace: Option<String>,
    /// The resource, in plural.
    pub resource: String,
    /// None for collections.
    pub name: Option<String>,
    /// For example `status`.
    pub subresource: Option<String>,
}

impl KubernetesCall {
    /// Follows the API server's `RequestInfoFactory` (k8s.io/apiserver,
    /// `pkg/endpoints/request/requestinfo.go`).
    fn parse(method: &Method, path: &str, query: Option<&str>) -> Option<Self> {
        let segments: Vec<_> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        let (group, rest) = match segments.as_slice() {
            ["api", _version, rest @ ..] => ("", rest),
            ["apis", group, _version, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // A namespace has these two subresources; anything else there is a resource in it.
            ["namespaces", _, "status" | "finalize"] | ["namespaces"] => (None, rest),
            ["namespaces", name] => (Some(*name), rest),
            ["namespaces", name, rest @ ..] => (Some(*name), rest),
            _ => (None, rest),
        };
        let resource = *rest.first()?;
        let name = rest.get(1).copied();
        let is_true = |parameter: &str| {
            let values = query.unwrap_or_default().split('&');
            values
                .into_iter()
                .any(|pair| pair == format!("{parameter}=true") || pair == format!("{parameter}=1"))
        };
        let verb = match (method.as_str(), name) {
            ("GET" | "HEAD", _) if is_true("watch") => "watch",
            ("GET" | "HEAD", Some(_)) => "get",
            ("GET" | "HEAD", None) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", Some(_)) => "delete",
            ("DELETE", None) => "deletecollection",
            _ => return None,
        };
        Some(Self {
            verb,
            group: group.to_owned(),
            namespace: namespace.map(str::to_owned),
            resource: resource.to_owned(),
            name: name.map(str::to_owned),
            subresource: rest.get(2).map(|part| (*part).to_owned()),
        })
    }

    fn label(&self) -> String {
        match &self.subresource {
            Some(subresource) => format!("{} {}/{subresource}", self.verb, self.resource),
            None => format!("{} {}", self.verb, self.resource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, uri: &str) -> CallHead {
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .body(())
            .unwrap();
        CallHead::new(0, &request.into_parts().0, &Bytes::new())
    }

    #[test]
    fn paths_are_read_as_the_api_server_reads_them() {
        for (method, uri, label, namespace) in [
            (
                "POST",
                "/api/v1/namespaces/a/secrets",
                "create secrets",
                Some("a"),
            ),
            ("GET", "/api/v1/secrets?limit=500", "list secrets", None),
            (
                "GET",
                "/api/v1/secrets?allowWatchBookmarks=true&watch=true",
                "watch secrets",
                None,
            ),
            (
                "GET",
                "/api/v1/namespaces/a/secrets/s",
                "get secrets",
                Some("a"),
            ),
            (
                "PUT",
                "/api/v1/namespaces/a/secrets/s",
                "update secrets",
                Some("a"),
            ),
            (
                "DELETE",
                "/api/v1/namespaces/a/secrets/s",
                "delete secrets",
                Some("a"),
            ),
            (
                "DELETE",
                "/api/v1/namespaces/a/secrets",
                "deletecollection secrets",
                Some("a"),
            ),
            (
                "PATCH",
                "/apis/example.dev/v1/namespaces/a/things/t/status",
                "patch things/status",
                Some("a"),
            ),
            (
                "GET",
                "/apis/example.dev/v1/clusterthings/t",
                "get clusterthings",
                None,
            ),
            ("GET", "/api/v1/namespaces", "list namespaces", None),
            ("GET", "/api/v1/namespaces/a", "get namespaces", Some("a")),
            (
                "PUT",
                "/api/v1/namespaces/a/finalize",
                "update namespaces/finalize",
                None,
            ),
            (
                "POST",
                "/api/v1/namespaces/a/serviceaccounts/s/token",
                "create serviceaccounts/token",
                Some("a"),
            ),
        ] {
            let call = call(method, uri);
            assert_eq!(call.label(), label, "{method} {uri}");
            assert_eq!(
                call.kubernetes().unwrap().namespace.as_deref(),
                namespace,
                "{method} {uri}"
            );
        }
    }

    #[test]
    fn a_path_that_names_no_resource_is_shown_as_it_is() {
        for (method, uri, label) in [
            ("GET", "/apis/example.dev/v1", "GET /apis/example.dev/v1"),
            ("GET", "/version?timeout=5s", "GET /version"),
            ("POST", "/v3/auth/tokens", "POST /v3/auth/tokens"),
        ] {
            assert_eq!(call(method, uri).label(), label);
        }
    }

    #[test]
    fn metadata_only_means_every_alternative() {
        let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        for (accept, expected) in [
            (Some(metadata.to_owned()), true),
            (Some(format!("{metadata}, application/json")), false),
            (Some("application/json".to_owned()), false),
            (None, false),
        ] {
            let head = CallHead {
                accept: accept.clone(),
                ..call("GET", "/api/v1/secrets")
            };
            assert_eq!(head.is_metadata_only(), expected, "{accept:?}");
        }
    }
}
