//! The facts that [`super::plan`] decides upon: one plain struct, filled by `observe` and `act`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::finalizer::Additions;
use crate::{
    api::{
        Reason,
        request::{CredentialRecord, CredentialState, FailureRecord, RegenerationRecord},
    },
    secret::SecretData,
};

/// All that is known about one request at one moment.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What the request says.
    pub request: Request,
    /// Whether its provider may be asked for a credential.
    pub gate: Gate,
    /// Whether its provider can be asked to revoke one, which no grant has to allow.
    pub access: Access,
    /// Whether the provider's deletion waits for this request.
    pub provider_held: bool,
    /// The writes that put the operator's finalizer on the request.
    pub additions: Additions,
    /// Whether the operator has removed its finalizer, since nothing is left to do for the request.
    pub is_let_go: bool,
    /// The Secret that the credential goes into.
    pub target: Target,
    /// Whether the Secret was read in this pass, or written.
    pub looked: bool,
    /// What the status says.
    pub recorded: Recorded,
    /// A credential that was issued and is not yet published.
    pub in_hand: Option<InHand>,
    /// Whether a call to the provider for this request is under way.
    pub call_under_way: bool,
    /// How long the request will stand in the queue of the provider's budget, or has stood there, if it
    /// does.
    pub queued: Option<SignedDuration>,
    /// Why the provider is left alone now; absent when it is not.
    pub left_alone: Option<Pause>,
    /// Serials whose names are taken at the provider, or were given up: they are not used again.
    pub taken: BTreeSet<u64>,
    /// Serials that could not be revoked for a reason of their own, in this round of attempts.
    pub stuck: BTreeSet<u64>,
    /// Serials of credentials that may exist although nothing holds them.
    pub leftovers: BTreeSet<u64>,
    /// The value of the annotation `rotate` that this run has written down to have a key made anew for,
    /// as long as it has not told the provider.
    pub announced: Option<String>,
    /// Whether it was written down in this pass.
    pub announced_now: bool,
    /// What became of revocations.
    pub revocations: BTreeMap<u64, Revocation>,
    /// The last proof of the published credential.
    pub probe: Probe,
    /// After which time a credential whose login is gone is given up, in a namespace that is being
    /// deleted.
    pub give_up_after: SignedDuration,
    /// When damaged credentials of this request were replaced lately, oldest first.
    pub replacements: Vec<Timestamp>,
    /// When the Secret was repaired lately without a new credential, oldest first.
    pub repairs: Vec<Timestamp>,
    /// What this pass wrote.
    pub done: Done,
}

/// Why no call is made to a provider for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The provider did not answer several times in a row.
    Outage,
    /// The provider asked for it.
    Asked,
}

/// What a pass has written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// A new credential was published.
    pub published: bool,
    /// The Secret was repaired.
    pub repaired: bool,
    /// The published credential was asked about, and there was an answer or nothing to be said.
    pub proven: bool,
    /// The API server accepted a dry run of a write of the Secret.
    pub write_accepted: bool,
    /// A write met another Secret than was seen.
    pub conflict: bool,
}

/// What a request says, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its name, for messages.
    pub name: String,
    /// Kind and name of the provider that it names, for messages.
    pub provider: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// Since when it is being deleted, if it is.
    pub deleting: Option<Timestamp>,
    /// Whether its namespace is being deleted.
    pub namespace_deleting: bool,
    /// Whether it carries the operator's finalizer.
    pub finalizer: bool,
    /// What its kind of credential can do. Known even where the rest of the spec is not valid.
    pub traits: Traits,
    /// Whether credential and Secret stay when it is deleted.
    pub retain: bool,
    /// The value of the annotation `rotate`.
    pub rotate: Option<String>,
    /// The value of the annotation `revoke-retiring`.
    pub revoke_retiring: Option<String>,
    /// The ids in the annotation `abandon`.
    pub abandon: BTreeSet<String>,
    /// 0 to 999, derived from the request's UID: moves its times away from those of others.
    pub spread: u32,
    /// `spec.suspend`.
    pub suspended: bool,
    /// What it asks for, or which field is wrong.
    pub spec: Result<Wanted, Refusal>,
}

