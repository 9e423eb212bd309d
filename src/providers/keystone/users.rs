//! Looking up users other than the login's own, which takes the role `admin`.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::{
    Client, answer,
    answer::unexpected,
    client::Request,
    names::{Domain, Entity, EntityDomain, Named},
    session::Session,
};
use crate::{
    api::Reason,
    plan::Failure,
    providers::http::{Answer, Turns, failed},
};

const NEEDS_ADMIN: &str =
    "credentials of another user than the login's own take a login with the role admin";

#[derive(Deserialize)]
struct User {
    id: String,
    name: String,
    domain_id: String,
}

#[derive(Deserialize)]
struct Found<T> {
    #[serde(alias = "user", alias = "domain")]
    one: T,
}

#[derive(Deserialize)]
struct Many<T> {
    #[serde(alias = "users", alias = "domains", alias = "role_assignments")]
    all: Vec<T>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct DomainRow {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Assignment {
    role: Role,
}

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    name: Option<String>,
}

impl Client {
    /// A user, if there is one by that name or id.
    ///
    /// # Errors
    /// `Forbidden` where the login may not look; those of a call.
    pub(super) async fn find_user(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        named: &Named,
    ) -> Result<Option<Entity>, Failure> {
        let user = match named {
            Named::Id(id) => self.one::<User>(turns, session, "users", id).await?,
            Named::Name(name, domain) => {
                let domain = match domain {
                    Domain::Id(id) => Some(id.clone()),
                    Domain::Name(name) => self
                        .single::<DomainRow>(turns, session, "domains", &[("name", name)])
                        .await?
                        .map(|domain| domain.id),
                };
                let Some(domain) = domain else {
                    return Ok(None);
                };
                let filter = [("name", name.as_str()), ("domain_id", &domain)];
                self.single::<User>(turns, session, "users", &filter)
                    .await?
                    // Filters are ignored by some back ends.
                    .filter(|user| user.name == *name && user.domain_id == domain)
            }
        };
        let Some(user) = user else {
            return Ok(None);
        };
        let domain = self
            .one::<DomainRow>(turns, session, "domains", &user.domain_id)
            .await?;
        Ok(Some(Entity {
            id: user.id,
            name: user.name,
            domain: EntityDomain {
                id: user.domain_id,
                name: domain.map(|domain| domain.name),
            },
        }))
    }

    /// The names of the roles that a user has in a project, through groups and by implication as well
    /// (Identity API v3, "List role assignments").
    ///
    /// # Errors
    /// `Forbidden` where the login may not look; those of a call.
    pub(super) async fn roles_of(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        user: &str,
        project: &str,
    ) -> Result<Vec<String>, Failure> {
        let request = Request {
            query: &[
                ("user.id", user),
                ("scope.project.id", project),
                ("effective", ""),
                ("include_names", ""),
            ],
            ..Request::list(&["v3", "role_assignments"])
        };
        let answer = self.call(turns, session, request).await?;
        let many: Many<Assignment> = list(&answer)?;
        many.all
            .into_iter()
            .map(|assignment| {
                let name = assignment.role.name;
                name.ok_or_else(|| unexpected("lists roles without their names"))
            })
            .collect()
    }

    async fn one<T: for<'a> Deserialize<'a>>(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        what: &str,
        id: &str,
    ) -> Result<Option<T>, Failure> {
        let path = ["v3", what, id];
        let request = Request::new(Method::GET, &path);
        let answer = self.call(turns, session, request).await?;
        match answer.status {
            StatusCode::OK => answer::read::<Found<T>>(&answer).map(|found| Some(found.one)),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::FORBIDDEN => Err(failed(Reason::Forbidden, NEEDS_ADMIN)),
            _ => Err(answer::failure(&answer)),
        }
    }

    /// The only one that a filter finds.
    async fn single<T: for<'a> Deserialize<'a>>(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        what: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, Failure> {
        let path = ["v3", what];
        let request = Request {
            query,
            ..Request::list(&path)
        };
        let answer = self.call(turns, session, request).await?;
        let mut many: Many<T> = list(&answer)?;
        match many.all.len() {
            0 | 1 => Ok(many.all.pop()),
            _ => Err(unexpected("finds several by one name within one domain")),
        }
    }
}

fn list<T: for<'a> Deserialize<'a>>(answer: &Answer) -> Result<Many<T>, Failure> {
    match answer.status {
        StatusCode::OK => {}
        StatusCode::FORBIDDEN => return Err(failed(Reason::Forbidden, NEEDS_ADMIN)),
        _ => return Err(answer::failure(answer)),
    }
    let many: Many<T> = answer::read(answer)?;
    if many.truncated {
        return Err(unexpected("lists only a part of what was asked for"));
    }
    Ok(many)
}
