//! Making tokens: honest ones, and those that [`Lie`]s ask for.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::ledger::{IssuedToken, Ledger, Standing};
use super::lie::Lie;
use super::now_ms;
use super::signer::{Claims, ISSUER, Signer};
use super::users::{User, Users};

/// How long a token lives when the request does not say, in days (access key page).
const DEFAULT_DAYS: i64 = 3;

/// Padding that makes a token longer than one MiB: base64 makes four letters of three.
const PADDING: usize = 800_000;

/// The user for whom [`Lie::OtherUser`] makes tokens.
pub(super) const SOMEBODY_ELSE: &str = "somebody-else";

/// What tokens are made from.
pub(super) struct Mint<'a> {
    pub(super) signer: &'a Signer,
    pub(super) ledger: &'a Ledger,
    pub(super) users: &'a Users,
    pub(super) at_most: Option<Duration>,
    pub(super) lie: Option<Lie>,
}

/// When a token is to end.
struct End {
    /// What it says, in seconds since the epoch.
    exp: Option<i64>,
    /// What it does, in milliseconds since the epoch.
    works_until_ms: i64,
}

/// A token that nobody has yet.
struct Made {
    token: String,
    claims: Claims,
    standing: Standing,
}

impl Mint<'_> {
    /// Makes a token for a user, notes it in the ledger, and returns the body of the answer.
    pub(super) fn answer(&self, user: &User, cycle: Option<i64>) -> Value {
        match self.lie {
            Some(Lie::EmptyObject) => return json!({}),
            Some(Lie::Null) => return Value::Null,
            Some(Lie::EmptyToken) => return json!({"token": ""}),
            _ => {}
        }
        let exp = (now_ms() / 1000).saturating_add(self.life(cycle));
        let end = End {
            exp: Some(exp),
            works_until_ms: exp.saturating_mul(1000),
        };
        // Only a token that was revoked in this second is made twice. What is revoked must stay dead, so the next
        // one says that it is a second older.
        for older in 0.. {
            let made = self.make(user, &end, older);
            let issued = IssuedToken {
                serial: 0,
                username: user.username.clone(),
                token: made.token.clone(),
                iat: made.claims.iat,
                exp: made.claims.exp.filter(|_| !made.standing.opaque),
                works_until_ms: made.standing.works_until_ms,
                cycle_asked: cycle,
            };
            if self.ledger.note(issued, made.standing) {
                return json!({"token": made.token});
            }
        }
        unreachable!("the loop has no end")
    }

    /// Makes the token of an access key that expires at a moment, or never, and notes it in the ledger.
    ///
    /// No two keys have the same token: one that would be the same says that it is a second older.
    pub(super) fn key(&self, user: &User, expires_ms: Option<i64>) -> String {
        let end = End {
            exp: expires_ms.map(|ms| ms.div_euclid(1000) + i64::from(ms.rem_euclid(1000) > 0)),
            works_until_ms: expires_ms.unwrap_or(i64::MAX),
        };
        for older in 0.. {
            let made = self.make(user, &end, older);
            if self.ledger.note_key(&made.token, made.standing) {
                return made.token;
            }
        }
        unreachable!("the loop has no end")
    }

    /// The granted life in whole seconds: tokens know nothing finer. A limit is rounded up.
    fn life(&self, cycle: Option<i64>) -> i64 {
        let asked = cycle.unwrap_or(DEFAULT_DAYS).saturating_mul(24 * 60 * 60);
        match self.at_most {
            Some(limit) => {
                asked.min(i64::try_from(limit.as_millis().div_ceil(1000)).unwrap_or(i64::MAX))
            }
            None => asked,
        }
    }

    fn make(&self, user: &User, end: &End, older: i64) -> Made {
        let now = now_ms() / 1000;
        let mut subject = user.clone();
        let mut works_until_ms = end.works_until_ms;
        let mut claims = Claims {
            exp: end.exp,
            iat: now - older,
            iss: ISSUER.to_owned(),
            sub: user.id.to_string(),
            preferred_username: user.username.clone(),
            groups: Vec::new(),
        };
        match self.lie {
            Some(Lie::ExpMissing) => claims.exp = None,
            Some(Lie::ExpPast) => {
                claims.iat = now - older - 120;
                claims.exp = Some(now - 60);
                works_until_ms = (now - 60) * 1000;
            }
            Some(Lie::IatInFuture(ahead)) => {
                let ahead = ahead.as_secs() as i64;
                claims.iat += ahead;
                claims.exp = claims.exp.map(|exp| exp.saturating_add(ahead));
            }
            Some(Lie::HugeToken) => claims.groups = vec!["g".repeat(PADDING)],
            Some(Lie::DiesEarly(after)) => {
                let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
                works_until_ms = now_ms().saturating_add(after);
            }
            Some(Lie::OtherUser) => {
                subject = self.users.ensure(SOMEBODY_ELSE);
                claims.sub = subject.id.to_string();
                claims.preferred_username.clone_from(&subject.username);
            }
            _ => {}
        }
        let opaque = self.lie == Some(Lie::Opaque);
        let token = match opaque {
            true => format!("TOKENMARK-{}", Uuid::new_v4()),
            false => self.signer.sign(&claims),
        };
        Made {
            token,
            claims,
            standing: Standing::new(subject.id, works_until_ms, opaque),
        }
    }
}
