//! Testkit.

#![warn(missing_docs)]

pub mod cloudcenter;
pub mod cloudmc;
pub mod control_plane;
pub mod dce;
pub mod keystone;
pub mod openstack;
pub mod server;
mod sigv4;
pub mod soda;
pub mod tls;
pub mod wait;
pub mod wire;
