//! The brain: everything that the operator will ever do for one request, decided in one place.
//!
//! [`plan`] is a pure function of what was observed and of the time. It does no I/O, reads no
//! clock, draws no random number and logs nothing; a lint and a test keep it so. What follows from
//! a decision for the status is decided in [`report`], which is as pure.

pub mod backoff;
pub mod checks;
pub mod observed;
pub mod provider;
pub mod refusal;
pub mod report;
pub mod schedule;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

pub use observed::*;

use crate::api::{
    Reason,
    request::{FailureRecord, NextAction},
};
use checks::{Finding, Remedy};

/// What to do next for one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Take one step, then look again.
    Do(Step),
    /// Nothing to do before the given time, or before something changes.
    Wait(Wait),
    /// Nothing will be done before somebody changes something.
    Stop(Refusal),
    /// The request is going and there is nothing left that belongs to it.
    LetGo,
}

/// One step, with one write or one provider call at its heart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look at the Secret: what is known of it is too old to act upon.
    Look,
    /// Ask the provider for the credential with this serial.
    Issue(u64, Urgency),
    /// Prove at the provider that the credential in hand works.
    Verify(Urgency),
    /// Put the credential in hand into the Secret.
    Publish,
    /// Write the operator's part of the Secret again, from what is still good in it.
    Repair,
    /// Forget the credential in hand.
    Discard,
}

/// Who goes first when a provider's budget is scarce: what expires first, then new requests, then
/// what can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A published credential expires at this time.
    Expiring(Timestamp),
    /// Nothing usable is published.
    New,
    /// What is published works and goes on working.
    Routine,
}

/// Why and until when nothing is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// When to look again; on a change alone when absent.
    pub until: Option<Timestamp>,
    /// What will be done then, for people.
    pub next: Option<NextAction>,
    /// What is being waited for.
    pub reason: WaitReason,
}

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The credential is published and good.
    Rest,
    /// A failed attempt is due again later.
    Retry,
    /// A call to the provider is under way and reports back by itself.
    Call,
    /// The provider's budget is spent; the request stands in its queue.
    Budget,
    /// The provider is being checked and reports back by itself.
    Provider,
    /// The Secret was damaged too often.
    Contested,
}

impl Decision {
    fn wait(until: Option<Timestamp>, next: Option<NextAction>, reason: WaitReason) -> Self {
        Decision::Wait(Wait {
            until,
            next,
            reason,
        })
    }
}

/// Decides what to do next for one request.
pub fn plan(seen: &Observed, now: Timestamp) -> Decision {
    if seen.request.deleting {
        // The owner reference takes the Secret along; a token is left to expire by itself.
        return Decision::LetGo;
    }
    if let Some(refusal) = refusal::of_request(seen) {
        return Decision::Stop(refusal);
    }
    if matches!(seen.target, Target::Unknown) {
        return Decision::Do(Step::Look);
    }
    if let Some(refusal) = refusal::of_target(&seen.target) {
        return Decision::Stop(refusal);
    }
    let finding = checks::first_finding(seen, now);
    if let Some(finding) = finding
        .as_ref()
        .filter(|finding| finding.remedy == Remedy::Repair)
    {
        // Needs no provider, so nothing that is under way there keeps it waiting.
        return remedy(seen, finding, now);
    }
    if seen.call_under_way {
        return Decision::wait(None, None, WaitReason::Call);
    }
    if let Some(in_hand) = &seen.in_hand {
        return after_issue(seen, in_hand, now);
    }
    match finding {
        None => rest(seen, now),
        Some(finding) => remedy(seen, &finding, now),
    }
}

/// A credential was issued and is not yet published: prove it, publish it, or forget it.
fn after_issue(seen: &Observed, in_hand: &InHand, now: Timestamp) -> Decision {
    let superseded = seen.published().is_some_and(|published| {
        published.damage == Damage::None
            && published.serial >= in_hand.credential.serial
            && !schedule::is_expired(published.expires_at, now)
    });
    if superseded || schedule::is_expired(in_hand.credential.expires_at, now) {
        return Decision::Do(Step::Discard);
    }
    match &in_hand.proof {
        Proof::Missing => match hindrance(seen, now) {
            Some(decision) => decision,
            None => Decision::Do(Step::Verify(urgency(seen))),
        },
        Proof::Given | Proof::Impossible => {
            write_refused(seen, now).unwrap_or(Decision::Do(Step::Publish))
        }
        Proof::Refused => Decision::Do(Step::Discard),
    }
}

