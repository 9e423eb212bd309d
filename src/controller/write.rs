//! Writes of the Secret. Each one fails where the Secret is not what was seen, and each answer is
//! compared with what was sent.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::Value;

use super::{
    error::PassError,
    key::SecretKey,
    observe::Pass,
    refused::{self, MUTATORS},
};
use crate::{
    api::{FIELD_MANAGER, Reason},
    clock,
    plan::{Access, Credential, Damage, Gate, Proof, Target},
    providers::{Ask, http::failed},
    secret::{self, Differences, SecretData, Write},
};

/// Puts the credential in hand into the Secret.
///
/// # Errors
/// When the namespace is being deleted. A write that the API server refuses is observed.
pub(super) async fn publish(pass: &mut Pass) -> Result<(), PassError> {
    let Some(in_hand) = pass.seen.in_hand.clone() else {
        return Ok(());
    };
    // Its proof was the last call; others may go ahead while the Secret is written.
    pass.permit = None;
    let (owner, layout) = (pass.owner.clone(), layout(pass));
    let mut write = Write {
        owner: &owner,
        credential: &in_hand.credential,
        unverified: in_hand.proof == Proof::Impossible,
        layout: layout.as_deref(),
        data: &in_hand.data,
        unowned: is_unowned(pass),
    };
    let Some(stored) = send(pass, &mut write, false).await? else {
        return Ok(());
    };
    let known = write.known(&stored);
    let differences = secret::compare(&write, &stored);
    pass.secret = None;
    pass.known = Some(known.clone());
    let is_changed = !differences.data.is_empty();
    pass.context.memory.with(&pass.key, |remembered| {
        if !is_changed {
            remembered.in_hand = None;
        }
        remembered.must_look = differences != Differences::default();
        remembered.known = Some(known.clone());
    });
    if is_changed {
        // The credential stays in hand, so that the next attempt issues no other one.
        pass.seen.target = Target::Ours(known.published(Damage::Lost));
        pass.seen.looked = true;
    } else {
        pass.context
            .metrics
            .published(&pass.provider.to_string(), clock::now());
        let damage = damage(&differences);
        pass.seen.publish(known.published(damage));
    }
    note(pass, &differences);
    pass.remember();
    if !is_changed {
        have_login_follow(pass);
    }
    Ok(())
}

/// Asks the API server whether it would store a credential, without storing one. The dry run holds no
/// value of a credential.
///
/// # Errors
/// When the namespace is being deleted.
pub(super) async fn try_write(pass: &mut Pass) -> Result<(), PassError> {
    let now = clock::now();
    let credential = Credential {
        serial: pass.seen.next_serial(),
        id: None,
        owner: None,
        issued_at: now,
        expires_at: None,
        asked: pass.ask.as_ref().map(Ask::digest).unwrap_or_default(),
        rotation: None,
        leak: None,
    };
    let keys = pass.known.as_ref().map(|known| known.keys.clone());
    let data = secret::placeholder(&keys.unwrap_or_default());
    let owner = pass.owner.clone();
    let mut write = Write {
        owner: &owner,
        credential: &credential,
        unverified: false,
        layout: None,
        data: &data,
        unowned: is_unowned(pass),
    };
    let Some(stored) = send(pass, &mut write, true).await? else {
        return Ok(());
    };
    let differences = secret::compare(&write, &stored);
    if differences.data.is_empty() {
        pass.seen.write_accepted();
    } else {
        note(pass, &differences);
    }
    Ok(())
}

