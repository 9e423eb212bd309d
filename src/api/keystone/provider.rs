//! How to reach a Keystone, and what belongs to it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::super::{
    endpoint::{HAS_FORM, HAS_NO_QUERY, HAS_NO_USER, HAS_SCHEME, IS_ABSOLUTE, STAYS, Tls},
    reference::SecretRef,
};

/// How to reach an OpenStack Keystone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.endpoint.startsWith('http:') || (has(self.allowHTTP) && self.allowHTTP)")
        .message("plain http sends the login over the network unprotected; use https, or set allowHTTP: true to accept that")
        .field_path(".endpoint"),
)]
pub struct KeystoneProvider {
    /// The URL of the Identity API, such as `https://keystone.example.com/v3` or
    /// `https://cloud.example.com/identity`; with or without `/v3` at its end. Cannot be changed:
    /// credentials of one system are not those of another; declare a new provider instead.
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
    /// Accept an endpoint with `http://`. The login and every credential then cross the network
    /// unprotected. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "allowHTTP")]
    pub allow_http: Option<bool>,
    /// How the server's certificate is checked; against the public authorities when absent. The
    /// certificates of `caBundleSecretRef` are put into published Secrets, too, under `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the operator logs in with.
    pub auth: KeystoneAuth,
    /// Where access keys are used; published with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// The region of the catalog that clients use (`OS_REGION_NAME`), such as `RegionOne`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = REGION)]
    pub region: Option<String>,
}

/// What the name of a region looks like.
const REGION: (&str, &str) = (
    "self.matches('^[a-zA-Z0-9][-_.a-zA-Z0-9]*$')",
    "must be a region: letters, digits, '-', '_' and '.', beginning with a letter or digit",
);

/// What the operator logs in to Keystone with: exactly one of `password` and
/// `applicationCredential`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.password) != has(self.applicationCredential)").message("state exactly one of password and applicationCredential"),
)]
pub struct KeystoneAuth {
    /// A user with a password. The Secret holds `password`, and either `user-id`, or `username`
    /// with `domain` (the domain's name, `Default` when absent) or `domain-id`. Required for access
    /// keys, which Keystone does not let application credentials make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<KeystoneLogin>,
    /// An application credential. The Secret holds its `id` and its `secret`. It serves the one
    /// project that it was made for, and application credentials only when it is unrestricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_credential: Option<KeystoneLogin>,
}

/// A login in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeystoneLogin {
    /// The Secret; it must carry the annotation `credential-operator.dev/login-for` with this
    /// provider's endpoint.
    pub secret_ref: SecretRef,
}

/// Where access keys are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3 {
    /// The URL of the S3 API, such as `https://s3.example.com` (`AWS_ENDPOINT_URL_S3`).
    #[schemars(length(max = 1024))]
    #[x_kube(
        validation = IS_ABSOLUTE,
        validation = HAS_SCHEME,
        validation = HAS_NO_USER,
        validation = HAS_NO_QUERY,
        validation = HAS_FORM,
    )]
    pub endpoint: String,
    /// The region that requests are signed for (`AWS_REGION`), such as `RegionOne`; `us-east-1`
    /// when absent, which clients want to be told and most servers do not look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = REGION)]
    pub region: Option<String>,
}
