//! What a Keystone finds when it starts: a database with an administrator, keys, a configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;

use super::environment::Environment;
use super::once::{key, once};
use super::service::text;
use super::{REGION, say};

const CONFIGURATION: &str = include_str!("../../openstack/keystone.conf");
const PREPARE: &str = include_str!("../../openstack/keystone_prepare.py");

/// The name of the administrator, of his project and of his role.
pub(super) const ADMIN: &str = "admin";

/// The administrator's password, on loopback and for as long as a test runs.
pub(super) const ADMIN_PASSWORD: &str = "testkit-admin";

const DATABASE: &str = "keystone.db";

/// The URLs of the catalog until a server knows better.
const PLACEHOLDER: &str = "http://127.0.0.1:1/v3/";

/// Fills `directory` with all that a Keystone needs.
pub(super) fn fill(
    directory: &Path,
    environment: &Environment,
    expiration: Duration,
) -> Result<()> {
    let database = database(environment)?;
    fs::copy(&database, directory.join(DATABASE))
        .with_context(|| format!("cannot copy {}", database.display()))?;
    configure(directory, expiration)
}

/// The database that all start with, made once: Keystone needs five seconds for it.
fn database(environment: &Environment) -> Result<PathBuf> {
    let settings = bootstrap();
    let settings = format!("{settings:?}");
    let key = key(&[environment.key(), CONFIGURATION, PREPARE, &settings]);
    let directory = once(&format!("keystone-database-{key}"), |making| {
        let (directory, started) = (making.directory(), Instant::now());
        say!(
            "making Keystone's database in {}. Once",
            directory.display()
        );
        let scratch = tempfile::tempdir()?;
        configure(scratch.path(), Duration::from_secs(3600))?;
        let script = scratch.path().join("keystone_prepare.py");
        fs::write(&script, PREPARE)?;
        let mut command = Command::new(environment.python());
        command
            .arg("-I")
            .args([&script, scratch.path()])
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", scratch.path())
            .envs(bootstrap());
        making.run(&mut command)?;
        fs::copy(scratch.path().join(DATABASE), directory.join(DATABASE))?;
        say!("made in {} s", started.elapsed().as_secs());
        Ok(())
    })?;
    Ok(directory.join(DATABASE))
}

/// What `keystone-manage bootstrap` is told.
fn bootstrap() -> [(&'static str, &'static str); 9] {
    [
        ("OS_BOOTSTRAP_USERNAME", ADMIN),
        ("OS_BOOTSTRAP_PASSWORD", ADMIN_PASSWORD),
        ("OS_BOOTSTRAP_PROJECT_NAME", ADMIN),
        ("OS_BOOTSTRAP_ROLE_NAME", ADMIN),
        ("OS_BOOTSTRAP_SERVICE_NAME", "keystone"),
        ("OS_BOOTSTRAP_REGION_ID", REGION),
        ("OS_BOOTSTRAP_PUBLIC_URL", PLACEHOLDER),
        ("OS_BOOTSTRAP_INTERNAL_URL", PLACEHOLDER),
        ("OS_BOOTSTRAP_ADMIN_URL", PLACEHOLDER),
    ]
}

/// Writes the configuration, and keys that nobody else has: a token of one Keystone means nothing
/// to another.
fn configure(directory: &Path, expiration: Duration) -> Result<()> {
    let configuration = CONFIGURATION
        .replace("{directory}", &text(directory))
        .replace("{expiration}", &expiration.as_secs().to_string());
    fs::write(directory.join("keystone.conf"), configuration)?;
    fs::write(directory.join("policy.yaml"), "{}\n")?;
    for repository in ["fernet", "credential"] {
        let repository = directory.join(repository);
        fs::create_dir(&repository)?;
        private(&repository, 0o700)?;
        // The next key and the one in use, as `keystone-manage fernet_setup` leaves them.
        for name in ["0", "1"] {
            let path = repository.join(name);
            let mut bytes = [0; 32];
            aws_lc_rs::rand::fill(&mut bytes)
                .ok()
                .context("the system has no randomness to give")?;
            fs::write(&path, URL_SAFE.encode(bytes))?;
            private(&path, 0o600)?;
        }
    }
    Ok(())
}

/// Keystone warns about keys that others can read.
fn private(path: &Path, mode: u32) -> Result<()> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    Ok(fs::set_permissions(path, permissions)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_no_placeholder_left_and_no_two_have_the_same_keys() {
        let [one, other] = [(); 2].map(|()| {
            let directory = tempfile::tempdir().unwrap();
            configure(directory.path(), Duration::from_secs(60)).unwrap();
            directory
        });
        let read = |name| fs::read_to_string(one.path().join(name)).unwrap();
        let settings: Vec<_> = read("keystone.conf")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(String::from)
            .collect();
        assert!(
            settings.iter().all(|line| !line.contains('{')),
            "{settings:?}"
        );
        assert!(settings.contains(&String::from("expiration = 60")));
        assert_ne!(read("fernet/1"), read("fernet/0"));
        let theirs = fs::read_to_string(other.path().join("fernet/1")).unwrap();
        assert_ne!(read("fernet/1"), theirs);
    }
}
