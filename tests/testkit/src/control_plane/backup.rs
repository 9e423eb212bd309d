//! Backups of etcd, and their restoration, by etcd's own tools and in the order that Kubernetes'
//! documentation demands: the API server is stopped, etcd is restored into a new directory, and both
//! are started again.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{ControlPlane, Server, ready, servers};

/// A snapshot of etcd.
pub struct Backup(PathBuf);

impl ControlPlane {
    /// Takes a snapshot of etcd while it runs.
    ///
    /// # Errors
    /// When the tools are not there, which only the binaries that Go builds have, or fail.
    pub fn back_up(&self) -> Result<Backup> {
        let file = self
            .dir()
            .join(format!("{}.snapshot", uuid::Uuid::new_v4()));
        let endpoint = format!("unix://{}", servers::ETCD_SOCKET);
        let mut command = Command::new(self.assets.program("etcd-snapshot"));
        self.run(command.arg(endpoint).arg(&file))?;
        Ok(Backup(file))
    }

    /// Stops the API server and etcd, restores the snapshot, and starts them again. Blocks.
    ///
    /// # Errors
    /// When a tool fails or a server does not come up.
    pub fn restore(&mut self, backup: &Backup) -> Result<()> {
        let data = self.dir().join("etcd");
        self.api_server.stop();
        self.etcd.stop();
        std::fs::remove_dir_all(&data)?;
        let _ = std::fs::remove_file(servers::etcd_socket(self.dir()));
        let peer = servers::ETCD_PEER;
        let mut command = Command::new(self.assets.program("etcdutl"));
        command
            .args(["snapshot", "restore"])
            .arg(&backup.0)
            .arg("--data-dir=etcd")
            .args(["--name=tests", &format!("--initial-cluster=tests={peer}")])
            .arg(format!("--initial-advertise-peer-urls={peer}"));
        self.run(&mut command)?;

        let arguments = servers::etcd_arguments(&self.options);
        self.etcd = Server::start(&self.assets, "etcd", self.directory.path(), &arguments)?;
        ready::etcd(&mut self.etcd, &servers::etcd_socket(self.directory.path()))?;
        let probe = ready::Probe::new(&self.certificate, &self.tokens);
        self.api_server = ready::start_api_server_at(
            &self.assets,
            self.directory.path(),
            &self.options,
            &mut self.etcd,
            &probe,
            &self.url,
        )?;
        Ok(())
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        let output = command
            .current_dir(self.dir())
            .output()
            .with_context(|| format!("cannot run {:?}", command.get_program()))?;
        ensure!(
            output.status.success(),
            "{:?} failed: {}",
            command.get_program(),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}
