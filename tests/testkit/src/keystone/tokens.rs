//! Tokens: how they are made, what they are worth, and how they die.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::state::{Role, State, new_id};

/// The method that an application credential's tokens were got by.
pub(super) const BY_APPLICATION_CREDENTIAL: &str = "application_credential";

/// A token, as it was issued. Its roles are looked up whenever it is used, as with Fernet.
pub(super) struct Token {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) project: Option<String>,
    pub(super) application_credential: Option<String>,
    pub(super) methods: Vec<&'static str>,
    pub(super) audit: String,
    /// The audit id of the token that this one descends from.
    pub(super) root: Option<String>,
    /// Seconds since the epoch.
    pub(super) issued: i64,
    pub(super) expires: Timestamp,
}

/// What a login has found out.
pub(super) struct Draft {
    pub(super) user: String,
    pub(super) project: Option<String>,
    pub(super) application_credential: Option<String>,
    pub(super) methods: Vec<&'static str>,
    pub(super) root: Option<String>,
    /// The end of the token that this one descends from.
    pub(super) expires: Option<Timestamp>,
}

/// Why a token is good for nothing. Whoever comes with it meets a 401 in the first case and a 404 in the second;
/// whoever asks about it meets a 404 in both.
pub(super) enum Invalid {
    Token(String),
    Dead(String),
}

impl State {
    /// The token of this text, if it can be used now. Dead users and projects are noticed before an expired token.
    pub(super) fn validate(
        &self,
        text: &str,
        now: Timestamp,
        even_expired: bool,
    ) -> Result<Arc<Token>, Invalid> {
        if text.is_empty() {
            return Err(Invalid::Token("No token in the request".to_owned()));
        }
        let Some(token) = self.tokens.get(text) else {
            let words = "Could not recognize Fernet token";
            return Err(Invalid::Token(words.to_owned()));
        };
        self.check_scope(token)?;
        let expired = !even_expired && now >= token.expires;
        let by_user = self.revoked_users.get(&token.user);
        let revoked = by_user.is_some_and(|until| token.issued <= *until)
            || self.revoked.contains(&token.audit)
            || token
                .root
                .as_ref()
                .is_some_and(|r| self.revoked.contains(r));
        let with_rules = |id: &String| !self.application_credentials[id].access_rules.is_empty();
        let ruled = token
            .application_credential
            .as_ref()
            .is_some_and(with_rules);
        if expired || revoked || ruled || !self.users[&token.user].enabled {
            let words = "Failed to validate token";
            return Err(Invalid::Token(words.to_owned()));
        }
        Ok(Arc::clone(token))
    }

    /// Whether the user, the project, the application credential and the roles are still there.
    fn check_scope(&self, token: &Token) -> Result<(), Invalid> {
        let dead = |words: String| Err(Invalid::Dead(words));
        if !self.users.contains_key(&token.user) {
            return dead(format!("Could not find user: {}.", token.user));
        }
        if let Some(id) = &token.project {
            let Some(project) = self.projects.get(id) else {
                return dead(format!("Could not find project: {id}."));
            };
            if !project.enabled {
                return dead(format!(
                    "Unable to validate token because project {id} is disabled"
                ));
            }
        }
        if let Some(id) = &token.application_credential
            && !self.application_credentials.contains_key(id)
        {
            return dead(format!("Could not find Application Credential: {id}."));
        }
        if token.project.is_some() && self.roles_of(token).is_empty() {
            let words = format!("Could not find token: {}.", token.id);
            return Err(Invalid::Token(words));
        }
        Ok(())
    }

    /// The roles that a token has now. Those of an application credential are the ones it was made with, as far as
    /// the user still has them.
    pub(super) fn roles_of(&self, token: &Token) -> Vec<&Role> {
        let Some(project) = &token.project else {
            return Vec::new();
        };
        let mut roles = self.effective(&token.user, project);
        let credential = token.application_credential.as_ref();
        if let Some(credential) = credential.and_then(|id| self.application_credentials.get(id)) {
            roles.retain(|role| credential.roles.contains(&role.name));
        }
        roles
    }

