//! The fields for DaoCloud Enterprise (DCE) 5.0.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::reference::{CaBundleRef, SECRET_KEY, SecretRef};

// An endpoint's rules take turns, so that each defect is told once and in words that fit it. No rule
// uses `url()`: it ends with an error of its own where a text is no URL, which helps nobody.

/// Something, `://`, and something.
const IS_ABSOLUTE: &str = "self.matches('^[a-zA-Z][-+.a-zA-Z0-9]*://.')";

/// Of what is absolute: the right scheme, in lower case.
const HAS_SCHEME: &str =
    "!self.matches('^[a-zA-Z][-+.a-zA-Z0-9]*://.') || self.matches('^https?://')";

/// Of what has the right scheme and none of the forbidden parts: a host name, an IPv4 address or an
/// IPv6 address in brackets; a port from 1 to 65535; a path of unreserved characters (RFC 3986)
/// without segments that begin with a dot: what a server behind a proxy makes of anything else cannot
/// be told, and consent to an endpoint is consent to a path.
const HAS_FORM: &str = concat!(
    "!self.matches('^https?://.') || self.matches('[@?#]') || self.matches('^https?://",
    "([a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?([.][a-zA-Z0-9_]([-a-zA-Z0-9_]*[a-zA-Z0-9_])?)*[.]?|[[][0-9a-fA-F:.]+[]])",
    "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
    "(/[-a-zA-Z0-9_~][-a-zA-Z0-9._~]*)*/?$')",
);

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
        validation = (IS_ABSOLUTE, "must be an absolute URL such as https://dce.example.com"),
        validation = (HAS_SCHEME, "must start with https:// (or with http:// together with allowHTTP: true)"),
        validation = ("!self.contains('@')", "must not hold a user name or password; the login belongs into the Secret that auth names"),
        validation = ("!self.contains('?') && !self.contains('#')", "must not hold a query or a fragment"),
        validation = (HAS_FORM, "must be a host with a port and a path where needed, and nothing else: no spaces, no special characters"),
        validation = ("self == oldSelf", "cannot be changed; declare a new provider for another system"),
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

/// How a server's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.caBundleSecretRef) && has(self.insecureSkipVerify) && self.insecureSkipVerify)").message("set either caBundleSecretRef or insecureSkipVerify, not both"),
)]
pub struct Tls {
    /// The Secret with the PEM certificates of the authorities to trust, instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle_secret_ref: Option<CaBundleRef>,
    /// Do not check the server's certificate at all: whoever is on the network path can read the
    /// login. The provider carries a condition `Insecure` as long as this is set. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

/// What the operator logs in to DCE with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DceAuth {
    /// An AK/SK pair, from DCE's Platform Settings page.
    pub key_pair: DceKeyPair,
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
}

/// A kind of credential at DCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum DceKind {
    /// A token, issued for an AK/SK pair.
    Token,
}

/// A credential of DCE: exactly one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.token)").message("name the kind of credential: token: {}"),
)]
pub struct DceCredential {
    /// A token for DCE's OpenAPI. The Secret gets the keys `token`, `authorization` (a ready value
    /// for the `Authorization` header), `endpoint` and `expiry` (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<DceToken>,
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
