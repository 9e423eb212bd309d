//! Act: one step, with one write or one provider call at its heart. The only caller of providers.

use std::sync::Arc;

use super::{
    call::{call, permitted},
    error::PassError,
    finalizer,
    memory::{Came, Purpose},
    observe::Pass,
    record,
    write::{publish, repair, try_write},
};
use crate::{
    clock,
    plan::{Credential, Damage, Gate, Revocation, Step, Target, Urgency, regeneration},
    providers::{Ask, Connection, Holder, Identity, NotRegenerated, Permission, Told},
    secret::SecretData,
};

/// Takes one step and puts what comes of it into what was observed.
///
/// # Errors
/// When the API server failed or somebody else wrote in between. What a provider does wrong is no
/// error but something that was observed.
pub async fn act(pass: &mut Pass, step: Step) -> Result<(), PassError> {
    // What nobody else has is written by whoever has it; that the Secret is what was seen is fence enough.
    let in_hand = pass.seen.in_hand.as_ref();
    let only_copy = step == Step::Publish && in_hand.is_some_and(|it| it.regenerated);
    if !only_copy && !pass.context.leadership.may_act() {
        return Err(PassError::NotLeading);
    }
    match step {
        Step::Look => drop(pass.look().await),
        Step::AddFinalizer => finalizer::add(pass).await?,
        Step::HoldProvider => hold_provider(pass),
        // A request that is gone by now gets nothing any more.
        Step::Issue(..) if !pass.busy.issue() => return Err(PassError::Conflict),
        Step::Issue(serial, urgency) => issue(pass, serial, urgency).await,
        Step::Announce(urgency) => announce(pass, urgency).await?,
        Step::Regenerate(serial, urgency) => regenerate(pass, serial, urgency).await,
        Step::Verify(urgency) => verify(pass, urgency).await,
        Step::TryWrite => try_write(pass).await?,
        Step::Publish => publish(pass).await?,
        Step::Repair => repair(pass).await?,
        Step::Discard => discard(pass),
        Step::Prove(urgency) => prove(pass, urgency).await?,
        Step::Revoke(serial, urgency) => revoke(pass, serial, urgency).await,
        Step::Confirm(serial, urgency) => confirm(pass, serial, urgency).await,
        Step::RemoveFinalizer { given_up } => finalizer::remove(pass, given_up).await?,
    }
    Ok(())
}

/// Has the provider's own pass put the finalizer on it, and waits for that.
fn hold_provider(pass: &mut Pass) {
    if let Some(link) = &pass.link {
        link.hold();
        pass.context.wakes.provider(&pass.provider);
    }
    let not_held = pass.link.as_ref().and_then(|link| link.not_held());
    pass.seen.gate = not_held.map_or(Gate::Checking, Gate::NotReady);
}

/// What it takes to ask the provider for something.
fn means(pass: &Pass) -> Option<(Arc<Connection>, Ask, Permission)> {
    Some((
        pass.connection.clone()?,
        pass.ask.clone()?,
        pass.permission.clone()?,
    ))
}

async fn issue(pass: &mut Pass, serial: u64, urgency: Urgency) {
    let Some((connection, ask, permission)) = means(pass) else {
        return;
    };
    if !permitted(pass, urgency) {
        return;
    }
    let damaged = matches!(pass.seen.published(), Some(published)
        if matches!(published.damage, Damage::Repairable | Damage::Lost))
        || (matches!(pass.seen.target, Target::Absent) && pass.seen.baseline() > 0);
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
        rotation: regeneration::carried_out(&pass.seen),
        leak: pass
            .seen
            .request
            .revoke_retiring
            .clone()
            .filter(|_| pass.seen.request.traits.revocable && !pass.seen.request.traits.shared),
    };
    let identity = identity(pass, serial);
    let lost = Came::issue_lost(purpose.clone());
    call(pass, "issue", lost, async move |turns| {
        let issued = connection
            .issue(&*turns, &ask, &permission, &identity)
            .await;
        Came::Issued(issued.map(Box::new), purpose)
    })
    .await;
}

