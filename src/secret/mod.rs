//! Credentials as Secret data: what stands in a Secret, whose it is, and how it is written.
//!
//! Pure: nothing in here talks to the API server. Rule of the house: a Secret that is not the
//! request's own is never written, and of its own only the operator's keys, labels and annotations.

mod compare;
mod data;
mod profile;
mod read;
mod write;

pub use compare::{Differences, compare};
pub use data::SecretData;
pub use profile::{aws_profile, fits_profile, is_of_profile};
pub use read::{Known, classify, held_id, known_by_status};
pub use write::{Write, adopt, create, placeholder, publish, repair};

use crate::api::annotations;

/// What the operator needs to know of a request to recognise and write its Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The request's namespace.
    pub namespace: String,
    /// The request's name.
    pub name: String,
    /// The request's UID.
    pub uid: String,
    /// The provider, as it stands in the annotation.
    pub provider: String,
    /// The kind of credential, by the fields of a request that ask for it.
    pub credential: String,
    /// The Secret's name.
    pub secret_name: String,
    /// Whether the Secret stays when the request is deleted, so that it has no owner reference.
    pub retain: bool,
    /// Whether it is the Secret that the provider logs in with: whoever corrects that by hand must not find it
    /// undone.
    pub is_login: bool,
}

/// The annotations that the operator writes, and nothing else's.
const OURS: &[&str] = &[
    annotations::REQUEST,
    annotations::SERIAL,
    annotations::PROVIDER,
    annotations::CREDENTIAL,
    annotations::CREDENTIAL_ID,
    annotations::OWNER,
    annotations::ISSUED_AT,
    annotations::EXPIRES_AT,
    annotations::ASKED,
    annotations::ROTATION,
    annotations::LEAK,
    annotations::LAYOUT,
    annotations::RETAINED,
    annotations::KEYS,
    annotations::CONTENT,
    annotations::UNVERIFIED,
];

#[cfg(test)]
mod tests;
