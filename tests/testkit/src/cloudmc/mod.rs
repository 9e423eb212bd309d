//! A simulator of CloudOps' CloudMC, as far as service API keys go: the values with which a user reaches the services
//! behind CloudMC.
//!
//! Sources, by the short names that the documentation of the items uses:
//!
//! - *Getting started*, *Service connections*, *Environments*, *Users*: pages of the vendor's published API
//!   documentation, versions 1 and 2.
//! - *Knowledge base*: the vendor's articles about API credentials and about service API keys, with their pictures.
//! - *Go client*: cloud.ca's client, which is older than the documentation.
//!
//! Where the sources differ from each other, or show no answer, there is a control: [`ErrorCodes`],
//! [`CloudMcSimulator::put_errors_beside_200`], [`SingleShape`], [`Stranger`]; any other status and body is a
//! [`crate::server::Fault`].
//!
//! What differs from the real one:
//!
//! - Organizations have none below them. Two rights stand for all of CloudMC's roles: see [`Rights`].
//! - Nothing can be changed: what the documentation has for that answers 405. The button "Regenerate" of the portal has
//!   no documented call; [`CloudMcSimulator::regenerate`] presses it.
//! - Lists have no pages, which the documentation has only in comments.
//!
//! Each concern has a file: who and what exists (`state`), the values (`fields`, `services`), the endpoints
//! (`connections`, `api_info`, `environments`, `users`), which request goes where (`protocol`), the envelope (`answer`),
//! what tests are told (`ledger`, `simulator`) and what they can do (`deeds`, `controls`).
#![warn(missing_docs)]

mod answer;
mod api_info;
mod connections;
mod controls;
mod deeds;
mod environments;
mod fields;
mod ledger;
mod lie;
mod protocol;
mod services;
mod simulator;
mod state;
mod users;

pub use answer::{ErrorCodes, SingleShape, Stranger};
pub use fields::Field;
pub use ledger::{Counts, Read};
pub use lie::Lie;
pub use protocol::{
    API_INFO, CONNECTION, CONNECTIONS, ENVIRONMENT, ENVIRONMENTS, PARAMETERS, USERS,
};
pub use services::Service;
pub use simulator::{CloudMcOptions, CloudMcSimulator};
pub use state::{Person, Rights};
