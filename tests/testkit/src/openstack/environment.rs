//! Virtual environments with exactly the packages that a list names.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use super::once::{Making, key, once};
use super::say;

const KEYSTONE: &str = include_str!("../../openstack/requirements-keystone.txt");
const SWIFT: &str = include_str!("../../openstack/requirements-swift.txt");
const CLIENTS: &str = include_str!("../../openstack/requirements-clients.txt");

/// Fails without the modules that make environments, and describes what an environment depends on:
/// the interpreter that it links to, and what that is.
const PROBE: &str = "
import sys, sysconfig, venv, ensurepip
print(*sys.version_info[:2])
print(sys._base_executable, sysconfig.get_platform(), sys.version)
";

/// What the packages of the lists ask for.
const OLDEST_PYTHON: (u32, u32) = (3, 11);

/// A virtual environment that is there.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    directory: PathBuf,
    key: String,
}

impl Environment {
    pub(super) fn keystone() -> Result<Self> {
        Self::find("keystone", KEYSTONE)
    }

    pub(super) fn swift() -> Result<Self> {
        Self::find("swift", SWIFT)
    }

    pub(super) fn clients() -> Result<Self> {
        Self::find("clients", CLIENTS)
    }

    /// Finds it in the cache, or makes it there.
    fn find(name: &str, requirements: &str) -> Result<Self> {
        let python = python()?;
        let key = key(&[requirements, &python]);
        let directory = once(&format!("python-{name}-{key}"), |making| {
            make(making, name, requirements)
        })?;
        Ok(Self { directory, key })
    }

    /// Names the packages and the Python that it was made of.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn python(&self) -> PathBuf {
        self.program("python")
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }
}

/// Describes the Python that environments are made with; asked once per process.
fn python() -> Result<String> {
    static PYTHON: OnceLock<Result<String, String>> = OnceLock::new();
    PYTHON
        .get_or_init(|| probe("python3").map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(anyhow::Error::msg)
}

fn probe(program: &str) -> Result<String> {
    // Isolated: of no concern is what the caller's environment adds to a Python.
    let output = match Command::new(program).args(["-I", "-c", PROBE]).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no {program}, and OpenStack is written in Python: install Python {} or \
             later with its venv module (on Debian and Ubuntu: apt-get install python3-venv)",
            version(OLDEST_PYTHON),
        ),
        Err(error) => return Err(error).with_context(|| format!("cannot start {program}")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    judge(
        output.status.success(),
        &text,
        &String::from_utf8_lossy(&output.stderr),
    )
}

/// What the answer of the probe means.
fn judge(success: bool, answer: &str, error: &str) -> Result<String> {
    ensure!(
        success,
        "python3 cannot make virtual environments: its modules venv and ensurepip are missing (on \
         Debian and Ubuntu: apt-get install python3-venv). It says:\n{error}"
    );
    let (found, description) = answer.split_once('\n').context("python3 says nothing")?;
    let mut numbers = found.split(' ').map_while(|number| number.parse().ok());
    let found = numbers.next().zip(numbers.next());
    let found = found.context("python3 does not tell its version")?;
    ensure!(
        found >= OLDEST_PYTHON,
        "python3 is Python {}, and OpenStack needs {} or later: put a later one first in PATH",
        version(found),
        version(OLDEST_PYTHON),
    );
    Ok(description.to_owned())
}

fn version((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

fn make(making: &Making, name: &str, requirements: &str) -> Result<()> {
    let (directory, started) = (making.directory(), Instant::now());
    say!(
        "installing {} packages for {name} with pip into {}. Once; it takes about half a minute",
        requirements
            .lines()
            .filter(|line| line.contains("=="))
            .count(),
        directory.display(),
    );
    let mut venv = Command::new("python3");
    making.run(venv.args(["-I", "-m", "venv"]).arg(directory))?;
    let list = directory.join("requirements.txt");
    std::fs::write(&list, requirements)?;
    let mut pip = Command::new(directory.join("bin/python"));
    pip.args(["-I", "-m", "pip", "install", "--quiet", "--no-input"])
        .arg("--disable-pip-version-check")
        // The list is complete, and all of it is there for the usual machines: what has to be
        // compiled would fail later and less clearly.
        .args(["--no-deps", "--only-binary", ":all:", "--requirement"])
        .arg(&list);
    making.run(&mut pip).context(
        "pip cannot install the packages; it has to reach the Python Package Index, or a mirror \
         that its configuration names",
    )?;
    // What a list lacks for a Python that it was not tried with would be found out much later.
    let mut check = Command::new(directory.join("bin/python"));
    making
        .run(check.args(["-I", "-m", "pip", "check"]))
        .context("the list of packages is not complete for this Python")?;
    say!("installed in {} s", started.elapsed().as_secs());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_every_list_names_one_version() {
        for list in [KEYSTONE, SWIFT, CLIENTS] {
            let mut packages = list.lines().filter(|line| !line.starts_with('#'));
            assert!(packages.all(|line| line.split("==").count() == 2), "{list}");
        }
    }

    #[test]
    fn without_python_the_way_out_is_named() {
        let error = probe("python3-that-is-not-there").unwrap_err().to_string();
        assert!(error.contains("apt-get install python3-venv"), "{error}");
    }

    #[test]
    fn without_the_modules_the_way_out_is_named_and_python_is_quoted() {
        let error = judge(false, "", "No module named 'ensurepip'").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("apt-get install python3-venv"), "{text}");
        assert!(text.contains("No module named 'ensurepip'"), "{text}");
    }

    #[test]
    fn an_old_python_is_refused_and_a_later_one_serves() {
        let error = judge(true, "3 9\nold\n", "").unwrap_err().to_string();
        assert!(
            error.contains("Python 3.9") && error.contains("3.11"),
            "{error}"
        );
        for later in ["3 11", "3 14", "4 0"] {
            assert_eq!(judge(true, &format!("{later}\nx"), "").unwrap(), "x");
        }
    }
}