/// Writes down that a key is to be made anew, once nothing keeps that from being done at once.
async fn announce(pass: &mut Pass, urgency: Urgency) -> Result<(), PassError> {
    let marked = pass.secret.as_ref().and_then(|secret| secret.immutable) == Some(true);
    if let (true, Target::Ours(published)) = (marked, &pass.seen.target) {
        // It could not be published.
        pass.seen.target = Target::Immutable(published.clone());
        return Ok(());
    }
    if permitted(pass, urgency) {
        record::announce(pass).await?;
    }
    Ok(())
}

/// Has a key made anew. From here on the provider may have been told, whatever comes back.
async fn regenerate(pass: &mut Pass, serial: u64, urgency: Urgency) {
    let Some((connection, ask, permission)) = means(pass) else {
        return;
    };
    if !permitted(pass, urgency) {
        return;
    }
    let purpose = || Purpose {
        serial,
        asked: ask.digest(),
        rotation: pass.seen.request.rotate.clone(),
        leak: None,
    };
    let (purpose, in_a_panic) = (purpose(), purpose());
    pass.seen.announced = None;
    pass.seen.announced_now = false;
    pass.remember();
    let lost = move |failure| {
        let not = NotRegenerated {
            failure,
            told: Told::Perhaps,
        };
        Came::Regenerated(Err(not), in_a_panic)
    };
    call(pass, "regenerate", lost, async move |turns| {
        let made = connection.regenerate(&*turns, &ask, &permission).await;
        Came::Regenerated(made.map(Box::new), purpose)
    })
    .await;
}

/// By what a credential of the request is known at the provider.
pub(super) fn identity(pass: &Pass, serial: u64) -> Identity {
    Identity {
        uid: pass.owner.uid.clone(),
        serial,
        cluster: pass.context.namespaces.cluster(),
        namespace: pass.key.namespace.clone(),
        name: pass.key.name.clone(),
        held: held(pass, serial),
    }
}

/// The provider's id of the credential in hand, if it has this serial; else of the published one, or of
/// the one that was published last, as the Secret or the status has it.
fn held(pass: &Pass, serial: u64) -> Option<String> {
    if let Some(in_hand) = in_hand(pass, serial) {
        return in_hand.id.clone();
    }
    let published = pass.seen.published();
    let recorded = pass.seen.recorded.credentials.iter();
    published
        .and_then(|published| published.id.clone())
        .or_else(|| recorded.max_by_key(|record| record.serial)?.id.clone())
}

/// The credential in hand, if it has this serial.
fn in_hand(pass: &Pass, serial: u64) -> Option<&Credential> {
    let in_hand = pass.seen.in_hand.as_ref();
    in_hand
        .map(|in_hand| &in_hand.credential)
        .filter(|credential| credential.serial == serial)
}

async fn verify(pass: &mut Pass, urgency: Urgency) {
    let (Some(connection), Some(ask)) = (pass.connection.clone(), pass.ask.clone()) else {
        return;
    };
    let Some(in_hand) = pass.seen.in_hand.as_ref() else {
        return;
    };
    let (data, owner) = (in_hand.data.clone(), in_hand.credential.owner.clone());
    // What was made anew is the only copy: it is published, whatever the grants say by now.
    let permission = pass.permission.clone().filter(|_| !in_hand.regenerated);
    if !permitted(pass, urgency) {
        return;
    }
    let lost = |failure| Came::Proof(Err(failure));
    call(pass, "verify", lost, async move |turns| {
        let (permission, owner) = (permission.as_ref(), owner.as_deref());
        let proof = connection
            .verify(&*turns, &ask, permission, owner, &data)
            .await;
        Came::Proof(proof)
    })
    .await;
}

/// Proves what is published, as it was read a moment ago.
async fn prove(pass: &mut Pass, urgency: Urgency) -> Result<(), PassError> {
    let (Some(connection), Some(ask)) = (pass.connection.clone(), pass.ask.clone()) else {
        return Ok(());
    };
    let (Some(known), Some(secret)) = (&pass.known, &pass.secret) else {
        // It was written in this pass, and not read.
        pass.look().await;
        return Ok(());
    };
    let serial = known.credential.serial;
    let owner = known.credential.owner.clone();
    let keys = known.keys.iter().map(String::as_str);
    let data = SecretData::select(secret.data.as_ref(), keys);
    if !permitted(pass, urgency) {
        return Ok(());
    }
    let permission = pass.permission.clone();
    let lost = move |failure| Came::Probed(serial, Err(failure));
    call(pass, "verify", lost, async move |turns| {
        let (permission, owner) = (permission.as_ref(), owner.as_deref());
        let proof = connection
            .verify(&*turns, &ask, permission, owner, &data)
            .await;
        Came::Probed(serial, proof)
    })
    .await;
    Ok(())
}

