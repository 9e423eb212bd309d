//! The fields for CloudMC.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    endpoint::{HAS_FORM, HAS_NO_QUERY, HAS_NO_USER, HAS_SCHEME, IS_ABSOLUTE, STAYS, Tls},
    names::{ID, NAME},
    reference::{SECRET_KEY, SecretRef},
};

/// How many entries a request's `keys` may have.
pub const MOST_KEYS: usize = 64;
/// The longest constant value of a key, in characters.
pub const LONGEST_VALUE: usize = 1024;

/// How to reach a CloudMC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.endpoint.startsWith('http:') || (has(self.allowHTTP) && self.allowHTTP)")
        .message("plain http sends the login over the network unprotected; use https, or set allowHTTP: true to accept that")
        .field_path(".endpoint"),
)]
pub struct CloudMcProvider {
    /// The base URL of the API with its version, such as `https://cloudmc.example.com/api/v1` or
    /// `https://api.cloud.ca/v1`. Cannot be changed: credentials of one system are not those of
    /// another; declare a new provider instead.
    #[schemars(length(max = 1024))]
    #[x_kube(
        validation = IS_ABSOLUTE,
        validation = HAS_SCHEME,
        validation = HAS_NO_USER,
        validation = HAS_NO_QUERY,
        validation = HAS_FORM,
        validation = STAYS,
    )]
    pub endpoint: String,
    /// Accept an endpoint with `http://`. The API key and everything that is read then cross the
    /// network unprotected. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "allowHTTP")]
    pub allow_http: Option<bool>,
    /// How the server's certificate is checked; against the public authorities when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the operator logs in with.
    pub auth: CloudMcAuth,
}

/// What the operator logs in to CloudMC with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudMcAuth {
    /// An API key of a user. CloudMC shows each user's service keys to nobody else, so what is
    /// published belongs to this one.
    pub api_key: CloudMcApiKey,
}

/// An API key in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudMcApiKey {
    /// The Secret; it must carry the annotation `credential-operator.dev/login-for` with this
    /// provider's endpoint.
    pub secret_ref: SecretRef,
    /// The key in it that holds the API key; `api-key` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_KEY)]
    pub key: Option<String>,
}

/// Which CloudMC credentials a grant allows. It holds for what CloudMC says a connection and an
/// environment are, not for the words of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudMcGrant {
    /// The kinds of credential.
    #[schemars(length(min = 1, max = 8))]
    pub kinds: Vec<CloudMcKind>,
    /// The service connections whose keys may be read.
    #[schemars(length(min = 1, max = 32))]
    pub connections: Vec<CloudMcPattern>,
    /// The environments whose keys may be read.
    #[schemars(length(min = 1, max = 32))]
    pub environments: Vec<CloudMcPattern>,
    /// The organizations that the environments have to belong to; any that the login's user sees when
    /// absent, so that a name leads to whichever of them has an environment that is called so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub organizations: Option<Vec<CloudMcPattern>>,
}

/// A kind of credential at CloudMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CloudMcKind {
    /// The service API keys of an environment.
    ServiceKeys,
}

/// Connections, environments or organizations: `id`, or a pattern for `name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.id) != has(self.name)").message("state either id or name"),
)]
pub struct CloudMcPattern {
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
}

/// A credential of CloudMC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudMcCredential {
    /// The service API keys of the login's user in an environment, as the portal shows them on the page
    /// "API credentials". They are read and never made or changed: who regenerates them in the portal
    /// changes what is published, at the next `renewal.verifyEvery`.
    pub service_keys: CloudMcServiceKeys,
}

/// The service API keys of an environment, and under which keys of the Secret they stand. Without
/// `preset` and `keys`: each field under its own name, with `_` for what a Secret's key cannot have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudMcServiceKeys {
    /// The service connection, such as the one for object storage.
    pub connection: CloudMcRef,
    /// The environment, which belongs to that connection. The login's user has to be a member of it.
    pub environment: CloudMcRef,
    /// A ready set of keys, as clients look for them; when absent, what `keys` says. CloudMC does not
    /// document the names of its fields: where yours has others, say so in `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = super::values::explained)]
    pub preset: Option<CloudMcPreset>,
    /// The keys of the Secret, and what stands under each: nothing but these. Together with `preset`,
    /// they come on top of it; one that the preset has as well takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MOST_KEYS))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["as".to_owned()]))]
    pub keys: Option<Vec<CloudMcKey>>,
}

/// A ready set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum CloudMcPreset {
    /// For clients of OpenStack, Identity API v3: `OS_AUTH_URL` (from the field `auth_url`),
    /// `OS_IDENTITY_API_VERSION` (3), `OS_USERNAME` (`username`), `OS_PASSWORD` (`password`),
    /// `OS_PROJECT_NAME` (`project_name`), `OS_USER_DOMAIN_ID` and `OS_PROJECT_DOMAIN_ID` (`domain_id`;
    /// `default` where there is no such field).
    OpenStackV3,
    /// For old clients of OpenStack, Identity API v2.0: `OS_AUTH_URL` (`auth_endpoint`), `OS_USERNAME`
    /// (`username`), `OS_PASSWORD` (`password`), `OS_PROJECT_NAME` and `OS_TENANT_NAME` (`project_name`).
    OpenStackV2,
    /// For clients of S3: `AWS_ACCESS_KEY_ID` (`s3_access_key`), `AWS_SECRET_ACCESS_KEY` (`s3_secret_key`),
    /// `AWS_ENDPOINT_URL_S3` (`s3_endpoint`), `AWS_REGION` and `AWS_DEFAULT_REGION` (`s3_region`), and
    /// `credentials`, the file of that name in `~/.aws`, with these in the profile `default`.
    S3,
}

/// A key of the Secret, and what stands under it: a field, or a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.field) != has(self.value)").message("state either field or value"),
)]
pub struct CloudMcKey {
    /// The key of the Secret. Each one once.
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_KEY)]
    pub r#as: String,
    /// The field of CloudMC's answer that is put there, by the name that CloudMC gives it. A field that
    /// is missing or empty is a failure, and what is in the Secret stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = NAME)]
    pub field: Option<String>,
    /// A text that is put there, for what CloudMC does not tell, such as a region or an endpoint. Nothing
    /// secret: everybody who may see the request reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = LONGEST_VALUE))]
    pub value: Option<String>,
}

/// A connection or an environment: `id` or `name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.id) != has(self.name)").message("state either id or name"),
)]
pub struct CloudMcRef {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ID)]
    pub id: Option<String>,
    /// Its name, as it is written in CloudMC. Where several have the same name, state the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = NAME)]
    pub name: Option<String>,
}
