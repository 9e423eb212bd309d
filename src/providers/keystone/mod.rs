//! OpenStack Keystone, Identity API v3.
//!
//! What is relied upon was run against Keystone 30; where versions differ, the place that cares
//! says so. See the `README.md` in this folder.

pub mod access_key;
pub(super) mod answer;
pub mod application_credential;
pub mod client;
pub mod config;
mod driver;
mod held;
pub mod identity;
pub mod layout;
pub mod login;
pub mod names;
pub(super) mod permit;
mod projects;
pub mod session;
pub mod token;
mod users;

pub use client::Client;
pub use config::{Ask, Config, What};
pub use layout::Layout;

#[cfg(test)]
mod tests;
