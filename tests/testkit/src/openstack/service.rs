//! A server in Python that says where it listens.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::control_plane::{Directory, Server};
use crate::wait::eventually_blocking;

/// How long one may take to come up: generous, for machines that run many tests at once.
const DEADLINE: Duration = Duration::from_secs(120);

/// The file into which it writes its URL when it serves.
const URL: &str = "url";

/// A running server with its directory; both go when it is dropped.
pub(super) struct Service {
    // The order matters: the server ends before its directory goes.
    server: Server,
    url: String,
    directory: Directory,
}

impl Service {
    /// Has `python` run `script` with the directory as its first argument, then `arguments`, and waits until it
    /// serves.
    pub(super) fn start(
        name: &'static str,
        directory: Directory,
        python: &Path,
        script: &str,
        arguments: &[String],
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let program = directory.path().join(format!("{name}_server.py"));
        fs::write(&program, script)?;
        let mut all = vec![String::from("-I"), text(&program), text(directory.path())];
        all.extend_from_slice(arguments);
        let mut server = Server::start_guarded(name, directory.path(), python, &all, settings)?;
        let url = wait(&mut server, &directory.path().join(URL))?;
        Ok(Self {
            server,
            url,
            directory,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn process_id(&self) -> u32 {
        self.server.id()
    }

    pub(super) fn log_tail(&self) -> String {
        self.server.log_tail()
    }
}

/// Waits for the file with the URL, or until the server ends.
fn wait(server: &mut Server, file: &Path) -> Result<String> {
    let mut dead = None;
    let url = eventually_blocking(DEADLINE, || {
        dead = server.check_alive().err();
        if dead.is_some() {
            return Ok(String::new());
        }
        fs::read_to_string(file).context("it does not serve yet")
    });
    match dead {
        Some(error) => Err(error),
        None => url.with_context(|| {
            let (name, log) = (server.name(), server.log_tail());
            format!("{name} does not come up; the end of its log:\n{log}")
        }),
    }
}

pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> Result<Service> {
        let directory = Directory::create("service-test")?;
        let python = Path::new("python3");
        Service::start("service", directory, python, script, &[], &[])
    }

    #[test]
    fn it_is_there_once_it_has_said_where() {
        let script = "
import pathlib, sys, time
pathlib.Path(sys.argv[1], 'url').write_text('http://somewhere')
print('a line of the log', flush=True)
time.sleep(1000)
";
        let service = start(script).unwrap();
        assert_eq!(service.url(), "http://somewhere");
        let log = || {
            anyhow::ensure!(service.log_tail() == "a line of the log");
            Ok(())
        };
        eventually_blocking(Duration::from_secs(10), log).unwrap();
    }

    #[test]
    fn one_that_ends_instead_is_noticed_and_its_log_is_shown() {
        let error = start("raise SystemExit('no room for data')").err().unwrap();
        assert!(error.to_string().contains("no room for data"), "{error}");
    }
}
