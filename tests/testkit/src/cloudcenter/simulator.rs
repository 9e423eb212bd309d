//! The simulator as tests hold it: start it and ask it. What changes it is in `deeds`.

use std::sync::Arc;

use super::ledger::{ApiKey, Counts};
use super::protocol::CloudCenter;
use super::state::{Account, State};
use crate::server::{Faults, Route, ServerOptions, SimCall, SimServer};

/// How a simulator is started.
#[derive(Clone, Debug, Default)]
pub struct CloudCenterOptions {
    /// Speak HTTPS, with a certificate authority of its own.
    pub tls: bool,
}

/// A running simulator. It stops when it is dropped.
///
/// Methods panic when an id is not known: the caller is a test, and should hear of it.
pub struct CloudCenterSimulator {
    pub(super) cloudcenter: Arc<CloudCenter>,
    server: SimServer,
}

impl CloudCenterSimulator {
    /// Starts a simulator that knows no user.
    pub fn start(options: CloudCenterOptions) -> Self {
        let cloudcenter = Arc::new(CloudCenter {
            scheme: if options.tls { "https" } else { "http" },
            state: State::default().into(),
        });
        let server = ServerOptions {
            tls: options.tls,
            ..ServerOptions::default()
        };
        let server = SimServer::start(server, Arc::clone(&cloudcenter) as _);
        Self {
            cloudcenter,
            server,
        }
    }

    /// Scheme and address, without a slash at the end. Paths begin with `/v1`.
    pub fn endpoint(&self) -> String {
        self.server.base_url()
    }

    /// The certificate of the authority to trust; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.server.ca_pem()
    }

    /// The server below: connections, calls by route, how many calls at once.
    pub fn server(&self) -> &SimServer {
        &self.server
    }

    /// The last 100 000 calls, oldest first.
    pub fn calls(&self) -> Vec<SimCall> {
        self.server.calls()
    }

    /// The highest number of calls to a route that were open at the same moment. See
    /// [`SimServer::max_in_flight`] for when this tells something.
    pub fn max_in_flight(&self, route: impl Into<Route>) -> usize {
        self.server.max_in_flight(route)
    }

    /// The faults that requests meet. Routes: [`super::USERS`], [`super::USER`], [`super::OWN_KEY`],
    /// [`super::USER_KEYS`], [`super::KEYS`], or any other.
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// While down, connections are accepted and closed at once.
    pub fn down(&self, down: bool) {
        self.server.down(down);
    }

    /// A user as it is now.
    pub fn account(&self, id: &str) -> Account {
        let state = self.cloudcenter.state();
        let user = state.user(id).unwrap_or_else(|| panic!("no user {id}"));
        state.account(user)
    }

    /// Every key there ever was, in the order in which they were made.
    pub fn keys(&self) -> Vec<ApiKey> {
        self.cloudcenter.state().ledger.keys().to_vec()
    }

    /// Every key that a user ever had, given by the API user name, which never changes.
    pub fn keys_of(&self, username: &str) -> Vec<ApiKey> {
        let mut keys = self.keys();
        keys.retain(|key| key.username == username);
        keys
    }

    /// Whether this key works now: it is the latest of its user, who exists and is enabled.
    pub fn is_live(&self, username: &str, key: &str) -> bool {
        let state = self.cloudcenter.state();
        let mut users = state.users.iter();
        let user = users.find(|user| user.username == username && user.enabled);
        let live = user.and_then(|user| state.ledger.live(&user.username));
        live.is_some_and(|live| live.key == key)
    }

    /// How often things happened.
    pub fn counts(&self) -> Counts {
        self.cloudcenter.state().ledger.counts
    }

    /// Every key and password that there ever was, those of lies included, each also in the form in which HTTP sends
    /// it. For searches in logs, events and dumps. User names are no secrets.
    pub fn secret_values(&self) -> Vec<String> {
        let state = self.cloudcenter.state();
        state.ledger.secrets().iter().cloned().collect()
    }
}
