//! A simulator of SODA multi-cloud, later named strato, as far as the endpoint of access keys goes:
//! `/v1/{project}/aksks`, and of its S3, as far as it takes to use such a key.
//!
//! SODA keeps no keys. It asks a Keystone for everything, with the caller's token, and so does this one: give it a real
//! Keystone ([`crate::openstack`]) or a simulated one ([`crate::keystone`]). Much of what makes SODA dangerous comes of
//! that: it looks at no status of Keystone's, it repeats failed calls in secret, and it gives up on calls that go on.
//!
//! Sources, by the short names that the documentation of the items uses:
//!
//! - *API page*: the page "Access Key, Secret Key" of SODA's documentation.
//! - *Source*: that of the project, in its two generations (see [`Generation`]): `api/pkg/aksk`, `aksk/pkg`,
//!   `api/pkg/filters/auth`, and the libraries go-restful, gophercloud and go-micro 2, from which statuses and words of
//!   errors come. What the unmodified services say in front of a Keystone 30 that fails was tried.
//!
//! What differs from the real one:
//!
//! - Keys come of another generator that is as easy to predict: see [`SodaSimulator::keys_of`].
//! - The real one reaches Keystone at `http://{host}/identity/v3` and nowhere else. This one takes any URL, HTTPS too.
//! - There are none of SODA's other endpoints, and its S3 does little more than check signatures: see `s3`.
//!
//! Each concern has a file: routes (`protocol`), whose token it is (`auth`), what the API does (`api`), the call from
//! there to the service behind it (`rpc`), what that service does at Keystone (`service`), the way there (`keystone`),
//! the forms of answers (`answer`), new keys (`mint`), S3 (`s3`, `buckets`), what tests are told (`ledger`) and what
//! they can do (`simulator`, `signing`, `lie`).
#![warn(missing_docs)]

mod answer;
mod api;
mod auth;
mod buckets;
mod keystone;
mod ledger;
mod lie;
mod mint;
mod protocol;
mod rpc;
mod s3;
mod service;
mod signing;
mod simulator;

pub use keystone::{
    KEYSTONE_CREATE, KEYSTONE_DELETE, KEYSTONE_LIST, KEYSTONE_LOGIN, KEYSTONE_VALIDATE,
    KeystoneAccount,
};
pub use ledger::{Deletion, IssuedKey, Vanished};
pub use lie::Lie;
pub use protocol::{CREATE, DELETE, READ};
pub use simulator::{Generation, SodaOptions, SodaSimulator};
