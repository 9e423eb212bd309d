//! Testkit.

#![warn(missing_docs)]

pub mod control_plane;
pub mod dce;
pub mod server;
pub mod wait;
pub mod wire;
