//! What a story is played on: a control plane, the operator, and kubectl.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use testkit::control_plane::{ControlPlane, Options, write_kubeconfig};
use testkit::wait::eventually;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;

use super::example::{Example, repository};
use super::narrator::Narrator;
use super::operator::Operator;

/// How long anything may take that takes a second on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);

/// The ServiceAccount of `deploy/`, by its namespace and its name.
pub const ACCOUNT: (&str, &str) = ("credential-operator", "credential-operator");

/// What there is to look at in every story.
const LOOKS: [&str; 4] = [
    "kubectl get credentials -A",
    "kubectl describe credreq -n payments",
    "kubectl get events -A",
    "kubectl explain credentialrequest.spec",
];

/// What was put up so far.
#[derive(Default)]
pub struct Scene {
    operator: Option<(Operator, String)>,
    control_plane: Option<ControlPlane>,
    starting: Vec<JoinHandle<()>>,
    directory: Option<tempfile::TempDir>,
    /// What else has to stay up as long as the rest.
    kept: Vec<Box<dyn Any>>,
}

impl Scene {
    /// Starts the control plane, with the operator's CRDs and roles as they are shipped.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_control_plane(&mut self) -> Result<&ControlPlane> {
        let options = Options {
            manifests: [
                "crds/credentialrequests.yaml",
                "crds/credentialproviders.yaml",
                "crds/clustercredentialproviders.yaml",
                "deploy/base/namespace.yaml",
                "deploy/base/service-account.yaml",
                "deploy/base/rbac.yaml",
                "deploy/base/aggregated-roles.yaml",
            ]
            .map(repository)
            .to_vec(),
            ..Options::default()
        };
        let control_plane = self
            .start_apart("the control plane", || ControlPlane::start(options))
            .await?;
        control_plane.require_controller_manager()?;
        self.directory = Some(tempfile::tempdir()?);
        Ok(self.control_plane.insert(control_plane))
    }

    /// Starts something in a thread of its own, because that blocks. When nobody waits for it any
    /// more, what it has started ends in there.
    ///
    /// # Errors
    /// Those of `start`.
    pub async fn start_apart<T: Send + 'static>(
        &mut self,
        what: &str,
        start: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, started) = oneshot::channel();
        self.starting
            .push(std::thread::spawn(move || drop(sender.send(start()))));
        started
            .await
            .with_context(|| format!("{what} could not be started"))?
    }

    /// Starts the operator as its ServiceAccount and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_operator(&mut self) -> Result<()> {
        let control_plane = self.control_plane()?;
        let token = control_plane
            .service_account_token(ACCOUNT.0, ACCOUNT.1)
            .await?;
        let kubeconfig = self.directory()?.join("operator.kubeconfig");
        write_kubeconfig(
            &kubeconfig,
            control_plane.url(),
            Some(control_plane.ca_pem()),
            &token,
        )?;
        let operator = Operator::start(self.directory()?, "operator", &kubeconfig, &[])?;
        // Put up before it is ready, so that its log can be shown when it never is.
        let (operator, address) = self.operator.insert((operator, String::new()));
        *address = operator.ready().await?;
        Ok(())
    }

    /// The control plane.
    ///
    /// # Errors
    /// Before it is there.
    pub fn control_plane(&self) -> Result<&ControlPlane> {
        self.control_plane
            .as_ref()
            .context("there is no control plane yet")
    }

    /// Whether there is one.
    pub fn has_control_plane(&self) -> bool {
        self.control_plane.is_some()
    }

    /// A directory for files of the story.
    ///
    /// # Errors
    /// Before there is a control plane.
    pub fn directory(&self) -> Result<&Path> {
        Ok(self
            .directory
            .as_ref()
            .context("there is no directory yet")?
            .path())
    }

    /// The end of the operator's log; empty without an operator.
    pub fn operator_log_tail(&self) -> String {
        self.operator
            .as_ref()
            .map(|(operator, _)| operator.log_tail())
            .unwrap_or_default()
    }

    /// Runs kubectl as an administrator, and shows the command and its output.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub async fn show_kubectl(&self, narrator: &Narrator, command: &str) -> Result<String> {
        narrator.command(&format!("kubectl {command}"));
        let (said, remarks) = self.run_kubectl(command, "").await?;
        narrator.output(&remarks);
        narrator.output(&said);
        Ok(said)
    }

    /// Applies an example, and shows that.
    ///
    /// # Errors
    /// When kubectl refuses it.
    pub async fn show_apply(&self, narrator: &Narrator, example: &Example) -> Result<()> {
        // Server-side: else kubectl keeps a copy of what it applied, login included, in an annotation.
        narrator.command(&format!(
            "kubectl apply --server-side -f {}",
            example.file()
        ));
        let said = self.apply(example).await?;
        narrator.output(&said);
        Ok(())
    }

    /// The same without showing it.
    ///
    /// # Errors
    /// As [`Self::show_apply`].
    pub async fn apply(&self, example: &Example) -> Result<String> {
        self.kubectl("apply --server-side -f -", example.text())
            .await
    }

    /// Runs kubectl as an administrator; returns what it printed.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub async fn kubectl(&self, command: &str, input: &str) -> Result<String> {
        Ok(self.run_kubectl(command, input).await?.0)
    }

    /// The same; returns its remarks on standard error, too.
    async fn run_kubectl(&self, command: &str, input: &str) -> Result<(String, String)> {
        let mut process = tokio::process::Command::from(self.control_plane()?.kubectl());
        let mut child = process
            .args(arguments(command))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("kubectl cannot be run")?;
        let mut pipe = child
            .stdin
            .take()
            .context("kubectl has no standard input")?;
        // A kubectl that fails early does not read: its own message says more than the broken pipe.
        let _ = pipe.write_all(input.as_bytes()).await;
        drop(pipe);
        let output = tokio::time::timeout(SOON * 2, child.wait_with_output())
            .await
            .context("kubectl hangs")??;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let remarks = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            bail!("kubectl {command}: {}", remarks.trim());
        }
        Ok((said, remarks))
    }

    /// Keeps something up as long as the rest, such as a provider.
    pub fn keep(&mut self, thing: impl Any) {
        self.kept.push(Box::new(thing));
    }

    /// How to look at what is up; `looks` are commands for what only this story has.
    pub fn how_to_look(&self, looks: &[String]) -> String {
        let Ok(control_plane) = self.control_plane() else {
            return String::new();
        };
        let kubectl = PathBuf::from(control_plane.kubectl().get_program());
        let mut text = format!(
            "\nEverything is still running. In another terminal:\n\n  export KUBECONFIG={}\n  alias kubectl={}\n",
            control_plane.admin_kubeconfig().display(),
            kubectl.display(),
        );
        for look in LOOKS.into_iter().chain(looks.iter().map(String::as_str)) {
            text += &format!("  {look}\n");
        }
        if let Some((operator, address)) = &self.operator {
            text += &format!(
                "  curl {address}/metrics\n  tail -f {}\n",
                operator.log().display()
            );
        }
        text + "\nCtrl-C ends it."
    }

    /// Ends everything.
    pub async fn close(&mut self) {
        self.operator = None;
        self.control_plane = None;
        for starting in self.starting.drain(..) {
            let ended = eventually(Duration::from_secs(5), || {
                let finished = starting.is_finished();
                async move {
                    if finished {
                        Ok(())
                    } else {
                        bail!("something is still starting")
                    }
                }
            });
            // Its processes end with this one; the next of its kind sweeps the directory up.
            let _ = ended.await;
        }
        self.kept.clear();
        self.directory = None;
    }
}

/// The arguments of a command, as a shell would see them; it knows of quotes only the single ones.
fn arguments(command: &str) -> Vec<String> {
    let mut arguments = vec![];
    let mut last = String::new();
    for (number, part) in command.split('\'').enumerate() {
        if number % 2 == 1 {
            last += part;
            continue;
        }
        for (number, word) in part.split(' ').enumerate() {
            if number > 0 && !last.is_empty() {
                arguments.push(std::mem::take(&mut last));
            }
            last += word;
        }
    }
    if !last.is_empty() {
        arguments.push(last);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::arguments;

    #[test]
    fn what_is_in_quotes_belongs_to_its_argument() {
        assert_eq!(
            arguments("get credreq  -o jsonpath='{a b}' -p '{\"c\": 1}'"),
            ["get", "credreq", "-o", "jsonpath={a b}", "-p", "{\"c\": 1}"]
        );
    }
}
