//! What is written to a Secret: a POST to create it, then merge patches that carry the UID and the
//! resource version that were read, so that a write upon something else than what was seen fails.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use super::{Known, OURS, Owner, SecretData, compare::deviation, read::is_controlled_by};
use crate::{
    api::{self, annotations},
    plan::Credential,
};

/// The value of the annotation `retained` of a Secret whose owner reference the API server refused.
pub(super) const WITHOUT_OWNER: &str = "without-owner";

/// The content of a write.
#[derive(Clone, Debug)]
pub struct Write<'a> {
    /// Whose Secret it is.
    pub owner: &'a Owner,
    /// What is known about the credential.
    pub credential: &'a Credential,
    /// Whether the provider could not prove it.
    pub unverified: bool,
    /// A digest of what the provider adds to the credential.
    pub layout: Option<&'a str>,
    /// The operator's keys.
    pub data: &'a SecretData,
    /// Whether the Secret does without an owner reference because the operator may not set one.
    pub unowned: bool,
}

impl Write<'_> {
    /// The facts about the Secret after this write was accepted and `stored`.
    pub fn known(&self, stored: &Secret) -> Known {
        Known {
            uid: stored.uid().unwrap_or_default(),
            resource_version: stored.resource_version().unwrap_or_default(),
            deviation: deviation(stored, self.owner, self.unowned),
            unowned: self.unowned,
            controlled: is_controlled_by(stored, self.owner),
            credential: self.credential.clone(),
            unverified: self.unverified,
            layout: self.layout.map(str::to_owned),
            retained: self.owner.retain,
            keys: self.data.keys().map(str::to_owned).collect(),
            content: self.data.digest(),
        }
    }

    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        annotations_of(self.owner, &self.known(&Secret::default()))
    }

    /// Whether the request is to be the owner of the Secret.
    pub fn has_owner_reference(&self) -> bool {
        !self.owner.retain && !self.unowned
    }
}

/// The data of a dry run, under the keys that were written before. No value of a credential is in it.
pub fn placeholder(keys: &[String]) -> SecretData {
    let keys = keys.iter().map(String::as_str);
    let data = SecretData::default().with("dry-run", "dry run");
    keys.fold(data, |data, key| data.with(key, "dry run"))
}

/// A Secret to create.
pub fn create(write: &Write<'_>) -> Secret {
    let data = write
        .data
        .iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value.to_vec())))
        .collect();
    Secret {
        metadata: kube::core::ObjectMeta {
            name: Some(write.owner.secret_name.clone()),
            namespace: Some(write.owner.namespace.clone()),
            labels: Some(labels_of(write.owner)),
            annotations: Some(write.annotations()),
            owner_references: write
                .has_owner_reference()
                .then(|| serde_json::from_value(json!([owner_reference(write.owner)])).ok())
                .flatten(),
            ..Default::default()
        },
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Default::default()
    }
}

/// The patch that replaces the credential in a Secret that is known.
pub fn publish(write: &Write<'_>, known: &Known) -> Value {
    content(
        write,
        &known.keys,
        &known.uid,
        &known.resource_version,
        None,
    )
}

/// The patch that writes the operator's part of a Secret again. `secret` is what was read.
pub fn repair(write: &Write<'_>, secret: &Secret, known: &Known) -> Value {
    let (uid, version) = identity(secret);
    let owners = owners(write, secret);
    let same = owners.len() == secret.owner_references().len();
    content(
        write,
        &known.keys,
        &uid,
        &version,
        (!same).then_some(owners),
    )
}

/// The patch that takes over a Secret whose owner consents. `secret` is what was read.
pub fn adopt(write: &Write<'_>, secret: &Secret) -> Value {
    let (uid, version) = identity(secret);
    content(write, &[], &uid, &version, Some(owners(write, secret)))
}

