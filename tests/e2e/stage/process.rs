//! The operator as a process: it is started, ended, killed, and asked.

use super::*;

impl Stage {
    /// Starts the operator and waits until it is ready.
    pub async fn start(&mut self) {
        self.start_unready().await;
        eventually(SOON, || async {
            let answer = self.get("/readyz").await?;
            // One that stands by answers otherwise.
            if answer.starts_with("ok") {
                Ok(())
            } else {
                bail!("not ready: {answer}")
            }
        })
        .await
        .expect("the operator becomes ready");
    }

    /// Starts the operator and waits only until it listens.
    pub async fn start_unready(&mut self) {
        // By the same name it goes on at once after it was killed, as in a pod.
        let identity = self.team.clone();
        self.operator = Some(self.spawn(&identity).await);
    }

    /// Starts a copy of the operator under a name of its own, and waits only until it listens.
    pub async fn spawn(&mut self, identity: &str) -> Operator {
        self.starts += 1;
        let kubeconfig = self.directory.path().join("kubeconfig");
        let url = self.tcp.as_ref().map_or(self.wire.url(), TcpProxy::url);
        write_kubeconfig(&kubeconfig, url, None, &self.token).expect("a kubeconfig");
        let log = std::fs::File::create(self.log_path(self.starts)).expect("a log file");
        let process = Command::new(env!("CARGO_BIN_EXE_credential-operator"))
            .args([
                "run",
                "--exit-with-stdin",
                "--listen=127.0.0.1:0",
                "--log=trace",
            ])
            .arg(format!("--lease-namespace={}", self.platform))
            .arg(format!("--lease-identity={identity}"))
            .arg(format!("--lease-duration-seconds={}", self.lease_seconds))
            .arg(format!("--namespaces={}", self.team))
            .arg(format!("--provider-selector=stage={}", self.team))
            .args(&self.flags)
            .env_clear()
            .env("KUBECONFIG", &kubeconfig)
            .env("RUST_BACKTRACE", "1")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the operator starts");
        // From here on it ends with this, whatever happens.
        let mut operator = Operator {
            process,
            address: String::new(),
        };
        let start = self.starts;
        operator.address = eventually(SOON, || async {
            let log = self.log(start);
            log.lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find_map(|line| Some(line.get("listening")?.as_str()?.to_owned()))
                .ok_or_else(|| anyhow!("no address in the log:\n{log}"))
        })
        .await
        .expect("the operator listens");
        operator
    }

    /// The operator's process id.
    pub fn pid(&self) -> u32 {
        self.operator
            .as_ref()
            .expect("an operator runs")
            .process
            .id()
    }

    /// Where the operator listens.
    pub fn address(&self) -> &str {
        &self.operator.as_ref().expect("an operator runs").address
    }

    /// Ends the operator by SIGTERM, as a kubelet does. Returns how long it took.
    pub async fn stop(&mut self) -> Duration {
        self.end_by("-TERM").await
    }

    /// Ends the operator by a signal, and sees it end well. Returns how long it took.
    pub async fn end_by(&mut self, signal: &str) -> Duration {
        let Some(mut operator) = self.operator.take() else {
            return Duration::ZERO;
        };
        let started = credential_operator::clock::monotonic();
        operator.signal(signal);
        eventually(Duration::from_secs(12), || {
            let ended = operator.ended();
            async move {
                let status = ended.ok_or_else(|| anyhow!("the operator is still running"))?;
                if status.success() {
                    Ok(())
                } else {
                    bail!("the operator ended with {status}")
                }
            }
        })
        .await
        .expect("the operator ends by itself");
        started.elapsed()
    }

    /// Ends the operator at once, without its knowledge.
    pub fn kill(&mut self) {
        drop(self.operator.take());
    }

    fn log_path(&self, start: u32) -> PathBuf {
        self.directory.path().join(format!("operator-{start}.log"))
    }

    /// All that the operator has logged, over all of its starts.
    pub fn logs(&self) -> String {
        (1..=self.starts).map(|start| self.log(start)).collect()
    }

    /// The end of what the operator has logged in each of its starts.
    pub fn logs_tail(&self) -> String {
        let mut text = String::new();
        for start in 1..=self.starts {
            let log = self.log(start);
            let lines: Vec<_> = log
                .lines()
                .filter(|line| line.contains("credential_operator"))
                .collect();
            let tail = lines.len().saturating_sub(40);
            let lines = lines[tail..].join("\n");
            text += &format!(
                "--- {}: end of the log of start {start}:\n{lines}\n",
                self.team
            );
        }
        text
    }

    pub(super) fn log(&self, start: u32) -> String {
        std::fs::read_to_string(self.log_path(start)).unwrap_or_default()
    }

    /// Asks the operator's own server.
    pub async fn get(&self, path: &str) -> Result<String> {
        let operator = self.operator.as_ref().context("no operator runs")?;
        operator.get(path).await
    }

    /// The value of the one metric whose line begins with `prefix`.
    ///
    /// # Panics
    /// When several do: which of them comes first is chance.
    pub async fn metric(&self, prefix: &str) -> Option<f64> {
        let text = self.get("/metrics").await.ok()?;
        let mut lines = text.lines().filter(|line| line.starts_with(prefix));
        let line = lines.next()?;
        assert_eq!(lines.next(), None, "{prefix} is not the only one: {line}");
        line.rsplit(' ').next()?.parse().ok()
    }
}

impl Operator {
    /// Asks its own server.
    pub async fn get(&self, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.address);
        Ok(reqwest::Client::builder()
            .no_proxy()
            .build()?
            .get(url)
            .send()
            .await?
            .text()
            .await?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.process.try_wait().expect("it can be waited for")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
