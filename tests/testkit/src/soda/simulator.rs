//! The simulator as tests hold it: start, control, and ask.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use uuid::Uuid;

use super::buckets::Buckets;
use super::keystone::{KeystoneAccount, Link};
use super::ledger::{Deletion, IssuedKey, Ledger};
use super::lie::Lie;
use super::mint::Generator;
use super::protocol::{Settings, Soda};
use super::s3::S3;
use crate::server::{Faults, Route, ServerOptions, SimCall, SimServer};

/// Which SODA is simulated. They differ in what they make of `POST`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// multi-cloud, up to 1.4.0: the body must be JSON and is ignored; user and project are the token's. What fails is
    /// a 500.
    MultiCloud,
    /// strato, and what was multi-cloud 1.4.1 before: the body names user and project. What fails is a 400.
    #[default]
    Strato,
}

/// How a simulator is started.
#[derive(Clone, Debug)]
pub struct SodaOptions {
    /// Speak HTTPS, with a certificate authority of its own.
    pub tls: bool,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Which SODA.
    pub generation: Generation,
    /// How long the API waits for the service behind it, its secret retry included: five seconds at the real one.
    pub deadline: Duration,
    /// As a SODA whose `OS_AUTH_AUTHSTRATEGY` is not set: everybody gets in, and no token is passed on to Keystone.
    pub without_auth: bool,
    /// When the service was started, in seconds since the epoch: its keys follow from that. `None` is a number that
    /// nobody else has, because two that start in one second make the same keys, of which Keystone refuses the second.
    pub started: Option<i64>,
}

impl Default for SodaOptions {
    fn default() -> Self {
        Self {
            tls: false,
            port: 0,
            generation: Generation::default(),
            deadline: Duration::from_secs(5),
            without_auth: false,
            started: None,
        }
    }
}

/// A running simulator. It stops when it is dropped; its keys stay at Keystone.
pub struct SodaSimulator {
    soda: Arc<Soda>,
    server: SimServer,
    s3: SimServer,
}

impl SodaSimulator {
    /// Starts a simulator in front of a Keystone, which need not be there yet.
    pub fn start(options: SodaOptions, keystone: KeystoneAccount) -> Self {
        let random = || Uuid::new_v4().as_u64_pair().0.cast_signed();
        let soda = Arc::new(Soda {
            generation: options.generation,
            without_auth: options.without_auth,
            deadline: options.deadline,
            link: Link::new(keystone),
            generator: Generator::new(options.started.unwrap_or_else(random)),
            ledger: Ledger::default(),
            settings: Settings::default().into(),
            delete_calls: 0.into(),
        });
        let server = ServerOptions {
            tls: options.tls,
            port: options.port,
            ..ServerOptions::default()
        };
        let server = SimServer::start(server, Arc::clone(&soda) as _);
        // Another process at the real one, without TLS here: what is published with a pair is one URL.
        let s3 = ServerOptions {
            threads: 1,
            ..ServerOptions::default()
        };
        let endpoint = S3 {
            soda: Arc::clone(&soda),
            buckets: Buckets::default(),
        };
        let s3 = SimServer::start(s3, Arc::new(endpoint));
        Self { soda, server, s3 }
    }

    /// The URL of SODA's S3, where keys are used. Without TLS.
    pub fn s3_endpoint(&self) -> String {
        self.s3.base_url()
    }

    /// The server of SODA's S3.
    pub fn s3(&self) -> &SimServer {
        &self.s3
    }

    /// Scheme and address, without a slash at the end.
    pub fn url(&self) -> String {
        self.server.base_url()
    }

    /// The URL of the API: it ends with `/v1`.
    pub fn endpoint(&self) -> String {
        self.url() + "/v1"
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

    /// The faults that callers of SODA meet. Routes: [`super::CREATE`], [`super::READ`], [`super::DELETE`], or any other.
    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// While down, connections are accepted and closed at once.
    pub fn down(&self, down: bool) {
        self.server.down(down);
    }

    /// The faults that SODA meets on its way to Keystone; those who ask Keystone themselves do not. Routes:
    /// [`super::KEYSTONE_VALIDATE`], [`super::KEYSTONE_CREATE`], [`super::KEYSTONE_LIST`], [`super::KEYSTONE_DELETE`],
    /// [`super::KEYSTONE_LOGIN`], or any other.
    ///
    /// An answer of Keystone that gets lost ([`Fault::LoseAnswer`](crate::server::Fault::LoseAnswer)) at
    /// `KEYSTONE_CREATE` makes SODA create a second key: lost once, the answer to the client is a success; lost twice,
    /// an error. With a delay that is longer than the deadline, the key appears after the error.
    pub fn keystone_faults(&self) -> &Faults {
        &self.soda.link.faults
    }

    /// While down, SODA does not reach its Keystone, and so refuses every token with 401.
    pub fn keystone_down(&self, down: bool) {
        self.soda.link.down.store(down, Ordering::Relaxed);
    }

    /// While down, the API does not reach the service behind it: all that comes through the filter fails.
    pub fn service_down(&self, down: bool) {
        self.soda.settings.lock().unwrap().service_down = down;
    }

    /// Whether SODA's policy lets nobody do anything: 403. As it is shipped, it lets everybody.
    pub fn forbid(&self, forbid: bool) {
        self.soda.settings.lock().unwrap().forbidden = forbid;
    }

    /// Tells this lie from now on.
    pub fn lie(&self, lie: Lie) {
        self.soda.settings.lock().unwrap().lies.push(lie);
    }

    /// Tells the truth again, as far as SODA does.
    pub fn stop_lying(&self) {
        self.soda.settings.lock().unwrap().lies.clear();
    }

    /// The first keys of a service that was started in this second: access key and secret key.
    pub fn keys_of(started: i64, count: usize) -> Vec<(String, String)> {
        let generator = Generator::new(started);
        (0..count).map(|_| generator.draw()).collect()
    }

    /// Every key that was sent to Keystone, in that order, also those that nobody was told of.
    pub fn issued(&self) -> Vec<IssuedKey> {
        self.soda.ledger.issued()
    }

    /// The keys that Keystone still has, of those that this SODA has made.
    ///
    /// # Errors
    /// When Keystone cannot be asked. Faults on the way to it are left aside, other than those of the login.
    pub async fn live(&self) -> Result<Vec<IssuedKey>> {
        let mut live = Vec::new();
        for key in self.issued() {
            if key.stored && self.is_live(&key.access).await? {
                live.push(key);
            }
        }
        Ok(live)
    }

    /// Whether Keystone has a key now, whoever made it.
    ///
    /// # Errors
    /// As [`Self::live`].
    pub async fn is_live(&self, access: &str) -> Result<bool> {
        Ok(self.soda.link.key(access).await?.is_some())
    }

    /// How often DELETE was called, also when a fault answered it. Whoever does not mean to destroy all keys of a user
    /// must find zero here.
    pub fn delete_calls(&self) -> u64 {
        self.soda.delete_calls.load(Ordering::Relaxed)
    }

    /// The calls of DELETE that were let in, and what they have destroyed.
    pub fn deletions(&self) -> Vec<Deletion> {
        self.soda.ledger.deletions()
    }

    /// Every secret key that it has made, also where nobody was told of it, and every one that it has told, whoever made
    /// it. For searches in logs, events and dumps. Access keys are no secrets.
    pub fn secret_values(&self) -> Vec<String> {
        self.soda.ledger.secret_values()
    }
}
