//! TLS servers with any certificate, good or bad, and servers that speak no TLS at all.
//!
//! The servers are for tests of clients: a [`Server`] answers every request with `{}`, once a client has
//! accepted its certificate.

mod identity;
mod openssl;
mod server;

pub use identity::{Authority, Identity, Purpose, Subject, self_signed};
pub use openssl::OpenSsl;
pub use server::{Manner, Server};
