//! How projects and users are named: by id, or by name within a domain.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What an id looks like: Keystone makes 32 hexadecimal digits, back ends such as LDAP 64; the
/// first domain is called `default`. It becomes a segment of a path.
pub(super) const ID: (&str, &str) = (
    "self.matches('^[a-zA-Z0-9][-_.a-zA-Z0-9]*$')",
    "must be an id: letters, digits, '-', '_' and '.', beginning with a letter or digit",
);

/// Names may hold nearly everything (OpenStack allows any text).
pub(super) const NAME: (&str, &str) = (
    "self.size() > 0 && !self.matches('[[:cntrl:]]')",
    "must be a name: not empty, and without control characters",
);

/// Whether a text can be an id.
pub fn is_id(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|char: char| char.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char))
}

/// Whether a text can be a name.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control)
}

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
