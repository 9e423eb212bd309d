//! The answer to a write beside what was sent: admission webhooks and policies may change an object
//! while it is stored.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::{Owner, SecretData, Write, read::is_controlled_by, write};

/// The differences between what was sent and what was stored. Additions by others are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// The keys of `data` whose values are missing or others.
    pub data: Vec<String>,
    /// The fields of `metadata` that are missing or others, such as `metadata.labels[a/b]`.
    pub metadata: Vec<String>,
}

/// Compares what was stored with what was sent.
pub fn compare(write: &Write<'_>, stored: &Secret) -> Differences {
    let keys: Vec<&str> = write.data.keys().collect();
    let found = SecretData::select(stored.data.as_ref(), keys.iter().copied());
    let data = keys
        .into_iter()
        .filter(|key| found.get(key) != write.data.get(key))
        .map(str::to_owned)
        .collect();
    let labels = write::labels_of(write.owner)
        .into_iter()
        .filter(|(key, value)| stored.labels().get(key) != Some(value))
        .map(|(key, _)| format!("metadata.labels[{key}]"));
    let annotations = write
        .annotations()
        .into_iter()
        .filter(|(key, value)| stored.annotations().get(key) != Some(value))
        .map(|(key, _)| format!("metadata.annotations[{key}]"));
    let owner = has_wrong_owner(write, stored).then(|| "metadata.ownerReferences".to_owned());
    Differences {
        data,
        metadata: labels.chain(annotations).chain(owner).collect(),
    }
}

fn has_wrong_owner(write: &Write<'_>, stored: &Secret) -> bool {
    let wanted = write.has_owner_reference();
    is_controlled_by(stored, write.owner) != wanted
}

/// The parts of a Secret that its request does not choose and that cannot be written: its type, and
/// that it is immutable. In words, for people; absent where there is nothing to say.
pub(super) fn deviation(secret: &Secret, owner: &Owner, is_unowned: bool) -> Option<String> {
    let type_ = secret.type_.as_deref().filter(|it| *it != "Opaque");
    let mut words = Vec::new();
    if let Some(type_) = type_ {
        let type_: String = type_.chars().take(100).collect();
        words.push(format!("is of type {type_} and not Opaque"));
    }
    if secret.immutable == Some(true) {
        words.push("is marked immutable, so it has to be deleted before it can be renewed".into());
    }
    if is_unowned && !owner.retain {
        words.push(
            "has no owner reference, because the operator may not delete Secrets and the API server's admission plug-in \
             OwnerReferencesPermissionEnforcement asks for that; so it stays when the request is deleted"
                .into(),
        );
    }
    (!words.is_empty()).then(|| format!("the Secret {}", words.join("; it ")))
}
