//! What the operator remembers of each request between passes. All of it can be lost: a restart
//! begins with an empty memory and finds the rest by looking.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;

use super::{
    key::{ProviderKey, RequestKey, SecretKey},
    lock,
};
use crate::{
    api::{CredentialRequest, request::FailureRecord},
    plan::{Failure, InHand, Probe, Proof, Revocation, finalizer::Additions},
    providers::{Issuance, NotRegenerated, Regenerated},
    secret::Known,
};

/// How many replacements and repairs are remembered; more than the plan ever asks about.
const REMEMBERED: usize = 64;

/// What is remembered of one request.
#[derive(Default)]
pub struct Remembered {
    /// The UID that all of this is about.
    pub uid: String,
    /// The request as the last own write left it, until the watch has caught up.
    pub written: Option<Arc<CredentialRequest>>,
    /// The resource version of the last own write of the request.
    pub written_version: String,
    /// The name of the Secret that all of this is about.
    pub secret_name: String,
    /// The Secret as it was last found whole or written.
    pub known: Option<Known>,
    /// The last that the watch told about the Secret.
    pub heard: Option<Heard>,
    /// Whether the Secret has to be looked at, whatever is known.
    pub must_look: bool,
    /// A credential that was issued and is not yet published.
    pub in_hand: Option<InHand>,
    /// A call to the provider that is under way, or has come back unnoticed.
    pub call: CallState,
    /// The last failed attempts to issue and to revoke, which may not be written down yet: what follows
    /// them is under way, and the status is written when that has come back. `None` after a start, when
    /// the status is all there is.
    pub failures: Option<Failures>,
    /// Serials whose names are taken at the provider, or were given up.
    pub taken: BTreeSet<u64>,
    /// Serials that could not be revoked for a reason of their own.
    pub stuck: BTreeSet<u64>,
    /// Serials of credentials that may exist although nothing holds them.
    pub leftovers: BTreeSet<u64>,
    /// The value of the annotation `rotate` that a key is to be made anew for, written down and not told yet.
    pub announced: Option<String>,
    /// The writes that put the operator's finalizer on the request.
    pub additions: Additions,
    /// Whether the operator removes its finalizer, or has removed it.
    pub is_let_go: bool,
    /// What became of revocations that are not written down yet.
    pub revocations: BTreeMap<u64, Revocation>,
    /// The last proof of the published credential, and the serial that it was about.
    pub probe: (u64, Probe),
    /// When damaged credentials were replaced lately.
    pub replacements: Vec<Timestamp>,
    /// When the Secret was repaired lately.
    pub repairs: Vec<Timestamp>,
    /// After a panic: which version of the request it was, and until when no pass is made over it.
    pub resting: Option<(String, std::time::Instant)>,
    /// How often in a row the API server kept a pass from ending.
    pub hindered: u32,
    /// When the request was first seen, for measuring.
    pub published_once: bool,
}

/// Failed attempts to issue and to revoke.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failures {
    /// To issue.
    pub issue: Option<FailureRecord>,
    /// To revoke.
    pub revoke: Option<FailureRecord>,
    /// To read or write the Secret, or to write the finalizer.
    pub write: Option<FailureRecord>,
}

/// What the watch told about a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The resource version.
    pub version: u64,
    /// Whether it is gone.
    pub gone: bool,
}

/// A call to a provider.
#[derive(Default)]
pub enum CallState {
    /// None.
    #[default]
    None,
    /// Under way.
    UnderWay,
    /// It came back after the pass that made it had ended.
    Back(Box<Came>),
}

/// What a credential was issued for.
#[derive(Clone)]
pub struct Purpose {
    /// Its serial.
    pub serial: u64,
    /// The digest of what was asked for.
    pub asked: String,
    /// The value of the annotation `rotate`.
    pub rotation: Option<String>,
    /// The value of the annotation `revoke-retiring`.
    pub leak: Option<String>,
}

/// What came back from a provider.
pub enum Came {
    /// A credential, or why there is none.
    Issued(Result<Box<Issuance>, Failure>, Purpose),
    /// A key that was made anew, or why not.
    Regenerated(Result<Box<Regenerated>, NotRegenerated>, Purpose),
    /// A proof of what is in hand, or why there is none.
    Proof(Result<Proof, Failure>),
    /// A proof of what is published with a serial, or why there is none.
    Probed(u64, Result<Proof, Failure>),
    /// What became of the revocation of a serial, or of its confirmation.
    Revoked(u64, Result<Revocation, Failure>),
}

impl Came {
    /// The result of an issue call that panicked: a failed issue, so that a credential which the
    /// provider may have made counts as one that may be alive.
    pub fn issue_lost(purpose: Purpose) -> impl FnOnce(Failure) -> Came + Send + 'static {
        move |failure| Came::Issued(Err(failure), purpose)
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Came::Issued(Err(failure), _)
            | Came::Proof(Err(failure))
            | Came::Probed(_, Err(failure))
            | Came::Revoked(_, Err(failure)) => Some(failure),
            Came::Regenerated(Err(not), _) => Some(&not.failure),
            _ => None,
        }
    }
}

