//! Which of several copies acts: the one that holds a Lease.
//!
//! The Lease keeps copies from working side by side. It is not a fence: a process can be stopped at
//! any instruction and go on much later. Resource versions and derived names are the fence.
//! [`Leadership::may_act`], asked right before a call that changes something, makes it rare that they
//! are needed.
//!
//! - `record` decides what a Lease means for this copy. It is pure.
//! - `election` takes, renews and gives back the Lease.
//! - `leadership` tells everybody else.

mod election;
mod leadership;
mod record;

use std::time::Duration;

pub use election::{Held, acquire};
pub use leadership::Leadership;

/// How the Lease is called and held.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The name of this copy in it.
    pub identity: String,
    /// How long it is held without being renewed.
    pub duration: Duration,
}

impl Lease {
    /// The pause between two renewals, so that two fail before the Lease is over.
    fn renew_every(&self) -> Duration {
        self.duration / 3
    }

    /// The pause after a call that failed.
    fn retry_after(&self) -> Duration {
        (self.duration / 15).min(Duration::from_secs(2))
    }

    /// The deadline of a call: a renewal on a frozen connection and a second one on a new connection
    /// end before the Lease is over.
    fn call_within(&self) -> Duration {
        (self.duration / 5).clamp(Duration::from_secs(1), Duration::from_secs(10))
    }
}
