//! Every key that there ever was, who made it, and what became of it.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::now_ms;

/// One key of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Counts the keys of one simulator from 1.
    pub serial: u64,
    /// The id that the owner had when the key was made.
    pub user_id: String,
    /// The API user name of the owner.
    pub username: String,
    /// The key: 16 digits of upper-case hex (key tutorial, view users), unless a test has set another.
    pub key: String,
    /// Who made it.
    pub made_by: MadeBy,
    /// When it was made, milliseconds since the epoch.
    pub made_at_ms: i64,
    /// When it stopped to work, milliseconds since the epoch; `None` while it works.
    pub died_at_ms: Option<i64>,
    /// How many answers held it, that of the call that made it included.
    pub shown: u64,
    /// How many requests came with it while it worked.
    pub uses: u64,
}

impl ApiKey {
    /// Whether no other key took its place yet.
    pub fn is_live(&self) -> bool {
        self.died_at_ms.is_none()
    }
}

/// Where a key came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MadeBy {
    /// The test: by declaring the user, or behind everybody's back.
    Test,
    /// A call (`POST …/keys`) of the user with this id.
    Call(String),
}

/// How often things happened. What "arrived" counts also if a fault answered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests to read a key that arrived.
    pub key_reads: u64,
    /// Requests to make a key that arrived: each would destroy the one before.
    pub generate_asked: u64,
    /// Keys that calls have made.
    pub generated: u64,
    /// Requests of any kind that arrived with a method that may change something: all but GET and HEAD.
    pub changing: u64,
    /// Requests that a key has opened.
    pub logins_by_key: u64,
    /// Requests that a password has opened.
    pub logins_by_password: u64,
    /// Requests that came without a login or with a wrong one.
    pub logins_refused: u64,
    /// Requests that said `X-CLIQR-API-KEY-AUTH: true`, whatever came of them.
    pub marked: u64,
}

/// The keys and counts of one simulator.
#[derive(Default)]
pub(super) struct Ledger {
    keys: Vec<ApiKey>,
    pub(super) counts: Counts,
    secrets: BTreeSet<String>,
}

impl Ledger {
    /// Notes a new key of a user. The one before is dead from now on.
    pub(super) fn add(&mut self, user_id: &str, username: &str, key: &str, made_by: MadeBy) {
        self.kill(username);
        self.secret(username, key);
        self.keys.push(ApiKey {
            serial: self.keys.len() as u64 + 1,
            user_id: user_id.to_owned(),
            username: username.to_owned(),
            key: key.to_owned(),
            made_by,
            made_at_ms: now_ms(),
            died_at_ms: None,
            shown: 0,
            uses: 0,
        });
    }

    /// The user's key works no longer. User names, unlike ids, never change.
    pub(super) fn kill(&mut self, username: &str) {
        if let Some(key) = self.live_mut(username) {
            key.died_at_ms = Some(now_ms());
        }
    }

    pub(super) fn live(&self, username: &str) -> Option<&ApiKey> {
        let mut keys = self.keys.iter();
        keys.find(|key| key.is_live() && key.username == username)
    }

    pub(super) fn live_mut(&mut self, username: &str) -> Option<&mut ApiKey> {
        let mut keys = self.keys.iter_mut();
        keys.find(|key| key.is_live() && key.username == username)
    }

    pub(super) fn keys(&self) -> &[ApiKey] {
        &self.keys
    }

    /// Notes something that must not leak, also in the form in which HTTP sends it.
    pub(super) fn secret(&mut self, login: &str, password: &str) {
        if !password.is_empty() {
            self.secrets.insert(password.to_owned());
            let basic = STANDARD.encode(format!("{login}:{password}"));
            self.secrets.insert(basic);
        }
    }

    pub(super) fn secrets(&self) -> &BTreeSet<String> {
        &self.secrets
    }
}

/// Sixteen digits of upper-case hex.
pub(super) fn new_key() -> String {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    format!("{random:016X}")
}