/// The memory of all requests, with the indexes that lead from other objects to them.
#[derive(Default)]
pub struct Memory {
    inner: Mutex<Inner>,
    complete: AtomicBool,
}

#[derive(Default)]
struct Inner {
    requests: HashMap<RequestKey, Remembered>,
    refers: HashMap<RequestKey, (SecretKey, ProviderKey)>,
    /// Those whose credentials have to be revoked before they go.
    needing: BTreeSet<RequestKey>,
    by_secret: HashMap<SecretKey, BTreeSet<RequestKey>>,
    by_provider: HashMap<ProviderKey, BTreeSet<RequestKey>>,
}

impl Memory {
    /// Notes what a request refers to.
    pub fn index(&self, key: &RequestKey, secret: SecretKey, provider: ProviderKey) {
        let mut inner = lock(&self.inner);
        if inner.refers.get(key) == Some(&(secret.clone(), provider.clone())) {
            return;
        }
        inner.unrefer(key);
        inner
            .by_secret
            .entry(secret.clone())
            .or_default()
            .insert(key.clone());
        inner
            .by_provider
            .entry(provider.clone())
            .or_default()
            .insert(key.clone());
        inner.refers.insert(key.clone(), (secret, provider));
    }

    /// Notes whether a request needs its provider to revoke something. Says whether that is news.
    pub fn needs(&self, key: &RequestKey, needs: bool) -> bool {
        let mut inner = lock(&self.inner);
        if needs {
            inner.needing.insert(key.clone())
        } else {
            inner.needing.remove(key)
        }
    }

    /// The requests that need a provider to revoke something.
    pub fn needing_provider(&self, provider: &ProviderKey) -> Vec<RequestKey> {
        let inner = lock(&self.inner);
        let naming = inner.by_provider.get(provider);
        let needing = |key: &&RequestKey| inner.needing.contains(*key);
        naming
            .into_iter()
            .flatten()
            .filter(needing)
            .cloned()
            .collect()
    }

    /// Forgets a request.
    pub fn forget(&self, key: &RequestKey) -> Option<ProviderKey> {
        let mut inner = lock(&self.inner);
        inner.needing.remove(key);
        inner.requests.remove(key);
        inner.unrefer(key)
    }

    /// Works on what is remembered of a request.
    pub fn with<T>(&self, key: &RequestKey, work: impl FnOnce(&mut Remembered) -> T) -> T {
        work(lock(&self.inner).requests.entry(key.clone()).or_default())
    }

    /// Works on what is remembered of a request, if it is known.
    pub fn with_known<T>(
        &self,
        key: &RequestKey,
        work: impl FnOnce(&mut Remembered) -> T,
    ) -> Option<T> {
        lock(&self.inner).requests.get_mut(key).map(work)
    }

    /// Whether a credential is in memory that is nowhere else, neither at its provider nor in a Secret:
    /// a key that was regenerated.
    pub fn has_only_copy(&self, key: &RequestKey) -> bool {
        let has_only_copy = |remembered: &Remembered| {
            let in_hand = remembered.in_hand.as_ref();
            let back = match &remembered.call {
                CallState::Back(came) => matches!(**came, Came::Regenerated(Ok(_), _)),
                CallState::None | CallState::UnderWay => false,
            };
            back || in_hand.is_some_and(|in_hand| in_hand.regenerated)
        };
        lock(&self.inner)
            .requests
            .get(key)
            .is_some_and(has_only_copy)
    }

    /// Forgets what was read from the API server or written to it, because etcd was restored from a
    /// backup. What is in hand and what the provider was told stays true.
    pub fn forget_the_cluster(&self) {
        for remembered in lock(&self.inner).requests.values_mut() {
            *remembered = Remembered {
                uid: std::mem::take(&mut remembered.uid),
                secret_name: std::mem::take(&mut remembered.secret_name),
                must_look: true,
                in_hand: remembered.in_hand.take(),
                call: std::mem::take(&mut remembered.call),
                taken: std::mem::take(&mut remembered.taken),
                stuck: std::mem::take(&mut remembered.stuck),
                leftovers: std::mem::take(&mut remembered.leftovers),
                published_once: remembered.published_once,
                ..Remembered::default()
            };
        }
    }

    /// The requests that name a Secret.
    pub fn naming_secret(&self, secret: &SecretKey) -> Vec<RequestKey> {
        listed(lock(&self.inner).by_secret.get(secret))
    }

    /// The requests that name a provider.
    pub fn naming_provider(&self, provider: &ProviderKey) -> Vec<RequestKey> {
        listed(lock(&self.inner).by_provider.get(provider))
    }

