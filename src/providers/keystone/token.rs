//! Tokens that are handed out. They expire by themselves; rescoping does not prolong them, so each
//! one is a login of its own.

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Client, answer,
    config::Ask,
    names::Named,
    permit::{self, Bearer},
    session::Session,
};
use crate::{
    api::Reason,
    plan::{Credential, Failure, Proof},
    providers::{
        Issued, Permission,
        http::{Turns, failed},
    },
    secret::SecretData,
};

impl Client {
    /// Makes a token.
    ///
    /// # Errors
    /// Those of a login; `NotAllowed`.
    pub async fn issue_token(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<Issued, Failure> {
        let fresh = self.fresh(turns, &ask.project).await;
        let session =
            fresh.map_err(|failure| permit::scope_refused(permission, &ask.project, failure))?;
        let bearer = Bearer {
            other_user: None,
            roles: &session.roles,
        };
        if let Err(failure) = permit::check(permission, ask, &session, &bearer) {
            // Nobody will have it. Should this fail, it expires by itself.
            drop(self.revoke_token(turns, &session.token).await);
            return Err(failure);
        }
        Ok(self.hand_out(ask, session))
    }

    fn hand_out(&self, ask: &Ask, session: Session) -> Issued {
        let credential = Credential {
            serial: 0,
            id: None,
            owner: Some(session.user.id),
            issued_at: session.issued_at,
            expires_at: Some(session.expires_at),
            asked: String::new(),
            rotation: None,
            leak: None,
        };
        let data = SecretData::default().with("OS_TOKEN", session.token.expose_secret());
        let data = match session.project {
            Some(project) => data
                .with("OS_PROJECT_ID", project.id)
                .with("OS_PROJECT_NAME", project.name)
                .with("OS_PROJECT_DOMAIN_ID", project.domain.id)
                .with(
                    "OS_PROJECT_DOMAIN_NAME",
                    project.domain.name.unwrap_or_default(),
                ),
            None => data,
        };
        let data = self.layout.complete(ask.what.kind(), data, &credential);
        Issued {
            credential,
            data,
            remark: None,
        }
    }

    /// Proves a token: Keystone knows it, as the right user's and for the right project.
    ///
    /// # Errors
    /// Those of a call. A token that is refused is no error.
    pub async fn verify_token(
        &self,
        turns: &dyn Turns,
        project: &Named,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        let token = published(data)?;
        let mut answer = self.validate(turns, &token).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            // It may be too fresh for a moment.
            super::client::breathe().await;
            answer = self.validate(turns, &token).await?;
        }
        match answer.status {
            StatusCode::OK => {
                let (user, scope) = Session::about(&answer)?;
                let right_user = owner.is_none_or(|owner| owner == user.id);
                let right_project = scope.is_some_and(|scope| project.is(&scope));
                Ok(if right_user && right_project {
                    Proof::Given
                } else {
                    Proof::Refused
                })
            }
            _ => answer::no_token(&answer).map(|()| Proof::Refused),
        }
    }

    /// Revokes a published token, with nothing but the token itself.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn part_with_token(
        &self,
        turns: &dyn Turns,
        data: &SecretData,
    ) -> Result<(), Failure> {
        let answer = self.revoke_token(turns, &published(data)?).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            // It is over by now.
            _ => answer::no_token(&answer),
        }
    }
}

fn published(data: &SecretData) -> Result<SecretString, Failure> {
    data.text("OS_TOKEN")
        .map(SecretString::from)
        .ok_or_else(|| failed(Reason::InternalError, "there is no token in the Secret"))
}
