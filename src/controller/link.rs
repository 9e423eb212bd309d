//! The operator's end of a connection to a provider: what was declared, whether it can be used, and
//! its budget. A link outlives changes of what was declared, so that its budget does.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use super::{
    budget::Budget,
    key::{ProviderKey, RequestKey, SecretKey},
    leader::Leadership,
    lock,
};
use crate::{
    api::{self, ProviderSpec, ProviderStatus, Reason, provider::LoginRecord},
    clock,
    plan::{Access, Failure, Gate, NotReady, Refusal},
    providers::{Connection, Layout, System},
};

/// A provider object of either kind, as it was last seen.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Which one.
    pub key: ProviderKey,
    /// Its UID.
    pub uid: String,
    /// Its resource version.
    pub resource_version: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// What it says; an error text when it cannot be read.
    pub spec: Result<ProviderSpec, String>,
    /// Its status.
    pub status: ProviderStatus,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl Declared {
    /// Whether its deletion waits for the requests that need it.
    pub fn is_held(&self) -> bool {
        self.finalizers
            .iter()
            .any(|finalizer| finalizer == api::IN_USE_FINALIZER)
    }
}

/// One provider.
pub struct Link {
    /// The provider's budget.
    pub budget: Arc<Budget>,
    state: Mutex<State>,
}

struct State {
    declared: Arc<Declared>,
    /// Where the last pass over the provider came to, and for which generation and UID.
    settled: Option<(String, i64, Usability)>,
    /// The last connection that could be used, with the versions of what it was made with: what it has
    /// of sessions outlives the loss of its login.
    last: Option<(Arc<Connection>, String)>,
    /// The certificates to trust, as they were read last.
    ca_pem: Option<Vec<u8>>,
    /// What the provider adds to each Secret, with its digest, as far as that is known.
    layout: Option<Arc<(Layout, Option<String>)>>,
    /// A request waits for the provider to be held.
    hold: bool,
    /// Something that the provider depends on has changed, and was not looked at yet.
    stale: bool,
    login: Option<LoginRecord>,
    /// The Secrets that it reads, with the resource versions that were read.
    secrets: BTreeMap<SecretKey, Option<String>>,
}

/// Whether a provider can be used.
#[derive(Clone)]
pub enum Usability {
    /// It can.
    Usable {
        /// The connection.
        connection: Arc<Connection>,
        /// The versions of what it is made with.
        inputs: String,
    },
    /// It can for as long as a session lives, although its login is lost.
    Lingering {
        /// The connection with the session.
        connection: Arc<Connection>,
        /// The versions of what it was made with.
        inputs: String,
        /// What is wrong with the login.
        not_ready: NotReady,
    },
    /// It cannot.
    NotReady(NotReady),
}

impl Usability {
    /// What requests have to know of it, to compare: when it is tried again concerns nobody but the
    /// pass that does so.
    fn gist(&self) -> (Option<&str>, Option<(Reason, &str)>) {
        fn gist(not_ready: &NotReady) -> (Reason, &str) {
            (not_ready.reason, &not_ready.message)
        }
        match self {
            Usability::Usable { inputs, .. } => (Some(inputs), None),
            Usability::Lingering {
                inputs, not_ready, ..
            } => (Some(inputs), Some(gist(not_ready))),
            Usability::NotReady(not_ready) => (None, Some(gist(not_ready))),
        }
    }
}

impl Link {
    /// What was declared last.
    pub fn declared(&self) -> Arc<Declared> {
        Arc::clone(&lock(&self.state).declared)
    }

