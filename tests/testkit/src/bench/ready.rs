//! When requests become Ready, as a client sees it that watches them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, stream::BoxStream};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};

/// A watch over the requests of a namespace, from the moment at which it began.
pub struct ReadyWatch {
    events: BoxStream<'static, kube::Result<WatchEvent<DynamicObject>>>,
    only: Option<String>,
}

impl ReadyWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn begin(requests: &Api<DynamicObject>) -> Result<Self> {
        let now = requests
            .list_metadata(&ListParams::default().limit(1))
            .await?;
        let version = now
            .metadata
            .resource_version
            .context("a list without a version")?;
        let events = requests.watch(&WatchParams::default(), &version).await?;
        Ok(Self {
            events: events.boxed(),
            only: None,
        })
    }

    /// Begins to watch for one request alone.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn begin_for(requests: &Api<DynamicObject>, name: &str) -> Result<Self> {
        Ok(Self {
            only: Some(name.to_owned()),
            ..Self::begin(requests).await?
        })
    }

    /// Waits until so many requests have become Ready, and returns when the first and the last of
    /// them was.
    ///
    /// # Errors
    /// When `deadline` passes before; says how many were not.
    pub async fn until(&mut self, count: usize, deadline: Duration) -> Result<(Instant, Instant)> {
        let mut ready = HashSet::new();
        let mut first = None;
        let wait = async {
            while ready.len() < count {
                match self.events.next().await {
                    Some(Ok(WatchEvent::Added(request) | WatchEvent::Modified(request))) => {
                        if is_ready(&request)
                            && self
                                .only
                                .as_ref()
                                .is_none_or(|only| *only == request.name_any())
                        {
                            ready.insert(request.name_any());
                            first.get_or_insert_with(Instant::now);
                        }
                    }
                    Some(Ok(WatchEvent::Error(status))) => {
                        bail!("the watch failed: {}", status.message)
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error).context("the watch failed"),
                    None => bail!("the watch ended"),
                }
            }
            let last = Instant::now();
            Ok((first.unwrap_or(last), last))
        };
        let result = tokio::time::timeout(deadline, wait).await;
        result.unwrap_or_else(|_| {
            bail!(
                "{} of {count} requests are not Ready after {deadline:?}",
                count - ready.len()
            )
        })
    }
}

fn is_ready(request: &DynamicObject) -> bool {
    let conditions = request
        .data
        .pointer("/status/conditions")
        .and_then(serde_json::Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
