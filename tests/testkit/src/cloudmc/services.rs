//! What kinds of service there are behind connections, and which values their users get.

use uuid::Uuid;

use super::fields::Field;

/// The kind of a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// Virtual machines by CloudStack, with the fields of the documentation's sample: `endpoint`, `api_key`,
    /// `secret_key` and `project_id`.
    Compute,
    /// Object storage by OpenStack Swift. Its fields are those of the portal's pictures (knowledge base), under names
    /// that the sources do not show: `auth_endpoint` (deprecated, ends with `/v2.0`), `project_name`, `username`,
    /// `password`, `auth_url`, `identity_api_version`, `domain_id`, `s3_access_key` and `s3_secret_key`.
    ObjectStorage,
    /// Whatever a test makes of it: everybody gets these fields.
    Custom(Vec<Field>),
}

impl Service {
    /// The `type` of a connection.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Service::Compute => "cloudca",
            Service::ObjectStorage => "swift",
            Service::Custom(_) => "custom",
        }
    }

    /// New values for a user in an environment. `organization` and `environment` are names.
    pub(super) fn values(&self, organization: &str, environment: &str, user: &str) -> Vec<Field> {
        match self {
            Service::Compute => vec![
                Field::open("endpoint", "https://compute.example.com/client/api"),
                Field::secret("api_key", marked("APIKEYMARK")),
                Field::secret("secret_key", marked("SKMARK")),
                Field::open("project_id", Uuid::new_v4().to_string()).specific(),
            ],
            // "Regenerate" changes the password and the S3 key in all environments of the user (knowledge base), so
            // these are shared.
            Service::ObjectStorage => vec![
                Field::open("auth_endpoint", "https://auth.example.com/v2.0"),
                Field::open("project_name", format!("{organization}-{environment}")).specific(),
                Field::open("username", format!("{organization}-{user}-2925")),
                Field::secret("password", marked("PWMARK")),
                Field::open("auth_url", "https://auth.example.com"),
                Field::open("identity_api_version", "3"),
                Field::open("domain_id", "default"),
                Field::open("s3_access_key", Uuid::new_v4().simple().to_string()),
                Field::secret("s3_secret_key", marked("SKMARK")),
            ],
            Service::Custom(fields) => fields.clone(),
        }
    }

    /// Which fields "Regenerate" changes, apart from sensitive ones.
    pub(super) fn regenerates(&self, key: &str) -> bool {
        matches!(self, Service::ObjectStorage) && key == "s3_access_key"
    }
}

/// A random word with a mark in front, so that a search for leaks finds it also in pieces of text that it cannot parse.
pub(super) fn marked(mark: &str) -> String {
    format!("{mark}-{}", Uuid::new_v4())
}
