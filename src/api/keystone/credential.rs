//! What a request asks a Keystone for.

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{super::types::Duration, names::NameRef};

/// A credential of Keystone: exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.accessKey), has(self.applicationCredential), has(self.token)].filter(x, x).size() == 1")
        .message("name exactly one kind of credential: accessKey, applicationCredential or token"),
    validation = Rule::new("has(self.accessKey) == has(oldSelf.accessKey) && has(self.token) == has(oldSelf.token)")
        .message("the kind of credential cannot be changed; create another request"),
)]
pub struct KeystoneCredential {
    /// A pair of access key and secret key for S3 and EC2 APIs. The Secret gets the keys
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and where the provider states them
    /// `AWS_ENDPOINT_URL_S3`, `AWS_REGION`, `AWS_DEFAULT_REGION` and `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<KeystoneAccessKey>,
    /// An application credential. The Secret gets the keys `OS_AUTH_TYPE`, `OS_AUTH_URL`,
    /// `OS_IDENTITY_API_VERSION`, `OS_APPLICATION_CREDENTIAL_ID`,
    /// `OS_APPLICATION_CREDENTIAL_SECRET`, and where there are any `OS_REGION_NAME`, `expiry`
    /// (RFC 3339) and `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_credential: Option<KeystoneApplicationCredential>,
    /// A token with the scope of a project, renewed at two thirds of its life. The Secret gets the
    /// keys `OS_AUTH_TYPE`, `OS_AUTH_URL`, `OS_IDENTITY_API_VERSION`, `OS_TOKEN`, `OS_PROJECT_ID`,
    /// `OS_PROJECT_NAME`, `OS_PROJECT_DOMAIN_ID`, `OS_PROJECT_DOMAIN_NAME`, `expiry` (RFC 3339), and
    /// where there are any `OS_REGION_NAME` and `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<KeystoneToken>,
}

/// A pair of access key and secret key. It works until it is revoked; `renewal.rotateEvery` replaces
/// it regularly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeystoneAccessKey {
    /// The project that it is for. A change makes a new pair.
    pub project: NameRef,
    /// The user that it belongs to; the login's own when absent. Another one takes a login with the
    /// role `admin`. A change makes a new pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<NameRef>,
}

/// An application credential of the login's user. Any change makes a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeystoneApplicationCredential {
    /// The project that it is for.
    pub project: NameRef,
    /// The roles that it carries; all that the login has in the project when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 255)))]
    pub roles: Option<Vec<String>>,
    /// How long each one lives, such as `720h`; it is renewed before. Without expiry when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Duration>,
    /// When the last one ends. It is not renewed beyond that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The calls that it may be used for; all when absent. Keystone keeps such rules apart from the
    /// credentials that use them, and they stay there when a credential is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub access_rules: Option<Vec<AccessRule>>,
    /// Whether it may be used to make further credentials of the user. A grant has to allow it.
    /// False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrestricted: Option<bool>,
}

/// A call that an application credential may be used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRule {
    /// The type of the service in the catalog, such as `object-store`.
    #[schemars(length(min = 1, max = 64))]
    pub service: String,
    /// The HTTP method, such as `GET`.
    #[x_kube(validation = Rule::new("self in ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']").message("must be GET, HEAD, POST, PUT, PATCH or DELETE"))]
    #[schemars(length(max = 8))]
    pub method: String,
    /// The path, in which `*`, `**` and `{name}` stand for parts of it, such as `/v1/AUTH_*/**`.
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("must be a path: it begins with /"))]
    #[schemars(length(max = 225))]
    pub path: String,
}

/// A token with the scope of a project. Its life is Keystone's to choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeystoneToken {
    /// The project that it is for. A change makes a new token.
    pub project: NameRef,
}