/// What a kind of credential can do, as far as it makes a difference here: it follows from what the kind
/// can do at its provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Each one has a name that is derived from the request, can be revoked by it, and has to be.
    pub revocable: bool,
    /// The published one is revoked when the request is gone, if that is still possible then; it
    /// expires soon anyway.
    pub parting: bool,
    /// It is read at the provider and not made there, so that it can change behind our back: it is read
    /// again every now and then, and published where it is another one by then.
    pub fetched: bool,
    /// A new value of the annotation `rotate` may have it made anew at the provider, which kills the one
    /// before at once: where the request says so.
    pub regenerable: bool,
    /// A rotation finds the same one again, so that none is there which could be revoked after a leak.
    pub shared: bool,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What kind of credential, by the fields of a request that ask for it.
    pub credential: &'static str,
    /// A digest of what is asked of the provider: a change means a new credential.
    pub digest: String,
    /// The Secret's name.
    pub secret_name: String,
    /// How long before its expiry the credential is renewed.
    pub renew_before: Option<SignedDuration>,
    /// At which age the credential is replaced.
    pub rotate_every: Option<SignedDuration>,
    /// How long a replaced credential goes on working.
    pub overlap: SignedDuration,
    /// How often the published credential is proven again.
    pub verify_every: Option<SignedDuration>,
    /// When all of it ends, and the field that says so.
    pub ends: Option<(Timestamp, &'static str)>,
    /// Whether the annotation `rotate` has the provider make a key anew, which destroys the one before.
    pub regenerate: bool,
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

/// Whether a provider can be asked to revoke a credential.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// It can.
    Open {
        /// The versions of what is used to reach it.
        inputs: String,
    },
    /// It is being checked.
    Checking,
    /// It cannot.
    Closed {
        /// Why.
        obstacle: Refusal,
        /// Whether the login, or the provider itself, is gone.
        login_is_gone: bool,
    },
}

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The provider was told, and that it is gone is not confirmed yet.
    Sent,
    /// It is gone.
    Gone,
    /// There was nothing by that name.
    Absent,
    /// What is there by that name belongs to somebody else and is left alone.
    Foreign,
}

/// The last proof of the published credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// When it was made, or when the operator first saw the credential after its start.
    pub at: Option<Timestamp>,
    /// The serial that the provider does not know any more.
    pub refused: Option<u64>,
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
    /// The value that the annotation `revoke-retiring` had when it was issued.
    pub leak: Option<String>,
    /// Whether the provider could not prove it.
    pub unverified: bool,
    /// The provider's id of the credential, where it has one.
    pub id: Option<String>,
    /// Whom it belongs to at the provider.
    pub owner: Option<String>,
    /// Whether the request is the Secret's controlling owner, so that the Secret goes with it.
    pub is_owned: bool,
    /// The parts of the Secret that no write can put right, such as its type, in words.
    pub deviation: Option<String>,
    /// What somebody did to it.
    pub damage: Damage,
}

/// What somebody did to a published Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Nothing.
    None,
    /// The data is whole; labels, annotations, owners, or what the provider adds to the data now, are
    /// others than they should be.
    Metadata,
    /// The credential itself is whole, and other keys of the data are not.
    Repairable,
    /// The credential is gone.
    Lost,
}

/// What the status says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The credentials that may be alive.
    pub credentials: Vec<CredentialRecord>,
    /// The highest serial that was used.
    pub last_serial: u64,
    /// Whether its conditions say anything yet.
    pub told: bool,
    /// When what was published last expires.
    pub expires_at: Option<Timestamp>,
    /// The value of the annotation `rotate` that was last carried out.
    pub rotated: Option<String>,
    /// The value of the annotation `revoke-retiring` that was last carried out.
    pub revoked_retiring: Option<String>,
    /// What is written down of having a key made anew.
    pub regeneration: Option<RegenerationRecord>,
    /// Digests of the values that were used for that.
    pub used_rotations: Vec<String>,
    /// The last attempt, when it failed.
    pub failure: Option<FailureRecord>,
    /// The last attempt to revoke, when it failed.
    pub revocation_failure: Option<FailureRecord>,
    /// The last read or write that the API server refused.
    pub write_failure: Option<FailureRecord>,
}

