//! How a request goes: everything that was made for it is revoked, that is confirmed, and then it
//! is let go.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    Access, Damage, Decision, Observed, Revocation, Step, Target, Urgency, WaitReason, finalizer,
    ledger, retire, writes,
};

/// How many names after the last known one are looked at while each of them is taken.
const FURTHER: u64 = 8;

/// Decides what to do next for a request that is being deleted.
pub fn plan(seen: &Observed, now: Timestamp) -> Decision {
    if seen.request.finalizer {
        return revoke_all(seen, now);
    }
    if seen.is_let_go || !finalizer::is_needed(seen, now) {
        // The owner reference takes the Secret along; what cannot be revoked is left to expire.
        return Decision::LetGo;
    }
    // Another writer has removed the finalizer, and the API server takes no new one on an object
    // that is being deleted. The credentials are revoked all the same, for as long as the object is
    // there.
    match revoke_all(seen, now) {
        // There is none to remove. A step is left where something has to be told by it.
        Decision::Do(Step::RemoveFinalizer { given_up: false }) if !leaves_behind(seen, now) => {
            Decision::LetGo
        }
        decision => decision,
    }
}

/// Whether a credential that may be alive is left alone knowingly.
fn leaves_behind(seen: &Observed, now: Timestamp) -> bool {
    ledger::records(seen, now).iter().any(|record| {
        !ledger::is_settled(seen, record.serial) && ledger::is_abandoned(seen, record.id.as_ref())
    })
}

/// The steps that revoke all credentials of the request, and then the one that lets it go.
fn revoke_all(seen: &Observed, now: Timestamp) -> Decision {
    if seen.call_under_way {
        return Decision::wait(None, None, WaitReason::Call);
    }
    if matches!(seen.target, Target::Unknown) {
        // The Secret may hold a newer credential than the status knows. One that stays must not be
        // revoked, so a Secret that cannot be read is waited for; all others are found by name.
        match writes::look_blocked(seen, now) {
            None => return Decision::Do(Step::Look),
            Some(wait) if seen.request.retain => return wait,
            Some(_) => {}
        }
    }
    if let (true, Target::Ours(published)) = (seen.request.retain, &seen.target)
        && matches!(published.damage, Damage::Metadata | Damage::Repairable)
        && published.is_owned
    {
        // The Secret still has an owner reference, so it would go with the request.
        return writes::repair_blocked(seen, now).unwrap_or(Decision::Do(Step::Repair));
    }
    let Some(serial) = unsettled(seen, now) else {
        return writes::finalizer_blocked(seen, now)
            .unwrap_or(Decision::Do(Step::RemoveFinalizer { given_up: false }));
    };
    match retire::steps(seen, serial, Urgency::New, now) {
        Decision::Wait(wait) if wait.reason == WaitReason::Revocation => {
            give_up(seen, now).unwrap_or(Decision::Wait(wait))
        }
        decision => decision,
    }
}

/// The first serial of which it is not certain that nothing by its name is alive.
fn unsettled(seen: &Observed, now: Timestamp) -> Option<u64> {
    if !seen.request.traits.revocable {
        return None;
    }
    let mut serials: BTreeSet<u64> = ledger::others(seen, now)
        .iter()
        .map(|other| other.serial)
        .collect();
    let current = ledger::records(seen, now);
    let abandoned = |record: &crate::api::request::CredentialRecord| {
        ledger::is_abandoned(seen, record.id.as_ref())
    };
    serials.extend(
        current
            .iter()
            .filter(|record| !abandoned(record))
            .map(|record| record.serial),
    );
    let in_hand = seen.in_hand.as_ref().map(|in_hand| &in_hand.credential);
    serials.extend(
        in_hand
            .filter(|credential| !ledger::is_abandoned(seen, credential.id.as_ref()))
            .map(|credential| credential.serial),
    );
    // Those that are left alone knowingly are known as well.
    let mut known = serials.clone();
    known.extend(current.iter().map(|record| record.serial));
    known.extend(in_hand.map(|credential| credential.serial));
    if seen.request.retain {
        // The Secret may be somebody else's by now, or not readable, and hold the credential all
        // the same. Where the Secret is gone, nobody holds it.
        let kept = match &seen.target {
            Target::Ours(published) | Target::Immutable(published) => Some(published.serial),
            Target::Absent | Target::Unseen => None,
            _ => Some(seen.baseline()),
        };
        if let Some(kept) = kept {
            serials.remove(&kept);
        }
    }
    let open = |serial: &u64| !ledger::is_settled(seen, *serial);
    // An attempt that a crash has cut off is known to nobody: look under the next names.
    let given_up = ledger::is_abandoned(seen, None) || current.first().is_some_and(abandoned);
    let further = further(seen, &known).filter(|_| !given_up);
    retire::first(seen, serials.iter().copied().filter(open).chain(further))
}

/// The next name that has not been looked at: the last ones that were in use once and are known to no
/// ledger any more, then those after the last one, until one is free. What was revoked and confirmed can
/// be there again, by a call of a copy that had been stopped in the middle of it.
fn further(seen: &Observed, known: &BTreeSet<u64>) -> Option<u64> {
    let last = known.last().copied().unwrap_or(0);
    let last = last.max(seen.baseline()).max(seen.recorded.last());
    let used = last.saturating_sub(FURTHER).max(1)..=last;
    let forgotten = used
        .into_iter()
        .find(|serial| !known.contains(serial) && !ledger::is_settled(seen, *serial));
    if forgotten.is_some() {
        return forgotten;
    }
    for serial in last + 1..=last + FURTHER {
        match seen.revocations.get(&serial) {
            Some(Revocation::Absent) => return None,
            Some(Revocation::Gone | Revocation::Foreign) => {}
            Some(Revocation::Sent) | None => return Some(serial),
        }
    }
    None
}

/// In a namespace that is being deleted, a credential whose login is gone is given up after a while:
/// nobody could bring the login back.
fn give_up(seen: &Observed, now: Timestamp) -> Option<Decision> {
    let since = seen.request.deleting?;
    let gone = matches!(
        seen.access,
        Access::Closed {
            login_is_gone: true,
            ..
        }
    );
    (gone && seen.request.namespace_deleting).then_some(())?;
    let at = since.checked_add(seen.give_up_after).unwrap_or(now);
    Some(if at <= now {
        Decision::Do(Step::RemoveFinalizer { given_up: true })
    } else {
        Decision::wait(Some(at), None, WaitReason::Revocation)
    })
}