    /// Whether requests may use it now. The versions of what is used include the time of the login,
    /// so that a failure that was due to a refused login is void once one has worked.
    pub fn gate(&self) -> (Gate, Option<Arc<Connection>>) {
        let state = lock(&self.state);
        let current = state.settled.as_ref().filter(|(uid, generation, _)| {
            *uid == state.declared.uid && *generation == state.declared.generation
        });
        match current {
            Some((_, _, Usability::Usable { connection, inputs })) => match &state.login {
                Some(login) if login.reason == Reason::LoginWorks && login.inputs == *inputs => {
                    let inputs = gate_inputs(login);
                    (Gate::Open { inputs }, Some(Arc::clone(connection)))
                }
                // It was tried a moment ago; the pass over the provider is about to say how it went.
                _ => (Gate::Checking, None),
            },
            Some((
                _,
                _,
                Usability::Lingering {
                    connection,
                    inputs,
                    not_ready,
                },
            )) => {
                if connection.has_living_session() {
                    let inputs = inputs.clone();
                    (Gate::Open { inputs }, Some(Arc::clone(connection)))
                } else {
                    (Gate::NotReady(not_ready.clone()), None)
                }
            }
            Some((_, _, Usability::NotReady(not_ready))) => {
                (Gate::NotReady(not_ready.clone()), None)
            }
            None => (Gate::Checking, None),
        }
    }

    /// Whether something can be revoked now, which neither grants nor a deletion keep anybody from.
    pub fn access(&self) -> (Access, Option<Arc<Connection>>) {
        let (gate, connection) = self.gate();
        match gate {
            Gate::Open { inputs } => (Access::Open { inputs }, connection),
            Gate::Checking => (Access::Checking, None),
            Gate::Refused(obstacle) => {
                let closed = Access::Closed {
                    obstacle,
                    login_is_gone: false,
                };
                (closed, None)
            }
            Gate::NotReady(not_ready) => {
                let login_is_gone = matches!(
                    not_ready.reason,
                    Reason::LoginSecretNotFound | Reason::LoginKeyNotFound
                );
                let closed = Access::Closed {
                    obstacle: Refusal::new(not_ready.reason, not_ready.message),
                    login_is_gone,
                };
                (closed, None)
            }
        }
    }

    /// Notes where a pass over the provider came to. Says whether that is news to its requests.
    pub fn settle(&self, declared: &Declared, usability: Usability) -> bool {
        let mut state = lock(&self.state);
        let news = match &state.settled {
            Some((uid, generation, before)) => {
                before.gist() != usability.gist()
                    || *uid != declared.uid
                    || *generation != declared.generation
            }
            None => true,
        };
        if let Usability::Usable { connection, inputs } = &usability {
            state.last = Some((Arc::clone(connection), inputs.clone()));
        }
        state.settled = Some((declared.uid.clone(), declared.generation, usability));
        news
    }

    /// The last connection that could be used, if it was made with the same: what it has of sessions
    /// goes on.
    pub fn same_as_before(&self, inputs: &str) -> Option<Arc<Connection>> {
        let state = lock(&self.state);
        let (connection, before) = state.last.as_ref()?;
        (before == inputs).then(|| Arc::clone(connection))
    }

    /// The last connection that could be used, of the same provider object.
    pub fn last(&self, declared: &Declared) -> Option<(Arc<Connection>, String)> {
        let state = lock(&self.state);
        let last = state.last.clone()?;
        last.1.starts_with(&declared.uid).then_some(last)
    }

    /// Notes the certificates to trust.
    pub fn set_ca(&self, ca_pem: Option<Vec<u8>>) {
        let mut state = lock(&self.state);
        if state.ca_pem != ca_pem {
            state.ca_pem = ca_pem;
            state.lay_out();
        }
    }

    /// What the provider adds to each Secret, with its digest, as far as that is known.
    pub fn layout(&self) -> Option<Arc<(Layout, Option<String>)>> {
        lock(&self.state).layout.clone()
    }

    /// Has the provider's next pass hold it.
    pub fn hold(&self) {
        lock(&self.state).hold = true;
    }

    /// Whether a request waits for the provider to be held.
    pub fn is_wanted_held(&self) -> bool {
        lock(&self.state).hold
    }

