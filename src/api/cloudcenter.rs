//! The fields for Cisco CloudCenter (CliQr) 4.x.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    endpoint::{HAS_FORM, HAS_NO_QUERY, HAS_NO_USER, HAS_SCHEME, IS_ABSOLUTE, STAYS, Tls},
    names::ID,
    reference::{SECRET_KEY, SecretRef},
};

/// How to reach a CloudCenter 4.x.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.endpoint.startsWith('http:') || (has(self.allowHTTP) && self.allowHTTP)")
        .message("plain http sends the login over the network unprotected; use https, or set allowHTTP: true to accept that")
        .field_path(".endpoint"),
)]
pub struct CloudCenterProvider {
    /// The URL of the manager (CCM), such as `https://ccm.example.com`, without `/v1`. Cannot be
    /// changed: credentials of one system are not those of another; declare a new provider instead.
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
    /// Accept an endpoint with `http://`. The login and every key then cross the network unprotected.
    /// False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "allowHTTP")]
    pub allow_http: Option<bool>,
    /// How the server's certificate is checked; against the public authorities when absent. Many
    /// managers have one that is signed by itself: name it in `caBundleSecretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the operator logs in with.
    pub auth: CloudCenterAuth,
}

/// What the operator logs in to CloudCenter with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudCenterAuth {
    /// The API key of a user. Keys of other users take one of the user's tenant admin, or of the admin.
    pub api_key: CloudCenterLogin,
}

/// A user name with a key in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudCenterLogin {
    /// The Secret; it must carry the annotation `credential-operator.dev/login-for` with this
    /// provider's endpoint.
    pub secret_ref: SecretRef,
    /// The key in it that holds the user name of the API, such as `admin_3`, which is not the e-mail
    /// address; `username` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_KEY)]
    pub username_key: Option<String>,
    /// The key in it that holds the API key; `key` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = SECRET_KEY)]
    pub key_key: Option<String>,
}

/// Which CloudCenter credentials a grant allows. It holds for what CloudCenter says about a user, not
/// for the words of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudCenterGrant {
    /// The kinds of credential.
    #[schemars(length(min = 1, max = 8))]
    pub kinds: Vec<CloudCenterKind>,
    /// The users whose key may be asked for.
    #[schemars(length(min = 1, max = 32))]
    pub users: Vec<CloudCenterUserPattern>,
    /// Whether requests may have the keys of these users made anew by the annotation
    /// `credential-operator.dev/rotate` (`onRotate: Regenerate`): the one before stops to work at once, for
    /// everybody who has it. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regenerate: Option<bool>,
}

/// A kind of credential at CloudCenter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CloudCenterKind {
    /// A user's API key.
    ApiKey,
}

/// Users: exactly one of `id`, `email` and `self`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.id), has(self.email), has(self.self)].filter(x, x).size() == 1").message("state exactly one of: id, email, self"),
)]
pub struct CloudCenterUserPattern {
    /// The id of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ID)]
    pub id: Option<String>,
    /// An e-mail address, in which `*` stands for any text, such as `*@payments.example.com`. Upper
    /// and lower case make no difference. The login's own user is never among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = PATTERN)]
    pub email: Option<String>,
    /// The user of the provider's own login, by whatever name it is asked for. Whoever gets that key
    /// can do all that the operator can.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "self")]
    #[x_kube(validation = ("self", "can only be true; leave it out otherwise"))]
    pub own: Option<bool>,
}

/// A credential of CloudCenter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudCenterCredential {
    /// The API key that a user has. The Secret gets the keys `username`, `key`, `authorization` (a
    /// ready value for the `Authorization` header) and `endpoint`.
    pub api_key: CloudCenterApiKey,
}

/// A user's API key. Each user has one, which is read and not made, so that somebody may make another
/// in its place: it is read again every `renewal.verifyEvery`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.onRotate) || self.onRotate != 'Regenerate' || has(self.user)")
        .message("Regenerate takes the id or the email of a user in user")
        .field_path(".onRotate"),
)]
pub struct CloudCenterApiKey {
    /// Whose key; that of the provider's own login when absent. After a change the key of the other
    /// user takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<CloudCenterUser>,
    /// What a new value of the annotation `credential-operator.dev/rotate` does; `Read` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = super::values::explained)]
    pub on_rotate: Option<CloudCenterOnRotate>,
}

/// What the annotation `credential-operator.dev/rotate` does with a key that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum CloudCenterOnRotate {
    /// It is read again, at once.
    Read,
    /// CloudCenter makes a new one, once for each value of the annotation. **The one before stops to work at
    /// once, for everybody who has it**: there is no overlap. Takes a grant with `regenerate: true`. Where it
    /// is not known whether CloudCenter did it, the key is read, and nothing is tried again.
    Regenerate,
}

/// A user: either `id` or `email`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.id) != has(self.email)").message("state either id or email"),
)]
pub struct CloudCenterUser {
    /// The user's id, such as `4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ID)]
    pub id: Option<String>,
    /// The user's e-mail address. Upper and lower case make no difference. It takes more calls than an
    /// id: all users are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = EMAIL)]
    pub email: Option<String>,
}

/// What an e-mail address looks like. It never becomes part of a path.
const EMAIL: (&str, &str) = (
    "self.matches('^[^[:space:][:cntrl:]@*]+@[^[:space:][:cntrl:]@*]+$')",
    "must be an e-mail address, without spaces and without '*'",
);

/// What a pattern for one looks like.
const PATTERN: (&str, &str) = (
    "self.matches('^[^[:space:][:cntrl:]]+$')",
    "must be an e-mail address, or a pattern with '*' for one, without spaces",
);

/// Whether a text can be an e-mail address.
pub fn is_email(text: &str) -> bool {
    let fit = |part: &str| !part.is_empty() && is_pattern(part) && !part.contains(['@', '*']);
    let parts = text.split_once('@');
    is_pattern(text) && parts.is_some_and(|(user, host)| fit(user) && fit(host))
}

/// Whether a text can be a pattern for e-mail addresses.
pub fn is_pattern(text: &str) -> bool {
    let odd = |char: char| char.is_whitespace() || char.is_control();
    !text.is_empty() && text.chars().count() <= 255 && !text.chars().any(odd)
}
