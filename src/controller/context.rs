//! What all passes share.

use std::{net::IpAddr, sync::Arc, time::Duration};

use kube::Client;
use tokio::sync::{Semaphore, mpsc};

use super::{
    apiserver::ApiServer,
    key::{ProviderKey, RequestKey, SecretKey},
    link::Links,
    memory::Memory,
    namespaces::Namespaces,
    orphans::Orphans,
};
use crate::{metrics::Metrics, providers::guard::Cidr};

/// What the operator was told on its command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespaces that it serves; all when empty.
    pub namespaces: Vec<String>,
    /// Which `ClusterCredentialProvider`s it serves, as a label selector; all when absent.
    pub provider_selector: Option<String>,
    /// How many passes may be under way.
    pub concurrency: usize,
    /// How long a pass may take.
    pub pass_deadline: Duration,
    /// Ranges that the endpoints of tenants may lead to although the guard would refuse them.
    pub tenant_endpoints: Vec<Cidr>,
    /// The API server's addresses, which the endpoints of tenants may never lead to.
    pub api_server: Vec<IpAddr>,
    /// Whether the proxy variables of the environment are heeded.
    pub proxy_from_env: bool,
    /// After which time a credential whose login is gone is given up, in a namespace that is being
    /// deleted.
    pub give_up_after: Duration,
    /// The Lease that the copy holds that acts; none when this is the only one.
    pub lease: Option<super::leader::Lease>,
    /// A request at which a pass panics; only in builds for tests.
    pub panic_at: Option<String>,
}

impl Context {
    /// Waits until a pass may begin: this copy holds the Lease, and what is known of the cluster is of
    /// one time. False when no pass may begin any more.
    pub async fn until_pass(&self) -> bool {
        const AGAIN: Duration = Duration::from_millis(100);
        loop {
            if !self.leadership.until_acting().await {
                return false;
            }
            if self.api_server.is_consistent() {
                return true;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Settings {
    /// Whether Secrets of a namespace are watched anyway.
    pub fn serves(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|served| served == namespace)
    }
}

/// What all passes share.
pub struct Context {
    /// The API server.
    pub api_server: ApiServer,
    /// A client of it, whose calls have deadlines.
    pub client: Client,
    /// The command line.
    pub settings: Settings,
    /// What is remembered of requests.
    pub memory: Memory,
    /// The credentials of requests that are gone.
    pub orphans: Arc<Orphans>,
    /// The providers.
    pub links: Links,
    /// The labels of namespaces, and which of them are being deleted.
    pub namespaces: Namespaces,
    /// Whether this operator is the one that acts.
    pub leadership: super::leader::Leadership,
    /// Figures for people.
    pub metrics: Metrics,
    /// Where events go.
    pub events: super::events::Events,
    /// The slots of passes.
    pub slots: Arc<Semaphore>,
    /// Has passes made.
    pub wakes: Wakes,
}

/// Has passes made.
#[derive(Clone)]
pub struct Wakes {
    /// Over requests.
    pub requests: mpsc::UnboundedSender<RequestKey>,
    /// Over providers.
    pub providers: mpsc::UnboundedSender<ProviderKey>,
    /// Has a Secret watched that lies in a namespace which is not served.
    pub secrets: mpsc::UnboundedSender<SecretKey>,
}

impl Wakes {
    /// Has a pass made over a request. Many wakes before the pass are one.
    pub fn request(&self, key: &RequestKey) {
        // Nobody listens any more when the operator is shutting down.
        drop(self.requests.send(key.clone()));
    }

    /// Has a pass made over a provider.
    pub fn provider(&self, key: &ProviderKey) {
        drop(self.providers.send(key.clone()));
    }

    /// Has a Secret watched.
    pub fn watch_secret(&self, key: &SecretKey) {
        drop(self.secrets.send(key.clone()));
    }
}
