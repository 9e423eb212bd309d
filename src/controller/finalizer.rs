//! The finalizer of a request: what holds it until its credentials are revoked.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::{error::PassError, observe::Pass, record, refused};
use crate::{
    api::{self, CredentialRequest, REVOKE_FINALIZER, Reason, reference::ProviderKind},
    clock,
    plan::{
        finalizer::is_needed,
        ledger,
        report::{Note, shortened},
    },
};

/// Puts the finalizer on the request with one PATCH, and compares the answer with what was sent. A
/// refusal, or an answer without the finalizer, is noted in what was observed.
///
/// # Errors
/// A conflict when another writer was faster, or the request is gone.
pub(super) async fn add(pass: &mut Pass) -> Result<(), PassError> {
    let mut finalizers = pass.request.finalizers().to_vec();
    finalizers.push(REVOKE_FINALIZER.to_owned());
    let restored = is_needed(&pass.seen, clock::now());
    let written = patch(pass, finalizers).await;
    let now = clock::now();
    let additions = &mut pass.seen.additions;
    match written {
        Ok(true) => {
            let stored = pass.request.finalizers().iter();
            let stored = stored.into_iter().any(|name| name == REVOKE_FINALIZER);
            pass.seen.request.finalizer = stored;
            if stored {
                additions.worked(now);
            } else {
                additions.failed(None, now);
            }
        }
        Ok(false) => return Err(PassError::Conflict),
        Err(PassError::Api(error)) => additions.failed(Some(refused::answer(&error)), now),
        Err(error) => return Err(error),
    }
    if let Some(failed) = &pass.seen.additions.failed {
        tracing::warn!(request = %pass.key, answer = ?failed.answer, "the finalizer could not be put on a request");
    } else if restored {
        tracing::warn!(request = %pass.key, "a request whose credentials have to be revoked had lost its finalizer; it was put back");
    }
    pass.remember();
    Ok(())
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
    // Before the write: the watch may tell that the request is gone before the write is answered.
    pass.seen.is_let_go = true;
    pass.remember();
    if let Err(error) = patch(pass, finalizers).await {
        pass.seen.is_let_go = false;
        pass.remember();
        return refuse(pass, error);
    }
    pass.seen.request.finalizer = false;
    if !left.is_empty() {
        tell(pass, &left);
    }
    Ok(())
}

/// Notes that the API server refused to remove the finalizer. A conflict ends the pass: the watch
/// shows the newer request.
fn refuse(pass: &mut Pass, error: PassError) -> Result<(), PassError> {
    let PassError::Api(error) = error else {
        return Err(error);
    };
    let object = "the finalizer of the request";
    let failure = refused::failure(Reason::FinalizerRefused, "remove", object, &error, |_| {
        false
    });
    pass.fail_to_write(failure);
    Ok(())
}

/// The credentials that are let go without being revoked: those that were abandoned, and with
/// `given_up` all that may be alive.
pub(super) fn left(pass: &Pass, given_up: bool) -> Vec<String> {
    let seen = &pass.seen;
    let mut records = ledger::records(seen, clock::now());
    let known: Vec<u64> = records.iter().map(|record| record.serial).collect();
    let unknown = seen.leftovers.iter().filter(|it| !known.contains(it));
    records.extend(unknown.copied().map(ledger::unknown));
    // One that is retained on purpose is not left behind.
    let retained = seen.published().filter(|_| seen.request.retain);
    records.retain(|record| retained.is_none_or(|kept| kept.serial != record.serial));
    records
        .iter()
        .filter(|record| !ledger::is_settled(seen, record.serial))
        .filter(|record| given_up || ledger::is_abandoned(seen, record.id.as_ref()))
        .map(|record| {
            let id = record.id.as_deref().unwrap_or("not known");
            let owner = record.owner.as_deref().unwrap_or("not known");
            format!("serial {}, id {id}, owner {owner}", record.serial)
        })
        .collect()
}

/// Counts, logs and tells by an event that credentials may be alive.
pub(super) fn tell(pass: &Pass, left: &[String]) {
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
    let written = record::patch_metadata(&api, &pass.key.name, &body)
        .await
        .map_err(PassError::from)?;
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
