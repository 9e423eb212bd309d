//! Writes of the Secret, each of which fails where the Secret is not what was seen.

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::Value;

use super::{error::PassError, key::SecretKey, observe::Pass};
use crate::{
    api::{FIELD_MANAGER, Reason},
    clock,
    plan::{Access, Credential, Damage, Gate, Proof, Published, Target},
    providers::http::failed,
    secret::{self, SecretData, Write},
};

/// Puts the credential in hand into the Secret.
pub(super) async fn publish(pass: &mut Pass) -> Result<(), PassError> {
    let Some(in_hand) = pass.seen.in_hand.clone() else {
        return Ok(());
    };
    // Its proof was the last call; others may go ahead while the Secret is written.
    pass.permit = None;
    let owner = pass.owner.clone();
    let layout = layout(pass);
    let write = Write {
        owner: &owner,
        credential: &in_hand.credential,
        unverified: in_hand.proof == Proof::Impossible,
        layout: layout.as_deref(),
        data: &in_hand.data,
    };
    let written = match (&pass.seen.target, &pass.known, &pass.secret) {
        (Target::Unseen | Target::Absent, ..) => create(pass, &write).await?,
        (Target::Adoptable, _, Some(secret)) => {
            patch(pass, &secret::adopt(&write, secret), &in_hand.data).await?
        }
        (_, Some(known), Some(secret)) => {
            patch(pass, &secret::repair(&write, secret, known), &in_hand.data).await?
        }
        (_, Some(known), None) => {
            patch(pass, &secret::publish(&write, known), &in_hand.data).await?
        }
        _ => None,
    };
    let Some(secret) = written else { return Ok(()) };
    let known = write.known(
        secret.uid().unwrap_or_default(),
        secret.resource_version().unwrap_or_default(),
    );
    let published = published(&in_hand.credential, write.unverified);
    pass.secret = None;
    pass.known = Some(known.clone());
    pass.context.memory.with(&pass.key, |remembered| {
        remembered.in_hand = None;
        remembered.must_look = false;
        remembered.known = Some(known);
    });
    pass.context
        .metrics
        .published(&pass.provider.to_string(), clock::now());
    pass.seen.publish(published);
    pass.remember();
    have_login_follow(pass);
    Ok(())
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

fn published(credential: &Credential, unverified: bool) -> Published {
    Published {
        serial: credential.serial,
        issued_at: credential.issued_at,
        expires_at: credential.expires_at,
        asked: credential.asked.clone(),
        rotation: credential.rotation.clone(),
        leak: credential.leak.clone(),
        unverified,
        id: credential.id.clone(),
        owner: credential.owner.clone(),
        damage: Damage::None,
    }
}

/// Writes the operator's part of the Secret again.
pub(super) async fn repair(pass: &mut Pass) -> Result<(), PassError> {
    let (Some(known), Some(secret), Some(data)) = (&pass.known, &pass.secret, &pass.recovered)
    else {
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
    let write = Write {
        owner: &owner,
        credential: &known.credential,
        unverified: known.unverified,
        layout: layout.as_deref(),
        data: &data,
    };
    let body = secret::repair(&write, secret, &known);
    let Some(secret) = patch(pass, &body, &data).await? else {
        return Ok(());
    };
    let known = write.known(
        secret.uid().unwrap_or_default(),
        secret.resource_version().unwrap_or_default(),
    );
    pass.secret = None;
    pass.seen.target = Target::Ours(published(&known.credential, known.unverified));
    pass.seen.done.repaired = true;
    pass.context
        .memory
        .with(&pass.key, |remembered| remembered.repaired(clock::now()));
    pass.known = Some(known.clone());
    pass.remember_target(Some(known));
    Ok(())
}

/// Creates the Secret. Where there is one already, that is what was observed.
async fn create(pass: &mut Pass, write: &Write<'_>) -> Result<Option<Secret>, PassError> {
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match secrets(pass).create(&params, &secret::create(write)).await {
        Ok(secret) => Ok(Some(secret)),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            pass.look().await?;
            Ok(None)
        }
        Err(error) => refused(pass, error, write.data),
    }
}

async fn patch(
    pass: &mut Pass,
    body: &Value,
    data: &SecretData,
) -> Result<Option<Secret>, PassError> {
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = pass.owner.secret_name.clone();
    match secrets(pass)
        .patch(&name, &params, &Patch::Merge(body))
        .await
    {
        Ok(secret) => Ok(Some(secret)),
        // It is gone, or another one: look, and let the plan decide.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
            pass.look().await?;
            Ok(None)
        }
        Err(kube::Error::Api(status)) if status.code == 422 && pass.find_immutable().await? => {
            Ok(None)
        }
        Err(error) => refused(pass, error, data),
    }
}

/// The API server said no for a reason that somebody should read about, rather than failing.
fn refused(
    pass: &mut Pass,
    error: kube::Error,
    data: &SecretData,
) -> Result<Option<Secret>, PassError> {
    match PassError::from(error) {
        PassError::Api(kube::Error::Api(status))
            if matches!(status.code, 400 | 403 | 413 | 422) =>
        {
            let words = if data.appears_in(&status.message) {
                ""
            } else {
                status.message.as_str()
            };
            let words: String = words.chars().take(300).collect();
            pass.fail(failed(
                Reason::SecretRefused,
                format!(
                    "the API server refused to write Secret {}: {} {words}",
                    pass.owner.secret_name, status.reason
                ),
            ));
            Ok(None)
        }
        error => Err(error),
    }
}

fn secrets(pass: &Pass) -> Api<Secret> {
    Api::namespaced(pass.context.client.clone(), &pass.key.namespace)
}
