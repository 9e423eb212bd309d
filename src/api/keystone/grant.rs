//! What a grant allows to ask a Keystone for.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::super::{
    names::{ID, NAME},
    types::Duration,
};

/// Which Keystone credentials a grant allows. It holds for what Keystone says about the login, not
/// for the words of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeystoneGrant {
    /// The kinds of credential.
    #[schemars(length(min = 1, max = 8))]
    pub kinds: Vec<KeystoneKind>,
    /// The projects that may be named, by id, or by name within a domain.
    #[schemars(length(min = 1, max = 32))]
    pub projects: Vec<NamePattern>,
    /// The roles that a credential may carry. Access keys and tokens carry all roles that the login
    /// has in the project, and those that these imply; application credentials those that the
    /// request names. A credential with a further role is not issued.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 255)))]
    pub roles: Vec<String>,
    /// The users that requests for access keys may name. Those of another user than the login's own
    /// take a login with the role `admin`. When absent, requests name none, and get the login's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub users: Option<Vec<NamePattern>>,
    /// How long a credential may live: the longest `lifetime` of an application credential, the
    /// longest `renewal.rotateEvery` with the overlap of an access key, which requests then have to
    /// state; the longest life of a token, which Keystone decides. Without limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<Duration>,
    /// Whether application credentials may be unrestricted: whoever has one can make further
    /// credentials of the login's user. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrestricted: Option<bool>,
}

/// A kind of credential at Keystone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeystoneKind {
    /// A pair of access key and secret key.
    AccessKey,
    /// An application credential.
    ApplicationCredential,
    /// A token.
    Token,
}

/// Projects or users: `id`, or a pattern for `name` with either `domain` or `domainID`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.id) != has(self.name)").message("state either id, or name with domain or domainID"),
    validation = Rule::new("has(self.name) ? has(self.domain) != has(self.domainID) : !has(self.domain) && !has(self.domainID)")
        .message("a name goes with either domain or domainID, an id with neither: the same name can exist in several domains"),
)]
pub struct NamePattern {
    /// The id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ID)]
    pub id: Option<String>,
    /// The name, in which `*` stands for any text, such as `payments-*`. Upper and lower case
    /// differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = NAME)]
    pub name: Option<String>,
    /// The name of the domain, such as `Default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = NAME)]
    pub domain: Option<String>,
    /// The id of the domain, such as `default`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "domainID")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ID)]
    pub domain_id: Option<String>,
}
