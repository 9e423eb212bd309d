//! The calls to CloudMC. All of them only read.

use reqwest::{Method, header::HeaderName};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::{
    answer::{self, Said, unexpected},
    config::{Config, LOGIN_KEY},
    names::{Entity, Named},
};
use crate::{
    api::{
        Reason,
        names::{is_id, is_name},
    },
    plan::{Failure, Refusal},
    providers::{
        LoginValues,
        http::{Answer, Call, HttpClient, Size, Turns, failed},
    },
};

/// The header with the API key ("Getting started", section "Authentication").
const API_KEY: HeaderName = HeaderName::from_static("mc-api-key");
/// The longest API key that is believed.
const LONGEST_KEY: usize = 1024;

/// Talks to one CloudMC with one login.
pub struct Client {
    http: HttpClient,
    key: SecretString,
}

/// What a request can name ("Service connections" and "Environments").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A service connection.
    Connection,
    /// An environment.
    Environment,
}

/// One of these in an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    /// Of an environment.
    #[serde(default)]
    service_connection: Option<Reference>,
    /// Of an environment. Where it has another form, it is as if it were not told: only grants that name
    /// organizations need it.
    #[serde(default, deserialize_with = "in_one_form")]
    organization: Option<Reference>,
}

fn in_one_form<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Reference>, D::Error> {
    let told = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(told).ok())
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

impl Reference {
    /// What it names, if its id can be compared.
    fn entity(self) -> Option<Entity> {
        let id = self.id.filter(|id| is_id(id))?;
        Some(Entity {
            name: self.name.filter(|name| is_name(name)),
            ..Entity::known_by(&id)
        })
    }
}

impl Client {
    /// A client; `login` holds the API key.
    ///
    /// # Errors
    /// `LoginInvalid` when it cannot be one.
    pub fn new(config: &Config, http: HttpClient, login: &LoginValues) -> Result<Self, Refusal> {
        let key = login.expect(&config.key);
        let text = key.expose_secret();
        let plausible = !text.is_empty()
            && text.len() <= LONGEST_KEY
            && text.chars().all(|char| char.is_ascii_graphic());
        if plausible {
            Ok(Client { http, key })
        } else {
            Err(Refusal::new(
                Reason::LoginInvalid,
                format!(
                    "the value under key {} ({LOGIN_KEY}) is empty, longer than {LONGEST_KEY} bytes, or has characters that no \
                     API key has",
                    config.key
                ),
            ))
        }
    }

    /// `GET environments`, which shows every user something and changes nothing. Only the beginning
    /// is read: the list grows with the environments of the organization, and whether the login
    /// works shows at once.
    ///
    /// # Errors
    /// `LoginRefused`, and those of any call.
    pub async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        let path = Sort::Environment.path();
        let answer = self.get(turns, path, &[], Size::BEGINNING).await?;
        answer::begins::<Listed>(&answer)
    }

    /// What CloudMC knows about a connection or an environment. Of several environments of the same name,
    /// those of another connection than `within` do not count, and neither do those of which `for_whom` says no, where it says yes of one.
    ///
    /// # Errors
    /// When it does not show the login exactly one, and those of any call.
    pub async fn find(
        &self,
        turns: &dyn Turns,
        sort: Sort,
        asked: &Named,
        within: Option<&Entity>,
        for_whom: &(dyn Fn(&Entity) -> bool + Sync),
    ) -> Result<Entity, Trouble> {
        let found = match asked {
            Named::Id(id) => self.by_id(turns, sort, id).await?,
            Named::Name(name) => {
                let size = Size::LIST_OR_BEGINNING;
                let answer = self.get(turns, sort.path(), &[], size).await?;
                if answer.is_whole || !answer.status.is_success() {
                    answer::said(&answer).done(&answer)?;
                }
                pick(sort, name, &answer, within, for_whom)?
            }
        };
        if within.is_some_and(|connection| found.is_elsewhere(connection)) {
            Err(Trouble::Elsewhere)
        } else {
            Ok(found)
        }
    }

    async fn by_id(&self, turns: &dyn Turns, sort: Sort, id: &str) -> Result<Entity, Trouble> {
        let mut path = sort.path().to_vec();
        path.push(id);
        let answer = self.get(turns, &path, &[], Size::USUAL).await?;
        this_one(sort, id, &answer)
    }

    /// `GET services/connections/{id}/apiInfo?environmentId=…`: the service keys of the login's user.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn api_info(
        &self,
        turns: &dyn Turns,
        connection: &str,
        environment: &str,
    ) -> Result<Answer, Failure> {
        let path = ["services", "connections", connection, "apiInfo"];
        let query = [("environmentId", environment)];
        self.get(turns, &path, &query, Size::USUAL).await
    }

    async fn get(
        &self,
        turns: &dyn Turns,
        path: &[&str],
        query: &[(&str, &str)],
        size: Size,
    ) -> Result<Answer, Failure> {
        let headers = [(API_KEY, &self.key)];
        let call = Call {
            query,
            headers: &headers,
            size,
            ..Call::new(Method::GET, path)
        };
        self.http.send(turns, call).await
    }
}

