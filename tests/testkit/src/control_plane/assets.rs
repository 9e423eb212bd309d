//! Where the binaries of the control plane come from.
//!
//! `KUBEBUILDER_ASSETS` takes precedence, for people who have no Go; else the binary is built (see
//! [`super::build`]).

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Result, bail, ensure};

use super::build;

/// The variable that `setup-envtest` tells its users to set.
const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

/// The programs of a control plane, found or built.
#[derive(Clone, Debug)]
pub struct Assets {
    directory: PathBuf,
    controller_manager: bool,
    guard: Guard,
}

/// What ends a server when the process that started it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// The binary of this testkit watches its standard input itself.
    BuiltIn,
    /// A shell watches for it: the released binaries know nothing of it.
    Shell,
}

impl Assets {
    /// Finds the programs, or builds them; once per process.
    ///
    /// # Errors
    /// When `KUBEBUILDER_ASSETS` is set and incomplete, and when it is not set and there is no Go
    /// or the build fails.
    pub fn find() -> Result<Self> {
        static FOUND: OnceLock<Result<Assets, String>> = OnceLock::new();
        FOUND
            .get_or_init(|| Self::look().map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(anyhow::Error::msg)
    }

    fn look() -> Result<Self> {
        match std::env::var_os(ASSETS_VARIABLE).filter(|value| !value.is_empty()) {
            Some(directory) => Self::given(Path::new(&directory)),
            None => Self::built(build::directory()?),
        }
    }

    pub(super) fn given(directory: &Path) -> Result<Self> {
        let missing: Vec<_> = ["etcd", "kube-apiserver", "kubectl"]
            .into_iter()
            .filter(|name| !directory.join(name).is_file())
            .collect();
        ensure!(
            missing.is_empty(),
            "{ASSETS_VARIABLE}={} has no {}; fill it with `setup-envtest use`, or unset it and \
             have Go build the control plane",
            directory.display(),
            missing.join(", no "),
        );
        Ok(Self {
            directory: std::path::absolute(directory)?,
            controller_manager: directory.join("kube-controller-manager").is_file(),
            guard: Guard::Shell,
        })
    }

    fn built(directory: PathBuf) -> Result<Self> {
        Ok(Self {
            directory,
            controller_manager: true,
            guard: Guard::BuiltIn,
        })
    }

    /// The directory that holds the programs, laid out as `KUBEBUILDER_ASSETS` asks for.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Succeeds if there is a kube-controller-manager.
    ///
    /// # Errors
    /// Says what cannot run without one.
    pub fn require_controller_manager(&self) -> Result<()> {
        if !self.controller_manager {
            bail!(
                "{ASSETS_VARIABLE}={} has no kube-controller-manager: garbage collection, \
                 namespace deletion and Deployments cannot run, and the roles view, edit and admin \
                 are empty. Put a kube-controller-manager of the same version there, or unset the \
                 variable and have Go build all of it",
                self.directory.display(),
            );
        }
        Ok(())
    }

    pub(super) fn has_controller_manager(&self) -> bool {
        self.controller_manager
    }

    pub(super) fn guard(&self) -> Guard {
        self.guard
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The message for somebody who has neither of the two.
pub(super) fn neither() -> String {
    format!(
        "no control plane to test with. Either install Go (https://go.dev/dl/), which builds one \
         once, in about five minutes; or set {ASSETS_VARIABLE} to a directory with etcd, \
         kube-apiserver and kubectl, as `setup-envtest use -p path` prints it (no garbage \
         collection, namespace deletion and Deployments then)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory_with(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        directory
    }

    #[test]
    fn an_incomplete_directory_is_refused_with_the_names_that_are_missing() {
        let directory = directory_with(&["etcd"]);
        let error = Assets::given(directory.path()).unwrap_err().to_string();
        assert!(error.contains("no kube-apiserver, no kubectl"), "{error}");
    }

    #[test]
    fn without_a_controller_manager_the_error_says_what_cannot_run() {
        let directory = directory_with(&["etcd", "kube-apiserver", "kubectl"]);
        let assets = Assets::given(directory.path()).unwrap();
        let error = assets.require_controller_manager().unwrap_err().to_string();
        for word in ["garbage collection", "namespace deletion", "Deployments"] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_complete_directory_serves() {
        let directory = directory_with(&[
            "etcd",
            "kube-apiserver",
            "kubectl",
            "kube-controller-manager",
        ]);
        let assets = Assets::given(directory.path()).unwrap();
        assets.require_controller_manager().unwrap();
        assert_eq!(assets.guard(), Guard::Shell);
    }

    #[test]
    fn whoever_has_nothing_is_told_both_ways_out() {
        let text = neither();
        assert!(text.contains("Go") && text.contains(ASSETS_VARIABLE));
    }
}