impl Recorded {
    /// The highest serial that was ever used, as far as is recorded.
    pub fn last(&self) -> u64 {
        self.serial().max(self.last_serial)
    }

    /// The highest serial in the ledger.
    pub fn serial(&self) -> u64 {
        let serials = self.credentials.iter().map(|record| record.serial);
        serials.max().unwrap_or(0)
    }
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
    /// Whether the provider has made it in the place of the one that is published, which is dead.
    pub regenerated: bool,
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
    /// The same of the annotation `revoke-retiring`.
    pub leak: Option<String>,
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
    /// How long this request alone has to wait, because what it has begun may still come to something.
    pub rest: Option<SignedDuration>,
}

impl Observed {
    /// What is published, if anything is that belongs to the request.
    pub fn published(&self) -> Option<&Published> {
        match &self.target {
            Target::Ours(published) | Target::Immutable(published) => Some(published),
            _ => None,
        }
    }

    /// The serial of the credential that is published, or was until the Secret was lost; 0 when none
    /// ever was.
    pub fn baseline(&self) -> u64 {
        let recorded = self.recorded.credentials.iter();
        let current = recorded.filter(|record| record.state == CredentialState::Current);
        match self.published() {
            Some(published) => published.serial,
            None => current.map(|record| record.serial).max().unwrap_or(0),
        }
    }

    /// The serial of the next credential: above all that are known, and none whose name is taken.
    /// What is found under the name of a serial was not published, but it is not certain that it never
    /// will be: another operator may hold it. So it is left alone until the next one is published,
    /// and the number is not used again.
    pub fn next_serial(&self) -> u64 {
        let published = self.published().map_or(0, |published| published.serial);
        let above = self.recorded.last().max(published).saturating_add(1);
        (above..)
            .find(|serial| !self.taken.contains(serial))
            .unwrap_or(above)
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
        let asked = [&self.request.rotate, &self.request.revoke_retiring];
        let [rotate, leak] = asked.map(|value| value.as_deref().unwrap_or(""));
        let regenerate = self
            .request
            .spec
            .as_ref()
            .is_ok_and(|wanted| wanted.regenerate);
        let mut inputs = format!("{digest}/{provider}/{rotate}");
        for more in [leak, if regenerate { "regenerate" } else { "" }] {
            if !more.is_empty() {
                inputs.push('/');
                inputs.push_str(more);
            }
        }
        inputs
    }

    /// The value of the annotation `rotate` that was last carried out.
    pub fn rotated(&self) -> Option<&String> {
        match self.published() {
            // Suspended or refused requests are not looked at.
            None => self.recorded.rotated.as_ref(),
            Some(published) => published.rotation.as_ref(),
        }
    }

    /// The value of the annotation `revoke-retiring` that was last carried out.
    pub fn leaked(&self) -> Option<&String> {
        match self.published() {
            None => self.recorded.revoked_retiring.as_ref(),
            Some(published) => published.leak.as_ref(),
        }
    }

    /// The failure on record, unless something that it depended on has changed since.
    pub fn failure_that_counts(&self) -> Option<&FailureRecord> {
        self.recorded
            .failure
            .as_ref()
            .filter(|failure| failure.inputs == self.inputs())
    }

    /// The failure to revoke that is on record, unless the way to the provider has changed since.
    pub fn revocation_failure_that_counts(&self) -> Option<&FailureRecord> {
        let failure = self.recorded.revocation_failure.as_ref();
        failure.filter(|failure| failure.inputs == self.access_inputs())
    }

    pub(super) fn access_inputs(&self) -> String {
        match &self.access {
            Access::Open { inputs } => inputs.clone(),
            Access::Checking | Access::Closed { .. } => String::new(),
        }
    }
}
