//! Builds the control plane from Go modules, once per version and machine.
//!
//! The sources stand in `control-plane/` of this crate and are compiled into it, so that a test
//! binary can build them wherever it runs. The result lies in the user's cache directory, not under
//! `target/`: `cargo clean` must not cost five minutes.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::assets;

const SOURCES: [(&str, &str); 3] = [
    ("go.mod", include_str!("../../control-plane/go.mod")),
    ("go.sum", include_str!("../../control-plane/go.sum")),
    ("main.go", include_str!("../../control-plane/main.go")),
];

/// The names under which the one binary is called.
const PROGRAMS: [&str; 6] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kubectl",
    "etcdutl",
    "etcd-snapshot",
];

/// How the names of directories begin that are of no use once their build is over.
const UNFINISHED: &str = "building-";

/// How often a build says that it is still going on.
const PROGRESS: Duration = Duration::from_secs(20);

/// How many lines of a failed build are shown.
const SHOWN_LINES: usize = 30;

/// Writes a line to standard error past the test harness, which would keep it until a test fails.
macro_rules! say {
    ($($arguments:tt)*) => {{
        let _ = writeln!(std::io::stderr(), "control plane: {}", format_args!($($arguments)*));
    }};
}
pub(super) use say;

/// The directory with the built programs; builds them if it is not there yet.
///
/// Safe to call from several processes at once: one builds, the others wait for it.
pub(super) fn directory() -> Result<PathBuf> {
    let cache = cache()?;
    let finished = cache.join(format!("control-plane-{}", key()));
    if finished.is_dir() {
        return Ok(finished);
    }
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let lock = File::create(cache.join("control-plane.lock"))?;
    if lock.try_lock().is_err() {
        say!("another process is building it, waiting for that one");
        lock.lock()?;
    }
    if !finished.is_dir() {
        build(&cache, &finished)?;
    }
    Ok(finished)
}

/// Builds beside the final place and renames, so that what is there is complete, whenever the build
/// was interrupted. For one process at a time.
fn build(cache: &Path, finished: &Path) -> Result<()> {
    remove_leftovers(cache);
    let source = tempfile::Builder::new()
        .prefix(&format!("{UNFINISHED}source-"))
        .tempdir_in(cache)?;
    for (name, text) in SOURCES {
        fs::write(source.path().join(name), text)?;
    }
    let result = tempfile::Builder::new()
        .prefix(&format!("{UNFINISHED}result-"))
        .tempdir_in(cache)?;
    compile(
        source.path(),
        &result.path().join("control-plane"),
        finished,
    )?;
    for program in PROGRAMS {
        std::os::unix::fs::symlink("control-plane", result.path().join(program))?;
    }
    fs::rename(result.path(), finished)?;
    // It has moved: there is nothing left to remove.
    let _ = result.keep();
    Ok(())
}

/// Removes what a build that was killed could not.
fn remove_leftovers(cache: &Path) {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED))
    {
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn compile(source: &Path, binary: &Path, finished: &Path) -> Result<()> {
    let started = Instant::now();
    let mut go = Command::new("go");
    go.args(arguments())
        .arg("-v")
        .arg("-o")
        .arg(binary)
        .arg(".");
    go.current_dir(source)
        .envs([("CGO_ENABLED", "0"), ("GOWORK", "off")])
        // For this machine, whatever the caller cross-compiles for.
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = match go.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(assets::neither()),
        Err(error) => return Err(error).context("cannot start go"),
    };
    say!(
        "building Kubernetes {} and etcd from Go modules into {}. \
         Once; a cold build takes about five minutes",
        version(),
        finished.display(),
    );
    let output = child.stderr.take().context("go has no standard error")?;
    let last_lines = follow(BufReader::new(output), started);
    let status = child.wait()?;
    ensure!(
        status.success(),
        "go build failed ({status}):\n{last_lines}"
    );
    say!("built in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Reports progress until the compiler ends; returns its last lines.
fn follow(output: impl std::io::BufRead, started: Instant) -> String {
    let (mut downloaded, mut compiled) = (0, 0);
    let mut reported = Instant::now();
    let mut tail = VecDeque::new();
    for line in output.lines().map_while(Result::ok) {
        if line.starts_with("go: downloading ") {
            downloaded += 1;
        } else {
            compiled += 1;
        }
        tail.push_back(line);
        if tail.len() > SHOWN_LINES {
            tail.pop_front();
        }
        if reported.elapsed() >= PROGRESS {
            reported = Instant::now();
            let seconds = started.elapsed().as_secs();
            say!(
                "{seconds} s, {downloaded} modules fetched, \
                 {compiled} packages compiled"
            );
        }
    }
    Vec::from(tail).join("\n")
}

/// The arguments that decide what is built; they are part of the cache key.
fn arguments() -> Vec<String> {
    let version = version();
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    // Without these the server calls itself v0.0.0, which misleads clients that look at its
    // version.
    let package = "k8s.io/component-base/version";
    let link = format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} \
         -X {package}.gitMinor={minor}"
    );
    [
        "build",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        &link,
    ]
    .map(String::from)
    .into()
}

/// The version of Kubernetes, as go.mod requires it.
fn version() -> &'static str {
    let (_, go_mod) = SOURCES[0];
    go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .expect("go.mod requires k8s.io/kubernetes")
}

fn key() -> String {
    let mut hash = Sha256::new();
    for part in SOURCES
        .map(|(_, text)| text.to_owned())
        .into_iter()
        .chain(arguments())
    {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .take(10)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Where everything lies that is made once: `credential-operator` in the user's cache directory.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value: &OsString| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(base
        .context("neither XDG_CACHE_HOME nor HOME is set")?
        .join("credential-operator"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_build_is_the_one_that_go_mod_requires() {
        assert!(version().starts_with("v1."));
        assert!(
            arguments()
                .iter()
                .any(|argument| argument.contains(&format!("gitVersion={} ", version())))
        );
    }

    #[test]
    fn the_staging_modules_belong_to_the_same_release() {
        let (_, go_mod) = SOURCES[0];
        let staging = version().replacen("v1.", "v0.", 1);
        for line in go_mod.lines().filter(|line| line.contains(" => ")) {
            assert!(line.ends_with(&staging), "{line}");
        }
    }

    #[test]
    fn a_failed_build_shows_its_last_lines() {
        let output: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let tail = follow(output.as_bytes(), Instant::now());
        assert!(tail.starts_with("line 70\n") && tail.ends_with("line 99"));
    }
}
