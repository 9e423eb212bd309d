//! CloudMC (CloudOps), and what is built upon it, such as cloud.ca.
//!
//! A user's keys for the services behind CloudMC are read from it (CloudMC API documentation,
//! "Service connections", section "Retrieve API credentials"), with an API key of that user. Nothing is
//! ever made or changed there. Two calls are left out on purpose: the parameters of a connection, which
//! are the admin credentials of the provider itself ("Retrieve connection parameters"), and the
//! regeneration of keys, which the portal has a button for and no documentation a call. See the
//! `README.md` in this folder.

pub mod answer;
pub mod client;
pub mod config;
mod driver;
pub mod fields;
pub mod layout;
pub mod names;
pub mod permit;
pub mod service_keys;

pub use client::Client;
pub use config::{Ask, Config};
pub use driver::Layout;

#[cfg(test)]
mod tests;
