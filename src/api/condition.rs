//! The types of conditions. Reasons stand in [`super::reason`].

/// The credential in the Secret works (requests), or the login works (providers).
pub const READY: &str = "Ready";

/// The operator is working on it and nobody needs to do anything (kstatus).
pub const RECONCILING: &str = "Reconciling";

/// Nothing will change until somebody changes something (kstatus).
pub const STALLED: &str = "Stalled";

/// The published credential still works, but its successor could not be had yet.
pub const RENEWAL_FAILING: &str = "RenewalFailing";

/// A credential that was replaced, or whose request is being deleted, could not be revoked yet.
pub const REVOCATION_FAILING: &str = "RevocationFailing";

/// On providers: the server's certificate is not checked, or the connection is not encrypted.
pub const INSECURE: &str = "Insecure";
