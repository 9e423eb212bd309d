//! What matters of namespaces.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
};

use super::lock;

/// What matters of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its labels, which grants are about.
    pub labels: BTreeMap<String, String>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// The namespaces.
#[derive(Default)]
pub struct Namespaces {
    known: Mutex<HashMap<String, Namespace>>,
    /// The UID of `kube-system`, which stands for the cluster.
    cluster: Mutex<String>,
}

/// The namespace that lives as long as the cluster.
const SYSTEM: &str = "kube-system";

impl Namespaces {
    /// The labels of a namespace, if it is known yet. One that is not known is not one without
    /// labels: a grant may be for all namespaces that lack a label.
    pub fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        lock(&self.known)
            .get(namespace)
            .map(|namespace| namespace.labels.clone())
    }

    /// Whether a namespace is being deleted, as far as is known.
    pub fn is_going(&self, namespace: &str) -> bool {
        lock(&self.known)
            .get(namespace)
            .is_some_and(|namespace| namespace.deleting)
    }

    /// The cluster's name for people at a provider.
    pub fn cluster(&self) -> String {
        lock(&self.cluster).clone()
    }

    /// Notes a namespace. Says whether there is news.
    pub fn set(&self, name: &str, uid: Option<String>, namespace: Namespace) -> bool {
        if let (SYSTEM, Some(uid)) = (name, uid) {
            *lock(&self.cluster) = uid;
        }
        lock(&self.known).insert(name.to_owned(), namespace.clone()) != Some(namespace)
    }

    /// Forgets all but some.
    pub fn retain(&self, listed: &BTreeSet<String>) {
        lock(&self.known).retain(|name, _| listed.contains(name));
    }

    /// Forgets a namespace.
    pub fn remove(&self, namespace: &str) {
        lock(&self.known).remove(namespace);
    }
}
