//! Syncs credentials of cloud identity systems into Kubernetes Secrets.
//!
//! [`plan`] decides, [`controller`] does, [`providers`] knows the systems, [`secret`] knows what a
//! Secret looks like, and [`api`] is what people write.

pub mod api;
pub mod args;
pub mod clock;
pub mod controller;
pub mod metrics;
pub mod plan;
pub mod providers;
pub mod secret;
pub mod server;
