//! Syncs credentials of cloud identity systems into Kubernetes Secrets.
//!
//! [`plan`] decides, [`controller`] does, [`providers`] knows the systems, [`secret`] knows what a
//! Secret looks like, and [`api`] is what people write.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

pub mod api;
pub mod args;
pub mod clock;
pub mod controller;
pub mod metrics;
pub mod plan;
pub mod providers;
pub mod secret;
pub mod server;
