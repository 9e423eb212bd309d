//! Pairs that SODA has to accept: proven by its showing them.

use super::{
    Ask, Client, Way,
    answer::{self, Row},
    permit,
};
use crate::{
    api::Reason,
    plan::{Failure, Proof},
    providers::{
        Identity, Issuance, Permission,
        http::{Turns, failed},
        keystone::access_key::{Standing, is_same_secret},
    },
    secret::SecretData,
};

impl Client {
    /// Has the pair of a request and a serial made at Keystone, or finds one to share.
    ///
    /// # Errors
    /// Those of a login and of a call; `NotAllowed`; those of the ways to have one.
    pub async fn issue_access_key(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        let permission = permit::at_keystone(permission, ask);
        match &ask.way {
            Way::Keystone => {
                self.keystone
                    .issue_access_key(turns, &ask.pair, &permission, identity)
                    .await
            }
            Way::Soda { .. } => self
                .issue_through_soda(turns, ask, &permission, identity)
                .await
                .map(Issuance::Issued),
            Way::Adopt { access } => self
                .adopt(turns, ask, access.as_deref(), &permission, identity)
                .await
                .map(Issuance::Issued),
        }
    }

    /// Proves a pair: SODA shows it for the right user and project. That it does not is no proof of
    /// anything, and Keystone is asked.
    ///
    /// # Errors
    /// Those of a login and of a call; when SODA does not show what Keystone has. Only that Keystone
    /// does not know the pair is [`Proof::Refused`].
    pub async fn verify_access_key(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        let (Some(access), Some(secret)) = (
            data.text("AWS_ACCESS_KEY_ID"),
            data.text("AWS_SECRET_ACCESS_KEY"),
        ) else {
            return Err(failed(Reason::InternalError, "there is no pair to verify"));
        };
        let mut session = self.keystone.for_project(turns, &ask.pair.project).await?;
        let owner = owner.unwrap_or(&session.user.id).to_owned();
        let rows = self.read(turns, &mut session).await?;
        let project = session.project.as_ref();
        let project = project.map_or("", |project| &project.id);
        let is_it = |row: &Row| {
            row.user_id == owner
                && row.project_id == project
                && row.blob.access_key == access
                && is_same_secret(&row.blob.secret_key, secret)
        };
        if rows.iter().flatten().any(is_it) {
            return Ok(Proof::Given);
        }
        let standing = self
            .keystone
            .standing(turns, &mut session, &owner, access, secret)
            .await?;
        match standing {
            Standing::Absent | Standing::Another => Ok(Proof::Refused),
            Standing::Hidden => Ok(Proof::Impossible),
            // SODA shows nobody but admins what belongs to others.
            Standing::Same if owner != session.user.id => Ok(Proof::Impossible),
            Standing::Same => {
                let shows_others = rows.is_some_and(|rows| !rows.is_empty());
                Err(answer::at_odds(shows_others))
            }
        }
    }
}