    /// Whether it reads a Secret.
    pub fn reads(&self, secret: &SecretKey) -> bool {
        lock(&self.state).secrets.contains_key(secret)
    }

    /// Notes that the operator has written a Secret that the provider reads. From here on nothing is
    /// called with what the Secret held before: the provider's next pass reads what it holds now.
    pub fn follow(&self) {
        let mut state = lock(&self.state);
        state.stale = true;
        state.settled = None;
    }

    /// Notes that something that the provider depends on has changed.
    pub fn changed(&self) {
        lock(&self.state).stale = true;
    }

    /// Where the last pass came to, if nothing has changed since and it can be used. From here on,
    /// a change is news again.
    pub fn still_usable(&self, declared: &Declared) -> Option<(Arc<Connection>, String)> {
        let mut state = lock(&self.state);
        let stale = std::mem::take(&mut state.stale);
        match &state.settled {
            Some((uid, generation, Usability::Usable { connection, inputs }))
                if !stale && *uid == declared.uid && *generation == declared.generation =>
            {
                Some((Arc::clone(connection), inputs.clone()))
            }
            _ => None,
        }
    }

    /// The last login.
    pub fn login(&self) -> Option<LoginRecord> {
        lock(&self.state).login.clone()
    }

    /// Notes a login.
    pub fn set_login(&self, login: Option<LoginRecord>) {
        lock(&self.state).login = login;
    }

    /// A call of a request was told that the login is wrong: that concerns all requests.
    /// `inputs` are those of the gate that the call went through: a late answer to an old login says
    /// nothing about a new one.
    pub fn login_refused(&self, failure: &Failure, inputs: &str) {
        let mut state = lock(&self.state);
        if let Some(login) = &state.login
            && login.reason == Reason::LoginWorks
            && inputs == gate_inputs(login)
        {
            state.login = Some(refused_login(failure, &login.inputs, 0));
        }
    }

    /// Notes which Secrets it reads.
    pub fn set_secrets(&self, secrets: &BTreeSet<SecretKey>) {
        let mut state = lock(&self.state);
        state.secrets = secrets.iter().map(|key| (key.clone(), None)).collect();
    }

    /// Notes which version of a Secret it has read.
    pub fn has_read(&self, secret: &SecretKey, resource_version: Option<String>) {
        if let Some(read) = lock(&self.state).secrets.get_mut(secret) {
            *read = resource_version;
        }
    }
}

impl State {
    fn lay_out(&mut self) {
        let read = self.declared.spec.as_ref().ok().map(System::read);
        self.layout = match read {
            Some(Ok((system, reach))) if reach.ca.is_none() || self.ca_pem.is_some() => {
                let ca_pem = self.ca_pem.as_deref().filter(|_| reach.ca.is_some());
                let layout = system.layout(&reach, ca_pem);
                let digest = layout.digest();
                Some(Arc::new((layout, digest)))
            }
            _ => None,
        };
    }
}

/// All providers.
#[derive(Default)]
pub struct Links {
    links: Mutex<HashMap<ProviderKey, Arc<Link>>>,
}

impl Links {
    /// One provider.
    pub fn get(&self, key: &ProviderKey) -> Option<Arc<Link>> {
        lock(&self.links).get(key).cloned()
    }

