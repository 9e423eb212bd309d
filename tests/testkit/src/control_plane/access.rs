//! Ways to talk to a control plane: clients, tokens, kubeconfig files and kubectl.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};

use super::ControlPlane;

/// How long a token of a ServiceAccount lives, in seconds: longer than any test or benchmark.
const TOKEN_LIFE: i64 = 24 * 60 * 60;

/// A new client for the API server at `url`, which may be a [`WireProxy`](crate::wire::WireProxy).
///
/// It belongs to the runtime that it is first used on, and uses no proxy of the environment.
///
/// # Errors
/// When `url` or `ca_pem` cannot be understood.
pub fn client(url: &str, ca_pem: Option<&str>, token: &str) -> Result<kube::Client> {
    Ok(kube::Client::try_from(config(url, ca_pem, token)?)?)
}

pub(super) fn config(url: &str, ca_pem: Option<&str>, token: &str) -> Result<kube::Config> {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    let mut config = kube::Config::new(url.parse().with_context(|| format!("not a URL: {url}"))?);
    if let Some(pem) = ca_pem {
        let authorities: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .map(|certificate| certificate.map(|der| der.to_vec()))
            .collect();
        config.root_cert = Some(authorities?);
    }
    config.auth_info.token = Some(token.to_owned().into());
    Ok(config)
}

/// Writes a kubeconfig file that only its owner may read.
///
/// # Errors
/// When the file cannot be written.
pub fn write_kubeconfig(
    path: &Path,
    server_url: &str,
    ca_pem: Option<&str>,
    token: &str,
) -> Result<()> {
    let mut cluster = serde_json::json!({"server": server_url});
    if let Some(pem) = ca_pem {
        let encoded = base64::engine::general_purpose::STANDARD.encode(pem);
        cluster["certificate-authority-data"] = encoded.into();
    }
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": "tests", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "current-context": "tests",
    });
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(serde_saphyr::to_string(&kubeconfig)?.as_bytes())?;
    Ok(())
}

/// The name under which a ServiceAccount appears in the audit log and in role bindings.
#[must_use]
pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

impl ControlPlane {
    /// A new client as a member of `system:masters`, who bypasses RBAC and flow control: to arrange
    /// things, never to test with.
    pub async fn admin_client(&self) -> kube::Client {
        self.client_with(&self.tokens.admin)
            .expect("the control plane's own URL and CA are valid")
    }

    /// A new client that presents `token`.
    ///
    /// # Errors
    /// When the client cannot be built.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn client_with(&self, token: &str) -> Result<kube::Client> {
        client(self.url(), Some(self.ca_pem()), token)
    }

    /// A token of an existing ServiceAccount, from the TokenRequest API; good for a day.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin_client().await, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_LIFE),
                ..Default::default()
            },
            ..Default::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for {namespace}/{name}"))?;
        Ok(answer
            .status
            .context("a TokenRequest without status")?
            .token)
    }

    /// kubectl as the administrator, with nothing of this process' environment but `PATH`.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.assets.program("kubectl"));
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            // It keeps what it learned about the server under its home.
            .env("HOME", self.dir())
            .env("KUBECONFIG", self.admin_kubeconfig());
        command
    }
    /// Applies manifests (YAML or JSON, several with `---` between them) as the administrator.
    ///
    /// # Errors
    /// What kubectl says when it fails.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        self.run_kubectl(&["apply", "--server-side", "-f", "-"], manifests)?;
        Ok(())
    }

    /// Runs kubectl to its end; returns what it printed.
    pub(super) fn run_kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .kubectl()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        let mut pipe = child
            .stdin
            .take()
            .context("kubectl has no standard input")?;
        // A kubectl that fails early does not read: its own message says more than the broken pipe.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        let output = child.wait_with_output()?;
        let (said, complained) = (output.stdout, String::from_utf8_lossy(&output.stderr));
        ensure!(
            output.status.success(),
            "kubectl {} failed: {complained}",
            arguments.join(" ")
        );
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}
