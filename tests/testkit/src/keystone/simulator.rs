//! The simulator as tests hold it: start it and ask it. What changes it is in `deeds`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::ledger::{Issued, LiveApplicationCredential, LivePair, Logins};
use super::protocol::Keystone;
use super::state::State;
use crate::server::{Faults, Route, ServerOptions, SimCall, SimServer};

/// How a simulator is started.
#[derive(Clone, Debug)]
pub struct KeystoneOptions {
    /// Speak HTTPS, with a certificate authority of its own.
    pub tls: bool,
    /// How long a token lives, less what is left of the second in which it is issued.
    pub token_life: Duration,
}

impl Default for KeystoneOptions {
    fn default() -> Self {
        Self {
            tls: false,
            token_life: Duration::from_secs(3600),
        }
    }
}

/// A running simulator. It stops when it is dropped.
///
/// Ids are given and taken as text. Methods panic when an id or a role is not known: the caller is a test, and should
/// hear of it.
pub struct KeystoneSimulator {
    pub(super) keystone: Arc<Keystone>,
    server: SimServer,
}

impl KeystoneSimulator {
    /// Starts a simulator that knows no user. There are the domain [`super::DEFAULT_DOMAIN`], in it the project
    /// [`super::ADMIN_PROJECT`], and the roles admin, manager, member, reader and service.
    pub fn start(options: KeystoneOptions) -> Self {
        let keystone = Arc::new(Keystone {
            scheme: if options.tls { "https" } else { "http" },
            state: State::new(options.token_life).into(),
        });
        let server = ServerOptions {
            tls: options.tls,
            ..ServerOptions::default()
        };
        let server = SimServer::start(server, Arc::clone(&keystone) as _);
        Self { keystone, server }
    }

    /// Scheme and address, without a slash at the end.
    pub fn url(&self) -> String {
        self.server.base_url()
    }

    /// The URL of the identity API: it ends with `/v3`.
    pub fn endpoint(&self) -> String {
        self.url() + "/v3"
    }

    /// The certificate of the authority to trust; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.server.ca_pem()
    }

    /// The server below: connections, calls by route, how many calls at once.
    pub fn server(&self) -> &SimServer {
        &self.server
    }

    /// The last 100 000 calls, oldest first, with their times.
    pub fn calls(&self) -> Vec<SimCall> {
        self.server.calls()
    }

    /// The highest number of calls to a route that were open at the same moment. See
    /// [`SimServer::max_in_flight`] for when this tells something.
    pub fn max_in_flight(&self, route: impl Into<Route>) -> usize {
        self.server.max_in_flight(route)
    }

    /// The faults that requests meet. Routes: [`super::LOGIN`], [`super::CREDENTIALS`], [`super::EC2`],
    /// [`super::APPLICATION_CREDENTIALS`], or any other.
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// While down, connections are accepted and closed at once.
    pub fn down(&self, down: bool) {
        self.server.down(down);
    }

    /// The key pairs that are there, in the order in which they were made.
    pub fn live_pairs(&self) -> Vec<LivePair> {
        self.keystone.state().live_pairs()
    }

    /// The application credentials that are there, expired ones too, in the order in which they were made.
    pub fn live_application_credentials(&self) -> Vec<LiveApplicationCredential> {
        self.keystone.state().live_application_credentials()
    }

    /// Whether requests that are signed with this pair are accepted now: it is there, and its owner and its project
    /// are enabled and have to do with each other.
    pub fn pair_works(&self, access: &str, secret: &str) -> bool {
        self.keystone.state().pair_works(access, secret)
    }

    /// Whether one can log in with this application credential now, and has a role then.
    pub fn application_credential_works(&self, id: &str, secret: &str) -> bool {
        let state = self.keystone.state();
        state.application_credential_works(id, secret)
    }

    /// Whether a token is accepted now.
    pub fn token_works(&self, token: &str) -> bool {
        let state = self.keystone.state();
        state.validate(token, Timestamp::now(), false).is_ok()
    }

    /// How much everybody was ever given, by the id of the user.
    pub fn ever_issued(&self) -> BTreeMap<String, Issued> {
        self.keystone.state().issued.clone()
    }

    /// How much one user was ever given.
    pub fn ever_issued_to(&self, user: &str) -> Issued {
        let state = self.keystone.state();
        state.issued.get(user).copied().unwrap_or_default()
    }

    /// How often somebody tried to log in, and how it ended.
    pub fn logins(&self) -> Logins {
        self.keystone.state().logins.clone()
    }

    /// Every password, every secret and every token that there ever was. For searches in logs, events and dumps.
    /// Access keys are no secrets.
    pub fn secret_values(&self) -> Vec<String> {
        self.keystone.state().secrets.iter().cloned().collect()
    }
}
