//! References from one object to another.

use std::fmt;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The two kinds that say how to reach a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("must be the name of a provider: lower case letters, digits, '-' and '.'"))]
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
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("must be the name of a namespace"))]
    pub namespace: Option<String>,
    /// The Secret's name.
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("must be the name of a Secret: lower case letters, digits, '-' and '.'"))]
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
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("must be the name of a namespace"))]
    pub namespace: Option<String>,
    /// The Secret's name.
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("must be the name of a Secret: lower case letters, digits, '-' and '.'"))]
    #[schemars(length(max = 253))]
    pub name: String,
    /// The key in it; `ca.crt` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("must be the key of a Secret: letters, digits, '-', '_' and '.'"))]
    pub key: Option<String>,
}

impl CaBundleRef {
    /// The key that holds the certificates.
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or("ca.crt")
    }
}
