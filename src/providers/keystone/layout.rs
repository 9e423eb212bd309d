//! What stands in a Secret beside the credential itself: where it is used, and how clients reach
//! that.

use crate::{api::keystone::KeystoneKind, plan::Credential, secret::SecretData};

/// The keys that hold an access key, its secret, and so on: what cannot be made up again.
pub const ACCESS_KEY: &[&str] = &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
/// The same for an application credential.
pub const APPLICATION_CREDENTIAL: &[&str] = &[
    "OS_APPLICATION_CREDENTIAL_ID",
    "OS_APPLICATION_CREDENTIAL_SECRET",
];
/// The same for a token.
pub const TOKEN: &[&str] = &[
    "OS_TOKEN",
    "OS_PROJECT_ID",
    "OS_PROJECT_NAME",
    "OS_PROJECT_DOMAIN_ID",
    "OS_PROJECT_DOMAIN_NAME",
];

/// What clients want to be told when nobody says which region it is.
const ANY_REGION: &str = "us-east-1";

/// What the provider adds to each Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The URL of the Identity API, with `/v3`.
    pub auth_url: String,
    /// The region of the catalog.
    pub region: Option<String>,
    /// Where access keys are used: the URL of the S3 API, and the region to sign for.
    pub s3: Option<(String, Option<String>)>,
    /// The certificates that clients have to trust.
    pub ca: Option<String>,
}

impl Layout {
    /// All keys of a Secret with a pair.
    pub fn pair(&self, access: &str, secret: &str, credential: &Credential) -> SecretData {
        let data = SecretData::default()
            .with("AWS_ACCESS_KEY_ID", access)
            .with("AWS_SECRET_ACCESS_KEY", secret);
        self.complete(KeystoneKind::AccessKey, data, credential)
    }

    /// All keys of a Secret around those that hold the credential itself. The names are those that
    /// clients look for in their environment (python-openstackclient, boto3, AWS CLI).
    pub fn complete(
        &self,
        kind: KeystoneKind,
        data: SecretData,
        credential: &Credential,
    ) -> SecretData {
        let data = match kind {
            KeystoneKind::AccessKey => self.with_s3(data),
            // A key for a project would be taken for a scope, which application credentials must not
            // ask for (Keystone answers 401).
            KeystoneKind::ApplicationCredential => {
                self.with_auth(data.with("OS_AUTH_TYPE", "v3applicationcredential"))
            }
            KeystoneKind::Token => self.with_auth(data.with("OS_AUTH_TYPE", "v3token")),
        };
        let data = match &self.ca {
            Some(ca) => data.with("ca.crt", ca.as_str()),
            None => data,
        };
        match credential.expires_at {
            Some(at) => data.with("expiry", at.to_string()),
            None => data,
        }
    }

    fn with_s3(&self, data: SecretData) -> SecretData {
        let Some((endpoint, region)) = &self.s3 else {
            return data;
        };
        let region = region.as_deref().unwrap_or(ANY_REGION);
        data.with("AWS_ENDPOINT_URL_S3", endpoint.as_str())
            .with("AWS_REGION", region)
            // Clients of Python look for this one.
            .with("AWS_DEFAULT_REGION", region)
    }

    fn with_auth(&self, data: SecretData) -> SecretData {
        let data = data
            .with("OS_AUTH_URL", self.auth_url.as_str())
            .with("OS_IDENTITY_API_VERSION", "3");
        match &self.region {
            Some(region) => data.with("OS_REGION_NAME", region.as_str()),
            None => data,
        }
    }

    /// All keys again, from those that hold the credential; none when one of them is missing.
    pub fn recovered(
        &self,
        kind: KeystoneKind,
        found: &SecretData,
        credential: &Credential,
    ) -> Option<SecretData> {
        let keys = match kind {
            KeystoneKind::AccessKey => ACCESS_KEY,
            KeystoneKind::ApplicationCredential => APPLICATION_CREDENTIAL,
            KeystoneKind::Token => TOKEN,
        };
        let kept = keys.iter().try_fold(SecretData::default(), |kept, key| {
            Some(kept.with(key, found.get(key)?))
        })?;
        Some(self.complete(kind, kept, credential))
    }
}
