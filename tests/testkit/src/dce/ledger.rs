//! What was issued, what of it still works, and how often it was used.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::now_ms;

/// One answered token request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedToken {
    /// Counts the issues of one simulator from 1.
    pub serial: u64,
    /// Whose pair was given.
    pub username: String,
    /// The token. Two requests of one user within one second get the same: it has no claim that would differ.
    pub token: String,
    /// The `iat` that the token claims, seconds since the epoch.
    pub iat: i64,
    /// The `exp` that the token claims, seconds since the epoch; `None` when it claims none or cannot be decoded.
    pub exp: Option<i64>,
    /// When the token really stops to work, milliseconds since the epoch. Differs from `exp` only in a lie.
    pub works_until_ms: i64,
    /// The `cycle` of the request, in days.
    pub cycle_asked: Option<i64>,
}

/// What the simulator knows of a token that is not in its text.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) user: Uuid,
    pub(super) works_until_ms: i64,
    pub(super) revoked: bool,
    /// Not a JWT, so that only the ledger knows it.
    pub(super) opaque: bool,
    uses: u64,
}

impl Standing {
    pub(super) fn new(user: Uuid, works_until_ms: i64, opaque: bool) -> Self {
        Self {
            user,
            works_until_ms,
            revoked: false,
            opaque,
            uses: 0,
        }
    }

    fn is_live(&self, now_ms: i64) -> bool {
        !self.revoked && now_ms < self.works_until_ms
    }
}

/// Everything that one simulator has issued.
#[derive(Default)]
pub(super) struct Ledger(Mutex<State>);

#[derive(Default)]
struct State {
    issues: Vec<Issue>,
    tokens: HashMap<Arc<str>, Standing>,
}

impl State {
    fn live(&self, now_ms: i64) -> impl Iterator<Item = (usize, &Issue)> {
        let mut seen = HashSet::new();
        let issues = self.issues.iter().enumerate();
        issues.filter(move |(_, issue)| {
            self.tokens[&issue.token].is_live(now_ms) && seen.insert(&issue.token)
        })
    }
}

/// An [`IssuedToken`] that shares its text: benchmarks issue hundreds of thousands.
struct Issue {
    username: Arc<str>,
    token: Arc<str>,
    iat: i64,
    exp: Option<i64>,
    works_until_ms: i64,
    cycle_asked: Option<i64>,
}

impl Issue {
    fn describe(&self, index: usize) -> IssuedToken {
        IssuedToken {
            serial: index as u64 + 1,
            username: self.username.to_string(),
            token: self.token.to_string(),
            iat: self.iat,
            exp: self.exp,
            works_until_ms: self.works_until_ms,
            cycle_asked: self.cycle_asked,
        }
    }
}

impl Ledger {
    /// Notes an issue. The serial of `issued` is ignored. `false` when the same token was issued before and revoked:
    /// then nothing is noted, and another token must be made.
    pub(super) fn note(&self, issued: IssuedToken, standing: Standing) -> bool {
        let token: Arc<str> = issued.token.into();
        let mut state = self.0.lock().unwrap();
        if state.tokens.get(&token).is_some_and(|known| known.revoked) {
            return false;
        }
        state.tokens.entry(Arc::clone(&token)).or_insert(standing);
        state.issues.push(Issue {
            username: issued.username.into(),
            token,
            iat: issued.iat,
            exp: issued.exp,
            works_until_ms: issued.works_until_ms,
            cycle_asked: issued.cycle_asked,
        });
        true
    }

    /// Notes the token of an access key. `false` when there was such a token before: then nothing is noted, and another
    /// one must be made.
    pub(super) fn note_key(&self, token: &str, standing: Standing) -> bool {
        let mut state = self.0.lock().unwrap();
        let new = !state.tokens.contains_key(token);
        if new {
            state.tokens.insert(token.into(), standing);
        }
        new
    }

    pub(super) fn standing(&self, token: &str) -> Option<Standing> {
        self.0.lock().unwrap().tokens.get(token).cloned()
    }

    pub(super) fn used(&self, token: &str) {
        if let Some(standing) = self.0.lock().unwrap().tokens.get_mut(token) {
            standing.uses += 1;
        }
    }

    pub(super) fn uses(&self, token: &str) -> u64 {
        let state = self.0.lock().unwrap();
        state.tokens.get(token).map_or(0, |standing| standing.uses)
    }

    pub(super) fn revoke(&self, token: &str) {
        if let Some(standing) = self.0.lock().unwrap().tokens.get_mut(token) {
            standing.revoked = true;
        }
    }

    pub(super) fn revoke_all(&self) {
        let mut state = self.0.lock().unwrap();
        let standings = state.tokens.values_mut();
        standings.for_each(|standing| standing.revoked = true);
    }

    /// From this moment on the token does not work.
    pub(super) fn end(&self, token: &str, at_ms: i64) {
        if let Some(standing) = self.0.lock().unwrap().tokens.get_mut(token) {
            standing.works_until_ms = at_ms;
        }
    }

    pub(super) fn is_live(&self, token: &str) -> bool {
        let standing = self.standing(token);
        standing.is_some_and(|standing| standing.is_live(now_ms()))
    }

    pub(super) fn issued(&self) -> Vec<IssuedToken> {
        let state = self.0.lock().unwrap();
        let issues = state.issues.iter().enumerate();
        issues.map(|(index, issue)| issue.describe(index)).collect()
    }

    pub(super) fn issued_count(&self) -> usize {
        self.0.lock().unwrap().issues.len()
    }

    /// Each live token once, at its first issue. Those of access keys have no issue.
    pub(super) fn live(&self) -> Vec<IssuedToken> {
        let state = self.0.lock().unwrap();
        let live = state.live(now_ms());
        live.map(|(index, issue)| issue.describe(index)).collect()
    }

    pub(super) fn live_count(&self) -> usize {
        self.0.lock().unwrap().live(now_ms()).count()
    }

    /// Every token that was ever handed out, each once.
    pub(super) fn secret_values(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        state.tokens.keys().map(|token| token.to_string()).collect()
    }
}
