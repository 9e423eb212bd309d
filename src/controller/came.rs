//! What came back from a provider, taken into what is observed.

use super::{memory::Came, observe::Pass, record};
use crate::{
    api::Reason,
    clock,
    plan::{Failure, InHand, Proof, Revocation, report::Note},
    providers::{Issuance, NotRegenerated, Told, http::failed},
};

/// After so many names in a row that are taken, somebody is making them up.
const MOST_TAKEN: usize = 8;

impl Pass {
    /// Takes what came back from a provider.
    pub fn take(&mut self, came: Came) {
        match came {
            Came::Issued(Ok(issuance), purpose) => {
                let Issuance::Issued(issued) = *issuance else {
                    self.taken(purpose.serial);
                    self.remember();
                    return;
                };
                if let Some(remark) = issued.remark {
                    self.remark(remark);
                }
                let mut credential = issued.credential;
                credential.serial = purpose.serial;
                credential.asked = purpose.asked;
                credential.rotation = purpose.rotation;
                credential.leak = purpose.leak;
                self.seen.leftovers.remove(&purpose.serial);
                self.seen.revocations.remove(&purpose.serial);
                self.seen.in_hand = Some(InHand {
                    credential,
                    data: issued.data,
                    proof: Proof::Missing,
                    regenerated: false,
                });
            }
            Came::Issued(Err(failure), purpose) => {
                self.context.metrics.failure(failure.reason);
                self.seen
                    .fail_to_issue(purpose.serial, failure, clock::now());
            }
            Came::Regenerated(Ok(made), purpose) => {
                let mut credential = made.issued.credential;
                credential.serial = purpose.serial;
                credential.asked = purpose.asked;
                credential.rotation = purpose.rotation;
                tracing::info!(request = %self.key, "the provider has made a key anew, as it was asked to");
                self.seen.in_hand = Some(InHand {
                    credential,
                    data: made.issued.data,
                    proof: made.proof,
                    regenerated: true,
                });
            }
            Came::Regenerated(Err(not), purpose) => self.not_regenerated(not, purpose.rotation),
            Came::Probed(serial, result) => self.probed(serial, result),
            Came::Revoked(serial, Ok(revocation)) => {
                self.seen.revoke(serial, revocation);
                self.has_room(revocation);
            }
            Came::Revoked(serial, Err(failure)) => {
                self.context.metrics.failure(failure.reason);
                self.seen.fail_to_revoke(serial, failure, clock::now());
            }
            Came::Proof(Ok(proof)) => {
                if let Some(in_hand) = &mut self.seen.in_hand {
                    in_hand.proof = proof;
                }
                if proof == Proof::Refused {
                    let words = if self.seen.request.traits.fetched {
                        "two readings in a row differed; nothing is published, and it is read again. Where a part of it \
                         changes at every reading, choose in the request only what stays"
                    } else {
                        "the provider issued a credential and then refused it; it is not published"
                    };
                    self.fail(failed(Reason::VerificationFailed, words));
                }
            }
            Came::Proof(Err(failure)) => {
                // What was only read is read anew then, for what is asked for and allowed by that time.
                let fetched = self.seen.request.traits.fetched;
                self.seen.in_hand = self
                    .seen
                    .in_hand
                    .take()
                    .filter(|in_hand| in_hand.regenerated || !fetched);
                self.fail(failure);
            }
        }
        self.remember();
    }

    /// Tells people what a provider has to say about a credential that works.
    fn remark(&self, remark: String) {
        tracing::warn!(request = %self.key, %remark, "a credential came with a remark");
        let note = Note {
            warning: true,
            reason: "Remark",
            action: "Issue",
            note: remark,
        };
        record::tell(&self.context, self.request.as_ref(), note);
    }

    /// A key was not made anew, as far as is known. Only where the provider was not told it is tried again.
    fn not_regenerated(&mut self, not: NotRegenerated, value: Option<String>) {
        let message = not.failure.message.clone();
        match not.told {
            Told::No => {
                self.seen.announced = value;
                self.fail(not.failure);
            }
            Told::Refused => {
                self.context.metrics.failure(not.failure.reason);
                self.seen.fail_to_regenerate(not.failure.reason, message);
            }
            Told::Perhaps => {
                tracing::warn!(request = %self.key, reason = %not.failure.reason, "whether the provider has made a key anew is not known; it is read");
                self.fail(not.failure);
            }
        }
    }

    /// A full quota has room again when something is gone.
    fn has_room(&mut self, revocation: Revocation) {
        let failure = self.seen.recorded.failure.as_ref();
        if revocation == Revocation::Gone
            && failure.is_some_and(|failure| failure.reason == Reason::QuotaExceeded)
        {
            self.seen.recorded.failure = None;
        }
    }

    /// Something by the name of a serial is there already.
    fn taken(&mut self, serial: u64) {
        self.seen.taken.insert(serial);
        self.seen.leftovers.insert(serial);
        let in_a_row = self.seen.taken.range(self.seen.baseline() + 1..).count();
        if in_a_row >= MOST_TAKEN {
            // Looked at again, from the beginning, when it is tried the next time.
            self.seen.taken.clear();
            self.fail(failed(
                Reason::IdentityTaken,
                format!(
                    "credentials by the names that follow from this request's UID for serials up to {serial} exist already at \
                     the provider"
                ),
            ));
        }
    }

    /// What became of a proof of the published credential. That it could not be had is no news for what
    /// was made for the request, and due again after `verifyEvery`; what was only read may be another
    /// one by now.
    fn probed(&mut self, serial: u64, result: Result<Proof, Failure>) {
        if self.seen.request.traits.fetched {
            match result {
                Err(failure) => return self.fail(failure),
                Ok(_) => self.seen.recorded.failure = None,
            }
        }
        self.seen.probe.at = Some(clock::now());
        self.seen.done.proven = true;
        match result {
            Ok(Proof::Refused) => {
                tracing::warn!(request = %self.key, serial, "the provider does not know the published credential any more");
                self.seen.probe.refused = Some(serial);
            }
            Ok(_) => {
                self.seen.probe.refused = None;
                self.seen.unchanged(clock::now());
            }
            Err(failure) => {
                tracing::info!(request = %self.key, reason = %failure.reason, "the published credential could not be proven");
            }
        }
    }
}
