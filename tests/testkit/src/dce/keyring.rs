//! Who has which access keys, and how many one may have.

use std::sync::Mutex;

use uuid::Uuid;

use super::ledger::Ledger;
use super::now_ms;
use super::users::User;

/// An access key that was made, whatever became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Counts the access keys of one simulator from 1.
    pub serial: u64,
    /// The id, by which it is deleted.
    pub id: String,
    /// The name; several may have the same.
    pub name: String,
    /// Whose it is.
    pub username: String,
    /// The key itself, which is a bearer token.
    pub token: String,
    /// When it was made, milliseconds since the epoch.
    pub created_ms: i64,
    /// When it expires, milliseconds since the epoch; `None` is never. The lists say so, and whether it is true is
    /// another question: see [`super::Lie`].
    pub expires_ms: Option<i64>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Whether it works now.
    pub live: bool,
}

/// In which form one access key too many is refused. The sources name no limit; these are the ways in which services
/// behind a gRPC gateway say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaRefusal {
    /// 400, with gRPC's FAILED_PRECONDITION.
    #[default]
    FailedPrecondition,
    /// 403, with gRPC's PERMISSION_DENIED.
    PermissionDenied,
    /// 429, with gRPC's RESOURCE_EXHAUSTED.
    ResourceExhausted,
}

/// What a new key has to obey.
#[derive(Clone, Copy, Default)]
pub(super) struct Rules {
    /// How many keys a user may have, expired ones too.
    pub(super) limit: Option<usize>,
    pub(super) unique_names: bool,
}

/// Which rule a new key would break.
pub(super) enum Broken {
    Limit(usize),
    Name,
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created_ms: i64,
    pub(super) expires_ms: Option<i64>,
    user: User,
    token: String,
    deleted: bool,
}

impl Key {
    fn is_there(&self, user: Uuid) -> bool {
        self.user.id == user && !self.deleted
    }

    fn describe(&self, index: usize, ledger: &Ledger) -> AccessKey {
        AccessKey {
            serial: index as u64 + 1,
            id: self.id.clone(),
            name: self.name.clone(),
            username: self.user.username.clone(),
            token: self.token.clone(),
            created_ms: self.created_ms,
            expires_ms: self.expires_ms,
            deleted: self.deleted,
            live: ledger.is_live(&self.token),
        }
    }
}

/// All access keys there ever were, in the order in which they were made.
#[derive(Default)]
pub(super) struct Keyring(Mutex<Vec<Key>>);

impl Keyring {
    /// Makes a key, if the rules allow it; `mint` makes its token. Returns its id and its token.
    pub(super) fn add(
        &self,
        user: &User,
        name: &str,
        expires_ms: Option<i64>,
        rules: Rules,
        mint: impl FnOnce() -> String,
    ) -> Result<(String, String), Broken> {
        let mut keys = self.0.lock().unwrap();
        let mut owned = keys.iter().filter(|key| key.is_there(user.id));
        if let Some(limit) = rules.limit.filter(|limit| owned.clone().count() >= *limit) {
            return Err(Broken::Limit(limit));
        }
        if rules.unique_names && owned.any(|key| key.name == name) {
            return Err(Broken::Name);
        }
        let key = Key {
            id: Uuid::new_v4().to_string(),
            name: name.to_owned(),
            created_ms: now_ms(),
            expires_ms,
            user: user.clone(),
            token: mint(),
            deleted: false,
        };
        let made = (key.id.clone(), key.token.clone());
        keys.push(key);
        Ok(made)
    }

    /// The keys that a user has, expired ones too.
    pub(super) fn of(&self, user: Uuid) -> Vec<Key> {
        let keys = self.0.lock().unwrap();
        let owned = keys.iter().filter(|key| key.is_there(user));
        owned.cloned().collect()
    }

    /// Whose key this is, if it is there.
    pub(super) fn owner_of(&self, id: &str) -> Option<Uuid> {
        let keys = self.0.lock().unwrap();
        let key = keys.iter().find(|key| key.id == id && !key.deleted)?;
        Some(key.user.id)
    }

    /// Deletes a key, which from then on does not work; `false` when the user has none of this id.
    pub(super) fn delete(&self, user: Uuid, id: &str, ledger: &Ledger) -> bool {
        let mut keys = self.0.lock().unwrap();
        let Some(key) = keys.iter_mut().find(|key| key.id == id) else {
            return false;
        };
        let there = key.is_there(user);
        if there {
            key.deleted = true;
            ledger.revoke(&key.token);
        }
        there
    }

    /// Makes a key expire now; `false` when there is none of this id.
    pub(super) fn expire(&self, id: &str, ledger: &Ledger) -> bool {
        let mut keys = self.0.lock().unwrap();
        let Some(key) = keys.iter_mut().find(|key| key.id == id && !key.deleted) else {
            return false;
        };
        let now = now_ms();
        key.expires_ms = Some(now);
        ledger.end(&key.token, now);
        true
    }

    /// Every key that was ever made.
    pub(super) fn all(&self, ledger: &Ledger) -> Vec<AccessKey> {
        let keys = self.0.lock().unwrap();
        let keys = keys.iter().enumerate();
        keys.map(|(index, key)| key.describe(index, ledger))
            .collect()
    }
}
