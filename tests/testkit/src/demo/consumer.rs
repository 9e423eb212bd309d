//! A workload that calls its provider all the time, with whatever is in the Secret at that moment.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio_util::sync::CancellationToken;

use super::follow::value;

/// How often it calls.
const EVERY: Duration = Duration::from_millis(50);

/// A running consumer.
pub struct Consumer {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Tally>,
}

/// What came of its calls.
#[derive(Default)]
pub struct Tally {
    /// How many it made.
    pub calls: u32,
    /// What went wrong, one for each call that did not succeed.
    pub failures: Vec<String>,
}

impl Consumer {
    /// Begins to call `path` of the endpoint that stands in the Secret.
    pub fn begin(
        secrets: Api<Secret>,
        name: &'static str,
        http: reqwest::Client,
        path: &'static str,
    ) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut tally = Tally::default();
            while stopped
                .run_until_cancelled(tokio::time::sleep(EVERY))
                .await
                .is_some()
            {
                tally.calls += 1;
                if let Err(error) = call(&secrets, name, &http, path).await {
                    tally
                        .failures
                        .push(format!("call {}: {error:#}", tally.calls));
                }
            }
            tally
        });
        Self { stop, task }
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it panicked.
    pub async fn end(self) -> Result<Tally> {
        self.stop.cancel();
        self.task.await.context("the consumer panicked")
    }
}

/// Reads the Secret and calls the provider with what is in it.
///
/// # Errors
/// When the Secret cannot be read, or the provider does not answer 200.
pub async fn call(
    secrets: &Api<Secret>,
    name: &str,
    http: &reqwest::Client,
    path: &str,
) -> Result<String> {
    let secret = secrets.get(name).await?;
    let url = value(&secret, "endpoint")? + path;
    let request = http
        .get(url)
        .header("authorization", value(&secret, "authorization")?);
    let answer = request.send().await?.error_for_status()?;
    Ok(answer.text().await?)
}
