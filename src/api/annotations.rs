//! The annotations and labels that the operator reads or writes.

/// On a login Secret, set by whoever owns it: the endpoints that it may be used for, separated by
/// spaces. A provider whose endpoint is not at or below one of them gets nothing of the Secret.
pub const LOGIN_FOR: &str = "credential-operator.dev/login-for";

/// On a `CredentialRequest`, set by people: any new value asks for a new credential, once.
pub const ROTATE: &str = "credential-operator.dev/rotate";

/// On a `CredentialRequest`, set by people after a leak: any new value asks for a new credential, and
/// for all older ones to be revoked at once, without overlap.
pub const REVOKE_RETIRING: &str = "credential-operator.dev/revoke-retiring";

/// On a `CredentialRequest`, set by people: the ids of credentials, separated by spaces, that are
/// given up knowingly: they are not revoked, and nobody waits for them. For a request that is being
/// deleted also `all`, whatever there may be.
pub const ABANDON: &str = "credential-operator.dev/abandon";

/// On a Secret that exists already, set by whoever owns it: the name of the `CredentialRequest` in
/// the same namespace that may take it over.
pub const ADOPT_BY: &str = "credential-operator.dev/adopt-by";

/// On a published Secret: the UID of its request. As a label, so that people can select by it.
pub const REQUEST_UID: &str = "credential-operator.dev/request-uid";

/// On a published Secret: the name of its request.
pub const REQUEST: &str = "credential-operator.dev/request";

/// On a published Secret: the serial of the credential in it.
pub const SERIAL: &str = "credential-operator.dev/serial";

/// On a published Secret: kind and name of the provider.
pub const PROVIDER: &str = "credential-operator.dev/provider";

/// On a published Secret: what kind of credential it is, such as `dce.token`.
pub const CREDENTIAL: &str = "credential-operator.dev/credential";

/// On a published Secret: the provider's id of the credential, where it has one.
pub const CREDENTIAL_ID: &str = "credential-operator.dev/credential-id";

/// On a published Secret: whom the credential belongs to at the provider.
pub const OWNER: &str = "credential-operator.dev/owner";

/// On a published Secret: when the credential was issued (RFC 3339).
pub const ISSUED_AT: &str = "credential-operator.dev/issued-at";

/// On a published Secret: when the credential expires (RFC 3339); absent when it never does.
pub const EXPIRES_AT: &str = "credential-operator.dev/expires-at";

/// On a published Secret: a digest of what was asked for, so that a changed request is noticed.
pub const ASKED: &str = "credential-operator.dev/asked";

/// On a published Secret: the value that the request's annotation `rotate` had when the credential
/// was issued, so that a rotation is carried out once.
pub const ROTATION: &str = "credential-operator.dev/rotation";

/// On a published Secret: the value that the request's annotation `revoke-retiring` had when the
/// credential was issued.
pub const LEAK: &str = "credential-operator.dev/revoked-retiring";

/// On a published Secret: a digest of what the provider adds to the credential, such as the address
/// of the S3 API, so that a change of that is noticed. Absent where there is nothing.
pub const LAYOUT: &str = "credential-operator.dev/layout";

/// On a published Secret whose request has `deletionPolicy: Retain`: it has no owner reference, and
/// belongs to the request all the same.
pub const RETAINED: &str = "credential-operator.dev/retained";

/// On a published Secret: the keys that the operator wrote, separated by commas. Keys that it no
/// longer writes are removed by this list; all other keys are left alone.
pub const KEYS: &str = "credential-operator.dev/keys";

/// On a published Secret: a digest of the operator's keys and their values. Whoever can read it can
/// read the values, so it tells nobody anything new; it is how a hand-made change is noticed.
pub const CONTENT: &str = "credential-operator.dev/content";

/// On a published Secret: `true` when the provider had no way to prove the credential.
pub const UNVERIFIED: &str = "credential-operator.dev/unverified";

/// The standard label that names the tool that manages an object, and the value that we write.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "credential-operator");
