//! DaoCloud Enterprise 5.0, module `ghippo`.
//!
//! Before 0.14 an AK/SK pair is exchanged for a token (DCE documentation, "Access key", section
//! "Generate token based on key pair"); from 0.14 on an access key is itself the bearer token. See the `README.md` in this folder.

pub mod access_key;
pub mod answer;
pub mod client;
pub mod config;
pub mod jwt;
pub mod own;
pub mod token;

pub use client::Client;
pub use config::{Ask, Config, TokenAsk};
pub use token::Layout;

#[cfg(test)]
mod tests;
