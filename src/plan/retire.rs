//! When credentials that were replaced are revoked, and how a revocation goes on.

use jiff::Timestamp;

use super::{
    Access, Decision, Observed, Revocation, Step, Urgency, WaitReason, backoff, checks,
    ledger::{self, Other},
    refusal, schedule, writes,
};
use crate::api::{
    Reason,
    request::{FailureRecord, NextAction},
};

/// How many credentials of a request are alive at most, unless its expiry forces a third one.
const MOST_ALIVE: usize = 2;

/// The next step towards revoking what is due, if it can be taken now.
pub fn due(seen: &Observed, now: Timestamp) -> Option<Decision> {
    let due: Vec<_> = ledger::others(seen, now)
        .into_iter()
        .filter(|other| other.revoke_after <= now && may_go(seen, other, now))
        .map(|other| other.serial)
        .collect();
    // After a leak nobody wants to wait for others' routine.
    let leaked = seen.published().is_some_and(|it| it.leak.is_some());
    let urgency = if leaked {
        Urgency::New
    } else {
        Urgency::Routine(Timestamp::MAX)
    };
    match steps(seen, first(seen, due)?, urgency, now) {
        Decision::Do(step) => Some(Decision::Do(step)),
        _ => None,
    }
}

/// Which of these serials is tried next: one that could not be revoked keeps no other alive.
pub(super) fn first(seen: &Observed, serials: impl IntoIterator<Item = u64>) -> Option<u64> {
    serials
        .into_iter()
        .min_by_key(|serial| (seen.stuck.contains(serial), *serial))
}

/// Whether something is due to be revoked and waits for its turn in the provider's queue.
pub fn is_queued(seen: &Observed, now: Timestamp) -> bool {
    let due = |other: &Other| other.revoke_after <= now && may_go(seen, other, now);
    seen.queued.is_some()
        && matches!(seen.access, Access::Open { .. })
        && ledger::others(seen, now).iter().any(due)
}

/// Why what is due cannot be revoked, if that is so.
pub fn obstacle(seen: &Observed, now: Timestamp) -> Option<(Reason, String)> {
    if seen.request.deleting.is_some()
        && let Some(obstacle) = writes::obstacle(seen)
    {
        return Some(obstacle);
    }
    let due = |other: &Other| other.revoke_after <= now && may_go(seen, other, now);
    let waits = seen.request.deleting.is_some() || ledger::others(seen, now).iter().any(due);
    waits.then_some(())?;
    match &seen.access {
        Access::Closed { obstacle, .. } => Some((obstacle.reason, obstacle.message.clone())),
        Access::Checking => None,
        Access::Open { .. } => seen
            .revocation_failure_that_counts()
            .map(|failure| (failure.reason, failure.message.clone())),
    }
}

/// When something has to be revoked next, which may be over already.
pub fn next(seen: &Observed, now: Timestamp) -> Option<Timestamp> {
    ledger::others(seen, now)
        .into_iter()
        .filter(|other| may_go(seen, other, now))
        .filter_map(|other| match failure_of(seen, other.serial) {
            None => Some(other.revoke_after),
            // Where there is no retry, not before the way to the provider has changed.
            Some(failure) => backoff::next_revocation(failure, seen, now)
                .map(|retry| other.revoke_after.max(retry)),
        })
        .min()
}

/// The failed attempt that keeps a serial from being revoked. Where it was about single serials, the
/// others need not wait for them.
fn failure_of(seen: &Observed, serial: u64) -> Option<&FailureRecord> {
    seen.revocation_failure_that_counts()
        .filter(|_| seen.stuck.is_empty() || seen.stuck.contains(&serial))
}

/// Whether nothing speaks against revoking a credential when its time has come. What an attempt has
/// left above the published one stays until that attempt has led to something, or to nothing: by a
/// write of the Secret it is certain that nobody else publishes it any more.
fn may_go(seen: &Observed, other: &Other, now: Timestamp) -> bool {
    if other.serial < seen.baseline() {
        return true;
    }
    if seen.in_hand.is_some() || seen.call_under_way {
        return false;
    }
    let cornered = seen.failure_that_counts().is_some_and(|failure| {
        matches!(
            failure.reason,
            Reason::QuotaExceeded | Reason::VerificationFailed
        )
    });
    let stopped = refusal::of_request(seen, now)
        .or_else(|| refusal::of_target(&seen.target))
        .or_else(|| refusal::of_gate(seen));
    // A leak does not wait for a successor that cannot be published.
    let leaked = checks::leaked(seen, now).is_some() && writes::blocked(seen, now).is_some();
    cornered || leaked || stopped.is_some() || writes::beside_repair(seen, now).is_none()
}

/// The step that a revocation needs next: a look at the Secret, so that what it holds is never
/// revoked, then the revocation, then the proof of it.
pub(super) fn steps(seen: &Observed, serial: u64, urgency: Urgency, now: Timestamp) -> Decision {
    if let Some(wait) = hindrance(seen, serial, now) {
        return wait;
    }
    if !seen.looked && seen.request.deleting.is_none() {
        return writes::look(seen, now);
    }
    match seen.revocations.get(&serial) {
        Some(Revocation::Sent) => Decision::Do(Step::Confirm(serial, urgency)),
        _ => Decision::Do(Step::Revoke(serial, urgency)),
    }
}

/// What keeps the operator from asking the provider to revoke something right now.
fn hindrance(seen: &Observed, serial: u64, now: Timestamp) -> Option<Decision> {
    match &seen.access {
        Access::Open { .. } => {}
        Access::Checking | Access::Closed { .. } => {
            return Some(Decision::wait(None, None, WaitReason::Revocation));
        }
    }
    if seen.call_under_way {
        return Some(Decision::wait(None, None, WaitReason::Call));
    }
    if let Some(failure) = failure_of(seen, serial) {
        let retry = backoff::next_revocation(failure, seen, now);
        if retry.is_none_or(|at| at > now) {
            let next = retry.map(|_| NextAction::Revoke);
            return Some(Decision::wait(retry, next, WaitReason::Revocation));
        }
    }
    if seen.queued.is_some() {
        return Some(Decision::wait(None, None, WaitReason::Budget));
    }
    None
}

/// What has to happen before a further credential may be issued, because so many are alive already.
pub(super) fn crowded(seen: &Observed, why: checks::Why, now: Timestamp) -> Option<Decision> {
    // Whatever asks for it first.
    if checks::expiring(seen, now).is_some() {
        return None;
    }
    let retiring: Vec<_> = ledger::others(seen, now)
        .into_iter()
        .filter(|other| other.serial < seen.baseline() && other.record.is_some())
        .collect();
    let oldest = retiring.first()?;
    // The published one, these, and the new one.
    if retiring.len() + 2 <= MOST_ALIVE {
        return None;
    }
    if why.is_pressing() {
        return match steps(seen, oldest.serial, Urgency::New, now) {
            // That an old one cannot be revoked must not keep workloads from having a new one.
            Decision::Wait(wait) if wait.reason == WaitReason::Revocation => None,
            decision => Some(decision),
        };
    }
    let renewal = seen
        .published()
        .and_then(|published| schedule::renew_at(seen, published));
    let until = [next(seen, now), renewal]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min();
    Some(Decision::wait(
        until,
        until.map(|_| NextAction::Revoke),
        WaitReason::Overlap,
    ))
}