/// The one with an id, in the answer about it.
pub(super) fn this_one(sort: Sort, id: &str, answer: &Answer) -> Result<Entity, Trouble> {
    match answer::said(answer) {
        Said::Forbidden | Said::NotFound => return Err(Trouble::NotShown),
        said => said.done(answer)?,
    }
    let found = sort.entity(answer::one(answer)?)?;
    if found.id == id {
        Ok(found)
    } else {
        Err(Trouble::Call(unexpected(&format!(
            "speaks of another {} than it was asked about",
            sort.noun()
        ))))
    }
}

/// The one of a name, in the answer that lists all. More than one is no choice for the operator to make.
pub(super) fn pick(
    sort: Sort,
    name: &str,
    answer: &Answer,
    within: Option<&Entity>,
    for_whom: &(dyn Fn(&Entity) -> bool + Sync),
) -> Result<Entity, Trouble> {
    if !answer.is_whole {
        return Err(Trouble::Call(unexpected(&format!(
            "shows the login so many {}s that the list is larger than {} MiB; state the id in {}",
            sort.noun(),
            Size::LIST_OR_BEGINNING.mib(),
            sort.field()
        ))));
    }
    let (all, is_whole) = answer::list::<Listed>(answer)?;
    let named = all
        .into_iter()
        .filter(|listed| listed.name.as_deref() == Some(name));
    let mut found: Vec<Entity> = named
        .map(|listed| sort.entity(listed))
        .collect::<Result<_, _>>()?;
    if let Some(connection) = within
        && found.len() > 1
    {
        found.retain(|entity| !entity.is_elsewhere(connection));
    }
    if found.len() > 1 && found.iter().any(for_whom) {
        found.retain(for_whom);
    }
    let count = found.len();
    match (found.pop(), count) {
        (Some(_), 2..) => Err(Trouble::Several(count)),
        _ if !is_whole => Err(Trouble::Call(unexpected(&format!(
            "shows a part of the list of {}s only, so that a name proves nothing; state the id in {}",
            sort.noun(),
            sort.field()
        )))),
        (Some(entity), _) => Ok(entity),
        (None, _) => Err(Trouble::NotShown),
    }
}

/// Why there is no connection or environment.
#[derive(Debug)]
pub enum Trouble {
    /// CloudMC does not show it to the login.
    NotShown,
    /// So many have that name.
    Several(usize),
    /// The environment belongs to another connection.
    Elsewhere,
    /// The call has failed.
    Call(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Call(failure)
    }
}

impl Trouble {
    /// The same as a failure. What was shown `before`, and is not any more, is most likely a membership
    /// that has ended.
    pub fn failure(self, sort: Sort, asked: &Named, before: bool) -> Failure {
        let (noun, field) = (sort.noun(), sort.field());
        let refused = |words| failed(Reason::ScopeRefused, words);
        match self {
            Trouble::Call(failure) => failure,
            Trouble::Several(count) => refused(format!(
                "CloudMC shows the login {count} {noun}s {asked}; state the id in {field}"
            )),
            Trouble::Elsewhere => refused(format!(
                "CloudMC says that the {noun} {asked} belongs to another connection; correct {field}"
            )),
            Trouble::NotShown => {
                let membership = match sort {
                    Sort::Connection => "its user's organization does not have it",
                    Sort::Environment => "its user is not, or no longer, a member of it",
                };
                let reason = if before {
                    Reason::Forbidden
                } else {
                    Reason::ScopeRefused
                };
                failed(
                    reason,
                    format!(
                        "CloudMC shows the login no {noun} {asked}: there is none, or {membership}; correct {field}, or have that \
                         changed. A Secret that is there stays as it is"
                    ),
                )
            }
        }
    }
}

impl Entity {
    /// Whether CloudMC says that this environment belongs to another connection.
    fn is_elsewhere(&self, connection: &Entity) -> bool {
        let stated = self.connection.as_ref();
        stated.is_some_and(|stated| *stated != connection.id)
    }
}

impl Sort {
    fn path(self) -> &'static [&'static str] {
        match self {
            Sort::Connection => &["services", "connections"],
            Sort::Environment => &["environments"],
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Sort::Connection => "connection",
            Sort::Environment => "environment",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Sort::Connection => super::config::CONNECTION,
            Sort::Environment => super::config::ENVIRONMENT,
        }
    }

    /// What is listed, if its id can be part of a path and its name be compared.
    fn entity(self, listed: Listed) -> Result<Entity, Failure> {
        let connection = listed.service_connection.and_then(|it| it.id);
        let organization = listed.organization.and_then(Reference::entity);
        match listed.id {
            Some(id) if is_id(&id) => Ok(Entity {
                id,
                name: listed.name.filter(|name| is_name(name)),
                connection: connection.filter(|_| self == Sort::Environment),
                organization: organization
                    .filter(|_| self == Sort::Environment)
                    .map(Box::new),
            }),
            _ => Err(unexpected(&format!(
                "tells an id of the {} that cannot be one",
                self.noun()
            ))),
        }
    }
}
