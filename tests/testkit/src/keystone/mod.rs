//! A simulator of OpenStack Keystone 30, as far as credentials go.
//!
//! A real Keystone answers some sixty logins a second. This one is for the stories that need hundreds of requests, or
//! moments that a real one cannot be brought to: an answer that gets lost, a login that hangs, a quota that is full.
//! Statuses, bodies and words are those that Keystone 30.0.0 was seen to give, with its default policy, one domain
//! backend and Fernet tokens.
//!
//! What differs from the real one:
//!
//! - There are no trusts, no groups, no federation, no scopes of a domain or of the system, and no domains that are
//!   disabled. Roles imply each other as they do after Keystone's bootstrap: admin, manager, member, reader.
//! - `POST …/credentials/OS-EC2` and the APIs that only set the scene (all of projects but a look at one, roles, changes
//!   of users) answer 501: tests declare users by methods. The catalog holds Keystone itself and nothing else.
//! - A refused body is described by the first line of Keystone's words; `POST /v3/auth/tokens` of the real one adds its
//!   whole schema. A 405 has no `Allow`.
//! - `POST /v3/s3tokens` checks signatures of version 4. Those of version 2 need SHA-1 and answer 501.
//! - A token of an application credential with access rules is refused everywhere (401), as at the real one, also where
//!   a client says with `OpenStack-Identity-Access-Rules` that it obeys such rules.
//!
//! Each concern has a file: who exists (`state`), what tokens are worth (`tokens`), one request and who makes it
//! (`call`), the ways to log in (`login`, `methods`), the endpoints by what they are about, the words of refusals
//! (`answer`, `schema`), what tests are told (`ledger`) and what they can do (`simulator`, `deeds`).
#![warn(missing_docs)]

mod answer;
mod application_credentials;
mod call;
mod credentials;
mod deeds;
mod directory;
mod ec2;
mod ledger;
mod login;
mod methods;
mod protocol;
mod s3;
mod schema;
mod sessions;
mod simulator;
mod state;
mod tokens;

pub use ledger::{Issued, LiveApplicationCredential, LivePair, Logins};
pub use protocol::{APPLICATION_CREDENTIALS, CREDENTIALS, EC2, LOGIN, S3_TOKENS, TOKENS};
pub use simulator::{KeystoneOptions, KeystoneSimulator};
pub use state::{ADMIN_PROJECT, DEFAULT_DOMAIN, Quota};