/// Sends a write: creates the Secret, takes it over, or patches it, by what was seen. `None` where
/// nothing was written; why not was observed.
async fn send(
    pass: &mut Pass,
    write: &mut Write<'_>,
    dry_run: bool,
) -> Result<Option<Secret>, PassError> {
    let body = match (&pass.seen.target, &pass.known, &pass.secret) {
        (Target::Unseen | Target::Absent, ..) => return create(pass, write, dry_run).await,
        (Target::Adoptable, _, Some(secret)) => secret::adopt(write, secret),
        (_, Some(known), Some(secret)) => secret::repair(write, secret, known),
        (_, Some(known), None) => secret::publish(write, known),
        _ => return Ok(None),
    };
    match patch(pass, &body, dry_run).await {
        // Without the right to delete Secrets the operator may not own them: the Secret goes
        // without an owner reference, as with the policy `Retain`.
        Err(error) if write.has_owner_reference() && refused::lacks_delete(&error) => {
            write.unowned = true;
            let body = match (&pass.seen.target, &pass.known, &pass.secret) {
                (Target::Adoptable, _, Some(secret)) => secret::adopt(write, secret),
                (_, Some(known), Some(secret)) => secret::repair(write, secret, known),
                _ => return refuse(pass, error, write.data),
            };
            let stored = patch(pass, &body, dry_run).await;
            taken(pass, stored, write.data, dry_run).await
        }
        stored => taken(pass, stored, write.data, dry_run).await,
    }
}

/// Whether the Secret does without an owner reference, since the API server refused one before.
fn is_unowned(pass: &Pass) -> bool {
    pass.known.as_ref().is_some_and(|known| known.unowned)
}

fn damage(differences: &Differences) -> Damage {
    match (differences.data.is_empty(), differences.metadata.is_empty()) {
        (true, true) => Damage::None,
        (true, false) => Damage::Metadata,
        (false, _) => Damage::Lost,
    }
}

/// Notes the differences between what was sent and what was stored, or that there are none.
fn note(pass: &mut Pass, differences: &Differences) {
    let secret = &pass.owner.secret_name;
    let failure = if !differences.data.is_empty() {
        let keys = differences.data.join(", ");
        failed(
            Reason::TargetContested,
            format!(
                "the cluster changes data of Secret {secret} while it is written: the value of {keys} is not what the operator \
                 sent; a webhook or policy may do that, see: {MUTATORS}"
            ),
        )
    } else if !differences.metadata.is_empty() {
        let fields = differences.metadata.join(", ");
        failed(
            Reason::TargetAltered,
            format!(
                "the cluster changes Secret {secret} while it is written: {fields} is not what the operator sent; the credential \
                 in it is whole; a webhook or policy may do that, see: {MUTATORS}"
            ),
        )
    } else {
        return pass.seen.write_succeeded();
    };
    pass.fail_to_write(failure);
}

/// Where the provider itself logs in with what was just published, the old one is left alone until a login
/// with the new one has worked.
fn have_login_follow(pass: &mut Pass) {
    let secret = SecretKey {
        namespace: pass.key.namespace.clone(),
        name: pass.owner.secret_name.clone(),
    };
    let Some(link) = pass.link.as_ref().filter(|link| link.reads(&secret)) else {
        return;
    };
    link.follow();
    pass.context.wakes.provider(&pass.provider);
    pass.seen.gate = Gate::Checking;
    pass.seen.access = Access::Checking;
}

/// The digest of what the provider adds to each Secret now.
fn layout(pass: &Pass) -> Option<String> {
    pass.link.as_ref()?.layout()?.1.clone()
}

/// Writes the operator's part of the Secret again.
///
/// # Errors
/// When the namespace is being deleted. A write that the API server refuses is observed.
pub(super) async fn repair(pass: &mut Pass) -> Result<(), PassError> {
    let (Some(known), Some(_), Some(data)) = (&pass.known, &pass.secret, &pass.recovered) else {
        // The Secret was written in this pass, and not read since.
        pass.look().await;
        return Ok(());
    };
    let (known, data, owner) = (known.clone(), data.clone(), pass.owner.clone());
    // Where it is not known what the provider adds now, what was added before stays.
    let layout = match &pass.link {
        Some(link) => link
            .layout()
            .map_or_else(|| known.layout.clone(), |now| now.1.clone()),
        None => known.layout.clone(),
    };
    let mut write = Write {
        owner: &owner,
        credential: &known.credential,
        unverified: known.unverified,
        layout: layout.as_deref(),
        data: &data,
        unowned: known.unowned,
    };
    let Some(stored) = send(pass, &mut write, false).await? else {
        return Ok(());
    };
    let known = write.known(&stored);
    let differences = secret::compare(&write, &stored);
    pass.secret = None;
    pass.seen.target = Target::Ours(known.published(damage(&differences)));
    pass.seen.done.repaired = differences == Differences::default();
    pass.context.memory.with(&pass.key, |remembered| {
        remembered.repaired(clock::now());
        remembered.must_look = differences != Differences::default();
        remembered.known = Some(known.clone());
    });
    pass.known = Some(known);
    note(pass, &differences);
    pass.remember();
    Ok(())
}

