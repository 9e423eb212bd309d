//! The labels of namespaces.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
};

use super::lock;

/// The labels of namespaces, which grants are about.
#[derive(Default)]
pub struct Namespaces {
    labels: Mutex<HashMap<String, BTreeMap<String, String>>>,
}

impl Namespaces {
    /// The labels of a namespace, if it is known yet. One that is not known is not one without
    /// labels: a grant may be for all namespaces that lack a label.
    pub fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        lock(&self.labels).get(namespace).cloned()
    }

    /// Notes the labels of a namespace. Says whether they are news.
    pub fn set(&self, namespace: &str, labels: BTreeMap<String, String>) -> bool {
        lock(&self.labels).insert(namespace.to_owned(), labels.clone()) != Some(labels)
    }

    /// Forgets all but some.
    pub fn retain(&self, listed: &BTreeSet<String>) {
        lock(&self.labels).retain(|name, _| listed.contains(name));
    }

    /// Forgets a namespace.
    pub fn remove(&self, namespace: &str) {
        lock(&self.labels).remove(namespace);
    }
}
