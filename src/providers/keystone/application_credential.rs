//! Application credentials (`/v3/users/{user}/application_credentials`). Their secret is shown once;
//! names are unique for each user, and stay taken after their expiry.

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    Client, answer,
    answer::unexpected,
    client::Request,
    config::{ApplicationCredential, Ask},
    identity, login,
    names::{Named, is_given_id},
    permit::{self, Bearer},
    session::{self, Session},
};
use crate::{
    api::Reason,
    clock,
    plan::{Credential, Failure, Proof, Revocation},
    providers::{
        Holder, Identity, Issuance, Issued, Permission,
        http::{Turns, failed},
    },
    secret::SecretData,
};

const NEEDS_UNRESTRICTED: &str = "the provider's login is a restricted application credential, which may not make others; use an unrestricted one, \
     or a login with a password";

#[derive(Deserialize)]
struct Created {
    application_credential: New,
}

#[derive(Deserialize)]
struct New {
    id: String,
    name: String,
    project_id: Option<String>,
    /// Not in the samples of the documentation, and told all the same.
    #[serde(default)]
    user_id: Option<String>,
    secret: Zeroizing<String>,
    #[serde(default)]
    expires_at: Option<String>,
}

#[derive(Deserialize)]
struct Rows {
    application_credentials: Vec<Row>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    name: String,
}

impl Client {
    /// Makes the application credential of a request and a serial.
    ///
    /// # Errors
    /// Those of a login and of a call; `NotAllowed`; `Forbidden`, `QuotaExceeded`.
    pub async fn issue_application_credential(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        asked: &ApplicationCredential,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        let mut session = self.permitted_session(turns, ask, permission).await?;
        let mut roles = permitted_roles(&session, ask, asked, permission);
        if roles.is_err()
            && let Some(anew) = self.reconsidered(turns, &session).await?
        {
            session = anew;
            roles = permitted_roles(&session, ask, asked, permission);
        }
        let roles = roles?;
        let now = clock::now();
        let expires_at = expiry(asked, now);
        let name = identity::application_credential(identity);
        let body = body(&name, identity, asked, &roles, expires_at);
        let user = session.user.id.clone();
        let path = ["v3", "users", &user, "application_credentials"];
        let request = Request {
            body: Some(&body),
            ..Request::new(Method::POST, &path)
        };
        let answer = self.call(turns, &mut session, request).await?;
        match answer.status {
            StatusCode::CREATED => {}
            StatusCode::CONFLICT => return Ok(Issuance::Taken),
            StatusCode::BAD_REQUEST => {
                return Err(unexpected(
                    "does not accept the application credential (HTTP 400): look at spec.keystone.applicationCredential, \
                     its accessRules above all, and at the clocks of Keystone and of this cluster",
                ));
            }
            _ => {
                let delegated = session.delegated;
                return Err(answer::refused(&answer, delegated, NEEDS_UNRESTRICTED));
            }
        }
        let new = answer::read::<Created>(&answer)?.application_credential;
        let project = session.project.as_ref().map(|project| &project.id);
        let of_another = new.user_id.as_ref().is_some_and(|of| *of != user);
        if new.name != name
            || new.project_id.as_ref() != project
            || of_another
            || !is_given_id(&new.id)
        {
            return Err(unexpected(
                "made something else than the application credential that was asked for",
            ));
        }
        let stated =
            match &new.expires_at {
                Some(text) => Some(session::time(text).ok_or_else(|| {
                    unexpected("does not say when an application credential ends")
                })?),
                None => None,
            };
        let credential = Credential {
            serial: identity.serial,
            id: Some(new.id.clone()),
            owner: Some(user),
            issued_at: now,
            expires_at: stated,
            asked: String::new(),
            rotation: None,
            leak: None,
        };
        let data = SecretData::default()
            .with("OS_APPLICATION_CREDENTIAL_ID", new.id)
            .with("OS_APPLICATION_CREDENTIAL_SECRET", new.secret.as_str());
        let data = self.layout.complete(ask.what.kind(), data, &credential);
        Ok(Issuance::Issued(Issued {
            credential,
            data,
            remark: None,
        }))
    }

    /// Proves an application credential: by logging in with it, as the right user and for the right
    /// project.
    ///
    /// # Errors
    /// Those of a call. One that is refused is no error.
    pub async fn verify_application_credential(
        &self,
        turns: &dyn Turns,
        project: &Named,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        let (Some(id), Some(secret)) = (
            data.text("OS_APPLICATION_CREDENTIAL_ID"),
            data.text("OS_APPLICATION_CREDENTIAL_SECRET"),
        ) else {
            return Err(failed(
                Reason::InternalError,
                "there is no application credential to verify",
            ));
        };
        let body = login::application_credential_body(id, &SecretString::from(secret));
        let answer = self.post_login(turns, &body).await?;
        match answer.status {
            StatusCode::CREATED => {}
            // Both only where Keystone itself says so, and not something before it.
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND
                if answer::words(&answer).is_some() =>
            {
                return Ok(Proof::Refused);
            }
            // What refuses here is not Keystone, and says nothing about the provider's login.
            StatusCode::UNAUTHORIZED => {
                return Err(unexpected("is not what refuses the application credential"));
            }
            _ => return Err(answer::failure(&answer)),
        }
        let session = Session::read(&answer, &login::Scope::None, clock::now())?;
        let right_project = session.project.as_ref().is_some_and(|is| project.is(is));
        let right_user = owner.is_none_or(|owner| owner == session.user.id);
        Ok(if right_project && right_user {
            Proof::Given
        } else {
            Proof::Refused
        })
    }

