//! References to Secrets, which every system's provider has: to the login, and to the authority.

use serde_json::{Value, json};

use super::{Row, row, with, without};

/// The same provider for one namespace. `login` is the path to its login's reference, within the system.
pub fn local(mut provider: Value, system: &str, login: &str) -> Value {
    provider["kind"] = json!("CredentialProvider");
    for reference in [login, CA] {
        provider = without(provider, &namespace(system, reference));
    }
    let grant = provider["spec"]["allow"][0].as_object_mut();
    grant.expect("a grant").remove("namespaces");
    provider
}

/// What is refused of them, in a good ClusterCredentialProvider and in the CredentialProvider like it.
pub fn rows(provider: &Value, system: &str, login: &str) -> Vec<Row> {
    let local = local(provider.clone(), system, login);
    let mut rows = Vec::new();
    for (name, reference) in [("login Secret", login), ("CA", CA)] {
        let path = namespace(system, reference);
        let field = format!("{}: ", path.replace('/', "."));
        rows.push(row(
            &format!("a {name} without a namespace"),
            without(provider.clone(), &path),
            &[&field, "required in a ClusterCredentialProvider"],
        ));
        rows.push(row(
            &format!("a {name} of another namespace"),
            with(local.clone(), &path, json!("other")),
            &[
                &field,
                "not accepted in a CredentialProvider, which reads Secrets of its own namespace alone",
            ],
        ));
    }
    rows
}

const CA: &str = "tls/caBundleSecretRef";

fn namespace(system: &str, reference: &str) -> String {
    format!("spec/{system}/{reference}/namespace")
}
