//! One server process that cannot outlive this one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::assets::{Assets, Guard};

/// Ends the server when standard input ends, for binaries that do not watch it themselves: the
/// shell becomes the server, so that its exit is seen, and a shell beside it waits for the end of
/// the pipe.
const SHELL_GUARD: &str =
    r#"exec 3<&0 0</dev/null; ( cat <&3; kill -9 $$ ) >/dev/null 2>&1 & exec "$@" 3<&-"#;

/// How much of a log an error shows.
const SHOWN_LINES: usize = 25;

/// A running server: killed when dropped, and by its guard when this process ends in whatever way.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    /// The end of the pipe whose other end the guard watches.
    pipe: Option<ChildStdin>,
    log: PathBuf,
}

impl Server {
    /// Starts `name` with `arguments` in `directory`, its output going to a log file there.
    pub(super) fn start(
        assets: &Assets,
        name: &'static str,
        directory: &Path,
        arguments: &[String],
    ) -> Result<Self> {
        let program = assets.program(name);
        let mut command = match assets.guard() {
            Guard::BuiltIn => Command::new(&program),
            Guard::Shell => guarded(name, &program),
        };
        command.args(arguments);
        // They live for minutes on a machine that tests share: memory is cheaper than collecting it.
        let mut settings = vec![("GOGC", "400")];
        if assets.guard() == Guard::BuiltIn {
            settings.push(("CONTROL_PLANE_GUARD", "1"));
        }
        Self::spawn(name, directory, command, &settings)
            .with_context(|| format!("cannot start {}", program.display()))
    }

    /// Starts a program that knows nothing of guards in `directory`, with no environment but
    /// `settings`, its output going to the log file `name`.log there.
    pub(crate) fn start_guarded(
        name: &'static str,
        directory: &Path,
        program: &Path,
        arguments: &[String],
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = guarded(name, program);
        command.args(arguments);
        Self::spawn(name, directory, command, settings)
            .with_context(|| format!("cannot start {}", program.display()))
    }

    /// Starts a command that ends with its standard input.
    fn spawn(
        name: &'static str,
        directory: &Path,
        mut command: Command,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log)?;
        command
            .current_dir(directory)
            // etcd takes settings from ETCD_*, Keystone from OS_*, all of them proxies from
            // *_PROXY: none of that is meant for these.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", directory)
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut child = command.spawn()?;
        let pipe = child.stdin.take();
        Ok(Self {
            name,
            child,
            pipe,
            log,
        })
    }

    /// Fails with the end of the log if the server has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} ended ({status}); the end of its log:\n{}",
                self.name,
                self.log_tail()
            );
        }
        Ok(())
    }

    /// Ends the server, which was not asked before, and waits until it has ended.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        // Before the wait: as long as nobody has waited, the process id stays taken and the shell's
        // kill hits nobody else.
        drop(self.pipe.take());
        let _ = self.child.wait();
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of what the server has written.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

/// A command that runs `program` beside a shell that ends it.
fn guarded(name: &str, program: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", SHELL_GUARD, name]).arg(program);
    shell
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wait::eventually_blocking;

    /// Assets whose "etcd" is a shell, guarded like a released binary. A link and not a script: a
    /// file that was just written cannot be run while another thread, which is starting a process,
    /// has inherited it open.
    fn assets() -> (tempfile::TempDir, Assets) {
        let directory = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            std::os::unix::fs::symlink("/bin/sh", directory.path().join(name)).unwrap();
        }
        let assets = Assets::given(directory.path()).unwrap();
        (directory, assets)
    }

    fn start(script: &str) -> (tempfile::TempDir, Server) {
        let (directory, assets) = assets();
        let arguments = ["-c", script].map(String::from);
        let server = Server::start(&assets, "etcd", directory.path(), &arguments).unwrap();
        (directory, server)
    }

    fn ended(server: &mut Server) -> String {
        let error = eventually_blocking(Duration::from_secs(10), || match server.check_alive() {
            Ok(()) => bail!("still alive"),
            Err(error) => Ok(error),
        });
        error.unwrap().to_string()
    }

    #[test]
    fn the_shell_ends_a_server_whose_standard_input_ends() {
        let (_directory, mut server) = start("exec sleep 1000");
        server.check_alive().unwrap();
        drop(server.pipe.take());
        ended(&mut server);
    }

    #[test]
    fn a_server_that_ended_by_itself_is_noticed_and_its_log_is_shown() {
        let (_directory, mut server) = start("echo no room for data; exit 3");
        let text = ended(&mut server);
        assert!(
            text.contains("exit status: 3") && text.contains("no room for data"),
            "{text}"
        );
    }
}
