//! The programs and libraries that the users of an OpenStack use.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use super::environment::Environment;

/// How long one run of a program may take: generous, they take a second.
const DEADLINE: Duration = Duration::from_secs(60);

/// `openstack` and `aws`, and a Python with their libraries `openstacksdk` and `boto3`.
#[derive(Clone, Debug)]
pub struct Clients {
    environment: Environment,
}

impl Clients {
    /// Finds them. Blocks: on a machine's first time half a minute for the installation.
    ///
    /// # Errors
    /// When there is no Python that can make virtual environments, and when pip fails.
    pub fn find() -> Result<Self> {
        Ok(Self {
            environment: Environment::clients()?,
        })
    }

    /// Those of this process, found on first use.
    ///
    /// # Panics
    /// When they cannot be found.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Clients, String>> = OnceLock::new();
        match SHARED.get_or_init(|| Self::find().map_err(|error| format!("{error:#}"))) {
            Ok(clients) => clients,
            Err(error) => panic!("no clients of OpenStack: {error}"),
        }
    }

    /// The path of a program: `openstack`, `aws`, `swift` or `python`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.environment.program(name)
    }

    /// Runs one of the programs and returns what it writes to standard output. It has an empty home
    /// directory of its own, in which it runs, the variables `variables`, and no others.
    ///
    /// # Errors
    /// With its standard error when it fails, and when it takes longer than a minute.
    pub async fn run(
        &self,
        name: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<String> {
        let home = tempfile::tempdir()?;
        let running = Command::new(self.program(name))
            .args(arguments)
            .current_dir(home.path())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", home.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(DEADLINE, running)
            .await
            .with_context(|| format!("{name} did not end within {DEADLINE:?}"))?
            .with_context(|| format!("cannot start {name}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "{name} failed ({}):\n{}{text}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
        );
        Ok(text.into_owned())
    }
}
