//! Bringing servers up: free ports, and waiting until they serve.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;

use super::assets::Assets;
use super::process::Server;
use super::servers::{self, Tokens};
use super::{Options, access};
use crate::wait::{eventually, eventually_blocking};
use crate::wire::Certificate;

/// How long a server may take to come up: generous, for machines that run many tests at once.
const DEADLINE: Duration = Duration::from_secs(120);

/// How often another port is tried when somebody took the one that was free a moment ago.
const PORT_ATTEMPTS: usize = 5;

/// Waits until etcd listens.
pub(super) fn etcd(server: &mut Server, socket: &Path) -> Result<()> {
    let mut dead = None;
    let listening = eventually_blocking(DEADLINE, || {
        dead = server.check_alive().err();
        ensure!(dead.is_some() || socket.exists(), "etcd does not listen");
        Ok(())
    });
    match dead {
        Some(error) => Err(error),
        None => listening.with_context(|| server.log_tail()),
    }
}

/// Starts the API server on a free port and waits until it is ready; returns its URL, too.
pub(super) fn start_api_server(
    assets: &Assets,
    directory: &Path,
    options: &Options,
    etcd: &mut Server,
    probe: &Probe,
) -> Result<(Server, String)> {
    for _ in 0..PORT_ATTEMPTS {
        let port = free_port()?;
        let url = format!("https://127.0.0.1:{port}");
        let arguments = servers::api_server_arguments(options, port);
        let mut server = Server::start(assets, "kube-apiserver", directory, &arguments)?;
        match probe.wait_for_api(&url, &mut [&mut server, etcd]) {
            Ok(()) => return Ok((server, url)),
            Err(_) if server.log_tail().contains("address already in use") => {}
            Err(error) => return Err(error),
        }
    }
    Err(anyhow!("no port stayed free in {PORT_ATTEMPTS} attempts"))
}

/// Starts the API server again on a port of its own, and waits until it is ready.
pub(super) fn start_api_server_at(
    assets: &Assets,
    directory: &Path,
    options: &Options,
    etcd: &mut Server,
    probe: &Probe,
    url: &str,
) -> Result<Server> {
    let port = url.rsplit(':').next().context("a port")?.parse()?;
    let arguments = servers::api_server_arguments(options, port);
    let mut server = Server::start(assets, "kube-apiserver", directory, &arguments)?;
    probe.wait_for_api(url, &mut [&mut server, etcd])?;
    Ok(server)
}

/// A port that nobody uses at this moment; somebody may a moment later.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Asks an API server how it is.
pub(super) struct Probe {
    ca_pem: String,
    token: String,
}

impl Probe {
    pub(super) fn new(certificate: &Certificate, tokens: &Tokens) -> Self {
        Self {
            ca_pem: certificate.ca_pem().to_owned(),
            token: tokens.admin.clone(),
        }
    }

    fn client(&self, url: &str) -> Result<kube::Client> {
        let mut config = access::config(url, Some(&self.ca_pem), &self.token)?;
        // A server that says "not ready" is asked again here, at once, not by the client after a
        // while.
        config.default_retry = false;
        Ok(kube::Client::try_from(config)?)
    }

    /// Waits until the API server is ready, RBAC's own roles included.
    fn wait_for_api(&self, url: &str, servers: &mut [&mut Server]) -> Result<()> {
        wait(servers, || async {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            self.client(url)?.request_text(request).await?;
            Ok(())
        })
    }

    /// Waits until the controllers have done what they do first.
    pub(super) fn wait_for_controllers(&self, url: &str, server: &mut Server) -> Result<()> {
        wait(&mut [server], || async {
            let client = self.client(url)?;
            Api::<ServiceAccount>::namespaced(client.clone(), "default")
                .get("default")
                .await?;
            Api::<ConfigMap>::namespaced(client.clone(), "default")
                .get("kube-root-ca.crt")
                .await?;
            let view = Api::<ClusterRole>::all(client).get("view").await?;
            ensure!(
                view.rules.is_some_and(|rules| !rules.is_empty()),
                "the role view is still empty"
            );
            Ok(())
        })
    }
}

/// Waits for `check`, or until one of `servers` ends; in a thread with a runtime of its own,
/// because the caller may be inside one already.
fn wait<F, Fut>(servers: &mut [&mut Server], check: F) -> Result<()>
where
    F: Fn() -> Fut + Sync,
    Fut: Future<Output = Result<()>>,
{
    let (servers, check) = (&mut *servers, &check);
    let looks = || {
        let dead = servers
            .iter_mut()
            .find_map(|server| server.check_alive().err());
        async move {
            match dead {
                Some(error) => Ok(Err(error)),
                None => check().await.map(Ok),
            }
        }
    };
    let result = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(eventually(DEADLINE, looks))
        });
        looking
            .join()
            .unwrap_or_else(|_| bail!("the look panicked"))
    });
    result
        .with_context(|| {
            format!(
                "{} is not ready; the end of its log:\n{}",
                servers[0].name(),
                servers[0].log_tail()
            )
        })
        .flatten()
}
