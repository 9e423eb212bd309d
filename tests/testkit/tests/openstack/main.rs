//! The real Keystone and Swift of the testkit, and the programs of their users. In one process, so that
//! the tests share one Keystone.

mod arranged;
mod credentials;
mod lifecycle;
mod served;
mod swift;
mod tenant;

use std::time::Duration;

use testkit::openstack::Refused;

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn refusal(error: &anyhow::Error) -> &Refused {
    error.downcast_ref().expect("an answer of Keystone")
}