/// The user at the provider to whom a credential belonged when it was issued: of the credential in hand
/// by the provider's own word, of others by the status or the Secret.
pub(super) fn owner_of(pass: &Pass, serial: u64) -> Option<String> {
    if let Some(in_hand) = in_hand(pass, serial) {
        return in_hand.owner.clone();
    }
    let published = pass.seen.published();
    let published = published.filter(|published| published.serial == serial);
    // Who may write the status is trusted more than who may write Secrets.
    let mut recorded = pass.seen.recorded.credentials.iter();
    recorded
        .find(|record| record.serial == serial)
        .and_then(|record| record.owner.clone())
        .or_else(|| published.and_then(|published| published.owner.clone()))
}

/// What the request asks for, where a grant allows it, or did when something was issued: a login for it
/// may be made to revoke with.
pub(super) fn allowed_ask(pass: &Pass) -> Option<Ask> {
    let was_served = !pass.seen.recorded.credentials.is_empty();
    pass.ask
        .clone()
        .filter(|_| was_served || pass.permission.is_some())
}

/// Whether what is revoked is all that is left of a request that is going and leaves nothing behind.
pub(super) fn is_last(pass: &Pass) -> bool {
    pass.seen.request.deleting.is_some() && !pass.seen.request.retain
}

async fn revoke(pass: &mut Pass, serial: u64, urgency: Urgency) {
    let (Some(connection), Some(kind)) = (pass.revoking.clone(), pass.kind) else {
        return;
    };
    if !permitted(pass, urgency) {
        return;
    }
    let (identity, owner) = (identity(pass, serial), owner_of(pass, serial));
    let ask = allowed_ask(pass);
    let (is_last, permission) = (is_last(pass), pass.permission.clone());
    let lost = move |failure| Came::Revoked(serial, Err(failure));
    let (request, provider) = (pass.key.clone(), pass.provider.clone());
    call(pass, "revoke", lost, async move |turns| {
        let holder = Holder {
            identity: &identity,
            owner: owner.as_deref(),
            is_last,
            permission: permission.as_ref(),
        };
        let revoked = connection
            .revoke(&*turns, kind, ask.as_ref(), &holder)
            .await;
        match &revoked {
            Ok(Revocation::Absent) => {
                tracing::debug!(%request, %provider, serial, "nothing to revoke");
            }
            Ok(Revocation::Foreign) => {
                tracing::warn!(%request, %provider, serial, "what is there by the name of a credential belongs to somebody else; it was left alone");
            }
            Ok(_) => tracing::info!(%request, %provider, serial, "revoked a credential"),
            Err(_) => {}
        }
        Came::Revoked(serial, revoked)
    })
    .await;
}

async fn confirm(pass: &mut Pass, serial: u64, urgency: Urgency) {
    let (Some(connection), Some(kind)) = (pass.revoking.clone(), pass.kind) else {
        return;
    };
    if !permitted(pass, urgency) {
        return;
    }
    let (identity, owner) = (identity(pass, serial), owner_of(pass, serial));
    let ask = allowed_ask(pass);
    let (is_last, permission) = (is_last(pass), pass.permission.clone());
    let lost = move |failure| Came::Revoked(serial, Err(failure));
    call(pass, "confirm", lost, async move |turns| {
        let holder = Holder {
            identity: &identity,
            owner: owner.as_deref(),
            is_last,
            permission: permission.as_ref(),
        };
        let gone = connection
            .confirm(&*turns, kind, ask.as_ref(), &holder)
            .await;
        Came::Revoked(serial, gone.map(|()| Revocation::Gone))
    })
    .await;
}

/// Forgets the credential in hand. What can be revoked is from here on known as something that may be
/// there without being held; a token is left to expire. What was only read is the provider's affair.
fn discard(pass: &mut Pass) {
    if let Some(in_hand) = pass.seen.in_hand.take() {
        let traits = pass.seen.request.traits;
        if traits.revocable {
            pass.seen.give_back(&in_hand.credential);
        } else if !traits.fetched {
            pass.context.metrics.left_behind();
        }
    }
    pass.remember();
}
