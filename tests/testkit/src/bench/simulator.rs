//! The simulated provider, as a process of its own, so that what it uses is not counted as ours.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::operator::built;

/// A running simulator. It ends when dropped, and when this process does.
pub struct Simulator {
    process: Child,
    /// What it says about itself.
    pub login: Login,
    /// The certificate of its authority.
    pub ca_pem: String,
    http: reqwest::Client,
}

/// How to log in to it.
#[derive(Deserialize)]
pub struct Login {
    /// The base URL.
    pub endpoint: String,
    /// The access key.
    pub ak: String,
    /// The secret key.
    pub sk: String,
    ca: PathBuf,
}

impl Simulator {
    /// Starts one that speaks TLS, as a provider does.
    ///
    /// # Errors
    /// When it was not built, or does not start.
    pub fn start(directory: &Path) -> Result<Self> {
        let mut process = Command::new(built("dce-simulator")?)
            .args(["--tls", "--guard", "--dir"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the simulator cannot be started")?;
        let output = process
            .stdout
            .take()
            .context("the simulator has no standard output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let login: Login = serde_json::from_str(&line).context("the simulator did not start")?;
        let ca_pem = std::fs::read_to_string(&login.ca)?;
        let authority = reqwest::Certificate::from_pem(ca_pem.as_bytes())?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .build()?;
        Ok(Self {
            process,
            login,
            ca_pem,
            http,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How many calls it has had.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn calls(&self) -> Result<u64> {
        let url = format!("{}/_sim/calls", self.login.endpoint);
        let answer: Value = self
            .http
            .get(url)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        answer["count"].as_u64().context("no count of calls")
    }

    /// Makes the two calls that a token costs, on a connection that is open already, and returns how
    /// long they took.
    ///
    /// # Errors
    /// When one of them fails.
    pub async fn two_calls(&self) -> Result<Duration> {
        let started = Instant::now();
        let token = fetch_token(
            &self.http,
            &self.login.endpoint,
            &self.login.ak,
            &self.login.sk,
        )
        .await?;
        prove_token(&self.http, &self.login.endpoint, &token).await?;
        Ok(started.elapsed())
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks for a token, as the operator does.
///
/// # Errors
/// When there is none.
pub async fn fetch_token(
    http: &reqwest::Client,
    endpoint: &str,
    ak: &str,
    sk: &str,
) -> Result<String> {
    let url = format!("{endpoint}/apis/ghippo.io/v1alpha1/token?ak={ak}&sk={sk}&cycle=3");
    // Its error would show the URL, and with it the key pair.
    let answer = http
        .get(url)
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    let answer: Value = answer.json().await.map_err(reqwest::Error::without_url)?;
    Ok(answer["token"].as_str().context("no token")?.to_owned())
}

/// Proves a token, as the operator does.
///
/// # Errors
/// When it is refused.
pub async fn prove_token(http: &reqwest::Client, endpoint: &str, token: &str) -> Result<()> {
    let url = format!("{endpoint}/apis/ghippo.io/v1alpha1/current-user");
    let answer = http.get(url).bearer_auth(token).send().await?;
    let (status, body) = (answer.status(), answer.bytes().await?);
    ensure!(
        status.is_success() && !body.is_empty(),
        "the self-test answers {status}"
    );
    Ok(())
}
