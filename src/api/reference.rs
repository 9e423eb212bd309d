//! References from one object to another.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A DNS subdomain (RFC 1123): labels that begin and end with a letter or digit, with dots between.
macro_rules! subdomain {
    () => {
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')"
    };
}

/// What the name of a Secret looks like, and what is said of one that does not.
pub(super) const SECRET_NAME: (&str, &str) = (
    subdomain!(),
    "must be the name of a Secret: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit",
);

/// The same for the name of a provider.
const PROVIDER_NAME: (&str, &str) = (
    subdomain!(),
    "must be the name of a provider: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit",
);

/// The same for a key of a Secret.
pub(super) const SECRET_KEY: (&str, &str) = (
    "self.matches('^[-._a-zA-Z0-9]+$')",
    "must be the key of a Secret: letters, digits, '-', '_' and '.'",
);

/// The two kinds that say how to reach a provider.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ProviderKind {
    /// One that several namespaces may use, as its grants say.
    ClusterCredentialProvider,
    /// One of the request's own namespace.
    CredentialProvider,
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProviderKind::ClusterCredentialProvider => "ClusterCredentialProvider",
            ProviderKind::CredentialProvider => "CredentialProvider",
        })
    }
}

/// The provider that a request asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderRef {
    /// `ClusterCredentialProvider`, or `CredentialProvider` for one of the request's own namespace.
    pub kind: ProviderKind,
    /// The provider's name.
    #[x_kube(validation = PROVIDER_NAME)]
    #[schemars(length(max = 253))]
    pub name: String,
}

impl fmt::Display for ProviderRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// A Secret that a provider reads, or one key of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret's namespace. Required in a `ClusterCredentialProvider`; not accepted in a
    /// `CredentialProvider`, which reads Secrets of its own namespace alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "must be the name of a namespace: lower case letters, digits and '-'"))]
    pub namespace: Option<String>,
    /// The Secret's name.
    #[x_kube(validation = SECRET_NAME)]
    #[schemars(length(max = 253))]
    pub name: String,
}

/// One key of a Secret that holds certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaBundleRef {
    /// The Secret's namespace. Required in a `ClusterCredentialProvider`; not accepted in a
    /// `CredentialProvider`, which reads Secrets of its own namespace alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = ("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "must be the name of a namespace: lower case letters, digits and '-'"))]
    pub namespace: Option<String>,
    /// The Secret's name.
    #[x_kube(validation = SECRET_NAME)]
    #[schemars(length(max = 253))]
    pub name: String,
    /// The key in it; `ca.crt` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_KEY)]
    pub key: Option<String>,
}

impl CaBundleRef {
    /// The key that holds the certificates.
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or("ca.crt")
    }
}
