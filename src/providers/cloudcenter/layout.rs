//! What stands in a Secret.

use base64::{Engine, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use super::Ask;
use crate::{plan::Credential, providers::driver, secret::SecretData};

/// What each Secret has beside the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where CloudCenter is, without a slash at the end.
    pub endpoint: String,
}

/// The value of an `Authorization` header (RFC 7617, section 2).
pub fn basic(username: &str, key: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{username}:{key}"));
    Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())))
}

/// The user name and the key in the value of such a header.
fn parts(authorization: &str) -> Option<(String, Zeroizing<String>)> {
    let pair = authorization.strip_prefix("Basic ")?;
    let pair = Zeroizing::new(BASE64_STANDARD.decode(pair).ok()?);
    let (username, key) = std::str::from_utf8(&pair).ok()?.split_once(':')?;
    Some((username.to_owned(), Zeroizing::new(key.to_owned())))
}

impl Layout {
    /// All keys of a Secret.
    pub fn data(&self, username: &str, key: &str) -> SecretData {
        SecretData::default()
            .with("username", username)
            .with("key", key)
            .with("authorization", basic(username, key).as_str())
            .with("endpoint", self.endpoint.as_str())
    }
}

impl driver::Layout for Layout {
    type Ask = Ask;

    /// The endpoint of a provider cannot be changed.
    fn digest(&self) -> Option<String> {
        None
    }

    /// From the two keys that hold name and key, and from the one that holds both; the caller knows by
    /// a digest which is right.
    fn recover(&self, _ask: &Ask, found: &SecretData, _credential: &Credential) -> Vec<SecretData> {
        let both = found.text("authorization").and_then(parts);
        let (name, key) = both.clone().unzip();
        let guess = |username: Option<&str>, key: Option<&str>| Some(self.data(username?, key?));
        let name = name.as_deref();
        let key = key.as_ref().map(|key| key.as_str());
        [
            guess(found.text("username"), found.text("key")),
            guess(name, key),
            guess(name, found.text("key")),
            guess(found.text("username"), key),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
