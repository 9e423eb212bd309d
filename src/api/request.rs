//! `CredentialRequest`: what a workload needs, and the Secret to put it in.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cloudcenter::CloudCenterCredential,
    cloudmc::CloudMcCredential,
    dce::DceCredential,
    keystone::KeystoneCredential,
    reason::Reason,
    reference::{ProviderRef, SECRET_NAME},
    rules,
    soda::SodaCredential,
    types::Duration,
};

/// What a workload needs, and the Secret to put it in.
///
/// Changes in `providerRef` and in the kind of credential are refused: the Secret would belong to
/// something else from one moment to the next.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "credential-operator.dev",
    version = "v1alpha1",
    kind = "CredentialRequest",
    namespaced,
    status = "CredentialRequestStatus",
    shortname = "credreq",
    category = "credentials",
    derive = "PartialEq",
    validation = Rule::new("(has(self.spec.secret) && has(self.spec.secret.name) ? self.spec.secret.name : self.metadata.name) == (has(oldSelf.spec.secret) && has(oldSelf.spec.secret.name) ? oldSelf.spec.secret.name : oldSelf.metadata.name)").message("spec.secret.name cannot be changed: workloads would go on using the old Secret, which nobody renews; create another request"),
    doc = "Asks for a credential of a cloud identity system. The operator puts it into a Secret in the same namespace, renews it before it expires, and removes it with the request.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Credential", type_ = "string", json_path = ".status.credential", description = "What it is."),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName", priority = 1),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.expiresAt", description = "Until when the published credential is valid."),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextAction", description = "What happens next."),
    printcolumn(name = "At", type_ = "string", json_path = ".status.nextActionTime", description = "When it happens."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::exactly_one("name what to ask for"),
    validation = rules::unchanged("the kind of credential cannot be changed; create another request"),
)]
pub struct CredentialRequestSpec {
    /// The provider to ask. Cannot be changed; create another request instead.
    #[x_kube(validation = Rule::new("self == oldSelf").message("cannot be changed; create another request"))]
    pub provider_ref: ProviderRef,
    /// A credential of DaoCloud Enterprise 5.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dce: Option<DceCredential>,
    /// A credential of OpenStack Keystone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keystone: Option<KeystoneCredential>,
    /// A credential of CloudMC.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "cloudMC")]
    pub cloud_mc: Option<CloudMcCredential>,
    /// A credential of Cisco CloudCenter 4.x.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_center: Option<CloudCenterCredential>,
    /// A credential of SODA multi-cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soda: Option<SodaCredential>,
    /// The Secret to put the credential in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretTarget>,
    /// When the credential is replaced, and what becomes of the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// What becomes of the credential when the request is deleted; `Revoke` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = super::values::explained)]
    pub deletion_policy: Option<DeletionPolicy>,
    /// Do nothing for this request while this is true: what is published stays as it is and is
    /// neither repaired nor renewed. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// The Secret that the credential is put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTarget {
    /// The Secret's name; the request's own name when absent. Cannot be changed. A Secret that does
    /// not belong to the request is never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_NAME)]
    pub name: Option<String>,
}

/// What becomes of a credential when its request is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It is revoked where the provider can do that, and the Secret goes.
    Revoke,
    /// It stays, and so does the Secret, which belongs to nobody from then on. To that end the
    /// Secret carries no owner reference as long as this is set. Credentials that were replaced
    /// before are revoked all the same.
    Retain,
}

/// When the credential is replaced, and what becomes of the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// How long before its expiry the credential is renewed, such as `24h`. When absent, or when it
    /// is longer than half of the credential's life: after two thirds of its life, and up to a
    /// tenth of it later, so that many requests do not renew at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_before: Option<Duration>,
    /// Replace the credential at this age even though it would be valid for longer, or up to a
    /// tenth of it earlier, so that many requests do not rotate at the same time. Never later,
    /// except that an overlap that is not over yet is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every: Option<Duration>,
    /// How long a replaced credential goes on working after its successor was published, so that
    /// workloads can take that up; `15m` when absent. Ends early when the old one expires. Only where
    /// the provider can revoke: a token is left to expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Duration>,
    /// Prove the published credential again this often, and replace it when the provider does not
    /// know it any more. When absent: never for what is made for the request; every `15m` for what is
    /// only read at the provider, where somebody may change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_every: Option<Duration>,
}

/// What the operator knows about a request. A hint for people and for the operator's next start;
/// nobody gains anything by editing it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialRequestStatus {
    /// `Ready`, `Reconciling`, `Stalled`, `RenewalFailing`, and `RevocationFailing` where the kind of
    /// credential can be revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of; -1 before the first pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What kind of credential it is, such as `dce.token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The Secret that holds the credential; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// When the published credential expires; absent when it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The credentials of this request that may be alive. Never holds secret material.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialRecord>,
    /// The highest serial that was used, where it is none of those in `credentials`: no number is used
    /// twice, and what was made under it is looked for when the request goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_serial: Option<u64>,
    /// What happens next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = super::values::explained)]
    pub next_action: Option<NextAction>,
    /// When it happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action_time: Option<Timestamp>,
    /// The value of the annotation `credential-operator.dev/rotate` that was last carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated: Option<String>,
    /// The value of the annotation `credential-operator.dev/revoke-retiring` that was last carried
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_retiring: Option<String>,
    /// A value of the annotation `credential-operator.dev/rotate` for which a key is to be made anew at the
    /// provider, which destroys the one before; absent when that is done. Each value is tried once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regeneration: Option<RegenerationRecord>,
    /// Digests of the last values for which that was done, or tried: none of them is used again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_rotations: Vec<String>,
    /// The last attempt, when it failed. Survives a restart of the operator, so that nothing is
    /// tried more often because of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureRecord>,
    /// The last attempt to revoke a credential, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_failure: Option<FailureRecord>,
    /// The last read or write of the Secret, or write of the finalizer, that the API server refused,
    /// or whose result it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_failure: Option<FailureRecord>,
}

/// One credential of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialRecord {
    /// Counts the credentials of this request: 1, 2, 3 …
    pub serial: u64,
    /// The provider's id of the credential, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whom it belongs to at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where it stands in its life.
    pub state: CredentialState,
    /// When it was issued; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// When it expires; absent when it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it is revoked, for one that was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_after: Option<Timestamp>,
}

/// A key that is to be made anew, written down before the provider is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegenerationRecord {
    /// The value of the annotation.
    pub value: String,
    /// When it was written down.
    pub announced_at: Timestamp,
    /// Why it was not carried out and will not be; absent until that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The same, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a credential stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CredentialState {
    /// It is the one in the Secret.
    Current,
    /// It is not in the Secret and may still work: it was replaced, or it was issued and is not
    /// published, for example because its proof fails.
    Retiring,
}

/// What the operator does next for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NextAction {
    /// Replace the credential because it expires.
    Renew,
    /// Replace the credential because its age says so.
    Rotate,
    /// Revoke a credential that was replaced.
    Revoke,
    /// Try again what failed.
    Retry,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailureRecord {
    /// Why it failed.
    pub reason: Reason,
    /// How often in a row.
    pub attempts: u32,
    /// When it was tried last.
    pub last_attempt_time: Timestamp,
    /// When the provider asked not to be called before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The versions of what was used: a change of one of them clears the back-off.
    pub inputs: String,
    /// What happened, for people.
    pub message: String,
}
