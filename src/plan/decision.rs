//! The plan's answer: a step, a wait with its reason, or a refusal.

use jiff::Timestamp;

use super::Refusal;
use crate::api::request::NextAction;

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
    /// Put the operator's finalizer on the request, before anything is issued that has to be revoked.
    AddFinalizer,
    /// Have the provider's deletion wait for the request, before anything is issued that has to be
    /// revoked there.
    HoldProvider,
    /// Ask the provider for the credential with this serial.
    Issue(u64, Urgency),
    /// Write down that the provider is about to be told to make a key anew, which destroys the one before.
    Announce(Urgency),
    /// Tell it; the new key gets this serial.
    Regenerate(u64, Urgency),
    /// Prove at the provider that the credential in hand works.
    Verify(Urgency),
    /// Ask the API server whether it would accept a write of the Secret, without writing.
    TryWrite,
    /// Put the credential in hand into the Secret.
    Publish,
    /// Write the operator's part of the Secret again, from what is still good in it.
    Repair,
    /// Forget the credential in hand; where it can be revoked, that follows.
    Discard,
    /// Prove at the provider that the published credential still works.
    Prove(Urgency),
    /// Have the provider revoke the credential with this serial, whatever is there by its name and
    /// belongs to the request.
    Revoke(u64, Urgency),
    /// Make sure that nothing by the name of this serial is left at the provider.
    Confirm(u64, Urgency),
    /// Let the request go.
    RemoveFinalizer {
        /// Whether something may be left alive that nobody can revoke any more.
        given_up: bool,
    },
}

/// Who goes first when a provider's budget is scarce: the first proof of what was issued, then what
/// expires first, then new requests, then what can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A credential was issued and is in this process alone until it is proven: a crash would lose
    /// it. Nobody starves, because each issue earns one such proof. A proof that failed is repeated
    /// with the urgency that its request has.
    InHand,
    /// A published credential expires at this time.
    Expiring(Timestamp),
    /// Nothing usable is published, or a request is being deleted.
    New,
    /// What is published works and goes on working, until this time at least.
    Routine(Timestamp),
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
    /// An older credential has to go before another one may come.
    Overlap,
    /// A credential cannot be revoked at the moment.
    Revocation,
    /// The API server refused a read or a write, which is due again later.
    Write,
    /// The operator's finalizer cannot be put on the request at the moment.
    Finalizer,
}

impl Decision {
    pub(super) fn wait(
        until: Option<Timestamp>,
        next: Option<NextAction>,
        reason: WaitReason,
    ) -> Self {
        Decision::Wait(Wait {
            until,
            next,
            reason,
        })
    }
}
