//! Cisco CloudCenter (CliQr) 4.x, version 1 of the manager's REST API.
//!
//! Each user has one API key. It is read, and made anew only where a request and a grant say so, since that
//! destroys the one before (Cisco's documentation of CloudCenter 4.0, "API Management Key"). See the
//! `README.md` in this folder.
//!
//! The documentation shows no answer of a request for a key, and few refusals: what is read is read
//! tolerantly, and nothing of it is believed without a check.

pub mod answer;
pub mod api_key;
pub mod client;
pub mod config;
mod driver;
pub mod layout;
pub mod permit;
mod regenerate;
pub mod users;

pub use client::Client;
pub use config::{Ask, Config, Whose};
pub use layout::Layout;

#[cfg(test)]
mod tests;
