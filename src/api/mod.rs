//! The API that people write: the three kinds, their fields, conditions, reasons and annotations.
//!
//! Nothing in here talks to a server. Fields are documented for `kubectl explain`; what the API
//! server can check is checked in the schema, and [`validate`] repeats it for objects that were
//! stored by an older schema.

pub mod annotations;
pub mod cloudcenter;
pub mod cloudmc;
pub mod condition;
pub mod crd;
pub mod dce;
pub mod endpoint;
pub mod keystone;
pub mod names;
pub mod provider;
pub mod reason;
pub mod reference;
pub mod request;
pub mod rules;
pub mod soda;
pub mod types;
pub mod validate;
pub mod values;

pub use provider::{ClusterCredentialProvider, CredentialProvider, ProviderSpec, ProviderStatus};
pub use reason::Reason;
pub use request::{CredentialRequest, CredentialRequestSpec, CredentialRequestStatus};

/// The API group of all kinds.
pub const GROUP: &str = "credential-operator.dev";

/// The version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// The finalizer of requests whose credentials have to be revoked before they go.
pub const REVOKE_FINALIZER: &str = "credential-operator.dev/revoke";

/// The finalizer of providers that are still needed to revoke credentials.
pub const IN_USE_FINALIZER: &str = "credential-operator.dev/in-use";

/// The field manager under which the operator writes, the same for every verb.
///
/// A POST and later patches under two managers would leave keys behind that nobody owns.
pub const FIELD_MANAGER: &str = "credential-operator";
