//! A real etcd, kube-apiserver and kube-controller-manager, without containers.
//!
//! Starting one takes a few seconds and half a gigabyte of memory, so a test binary shares one,
//! with namespaces of its own for each test:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use testkit::control_plane::ControlPlane;
//!
//! let control_plane = ControlPlane::shared();
//! let token = control_plane.service_account_token("default", "default").await?;
//! let client = control_plane.client_with(&token)?;
//! # Ok(())
//! # }
//! ```
//!
//! What is special about it: RBAC, API priority and fairness and the usual admission plugins are
//! on; all requests are in the [audit log](Audit); there is no scheduler and no kubelet, so pods
//! stay Pending; its processes end with the one that started it, however that ends. The programs
//! are built by Go on first use or taken from `KUBEBUILDER_ASSETS`, see [`Assets`].

mod access;
mod assets;
mod audit;
mod backup;
mod build;
mod directory;
mod process;
mod ready;
mod servers;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Result;

pub use access::{client, service_account_user, write_kubeconfig};
pub use assets::Assets;
pub use audit::{Audit, AuditEvent, Mark};
pub use backup::Backup;

use crate::wire::Certificate;
pub(crate) use build::cache;
use build::say;
pub(crate) use directory::Directory;
pub(crate) use process::Server;
use servers::Tokens;

/// What kind of control plane to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether etcd waits for the disk. Tests are faster without, benchmarks are honest with it.
    pub fsync: bool,
    /// Whether to run a kube-controller-manager, if there is one: garbage collection, namespace
    /// deletion, Deployments, quotas, default ServiceAccounts, the rules of the roles `view`,
    /// `edit` and `admin`. Without it the ServiceAccount admission plugin is off, which would wait
    /// for those accounts.
    pub controller_manager: bool,
    /// Whether requests are written to the [audit log](Audit); it costs a write per request.
    pub audit: bool,
    /// Files or directories of manifests to apply before the controller manager starts. The place
    /// for custom resource definitions whose objects own others: the garbage collector looks for
    /// new kinds only every 30 seconds.
    pub manifests: Vec<PathBuf>,
    /// Admission plug-ins that are off by default.
    pub admission_plugins: Vec<String>,
}

impl Default for Options {
    /// For tests: no fsync, with a controller manager and the audit log.
    fn default() -> Self {
        Self {
            fsync: false,
            controller_manager: true,
            audit: true,
            manifests: Vec::new(),
            admission_plugins: Vec::new(),
        }
    }
}

/// A running control plane; it ends when dropped, and when this process ends in whatever way.
pub struct ControlPlane {
    // The order matters: servers end in the order of their dependence, and their directory goes
    // last.
    controller_manager: Option<Server>,
    api_server: Server,
    etcd: Server,
    url: String,
    tokens: Tokens,
    certificate: Certificate,
    assets: Assets,
    admin_kubeconfig: PathBuf,
    ca_path: PathBuf,
    directory: Directory,
    options: Options,
}

/// A failure is remembered, too: every test of a binary would wait for it again.
static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();

impl ControlPlane {
    /// Starts a control plane and waits until it serves. Blocks: about three seconds, and on a
    /// machine's first time the minutes of a build.
    ///
    /// # Errors
    /// When there are no programs to run (see [`Assets::find`]), and with the end of its log when a
    /// server fails to come up.
    pub fn start(mut options: Options) -> Result<Self> {
        let assets = Assets::find()?;
        if options.controller_manager && !assets.has_controller_manager() {
            say!("{:#}", assets.require_controller_manager().unwrap_err());
            options.controller_manager = false;
        }
        let directory = Directory::create("control-plane")?;
        let certificate = Certificate::for_loopback()?;
        let tokens = servers::write_files(directory.path(), &certificate)?;

        let arguments = servers::etcd_arguments(&options);
        let mut etcd = Server::start(&assets, "etcd", directory.path(), &arguments)?;
        ready::etcd(&mut etcd, &servers::etcd_socket(directory.path()))?;
        let probe = ready::Probe::new(&certificate, &tokens);
        let (api_server, url) =
            ready::start_api_server(&assets, directory.path(), &options, &mut etcd, &probe)?;
        let mut control_plane = Self {
            controller_manager: None,
            api_server,
            etcd,
            url,
            tokens,
            certificate,
            assets,
            admin_kubeconfig: directory.path().join("admin.kubeconfig"),
            ca_path: directory.path().join("ca.pem"),
            directory,
            options,
        };
        let options = control_plane.options.clone();
        let admin = &control_plane.tokens.admin;
        write_kubeconfig(
            control_plane.admin_kubeconfig(),
            &control_plane.url,
            Some(control_plane.ca_pem()),
            admin,
        )?;
        control_plane.apply_files(&options.manifests)?;
        if options.controller_manager {
            control_plane.start_controller_manager(&probe)?;
        }
        Ok(control_plane)
    }

