//! The operator as a process of its own, as it was built beside this program.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use testkit::wait::{eventually, eventually_blocking};

/// How long the operator may take for what takes it a fraction of a second on an idle machine.
const SOON: Duration = Duration::from_secs(30);

/// A running operator. It is killed when dropped, and ends by itself when this process does.
pub struct Operator {
    process: Child,
    started: Instant,
    log: PathBuf,
}

#[allow(
    dead_code,
    reason = "the demo and the benchmark each need a part of it"
)]
impl Operator {
    /// Where the program lies: cargo puts all programs of a profile into one directory.
    ///
    /// # Errors
    /// When it is not there; says how to build it.
    pub fn binary() -> Result<PathBuf> {
        built("credential-operator")
    }

    /// Starts it, with a log `<directory>/<name>.log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(directory: &Path, name: &str, kubeconfig: &Path, flags: &[&str]) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let mut command = Command::new(Self::binary()?);
        command
            .args(["run", "--exit-with-stdin", "--listen=127.0.0.1:0"])
            // As in its Deployment.
            .arg("--lease-namespace=credential-operator")
            .arg(format!("--lease-identity={name}"))
            .args(flags)
            // Nothing of this shell's settings is meant for it.
            .env_clear()
            .env("KUBECONFIG", kubeconfig)
            // Ctrl-C is for this program, which ends the operator in its own time.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        let started = Instant::now();
        let process = command.spawn().context("the operator cannot be started")?;
        Ok(Self {
            process,
            started,
            log,
        })
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Waits until it listens for probes, and returns where: `http://127.0.0.1:<port>`.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub async fn address(&mut self) -> Result<String> {
        let (process, log) = (&mut self.process, &self.log);
        let found = eventually(SOON, || {
            let ended = process.try_wait();
            let text = fs::read_to_string(log).unwrap_or_default();
            std::future::ready(match (listening(&text), ended) {
                (Some(address), _) => Ok(Ok(address)),
                (None, Ok(Some(status))) => {
                    Ok(Err(anyhow::anyhow!("the operator ended ({status})")))
                }
                (None, _) => Err(anyhow::anyhow!("the operator does not listen")),
            })
        });
        Ok(format!("http://{}", found.await??))
    }

    /// Waits until `/readyz` says ok.
    ///
    /// # Errors
    /// When it ends instead, or takes too long; says what it waits for.
    pub async fn ready(&mut self) -> Result<String> {
        let address = self.address().await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        eventually(SOON, || async {
            let answer = http
                .get(format!("{address}/readyz"))
                .send()
                .await?
                .text()
                .await?;
            ensure!(
                answer.starts_with("ok"),
                "the operator is not ready: {answer}"
            );
            Ok(())
        })
        .await?;
        Ok(address)
    }

    /// Asks it to end, as SIGTERM does, and waits.
    ///
    /// # Errors
    /// When it fails, or takes longer than the ten seconds that it promises.
    pub fn stop(mut self) -> Result<()> {
        drop(self.process.stdin.take());
        let process = &mut self.process;
        eventually_blocking(Duration::from_secs(12), || {
            let ended = process.try_wait()?.context("the operator does not end")?;
            ensure!(ended.success(), "the operator ended with {ended}");
            Ok(())
        })
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program that cargo built beside this one.
///
/// # Errors
/// When it is not there; says how to build it.
pub fn built(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program does not know where it lies")?;
    let path = own.with_file_name(name);
    if !path.is_file() {
        let profile = if cfg!(debug_assertions) {
            ""
        } else {
            " --release"
        };
        bail!(
            "{} is not there; build it: cargo build{profile} --workspace --bins",
            path.display()
        );
    }
    Ok(path)
}

/// The address in a log, once it is there.
fn listening(log: &str) -> Option<String> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|line| Some(line.get("listening")?.as_str()?.to_owned()))
}
