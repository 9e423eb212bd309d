//! What a Secret that was read says: whose it is, what is in it, and whether it is whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::{OURS, Owner, SecretData, compare::deviation, write};
use crate::{
    api::annotations,
    plan::{Credential, Damage, Published, Target},
};

/// What the operator remembers of a Secret that it has written or found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The Secret's UID.
    pub uid: String,
    /// The resource version at which all this was so.
    pub resource_version: String,
    /// What is known about the credential in it.
    pub credential: Credential,
    /// Whether the provider could not prove it.
    pub unverified: bool,
    /// A digest of what the provider adds to the credential.
    pub layout: Option<String>,
    /// Whether the Secret has no owner reference, since it stays when the request goes.
    pub retained: bool,
    /// Whether the Secret has no owner reference because the operator may not set one.
    pub unowned: bool,
    /// Whether the request is the Secret's controlling owner, so that the Secret goes with it.
    pub controlled: bool,
    /// The parts of the Secret that no write can put right, in words; absent when there are none.
    pub deviation: Option<String>,
    /// The operator's keys.
    pub keys: Vec<String>,
    /// The digest of these keys and their values.
    pub content: String,
}

impl Known {
    /// The same for the plan.
    pub fn published(&self, damage: Damage) -> Published {
        Published {
            serial: self.credential.serial,
            issued_at: self.credential.issued_at,
            expires_at: self.credential.expires_at,
            asked: self.credential.asked.clone(),
            rotation: self.credential.rotation.clone(),
            leak: self.credential.leak.clone(),
            unverified: self.unverified,
            id: self.credential.id.clone(),
            owner: self.credential.owner.clone(),
            is_owned: self.controlled,
            deviation: self.deviation.clone(),
            damage,
        }
    }
}

/// What a Secret that was read says. `before` is what was known of it, and counts more than its
/// annotations: those are hints. `layout` is the digest of what the provider adds now, where that is
/// known. `recover` derives all of the operator's keys from what is left of them, where the
/// credential itself is whole.
pub fn classify(
    secret: &Secret,
    owner: &Owner,
    before: Option<&Known>,
    layout: Option<&Option<String>>,
    recover: impl Fn(&SecretData, &Credential) -> Vec<SecretData>,
) -> (Target, Option<Known>, Option<SecretData>) {
    if let Some(target) = whose(secret, owner, before) {
        return (target, None, None);
    }
    let remembered = before
        .filter(|before| secret.uid().as_deref() == Some(before.uid.as_str()))
        .cloned();
    let Some(mut known) = remembered.or_else(|| from_annotations(secret)) else {
        // Nothing tells what is in it: whatever it is, it cannot be trusted.
        let known = Known {
            uid: secret.uid().unwrap_or_default(),
            resource_version: secret.resource_version().unwrap_or_default(),
            credential: Credential {
                serial: 0,
                id: None,
                owner: None,
                issued_at: Timestamp::UNIX_EPOCH,
                expires_at: Some(Timestamp::UNIX_EPOCH),
                asked: String::new(),
                rotation: None,
                leak: None,
            },
            unverified: false,
            layout: None,
            retained: false,
            unowned: false,
            controlled: is_controlled_by(secret, owner),
            deviation: None,
            keys: Vec::new(),
            content: String::new(),
        };
        return (
            written(secret, known.published(Damage::Lost)),
            Some(known),
            None,
        );
    };
    known.resource_version = secret.resource_version().unwrap_or_default();
    known.deviation = deviation(secret, owner, known.unowned);
    let found = SecretData::select(secret.data.as_ref(), known.keys.iter().map(String::as_str));
    let whole = found.digest() == known.content;
    let laid_out = layout.is_none_or(|layout| *layout == known.layout);
    let controlled = is_controlled_by(secret, owner);
    known.controlled = controlled;
    let owned = if known.unowned && !owner.retain {
        !controlled
    } else {
        controlled != owner.retain && known.retained == owner.retain
    };
    let marked = write::annotations_of(owner, &known) == ours(secret) && has_labels(secret, owner);
    if whole && laid_out && owned && marked {
        let target = Target::Ours(known.published(Damage::None));
        return (target, Some(known), None);
    }
    let recovered = if whole && laid_out {
        Some(found)
    } else if whole {
        // The credential is as it was, and what stands around it has changed at the provider.
        recover(&found, &known.credential).into_iter().next()
    } else if owner.is_login {
        None
    } else {
        recover(&found, &known.credential)
            .into_iter()
            .find(|data| data.digest() == known.content)
    };
    let damage = match &recovered {
        Some(_) if whole => Damage::Metadata,
        Some(_) => Damage::Repairable,
        None => Damage::Lost,
    };
    (
        written(secret, known.published(damage)),
        Some(known),
        recovered,
    )
}

