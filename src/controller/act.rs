//! Act: one step, with one write or one provider call at its heart. The only caller of providers.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    error::PassError,
    memory::{CallState, Came, Purpose},
    observe::Pass,
};
use crate::{
    api::{FIELD_MANAGER, Reason},
    clock,
    plan::{Credential, Damage, Gate, Proof, Published, Step, Target, Urgency, WaitReason},
    providers::{Ask, Connection, http::failed},
    secret::{self, SecretData, Write},
};

/// How long a pass keeps its slot for a call. A call that takes longer goes on without one and
/// reports back, so that hanging providers cannot fill the slots.
const PATIENCE: Duration = Duration::from_millis(300);

/// Takes one step and puts what comes of it into what was observed.
///
/// # Errors
/// When the API server failed or somebody else wrote in between. What a provider does wrong is no
/// error but something that was observed.
pub async fn act(pass: &mut Pass, step: Step) -> Result<(), PassError> {
    match step {
        Step::Look => Ok(pass.look().await?),
        Step::Issue(serial, urgency) => {
            issue(pass, serial, urgency).await;
            Ok(())
        }
        Step::Verify(urgency) => {
            verify(pass, urgency).await;
            Ok(())
        }
        Step::Publish => publish(pass).await,
        Step::Repair => repair(pass).await,
        Step::Discard => {
            discard(pass);
            Ok(())
        }
    }
}

async fn issue(pass: &mut Pass, serial: u64, urgency: Urgency) {
    let (Some(connection), Some(ask)) = (pass.connection.clone(), pass.ask.clone()) else {
        return;
    };
    if !permitted(pass, urgency) {
        return;
    }
    let damaged = matches!(pass.seen.published(), Some(published) if published.damage != Damage::None)
        || (matches!(pass.seen.target, Target::Absent) && pass.seen.recorded.serial > 0);
    if damaged {
        let now = clock::now();
        pass.seen.replacements.push(now);
        pass.context
            .memory
            .with(&pass.key, |remembered| remembered.replaced(now));
    }
    let purpose = Purpose {
        serial,
        asked: ask.digest(),
        rotation: pass.seen.request.rotate.clone(),
    };
    call(pass, "issue", async move {
        Came::Issued(connection.issue(&ask).await, purpose)
    })
    .await;
}

async fn verify(pass: &mut Pass, urgency: Urgency) {
    let (Some(connection), Some(ask)) = (pass.connection.clone(), pass.ask.clone()) else {
        return;
    };
    let Some(data) = pass
        .seen
        .in_hand
        .as_ref()
        .map(|in_hand| in_hand.data.clone())
    else {
        return;
    };
    if !permitted(pass, urgency) {
        return;
    }
    call(pass, "verify", proof(connection, ask, data)).await;
}

async fn proof(connection: Arc<Connection>, ask: Ask, data: SecretData) -> Came {
    Came::Proof(connection.verify(&ask, &data).await)
}

/// Whether the budget allows a call now; otherwise the request stands in its queue.
fn permitted(pass: &mut Pass, urgency: Urgency) -> bool {
    if let Some(permit) = &pass.permit {
        permit.one_more();
        return true;
    }
    let Some(link) = &pass.link else { return false };
    match link.budget.acquire(&pass.key, urgency) {
        Ok(permit) => pass.permit = Some(permit),
        Err(wait) => {
            pass.seen.queued = SignedDuration::try_from(wait)
                .ok()
                .or(Some(SignedDuration::MAX))
        }
    }
    pass.permit.is_some()
}

