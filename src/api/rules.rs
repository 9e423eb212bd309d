//! The rules of the schema that name systems, made from two lists: a further system is added to these.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::ValidationRule;
use kube::core::Rule;

/// The fields for systems, of which a provider and a request each have one, and a grant at least one.
const SYSTEMS: &[&str] = &["dce", "keystone", "cloudMC", "cloudCenter", "soda"];

/// Where providers refer to Secrets, below `spec`.
const SECRETS: &[&str] = &[
    "dce.auth.keyPair.secretRef",
    "dce.auth.accessKey.secretRef",
    "dce.tls.caBundleSecretRef",
    "keystone.auth.password.secretRef",
    "keystone.auth.applicationCredential.secretRef",
    "keystone.tls.caBundleSecretRef",
    "cloudMC.auth.apiKey.secretRef",
    "cloudMC.tls.caBundleSecretRef",
    "cloudCenter.auth.apiKey.secretRef",
    "cloudCenter.tls.caBundleSecretRef",
    "soda.auth.password.secretRef",
    "soda.tls.caBundleSecretRef",
];

/// Fields on the way to these that are required wherever their parent is.
const REQUIRED: &[&str] = &["auth", "secretRef"];

/// The systems as messages list them.
pub fn systems() -> String {
    SYSTEMS.join(", ")
}

/// Exactly one system. `wish` says what to do.
pub(super) fn exactly_one(wish: &str) -> Rule {
    Rule::new(format!("[{}].filter(x, x).size() == 1", all_with(", ")))
        .message(format!("{wish}, exactly one of: {}", systems()).as_str())
}

/// At least one system. `wish` says what to do.
pub(super) fn at_least_one(wish: &str) -> Rule {
    Rule::new(all_with(" || ")).message(format!("{wish}, one of: {}", systems()).as_str())
}

/// The same system as before. `message` is said of another one.
pub(super) fn unchanged(message: &str) -> Rule {
    let each = SYSTEMS
        .iter()
        .map(|system| format!("has(self.{system}) == has(oldSelf.{system})"));
    Rule::new(each.collect::<Vec<_>>().join(" && ")).message(message)
}

fn all_with(separator: &str) -> String {
    let each = SYSTEMS.iter().map(|system| format!("has(self.{system})"));
    each.collect::<Vec<_>>().join(separator)
}

/// Whether the Secrets that a provider refers to state their namespace: a cluster-wide one has to, one
/// of a namespace must not.
pub(super) fn namespaces_of_secrets(cluster: bool) -> impl Iterator<Item = ValidationRule> {
    SECRETS.iter().map(move |path| {
        let mut known = "self".to_owned();
        let mut rule = String::new();
        for field in path.split('.') {
            known = format!("{known}.{field}");
            if !REQUIRED.contains(&field) {
                rule = format!("{rule}!has({known}) || ");
            }
        }
        let (not, message, reason) = if cluster {
            (
                "",
                "required in a ClusterCredentialProvider",
                Some("FieldValueRequired"),
            )
        } else {
            (
                "!",
                "not accepted in a CredentialProvider, which reads Secrets of its own namespace alone",
                None,
            )
        };
        ValidationRule {
            rule: format!("{rule}{not}has({known}.namespace)"),
            message: Some(message.to_owned()),
            field_path: Some(format!(".{path}.namespace")),
            reason: reason.map(str::to_owned),
            ..ValidationRule::default()
        }
    })
}