/// The owners of a Secret with the request among them, or without it where the Secret is to outlive
/// it. A merge patch replaces lists, so the others that are there come along.
fn owners(write: &Write<'_>, secret: &Secret) -> Vec<Value> {
    let own = write
        .has_owner_reference()
        .then(|| owner_reference(write.owner));
    secret
        .owner_references()
        .iter()
        .filter(|reference| reference.uid != write.owner.uid)
        .filter_map(|reference| serde_json::to_value(reference).ok())
        .chain(own)
        .collect()
}

fn identity(secret: &Secret) -> (String, String) {
    (
        secret.uid().unwrap_or_default(),
        secret.resource_version().unwrap_or_default(),
    )
}

/// A merge patch of the operator's part. `before` are the keys that it wrote last; the UID and the
/// resource version make the API server refuse the patch upon anything else than what was seen.
fn content(
    write: &Write<'_>,
    before: &[String],
    uid: &str,
    resource_version: &str,
    owners: Option<Vec<Value>>,
) -> Value {
    let dropped = before.iter().map(|key| (key.clone(), Value::Null));
    let written = write
        .data
        .iter()
        .map(|(key, value)| (key.to_owned(), json!(BASE64_STANDARD.encode(value))));
    let data: Map<String, Value> = dropped.chain(written).collect();
    let outdated = OURS.iter().map(|key| ((*key).to_owned(), Value::Null));
    let current = write
        .annotations()
        .into_iter()
        .map(|(key, value)| (key, json!(value)));
    let annotations: Map<String, Value> = outdated.chain(current).collect();
    let mut metadata = Map::from_iter([
        ("uid".to_owned(), json!(uid)),
        ("resourceVersion".to_owned(), json!(resource_version)),
        ("labels".to_owned(), json!(labels_of(write.owner))),
        ("annotations".to_owned(), Value::Object(annotations)),
    ]);
    if let Some(owners) = owners {
        metadata.insert("ownerReferences".to_owned(), Value::Array(owners));
    }
    json!({"metadata": metadata, "data": data})
}

/// The labels of a published Secret.
pub(super) fn labels_of(owner: &Owner) -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            annotations::MANAGED_BY.0.to_owned(),
            annotations::MANAGED_BY.1.to_owned(),
        ),
        (annotations::REQUEST_UID.to_owned(), owner.uid.clone()),
    ])
}

/// The annotations of a published Secret.
pub(super) fn annotations_of(owner: &Owner, known: &Known) -> BTreeMap<String, String> {
    let credential = &known.credential;
    let mut notes = BTreeMap::from([
        (annotations::REQUEST, owner.name.clone()),
        (annotations::SERIAL, credential.serial.to_string()),
        (annotations::PROVIDER, owner.provider.clone()),
        (annotations::CREDENTIAL, owner.credential.clone()),
        (annotations::ISSUED_AT, credential.issued_at.to_string()),
        (annotations::ASKED, credential.asked.clone()),
        (annotations::KEYS, known.keys.join(",")),
        (annotations::CONTENT, known.content.clone()),
    ]);
    let optional = [
        (annotations::CREDENTIAL_ID, credential.id.clone()),
        (annotations::ROTATION, credential.rotation.clone()),
        (annotations::LEAK, credential.leak.clone()),
        (annotations::LAYOUT, known.layout.clone()),
        (
            annotations::RETAINED,
            match (known.retained, known.unowned) {
                (true, _) => Some("true".to_owned()),
                (false, true) => Some(WITHOUT_OWNER.to_owned()),
                (false, false) => None,
            },
        ),
        (annotations::OWNER, credential.owner.clone()),
        (
            annotations::EXPIRES_AT,
            credential.expires_at.map(|at| at.to_string()),
        ),
        (
            annotations::UNVERIFIED,
            known.unverified.then(|| "true".to_owned()),
        ),
    ];
    notes.extend(
        optional
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    notes
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn owner_reference(owner: &Owner) -> Value {
    json!({
        "apiVersion": format!("{}/{}", api::GROUP, api::VERSION),
        "kind": "CredentialRequest",
        "name": owner.name,
        "uid": owner.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}
