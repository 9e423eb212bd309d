//! The simulator as tests hold it: start, control, and ask.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::keyring::Keyring;
use super::ledger::{IssuedToken, Ledger};
use super::lie::Lie;
use super::protocol::{Dce, RefusalStyle, Settings};
use super::signer::Signer;
use super::users::Users;
use crate::server::{Faults, Route, ServerOptions, SimCall, SimServer};

/// Which ghippo is simulated. The boundaries are in the release notes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// Before 0.13.0: a token request must say `cycle`.
    Before013,
    /// 0.13: `cycle` may be left out and is then three days.
    #[default]
    Before014,
    /// Since 0.14 there is no token request: 404. Access keys took its place: see
    /// [`DceSimulator::add_access_key`].
    From014,
}

/// How a simulator is started.
#[derive(Clone, Debug, Default)]
pub struct DceOptions {
    /// Speak HTTPS, with a certificate authority of its own.
    pub tls: bool,
    /// Which ghippo.
    pub generation: Generation,
    /// A path in front of all others, as behind a reverse proxy (since 0.16, release notes); `"/dce"`, or empty.
    pub prefix: String,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Take orders over HTTP below `/_sim/`; off by default.
    pub control: bool,
}

/// A running simulator. It stops when it is dropped.
pub struct DceSimulator {
    pub(super) dce: Arc<Dce>,
    server: SimServer,
}

impl DceSimulator {
    /// Starts a simulator that knows no user.
    pub fn start(options: DceOptions) -> Self {
        let dce = Arc::new(Dce {
            generation: options.generation,
            prefix: options.prefix.trim_end_matches('/').to_owned(),
            users: Users::default(),
            ledger: Ledger::default(),
            keyring: Keyring::default(),
            signer: Signer::new(),
            settings: Settings::default().into(),
            token_requests: 0.into(),
            logins_refused: 0.into(),
        });
        let server = ServerOptions {
            tls: options.tls,
            port: options.port,
            control: options.control,
            ..ServerOptions::default()
        };
        let server = SimServer::start(server, Arc::clone(&dce) as _);
        Self { dce, server }
    }

    /// The base URL: scheme, address and prefix, without a slash at the end.
    pub fn endpoint(&self) -> String {
        self.server.base_url() + &self.dce.prefix
    }

    /// The certificate of the authority to trust; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.server.ca_pem()
    }

    /// The server below: connections, calls by route, how many calls at once.
    pub fn server(&self) -> &SimServer {
        &self.server
    }

    /// Gives a user (made when there is none of this name) one more key pair: access key and secret key. They begin
    /// with `AKMARK-` and `SKMARK-`.
    pub fn add_user(&self, username: &str) -> (String, String) {
        self.dce.users.add_pair(username)
    }

    /// Like [`Self::add_user`], and the user may list all users.
    pub fn add_admin(&self, username: &str) -> (String, String) {
        self.dce.users.make_admin(username);
        self.dce.users.add_pair(username)
    }

    /// From now on this pair is refused. Tokens that it got keep working, as at the real one until 0.15.0 (release
    /// notes).
    pub fn disable_pair(&self, ak: &str) {
        self.dce.users.disable_pair(ak);
    }

    /// Gives a user a new pair; all earlier ones are refused from now on.
    pub fn change_pair(&self, username: &str) -> (String, String) {
        self.dce.users.disable_pairs_of(username);
        self.dce.users.add_pair(username)
    }

    /// Tokens live at most for this time, in whole seconds (rounded up), whatever `cycle` asks for; access keys too,
    /// whatever `expiredAt` does, and also without it.
    pub fn grant_at_most(&self, limit: Option<Duration>) {
        self.dce.settings.lock().unwrap().at_most = limit;
    }

    /// In which form a wrong pair is refused.
    pub fn refuse_with(&self, style: RefusalStyle) {
        self.dce.settings.lock().unwrap().refusals = style;
    }

    /// Tells this lie from now on.
    pub fn lie(&self, lie: Lie) {
        self.dce.settings.lock().unwrap().lies.push(lie);
    }

    /// Tells the truth again.
    pub fn stop_lying(&self) {
        self.dce.settings.lock().unwrap().lies.clear();
    }

    /// From now on this token, which may be an access key, is answered with 401. It never comes back to life.
    pub fn revoke(&self, token: &str) {
        self.dce.ledger.revoke(token);
    }

    /// Revokes every token that was issued until now, access keys too.
    pub fn revoke_all(&self) {
        self.dce.ledger.revoke_all();
    }

    /// Every token request that was answered with a token, in order.
    pub fn issued(&self) -> Vec<IssuedToken> {
        self.dce.ledger.issued()
    }

    /// The tokens of token requests that work now, each once.
    pub fn live(&self) -> Vec<IssuedToken> {
        self.dce.ledger.live()
    }

    /// Whether a token works now.
    pub fn is_live(&self, token: &str) -> bool {
        self.dce.ledger.is_live(token)
    }

    /// How often the token request was called, also when a fault answered it.
    pub fn token_requests(&self) -> u64 {
        self.dce.token_requests.load(Ordering::Relaxed)
    }

    /// How often a wrong or disabled pair was given.
    pub fn logins_refused(&self) -> u64 {
        self.dce.logins_refused.load(Ordering::Relaxed)
    }

    /// How often the gateway let a request with this token pass.
    pub fn uses(&self, token: &str) -> u64 {
        self.dce.ledger.uses(token)
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

    /// The faults that requests meet. Routes: [`super::TOKEN`], [`super::CURRENT_USER`], [`super::USERS`],
    /// [`super::ACCESS_KEYS`], [`super::ACCESS_KEY_CREATE`], or any other.
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// While down, connections are accepted and closed at once.
    pub fn down(&self, down: bool) {
        self.server.down(down);
    }

    /// Everything secret that it was configured with or has ever handed out: key pairs, tokens, access keys. For
    /// searches in logs, events and dumps.
    pub fn secret_values(&self) -> Vec<String> {
        let mut values = self.dce.users.secret_values();
        values.extend(self.dce.ledger.secret_values());
        values
    }
}
