//! How requests and providers are named inside the operator.

use std::fmt;

use crate::api::reference::{ProviderKind, ProviderRef};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A provider of either kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderKey {
    /// Which kind.
    pub kind: ProviderKind,
    /// Its namespace; none for a cluster provider.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ProviderKey {
    /// The provider that a request in a namespace refers to.
    pub fn of(reference: &ProviderRef, namespace: &str) -> Self {
        ProviderKey {
            kind: reference.kind,
            namespace: match reference.kind {
                ProviderKind::ClusterCredentialProvider => None,
                ProviderKind::CredentialProvider => Some(namespace.to_owned()),
            },
            name: reference.name.clone(),
        }
    }
}

impl fmt::Display for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            None => write!(f, "{} {}", self.kind, self.name),
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// A Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_of_one_name_are_told_apart_by_kind_and_namespace() {
        let reference = |kind| ProviderRef {
            kind,
            name: "acme".into(),
        };
        let cluster = reference(ProviderKind::ClusterCredentialProvider);
        let own = reference(ProviderKind::CredentialProvider);
        let names = [(&cluster, "a"), (&own, "a"), (&own, "b")]
            .map(|(reference, namespace)| ProviderKey::of(reference, namespace).to_string());
        assert_eq!(
            names,
            [
                "ClusterCredentialProvider acme",
                "CredentialProvider a/acme",
                "CredentialProvider b/acme"
            ]
        );
    }
}
