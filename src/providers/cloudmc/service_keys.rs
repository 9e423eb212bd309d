//! Service keys: read, laid out, and compared with what is published. There is no other proof of them:
//! what they open is not CloudMC.

use reqwest::StatusCode;

use super::{
    answer::{self, NAME, Said},
    client::{Client, Sort, Trouble},
    config::Ask,
    fields::Fields,
    names::{Entity, Named},
    permit,
};
use crate::{
    api::Reason,
    clock,
    plan::{Credential, Failure, Proof},
    providers::{
        Identity, Issuance, Issued, Permission,
        http::{Answer, Turns, failed},
    },
    secret::SecretData,
};

impl Client {
    /// Reads the service keys, for a connection and an environment that a grant allows.
    ///
    /// # Errors
    /// `NotAllowed`, `ScopeRefused`, `Forbidden`, `UnexpectedAnswer`, and those of any call.
    pub async fn issue_service_keys(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        let (connection, environment) = self.allowed(turns, ask, permission).await?;
        let answer = self.api_info(turns, &connection, &environment).await?;
        let data = read(ask, &answer)?;
        let credential = Credential {
            serial: identity.serial,
            id: Some(connection),
            owner: Some(environment),
            issued_at: clock::now(),
            expires_at: None,
            asked: String::new(),
            rotation: None,
            leak: None,
        };
        Ok(Issuance::Issued(Issued {
            credential,
            data,
            remark: None,
        }))
    }

    /// Reads the service keys again. `owner` is the environment that `data` was read for. With
    /// `permission`, it is looked at anew whether a grant allows them.
    ///
    /// # Errors
    /// Those of any call; `NotAllowed`; `Forbidden` where CloudMC does not show them any more. That they are others by
    /// now is no error but [`Proof::Refused`].
    pub async fn verify_service_keys(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: Option<&Permission>,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        let in_doubt = permission.filter(|permission| !permit::by_ids(permission, ask));
        let connection = self
            .once_more(turns, Sort::Connection, ask, None, in_doubt)
            .await?;
        let within = Some(&connection);
        let environment = self
            .once_more(turns, Sort::Environment, ask, within, in_doubt)
            .await?;
        if let Some(permission) = in_doubt {
            permit::check(permission, ask, &connection, &environment)?;
        }
        if owner.is_some_and(|owner| owner != environment.id) {
            // The name leads elsewhere by now.
            return Ok(Proof::Refused);
        }
        let answer = self
            .api_info(turns, &connection.id, &environment.id)
            .await?;
        compare(ask, &answer, data)
    }

    /// The ids of the connection and the environment, where a grant allows them.
    async fn allowed(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<(String, String), Failure> {
        if let (Named::Id(connection), Named::Id(environment)) = (&ask.connection, &ask.environment)
            && permit::by_ids(permission, ask)
        {
            return Ok((connection.clone(), environment.clone()));
        }
        let told = |trouble, sort, asked, connection| match trouble {
            Trouble::Call(failure) => failure,
            trouble => {
                let failure = trouble.failure(sort, asked, false);
                permit::told(permission, ask, connection, failure)
            }
        };
        let (sort, asked) = (Sort::Connection, &ask.connection);
        let connection = self
            .find(turns, sort, asked, None, &|_| true)
            .await
            .map_err(|trouble| told(trouble, sort, asked, None))?;
        let (sort, asked, within) = (Sort::Environment, &ask.environment, Some(&connection));
        let may_be = |one: &Entity| permit::may_be_within(permission, ask, one);
        let environment = self
            .find(turns, sort, asked, within, &may_be)
            .await
            .map_err(|trouble| told(trouble, sort, asked, within))?;
        permit::check(permission, ask, &connection, &environment)?;
        Ok((connection.id, environment.id))
    }

    /// Looks up again what was found before. An id needs that only where the grants have to be asked about
    /// what is behind it.
    async fn once_more(
        &self,
        turns: &dyn Turns,
        sort: Sort,
        ask: &Ask,
        within: Option<&Entity>,
        permission: Option<&Permission>,
    ) -> Result<Entity, Failure> {
        let asked = match sort {
            Sort::Connection => &ask.connection,
            Sort::Environment => &ask.environment,
        };
        if let (Named::Id(id), None) = (asked, permission) {
            return Ok(Entity::known_by(id));
        }
        let may_be = |one: &Entity| {
            permission.is_none_or(|permission| permit::may_be_within(permission, ask, one))
        };
        self.find(turns, sort, asked, within, &may_be)
            .await
            .map_err(|trouble| trouble.failure(sort, asked, true))
    }
}

/// What an answer to `apiInfo` puts into the Secret.
///
/// # Errors
/// `Forbidden` where CloudMC does not show the keys, `ScopeRefused` for a field that is missing,
/// `UnexpectedAnswer`, and those of any call.
pub fn read(ask: &Ask, answer: &Answer) -> Result<SecretData, Failure> {
    ask.form.lay_out(&fields(answer)?)
}

/// What an answer to `apiInfo` says about keys that were read before.
///
/// # Errors
/// As with [`read`]; `UnexpectedAnswer` where something has no value any more.
pub fn compare(ask: &Ask, answer: &Answer, before: &SecretData) -> Result<Proof, Failure> {
    let fields = fields(answer)?;
    let now = ask.form.lay_out(&fields)?;
    if let Some(gone) = ask.form.gone(&fields, before, &now)? {
        return Err(answer::unexpected(&format!(
            "shows no value any more for {gone}, which proves nothing; what is in the Secret stays as it is. Who is sure gives \
             the annotation credential-operator.dev/rotate a new value: then what there is takes its place"
        )));
    }
    Ok(if now == *before {
        Proof::Given
    } else {
        Proof::Refused
    })
}

fn fields(answer: &Answer) -> Result<Fields, Failure> {
    match answer::said(answer) {
        Said::Forbidden => return Err(lost(answer, "")),
        Said::NotFound => return Err(lost(answer, NO_CALL)),
        // A page of something before CloudMC, which soon may be gone, or of CloudMC itself.
        _ if answer.status == StatusCode::NOT_FOUND => {
            return Err(Failure {
                reason: Reason::UnexpectedAnswer,
                ..lost(answer, NO_CALL)
            });
        }
        said => said.done(answer)?,
    }
    Fields::read(answer)
}

/// What else it may mean that something is not there.
const NO_CALL: &str =
    ", or this CloudMC does not offer the call, in the version that the endpoint names";

/// "A user can only access their own API keys and only for environments where they are a member"
/// ("Retrieve API credentials"). It does not say how anybody else is answered.
fn lost(answer: &Answer, or: &str) -> Failure {
    Failure {
        retry_after: answer.retry_after,
        rest: None,
        ..failed(
            Reason::Forbidden,
            format!(
                "{NAME} does not show the login the service keys of this environment (HTTP {}): its user is not, or no longer, a \
                 member of it, or the environment or the connection is gone{or}. A Secret that is there stays as it is",
                answer.status.as_u16()
            ),
        )
    }
}
