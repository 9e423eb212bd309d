//! Who exists, and with which key pairs they may log in.

use std::collections::HashMap;
use std::sync::Mutex;

use uuid::Uuid;

use super::now_ms;

/// A user.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: Uuid,
    pub(super) username: String,
    /// Whether the user may list all users.
    pub(super) admin: bool,
    /// Milliseconds since the epoch.
    pub(super) created_at: i64,
}

struct Pair {
    sk: String,
    user: Uuid,
    enabled: bool,
}

/// All users and all pairs there ever were.
#[derive(Default)]
pub(super) struct Users(Mutex<State>);

#[derive(Default)]
struct State {
    /// In the order in which they were made: the user list is in that order.
    users: Vec<User>,
    pairs: HashMap<String, Pair>,
}

impl State {
    fn named(&mut self, username: &str) -> &mut User {
        let found = self.users.iter().position(|u| u.username == username);
        let index = found.unwrap_or_else(|| {
            self.users.push(User {
                id: Uuid::new_v4(),
                username: username.to_owned(),
                admin: false,
                created_at: now_ms(),
            });
            self.users.len() - 1
        });
        &mut self.users[index]
    }
}

impl Users {
    /// The user of this name, made when there is none.
    pub(super) fn ensure(&self, username: &str) -> User {
        self.0.lock().unwrap().named(username).clone()
    }

    pub(super) fn make_admin(&self, username: &str) {
        self.0.lock().unwrap().named(username).admin = true;
    }

    /// Gives a user one more pair.
    ///
    /// Real pairs look like two UUIDs (access key page). Ours have a mark in front, so that a search for leaks finds
    /// them also in pieces of text that it cannot parse.
    pub(super) fn add_pair(&self, username: &str) -> (String, String) {
        let ak = format!("AKMARK-{}", Uuid::new_v4());
        let sk = format!("SKMARK-{}", Uuid::new_v4());
        let mut state = self.0.lock().unwrap();
        let user = state.named(username).id;
        let pair = Pair {
            sk: sk.clone(),
            user,
            enabled: true,
        };
        state.pairs.insert(ak.clone(), pair);
        (ak, sk)
    }

    pub(super) fn disable_pair(&self, ak: &str) {
        if let Some(pair) = self.0.lock().unwrap().pairs.get_mut(ak) {
            pair.enabled = false;
        }
    }

    pub(super) fn disable_pairs_of(&self, username: &str) {
        let mut state = self.0.lock().unwrap();
        let user = state.named(username).id;
        let pairs = state.pairs.values_mut();
        pairs
            .filter(|pair| pair.user == user)
            .for_each(|pair| pair.enabled = false);
    }

    /// The user whom an enabled pair belongs to.
    pub(super) fn log_in(&self, ak: &str, sk: &str) -> Option<User> {
        let state = self.0.lock().unwrap();
        let pair = state.pairs.get(ak).filter(|p| p.enabled && p.sk == sk)?;
        state
            .users
            .iter()
            .find(|user| user.id == pair.user)
            .cloned()
    }

    pub(super) fn by_id(&self, id: Uuid) -> Option<User> {
        let state = self.0.lock().unwrap();
        state.users.iter().find(|user| user.id == id).cloned()
    }

    pub(super) fn all(&self) -> Vec<User> {
        self.0.lock().unwrap().users.clone()
    }

    /// Every access key and secret key there ever was.
    pub(super) fn secret_values(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let pairs = state.pairs.iter();
        pairs
            .flat_map(|(ak, pair)| [ak.clone(), pair.sk.clone()])
            .collect()
    }
}
