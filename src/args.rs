//! The command line. Each flag has an environment variable.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{controller::apiserver::Timeouts, providers::guard::Cidr};

/// Syncs credentials of cloud identity systems into Kubernetes Secrets.
#[derive(Parser, Debug)]
#[command(name = "credential-operator", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the operator, with the cluster of the kubeconfig, or the one that it runs in.
    Run(Box<RunArgs>),
    /// Print the CustomResourceDefinitions.
    Crds,
}

/// The flags of `run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Namespaces to serve, separated by commas. All when absent.
    #[arg(long, env = "CREDENTIAL_OPERATOR_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// Serve only the ClusterCredentialProviders with these labels, such as `shard=a`. All when absent.
    #[arg(long, env = "CREDENTIAL_OPERATOR_PROVIDER_SELECTOR")]
    pub provider_selector: Option<String>,

    /// How many requests are worked on at the same time.
    #[arg(long, env = "CREDENTIAL_OPERATOR_CONCURRENCY", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,

    /// After how many seconds the work on one request is given up and begun anew.
    #[arg(long, env = "CREDENTIAL_OPERATOR_PASS_DEADLINE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub pass_deadline_seconds: u64,

    /// Address and port of /livez, /readyz and /metrics.
    #[arg(
        long,
        env = "CREDENTIAL_OPERATOR_LISTEN",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,

    /// Ranges of addresses, separated by commas, that the endpoint of a CredentialProvider may lead
    /// to although they are loopback, link-local, a metadata service or the API server.
    #[arg(
        long,
        env = "CREDENTIAL_OPERATOR_TENANT_ENDPOINTS",
        value_delimiter = ','
    )]
    pub tenant_endpoints: Vec<Cidr>,

    /// Heed HTTP_PROXY, HTTPS_PROXY and NO_PROXY when calling providers.
    #[arg(long, env = "CREDENTIAL_OPERATOR_PROXY_FROM_ENV")]
    pub proxy_from_env: bool,

    /// Act only while holding a Lease, so that several copies can be started of which one acts.
    #[arg(long, env = "CREDENTIAL_OPERATOR_LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_election: bool,

    /// The name of that Lease. Copies that serve different namespaces or providers need different ones.
    #[arg(
        long,
        env = "CREDENTIAL_OPERATOR_LEASE_NAME",
        default_value = "credential-operator"
    )]
    pub lease_name: String,

    /// The namespace of that Lease. That of the pod, or of the kubeconfig, when absent.
    #[arg(long, env = "CREDENTIAL_OPERATOR_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// By what this copy is known in that Lease, such as the name of its pod. One that is started again
    /// under the same name goes on at once; two copies must never share one. A random one when absent.
    #[arg(long, env = "CREDENTIAL_OPERATOR_LEASE_IDENTITY")]
    pub lease_identity: Option<String>,

    /// For how many seconds that Lease is held without being renewed, which is how long another copy
    /// waits before it takes over from one that has died.
    #[arg(long, env = "CREDENTIAL_OPERATOR_LEASE_DURATION_SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(3..=600))]
    pub lease_duration_seconds: u64,

    /// After how many seconds a call to the API server that reads one object is given up, and new
    /// connections are made. Changes may take half as long again, lists three times as long.
    #[arg(long, env = "CREDENTIAL_OPERATOR_API_SERVER_TIMEOUT_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub api_server_timeout_seconds: u64,

    /// After how many seconds the API server is asked to end a watch, which is then resumed where it
    /// was. Each watch asks for up to half as much again. A frozen connection is noticed after that.
    #[arg(long, env = "CREDENTIAL_OPERATOR_WATCH_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(5..=600))]
    pub watch_seconds: u32,

    /// After which time, such as `10m`, a credential is given up that cannot be revoked because the
    /// login is gone, in a namespace that is being deleted.
    #[arg(long, env = "CREDENTIAL_OPERATOR_GIVE_UP_AFTER", default_value = "10m", value_parser = positive)]
    pub give_up_after: Duration,

    /// What is logged: error, warn, info, debug or trace, or a list such as `info,credential_operator=debug`.
    #[arg(long, env = "CREDENTIAL_OPERATOR_LOG", default_value = "info")]
    pub log: String,

    /// How log lines are written.
    #[arg(long, env = "CREDENTIAL_OPERATOR_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,

    /// End when standard input does: for tests and demos, in which the operator must not outlive
    /// whoever started it.
    #[arg(long, env = "CREDENTIAL_OPERATOR_EXIT_WITH_STDIN", hide = true)]
    pub exit_with_stdin: bool,

    /// Panic at this request (namespace/name). Builds for release ignore it.
    #[arg(long, env = "CREDENTIAL_OPERATOR_PANIC_AT", hide = true)]
    pub panic_at: Option<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl RunArgs {
    /// The deadline of a pass.
    pub fn pass_deadline(&self) -> Duration {
        Duration::from_secs(self.pass_deadline_seconds)
    }

    /// How long the API server may take.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts {
            call: Duration::from_secs(self.api_server_timeout_seconds),
            watch_seconds: self.watch_seconds,
        }
    }

    /// How long a Lease is held without being renewed.
    pub fn lease_duration(&self) -> Duration {
        Duration::from_secs(self.lease_duration_seconds)
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    let signed = crate::api::types::Duration::from(text).to_signed()?;
    Duration::try_from(signed).map_err(|error| error.to_string())
}
