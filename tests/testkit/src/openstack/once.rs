//! Directories in the user's cache that are made once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::say;
use crate::control_plane::cache;

/// The file whose presence says that all of a directory is there.
///
/// Not a rename when all is done: what stands in a virtual environment knows its own path.
const COMPLETE: &str = "complete";

/// How many lines of a failed command's output are shown.
const SHOWN_LINES: usize = 30;

/// A directory that is being made, and the lock that nobody else has meanwhile.
pub(super) struct Making {
    directory: PathBuf,
    lock: File,
}

impl Making {
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a command; its last words are in the error.
    ///
    /// It shares the lock, by way of its standard input. So if this process is killed and the
    /// command goes on, the next one waits for it instead of working in the same directory.
    pub(super) fn run(&self, command: &mut Command) -> Result<()> {
        let program = command.get_program().to_owned();
        let output = command
            .stdin(self.lock.try_clone()?)
            .output()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        ensure!(
            output.status.success(),
            "{} failed ({}):\n{}",
            program.display(),
            output.status,
            lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n"),
        );
        Ok(())
    }
}

/// The directory `name` in the cache; `make` fills it if nobody has.
///
/// Safe to call from several processes at once: one makes it, the others wait for that one.
pub(super) fn once(name: &str, make: impl FnOnce(&Making) -> Result<()>) -> Result<PathBuf> {
    once_in(&cache()?, name, make)
}

fn once_in(parent: &Path, name: &str, make: impl FnOnce(&Making) -> Result<()>) -> Result<PathBuf> {
    let directory = parent.join(name);
    let complete = directory.join(COMPLETE);
    if complete.is_file() {
        return Ok(directory);
    }
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let lock = File::create(parent.join(format!("{name}.lock")))?;
    if lock.try_lock().is_err() {
        say!("somebody else is making {name}, waiting for that");
        lock.lock()?;
    }
    if complete.is_file() {
        return Ok(directory);
    }
    if directory.exists() {
        say!("removing what is there of {name}: it was not finished");
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir(&directory)?;
    let making = Making { directory, lock };
    make(&making).with_context(|| format!("cannot make {}", making.directory.display()))?;
    File::create(complete)?;
    Ok(making.directory)
}

/// Names what is made of `parts`.
pub(super) fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .take(10)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use anyhow::bail;

    use super::*;
    use crate::wait::eventually_blocking;

    #[test]
    fn several_at_once_make_it_once() {
        let parent = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let directory = once_in(&parent.path().join("cache"), "thing", |making| {
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok(fs::write(making.directory().join("content"), "whole")?)
                    });
                    let content = directory.unwrap().join("content");
                    assert_eq!(fs::read_to_string(content).unwrap(), "whole");
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn what_was_not_finished_is_made_anew_from_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let failed = once_in(parent.path(), "thing", |making| {
            fs::write(making.directory().join("half"), "")?;
            bail!("no network")
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("no network"));

        let directory = once_in(parent.path(), "thing", |making| {
            assert!(!making.directory().join("half").exists());
            Ok(())
        });
        assert!(directory.is_ok());
    }

    #[test]
    fn a_failed_command_shows_what_it_said_last() {
        let parent = tempfile::tempdir().unwrap();
        let failed = once_in(parent.path(), "thing", |making| {
            let mut shell = Command::new("sh");
            making.run(shell.args(["-c", "seq 100; echo no such package >&2; exit 3"]))
        });
        let text = format!("{:#}", failed.unwrap_err());
        let ends = text.ends_with("no such package");
        assert!(ends && text.contains("exit status: 3"), "{text}");
        assert!(!text.contains("\n50\n"), "{text}");
    }

    #[test]
    fn a_command_that_outlives_its_starter_keeps_the_lock() {
        let parent = tempfile::tempdir().unwrap();
        let started = once_in(parent.path(), "thing", |making| {
            // A shell takes standard input from what runs beside it, and its output would be waited
            // for.
            let script = "exec 3<&0; sleep 1000 <&3 >/dev/null 2>&1 & echo $! >pid";
            let mut shell = Command::new("sh");
            making.run(shell.args(["-c", script]).current_dir(making.directory()))?;
            bail!("killed, as it were")
        });
        assert!(started.is_err());
        let lock = File::open(parent.path().join("thing.lock")).unwrap();
        assert!(lock.try_lock().is_err());
        let process = fs::read_to_string(parent.path().join("thing/pid")).unwrap();
        let killed = Command::new("kill").arg(process.trim()).status().unwrap();
        assert!(killed.success());
        eventually_blocking(Duration::from_secs(10), || Ok(lock.try_lock()?)).unwrap();
    }

    #[test]
    fn every_part_counts_for_the_key_and_where_it_ends() {
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(key(&["a", "b"]), key(&["ab", ""]));
    }
}
