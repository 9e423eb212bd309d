//! The simulator as tests hold it: start it and ask it. What changes it is in `deeds`, how answers look in `controls`.

use std::sync::Arc;

use super::fields::Field;
use super::ledger::{Counts, Read};
use super::protocol::CloudMc;
use super::state::State;
use crate::server::{Faults, Route, ServerOptions, SimCall, SimServer};

/// How a simulator is started.
#[derive(Clone, Debug)]
pub struct CloudMcOptions {
    /// Speak HTTPS, with a certificate authority of its own.
    pub tls: bool,
    /// The path of the API: `"/api/v1"`, `"/api/v2"` or `"/v1"`, as installations have it; or empty.
    pub base_path: String,
}

impl Default for CloudMcOptions {
    fn default() -> Self {
        Self {
            tls: false,
            base_path: "/api/v1".to_owned(),
        }
    }
}

/// A running simulator. It stops when it is dropped.
///
/// Ids are given and taken as text. Methods panic when an id is not known: the caller is a test, and should hear of it.
pub struct CloudMcSimulator {
    pub(super) cloudmc: Arc<CloudMc>,
    server: SimServer,
}

impl CloudMcSimulator {
    /// Starts a simulator that knows nobody and nothing.
    pub fn start(options: CloudMcOptions) -> Self {
        let cloudmc = Arc::new(CloudMc {
            base_path: options.base_path.trim_end_matches('/').to_owned(),
            state: State::default().into(),
        });
        let server = ServerOptions {
            tls: options.tls,
            ..ServerOptions::default()
        };
        let server = SimServer::start(server, Arc::clone(&cloudmc) as _);
        Self { cloudmc, server }
    }

    /// The URL of the API: scheme, address and base path, without a slash at the end.
    pub fn endpoint(&self) -> String {
        self.server.base_url() + &self.cloudmc.base_path
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

    /// The faults that requests meet. Routes: [`super::CONNECTIONS`], [`super::CONNECTION`], [`super::API_INFO`],
    /// [`super::ENVIRONMENTS`], [`super::ENVIRONMENT`], [`super::USERS`], or any other.
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// While down, connections are accepted and closed at once.
    pub fn down(&self, down: bool) {
        self.server.down(down);
    }

    /// The values of a user in an environment, also when the membership has ended or the connection hides some.
    pub fn fields(&self, user: &str, environment: &str) -> Vec<Field> {
        let key = (user.to_owned(), environment.to_owned());
        let values = self.cloudmc.state().values.get(&key).cloned();
        values.unwrap_or_else(|| panic!("user {user} has no values in {environment}"))
    }

    /// A single one of these values, as text.
    pub fn value(&self, user: &str, environment: &str, key: &str) -> String {
        let fields = self.fields(user, environment);
        let field = fields.iter().find(|field| field.key == key);
        let field = field.unwrap_or_else(|| panic!("no field {key}"));
        field.text().to_owned()
    }

    /// How often requests came with this API key while it worked.
    pub fn uses(&self, api_key: &str) -> u64 {
        let state = self.cloudmc.state();
        state.api_keys.get(api_key).map_or(0, |key| key.uses)
    }

    /// Every answer that held values, in order.
    pub fn reads(&self) -> Vec<Read> {
        self.cloudmc.state().ledger.reads.clone()
    }

    /// How often things happened.
    pub fn counts(&self) -> Counts {
        self.cloudmc.state().ledger.counts
    }

    /// Every API key, every sensitive value and every parameter of a connection that there ever was, those of lies
    /// included. For searches in logs, events and dumps.
    pub fn secret_values(&self) -> Vec<String> {
        let state = self.cloudmc.state();
        state.ledger.secrets().iter().cloned().collect()
    }
}
