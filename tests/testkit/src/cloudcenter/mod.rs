//! A simulator of Cisco CloudCenter 4.x, version 1 of its manager's REST API, as far as users and their API keys go.
//!
//! Sources, by the short names that the documentation of the items uses:
//!
//! - *Overview*, *View users*, *Manage API key*: the pages "CloudCenter API Overview", "View Users" (with "user") and
//!   "API Management Key" of the vendor's documentation of release 4.0.
//! - *Key tutorial*: "Retrieving API Access Keys", a step of the vendor's learning lab on CloudCenter.
//! - *Clients*: what published clients send and read, the vendor's own samples among them.
//!
//! The sources show neither the answer of a key request nor most refusals. There the simulator does what is likely, and
//! has a control for each other form that a client may meet ([`KeyShape`], [`IdShape`], [`LoginRefusal`]); any other
//! status and body is a [`crate::server::Fault`].
//!
//! What differs from the real one:
//!
//! - There is no XML, no client certificate, no sorting, and no tenant below another one. Who only accepts XML gets 406.
//! - Nothing can be changed but a key: tests declare users by methods.
//!
//! Each concern has a file: who exists (`state`), what keys there were and how they were used (`ledger`), who makes a
//! request (`caller`), the endpoints (`users`, `keys`), which request goes where (`protocol`), refusals (`answer`), and
//! what tests can ask (`simulator`) and do (`deeds`).
#![warn(missing_docs)]

mod answer;
mod caller;
mod deeds;
mod keys;
mod ledger;
mod lie;
mod protocol;
mod simulator;
mod state;
mod users;

pub use ledger::{ApiKey, Counts, MadeBy};
pub use lie::Lie;
pub use protocol::{KEYS, OWN_KEY, USER, USER_KEYS, USERS};
pub use simulator::{CloudCenterOptions, CloudCenterSimulator};
pub use state::{Account, IdShape, KeyShape, LoginRefusal, PAGE, ROOT_TENANT, Rank};

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in milliseconds since the epoch: so CloudCenter writes moments (overview).
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
