//! What came of a step, noted in what is observed.

use jiff::Timestamp;

use super::{Failure, Observed, Probe, Published, Revocation, Target, backoff};
use crate::api::{Reason, request::FailureRecord};

impl Observed {
    /// Notes a failed attempt: one more in a row, or the first with these inputs.
    pub fn fail(&mut self, failure: Failure, now: Timestamp) {
        let attempts = self
            .failure_that_counts()
            .map_or(0, |before| before.attempts)
            .saturating_add(1);
        self.recorded.failure = Some(record(failure, attempts, self.inputs(), now));
    }

    /// Notes a failed attempt to revoke, in the same way. Where it says something about that credential
    /// alone, the others are tried before it is that one's turn again.
    pub fn fail_to_revoke(&mut self, serial: u64, failure: Failure, now: Timestamp) {
        // What could not be confirmed is asked for once more.
        self.revocations.remove(&serial);
        let single = failure.reason == Reason::UnexpectedAnswer
            || backoff::class(failure.reason) == backoff::Class::Lacking;
        if !single || self.stuck.contains(&serial) {
            // A new round.
            self.stuck.clear();
        }
        if single {
            self.stuck.insert(serial);
        }
        let attempts = self
            .revocation_failure_that_counts()
            .map_or(0, |before| before.attempts)
            .saturating_add(1);
        let inputs = self.access_inputs();
        self.recorded.revocation_failure = Some(record(failure, attempts, inputs, now));
    }

    /// Notes what became of a revocation.
    pub fn revoke(&mut self, serial: u64, revocation: Revocation) {
        self.stuck.remove(&serial);
        if self.stuck.is_empty() {
            self.recorded.revocation_failure = None;
        }
        self.revocations.insert(serial, revocation);
        // Not used again: a call to revoke it may be late.
        self.taken.insert(serial);
        let baseline = self.baseline();
        self.taken.retain(|serial| *serial > baseline);
    }

    /// Notes that the credential in hand was published.
    pub fn publish(&mut self, published: Published) {
        self.leftovers.remove(&published.serial);
        // It was proven when it was in hand. Without a time nothing would wake the request for the next
        // proof: no pass has to follow this one.
        self.probe = Probe {
            at: Some(published.issued_at),
            refused: None,
        };
        self.target = Target::Ours(published);
        self.in_hand = None;
        self.recorded.failure = None;
        self.done.published = true;
        self.looked = true;
    }
}

pub(super) fn record(
    failure: Failure,
    attempts: u32,
    inputs: String,
    now: Timestamp,
) -> FailureRecord {
    FailureRecord {
        reason: failure.reason,
        attempts,
        last_attempt_time: now,
        not_before: failure
            .retry_after
            .max(failure.rest)
            .and_then(|wait| now.checked_add(wait).ok()),
        inputs,
        message: failure.message,
    }
}
