//! Many requests that are there when the operator starts, beside the floor program.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::cost::Templates;
use super::floor;
use super::ready::ReadyWatch;
use super::report::median;
use super::rig::{DEADLINE, FLOOR, NAMESPACE, Rig, Servers};
use super::usage;

/// How long the servers are left alone before a run, after the requests were created.
const PAUSE: Duration = Duration::from_millis(500);

/// All programs that take turns.
pub struct Many {
    programs: Vec<Program>,
}

enum Kind {
    Floor,
    Operator { concurrency: Option<u16> },
}

struct Program {
    kind: Kind,
    runs: Vec<Run>,
}

/// One run.
struct Run {
    /// From the start of the process until the first request was Ready.
    first: f64,
    /// From the start of the process until the last request was Ready.
    seconds: f64,
    /// The program's own CPU time, once it had nothing more to do.
    cpu: f64,
    /// The most memory that it has had, in KiB.
    peak: u64,
    /// What the others used until then.
    servers: Servers,
}

/// What came of all runs of one program.
#[derive(Serialize)]
pub struct Figures {
    /// Which program.
    pub program: String,
    /// Of each run: seconds from the start of the process until all requests were Ready.
    pub seconds: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// The same until the first request was Ready, median.
    pub first: f64,
    /// How many times the floor program's median that is.
    pub ratio: f64,
    /// CPU seconds of the program, median.
    pub cpu: f64,
    /// The most memory of the program in MiB, of all runs.
    pub peak_mib: f64,
    /// CPU seconds of the API server, median.
    pub api_server_cpu: f64,
    /// CPU seconds of etcd, median.
    pub etcd_cpu: f64,
    /// CPU seconds of the simulated provider, median.
    pub provider_cpu: f64,
}

impl Many {
    /// The floor program, the operator as it is by default, and with other values of
    /// `--concurrency`.
    pub fn new(concurrency: &[u16]) -> Self {
        let others = concurrency.iter().map(|value| Kind::Operator {
            concurrency: Some(*value),
        });
        let kinds = [Kind::Floor, Kind::Operator { concurrency: None }]
            .into_iter()
            .chain(others);
        Self {
            programs: kinds.map(|kind| Program { kind, runs: vec![] }).collect(),
        }
    }

    /// Lets each program run once.
    ///
    /// # Errors
    /// When requests do not become Ready.
    pub async fn round(&mut self, rig: &Rig, requests: usize, templates: &Templates) -> Result<()> {
        for program in &mut self.programs {
            let run = match &program.kind {
                Kind::Floor => run_floor(rig, requests, templates)
                    .await
                    .context("the floor program")?,
                Kind::Operator { concurrency } => run_operator(rig, requests, *concurrency).await?,
            };
            program.runs.push(run);
        }
        Ok(())
    }

    /// What came of it.
    pub fn report(&self) -> Vec<Figures> {
        let medians =
            |program: &Program, of: fn(&Run) -> f64| median(program.runs.iter().map(of).collect());
        let floor = self
            .programs
            .first()
            .map_or(0.0, |floor| medians(floor, |run| run.seconds));
        let figures = |program: &Program| Figures {
            program: match program.kind {
                Kind::Floor => "floor program".to_owned(),
                Kind::Operator { concurrency: None } => "operator".to_owned(),
                Kind::Operator {
                    concurrency: Some(value),
                } => format!("operator --concurrency={value}"),
            },
            seconds: program.runs.iter().map(|run| run.seconds).collect(),
            median: medians(program, |run| run.seconds),
            first: medians(program, |run| run.first),
            ratio: medians(program, |run| run.seconds) / floor,
            cpu: medians(program, |run| run.cpu),
            peak_mib: program.runs.iter().map(|run| run.peak).max().unwrap_or(0) as f64 / 1024.0,
            api_server_cpu: medians(program, |run| run.servers.api_server),
            etcd_cpu: medians(program, |run| run.servers.etcd),
            provider_cpu: medians(program, |run| run.servers.provider),
        };
        self.programs.iter().map(figures).collect()
    }
}

async fn run_floor(rig: &Rig, requests: usize, templates: &Templates) -> Result<Run> {
    let created = rig.create_many(FLOOR, requests).await?;
    tokio::time::sleep(PAUSE).await;
    let before = rig.servers()?;
    let ([first, seconds], usage) = floor::measure(rig, &created, templates).await?;
    let servers = rig.servers()?.since(before);
    rig.clear(FLOOR).await?;
    Ok(Run {
        first,
        seconds,
        cpu: usage.cpu,
        peak: usage.peak,
        servers,
    })
}

async fn run_operator(rig: &Rig, requests: usize, concurrency: Option<u16>) -> Result<Run> {
    rig.create_many(NAMESPACE, requests).await?;
    tokio::time::sleep(PAUSE).await;
    let flag = concurrency.map(|value| format!("--concurrency={value}"));
    let flags: Vec<_> = flag.iter().map(String::as_str).collect();
    let mut watch = ReadyWatch::begin(&rig.requests(NAMESPACE)).await?;
    let before = rig.servers()?;
    let operator = rig.operator(&flags)?;
    let (first, last) = watch
        .until(requests, DEADLINE)
        .await
        .with_context(|| operator.log_tail())?;
    let servers = rig.servers()?.since(before);
    let [first, seconds] =
        [first, last].map(|at| at.duration_since(operator.started()).as_secs_f64());
    // Some events are still on their way.
    let cpu = usage::cpu_when_quiet(operator.id()).await?.as_secs_f64();
    let peak = usage::peak_memory(operator.id())?;
    operator.stop()?;
    rig.clear(NAMESPACE).await?;
    Ok(Run {
        first,
        seconds,
        cpu,
        peak,
        servers,
    })
}
