//! The part that all provider simulators share: a real HTTP(S) server with a call log and faults.
//!
//! What belongs here is what every provider's server can do or suffer: TLS, keep-alive, being slow, being down,
//! talking nonsense. What one provider's protocol says belongs in that provider's folder, behind [`Protocol`].
//!
//! A server runs on a thread and a tokio runtime of its own. So it may be shared by several `#[tokio::test]`
//! functions, each of which has another runtime, and all of its methods are plain blocking functions that
//! return at once.
#![warn(missing_docs)]

mod answer;
mod body;
mod calls;
mod control;
mod fault;
mod faults;
mod request;
mod route;
mod run;
#[cfg(test)]
mod tests;
mod tls;

pub use answer::{html, json, text};
pub(crate) use body::AnyBody;
pub use calls::SimCall;
pub use fault::Fault;
pub(crate) use fault::Outcome;
pub use faults::Faults;
pub use request::SimRequest;
pub use route::Route;
pub use run::{ServerOptions, SimServer};

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;

/// The answer of a protocol: small enough to be held in memory.
pub type SimResponse = Response<Bytes>;

/// An answer that has to wait for another server. `None` closes the connection without an answer.
pub type Later = BoxFuture<'static, Option<SimResponse>>;

/// What one provider's server says. The server calls it after the faults had their turn.
///
/// It is synchronous on purpose: a simulator keeps its state in memory, and a handler that cannot wait cannot
/// hold a lock across a wait. Only a system that has another one behind it answers later.
pub trait Protocol: Send + Sync + 'static {
    /// Answers one request.
    fn answer(&self, request: &SimRequest) -> SimResponse;

    /// Answers a request for which the protocol has to ask another server, or `None`: then [`Protocol::answer`] does
    /// it at once. Dropped where it stands when the client leaves.
    fn answer_later(self: Arc<Self>, request: &SimRequest) -> Option<Later> {
        let _ = request;
        None
    }

    /// Told of every request before faults are applied, so that a protocol can count also those that it never
    /// gets to answer.
    fn arrived(&self, request: &SimRequest) {
        let _ = request;
    }

    /// Answers a control request below `/_sim/` that the server itself does not know; `None` is a 404.
    /// Only asked when the server was started with [`ServerOptions::control`].
    fn control(&self, request: &SimRequest) -> Option<SimResponse> {
        let _ = request;
        None
    }
}
