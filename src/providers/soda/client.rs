//! Calls to one SODA, with sessions of the Keystone behind it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use reqwest::{Method, StatusCode, header::HeaderName};
use serde_json::Value;

use super::{
    Config,
    answer::{self, Row, unavailable, unexpected},
    config,
    doubt::Doubt,
    ending::Ending,
};
use crate::{
    api::{Reason, names::is_id},
    clock,
    plan::{Failure, Refusal},
    providers::{
        LoginValues,
        http::{Answer, Call, HttpClient, Size, Turns, failed},
        keystone::{self, session::Session},
    },
};

/// The header with the caller's token.
const CALLER: HeaderName = HeaderName::from_static("x-auth-token");

/// Talks to one SODA with one login.
pub struct Client {
    /// The Keystone behind it.
    pub(super) keystone: keystone::Client,
    http: HttpClient,
    /// Whether pairs may be about to appear. Held while one is looked for and made, so that two requests do
    /// not make two.
    pub(super) doubt: tokio::sync::Mutex<Doubt>,
    /// What requests that are going have said and done, by their UIDs.
    pub(super) endings: Mutex<HashMap<String, Ending>>,
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// When a value of the login Secret is missing or cannot be a login.
    pub fn new(
        config: &Config,
        http: HttpClient,
        values: &LoginValues,
        layout: keystone::Layout,
    ) -> Result<Self, Refusal> {
        let soda = http
            .clone()
            .at(config::base(http.endpoint()))
            .named_by(config::ENDPOINT);
        let at_keystone = http.at(config.keystone.clone()).named_by(config::KEYSTONE);
        Ok(Client {
            keystone: keystone::Client::new(&config.at_keystone(), at_keystone, values, layout)?,
            http: soda,
            doubt: tokio::sync::Mutex::new(Doubt::new(clock::monotonic())),
            endings: Mutex::default(),
        })
    }

    /// Logs in at Keystone, for any project, and has SODA show what it has: a wrong endpoint, or a SODA
    /// that asks another Keystone, shows there.
    ///
    /// # Errors
    /// Those of a login and of a call. `ScopeRefused` when the login may enter no project.
    pub async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        self.keystone.test_login(turns).await?;
        let Some(mut session) = self.keystone.for_any_project(turns).await? else {
            return Err(failed(
                Reason::ScopeRefused,
                "the login works, but its user has a role in no project, without which SODA answers nothing",
            ));
        };
        self.read(turns, &mut session).await.map(drop)
    }

    /// `GET /v1/{project}/aksks/{user}`: what SODA shows of the login's own user.
    ///
    /// # Errors
    /// Those of a login and of a call.
    pub(super) async fn read(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
    ) -> Result<Option<Vec<Row>>, Failure> {
        let user = session.user.id.clone();
        let answer = self
            .ask(turns, session, Method::GET, Some(&user), None)
            .await?;
        match answer.status {
            StatusCode::OK => answer::rows(&answer, &user),
            StatusCode::INTERNAL_SERVER_ERROR => Err(self
                .unreadable(turns, session)
                .await
                .unwrap_or_else(|| answer::failure(&answer))),
            _ => Err(answer::failure(&answer)),
        }
    }

    /// Makes a call with a session. One that SODA does not know is replaced once, where Keystone does not
    /// know it either.
    ///
    /// # Errors
    /// Those of a login and of a call.
    pub(super) async fn ask(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        method: Method,
        user: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let answer = self
            .send(turns, session, method.clone(), user, body)
            .await?;
        if !answer::refuses_token(&answer) {
            return Ok(answer);
        }
        if self.keystone.is_alive(turns, session).await? {
            return Err(answer::other_keystone());
        }
        self.keystone.replace(turns, session).await?;
        let answer = self.send(turns, session, method, user, body).await?;
        if answer::refuses_token(&answer) {
            return Err(answer::other_keystone());
        }
        Ok(answer)
    }

    async fn send(
        &self,
        turns: &dyn Turns,
        session: &Session,
        method: Method,
        user: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        // To a token without a project SODA breaks the connection off.
        let project = session.project.as_ref().map(|project| project.id.as_str());
        let project = project.unwrap_or_default();
        // SODA puts ids into the query of its own call as they are.
        if !is_id(project) || user.is_some_and(|user| !is_id(user)) {
            return Err(unexpected(
                "cannot be asked about a user or project whose id has other characters than letters, digits, '-', '_' and '.'",
            ));
        }
        let mut path = vec!["v1", project, "aksks"];
        path.extend(user);
        // Asked about a user, SODA lists all credentials of that user.
        let size = if method == Method::GET {
            Size::LIST
        } else {
            Size::USUAL
        };
        let call = Call {
            headers: &[(CALLER, &session.token)],
            body,
            size,
            ..Call::new(method, &path)
        };
        self.http.send(turns, call).await
    }

    /// Why SODA fails to show anything, where a credential of the user is the reason: it shows all or
    /// none, and some types of credentials are not written as it wants them.
    async fn unreadable(&self, turns: &dyn Turns, session: &mut Arc<Session>) -> Option<Failure> {
        let held = self.keystone.own_credentials(turns, session).await.ok()??;
        let culprit = held.into_iter().find(|held| !held.is_object)?;
        let known = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let kind = Some(culprit.kind).filter(|kind| known(kind) && kind.len() <= 32);
        let id: String = culprit
            .id
            .chars()
            .take(12)
            .filter(char::is_ascii_alphanumeric)
            .collect();
        Some(unavailable(&format!(
            "cannot show any credential of the login's user, because Keystone has one that is not written as a JSON object: \
             type {}, id {id}…; delete it there, or give the provider a user of its own",
            kind.as_deref().unwrap_or("unknown")
        )))
    }
}
