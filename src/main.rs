//! The program: see `credential-operator --help`.

#![forbid(unsafe_code)]
#![deny(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::{net::IpAddr, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use credential_operator::{
    api::crd,
    args::{Cli, Command, LogFormat, RunArgs},
    controller::{apiserver::ApiServer, context::Settings, leader::Lease, run::Operator},
    server::{self, Phase, Readiness},
};
use kube::Config;
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long the operator may take to end after SIGTERM: its passes, and giving the Lease back. With
/// what else has to be done, the program ends within ten seconds.
const GRACE: Duration = Duration::from_secs(9);

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Crds => crds(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("credential-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn crds() -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    for crd in crd::all() {
        writeln!(out, "---\n{}", crd::to_yaml(&crd)?.trim_end())?;
    }
    Ok(())
}

fn run(args: &RunArgs) -> anyhow::Result<()> {
    log(args)?;
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("the TLS library was set up twice"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(operate(args));
    // Calls to providers that are still under way are not waited for any longer, nor is standard input.
    runtime.shutdown_timeout(Duration::from_millis(500));
    ended
}

async fn operate(args: &RunArgs) -> anyhow::Result<()> {
    // Before anything that may take time: a first probe that nobody answers becomes an event.
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("--listen {}: cannot be bound", args.listen))?;
    let listening = listener
        .local_addr()
        .context("the address of --listen cannot be read")?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespaces = ?args.namespaces, %listening, "started");
    let readiness = Readiness::default();
    let served = CancellationToken::new();
    let server = tokio::spawn(server::serve(listener, readiness.clone(), served.clone()));

    let stop = CancellationToken::new();
    let mut running = tokio::spawn(work(args.clone(), readiness.clone(), stop.clone()));
    tokio::select! {
        told = until_told(args.exit_with_stdin) => told?,
        ended = &mut running => return ended.context("the operator has failed")?,
    }
    tracing::info!("shutting down; passes under way may end");
    readiness.enter(Phase::Stopping);
    stop.cancel();
    if tokio::time::timeout(GRACE, running).await.is_err() {
        tracing::warn!(
            "the operator did not end in time; what was under way is taken up at the next start"
        );
    }
    served.cancel();
    server.abort();
    Ok(())
}

/// Finds the cluster and works until told to stop.
async fn work(args: RunArgs, readiness: Readiness, stop: CancellationToken) -> anyhow::Result<()> {
    let Some(operator) = stop.run_until_cancelled(set_up(&args, readiness)).await else {
        return Ok(());
    };
    operator?.run(stop).await
}

async fn set_up(args: &RunArgs, readiness: Readiness) -> anyhow::Result<Operator> {
    let config = Config::infer()
        .await
        .context("no cluster: neither a kubeconfig (KUBECONFIG or ~/.kube/config) nor a ServiceAccount was found")?;
    let api_server = addresses(&config).await;
    let namespace = config.default_namespace.clone();
    let (timeouts, health) = (args.timeouts(), readiness.health().clone());
    // A login of a kubeconfig may be a command that takes its time.
    let server = tokio::task::spawn_blocking(move || ApiServer::new(config, timeouts, health))
        .await?
        .context("the cluster's configuration cannot be used")?;
    let settings = settings(args, api_server, namespace);
    let operator = Operator::new(server, settings, readiness.clone());
    readiness.show(operator.context());
    Ok(operator)
}

fn settings(args: &RunArgs, api_server: Vec<IpAddr>, own_namespace: String) -> Settings {
    let lease = args.leader_election.then(|| Lease {
        name: args.lease_name.clone(),
        namespace: args.lease_namespace.clone().unwrap_or(own_namespace),
        // Two copies must never share one.
        identity: args
            .lease_identity
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        duration: args.lease_duration(),
    });
    Settings {
        lease,
        give_up_after: args.give_up_after,
        namespaces: args.namespaces.clone(),
        provider_selector: args.provider_selector.clone(),
        concurrency: usize::from(args.concurrency),
        pass_deadline: args.pass_deadline(),
        tenant_endpoints: args.tenant_endpoints.clone(),
        api_server,
        proxy_from_env: args.proxy_from_env,
        panic_at: args.panic_at.clone(),
    }
}

/// The API server's addresses, as far as they are known: by its URL, and as pods know it.
async fn addresses(config: &Config) -> Vec<IpAddr> {
    let hosts = [
        config
            .cluster_url
            .host()
            .map(|host| host.trim_matches(['[', ']']).to_owned()),
        std::env::var("KUBERNETES_SERVICE_HOST").ok(),
        Some("kubernetes.default.svc".to_owned()),
    ];
    let lookups = hosts.into_iter().flatten().map(async |host| {
        let lookup = tokio::net::lookup_host((host, 443));
        let found = tokio::time::timeout(Duration::from_secs(2), lookup).await;
        let found = found.ok()?.ok()?;
        Some(found.map(|address| address.ip()).collect::<Vec<_>>())
    });
    let found = futures::future::join_all(lookups).await;
    let mut addresses: Vec<_> = found.into_iter().flatten().flatten().collect();
    addresses.dedup();
    addresses
}

/// Waits for SIGTERM or SIGINT.
async fn until_told(exit_with_stdin: bool) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let end_of_input = async {
        if exit_with_stdin {
            let mut input = tokio::io::stdin();
            let mut buffer = [0; 64];
            while input.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = end_of_input => {}
    }
    Ok(())
}

fn log(args: &RunArgs) -> anyhow::Result<()> {
    // The client's own log repeats answers that it cannot read, and those may be Secrets.
    let filter = EnvFilter::try_new(format!("{},kube_client::client=off", args.log))
        .with_context(|| format!("--log {:?}: not understood", args.log))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
        LogFormat::Text => subscriber.init(),
    }
    Ok(())
}