    /// Revokes whatever is there by the name of a request and a serial.
    ///
    /// # Errors
    /// Those of a login and of a call; `Forbidden` where the login may not.
    pub async fn revoke_application_credential(
        &self,
        turns: &dyn Turns,
        holder: &Holder<'_>,
        project: Option<&Named>,
    ) -> Result<Revocation, Failure> {
        let mut session = self.any_session(turns, project).await?;
        let mut outcome = Revocation::Absent;
        for owner in owners(&session, holder.owner) {
            for id in self
                .find(turns, &mut session, &owner, holder.identity)
                .await?
            {
                let path = ["v3", "users", &owner, "application_credentials", &id];
                let request = Request::new(Method::DELETE, &path);
                let answer = self.call(turns, &mut session, request).await?;
                match answer.status {
                    StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => outcome = Revocation::Sent,
                    StatusCode::FORBIDDEN if session.delegated => {
                        return Err(failed(Reason::Forbidden, NEEDS_UNRESTRICTED));
                    }
                    _ => return Err(answer::failure(&answer)),
                }
            }
        }
        Ok(outcome)
    }

    /// Makes sure that nothing is there by the name of a request and a serial.
    ///
    /// # Errors
    /// Those of a login and of a call; `UnexpectedAnswer` when it is still there.
    pub async fn confirm_application_credential(
        &self,
        turns: &dyn Turns,
        holder: &Holder<'_>,
        project: Option<&Named>,
    ) -> Result<(), Failure> {
        let mut session = self.any_session(turns, project).await?;
        for owner in owners(&session, holder.owner) {
            let found = self
                .find(turns, &mut session, &owner, holder.identity)
                .await?;
            if !found.is_empty() {
                return Err(unexpected(
                    "still lists an application credential that it said it had deleted",
                ));
            }
        }
        Ok(())
    }

    /// The ids of what is there by the name of a request and a serial. The answer is a list under a
    /// session that works, so an empty one is an answer.
    async fn find(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        owner: &str,
        identity: &Identity,
    ) -> Result<Vec<String>, Failure> {
        let name = identity::application_credential(identity);
        let path = ["v3", "users", owner, "application_credentials"];
        let request = Request {
            query: &[("name", &name)],
            ..Request::list(&path)
        };
        let answer = self.call(turns, session, request).await?;
        match answer.status {
            StatusCode::OK => {}
            // The user is gone, and what was his with him. The login's own cannot be.
            StatusCode::NOT_FOUND if owner != session.user.id => return Ok(Vec::new()),
            StatusCode::FORBIDDEN => {
                return Err(failed(
                    Reason::Forbidden,
                    format!(
                        "the application credential belongs to user {owner}, whose credentials the provider's login may not \
                         see; use a login of that user, or one with the role admin"
                    ),
                ));
            }
            _ => return Err(answer::failure(&answer)),
        }
        let rows: Rows = answer::read(&answer)?;
        if rows.truncated {
            return Err(unexpected(
                "lists only a part of the application credentials; raise its list_limit",
            ));
        }
        // What a filter lets through is looked at once more: some back ends ignore filters.
        let rows = rows.application_credentials.into_iter();
        Ok(rows
            .filter(|row| row.name == name)
            .map(|row| row.id)
            .collect())
    }
}

/// The roles that a credential gets, if they may be had.
fn permitted_roles(
    session: &Session,
    ask: &Ask,
    asked: &ApplicationCredential,
    permission: &Permission,
) -> Result<Vec<String>, Failure> {
    let bearer = Bearer {
        other_user: None,
        roles: &session.roles,
    };
    permit::check(permission, ask, session, &bearer)?;
    let roles = asked.roles.as_ref().unwrap_or(&session.roles);
    // Keystone answers 400 to a role that the login lacks, and 404 to one that does not exist.
    match roles.iter().find(|role| !session.roles.contains(role)) {
        None => Ok(roles.clone()),
        Some(role) => Err(failed(
            Reason::Forbidden,
            format!(
                "the provider's login does not have the role {role} in the project, so it cannot pass it on"
            ),
        )),
    }
}

/// Under whom to look: the login's own user, and the one who is recorded.
fn owners(session: &Session, recorded: Option<&str>) -> Vec<String> {
    let own = session.user.id.clone();
    match recorded {
        Some(recorded) if recorded != own && is_given_id(recorded) => {
            vec![own, recorded.to_owned()]
        }
        _ => vec![own],
    }
}

/// When a credential ends that is made now.
fn expiry(asked: &ApplicationCredential, now: Timestamp) -> Option<Timestamp> {
    // Whole seconds, which every reader of such times understands.
    let by_lifetime = asked
        .lifetime
        .and_then(|life| now.checked_add(life).ok())
        .and_then(|at| Timestamp::from_second(at.as_second()).ok());
    match (by_lifetime, asked.ends) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn body(
    name: &str,
    identity: &Identity,
    asked: &ApplicationCredential,
    roles: &[String],
    expires_at: Option<Timestamp>,
) -> Value {
    let roles: Vec<_> = roles.iter().map(|role| json!({"name": role})).collect();
    let mut body = json!({
        "name": name,
        "description": identity::description(identity),
        "roles": roles,
        "unrestricted": asked.unrestricted,
    });
    if let Some(at) = expires_at {
        // Whole microseconds are as fine as Keystone reads them.
        let at = at
            .round(jiff::Unit::Microsecond)
            .unwrap_or(at)
            .max(Timestamp::UNIX_EPOCH);
        body["expires_at"] = json!(format!("{:.6}", at));
    }
    if let Some(rules) = &asked.access_rules {
        body["access_rules"] = json!(rules);
    }
    json!({ "application_credential": body })
}
