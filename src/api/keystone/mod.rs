//! The fields for OpenStack Keystone (Identity API v3).

mod credential;
mod grant;
mod names;
mod provider;

pub use credential::{
    AccessRule, KeystoneAccessKey, KeystoneApplicationCredential, KeystoneCredential, KeystoneToken,
};
pub use grant::{KeystoneGrant, KeystoneKind, NamePattern};
pub use names::NameRef;
pub use provider::{KeystoneAuth, KeystoneLogin, KeystoneProvider, S3};
