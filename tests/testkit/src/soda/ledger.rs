//! What was made and what was destroyed, whoever heard of it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Instant;

/// A key that SODA has sent to Keystone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedKey {
    /// Counts the keys of one simulator from 1.
    pub serial: u64,
    /// The access key.
    pub access: String,
    /// The secret key.
    pub secret: String,
    /// Whose it is.
    pub user_id: String,
    /// The project that it is for.
    pub project_id: String,
    /// When it was sent.
    pub at: Instant,
    /// Whether Keystone has taken it, also where SODA does not know that.
    pub stored: bool,
    /// Whether an answer told of it. One that is stored and not told was left behind.
    pub told: bool,
}

/// A call of DELETE that SODA has let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// When it came.
    pub at: Instant,
    /// Whose keys it was to delete.
    pub user_id: String,
    /// What is gone because of it, until now: it may go on after the answer.
    pub vanished: Vec<Vanished>,
}

/// A credential that Keystone has deleted for SODA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vanished {
    /// Keystone's id.
    pub id: String,
    /// Its type: `ec2`, or any other, since SODA makes no difference.
    pub kind: String,
    /// The project that it was for, if any.
    pub project_id: Option<String>,
}

/// Everything that one simulator has done.
#[derive(Default)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Default)]
struct State {
    issued: Vec<IssuedKey>,
    deletions: Vec<Deletion>,
    secrets: BTreeSet<String>,
}

impl Ledger {
    /// Notes a key that is about to be sent, and returns its place.
    pub(super) fn issue(&self, pair: &(String, String), user: &str, project: &str) -> usize {
        let mut state = self.0.lock().unwrap();
        let place = state.issued.len();
        state.secrets.insert(pair.1.clone());
        state.issued.push(IssuedKey {
            serial: place as u64 + 1,
            access: pair.0.clone(),
            secret: pair.1.clone(),
            user_id: user.to_owned(),
            project_id: project.to_owned(),
            at: Instant::now(),
            stored: false,
            told: false,
        });
        place
    }

    pub(super) fn stored(&self, place: usize) {
        self.0.lock().unwrap().issued[place].stored = true;
    }

    /// Notes that an answer told of a key.
    pub(super) fn told(&self, access: &str) {
        let mut state = self.0.lock().unwrap();
        let key = state.issued.iter_mut().rev();
        if let Some(key) = key.into_iter().find(|key| key.access == access) {
            key.told = true;
        }
    }

    /// Notes a secret that an answer told, whoever made it.
    pub(super) fn secret(&self, value: &str) {
        if !value.is_empty() {
            self.0.lock().unwrap().secrets.insert(value.to_owned());
        }
    }

    /// Notes a call of DELETE, and returns its place.
    pub(super) fn deletion(&self, user: &str) -> usize {
        let mut state = self.0.lock().unwrap();
        state.deletions.push(Deletion {
            at: Instant::now(),
            user_id: user.to_owned(),
            vanished: Vec::new(),
        });
        state.deletions.len() - 1
    }

    pub(super) fn vanished(&self, place: usize, vanished: Vanished) {
        let mut state = self.0.lock().unwrap();
        state.deletions[place].vanished.push(vanished);
    }

    pub(super) fn issued(&self) -> Vec<IssuedKey> {
        self.0.lock().unwrap().issued.clone()
    }

    pub(super) fn deletions(&self) -> Vec<Deletion> {
        self.0.lock().unwrap().deletions.clone()
    }

    pub(super) fn secret_values(&self) -> Vec<String> {
        self.0.lock().unwrap().secrets.iter().cloned().collect()
    }
}
