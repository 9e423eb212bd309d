//! What a restart costs when everything is synced.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use testkit::wait::eventually;
use testkit::wire::WireProxy;

use super::cost::{self, Calls};
use super::ready::ReadyWatch;
use super::report::median;
use super::rig::{DEADLINE, NAMESPACE, Rig};
use super::usage;

/// The metric that counts passes which came to rest.
const SETTLED: &str = "credential_operator_passes_total{outcome=\"settled\"}";

/// What a restart costs.
#[derive(Serialize)]
pub struct Restart {
    /// Seconds from the start of the process until `/readyz` says ok, median.
    pub ready: f64,
    /// Seconds from the start of the process until a pass over each request was made, median.
    pub settled: f64,
    /// CPU seconds of the operator, median.
    pub cpu: f64,
    /// The most memory of the operator in MiB, of all runs.
    pub peak_mib: f64,
    /// Calls to the provider, in all runs.
    pub provider_calls: u64,
    /// The API requests of one restart.
    pub calls: Calls,
}

/// Measures.
///
/// # Errors
/// When the operator does not come to rest.
pub async fn measure(rig: &Rig, requests: usize, rounds: usize) -> Result<Restart> {
    rig.create_many(NAMESPACE, requests).await?;
    let mut watch = ReadyWatch::begin(&rig.requests(NAMESPACE)).await?;
    let operator = rig.operator(&[])?;
    watch
        .until(requests, DEADLINE)
        .await
        .with_context(|| operator.log_tail())?;
    usage::cpu_when_quiet(operator.id()).await?;
    operator.stop()?;

    let calls_before = rig.simulator.calls().await?;
    let (mut ready, mut settled, mut cpu, mut peak) = (vec![], vec![], vec![], 0);
    for _ in 0..rounds {
        let mut operator = rig.operator(&[])?;
        let started = operator.started();
        let address = operator
            .ready()
            .await
            .with_context(|| operator.log_tail())?;
        ready.push(started.elapsed().as_secs_f64());
        until_settled(&address, requests)
            .await
            .with_context(|| operator.log_tail())?;
        settled.push(started.elapsed().as_secs_f64());
        cpu.push(usage::cpu_when_quiet(operator.id()).await?.as_secs_f64());
        peak = peak.max(usage::peak_memory(operator.id())?);
        operator.stop()?;
    }

    let proxy = WireProxy::start(rig.control_plane.url(), Some(rig.control_plane.ca_pem()))?;
    let mut operator = rig.operator_through(proxy.url())?;
    let address = operator
        .ready()
        .await
        .with_context(|| operator.log_tail())?;
    until_settled(&address, requests).await?;
    let calls = cost::count(&cost::until_quiet(&proxy).await?, requests);
    operator.stop()?;
    let provider_calls = rig.simulator.calls().await? - calls_before;
    rig.clear(NAMESPACE).await?;
    Ok(Restart {
        ready: median(ready),
        settled: median(settled),
        cpu: median(cpu),
        peak_mib: peak as f64 / 1024.0,
        provider_calls,
        calls,
    })
}

/// Waits until a pass was made over each request.
async fn until_settled(address: &str, requests: usize) -> Result<()> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    eventually(DEADLINE, || async {
        let text = http
            .get(format!("{address}/metrics"))
            .send()
            .await?
            .text()
            .await?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(SETTLED))
            .context("no pass has ended")?;
        let passes: usize = line.trim().parse()?;
        ensure!(
            passes >= requests,
            "{passes} passes for {requests} requests have ended"
        );
        Ok(())
    })
    .await
}
