//! The brain: everything that the operator will ever do for one request, decided in one place.
//!
//! [`plan`] is a pure function of what was observed and of the time. It does no I/O, reads no
//! clock, draws no random number and logs nothing; a lint and a test keep it so. What follows from
//! a decision for the status is decided in [`report`], which is as pure.

pub mod backoff;
pub mod checks;
pub mod conditions;
mod decision;
mod farewell;
pub mod finalizer;
pub mod ledger;
pub mod observed;
mod obstacle;
mod outcome;
pub mod provider;
pub mod refusal;
pub mod regeneration;
pub mod report;
pub mod retire;
pub mod schedule;
mod writes;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

pub use decision::*;
pub use observed::*;
pub(crate) use obstacle::obstacle;

use crate::api::request::{FailureRecord, NextAction};
use checks::{Finding, Remedy};

/// How long a replaced credential goes on working when the request does not say.
pub const DEFAULT_OVERLAP: SignedDuration = SignedDuration::from_mins(15);
/// How often what is read at the provider is read again when a request does not say.
pub const DEFAULT_REREAD: SignedDuration = SignedDuration::from_mins(15);

/// Decides what to do next for one request.
pub fn plan(seen: &Observed, now: Timestamp) -> Decision {
    if seen.request.deleting.is_some() {
        return farewell::plan(seen, now);
    }
    // Before anything else, and also while the request is suspended or refused: a deletion can come
    // at any time.
    if let Some(decision) = finalizer::restore(seen, now) {
        return decision;
    }
    if let Some(decision) = regeneration::only_copy(seen, now) {
        return decision;
    }
    match next_for_the_secret(seen, now) {
        Decision::Do(step) => Decision::Do(step),
        // Where nothing has to be done for the Secret, or nothing can be, what was replaced before
        // goes all the same. Somebody who suspends a request wants nothing to happen.
        settled if seen.request.suspended => settled,
        // What will not be published must not stay alive, held by nobody.
        Decision::Stop(_) if in_vain(seen) => Decision::Do(Step::Discard),
        settled => retire::due(seen, now).unwrap_or(settled),
    }
}

/// Whether something is in hand that can be revoked, and no call with it is under way.
fn in_vain(seen: &Observed) -> bool {
    seen.in_hand.is_some() && seen.request.traits.revocable && !seen.call_under_way
}

/// What has to be done so that the Secret holds a credential that works.
fn next_for_the_secret(seen: &Observed, now: Timestamp) -> Decision {
    if let Some(refusal) = refusal::of_request(seen, now) {
        return Decision::Stop(refusal);
    }
    if matches!(seen.target, Target::Unknown) {
        return writes::look(seen, now);
    }
    if let Some(refusal) = refusal::of_target(&seen.target) {
        return Decision::Stop(refusal);
    }
    let mut finding = checks::first_finding(seen, now);
    let mut repair = None;
    if let Some(damaged) = finding
        .as_ref()
        .filter(|finding| finding.remedy == Remedy::Repair)
    {
        // Needs no provider, so nothing that is under way there keeps it waiting.
        match remedy(seen, damaged, now) {
            Decision::Do(step) => return Decision::Do(step),
            wait => repair = Some(wait),
        }
        finding = writes::beside_repair(seen, now);
    }
    if seen.call_under_way {
        return Decision::wait(None, None, WaitReason::Call);
    }
    if let Some(in_hand) = &seen.in_hand {
        return after_issue(seen, in_hand, finding.as_ref(), now);
    }
    match (finding, repair) {
        (Some(finding), _) => remedy(seen, &finding, now),
        (None, Some(wait)) => sooner(wait, rest(seen, now)),
        (None, None) => rest(seen, now),
    }
}

/// A wait that ends when one of two is over, and says what the first one says.
fn sooner(wait: Decision, other: Decision) -> Decision {
    match (wait, other) {
        (Decision::Wait(mut wait), Decision::Wait(other)) => {
            if let Some(until) = other
                .until
                .filter(|at| wait.until.is_none_or(|is| *at < is))
            {
                (wait.until, wait.next) = (Some(until), other.next);
            }
            Decision::Wait(wait)
        }
        (wait, _) => wait,
    }
}

/// A credential was issued and is not yet published: prove it, publish it, or forget it.
fn after_issue(
    seen: &Observed,
    in_hand: &InHand,
    finding: Option<&Finding>,
    now: Timestamp,
) -> Decision {
    // Another run has published already what this one was issued for.
    // One that was issued before a leak was told is no successor after it.
    let superseded = finding.is_none_or(|finding| finding.remedy != Remedy::Replace)
        || finding.is_some_and(|finding| finding.reason == checks::Why::Leaked)
            && in_hand.credential.leak != seen.request.revoke_retiring
        || seen
            .published()
            .is_some_and(|published| is_at_least(published, &in_hand.credential));
    if superseded || schedule::is_expired(in_hand.credential.expires_at, now) {
        return Decision::Do(Step::Discard);
    }
    match &in_hand.proof {
        Proof::Missing => match hindrance(seen, now) {
            Some(decision) => decision,
            None => Decision::Do(Step::Verify(urgency_of_proof(seen, in_hand, now))),
        },
        Proof::Given | Proof::Impossible => {
            writes::blocked(seen, now).unwrap_or(Decision::Do(Step::Publish))
        }
        Proof::Refused => Decision::Do(Step::Discard),
    }
}

