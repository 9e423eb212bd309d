//! What came of a step, noted in what is observed.

use jiff::Timestamp;

use super::{Credential, Failure, Observed, Probe, Published, Revocation, Target, backoff, ledger};
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

    /// Notes a failed attempt to issue the credential with this serial. Where the provider may have
    /// made it all the same, the serial is kept as one that may be alive.
    pub fn fail_to_issue(&mut self, serial: u64, failure: Failure, now: Timestamp) {
        if self.request.traits.revocable && is_ambiguous(failure.reason) {
            self.leftovers.insert(serial);
        }
        self.fail(failure, now);
    }

    /// Notes a credential that was issued and will not be published, where it has to be revoked.
    /// Its serial is not used again, and the ledger lists it until it is gone.
    pub fn give_back(&mut self, credential: &Credential) {
        self.taken.insert(credential.serial);
        self.leftovers.insert(credential.serial);
        let records = &mut self.recorded.credentials;
        records.retain(|record| record.serial != credential.serial);
        records.push(ledger::unpublished(credential));
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

/// Whether a provider may have made a credential although the call failed for this reason.
pub(super) fn is_ambiguous(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ProviderUnavailable
            | Reason::Timeout
            | Reason::UnexpectedAnswer
            | Reason::InternalError
            // A full quota is told before a name that is taken: what an attempt has left behind may
            // be what fills it.
            | Reason::QuotaExceeded
    )
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