/// Nothing is wrong: when does something have to happen again?
fn rest(seen: &Observed, now: Timestamp) -> Decision {
    let next = seen
        .published()
        .and_then(|published| schedule::next_replacement(seen, published));
    match next {
        Some((at, action)) => Decision::wait(Some(at.max(now)), Some(action), WaitReason::Rest),
        None => Decision::wait(None, None, WaitReason::Rest),
    }
}

/// Something has to be done: is it possible now?
fn remedy(seen: &Observed, finding: &Finding, now: Timestamp) -> Decision {
    match finding.remedy {
        Remedy::Repair => {
            if let Some(until) = backoff::repair_contested_until(&seen.repairs, now) {
                let next = Some(NextAction::Retry);
                return Decision::wait(Some(until), next, WaitReason::Contested);
            }
            write_refused(seen, now).unwrap_or(Decision::Do(Step::Repair))
        }
        Remedy::Replace => {
            if let Some(refusal) = refusal::of_gate(seen) {
                return Decision::Stop(refusal);
            }
            if let Some(decision) = hindrance(seen, now) {
                return decision;
            }
            if finding.reason == checks::Why::Damaged
                && let Some(until) = backoff::contested_until(&seen.replacements, now)
            {
                return Decision::wait(Some(until), Some(NextAction::Retry), WaitReason::Contested);
            }
            Decision::Do(Step::Issue(seen.next_serial(), urgency(seen)))
        }
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
        return Some(Decision::wait(None, None, WaitReason::Budget));
    }
    None
}

/// What keeps the operator from writing the Secret right now: the API server refused it a moment
/// ago. What the provider did wrong is no reason not to write.
fn write_refused(seen: &Observed, now: Timestamp) -> Option<Decision> {
    let failure = seen.failure_that_counts()?;
    (failure.reason == Reason::SecretRefused).then_some(())?;
    back_off(failure, seen, now)
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

fn urgency(seen: &Observed) -> Urgency {
    match seen.published() {
        Some(Published {
            damage: Damage::None | Damage::Repairable,
            expires_at: Some(at),
            ..
        }) => Urgency::Expiring(*at),
        Some(Published {
            damage: Damage::None | Damage::Repairable,
            ..
        }) => Urgency::Routine,
        _ => Urgency::New,
    }
}

/// Whether what is published can be used now, which is another question than whether something has
/// to be done.
pub fn is_usable(seen: &Observed, now: Timestamp) -> bool {
    seen.published().is_some_and(|published| {
        published.damage != Damage::Lost && !schedule::is_expired(published.expires_at, now)
    })
}

/// The reason of the failure or refusal that keeps a due replacement from happening, for reports.
pub(crate) fn obstacle(seen: &Observed, decision: &Decision) -> Option<(Reason, String)> {
    match decision {
        Decision::Stop(refusal) => Some((refusal.reason, refusal.message.clone())),
        Decision::Wait(Wait {
            reason: WaitReason::Retry,
            ..
        }) => seen
            .failure_that_counts()
            .map(|failure| (failure.reason, failure.message.clone())),
        Decision::Wait(Wait {
            reason: WaitReason::Provider,
            ..
        }) => match &seen.gate {
            Gate::NotReady(not_ready) => Some((not_ready.reason, not_ready.message.clone())),
            _ => None,
        },
        Decision::Wait(Wait {
            reason: WaitReason::Budget,
            ..
        }) => Some((
            Reason::WaitingForBudget,
            "the provider's budget (spec.budget) is spent for the moment; this request stands in its queue".to_owned(),
        )),
        Decision::Wait(Wait {
            reason: WaitReason::Contested,
            ..
        }) => {
            let secret = seen
                .request
                .spec
                .as_ref()
                .map_or("", |wanted| wanted.secret_name.as_str());
            let words = format!(
                "somebody deletes or damages Secret {secret} again and again; it is written again when nextActionTime says"
            );
            Some((Reason::TargetContested, words))
        }
        _ => None,
    }
}