/// Whether the Secret holds this credential already, or a later one. One that the cluster changed
/// while it was written is published once more.
fn is_at_least(published: &Published, credential: &Credential) -> bool {
    let changed = published.serial == credential.serial && published.damage == Damage::Lost;
    published.serial >= credential.serial && !changed
}

/// Nothing has to be done now: when does something have to be done again?
fn rest(seen: &Observed, now: Timestamp) -> Decision {
    let next = seen
        .published()
        .into_iter()
        .flat_map(|published| schedule::next_replacements(seen, published))
        .chain(retire::next(seen, now).map(|at| (at, NextAction::Revoke)))
        // What is due and cannot be done yet is no reason to look again at once.
        .filter(|(at, _)| *at > now)
        .min_by_key(|(at, _)| *at);
    match next {
        Some((at, action)) => Decision::wait(Some(at), Some(action), WaitReason::Rest),
        None => Decision::wait(None, None, WaitReason::Rest),
    }
}

/// When to look again without being told: at the time that the decision waits for; when what is
/// published expires, since from then on the request is not ready, whatever it waits for; when
/// something has to be revoked; and when the published credential is to be proven again, which is no
/// news and stands in no status.
pub fn next_look(seen: &Observed, decision: &Decision, now: Timestamp) -> Option<Timestamp> {
    let until = match decision {
        // A provider is tried again by its own pass, which wakes its requests: by a timer of their own
        // they would ask again and again for as long as it is being tried.
        Decision::Wait(Wait {
            reason: WaitReason::Provider,
            ..
        }) => None,
        // It says where it stands if it stands there for long.
        Decision::Wait(Wait {
            reason: WaitReason::Budget,
            until,
            ..
        }) if !seen.recorded.told => {
            let long = now.checked_add(schedule::LONG_QUEUE).ok();
            [*until, long].into_iter().flatten().min()
        }
        Decision::Wait(wait) => wait.until,
        Decision::Do(_) | Decision::Stop(_) | Decision::LetGo => None,
    };
    let expiry = match seen.published() {
        Some(published) => published.expires_at,
        // Not looked at: what is recorded still stands.
        None => seen.recorded.expires_at,
    };
    // One that is due and cannot be had now is looked for again, whatever else wakes the request.
    let proof = seen.published().and_then(|published| {
        let due = schedule::verify_at(seen, published)?;
        let every = seen.request.spec.as_ref().ok()?.verify_every?;
        let again = now.checked_add(every).unwrap_or(now);
        Some(if due > now { due } else { again })
    });
    // Whatever checks the provider says how it went, within seconds. Should that not be heard, it is not
    // waited for until something else happens.
    let waits = matches!(
        decision,
        Decision::Wait(Wait {
            reason: WaitReason::Provider | WaitReason::Revocation,
            ..
        })
    );
    let unsure = matches!(seen.gate, Gate::Checking) || matches!(seen.access, Access::Checking);
    let unheard = (waits && unsure)
        .then(|| now.checked_add(schedule::LONG_CHECK).ok())
        .flatten();
    let reading = regeneration::read_at(seen);
    let finalizer = finalizer::next(seen, now);
    let revocation = retire::next(seen, now);
    let later = [expiry, revocation, proof, unheard, reading, finalizer]
        .into_iter()
        .flatten()
        .filter(|at| *at > now);
    until.into_iter().chain(later).min()
}

