//! The facts that [`super::plan`] decides upon: one plain struct, filled by `observe` and `act`.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{Reason, request::FailureRecord},
    secret::SecretData,
};

/// All that is known about one request at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What the request says.
    pub request: Request,
    /// Whether its provider may be asked.
    pub gate: Gate,
    /// The Secret that the credential goes into.
    pub target: Target,
    /// What the status says.
    pub recorded: Recorded,
    /// A credential that was issued and is not yet published.
    pub in_hand: Option<InHand>,
    /// Whether a call to the provider for this request is under way.
    pub call_under_way: bool,
    /// How long the request will stand in the queue of the provider's budget, if it does.
    pub queued: Option<SignedDuration>,
    /// When damaged credentials of this request were replaced lately, oldest first.
    pub replacements: Vec<Timestamp>,
    /// When the Secret was repaired lately without a new credential, oldest first.
    pub repairs: Vec<Timestamp>,
    /// What this pass wrote.
    pub done: Done,
}

/// What a pass has written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// A new credential was published.
    pub published: bool,
    /// The Secret was repaired.
    pub repaired: bool,
}

/// What a request says, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its name, for messages.
    pub name: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// The value of the annotation `rotate`.
    pub rotate: Option<String>,
    /// 0 to 999, derived from the request's UID: moves its times away from those of others.
    pub spread: u32,
    /// `spec.suspend`.
    pub suspended: bool,
    /// What it asks for, or which field is wrong.
    pub spec: Result<Wanted, Refusal>,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What kind of credential, such as `dce.token`.
    pub credential: &'static str,
    /// A digest of what is asked of the provider: a change means a new credential.
    pub digest: String,
    /// The Secret's name.
    pub secret_name: String,
    /// How long before its expiry the credential is renewed.
    pub renew_before: Option<SignedDuration>,
    /// At which age the credential is replaced.
    pub rotate_every: Option<SignedDuration>,
}

/// Why nothing will be done before somebody changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// Which object and field, and the way out.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Refusal {
            reason,
            message: message.into(),
        }
    }
}

/// Whether a request's provider may be asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Gate {
    /// It may.
    Open {
        /// The versions of what is used to reach it.
        inputs: String,
    },
    /// The provider is being checked, because it or what it refers to is new or has changed.
    Checking,
    /// The provider is there and cannot be used at the moment.
    NotReady(NotReady),
    /// The provider is not there, or allows nothing of what is asked for.
    Refused(Refusal),
}

/// Why a provider cannot be used at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct NotReady {
    /// The reason, the same as in the provider's own condition.
    pub reason: Reason,
    /// The provider's name and what is wrong.
    pub message: String,
    /// When the provider is tried again; on a change alone when absent.
    pub retry_at: Option<Timestamp>,
}

/// The Secret that the credential goes into.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Nothing is known that could be acted upon.
    Unknown,
    /// Nothing is known, and nothing was ever published: creating it tells.
    Unseen,
    /// It is not there.
    Absent,
    /// It is there and belongs to somebody else.
    Foreign(String),
    /// It is there and its owner lets the request take it over.
    Adoptable,
    /// It is there, belongs to the request, and is marked immutable although it has to be written.
    Immutable(Published),
    /// It is being deleted.
    Terminating,
    /// It belongs to the request.
    Ours(Published),
}

/// What is in a Secret that belongs to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The credential's serial.
    pub serial: u64,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The digest of what was asked for when it was issued.
    pub asked: String,
    /// The value that the annotation `rotate` had when it was issued.
    pub rotation: Option<String>,
    /// Whether the provider could not prove it.
    pub unverified: bool,
    /// The provider's id of the credential, where it has one.
    pub id: Option<String>,
    /// Whom it belongs to at the provider.
    pub owner: Option<String>,
    /// What somebody did to it.
    pub damage: Damage,
}

