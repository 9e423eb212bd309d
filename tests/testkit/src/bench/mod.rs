//! The benchmark: what is measured, in which order. What is measured how stands in the other files.
//!
//! Everything runs on this machine: a real API server and etcd, with fsync and without an audit log;
//! the simulator and the operator as processes of their own; no controller manager, whose work would
//! be done elsewhere in a real cluster.

mod cost;
mod floor;
mod latency;
mod many;
#[path = "../demo/operator.rs"]
mod operator;
mod ready;
mod report;
mod restart;
mod rig;
mod simulator;
mod usage;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Parser, Subcommand};

use report::{Machine, Report};
use rig::Rig;

/// Measures the operator.
#[derive(Parser)]
#[command(name = "bench")]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many requests are there when the operator starts.
    #[arg(long, default_value = "1000")]
    requests: NonZeroUsize,
    /// How often the operator and the floor program take turns.
    #[arg(long, default_value = "3")]
    rounds: NonZeroUsize,
    /// How many single requests are timed.
    #[arg(long, default_value = "50")]
    singles: NonZeroUsize,
    /// Values of the operator's --concurrency to measure besides its default, separated by commas.
    #[arg(long, default_value = "64", value_delimiter = ',')]
    concurrency: Vec<u16>,
    /// Print the figures as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// The floor program. Reads what to do from standard input.
    #[command(hide = true)]
    Floor,
}

/// Measures, and prints what came of it.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let result = match args.command {
        Some(Command::Floor) => runtime.block_on(floor::run()),
        None => runtime.block_on(async {
            tokio::select! {
                result = measure(&args) => result,
                _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            }
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> Result<()> {
    let (requests, rounds, singles) = (args.requests.get(), args.rounds.get(), args.singles.get());
    let started = Instant::now();
    let machine = Machine::this();
    for warning in machine.warnings() {
        eprintln!("bench: {warning}");
    }
    say(started, "starting the control plane and the simulator");
    let rig = Rig::start().await?;

    say(started, "counting API requests, through the wire proxy");
    let (first_sync, templates) = cost::first_sync(&rig).await?;

    say(started, &format!("timing {} single requests", singles));
    let single = latency::measure(&rig, singles).await?;

    let mut many = many::Many::new(&args.concurrency);
    for round in 1..=rounds {
        say(
            started,
            &format!("{} requests at once, round {round} of {}", requests, rounds),
        );
        many.round(&rig, requests, &templates).await?;
    }

    say(
        started,
        &format!("restarting with {} synced requests", requests),
    );
    let restart = restart::measure(&rig, requests, rounds).await?;

    let report = Report {
        machine,
        requests,
        first_sync,
        single,
        many: many.report(),
        restart,
        took_seconds: started.elapsed().as_secs_f64(),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

/// Progress, on standard error, so that the figures alone are on standard output.
fn say(started: Instant, what: &str) {
    eprintln!("bench: {:>5.1} s  {what}", started.elapsed().as_secs_f64());
}
