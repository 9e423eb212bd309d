//! A workload that makes one call after the other, with whatever is in its Secret at that moment.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running consumer; it ends when dropped.
pub struct Consumer {
    stop: CancellationToken,
    task: JoinHandle<Tally>,
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
    /// Begins to make calls, with a pause before each.
    pub fn begin<Call>(pause: Duration, call: impl Fn() -> Call + Send + 'static) -> Self
    where
        Call: Future<Output = Result<()>> + Send,
    {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut tally = Tally::default();
            while stopped
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_some()
            {
                tally.calls += 1;
                if let Err(error) = call().await {
                    tally
                        .failures
                        .push(format!("call {}: {error:#}", tally.calls));
                }
            }
            tally
        });
        Self { stop, task }
    }

    /// Ends it after the call that it is at.
    ///
    /// # Errors
    /// When it panicked.
    pub async fn end(mut self) -> Result<Tally> {
        self.stop.cancel();
        (&mut self.task).await.context("the consumer panicked")
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tally {
    /// How many calls there were, all of which succeeded.
    ///
    /// # Errors
    /// When one failed, with what each of them said; and when there was none.
    pub fn flawless(&self) -> Result<u32> {
        let failures = self.failures.len();
        anyhow::ensure!(
            failures == 0,
            "{failures} of {} calls failed: {}",
            self.calls,
            self.failures.join("; ")
        );
        anyhow::ensure!(self.calls > 0, "the workload made no call");
        Ok(self.calls)
    }
}