    /// Makes a token that nobody has yet: [`State::issue`] makes it valid.
    pub(super) fn mint(&self, draft: Draft, now: Timestamp) -> Result<Token, Invalid> {
        // Whole seconds, rounded down: so a token lives up to a second shorter than it is meant to.
        let meant = Timestamp::from_second((now + self.token_life).as_second()).unwrap();
        let mut expires = draft.expires.unwrap_or(meant);
        let credential = draft.application_credential.as_ref();
        let credential = credential.and_then(|id| self.application_credentials.get(id));
        if let Some(end) = credential.and_then(|credential| credential.expires) {
            expires = expires.min(end);
        }
        let token = Token {
            id: new_text(),
            user: draft.user,
            project: draft.project,
            application_credential: draft.application_credential,
            methods: draft.methods,
            audit: new_audit_id(),
            root: draft.root,
            issued: now.as_second(),
            expires,
        };
        self.check_scope(&token)?;
        Ok(token)
    }

    /// From now on the token is good.
    pub(super) fn issue(&mut self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        self.secret(&token.id);
        self.issued_to(&token.user).tokens += 1;
        self.tokens.insert(token.id.clone(), Arc::clone(&token));
        token
    }

    /// The body that tells what a token is.
    pub(super) fn describe(&self, token: &Token, base: &str, catalog: bool) -> Value {
        let user = &self.users[&token.user];
        let mut audit_ids = vec![&token.audit];
        audit_ids.extend(&token.root);
        let issued = Timestamp::from_second(token.issued).unwrap();
        let mut body = json!({
            "methods": token.methods,
            "user": {
                "domain": self.domain(&user.domain),
                "id": token.user,
                "name": user.name,
                "password_expires_at": null,
            },
            "audit_ids": audit_ids,
            "expires_at": with_z(token.expires),
            "issued_at": with_z(issued),
        });
        if let Some(id) = &token.project {
            let project = &self.projects[id];
            let domain = self.domain(&project.domain);
            let roles = self.roles_of(token).into_iter();
            let roles: Vec<Value> = roles
                .map(|role| json!({"id": role.id, "name": role.name}))
                .collect();
            body["project"] = json!({"domain": domain, "id": id, "name": project.name});
            body["is_domain"] = json!(false);
            body["roles"] = json!(roles);
            if catalog {
                body["catalog"] = self.catalog(base);
            }
        }
        if let Some(id) = &token.application_credential {
            let credential = &self.application_credentials[id];
            let restricted = credential.unrestricted != json!(true);
            let mut about = json!({"id": id, "name": credential.name, "restricted": restricted});
            if !credential.access_rules.is_empty() {
                about["access_rules"] = json!(credential.access_rules);
            }
            body["application_credential"] = about;
        }
        json!({"token": body})
    }

    /// A domain as it stands in the description of what belongs to it.
    pub(super) fn domain(&self, id: &str) -> Value {
        json!({"id": id, "name": self.domains[id]})
    }

    fn catalog(&self, base: &str) -> Value {
        let endpoints = ["public", "internal", "admin"].map(|interface| {
            json!({
                "id": new_id(),
                "interface": interface,
                "region_id": "RegionOne",
                "url": format!("{base}/v3/"),
                "region": "RegionOne",
            })
        });
        json!([{"endpoints": endpoints, "id": new_id(), "type": "identity", "name": "keystone"}])
    }
}

/// Keystone's form of a moment in tokens.
pub(super) fn with_z(at: Timestamp) -> String {
    without_z(at) + "Z"
}

/// Keystone's form of a moment in application credentials.
pub(super) fn without_z(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

fn random(parts: usize) -> Vec<u8> {
    (0..parts)
        .flat_map(|_| Uuid::new_v4().into_bytes())
        .collect()
}

/// As long as a Fernet token, and beginning like one.
fn new_text() -> String {
    let mut text = "gAAAAAB".to_owned();
    URL_SAFE_NO_PAD.encode_string(random(8), &mut text);
    text
}

fn new_audit_id() -> String {
    URL_SAFE_NO_PAD.encode(random(1))
}

/// A secret as Keystone makes them for application credentials: 86 letters.
pub(super) fn new_secret() -> String {
    URL_SAFE_NO_PAD.encode(random(4))
}
