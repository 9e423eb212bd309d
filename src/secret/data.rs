//! The keys and values of a Secret, which cannot be printed.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::ByteString;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The operator's keys of a Secret with their values. Has no `Debug` output but its keys, no
/// serialization, and is wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretData(BTreeMap<String, Vec<u8>>);

impl SecretData {
    /// Adds a key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// One value.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(Vec::as_slice)
    }

    /// One value that is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The keys and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()))
    }

    /// Those keys of a Secret that are named.
    pub fn select<'a>(
        data: Option<&BTreeMap<String, ByteString>>,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut selected = BTreeMap::new();
        for key in keys {
            if let Some(value) = data.and_then(|data| data.get(key)) {
                selected.insert(key.to_owned(), value.0.clone());
            }
        }
        SecretData(selected)
    }

    /// Whether one of the values stands in a text, as it is or in base64.
    pub fn appears_in(&self, text: &str) -> bool {
        self.0
            .values()
            .filter(|value| value.len() >= 8)
            .any(|value| {
                let plain = std::str::from_utf8(value).is_ok_and(|value| text.contains(value));
                plain || text.contains(BASE64_STANDARD.encode(value).trim_end_matches('='))
            })
    }

    /// A digest over keys and values, to notice a change by.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (key, value) in &self.0 {
            for part in [key.as_bytes(), value.as_slice()] {
                hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(part);
            }
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Drop for SecretData {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            value.zeroize();
        }
    }
}

impl ZeroizeOnDrop for SecretData {}