/// Creates the Secret. Where there is one already, that is what was observed.
async fn create(
    pass: &mut Pass,
    write: &Write<'_>,
    dry_run: bool,
) -> Result<Option<Secret>, PassError> {
    let params = PostParams {
        dry_run,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    };
    let stored = secrets(pass).create(&params, &secret::create(write)).await;
    taken(pass, stored, write.data, dry_run).await
}

async fn patch(pass: &Pass, body: &Value, dry_run: bool) -> Result<Secret, kube::Error> {
    let params = PatchParams {
        dry_run,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    secrets(pass)
        .patch(&pass.owner.secret_name, &params, &Patch::Merge(body))
        .await
}

/// Takes the answer to a write. `None` where nothing was written: another Secret was met, and read,
/// or the refusal was noted.
async fn taken(
    pass: &mut Pass,
    stored: Result<Secret, kube::Error>,
    data: &SecretData,
    dry_run: bool,
) -> Result<Option<Secret>, PassError> {
    let error = match stored {
        Ok(stored) => return Ok(Some(stored)),
        Err(error) => error,
    };
    if dry_run && refused::lacks_dry_run(&error) {
        // The API server cannot tell: the write itself does.
        pass.seen.write_accepted();
        return Ok(None);
    }
    match &error {
        kube::Error::Api(status)
            if matches!(status.code, 404 | 409) && !refused::is_by_admission(status) =>
        {
            let before = pass.secret_version();
            if !pass.look().await {
                // Nothing is known of the Secret any more, so the next step is to read it.
                pass.seen.target = Target::Unknown;
                pass.context
                    .memory
                    .with(&pass.key, |remembered| remembered.must_look = true);
                return Ok(None);
            }
            let has_changed = pass.secret_version() != before;
            if pass.seen.met_conflict(has_changed) {
                return Ok(None);
            }
        }
        kube::Error::Api(status) if status.code == 422 && pass.find_immutable().await => {
            return Ok(None);
        }
        _ => {}
    }
    refuse(pass, error, data)
}

/// Notes that the API server refused a write of the Secret.
fn refuse(
    pass: &mut Pass,
    error: kube::Error,
    data: &SecretData,
) -> Result<Option<Secret>, PassError> {
    let error = match PassError::from(error) {
        PassError::NamespaceTerminating => return Err(PassError::NamespaceTerminating),
        PassError::Conflict => {
            pass.fail_to_write(failed(
                Reason::SecretRefused,
                format!(
                    "the API server refused to write Secret {}: 409 Conflict, although the Secret has not changed",
                    pass.owner.secret_name
                ),
            ));
            return Ok(None);
        }
        PassError::Api(error) => error,
        other => return Err(other),
    };
    let object = format!("Secret {}", pass.owner.secret_name);
    // The text may hold a value that the Secret had before.
    let stored = pass.secret.as_ref().and_then(|secret| secret.data.as_ref());
    let keys = stored.into_iter().flatten().map(|(key, _)| key.as_str());
    let before = SecretData::select(stored, keys);
    let is_unread = stored.is_none() && pass.known.is_some();
    let hides = |text: &str| {
        let is_about_rights = text.contains(" cannot ");
        data.appears_in(text) || before.appears_in(text) || (is_unread && !is_about_rights)
    };
    let failure = refused::failure(Reason::SecretRefused, "write", &object, &error, hides);
    pass.fail_to_write(failure);
    Ok(None)
}

fn secrets(pass: &Pass) -> Api<Secret> {
    Api::namespaced(pass.context.client.clone(), &pass.key.namespace)
}
