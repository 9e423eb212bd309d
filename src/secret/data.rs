//! The keys and values of a Secret, which cannot be printed.

use std::{collections::BTreeMap, fmt};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use k8s_openapi::ByteString;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Shorter values are no secrets, and stand in many texts by chance.
const SHORTEST_SECRET: usize = 8;

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

    /// Whether one of the values stands in a text: as it is, in base64, or escaped for JSON or a URL.
    pub fn appears_in(&self, text: &str) -> bool {
        let texts = [
            text.to_owned(),
            unescaped(text, b'+'),
            unescaped(text, b' '),
        ];
        self.0
            .values()
            .filter(|value| value.len() >= SHORTEST_SECRET)
            .any(|value| {
                let plain = std::str::from_utf8(value)
                    .is_ok_and(|value| texts.iter().any(|text| text.contains(value.trim())));
                let encoded = [BASE64_STANDARD.encode(value), BASE64_URL_SAFE.encode(value)];
                plain
                    || encoded.iter().any(|encoded| {
                        let encoded = encoded.trim_end_matches('=');
                        texts.iter().any(|text| text.contains(encoded))
                    })
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

/// A text without the escapes of JSON and of URLs. `plus` stands for a plus sign, which is a blank
/// in a form.
fn unescaped(text: &str, plus: u8) -> String {
    let mut unescaped = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let mut length = 1;
        match (first, tail.first()) {
            (b'%', _) => match hex(tail, 2).and_then(|code| u8::try_from(code).ok()) {
                Some(byte) => {
                    unescaped.push(byte);
                    length = 3;
                }
                None => unescaped.push(b'%'),
            },
            (b'\\', Some(b'u')) => {
                if let Some(c) = hex(&tail[1..], 4).and_then(char::from_u32) {
                    unescaped.extend(c.to_string().bytes());
                    length = 6;
                }
            }
            (b'\\', Some(escaped)) => {
                unescaped.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                length = 2;
            }
            (b'+', _) => unescaped.push(plus),
            (other, _) => unescaped.push(*other),
        }
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&unescaped).into_owned()
}

/// The number that a text's first hexadecimal digits stand for.
fn hex(text: &[u8], digits: usize) -> Option<u32> {
    let digits = std::str::from_utf8(text.get(..digits)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
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
