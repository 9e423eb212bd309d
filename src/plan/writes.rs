//! Reads and writes that the API server refused: how long each one waits, and what must not happen
//! meanwhile.
//!
//! The failure has a place of its own in the status. A provider that fails as well neither hides
//! the failure nor shortens its back-off.

use jiff::Timestamp;

use super::{
    Decision, Failure, Observed, Step, WaitReason, backoff,
    checks::{self, Finding},
    outcome::record,
};
use crate::api::{
    Reason,
    request::{FailureRecord, NextAction},
};

/// A Secret that cannot be read is no news before this many attempts: one answer may be lost.
const UNREADABLE_ATTEMPTS: u32 = 3;

impl Observed {
    /// Notes that the API server refused a read or a write, or stored something else than was sent.
    pub fn fail_to_write(&mut self, failure: Failure, now: Timestamp) {
        let attempts = self
            .write_failure_that_counts()
            .map_or(0, |before| before.attempts)
            .saturating_add(1);
        let inputs = self.write_inputs();
        self.recorded.write_failure = Some(record(failure, attempts, inputs, now));
        self.done.write_accepted = false;
    }

    /// Notes that the API server accepted a write of the Secret and stored what was sent.
    pub fn write_succeeded(&mut self) {
        self.recorded.write_failure = None;
    }

    /// Notes that the API server would accept a write of the Secret. The failure stays until a
    /// write has succeeded, so that its back-off goes on where only the dry run succeeds.
    pub fn write_accepted(&mut self) {
        self.done.write_accepted = true;
    }

    /// Notes that a write met another Secret than was seen, and that the Secret was read again.
    /// Says whether the write may be tried again at once: where the Secret has changed since, once
    /// in a pass.
    pub fn met_conflict(&mut self, has_changed: bool) -> bool {
        let first = !std::mem::replace(&mut self.done.conflict, true);
        first && has_changed
    }

    /// Notes that the Secret could be read.
    pub fn read_succeeded(&mut self) {
        if self.is_unreadable() {
            self.recorded.write_failure = None;
        }
    }

    /// The last refused read or write, unless the request has changed since.
    pub fn write_failure_that_counts(&self) -> Option<&FailureRecord> {
        let failure = self.recorded.write_failure.as_ref();
        failure.filter(|failure| failure.inputs == self.write_inputs())
    }

    /// The parts of the request that a write depends on. The provider is none of them: a provider
    /// that comes and goes must not shorten the back-off.
    fn write_inputs(&self) -> String {
        let request = &self.request;
        let asked = [&request.rotate, &request.revoke_retiring];
        let [rotate, leak] = asked.map(|value| value.as_deref().unwrap_or(""));
        format!("{}/{rotate}/{leak}", request.generation)
    }

    fn is_unreadable(&self) -> bool {
        self.write_failure_that_counts()
            .is_some_and(|failure| failure.reason == Reason::SecretUnreadable)
    }
}

/// The wait before the credential in hand may be published, or another one issued: the API server
/// refused a write a moment ago.
pub(super) fn blocked(seen: &Observed, now: Timestamp) -> Option<Decision> {
    wait(seen, now, |reason| {
        !matches!(reason, Reason::TargetAltered | Reason::SecretUnreadable)
    })
}

/// The wait before the operator's part of the Secret may be repaired.
pub(super) fn repair_blocked(seen: &Observed, now: Timestamp) -> Option<Decision> {
    wait(seen, now, |reason| reason != Reason::SecretUnreadable)
}

/// The wait before the Secret may be read again.
pub(super) fn look_blocked(seen: &Observed, now: Timestamp) -> Option<Decision> {
    wait(seen, now, |reason| reason == Reason::SecretUnreadable)
}

/// The wait before the finalizer may be written again.
pub(super) fn finalizer_blocked(seen: &Observed, now: Timestamp) -> Option<Decision> {
    wait(seen, now, |reason| reason == Reason::FinalizerRefused)
}

fn wait(seen: &Observed, now: Timestamp, counts: impl Fn(Reason) -> bool) -> Option<Decision> {
    let failure = seen
        .write_failure_that_counts()
        .filter(|failure| counts(failure.reason))?;
    let until = backoff::next_write(failure, seen, now);
    (until > now).then_some(())?;
    Some(Decision::wait(
        Some(until),
        Some(NextAction::Retry),
        WaitReason::Write,
    ))
}

/// The look at the Secret, or the wait for it.
pub(super) fn look(seen: &Observed, now: Timestamp) -> Decision {
    look_blocked(seen, now).unwrap_or(Decision::Do(Step::Look))
}

/// The dry run that comes before a credential is issued after a refused write: nothing is issued
/// while it could not be published.
pub(super) fn try_first(seen: &Observed) -> Option<Decision> {
    let refused = seen.recorded.write_failure.as_ref().is_some_and(|failure| {
        matches!(
            failure.reason,
            Reason::SecretRefused | Reason::TargetContested
        )
    });
    (refused && !seen.done.write_accepted).then_some(Decision::Do(Step::TryWrite))
}

/// The first finding that is no repair. A repair that the cluster undoes each time must not keep a
/// credential from being renewed.
pub(super) fn beside_repair(seen: &Observed, now: Timestamp) -> Option<Finding> {
    checks::MUST_ACT
        .iter()
        .filter_map(|check| check(seen, now))
        .find(|finding| finding.remedy != checks::Remedy::Repair)
}

/// The refused read or write for reports, while it counts.
pub(super) fn obstacle(seen: &Observed) -> Option<(Reason, String)> {
    seen.write_failure_that_counts()
        .map(|failure| (failure.reason, failure.message.clone()))
}

/// Whether the cluster changed the data of the Secret when it was written last.
pub(super) fn is_contested(seen: &Observed) -> bool {
    contest(seen).is_some()
}

/// The same as a reason and its words.
pub(super) fn contest(seen: &Observed) -> Option<(Reason, String)> {
    obstacle(seen).filter(|(reason, _)| *reason == Reason::TargetContested)
}

/// Whether the Secret could not be read just now, and was readable a moment ago.
pub(super) fn is_briefly_unreadable(seen: &Observed) -> bool {
    seen.is_unreadable()
        && seen
            .write_failure_that_counts()
            .is_some_and(|failure| failure.attempts < UNREADABLE_ATTEMPTS)
}
