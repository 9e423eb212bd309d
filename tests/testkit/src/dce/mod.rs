//! A simulator of DaoCloud Enterprise 5.0 ("DCE"), module ghippo, as far as credentials go.
//!
//! Sources, by the short names that the documentation of the items uses:
//!
//! - *Access key page*: the page "Access key" of the DCE 5.0 documentation, as it was before ghippo 0.14: key pairs,
//!   the token request, and a sample of the user list.
//! - *Release notes*: those of ghippo in the same documentation.
//! - *OpenAPI*: the vendor's published OpenAPI documents of ghippo 0.15 to 0.48.
//! - *Envoy*: Istio's ingress gateway checks the tokens before ghippo sees a request (documentation page
//!   "troubleshooting/ghippo01"), so refusals have the texts of Envoy's `jwt_authn` filter.
//!
//! Where the sources are silent (the errors of the token request, for example) the simulator does what the other
//! endpoints do, and says so.
//!
//! Each concern has a file: who may log in (`users`), what was issued (`ledger`), how tokens are signed (`signer`) and
//! made (`mint`), what the gateway lets through (`gateway`), and the endpoints (`protocol`). A new endpoint is one more
//! arm in `protocol`, with its handler in a file of its own.
#![warn(missing_docs)]

mod control;
mod gateway;
mod ledger;
mod lie;
mod mint;
mod protocol;
mod signer;
mod simulator;
mod users;

pub use ledger::IssuedToken;
pub use lie::Lie;
pub use protocol::{CURRENT_USER, RefusalStyle, TOKEN, USERS};
pub use simulator::{DceOptions, DceSimulator, Generation};

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in milliseconds since the epoch. Tokens carry whole seconds; what is compared with them is finer, so
/// that a token dies at the first moment of its `exp` and not up to a second later.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
