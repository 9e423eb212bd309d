//! The fields for SODA multi-cloud, later named strato.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    endpoint::{HAS_FORM, HAS_NO_QUERY, HAS_NO_USER, HAS_SCHEME, IS_ABSOLUTE, STAYS, Tls},
    keystone::{NamePattern, NameRef, S3},
    names::ID,
    reference::SecretRef,
    types::Duration,
};

/// How to reach a SODA, and the Keystone that it keeps its keys in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.endpoint.startsWith('http:') || (has(self.allowHTTP) && self.allowHTTP)")
        .message("plain http sends the login's token over the network unprotected; use https, or set allowHTTP: true to accept that")
        .field_path(".endpoint"),
    validation = Rule::new("!self.keystone.endpoint.startsWith('http:') || (has(self.allowHTTP) && self.allowHTTP)")
        .message("plain http sends the login over the network unprotected; use https, or set allowHTTP: true to accept that")
        .field_path(".keystone.endpoint"),
)]
pub struct SodaProvider {
    /// The URL of SODA's API, such as `https://soda.example.com:8089`; with or without `/v1` at its
    /// end. Cannot be changed: credentials of one system are not those of another; declare a new
    /// provider instead.
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
    /// The Keystone that SODA itself asks: the operator logs in there.
    pub keystone: SodaKeystone,
    /// Accept endpoints with `http://`, as SODA's own installation has them. The login and every
    /// credential then cross the network unprotected. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "allowHTTP")]
    pub allow_http: Option<bool>,
    /// How the certificates of both servers are checked; against the public authorities when absent.
    /// The certificates of `caBundleSecretRef` are put into published Secrets, too, under `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the operator logs in with.
    pub auth: SodaAuth,
    /// Where access keys are used: SODA's S3 API; published with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
}

/// The Keystone behind a SODA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SodaKeystone {
    /// The URL of the Identity API, such as `https://keystone.example.com/identity`; with or without
    /// `/v3` at its end. Cannot be changed.
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
}

/// What the operator logs in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SodaAuth {
    /// A user of Keystone with a password. The Secret holds `password`, and either `user-id`, or
    /// `username` with `domain` (the domain's name, `Default` when absent) or `domain-id`. There is no
    /// other way: to tokens of application credentials SODA gives false answers.
    pub password: SodaLogin,
}

/// A login in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SodaLogin {
    /// The Secret; its annotation `credential-operator.dev/login-for` must name both endpoints, SODA's
    /// and Keystone's, separated by a space.
    pub secret_ref: SecretRef,
}

/// Which SODA credentials a grant allows. It holds for what Keystone says about the login, not for the
/// words of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SodaGrant {
    /// The kinds of credential.
    #[schemars(length(min = 1, max = 8))]
    pub kinds: Vec<SodaKind>,
    /// The projects that may be named, by id, or by name within a domain.
    #[schemars(length(min = 1, max = 32))]
    pub projects: Vec<NamePattern>,
    /// The roles that a credential may carry: all that the login has in the project, and those that
    /// these imply. A credential with a further role is not issued.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 255)))]
    pub roles: Vec<String>,
    /// How long a credential may live: the longest `renewal.rotateEvery` with the overlap, which
    /// requests then have to state. Pairs that the operator cannot revoke (`issueThrough: Soda`,
    /// `adopt: true`) are not allowed where there is a limit. Without limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<Duration>,
    /// Whether requests may say `issueThrough: Soda`: such a pair can be guessed by whoever knows when
    /// SODA's service was started, and stays when its request goes, unless that says `onDelete`. False when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_through_soda: Option<bool>,
    /// Whether requests may say `adopt: true`: they share a pair that the login's user has already.
    /// False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
    /// Whether requests may say `onDelete: DeleteAllKeysOfUser`, which destroys credentials of others. It
    /// has to hold when the request is deleted, too. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_all: Option<bool>,
}

/// A kind of credential at SODA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SodaKind {
    /// A pair of access key and secret key.
    AccessKey,
}

/// A credential of SODA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SodaCredential {
    /// A pair of access key and secret key of the login's user, for SODA's S3 API. The Secret gets the
    /// keys `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and where the provider states them
    /// `AWS_ENDPOINT_URL_S3`, `AWS_REGION`, `AWS_DEFAULT_REGION` and `ca.crt`.
    pub access_key: SodaAccessKey,
}

/// A pair of access key and secret key. It is issued at Keystone under a name that follows from the
/// request, read back through SODA, which proves that SODA accepts it, and revoked at Keystone.
/// `issueThrough: Soda` and `adopt: true` are other ways to have one, of which neither can be revoked alone;
/// `onDelete` ends the first one with all others of its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.adopt) && self.adopt && has(self.issueThrough))")
        .message("what is adopted is not issued: state either adopt: true or issueThrough"),
    validation = Rule::new("!has(self.accessKeyID) || (has(self.adopt) && self.adopt)")
        .message("goes with adopt: true alone: a new pair has the access key that it gets")
        .field_path(".accessKeyID"),
    validation = Rule::new("(has(self.issueThrough) ? self.issueThrough : 'Keystone') == (has(oldSelf.issueThrough) ? oldSelf.issueThrough : 'Keystone')")
        .message("cannot be changed, because what is issued otherwise ends otherwise; create another request")
        .field_path(".issueThrough"),
    validation = Rule::new("!has(self.onDelete) || (has(self.issueThrough) && self.issueThrough == 'Soda')")
        .message("goes with issueThrough: Soda alone: all other pairs are revoked one by one, or never")
        .field_path(".onDelete"),
    validation = Rule::new("has(self.onDelete) == has(oldSelf.onDelete)")
        .message("cannot be changed: it says how the pair ends; create another request")
        .field_path(".onDelete"),
    validation = Rule::new("(has(self.adopt) && self.adopt) == (has(oldSelf.adopt) && oldSelf.adopt)")
        .message("cannot be changed, because what is adopted is never revoked; create another request")
        .field_path(".adopt"),
)]
pub struct SodaAccessKey {
    /// The project that it is for. A change makes a new pair.
    pub project: NameRef,
    /// Where the pair is made; `Keystone` when absent. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = super::values::explained)]
    pub issue_through: Option<IssueThrough>,
    /// What ends a pair of `issueThrough: Soda` when the request is deleted; nothing when absent. Cannot be
    /// changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = super::values::explained)]
    pub on_delete: Option<OnDelete>,
    /// Share a pair that the login's user has for the project already, instead of making one. It is
    /// never revoked. Cannot be changed. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,
    /// Which pair is adopted, by its access key, where the login's user has several for the project. One
    /// that was made for a request is refused: it is revoked when that rotates or goes.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "accessKeyID"
    )]
    #[schemars(length(max = 64))]
    #[x_kube(validation = ID)]
    pub access_key_id: Option<String>,
}

/// Where a pair is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum IssueThrough {
    /// At Keystone, with a random secret, under a name that follows from the request.
    Keystone,
    /// By SODA's own `POST`, where Keystone does not let the operator make one. All requests of a
    /// provider for one project share the pair, and a rotation finds the same one again. Nothing ends it
    /// but people, or `onDelete`.
    Soda,
}

/// What ends a pair that SODA has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum OnDelete {
    /// SODA's own `DELETE`, the only one that it has: **all** credentials of the login's user go with the
    /// pair, of all projects and types, those of other requests among them. What will go is listed
    /// beforehand in the request's status and in an event, ten seconds at least before it happens: all of
    /// them are counted, and the first sixteen named. What it lists anew is said anew.
    DeleteAllKeysOfUser,
}