    /// The control plane of this process, started on first use with [`Options::default`]. It is
    /// never dropped: it ends with the process.
    ///
    /// # Panics
    /// When it cannot start.
    pub fn shared() -> &'static Self {
        Self::shared_with(Options::default)
    }

    /// [`Self::shared`] with other options. Whoever comes first decides, so let all tests of a
    /// binary call it with the same.
    ///
    /// # Panics
    /// When it cannot start.
    pub fn shared_with(options: impl FnOnce() -> Options) -> &'static Self {
        let shared =
            SHARED.get_or_init(|| Self::start(options()).map_err(|error| format!("{error:#}")));
        match shared {
            Ok(control_plane) => control_plane,
            Err(error) => panic!("the control plane did not start: {error}"),
        }
    }

    fn apply_files(&self, manifests: &[PathBuf]) -> Result<()> {
        for path in manifests {
            let path = path.to_string_lossy();
            self.run_kubectl(&["apply", "--server-side", "-f", &path], "")?;
        }
        if !manifests.is_empty() {
            let condition = "--for=condition=Established";
            self.run_kubectl(&["wait", condition, "--timeout=30s", "crd", "--all"], "")?;
        }
        Ok(())
    }

    fn start_controller_manager(&mut self, probe: &ready::Probe) -> Result<()> {
        let arguments = servers::controller_manager_arguments(
            self.dir(),
            &self.url,
            &self.certificate,
            &self.tokens,
        )?;
        let mut server = Server::start(
            &self.assets,
            "kube-controller-manager",
            self.dir(),
            &arguments,
        )?;
        probe.wait_for_controllers(&self.url, &mut server)?;
        self.controller_manager = Some(server);
        Ok(())
    }

    /// Succeeds if a kube-controller-manager runs.
    ///
    /// # Errors
    /// Says what cannot be tested without one, and how to get one.
    pub fn require_controller_manager(&self) -> Result<()> {
        if self.controller_manager.is_none() {
            self.assets.require_controller_manager()?;
            anyhow::bail!("this control plane was started without a controller manager");
        }
        Ok(())
    }

    /// The URL of the API server: `https://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate authority that vouches for the API server.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.certificate.ca_pem()
    }

    /// A file with [`Self::ca_pem`].
    #[must_use]
    pub fn ca_path(&self) -> &Path {
        &self.ca_path
    }

    /// The directory with data, keys and logs (`etcd.log`, `kube-apiserver.log`,
    /// `kube-controller-manager.log`, `audit.log`).
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// A kubeconfig file of the administrator.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// The requests that the API server has served.
    #[must_use]
    pub fn audit(&self) -> Audit<'_> {
        Audit::new(self)
    }

    /// The names and process ids of the servers, to measure what they use.
    #[must_use]
    pub fn process_ids(&self) -> Vec<(&'static str, u32)> {
        let servers = [
            Some(&self.etcd),
            Some(&self.api_server),
            self.controller_manager.as_ref(),
        ];
        servers
            .into_iter()
            .flatten()
            .map(|server| (server.name(), server.id()))
            .collect()
    }
}
