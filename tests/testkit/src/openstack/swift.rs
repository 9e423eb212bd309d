//! One Swift, whose users are those of a Keystone.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Result, bail};
use reqwest::Method;
use serde_json::json;

use super::admin::{Admin, User};
use super::environment::Environment;
use super::keystone::Keystone;
use super::service::{Service, text};
use super::{DEFAULT_DOMAIN, REGION};
use crate::control_plane::Directory;

const SERVER: &str = include_str!("../../openstack/swift_server.py");
const COMMON: &str = include_str!("../../openstack/swift.conf");
const STORAGE: &str = include_str!("../../openstack/swift-storage-server.conf");
const PROXY: &str = include_str!("../../openstack/swift-proxy-server.conf");

/// A running Swift; it ends when dropped, and when this process ends in whatever way.
///
/// Users with the role `member` or `admin` in a project have that project's account, by a token or,
/// for S3, by a pair of keys. Nothing is cached: Swift asks Keystone about every request, so what
/// is refused there is refused here at once.
pub struct Swift {
    service: Service,
}

/// A failure is remembered, too: every test of a binary would wait for it again.
static SHARED: OnceLock<Result<Swift, String>> = OnceLock::new();

impl Swift {
    /// Starts one, tells the Keystone's catalog of it, and waits until it serves. Blocks: about
    /// three seconds, and on a machine's first time a quarter of a minute for the installation.
    ///
    /// What it leaves in the Keystone stays there when it is dropped.
    ///
    /// # Errors
    /// As [`Keystone::start`], and when the directory for temporary files is on a file system
    /// without extended attributes.
    pub fn start(keystone: &Keystone) -> Result<Self> {
        let environment = Environment::swift()?;
        let directory = Directory::create("swift")?;
        let admin = keystone.admin();
        let account = blocking(service_user(admin))?;
        configure(directory.path(), keystone, &account)?;
        // Its libraries know no other authorities than these.
        let ca = keystone.ca_path().map(text);
        let settings: Vec<_> = ca
            .iter()
            .map(|path| ("REQUESTS_CA_BUNDLE", path.as_str()))
            .collect();
        let service = Service::start(
            "swift",
            directory,
            &environment.python(),
            SERVER,
            &[],
            &settings,
        )?;
        blocking(enter_in_catalog(admin, service.url()))?;
        Ok(Self { service })
    }

    /// The Swift of this process, started on first use for [`Keystone::shared`]. It is never
    /// dropped: it ends with the process.
    ///
    /// # Panics
    /// When it cannot start.
    pub fn shared() -> &'static Self {
        let shared = SHARED
            .get_or_init(|| Self::start(Keystone::shared()).map_err(|error| format!("{error:#}")));
        match shared {
            Ok(swift) => swift,
            Err(error) => panic!("Swift did not start: {error}"),
        }
    }

    /// Where S3 clients find it: `http://127.0.0.1:<port>`. Names of buckets go into the path.
    #[must_use]
    pub fn s3_endpoint(&self) -> &str {
        self.service.url()
    }

    /// The region that S3 clients have to sign for.
    #[must_use]
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// The one process, to measure what it uses or to stop it for a while.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.service.process_id()
    }

    /// The directory with the data and the log `swift.log`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.service.directory()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.service.log_tail()
    }
}

/// The user as whom Swift asks Keystone, and his project.
struct Account {
    user: User,
    project: String,
}

/// Makes that user. A Keystone may serve more than one Swift, so names are unique.
async fn service_user(admin: &Admin) -> Result<Account> {
    let name = format!("swift-{}", uuid::Uuid::new_v4().simple());
    let project_id = admin.create_project(&name, DEFAULT_DOMAIN).await?;
    let user = admin.create_user(&name, DEFAULT_DOMAIN).await?;
    // It may validate tokens and pairs, and nothing else.
    admin.assign_role(&user.id, &project_id, "service").await?;
    Ok(Account {
        user,
        project: name,
    })
}

async fn enter_in_catalog(admin: &Admin, url: &str) -> Result<()> {
    let service = json!({"service": {"type": "object-store", "name": "swift"}});
    let service_id = admin.create("/services", "service", &service).await?;
    for interface in ["public", "internal"] {
        let endpoint = json!({
            "service_id": service_id,
            "interface": interface,
            "region_id": REGION,
            "url": format!("{url}/v1/AUTH_%(project_id)s"),
        });
        let body = json!({"endpoint": endpoint});
        admin.call(Method::POST, "/endpoints", Some(&body)).await?;
    }
    Ok(())
}

fn configure(directory: &Path, keystone: &Keystone, account: &Account) -> Result<()> {
    let path = text(directory);
    fs::write(directory.join("swift.conf"), COMMON)?;
    for kind in ["account", "container", "object"] {
        let configuration = STORAGE
            .replace("{directory}", &path)
            .replace("{kind}", kind);
        fs::write(directory.join(format!("{kind}-server.conf")), configuration)?;
    }
    let configuration = PROXY
        .replace("{directory}", &path)
        .replace("{keystone}", keystone.url())
        .replace("{username}", &account.user.name)
        .replace("{password}", &account.user.password)
        .replace("{project}", &account.project)
        .replace("{region}", REGION);
    fs::write(directory.join("proxy-server.conf"), configuration)?;
    Ok(())
}

/// Waits for `work` in a thread with a runtime of its own, because the caller may be inside one
/// already.
fn blocking<T: Send>(work: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(work)
        });
        working
            .join()
            .unwrap_or_else(|_| bail!("the work panicked"))
    })
}