/// The annotations of a Secret, where the status knows an earlier expiry of the credential with that
/// serial. The cluster, or who may write Secrets, can change the annotation; an expired credential
/// must not look alive by it. Absent where the annotations say nothing later.
pub fn known_by_status(
    secret: &Secret,
    expires_at: impl Fn(u64) -> Option<Timestamp>,
) -> Option<Known> {
    let mut known = from_annotations(secret)?;
    let recorded = expires_at(known.credential.serial)?;
    let is_earlier = known.credential.expires_at.is_none_or(|at| recorded < at);
    is_earlier.then_some(())?;
    known.credential.expires_at = Some(recorded);
    Some(known)
}

/// The provider's id of the credential in a Secret that the operator has written for some request, or in
/// a copy of one, where it holds what was written.
pub fn held_id(secret: &Secret) -> Option<String> {
    let known = from_annotations(secret)?;
    let keys = known.keys.iter().map(String::as_str);
    let found = SecretData::select(secret.data.as_ref(), keys);
    known
        .credential
        .id
        .filter(|_| found.digest() == known.content)
}

/// A damaged Secret has to be written, which an immutable one cannot be.
fn written(secret: &Secret, published: Published) -> Target {
    if secret.immutable == Some(true) {
        Target::Immutable(published)
    } else {
        Target::Ours(published)
    }
}

/// Whose it is, where it is not simply the request's own.
fn whose(secret: &Secret, owner: &Owner, before: Option<&Known>) -> Option<Target> {
    let label = secret.labels().get(annotations::REQUEST_UID);
    let labelled = label == Some(&owner.uid);
    let controlled = is_controlled_by(secret, owner);
    // A cluster's policy may strip the label while the Secret is written. Without an owner reference
    // only this run knows that it wrote the Secret: an earlier request of the name may have left it.
    let written = before.is_some_and(|before| secret.uid().as_ref() == Some(&before.uid));
    let unlabelled = label.is_none() && is_of_request(secret, owner);
    let ours = (labelled && (controlled || is_retained(secret)))
        || (unlabelled && (controlled || (written && is_retained(secret))));
    if secret.metadata.deletion_timestamp.is_some() {
        return Some(Target::Terminating);
    }
    if ours {
        return None;
    }
    let name = secret.name_any();
    let controller = secret
        .owner_references()
        .iter()
        .find(|reference| reference.controller == Some(true));
    let Some(controller) = controller else {
        let may_adopt = secret.annotations().get(annotations::ADOPT_BY) == Some(&owner.name);
        return Some(match (may_adopt, secret.immutable) {
            (true, Some(true)) => Target::Foreign(format!(
                "Secret {name} may be taken over but is marked immutable; delete it, then it is created anew"
            )),
            (true, _) => Target::Adoptable,
            (false, _) => Target::Foreign(format!(
                "Secret {name} exists and does not belong to this request; choose another spec.secret.name, delete the Secret, \
                 or let the request take it over: kubectl annotate secret {name} -n {} {}={}",
                owner.namespace,
                annotations::ADOPT_BY,
                owner.name
            )),
        });
    };
    if controller.uid == owner.uid {
        return Some(Target::Foreign(format!(
            "Secret {name} names this request as its owner but lacks the label {}; it was not made by the operator. \
             Delete it, or set the label to {}",
            annotations::REQUEST_UID,
            owner.uid
        )));
    }
    let same_kind = controller.kind == "CredentialRequest";
    Some(Target::Foreign(
        if same_kind && controller.name == owner.name {
            format!(
                "Secret {name} belongs to an earlier CredentialRequest of this name and goes away with it; nothing to do"
            )
        } else {
            format!(
                "Secret {name} belongs to {} {}; choose another spec.secret.name",
                controller.kind, controller.name
            )
        },
    ))
}

