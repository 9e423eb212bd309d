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
//! Until 0.14 key pairs are exchanged for tokens. Since then there are access keys, each of which is a token, and the
//! token request is gone: see [`Generation`].
//!
//! Each concern has a file: who may log in (`users`), what was issued (`ledger`) and who has which access keys
//! (`keyring`), how tokens are signed (`signer`) and made (`mint`), what the gateway lets through (`gateway`), the
//! endpoints (`protocol`, `access_keys`), and what tests can do (`simulator`, `deeds`). A new endpoint is one more arm
//! in `protocol`, with its handler in a file of its own.
#![warn(missing_docs)]

mod access_keys;
mod control;
mod deeds;
mod gateway;
mod keyring;
mod ledger;
mod lie;
mod mint;
mod protocol;
mod signer;
mod simulator;
mod times;
mod users;

pub use keyring::{AccessKey, QuotaRefusal};
pub use ledger::IssuedToken;
pub use lie::Lie;
pub use protocol::{
    ACCESS_KEY_CREATE, ACCESS_KEY_DELETE, ACCESS_KEY_LIST, ACCESS_KEYS, CURRENT_USER, RefusalStyle,
    TOKEN, USERS,
};
pub use simulator::{DceOptions, DceSimulator, Generation};
pub use times::{NeverForm, TimeForm};

use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock in milliseconds since the epoch. Tokens carry whole seconds; what is compared with them is finer, so
/// that a token dies at the first moment of its `exp` and not up to a second later.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
