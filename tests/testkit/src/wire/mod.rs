//! A proxy on the wire: between the operator and the API server, or between the operator and a
//! provider.
//!
//! It lists what is called, and makes go wrong what goes wrong between two machines, so that the
//! product needs no code for it: calls are held before they are forwarded or after they have been
//! served, cut, delayed, answered falsely.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use testkit::wire::{Fault, WireProxy};
//!
//! let proxy = WireProxy::start("http://127.0.0.1:8080", None)?;
//! let held = proxy.rule(|call| call.label() == "create secrets", Fault::HoldAfter, Some(1));
//! // start the operator with proxy.url() …
//! held.hit(Duration::from_secs(10)).await?; // the Secret is there, and the operator does not know
//! // kill it …
//! # Ok(())
//! # }
//! ```
//!
//! It speaks HTTP/1.1 without upgrades (no `exec`, no `port-forward`). Answers are passed on as
//! they come, watches included; requests are read whole before they are forwarded. A server that is
//! not there looks to the client as it would without a proxy: the connection is cut.

mod body;
mod call;
mod certificate;
mod connections;
mod fault;
mod forward;
mod journal;
mod tcp;
mod tls;
mod upstream;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio::runtime::Runtime;

pub use call::{Call, CallHead, KubernetesCall, summarize};
pub use certificate::Certificate;
pub use fault::{Fault, ResponseParts, RuleHandle};
pub use tcp::{TcpFault, TcpProxy};

use connections::Switch;
use fault::Rules;
use forward::Shared;
use journal::Journal;
use upstream::Upstream;

/// A running proxy. It has threads and a runtime of its own, so it can be shared between tests; it
/// stops when dropped.
pub struct WireProxy {
    url: String,
    address: SocketAddr,
    ca_pem: Option<String>,
    journal: Arc<Journal>,
    rules: Arc<Rules>,
    switch: Switch,
    /// Some until dropped.
    runtime: Option<Runtime>,
}

/// A place in the list of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl WireProxy {
    /// Starts a proxy that speaks plain HTTP to its clients. `upstream` is a scheme and an
    /// authority, such as `https://127.0.0.1:6443`; with `https`, `ca_pem` must vouch for its
    /// certificate.
    ///
    /// # Errors
    /// When `upstream` or `ca_pem` cannot be understood.
    pub fn start(upstream: &str, ca_pem: Option<&str>) -> Result<Self> {
        Self::launch(upstream, ca_pem, None)
    }

    /// Starts a proxy that speaks HTTPS to its clients, with a certificate for `127.0.0.1` and
    /// `localhost` by an authority of its own ([`ca_pem`](Self::ca_pem)).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_tls(upstream: &str, ca_pem: Option<&str>) -> Result<Self> {
        Self::launch(upstream, ca_pem, Some(Certificate::for_loopback()?))
    }

    fn launch(
        upstream: &str,
        ca_pem: Option<&str>,
        certificate: Option<Certificate>,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let port = address.port();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("wire-proxy")
            .enable_all()
            .build()?;
        let (journal, rules) = (Arc::<Journal>::default(), Arc::<Rules>::default());
        let shared = Arc::new(Shared {
            upstream: Upstream::new(upstream, ca_pem)?,
            journal: Arc::clone(&journal),
            rules: Arc::clone(&rules),
        });
        let tls = certificate.as_ref().map(tls::server_config).transpose()?;
        let switch = Switch::default();
        runtime.spawn(connections::accept(
            listener,
            tls.map(Arc::new),
            switch.clone(),
            shared,
        ));
        let scheme = if certificate.is_some() {
            "https"
        } else {
            "http"
        };
        Ok(Self {
            url: format!("{scheme}://127.0.0.1:{port}"),
            address,
            ca_pem: certificate.map(|certificate| certificate.ca_pem().to_owned()),
            journal,
            rules,
            switch,
            runtime: Some(runtime),
        })
    }

    /// What clients connect to: `http://127.0.0.1:<port>`, or `https://…`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients must trust; None without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// All calls, in the order in which their requests were complete.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.journal.since(0)
    }

    /// The calls for which `predicate` holds.
    pub fn calls_where(&self, mut predicate: impl FnMut(&Call) -> bool) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| predicate(call));
        calls
    }

    /// The calls that can have changed something: all but GET, HEAD and OPTIONS.
    #[must_use]
    pub fn changing(&self) -> Vec<Call> {
        self.calls_where(|call| call.is_changing())
    }

    /// The present end of the list of calls.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.journal.next())
    }

    /// The calls that came after `mark`.
    #[must_use]
    pub fn since(&self, mark: Mark) -> Vec<Call> {
        self.journal.since(mark.0)
    }

    /// Forgets all calls; their numbers go on.
    pub fn clear(&self) {
        self.journal.clear();
    }

    /// How often what was called, as in `create secrets`, `watch credentialrequests`, `patch
    /// credentialrequests/status`.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<String, usize> {
        summarize(&self.calls())
    }

    /// Applies `fault` to the calls that `matcher` picks: to the first so many, or to all with
    /// None. Of several rules that match, the oldest that has not been used up applies.
    pub fn rule(
        &self,
        matcher: impl Fn(&CallHead) -> bool + Send + Sync + 'static,
        fault: Fault,
        times: Option<u32>,
    ) -> RuleHandle {
        let rule = self.rules.add(matcher, fault, times);
        let runtime = self.runtime.as_ref().expect("there until dropped");
        RuleHandle::new(rule, Arc::clone(&self.rules), runtime.handle().clone())
    }

    /// Removes all rules; calls that they hold go on.
    pub fn clear_rules(&self) {
        self.rules.clear();
    }

    /// Makes the proxy look like a machine without a server, or like one with a server again:
    /// connections are closed as soon as they are made, and those that exist are cut.
    pub fn set_down(&self, down: bool) {
        self.switch.set_down(down);
    }

    /// Cuts all connections that exist, watches included. New ones are served.
    pub fn cut_connections(&self) {
        self.switch.cut();
    }
}

impl Drop for WireProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping it would wait, which panics inside of another runtime.
            runtime.shutdown_background();
        }
    }
}