/// Whether the operator's annotations say that the Secret was written for this request, and its data
/// is what was written.
fn is_of_request(secret: &Secret, owner: &Owner) -> bool {
    let named = secret.annotations().get(annotations::REQUEST) == Some(&owner.name);
    let whole = from_annotations(secret).is_some_and(|known| {
        let keys = known.keys.iter().map(String::as_str);
        SecretData::select(secret.data.as_ref(), keys).digest() == known.content
    });
    named && whole
}

pub(super) fn is_controlled_by(secret: &Secret, owner: &Owner) -> bool {
    secret
        .owner_references()
        .iter()
        .any(|reference| reference.controller == Some(true) && reference.uid == owner.uid)
}

/// Whether a Secret stays when its request goes: then it has no owner, and says so.
fn is_retained(secret: &Secret) -> bool {
    let said = secret.annotations().get(annotations::RETAINED);
    let mut owners = secret.owner_references().iter();
    said.is_some_and(|said| said == "true" || said == write::WITHOUT_OWNER)
        && owners.all(|reference| reference.controller != Some(true))
}

fn ours(secret: &Secret) -> BTreeMap<String, String> {
    secret
        .annotations()
        .iter()
        .filter(|(key, _)| OURS.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn has_labels(secret: &Secret, owner: &Owner) -> bool {
    write::labels_of(owner)
        .iter()
        .all(|(key, value)| secret.labels().get(key) == Some(value))
}

/// Nobody has counted that far; from the last number there is, nobody could count on.
fn is_plausible(serial: &u64) -> bool {
    *serial < 1 << 53
}

/// What the annotations say, where nothing better is known: after a restart.
fn from_annotations(secret: &Secret) -> Option<Known> {
    let get = |key: &str| secret.annotations().get(key);
    let expires_at = match get(annotations::EXPIRES_AT) {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    Some(Known {
        uid: secret.uid()?,
        resource_version: secret.resource_version()?,
        credential: Credential {
            serial: get(annotations::SERIAL)?
                .parse()
                .ok()
                .filter(is_plausible)?,
            id: get(annotations::CREDENTIAL_ID).cloned(),
            owner: get(annotations::OWNER).cloned(),
            issued_at: get(annotations::ISSUED_AT)?.parse().ok()?,
            expires_at,
            asked: get(annotations::ASKED)?.clone(),
            rotation: get(annotations::ROTATION).cloned(),
            leak: get(annotations::LEAK).cloned(),
        },
        unverified: get(annotations::UNVERIFIED).is_some_and(|value| value == "true"),
        layout: get(annotations::LAYOUT).cloned(),
        retained: get(annotations::RETAINED).is_some_and(|value| value == "true"),
        unowned: get(annotations::RETAINED).is_some_and(|value| value == write::WITHOUT_OWNER),
        // Known to the caller.
        controlled: false,
        deviation: None,
        keys: get(annotations::KEYS)?
            .split(',')
            .map(str::to_owned)
            .collect(),
        content: get(annotations::CONTENT)?.clone(),
    })
}
