//! How projects and users are named: by id, or by name within a domain.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::super::names::{ID, NAME};

/// A project or a user: `id`, or `name` with either `domain` or `domainID`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.id) != has(self.name)").message("state either id, or name with domain or domainID"),
    validation = Rule::new("has(self.name) ? has(self.domain) != has(self.domainID) : !has(self.domain) && !has(self.domainID)")
        .message("a name goes with either domain or domainID, an id with neither: the same name can exist in several domains"),
)]
pub struct NameRef {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ID)]
    pub id: Option<String>,
    /// Its name, as it is written in Keystone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = NAME)]
    pub name: Option<String>,
    /// The name of its domain, such as `Default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = NAME)]
    pub domain: Option<String>,
    /// The id of its domain, such as `default`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "domainID")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ID)]
    pub domain_id: Option<String>,
}
