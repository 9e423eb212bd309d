//! The operator's finalizer on a request: when it has to be there, and how often it is put back
//! where other writers of the object remove it.

use jiff::Timestamp;

use super::{Decision, Observed, Step, WaitReason, backoff, ledger, outcome};
use crate::api::{IN_USE_FINALIZER, REVOKE_FINALIZER, Reason, request::NextAction};

/// How many additions are remembered; more than [`backoff::next_addition`] asks about.
const REMEMBERED: usize = 8;

/// The writes that put the operator's finalizer on one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// When the finalizer was added lately, oldest first.
    pub at: Vec<Timestamp>,
    /// The last write, where the object is without the finalizer after it; absent after a write
    /// that worked.
    pub failed: Option<FailedAddition>,
}

/// A write after which the object is still without the finalizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAddition {
    /// When it was made.
    pub at: Timestamp,
    /// How many such writes there were in a row.
    pub attempts: u32,
    /// Code and reason of the API server's answer, or that there was none. Absent where the API
    /// server took the write and stored the object without the finalizer, which a mutating webhook
    /// or policy can cause.
    pub answer: Option<String>,
}

impl Additions {
    /// Notes a write that put the finalizer on the object.
    pub fn worked(&mut self, now: Timestamp) {
        self.failed = None;
        self.at.push(now);
        let surplus = self.at.len().saturating_sub(REMEMBERED);
        self.at.drain(..surplus);
    }

    /// Notes a write that did not, and how the API server answered it.
    pub fn failed(&mut self, answer: Option<String>, now: Timestamp) {
        let before = self.failed.as_ref().map_or(0, |before| before.attempts);
        self.failed = Some(FailedAddition {
            at: now,
            attempts: before.saturating_add(1),
            answer,
        });
    }
}

/// Whether the request needs the finalizer: a credential of it that only the operator can revoke
/// may be alive.
pub fn is_needed(seen: &Observed, now: Timestamp) -> bool {
    // A full quota and a lost answer may both hide a credential that was made.
    let attempted = || {
        let failure = seen.recorded.failure.as_ref();
        failure.is_some_and(|failure| outcome::is_ambiguous(failure.reason))
    };
    seen.request.traits.revocable
        && (seen.in_hand.is_some()
            || seen.call_under_way
            || !seen.leftovers.is_empty()
            || attempted()
            || !ledger::records(seen, now).is_empty())
}

/// The step that puts the finalizer back where it is missing, needed, and may be added now.
pub(super) fn restore(seen: &Observed, now: Timestamp) -> Option<Decision> {
    let missing = is_missing(seen, now) && next_addition(seen, now).is_none();
    missing.then_some(Decision::Do(Step::AddFinalizer))
}

/// The step that adds the finalizer, or the wait until it may be added.
pub(super) fn add(seen: &Observed, now: Timestamp) -> Decision {
    match next_addition(seen, now) {
        None => Decision::Do(Step::AddFinalizer),
        until => Decision::wait(until, Some(NextAction::Retry), WaitReason::Finalizer),
    }
}

/// When the missing finalizer is put back, if that has to wait.
pub(super) fn next(seen: &Observed, now: Timestamp) -> Option<Timestamp> {
    is_missing(seen, now).then(|| next_addition(seen, now))?
}

/// Why the finalizer is missing although a credential may be alive, for reports.
pub(super) fn obstacle(seen: &Observed, now: Timestamp) -> Option<(Reason, String)> {
    next(seen, now).map(|_| words(&seen.additions))
}

/// Why the finalizer is not on the request.
pub(super) fn words(additions: &Additions) -> (Reason, String) {
    let (reason, cause) = cause(additions);
    let words = format!(
        "the finalizer {REVOKE_FINALIZER} is missing on this request: {cause}; until it is back, a deletion of the request \
         may leave its credentials alive at the provider"
    );
    (reason, words)
}

/// Why the finalizer is not on a provider.
pub(super) fn words_for_provider(provider: &str, additions: &Additions) -> (Reason, String) {
    let (reason, cause) = cause(additions);
    let words = format!(
        "the finalizer {IN_USE_FINALIZER} is missing on {provider}: {cause}; until it is back, a deletion of the provider \
         does not wait for CredentialRequests, and nothing is issued that has to be revoked there"
    );
    (reason, words)
}

fn cause(additions: &Additions) -> (Reason, String) {
    match &additions.failed {
        Some(FailedAddition {
            answer: Some(answer),
            ..
        }) => (
            Reason::FinalizerRefused,
            format!("the write that adds it fails ({answer})"),
        ),
        Some(FailedAddition { answer: None, .. }) => (
            Reason::TargetContested,
            "the API server stores the object without it, as a mutating webhook or policy can have it do (kubectl get \
             mutatingwebhookconfigurations,mutatingadmissionpolicies lists them)"
                .to_owned(),
        ),
        None => (
            Reason::TargetContested,
            "another writer of the object removes it again and again; the operator puts it back five times within five \
             minutes at most"
                .to_owned(),
        ),
    }
}

fn is_missing(seen: &Observed, now: Timestamp) -> bool {
    !seen.request.finalizer && seen.request.deleting.is_none() && is_needed(seen, now)
}

fn next_addition(seen: &Observed, now: Timestamp) -> Option<Timestamp> {
    backoff::next_addition(&seen.additions, seen.request.spread, now)
}
