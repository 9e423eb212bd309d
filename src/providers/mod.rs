//! The identity systems, one folder each. Nothing outside this folder and `api/` names a system.
//!
//! A further system is a folder like the others and a variant in [`systems`], the only list; the
//! compiler then says what is missing, the rows of [`kinds`] among it. What a system does not decide: when it is asked, how often,
//! what becomes of its answers, and how they look in a Secret's metadata.

pub mod certificates;
pub mod characters;
pub mod cloudcenter;
pub mod cloudmc;
pub mod dce;
pub mod driver;
pub mod glob;
pub mod guard;
pub mod handshake;
pub mod http;
mod http_body;
pub mod keystone;
pub mod kinds;
mod retry_after;
pub mod soda;
pub mod systems;
pub mod tls;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    api::{
        Reason,
        provider::Grant,
        reference::{CaBundleRef, SecretRef},
    },
    plan::{Credential, Failure, Proof, Refusal},
    secret::SecretData,
};
use characters::Charset;
pub use systems::{Ask, Connection, Kind, Layout, System};

/// What every system has: where it is and how it is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The base URL, without a slash at the end of its path.
    pub endpoint: Url,
    /// The field of the provider with that URL.
    pub field: &'static str,
    /// Further servers to which the login, or a token that the login gets, is sent. The same
    /// certificates are trusted there.
    pub also: Vec<Server>,
    /// The certificates to trust, instead of the public ones.
    pub ca: Option<CaBundleRef>,
    /// Whether the server's certificate is not checked.
    pub skip_verify: bool,
    /// The Secret with the login.
    pub login: SecretRef,
}

/// A further server of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// The field of the provider with its URL.
    pub field: &'static str,
    /// Its base URL.
    pub endpoint: Url,
}

impl Reach {
    /// The URLs of all servers to which the login, or a token that the login gets, is sent.
    pub fn endpoints(&self) -> impl Iterator<Item = &Url> {
        self.servers().map(|(_, endpoint)| endpoint)
    }

    /// The same servers, each with the field of the provider that names it.
    pub fn servers(&self) -> impl Iterator<Item = (&'static str, &Url)> {
        let also = self.also.iter();
        std::iter::once((self.field, &self.endpoint))
            .chain(also.map(|server| (server.field, &server.endpoint)))
    }
}

/// A value of a login Secret that the system needs.
pub struct LoginKey {
    /// The field of the provider that names the key.
    pub field: &'static str,
    /// The key.
    pub key: String,
    /// Whether the login cannot be without it.
    pub required: bool,
    /// Which characters its value may have.
    pub charset: Charset,
}

/// The values of a login Secret, by their keys.
#[derive(Default)]
pub struct LoginValues {
    values: BTreeMap<String, SecretString>,
    /// The provider's id of the login, where the operator itself has put it into the Secret.
    pub id: Option<String>,
}

impl LoginValues {
    /// Notes a value.
    pub fn insert(&mut self, key: String, value: SecretString) {
        self.values.insert(key, value);
    }

    /// A value.
    pub fn get(&self, key: &str) -> Option<&SecretString> {
        self.values.get(key)
    }

    /// A value, or an empty one.
    pub fn expect(&self, key: &str) -> SecretString {
        self.get(key).cloned().unwrap_or_default()
    }

    /// Whether a value stands in a text.
    pub fn appear_in(&self, text: &str) -> bool {
        self.values.values().any(|value| {
            let value = value.expose_secret();
            value.len() >= 8 && text.contains(value)
        })
    }
}

/// From what the names are derived under which a credential is known at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The UID of the request.
    pub uid: String,
    /// The serial of the credential.
    pub serial: u64,
    /// The cluster, for people: the UID of its namespace `kube-system`.
    pub cluster: String,
    /// The namespace of the request, for people.
    pub namespace: String,
    /// The name of the request, for people.
    pub name: String,
    /// The provider's id of the credential in hand, if it has this serial; else of the one that the
    /// request's Secret holds, as far as that is known. A hint, for kinds whose credentials have no
    /// derived name.
    pub held: Option<String>,
}

impl Identity {
    /// The name of what is made, where a system lets one choose a name.
    pub fn label(&self) -> String {
        format!("credential-operator-{}-{}", self.uid, self.serial)
    }
}

/// A credential to be revoked: by what it is known, and whose it should be.
pub struct Holder<'a> {
    /// By what it is known.
    pub identity: &'a Identity,
    /// Whom it belonged to at the provider when it was issued, as far as is known. A hint.
    pub owner: Option<&'a str>,
    /// Whether the request itself goes, and not only what was replaced.
    pub is_last: bool,
    /// The grants that reach the request. None is needed to revoke what is the request's own.
    pub permission: Option<&'a Permission>,
}

/// The grants that reach a request, to be held against what the provider says.
#[derive(Clone, Debug)]
pub struct Permission {
    /// The grants for the request's namespace.
    pub grants: Vec<Grant>,
    /// What a request is told that none of them is about.
    pub refusal: Refusal,
    /// Whether the request's Secret is the one that the provider logs in with.
    pub is_login: bool,
    /// Whether it is, and stays when the request goes: then the login follows when its own credential
    /// changes.
    pub renews_login: bool,
}

impl Permission {
    /// A digest of what is permitted.
    pub fn digest(&self) -> String {
        let mut text = serde_json::to_string(&self.grants).unwrap_or_default();
        if self.is_login {
            text.push_str("is the login");
        }
        if self.renews_login {
            text.push_str("renews the login");
        }
        Sha256::digest(text)
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What came of asking for a credential.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // Who keeps one puts it into a box.
pub enum Issuance {
    /// There it is.
    Issued(Issued),
    /// Something by its name is there already.
    Taken,
}

/// A credential as the provider gave it.
#[derive(Debug)]
pub struct Issued {
    /// What is known about it. The serial and the digest of what was asked for are the caller's.
    pub credential: Credential,
    /// What goes into the Secret.
    pub data: SecretData,
    /// What people have to be told about it, though it works. Nothing secret.
    pub remark: Option<String>,
}

/// A key that the provider has made anew.
#[derive(Debug)]
pub struct Regenerated {
    /// The new key.
    pub issued: Issued,
    /// Whether it could be proven. It is published all the same: nothing else works any more.
    pub proof: Proof,
}

/// Why a key was not made anew, as far as is known.
#[derive(Debug)]
pub struct NotRegenerated {
    /// What happened.
    pub failure: Failure,
    /// Whether the provider was told.
    pub told: Told,
}

/// Whether a provider was told to do what cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was not: the same can be tried again.
    No,
    /// It was, and has refused.
    Refused,
    /// Nobody knows.
    Perhaps,
}

impl From<Failure> for NotRegenerated {
    /// A failure before the provider was told.
    fn from(failure: Failure) -> Self {
        NotRegenerated {
            failure,
            told: Told::No,
        }
    }
}

/// A system was asked for what it does not have; that is refused long before.
fn crossed() -> Failure {
    http::failed(
        Reason::InternalError,
        "the provider was asked for something that its system does not have",
    )
}