    /// How many requests name a provider.
    pub fn count_naming_provider(&self, provider: &ProviderKey) -> usize {
        lock(&self.inner)
            .by_provider
            .get(provider)
            .map_or(0, BTreeSet::len)
    }

    /// Notes that all requests have been listed once: from now on a count of them is right.
    pub fn completed(&self) {
        self.complete.store(true, Ordering::Relaxed);
    }

    /// Whether all requests have been listed once.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }

    /// The requests of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<RequestKey> {
        let inner = lock(&self.inner);
        inner
            .refers
            .keys()
            .filter(|key| key.namespace == namespace)
            .cloned()
            .collect()
    }

    /// The Secrets that requests name, in one namespace or in all.
    pub fn named_secrets(&self, namespace: Option<&str>) -> Vec<SecretKey> {
        let inner = lock(&self.inner);
        inner
            .by_secret
            .keys()
            .filter(|key| namespace.is_none_or(|namespace| key.namespace == namespace))
            .cloned()
            .collect()
    }

    /// The earliest expiry of what is published, for each provider.
    pub fn earliest_expiries(&self) -> Vec<(ProviderKey, Timestamp)> {
        let inner = lock(&self.inner);
        let mut earliest: HashMap<&ProviderKey, Timestamp> = HashMap::new();
        for (key, (_, provider)) in &inner.refers {
            let expires_at = inner
                .requests
                .get(key)
                .and_then(|remembered| remembered.known.as_ref())
                .and_then(|known| known.credential.expires_at);
            if let Some(at) = expires_at {
                earliest
                    .entry(provider)
                    .and_modify(|least| *least = at.min(*least))
                    .or_insert(at);
            }
        }
        earliest
            .into_iter()
            .map(|(provider, at)| (provider.clone(), at))
            .collect()
    }

    /// Notes that the watch told about a Secret. Says whether that is news to the request.
    pub fn heard(&self, key: &RequestKey, heard: Heard) -> bool {
        let mut inner = lock(&self.inner);
        let Some(remembered) = inner.requests.get_mut(key) else {
            return false;
        };
        let known = remembered
            .known
            .as_ref()
            .and_then(|known| known.resource_version.parse::<u64>().ok());
        let news = match known {
            Some(known) => heard.version > known,
            None => true,
        };
        if remembered
            .heard
            .as_ref()
            .is_none_or(|before| before.version < heard.version)
        {
            remembered.heard = Some(heard);
        }
        news
    }
}

impl Inner {
    fn unrefer(&mut self, key: &RequestKey) -> Option<ProviderKey> {
        let (secret, provider) = self.refers.remove(key)?;
        if let Some(keys) = self.by_secret.get_mut(&secret) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_secret.remove(&secret);
            }
        }
        if let Some(keys) = self.by_provider.get_mut(&provider) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_provider.remove(&provider);
            }
        }
        Some(provider)
    }
}

impl Remembered {
    /// Forgets everything when the request is another one of the same name.
    pub fn about(&mut self, uid: &str) -> &mut Self {
        if self.uid != uid {
            *self = Remembered {
                uid: uid.to_owned(),
                heard: self.heard.take(),
                ..Remembered::default()
            };
        }
        self
    }

    /// Forgets what is known of the Secret when the request names another one. The schema forbids
    /// that; an object that was stored by an older schema may do it all the same.
    pub fn with_secret(&mut self, name: &str) -> &mut Self {
        if self.secret_name != name {
            if !self.secret_name.is_empty() {
                self.known = None;
                self.heard = None;
                self.must_look = true;
            }
            name.clone_into(&mut self.secret_name);
        }
        self
    }

    /// Notes a replacement of a damaged credential.
    pub fn replaced(&mut self, at: Timestamp) {
        keep_latest(&mut self.replacements, at);
    }

    /// Notes a repair of the Secret.
    pub fn repaired(&mut self, at: Timestamp) {
        keep_latest(&mut self.repairs, at);
    }
}

fn keep_latest(times: &mut Vec<Timestamp>, at: Timestamp) {
    times.push(at);
    let surplus = times.len().saturating_sub(REMEMBERED);
    times.drain(..surplus);
}

fn listed(keys: Option<&BTreeSet<RequestKey>>) -> Vec<RequestKey> {
    keys.into_iter().flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::Reason, providers::http::failed};

    #[test]
    fn an_issue_call_that_panicked_is_a_failed_issue_of_its_serial() {
        let purpose = Purpose {
            serial: 7,
            asked: "asked".into(),
            rotation: None,
            leak: None,
        };
        let came = Came::issue_lost(purpose)(failed(Reason::InternalError, "it panicked"));
        let Came::Issued(Err(failure), purpose) = came else {
            panic!("it is not taken for a failed issue");
        };
        assert_eq!((failure.reason, purpose.serial), (Reason::InternalError, 7));
    }
}
