//! Objects of ours in YAML blocks and examples: the types know every field, and what the operator
//! reads from them is valid.

use std::{collections::BTreeSet, fs};

use credential_operator::{
    api::{
        ClusterCredentialProvider, CredentialProvider, CredentialRequest, ProviderSpec, validate,
    },
    providers::{Ask, System},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::markdown::{documents, files, root};

/// Reads an object, and fails for every field that is lost on the way.
fn read<K: DeserializeOwned + Serialize>(object: &Value) -> K {
    let typed: K = serde_json::from_value(object.clone())
        .unwrap_or_else(|error| panic!("{error} in {object}"));
    let mut again = serde_json::to_value(&typed).unwrap();
    for part in ["apiVersion", "kind"] {
        again[part] = object[part].clone();
    }
    nothing_is_lost(object, &again, "");
    typed
}

fn nothing_is_lost(before: &Value, after: &Value, at: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let at = format!("{at}.{key}");
                nothing_is_lost(
                    value,
                    after
                        .get(key)
                        .unwrap_or_else(|| panic!("there is no field {at}")),
                    &at,
                );
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{at}");
            for (number, (before, after)) in before.iter().zip(after).enumerate() {
                nothing_is_lost(before, after, &format!("{at}[{number}]"));
            }
        }
        (before, after) => assert_eq!(before, after, "{at}"),
    }
}

fn check_request(object: &Value) {
    let request: CredentialRequest = read(object);
    Ask::read(&request.spec).unwrap();
    let name = request.metadata.name.as_deref().expect("metadata.name");
    validate::secret_name(
        "spec.secret.name",
        &validate::target_name(&request.spec, name),
    )
    .unwrap();
    let renewal = request.spec.renewal.unwrap_or_default();
    for duration in [
        renewal.renew_before,
        renewal.rotate_every,
        renewal.overlap,
        renewal.verify_every,
    ] {
        validate::duration("spec.renewal", duration.as_ref()).unwrap();
    }
}

fn check_provider(object: &Value) {
    let is_cluster = object["kind"] == "ClusterCredentialProvider";
    let spec: ProviderSpec = if is_cluster {
        read::<ClusterCredentialProvider>(object).spec.into()
    } else {
        read::<CredentialProvider>(object).spec.into()
    };
    let (_, reach) = System::read(&spec).unwrap();
    assert_eq!(
        reach.login.namespace.is_some(),
        is_cluster,
        "the namespace of the login"
    );
    assert!(
        reach
            .ca
            .is_none_or(|ca| ca.namespace.is_some() == is_cluster),
        "the namespace of the certificates"
    );
    assert!(
        spec.allow
            .iter()
            .all(|grant| grant.namespaces.is_some() == is_cluster),
        "the namespaces of a grant"
    );
}

#[test]
fn every_object_of_ours_in_a_document_or_example_is_valid() {
    let examples = files(".yaml")
        .into_iter()
        .filter(|path| path.starts_with(root().join("docs")));
    let mut texts: Vec<(String, String)> = examples
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(path).unwrap(),
            )
        })
        .collect();
    for document in documents() {
        let yaml = document
            .blocks
            .iter()
            .filter(|(language, _)| language == "yaml");
        texts.extend(yaml.map(|(_, text)| (document.name(), text.clone())));
    }
    let mut kinds = BTreeSet::new();
    for (place, text) in texts {
        for part in text.split("\n---\n") {
            let object: Value = serde_saphyr::from_str(part)
                .unwrap_or_else(|error| panic!("{place}: {error}\n{part}"));
            if !object["apiVersion"]
                .as_str()
                .unwrap_or_default()
                .starts_with("credential-operator.dev")
            {
                continue;
            }
            eprintln!("{place}: {} {}", object["kind"], object["metadata"]["name"]);
            assert_eq!(object["apiVersion"], "credential-operator.dev/v1alpha1");
            match object["kind"].as_str().unwrap() {
                "CredentialRequest" => check_request(&object),
                "ClusterCredentialProvider" | "CredentialProvider" => check_provider(&object),
                other => panic!("there is no kind {other}"),
            }
            kinds.insert((
                place.ends_with(".md"),
                object["kind"].as_str().unwrap().to_owned(),
            ));
        }
    }
    for (in_text, kind) in [true, false]
        .into_iter()
        .zip(["CredentialRequest", "ClusterCredentialProvider"])
    {
        assert!(
            kinds.contains(&(in_text, kind.to_owned())),
            "nothing was checked: {kinds:?}"
        );
    }
}