    /// Notes what was declared, or with `own` what the operator has just written itself. Says whether a pass over the provider is due: not for what is
    /// merely the operator's own write of the status.
    pub fn declare(
        &self,
        mut declared: Declared,
        own: bool,
        leadership: &Leadership,
        wake: impl Fn(&RequestKey) + Send + Sync + 'static,
    ) -> bool {
        let limits = declared
            .spec
            .as_ref()
            .map(|spec| spec.budget.clone())
            .unwrap_or_default();
        let mut links = lock(&self.links);
        let Some(link) = links.get(&declared.key) else {
            if own {
                // It was deleted while its status was written.
                return false;
            }
            let login = declared.status.login.clone();
            let mut state = State {
                declared: Arc::new(declared.clone()),
                settled: None,
                last: None,
                ca_pem: None,
                layout: None,
                hold: false,
                stale: true,
                login,
                secrets: BTreeMap::new(),
            };
            state.lay_out();
            let link = Link {
                budget: Budget::new(&limits, leadership.clone(), wake),
                state: Mutex::new(state),
            };
            links.insert(declared.key, Arc::new(link));
            return true;
        };
        let link = Arc::clone(link);
        drop(links);
        let mut state = lock(&link.state);
        let before = Arc::clone(&state.declared);
        if newer(&before.resource_version, &declared.resource_version) {
            return false;
        }
        let unreadable = before.spec.is_err() && declared.spec.is_err();
        if unreadable && before.uid == declared.uid && declared.status == ProviderStatus::default()
        {
            // Its status cannot be read either: the last own write of it tells.
            declared.status.clone_from(&before.status);
        }
        let changed = before.uid != declared.uid || before.generation != declared.generation;
        if before.uid != declared.uid {
            state.login.clone_from(&declared.status.login);
            state.last = None;
            state.ca_pem = None;
        }
        let tampered = before.status != declared.status
            || before.finalizers != declared.finalizers
            || before.deleting != declared.deleting;
        state.stale |= changed;
        state.declared = Arc::new(declared);
        if changed {
            state.lay_out();
        }
        drop(state);
        if changed {
            link.budget.set(&limits);
        }
        changed || tampered
    }

    /// Forgets what was read from the API server, because etcd was restored from a backup: every
    /// provider is looked at again, and whatever is listed next is newer than this.
    pub fn forget_the_cluster(&self) {
        for link in lock(&self.links).values() {
            let mut state = lock(&link.state);
            let mut declared = Declared::clone(&state.declared);
            declared.resource_version = "0".to_owned();
            state.declared = Arc::new(declared);
            state.stale = true;
            state
                .secrets
                .values_mut()
                .for_each(|version| *version = None);
        }
    }

    /// Forgets a provider.
    pub fn remove(&self, key: &ProviderKey) {
        lock(&self.links).remove(key);
    }

    /// The providers that read a Secret, and whether this version of it is news to them.
    pub fn reading(
        &self,
        secret: &SecretKey,
        resource_version: Option<&str>,
    ) -> Vec<(ProviderKey, bool)> {
        lock(&self.links)
            .iter()
            .filter_map(|(key, link)| {
                let state = lock(&link.state);
                let read = state.secrets.get(secret)?;
                let news = resource_version.is_none() || read.as_deref() != resource_version;
                Some((key.clone(), news))
            })
            .collect()
    }

    /// All Secrets that providers read.
    pub fn all_secrets(&self) -> BTreeSet<SecretKey> {
        lock(&self.links)
            .values()
            .flat_map(|link| {
                lock(&link.state)
                    .secrets
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// All providers.
    pub fn all(&self) -> Vec<(ProviderKey, Arc<Link>)> {
        lock(&self.links)
            .iter()
            .map(|(key, link)| (key.clone(), Arc::clone(link)))
            .collect()
    }
}

/// Whether `a` is a later resource version than `b`. They are numbers that grow.
pub fn newer(a: &str, b: &str) -> bool {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a > b,
        _ => false,
    }
}

fn gate_inputs(login: &LoginRecord) -> String {
    format!("{}@{}", login.inputs, login.time)
}

/// The record of a login that failed, after so many attempts in a row.
pub fn refused_login(failure: &Failure, inputs: &str, attempts: u32) -> LoginRecord {
    let now = clock::now();
    LoginRecord {
        reason: failure.reason,
        inputs: inputs.to_owned(),
        time: now,
        attempts: attempts.saturating_add(1),
        not_before: failure
            .retry_after
            .and_then(|wait| now.checked_add(wait).ok()),
        message: Some(failure.message.clone()),
    }
}
