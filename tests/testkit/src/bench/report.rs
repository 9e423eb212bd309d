//! The figures, and the table in which they are printed.

use std::fmt::{self, Display, Formatter};
use std::fs;

use serde::Serialize;

use super::cost::Calls;
use super::latency::Single;
use super::many::Figures;
use super::restart::Restart;

/// All figures.
#[derive(Serialize)]
pub struct Report {
    /// Where they were measured.
    pub machine: Machine,
    /// How many requests there were where there were many.
    pub requests: usize,
    /// The API requests of a first sync.
    pub first_sync: Calls,
    /// One request at a time.
    pub single: Single,
    /// Many requests at once, by program.
    pub many: Vec<Figures>,
    /// A restart.
    pub restart: Restart,
    /// How long all of it took.
    pub took_seconds: f64,
}

/// A machine.
#[derive(Serialize)]
pub struct Machine {
    /// How many threads run at the same time.
    pub cores: usize,
    /// How many wanted to when the measurement began (average of a minute).
    pub load_before: f64,
    /// Whether this and the operator were built for release.
    pub release: bool,
}

/// Median and 95th percentile.
#[derive(Serialize)]
pub struct Spread {
    /// How many were measured.
    pub samples: usize,
    /// Half of them are below.
    pub median: f64,
    /// 95 of 100 are below.
    pub p95: f64,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_before: load
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
            release: !cfg!(debug_assertions),
        }
    }

    /// What is wrong with measuring here and now.
    pub fn warnings(&self) -> Vec<String> {
        let load = (self.load_before > 0.5).then(|| {
            format!(
                "the load is {:.1}: others use this machine, and the times will be too long",
                self.load_before
            )
        });
        let debug = (!self.release)
            .then(|| "this is a debug build: its times say nothing about a release".to_owned());
        [load, debug].into_iter().flatten().collect()
    }
}

impl Spread {
    /// Of these values.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: usize| {
            values
                .get((values.len() * share).div_ceil(100).max(1) - 1)
                .copied()
                .unwrap_or(0.0)
        };
        Self {
            samples: values.len(),
            median: at(50),
            p95: at(95),
        }
    }
}

/// The median; of an even number of values the lower of the two in the middle.
pub fn median(values: Vec<f64>) -> f64 {
    Spread::of(values).median
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let build = if self.machine.release {
            "release"
        } else {
            "DEBUG"
        };
        let (cores, load) = (self.machine.cores, self.machine.load_before);
        writeln!(
            f,
            "{cores} cores, load {load:.1} before; {build} build; etcd with fsync; took {:.0} s",
            self.took_seconds
        )?;
        self.single(f)?;
        self.many(f)?;
        let title = format!(
            "API requests for {} requests that are there when the operator starts",
            self.first_sync.requests
        );
        calls(f, &title, &self.first_sync)?;
        let restart = &self.restart;
        writeln!(f, "\nRestart with {} synced requests", self.requests)?;
        writeln!(
            f,
            "  ready after {:.2} s, all requests checked after {:.2} s; {} calls to the provider",
            restart.ready, restart.settled, restart.provider_calls
        )?;
        writeln!(
            f,
            "  CPU {:.2} s, peak memory {:.0} MiB",
            restart.cpu, restart.peak_mib
        )?;
        calls(f, "API requests of a restart", &restart.calls)
    }
}

impl Report {
    fn single(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let single = &self.single;
        writeln!(
            f,
            "\nOne request on an idle machine, {} times\n  {:<50} {:>9} {:>8}",
            single.to_ready.samples, "", "median", "p95"
        )?;
        for (what, spread) in [
            ("from sending it until a watch says Ready", &single.to_ready),
            (
                "the same, from the API server's answer on",
                &single.created_to_ready,
            ),
            ("of that the provider: its two calls", &single.provider),
        ] {
            writeln!(
                f,
                "  {what:<50} {:>6.1} ms {:>5.1} ms",
                spread.median, spread.p95
            )?;
        }
        Ok(())
    }

    fn many(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{} requests at once, from the start of the process until all are Ready",
            self.requests
        )?;
        writeln!(
            f,
            "  {:<28}{:>8}{:>7}{:>8}   {:<20}{:>7}{:>10}",
            "", "median", "ratio", "first", "runs (s)", "CPU", "memory"
        )?;
        for figures in &self.many {
            let runs: Vec<_> = figures
                .seconds
                .iter()
                .map(|seconds| format!("{seconds:.2}"))
                .collect();
            writeln!(
                f,
                "  {:<28}{:>6.2} s{:>7.2}{:>6.2} s   {:<20}{:>5.2} s{:>6.0} MiB",
                figures.program,
                figures.median,
                figures.ratio,
                figures.first,
                runs.join(" "),
                figures.cpu,
                figures.peak_mib
            )?;
        }
        writeln!(f, "  CPU seconds of the others until then:")?;
        for figures in &self.many {
            writeln!(
                f,
                "  {:<28}API server {:.2}, etcd {:.2}, provider {:.2}",
                figures.program, figures.api_server_cpu, figures.etcd_cpu, figures.provider_cpu
            )?;
        }
        Ok(())
    }
}

fn calls(f: &mut Formatter<'_>, title: &str, calls: &Calls) -> fmt::Result {
    writeln!(
        f,
        "\n{title}\n  {:<50}{:>8}{:>13}",
        "", "count", "per request"
    )?;
    for (label, count) in &calls.by_verb {
        // What is done a few times, however many requests there are.
        let each = *count as f64 / calls.requests as f64;
        let each = if each < 0.2 {
            String::new()
        } else {
            format!("{each:.2}")
        };
        writeln!(f, "  {label:<50}{count:>8}{each:>13}")?;
    }
    for (label, count) in &calls.refused {
        writeln!(f, "  {:<50}{count:>8}", format!("refused: {label}"))?;
    }
    Ok(())
}
