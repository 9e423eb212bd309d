//! The fields for DaoCloud Enterprise (DCE) 5.0.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    endpoint::{HAS_FORM, HAS_NO_QUERY, HAS_NO_USER, HAS_SCHEME, IS_ABSOLUTE, STAYS, Tls},
    reference::{SECRET_KEY, SecretRef},
    types::Duration,
};

/// How to reach a DaoCloud Enterprise 5.0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.endpoint.startsWith('http:') || (has(self.allowHTTP) && self.allowHTTP)")
        .message("plain http sends the login over the network unprotected; use https, or set allowHTTP: true to accept that")
        .field_path(".endpoint"),
)]
pub struct DceProvider {
    /// The base URL, such as `https://dce.example.com`, with the path prefix when a reverse proxy
    /// adds one; without `/apis`. Cannot be changed: credentials of one system are not those of
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
    /// Accept an endpoint with `http://`. The key pair and every token then cross the network
    /// unprotected. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "allowHTTP")]
    pub allow_http: Option<bool>,
    /// How the server's certificate is checked; against the public authorities when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the operator logs in with.
    pub auth: DceAuth,
}

/// What the operator logs in to DCE with: exactly one way, which decides what it can issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.keyPair) != has(self.accessKey)").message("state either keyPair, for tokens (ghippo before 0.14), or accessKey, for access keys (ghippo 0.14 and later)"),
)]
pub struct DceAuth {
    /// An AK/SK pair, from the page Platform Settings of a DCE with ghippo before 0.14. Issues tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<DceKeyPair>,
    /// An access key, from the page Access Keys of a DCE with ghippo 0.14 or later. Issues access keys
    /// of the same user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<DceAccessKeyLogin>,
}

/// An access key in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DceAccessKeyLogin {
    /// The Secret; it must carry the annotation `credential-operator.dev/login-for` with this
    /// provider's endpoint.
    pub secret_ref: SecretRef,
    /// The key in it that holds the access key; `token` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_KEY)]
    pub key: Option<String>,
}

/// An AK/SK pair in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DceKeyPair {
    /// The Secret; it must carry the annotation `credential-operator.dev/login-for` with this
    /// provider's endpoint.
    pub secret_ref: SecretRef,
    /// The key in it that holds the AK; `ak` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_KEY)]
    pub ak_key: Option<String>,
    /// The key in it that holds the SK; `sk` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_KEY)]
    pub sk_key: Option<String>,
}

/// Which DCE credentials a grant allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DceGrant {
    /// The kinds of credential.
    #[schemars(length(min = 1, max = 8))]
    pub kinds: Vec<DceKind>,
    /// The longest lifetime in days that a token may be asked for; 365 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "cycle_schema")]
    pub max_cycle: Option<u16>,
    /// The longest `lifetime` of an access key, which requests then have to state. Without limit when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<Duration>,
}

/// A kind of credential at DCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DceKind {
    /// A token, issued for an AK/SK pair.
    Token,
    /// An access key.
    AccessKey,
}

/// A credential of DCE: exactly one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.token) != has(self.accessKey)").message("name the kind of credential, exactly one of: token, accessKey; token: {} is enough"),
    validation = Rule::new("has(self.token) == has(oldSelf.token)").message("the kind of credential cannot be changed; create another request"),
)]
pub struct DceCredential {
    /// A token for DCE's OpenAPI. The Secret gets the keys `token`, `authorization` (a ready value
    /// for the `Authorization` header), `endpoint` and `expiry` (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<DceToken>,
    /// An access key, which is itself the bearer token. The Secret gets the keys `token`,
    /// `authorization`, `endpoint` and, where it expires, `expiry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<DceAccessKey>,
}

/// An access key of the login's own user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DceAccessKey {
    /// How long it lives, such as `720h`; at least a minute, as DCE counts in minutes. It is renewed
    /// before that. It never expires when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Duration>,
}

/// A token for DCE's OpenAPI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DceToken {
    /// The lifetime to ask for, in days, 1 to 365; 3 when absent. DCE may grant less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "cycle_schema")]
    pub cycle: Option<u16>,
}

/// A number of days from 1 to 365, with a message instead of the two bounds' own.
fn cycle_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "integer",
        "format": "int32",
        "x-kubernetes-validations": [{
            "rule": "self >= 1 && self <= 365",
            "message": "must be a number of days from 1 to 365",
        }],
    })
}

/// The lifetime in days when a request names none, as DCE's own default.
pub const DEFAULT_CYCLE: u16 = 3;

/// The longest lifetime in days that can be asked for.
pub const MAX_CYCLE: u16 = 365;
