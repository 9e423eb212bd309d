//! The finalizer of a request: what holds it until its credentials are revoked.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{error::PassError, observe::Pass, record};
use crate::{
    api::{self, CredentialRequest, REVOKE_FINALIZER, reference::ProviderKind},
    plan::{
        ledger,
        report::{Note, shortened},
    },
};

/// Puts the finalizer on the request.
///
/// # Errors
/// Those of the API server; a conflict when somebody else has written in between.
pub(super) async fn add(pass: &mut Pass) -> Result<(), PassError> {
    let mut finalizers = pass.request.finalizers().to_vec();
    finalizers.push(REVOKE_FINALIZER.to_owned());
    let written = patch(pass, finalizers).await?;
    if written {
        pass.seen.request.finalizer = true;
        Ok(())
    } else {
        // It is gone; nothing has been issued.
        Err(PassError::Conflict)
    }
}

/// Lets the request go. With `given_up`, what may be left alive is told to people.
///
/// # Errors
/// Those of the API server; a conflict when somebody else has written in between.
pub(super) async fn remove(pass: &mut Pass, given_up: bool) -> Result<(), PassError> {
    let finalizers = pass
        .request
        .finalizers()
        .iter()
        .filter(|finalizer| *finalizer != REVOKE_FINALIZER)
        .cloned()
        .collect();
    let left = left(pass, given_up);
    patch(pass, finalizers).await?;
    pass.seen.request.finalizer = false;
    if !left.is_empty() {
        tell(pass, &left);
    }
    Ok(())
}

/// The credentials that are let go without being revoked: those of the ledger and the one in hand.
fn left(pass: &Pass, given_up: bool) -> Vec<String> {
    let seen = &pass.seen;
    let records = ledger::records(seen, crate::clock::now());
    let mut known: Vec<_> = records
        .into_iter()
        .map(|record| (record.serial, record.id, record.owner))
        .collect();
    if let Some(in_hand) = &seen.in_hand {
        let credential = &in_hand.credential;
        let is_known = known
            .iter()
            .any(|(serial, ..)| *serial == credential.serial);
        if !is_known {
            let (id, owner) = (credential.id.clone(), credential.owner.clone());
            known.push((credential.serial, id, owner));
        }
    }
    known
        .into_iter()
        .filter(|(serial, ..)| !ledger::is_settled(seen, *serial))
        .filter(|(_, id, _)| given_up || ledger::is_abandoned(seen, id.as_ref()))
        .map(|(serial, id, owner)| {
            let [id, owner] = [&id, &owner].map(|it| it.as_deref().unwrap_or("not known"));
            format!("serial {serial}, id {id}, owner {owner}")
        })
        .collect()
}

fn tell(pass: &Pass, left: &[String]) {
    let what = left.join("; ");
    tracing::warn!(request = %pass.key, provider = %pass.provider, credentials = %what, "credentials were given up and may be alive");
    for _ in left {
        pass.context.metrics.left_behind();
    }
    let mut note = Note {
        warning: true,
        reason: "GivenUp",
        action: "Revoke",
        note: format!("it went without its credentials being revoked; they may be alive: {what}"),
    };
    // The request is gone, and its namespace may be.
    if !tell_beside_provider(pass, &note) {
        note.note = shortened(&note.note);
        record::tell(&pass.context, pass.request.as_ref(), note);
    }
}

/// Sends an event about the request beside its provider, where that lives in no namespace.
pub(super) fn tell_beside_provider(pass: &Pass, note: &Note) -> bool {
    if pass.provider.kind != ProviderKind::ClusterCredentialProvider {
        return false;
    }
    let Some(link) = &pass.link else { return false };
    let provider = ObjectReference {
        api_version: Some(format!("{}/{}", api::GROUP, api::VERSION)),
        kind: Some(pass.provider.kind.to_string()),
        name: Some(pass.provider.name.clone()),
        uid: Some(link.declared().uid.clone()),
        ..ObjectReference::default()
    };
    let words = format!("CredentialRequest {}: {}", pass.key, note.note);
    let note = Note {
        note: shortened(&words),
        ..note.clone()
    };
    record::tell_about(&pass.context, provider, note);
    true
}

async fn patch(pass: &mut Pass, finalizers: Vec<String>) -> Result<bool, PassError> {
    let api: Api<CredentialRequest> =
        Api::namespaced(pass.context.client.clone(), &pass.key.namespace);
    let body = json!({"metadata": {
        "uid": pass.request.metadata.uid,
        "resourceVersion": pass.request.metadata.resource_version,
        "finalizers": finalizers,
    }});
    let written = record::patch_metadata(&api, &pass.key.name, &body).await?;
    let Some(written) = written else {
        return Ok(false);
    };
    let written = std::sync::Arc::new(written);
    pass.context.memory.with(&pass.key, |remembered| {
        remembered.written_version = written.resource_version().unwrap_or_default();
        remembered.written = Some(std::sync::Arc::clone(&written));
    });
    pass.request = written;
    Ok(true)
}
