//! The operator's end of a connection to a provider: what was declared, whether it can be used, and
//! its budget. A link outlives changes of what was declared, so that its budget does.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use super::{
    budget::Budget,
    key::{ProviderKey, RequestKey, SecretKey},
    lock,
};
use crate::{
    api::{ProviderSpec, ProviderStatus, Reason, provider::LoginRecord},
    clock,
    plan::{Failure, Gate, NotReady},
    providers::Connection,
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
    /// It cannot.
    NotReady(NotReady),
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
            Some((_, _, Usability::NotReady(not_ready))) => {
                (Gate::NotReady(not_ready.clone()), None)
            }
            None => (Gate::Checking, None),
        }
    }

    /// Notes where a pass over the provider came to. Says whether that is news to its requests.
    pub fn settle(&self, declared: &Declared, usability: Usability) -> bool {
        let mut state = lock(&self.state);
        let news = match (&state.settled, &usability) {
            (
                Some((uid, generation, Usability::Usable { inputs: before, .. })),
                Usability::Usable { inputs, .. },
            ) => before != inputs || *uid != declared.uid || *generation != declared.generation,
            // When it is tried again concerns nobody but the pass that does so.
            (Some((uid, generation, Usability::NotReady(before))), Usability::NotReady(now)) => {
                (before.reason, &before.message) != (now.reason, &now.message)
                    || *uid != declared.uid
                    || *generation != declared.generation
            }
            _ => true,
        };
        state.settled = Some((declared.uid.clone(), declared.generation, usability));
        news
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
            let link = Link {
                budget: Budget::new(&limits, wake),
                state: Mutex::new(State {
                    declared: Arc::new(declared.clone()),
                    settled: None,
                    stale: true,
                    login,
                    secrets: BTreeMap::new(),
                }),
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
        }
        let tampered = before.status != declared.status;
        state.stale |= changed;
        state.declared = Arc::new(declared);
        drop(state);
        if changed {
            link.budget.set(&limits);
        }
        changed || tampered
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
