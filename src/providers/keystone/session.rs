//! A session: a token of the operator's own, with what Keystone says about it.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    answer::{self, unexpected},
    login::Scope,
    names::Entity,
};
use crate::{api::names::is_name, plan::Failure, providers::http::Answer};

/// A token and what it stands for.
pub struct Session {
    /// The token.
    pub token: SecretString,
    /// What it was asked for.
    pub scope: Scope,
    /// Who logged in.
    pub user: Entity,
    /// The project of its scope.
    pub project: Option<Entity>,
    /// The names of its roles in that project, with those that they imply.
    pub roles: Vec<String>,
    /// Whether it was made with an application credential.
    pub delegated: bool,
    /// When it was made, by this machine's clock.
    pub issued_at: Timestamp,
    /// When it ends, by this machine's clock.
    pub expires_at: Timestamp,
}

/// The answer to a login (Identity API v3, "Authentication and token management").
#[derive(Deserialize)]
struct TokenAnswer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    user: Entity,
    #[serde(default)]
    project: Option<Entity>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    methods: Vec<String>,
    issued_at: String,
    expires_at: String,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

impl Token {
    /// Whether what goes into paths, annotations and messages is fit for that.
    fn check(&self) -> Result<(), Failure> {
        let entities = [Some(&self.user), self.project.as_ref()];
        let fit = entities.into_iter().flatten().all(Entity::is_fit)
            && self.roles.iter().all(|role| is_name(&role.name));
        fit.then_some(())
            .ok_or_else(|| unexpected("answers to a login with ids or names that it never gives"))
    }
}

/// A token that has no life worth mentioning left when it comes.
const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

impl Session {
    /// Reads the answer to a login.
    ///
    /// # Errors
    /// `UnexpectedAnswer` when it is no token.
    pub fn read(answer: &Answer, scope: &Scope, received: Timestamp) -> Result<Session, Failure> {
        let body: TokenAnswer = answer::read(answer)?;
        // Read case-insensitively (RFC 9110), as servers and proxies write it as they like.
        let token = answer
            .header("x-subject-token")
            .ok_or_else(|| unexpected("answers to a login without a token"))?;
        let token_body = body.token;
        token_body.check()?;
        let expires_at = time(&token_body.expires_at)
            .ok_or_else(|| unexpected("does not say when a token ends"))?;
        // Its clock may be ahead of this one: the life that it states counts from now on. Where it is
        // behind, the stated time is the earlier one and counts.
        let life = time(&token_body.issued_at).map(|issued| expires_at.duration_since(issued));
        let by_life = life.and_then(|life| received.checked_add(life).ok());
        let expires_at = by_life.map_or(expires_at, |by_life| by_life.min(expires_at));
        if expires_at.duration_since(received) < SHORTEST {
            return Err(unexpected(
                "answers with a token that has expired already; check the clocks of Keystone and of this cluster",
            ));
        }
        // Keystone states them in any order; what is said of them must not change with it.
        let mut roles: Vec<_> = token_body.roles.into_iter().map(|role| role.name).collect();
        roles.sort();
        Ok(Session {
            token,
            scope: scope.clone(),
            delegated: token_body
                .methods
                .iter()
                .any(|method| method == "application_credential"),
            user: token_body.user,
            project: token_body.project,
            roles,
            issued_at: received,
            expires_at,
        })
    }

    /// Whose a token is and for which project, by the answer about it (Identity API v3, "Validate and show
    /// information for token").
    ///
    /// # Errors
    /// `UnexpectedAnswer` when it speaks of no token.
    pub fn about(answer: &Answer) -> Result<(Entity, Option<Entity>), Failure> {
        let body: TokenAnswer = answer::read(answer)?;
        body.token.check()?;
        Ok((body.token.user, body.token.project))
    }

    /// Whether it still has so much life left that a call with it will not be cut off.
    pub fn is_living(&self, now: Timestamp) -> bool {
        let life = self.expires_at.duration_since(self.issued_at);
        let margin = (life / 10).min(SignedDuration::from_secs(60));
        now + margin < self.expires_at
    }
}

/// A time of Keystone's: UTC, in tokens with `Z`, in application credentials without.
pub fn time(text: &str) -> Option<Timestamp> {
    let zoned = text.parse::<Timestamp>().ok();
    zoned.or_else(|| {
        let civil: DateTime = text.parse().ok()?;
        civil
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    })
}
