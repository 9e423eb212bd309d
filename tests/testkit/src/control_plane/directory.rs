//! The directory that one control plane, or another part made of servers, keeps its data, keys and
//! logs in.
//!
//! A control plane that is shared by a test binary is never dropped, and a killed one cannot be.
//! What such processes leave behind is removed when the next of its kind starts: a lock, which the
//! kernel releases with its process, tells which is whose.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A directory that goes with its owner.
pub(crate) struct Directory {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Removes what dead processes left of this kind, and creates an empty directory.
    pub(crate) fn create(kind: &str) -> Result<Self> {
        let parent = std::env::temp_dir();
        let prefix = format!("credential-operator-{kind}-");
        sweep(&parent, &prefix);
        let name = format!("{prefix}{}", uuid::Uuid::new_v4().simple());
        Self::create_in(&parent, &name)
            .with_context(|| format!("cannot create {name} in {}", parent.display()))
    }

    fn create_in(parent: &Path, name: &str) -> Result<Self> {
        let path = parent.join(name);
        let lock_path = lock_of(&path);
        let lock = File::create(&lock_path)?;
        // Locked before the directory is there, so that nobody can find the one without the other.
        lock.lock()?;
        fs::create_dir(&path)?;
        // It holds the keys and tokens of an administrator.
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Ok(Self {
            path,
            lock_path,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove(&self.path, &self.lock_path);
    }
}

/// Removes every directory under `parent` whose name begins with `prefix` and whose owner is gone.
fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let ours = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        if !ours || !path.is_dir() {
            continue;
        }
        let lock_path = lock_of(&path);
        let abandoned = match File::open(&lock_path) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if abandoned {
            remove(&path, &lock_path);
        }
    }
}

/// Failures are left to the next sweep: a server that is just dying can still write, and other
/// users' directories are theirs.
fn remove(path: &Path, lock_path: &Path) {
    if fs::remove_dir_all(path).is_ok() {
        let _ = fs::remove_file(lock_path);
    }
}

fn lock_of(path: &Path) -> PathBuf {
    path.with_extension("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "credential-operator-control-plane-";

    #[test]
    fn a_directory_goes_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let directory = Directory::create_in(parent.path(), &format!("{PREFIX}a")).unwrap();
        assert!(directory.path().is_dir());
        drop(directory);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_sweep_removes_what_has_no_owner_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let living = Directory::create_in(parent.path(), &format!("{PREFIX}living")).unwrap();
        for abandoned in ["dead", "without-lock"] {
            fs::create_dir_all(parent.path().join(format!("{PREFIX}{abandoned}/data"))).unwrap();
        }
        fs::write(parent.path().join(format!("{PREFIX}dead.lock")), "").unwrap();
        for other in ["credential-operator-keystone-dead", "foreign"] {
            fs::create_dir(parent.path().join(other)).unwrap();
        }

        sweep(parent.path(), PREFIX);

        assert!(living.path().is_dir());
        drop(living);
        let mut left: Vec<_> = fs::read_dir(parent.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["credential-operator-keystone-dead", "foreign"]);
    }
}
