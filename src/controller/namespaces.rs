//! The labels of namespaces.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use super::lock;

/// The labels of namespaces, which grants are about.
#[derive(Default)]
pub struct Namespaces {
    labels: Mutex<HashMap<String, BTreeMap<String, String>>>,
}

impl Namespaces {
    /// The labels of a namespace.
    pub fn labels(&self, namespace: &str) -> BTreeMap<String, String> {
        lock(&self.labels)
            .get(namespace)
            .cloned()
            .unwrap_or_default()
    }

    /// Notes the labels of a namespace. Says whether they are news.
    pub fn set(&self, namespace: &str, labels: BTreeMap<String, String>) -> bool {
        lock(&self.labels).insert(namespace.to_owned(), labels.clone()) != Some(labels)
    }

    /// Forgets a namespace.
    pub fn remove(&self, namespace: &str) {
        lock(&self.labels).remove(namespace);
    }
}