/// Makes a call, and waits for it a short while.
async fn call(
    pass: &mut Pass,
    operation: &'static str,
    call: impl Future<Output = Came> + Send + 'static,
) {
    let context = Arc::clone(&pass.context);
    let (key, provider, uid) = (
        pass.key.clone(),
        pass.provider.clone(),
        pass.owner.uid.clone(),
    );
    let inputs = match &pass.seen.gate {
        Gate::Open { inputs } => inputs.clone(),
        _ => String::new(),
    };
    let permit = pass.permit.take();
    context
        .memory
        .with(&key, |remembered| remembered.call = CallState::UnderWay);
    let (back, mut came) = oneshot::channel();
    tokio::spawn(async move {
        let came = AssertUnwindSafe(call)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                Came::Proof(Err(failed(
                    Reason::InternalError,
                    "the operator failed in a call to the provider; see its log",
                )))
            });
        note(&context, &provider, operation, &inputs, &came);
        // Where nobody waits any more, the next pass takes it.
        if let Err((came, permit)) = back.send((came, permit)) {
            drop(permit);
            let same = context.memory.with_known(&key, |remembered| {
                // Another request may have come under the same name.
                let same = remembered.uid == uid;
                if same {
                    remembered.call = CallState::Back(Box::new(came));
                }
                same
            });
            if same == Some(true) {
                context.wakes.request(&key);
            }
        }
    });
    let in_time = tokio::time::timeout(PATIENCE, &mut came).await;
    let came = match in_time {
        Ok(Ok(came)) => Some(came),
        Ok(Err(_)) => None,
        // From here on the call cannot hand its result over any more; unless it just has.
        Err(_) => {
            came.close();
            came.try_recv().ok()
        }
    };
    match came {
        Some((came, permit)) => {
            pass.context
                .memory
                .with(&pass.key, |remembered| remembered.call = CallState::None);
            // After a failure the next call waits for its turn again.
            let failed = matches!(came, Came::Issued(Err(_), _) | Came::Proof(Err(_)));
            pass.permit = permit.filter(|_| !failed);
            pass.take(came);
        }
        None => pass.seen.call_under_way = true,
    }
}

/// Counts a call, and tells the provider what its answer means for everybody.
fn note(
    context: &super::context::Context,
    provider: &super::key::ProviderKey,
    operation: &'static str,
    inputs: &str,
    came: &Came,
) {
    let failure = match came {
        Came::Issued(Err(failure), ..) | Came::Proof(Err(failure)) => Some(failure),
        Came::Proof(Ok(_)) | Came::Issued(Ok(_), ..) => None,
    };
    let outcome = match (failure, came) {
        (Some(failure), _) => Err(failure.reason),
        (None, Came::Proof(Ok(Proof::Refused))) => Err(Reason::VerificationFailed),
        _ => Ok(()),
    };
    context
        .metrics
        .call(&provider.to_string(), operation, outcome);
    let Some(failure) = failure else { return };
    let Some(link) = context.links.get(provider) else {
        return;
    };
    if let Some(wait) = failure
        .retry_after
        .and_then(|wait| Duration::try_from(wait).ok())
    {
        link.budget.pause(wait);
    }
    if failure.reason == Reason::LoginRefused {
        // It belongs to the account: the provider holds it, and nobody tries again.
        link.login_refused(failure, inputs);
        context.wakes.provider(provider);
    }
}

/// Puts the credential in hand into the Secret.
async fn publish(pass: &mut Pass) -> Result<(), PassError> {
    let Some(in_hand) = pass.seen.in_hand.clone() else {
        return Ok(());
    };
    // Its proof was the last call; others may go ahead while the Secret is written.
    pass.permit = None;
    let owner = pass.owner.clone();
    let write = Write {
        owner: &owner,
        credential: &in_hand.credential,
        unverified: in_hand.proof == Proof::Impossible,
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
    Ok(())
}

fn published(credential: &Credential, unverified: bool) -> Published {
    Published {
        serial: credential.serial,
        issued_at: credential.issued_at,
        expires_at: credential.expires_at,
        asked: credential.asked.clone(),
        rotation: credential.rotation.clone(),
        unverified,
        id: credential.id.clone(),
        owner: credential.owner.clone(),
        damage: Damage::None,
    }
}

/// Writes the operator's part of the Secret again.
async fn repair(pass: &mut Pass) -> Result<(), PassError> {
    let (Some(known), Some(secret), Some(data)) = (&pass.known, &pass.secret, &pass.recovered)
    else {
        return Ok(());
    };
    let (known, data, owner) = (known.clone(), data.clone(), pass.owner.clone());
    let write = Write {
        owner: &owner,
        credential: &known.credential,
        unverified: known.unverified,
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

/// Forgets the credential in hand. A token is left to expire.
fn discard(pass: &mut Pass) {
    if pass.seen.in_hand.take().is_some() {
        pass.context.metrics.left_behind();
    }
    pass.context
        .memory
        .with(&pass.key, |remembered| remembered.in_hand = None);
}

/// What a pass that ends while it stands in a queue leaves behind there.
pub fn leave_queue(pass: &Pass, waits_for: Option<WaitReason>) {
    if waits_for != Some(WaitReason::Budget)
        && let Some(link) = &pass.link
    {
        link.budget.leave(&pass.key);
    }
}