/// What somebody did to a published Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// The credential itself is whole, something around it is not.
    Repairable,
    /// The credential is gone.
    Lost,
}

/// What the status says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The highest serial that the ledger names.
    pub serial: u64,
    /// The value of the annotation `rotate` that was last carried out.
    pub rotated: Option<String>,
    /// The last attempt, when it failed.
    pub failure: Option<FailureRecord>,
}

/// A credential that was issued and is not yet published.
#[derive(Clone, Debug)]
pub struct InHand {
    /// What is known about it.
    pub credential: Credential,
    /// What goes into the Secret.
    pub data: SecretData,
    /// Whether it was proven.
    pub proof: Proof,
}

/// Whether a credential was proven at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Not yet.
    Missing,
    /// It works.
    Given,
    /// The provider has no way to prove it.
    Impossible,
    /// It does not work.
    Refused,
}

/// What is known about a credential, apart from what is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Counts the credentials of one request.
    pub serial: u64,
    /// The provider's id, where it has one.
    pub id: Option<String>,
    /// Whom it belongs to at the provider.
    pub owner: Option<String>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires; absent when it never does.
    pub expires_at: Option<Timestamp>,
    /// The digest of what was asked for.
    pub asked: String,
    /// The value that the annotation `rotate` of the request had. It stands beside the credential, so
    /// that a rotation is carried out once even when the status could not be written.
    pub rotation: Option<String>,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reason; it decides alone when the next attempt is made.
    pub reason: Reason,
    /// What happened, for people; nothing secret and nothing that a tenant's server said.
    pub message: String,
    /// How long the provider asked to be left alone.
    pub retry_after: Option<SignedDuration>,
}

impl Observed {
    /// What is published, if anything is that belongs to the request.
    pub fn published(&self) -> Option<&Published> {
        match &self.target {
            Target::Ours(published) | Target::Immutable(published) => Some(published),
            _ => None,
        }
    }

    /// The serial of the next credential.
    pub fn next_serial(&self) -> u64 {
        let published = self.published().map_or(0, |published| published.serial);
        self.recorded.serial.max(published) + 1
    }

    /// The versions of all that an attempt depends on: a change of one makes a failure void.
    pub fn inputs(&self) -> String {
        let provider = match &self.gate {
            Gate::Open { inputs } => inputs.as_str(),
            _ => "",
        };
        let digest = self
            .request
            .spec
            .as_ref()
            .map_or("", |wanted| wanted.digest.as_str());
        let rotate = self.request.rotate.as_deref().unwrap_or("");
        format!("{digest}/{provider}/{rotate}")
    }

    /// Notes a failed attempt: one more in a row, or the first with these inputs.
    pub fn fail(&mut self, failure: Failure, now: Timestamp) {
        let attempts = self
            .failure_that_counts()
            .map_or(0, |before| before.attempts)
            .saturating_add(1);
        self.recorded.failure = Some(FailureRecord {
            reason: failure.reason,
            attempts,
            last_attempt_time: now,
            not_before: failure
                .retry_after
                .and_then(|wait| now.checked_add(wait).ok()),
            inputs: self.inputs(),
            message: failure.message,
        });
    }

    /// Notes that the credential in hand was published.
    pub fn publish(&mut self, published: Published) {
        self.target = Target::Ours(published);
        self.in_hand = None;
        self.recorded.failure = None;
        self.done.published = true;
    }

    /// The value of the annotation `rotate` that was last carried out.
    pub fn rotated(&self) -> Option<&String> {
        match self.published() {
            // Suspended or refused requests are not looked at.
            None => self.recorded.rotated.as_ref(),
            Some(published) => published.rotation.as_ref(),
        }
    }

    /// The failure on record, unless something that it depended on has changed since.
    pub fn failure_that_counts(&self) -> Option<&FailureRecord> {
        self.recorded
            .failure
            .as_ref()
            .filter(|failure| failure.inputs == self.inputs())
    }
}
