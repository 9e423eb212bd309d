//! A pool of connections that can be replaced by an empty one.

use std::sync::{Arc, Mutex};

use kube::{Client, Config};

use crate::controller::lock;

/// A pool of connections. All clones share it.
#[derive(Clone)]
pub(super) struct Pool {
    config: Arc<Config>,
    current: Arc<Mutex<(u64, Client)>>,
}

impl Pool {
    /// # Errors
    /// When the configuration cannot be used.
    pub(super) fn new(config: &Config) -> Result<Self, kube::Error> {
        let client = Client::try_from(config.clone())?;
        Ok(Pool {
            config: Arc::new(config.clone()),
            current: Arc::new(Mutex::new((0, client))),
        })
    }

    /// The client to call with now, and how many there were before.
    pub(super) fn current(&self) -> (u64, Client) {
        lock(&self.current).clone()
    }

    /// Whether this is the same pool.
    pub(super) fn is(&self, other: &Pool) -> bool {
        Arc::ptr_eq(&self.current, &other.current)
    }

    /// Has later calls made on new connections, because one of `generation` stayed unanswered. Calls
    /// and watches under way keep their connections. False when that was done before.
    pub(super) fn replace(&self, generation: u64) -> bool {
        let mut current = lock(&self.current);
        if current.0 != generation {
            return false;
        }
        match Client::try_from((*self.config).clone()) {
            Ok(client) => *current = (generation + 1, client),
            Err(error) => {
                tracing::warn!(%error, "the connections to the API server cannot be replaced")
            }
        }
        drop(current);
        tracing::info!(
            "the API server did not answer in time: new connections are made for what follows"
        );
        true
    }
}
