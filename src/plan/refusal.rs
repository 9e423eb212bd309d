//! What stops a request before anything is tried: its own spec, its Secret, its provider.

use jiff::Timestamp;

use super::{Gate, Observed, Refusal, Target};
use crate::api::Reason;

/// What the request itself says that stops it.
pub fn of_request(seen: &Observed, now: Timestamp) -> Option<Refusal> {
    if seen.request.suspended {
        return Some(Refusal::new(
            Reason::Suspended,
            "spec.suspend is true: the Secret is neither repaired nor renewed until it is false",
        ));
    }
    match &seen.request.spec {
        Err(refusal) => return Some(refusal.clone()),
        Ok(wanted) => {
            if let Some((_, field)) = wanted.ends.filter(|(ends, _)| *ends <= now) {
                return Some(Refusal::new(
                    Reason::InvalidSpec,
                    format!("{field} is over: set a later time, or delete the request"),
                ));
            }
        }
    }
    // A grant that was withdrawn stops everything but keeps what is published.
    match &seen.gate {
        Gate::Refused(refusal) if refusal.reason == Reason::NotAllowed => Some(refusal.clone()),
        _ => None,
    }
}

/// What the Secret's state forbids.
pub fn of_target(target: &Target) -> Option<Refusal> {
    match target {
        Target::Foreign(whose) => Some(Refusal::new(Reason::TargetNotOwned, whose.clone())),
        Target::Terminating => Some(Refusal::new(
            Reason::TargetTerminating,
            "the Secret is being deleted and something holds it; remove its finalizers, then it is created anew",
        )),
        Target::Immutable(_) => Some(Refusal::new(
            Reason::TargetImmutable,
            "the Secret has to be written and is marked immutable; delete it, then it is created anew",
        )),
        Target::Unknown | Target::Unseen | Target::Absent | Target::Adoptable | Target::Ours(_) => {
            None
        }
    }
}

/// What the provider's absence forbids.
pub fn of_gate(seen: &Observed) -> Option<Refusal> {
    match &seen.gate {
        Gate::Refused(refusal) => Some(refusal.clone()),
        Gate::Open { .. } | Gate::Checking | Gate::NotReady(_) => None,
    }
}
