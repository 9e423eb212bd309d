//! A real OpenStack Keystone, a real Swift with its S3 API, and the programs of their users, without
//! containers.
//!
//! Keystone takes two seconds to start and one process, so a test binary shares one, with domains,
//! projects and users of its own for each test:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use testkit::openstack::Keystone;
//!
//! let keystone = Keystone::shared();
//! let admin = keystone.admin();
//! let domain = admin.create_domain("a-name-of-this-test").await?;
//! let project = admin.create_project("tenant", &domain).await?;
//! let user = admin.create_user("alice", &domain).await?;
//! admin.assign_role(&user.id, &project, "member").await?;
//! let token = keystone.login(&user.id, &user.password, Some(&project)).await?;
//! assert!(admin.token_lives(&token.id).await?);
//! # Ok(())
//! # }
//! ```
//!
//! All of it comes from the Python Package Index in the versions that `openstack/` of this crate
//! names, into [virtual environments](https://docs.python.org/3/library/venv.html) in the user's
//! cache directory; once, and not at all by whoever does not use this module. It needs Python 3.11
//! or later. The processes end with the one that started them, however that ends.

mod admin;
mod answer;
mod clients;
mod data;
mod environment;
mod keystone;
mod ledger;
mod once;
mod pair;
mod service;
mod swift;

pub use admin::{Admin, User};
pub use answer::{Answer, Refused};
pub use clients::Clients;
pub use keystone::{Keystone, Options, Token};
pub use ledger::{ApplicationCredential, Ec2Credential};
pub use swift::Swift;

/// The domain that every Keystone has.
pub const DEFAULT_DOMAIN: &str = "default";

/// The region that the catalog's endpoints are in, and Swift's location for S3.
pub const REGION: &str = "RegionOne";

/// Writes a line to standard error past the test harness, which would keep it until a test fails.
macro_rules! say {
    ($($arguments:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "openstack: {}", format_args!($($arguments)*));
    }};
}
use say;
