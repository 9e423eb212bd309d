//! SODA multi-cloud, later named strato: `/v1/{project}/aksks`.
//!
//! SODA keeps its keys in a Keystone, and so a pair is made and revoked there; SODA is asked to show it,
//! which proves that its S3 accepts it. Its own `POST` is used only where a request says so, and its
//! `DELETE`, which destroys all keys of a user, in `ending` alone, where a request and a grant say so. What is
//! relied upon was seen on both generations of its services in front of a Keystone 30. See the `README.md` in
//! this folder.

mod access_key;
mod answer;
pub mod client;
pub mod config;
mod doubt;
mod driver;
mod ending;
mod permit;
mod shared;

pub use client::Client;
pub use config::{Ask, Config, Way};
pub use driver::Layout;

#[cfg(test)]
mod tests;