/// Something has to be done: is it possible now?
fn remedy(seen: &Observed, finding: &Finding, now: Timestamp) -> Decision {
    match finding.remedy {
        Remedy::Repair => {
            if let Some(until) = backoff::repair_contested_until(&seen.repairs, now) {
                let next = Some(NextAction::Retry);
                return Decision::wait(Some(until), next, WaitReason::Contested);
            }
            writes::repair_blocked(seen, now).unwrap_or(Decision::Do(Step::Repair))
        }
        Remedy::Replace => {
            if let Some(refusal) = refusal::of_gate(seen) {
                return Decision::Stop(refusal);
            }
            if let Some(wait) = writes::blocked(seen, now) {
                return wait;
            }
            if let Some(decision) = hindrance(seen, now) {
                return decision;
            }
            if finding.reason == checks::Why::Damaged
                && let Some(until) = backoff::contested_until(&seen.replacements, now)
            {
                return Decision::wait(Some(until), Some(NextAction::Retry), WaitReason::Contested);
            }
            if let Some(decision) = retire::crowded(seen, finding.reason, now) {
                return decision;
            }
            writes::try_first(seen)
                .or_else(|| before_first_issue(seen, now))
                .unwrap_or(Decision::Do(Step::Issue(
                    seen.next_serial(),
                    urgency(seen, now),
                )))
        }
        Remedy::Regenerate => {
            if let Some(refusal) = refusal::of_gate(seen) {
                return Decision::Stop(refusal);
            }
            if let Some(wait) = writes::blocked(seen, now) {
                return wait;
            }
            if let Some(decision) = hindrance(seen, now) {
                return decision;
            }
            if !seen.looked {
                // What is published may stand for it already.
                return writes::look(seen, now);
            }
            if let Some(dry_run) = writes::try_first(seen) {
                return dry_run;
            }
            Decision::Do(match regeneration::stage(seen) {
                regeneration::Stage::New => Step::Announce(urgency(seen, now)),
                _ => Step::Regenerate(seen.next_serial(), urgency(seen, now)),
            })
        }
        Remedy::Prove => {
            match hindrance(seen, now) {
                None if !seen.looked => writes::look(seen, now),
                None => Decision::Do(Step::Prove(urgency(seen, now))),
                Some(Decision::Wait(wait)) if wait.reason == WaitReason::Budget => {
                    Decision::Wait(wait)
                }
                // It may be another one by now.
                Some(decision) if seen.request.traits.fetched => decision,
                // Nothing is wrong as far as anybody knows: that the provider cannot be asked is no
                // news. Whatever lets it be asked again wakes the request.
                Some(_) => rest(seen, now),
            }
        }
    }
}

/// What has to be written down before something is issued that has to be revoked one day.
fn before_first_issue(seen: &Observed, now: Timestamp) -> Option<Decision> {
    if !seen.request.traits.revocable {
        None
    } else if !seen.provider_held {
        Some(Decision::Do(Step::HoldProvider))
    } else if !seen.request.finalizer {
        Some(finalizer::add(seen, now))
    } else {
        None
    }
}

/// What keeps the operator from calling the provider right now, if anything does.
fn hindrance(seen: &Observed, now: Timestamp) -> Option<Decision> {
    match &seen.gate {
        Gate::Checking => return Some(Decision::wait(None, None, WaitReason::Provider)),
        // The provider's own pass tries again and tells; nobody else knocks meanwhile, and a
        // thousand requests need not write down each time when that will be.
        Gate::NotReady(_) => return Some(Decision::wait(None, None, WaitReason::Provider)),
        Gate::Refused(refusal) => return Some(Decision::Stop(refusal.clone())),
        Gate::Open { .. } => {}
    }
    let failure = seen.failure_that_counts();
    if let Some(decision) = failure.and_then(|failure| back_off(failure, seen, now)) {
        return Some(decision);
    }
    if seen.queued.is_some() {
        // From then on it goes ahead of others.
        let urgent = seen
            .published()
            .and_then(|published| schedule::urgent_at(seen, published))
            .filter(|at| *at > now);
        return Some(Decision::wait(urgent, None, WaitReason::Budget));
    }
    None
}

/// The wait after a failed attempt, as long as it lasts.
fn back_off(failure: &FailureRecord, seen: &Observed, now: Timestamp) -> Option<Decision> {
    match backoff::next_try(failure, seen, now) {
        Some(at) if at > now => Some(Decision::wait(
            Some(at),
            Some(NextAction::Retry),
            WaitReason::Retry,
        )),
        None => Some(Decision::wait(None, None, WaitReason::Retry)),
        Some(_) => None,
    }
}

fn urgency_of_proof(seen: &Observed, in_hand: &InHand, now: Timestamp) -> Urgency {
    let issued_at = in_hand.credential.issued_at;
    match seen.failure_that_counts() {
        Some(failure) if failure.last_attempt_time > issued_at => urgency(seen, now),
        _ => Urgency::InHand,
    }
}

fn urgency(seen: &Observed, now: Timestamp) -> Urgency {
    match seen.published() {
        Some(_) if checks::leaked(seen, now).is_some() => Urgency::New,
        Some(published) if is_usable(seen, now) => {
            let urgent = schedule::urgent_at(seen, published).is_some_and(|at| at <= now);
            match published.expires_at {
                Some(at) if urgent => Urgency::Expiring(at),
                other => Urgency::Routine(other.unwrap_or(Timestamp::MAX)),
            }
        }
        _ => Urgency::New,
    }
}

/// Whether what is published can be used now, which is another question than whether something has
/// to be done.
pub fn is_usable(seen: &Observed, now: Timestamp) -> bool {
    seen.published().is_some_and(|published| {
        !matches!(published.damage, Damage::Repairable | Damage::Lost)
            && !writes::is_contested(seen)
            && !schedule::is_expired(published.expires_at, now)
            && seen.probe.refused != Some(published.serial)
            && !ledger::is_settled(seen, published.serial)
            && !ledger::is_rolled_back(seen)
            // The one that works is not published yet.
            && !seen.in_hand.as_ref().is_some_and(|it| it.regenerated)
    })
}
