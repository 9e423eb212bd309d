//! A client for one watch.

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

/// A client for one watch. When it is dropped, nobody waits to hear from the watch any more.
pub struct WatchClient {
    client: Client,
    seconds: u32,
    restores: watch::Receiver<u64>,
}

type Events<K> = Pin<Box<dyn Stream<Item = watcher::Result<Event<K>>> + Send>>;

impl WatchClient {
    pub(super) fn new(client: Client, least_seconds: u32, restores: watch::Receiver<u64>) -> Self {
        // Watches that begin together do not end together.
        let spread = uuid::Uuid::new_v4().as_u128() % u128::from(least_seconds / 2 + 1);
        let spread = u32::try_from(spread).unwrap_or_default();
        WatchClient {
            client,
            seconds: least_seconds.saturating_add(spread),
            restores,
        }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Lists and watches. The stream goes on after errors, with the usual pauses, and begins with a
    /// list again when etcd turns out to have been restored.
    pub fn events<K>(
        self,
        api: Api<K>,
        config: watcher::Config,
    ) -> impl Stream<Item = Event<K>> + Send
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
    {
        let config = config.timeout(self.seconds);
        let start = move || -> Events<K> {
            watcher::watcher(api.clone(), config.clone())
                .default_backoff()
                .boxed()
        };
        let mut restores = self.restores;
        restores.mark_unchanged();
        let state = (start(), start, restores);
        stream::unfold(state, async |(mut events, start, mut restores)| {
            loop {
                let event = tokio::select! {
                    biased;
                    Ok(()) = restores.changed() => {
                        events = start();
                        continue;
                    }
                    event = events.next() => event,
                };
                match event? {
                    Ok(event) => return Some((event, (events, start, restores))),
                    Err(error) => tracing::warn!(%error, "a watch failed; it is taken up again"),
                }
            }
        })
    }
}
