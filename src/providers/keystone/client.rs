//! Calls to one Keystone with one login, and the sessions that they are made with.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use reqwest::{Method, StatusCode, header::HeaderName};
use secrecy::SecretString;
use serde_json::Value;

use super::{
    Ask, Layout,
    answer::{NAME, unexpected},
    config::{self, Config},
    login::{self, Login, Scope},
    names::Named,
    permit,
    session::Session,
};
use crate::{
    api::Reason,
    clock,
    plan::{Failure, Refusal},
    providers::{
        LoginValues, Permission,
        http::{Answer, Call, HttpClient, Size, Turns, failed},
    },
};

/// The header with the caller's token.
const CALLER: HeaderName = HeaderName::from_static("x-auth-token");
/// The header with the token that a call is about.
const SUBJECT: HeaderName = HeaderName::from_static("x-subject-token");

/// How long is waited before a session is replaced that a call was refused with: a fresh one can be
/// refused until the end of the second in which something of the user was revoked.
const BREATH: Duration = Duration::from_millis(1100);

/// Waits so long.
pub(super) async fn breathe() {
    tokio::time::sleep(BREATH).await;
}

/// How old a session may be whose roles decide that a credential is refused.
const BELIEVED_FOR: SignedDuration = SignedDuration::from_secs(20);

/// How long a project stays refused for all requests that name it.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// Talks to one Keystone with one login.
pub struct Client {
    http: HttpClient,
    login: Login,
    /// What is added to each Secret.
    pub layout: Layout,
    sessions: Mutex<HashMap<Scope, Arc<Session>>>,
    /// Held while logging in: one login is under way at a time, and who waits for it finds the
    /// session, or the refusal, that it has led to.
    logging_in: tokio::sync::Mutex<Refused>,
    /// Whether Keystone has said that this login may not have signatures checked.
    pub no_signatures: AtomicBool,
}

/// What was refused.
#[derive(Default)]
struct Refused {
    /// The login itself: it is not tried again before it has changed, which makes a new client, or
    /// is tested again.
    login: Option<Failure>,
    /// Projects, until when.
    scopes: HashMap<Scope, (std::time::Instant, Failure)>,
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
        layout: Layout,
    ) -> Result<Self, Refusal> {
        let base = config::base(http.endpoint());
        Ok(Client {
            http: http.at(base),
            login: Login::read(config.method, values)?,
            layout,
            sessions: Mutex::default(),
            logging_in: tokio::sync::Mutex::default(),
            no_signatures: AtomicBool::new(false),
        })
    }

    /// Logs in without a scope, to see whether the login works. One that was refused is tried anew: a
    /// lock may have been lifted, or a user enabled.
    ///
    /// # Errors
    /// Those of a login.
    pub async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        if self.logging_in.lock().await.login.take().is_some() {
            self.lock().remove(&Scope::None);
        }
        self.session(turns, &Scope::None).await.map(drop)
    }

    /// Whether there is a session that goes on without the login.
    pub fn has_living_session(&self) -> bool {
        let now = clock::now();
        self.lock().values().any(|session| session.is_living(now))
    }

    /// The session for a project; logs in when there is none.
    ///
    /// # Errors
    /// Those of a login. `ScopeRefused` when the login works but not for this project.
    pub async fn for_project(
        &self,
        turns: &dyn Turns,
        project: &Named,
    ) -> Result<Arc<Session>, Failure> {
        let session = self.session(turns, &self.login.scope(project)).await?;
        is_for(&session, project)?;
        Ok(session)
    }

    /// The session for what is asked for, as far as a project that cannot be entered may be told.
    ///
    /// # Errors
    /// Those of a login.
    pub async fn permitted_session(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<Arc<Session>, Failure> {
        let session = self.for_project(turns, &ask.project).await;
        session.map_err(|failure| permit::scope_refused(permission, &ask.project, failure))
    }

    /// Logs in anew, in place of a session that has ended before its time.
    ///
    /// # Errors
    /// Those of a login.
    pub(in crate::providers) async fn replace(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
    ) -> Result<(), Failure> {
        self.forget(session);
        breathe().await;
        let scope = session.scope.clone();
        *session = self.session(turns, &scope).await?;
        Ok(())
    }

    /// The same anew, when what Keystone said with a session was said a while ago: roles are given and
    /// taken away meanwhile.
    ///
    /// # Errors
    /// Those of a login.
    pub async fn reconsidered(
        &self,
        turns: &dyn Turns,
        session: &Arc<Session>,
    ) -> Result<Option<Arc<Session>>, Failure> {
        let age = clock::now().duration_since(session.issued_at);
        if age < BELIEVED_FOR {
            return Ok(None);
        }
        self.forget(session);
        self.session(turns, &session.scope).await.map(Some)
    }

    /// A session to revoke with: for a project if it can still be entered, otherwise without one.
    ///
    /// # Errors
    /// Those of a login.
    pub async fn any_session(
        &self,
        turns: &dyn Turns,
        project: Option<&Named>,
    ) -> Result<Arc<Session>, Failure> {
        if let Some(project) = project {
            match self.session(turns, &self.login.scope(project)).await {
                Err(failure) if failure.reason == Reason::ScopeRefused => {}
                other => return other,
            }
        }
        self.session(turns, &Scope::None).await
    }

    /// The session for a scope; logs in when there is none.
    ///
    /// # Errors
    /// Those of a login.
    pub(super) async fn session(
        &self,
        turns: &dyn Turns,
        scope: &Scope,
    ) -> Result<Arc<Session>, Failure> {
        if let Some(session) = self.living(scope) {
            return Ok(session);
        }
        let mut refused = self.logging_in.lock().await;
        if let Some(session) = self.living(scope) {
            return Ok(session);
        }
        let session = Arc::new(self.log_in(turns, scope, &mut refused).await?);
        self.lock().insert(scope.clone(), Arc::clone(&session));
        Ok(session)
    }

    fn living(&self, scope: &Scope) -> Option<Arc<Session>> {
        let now = clock::now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.is_living(now));
        sessions.get(scope).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Scope, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A login of its own, for a token that is not the operator's to use.
    ///
    /// # Errors
    /// Those of a login. `ScopeRefused` when the login works but not for this project.
    pub async fn fresh(&self, turns: &dyn Turns, project: &Named) -> Result<Session, Failure> {
        let scope = self.login.scope(project);
        let mut refused = self.logging_in.lock().await;
        let session = self.log_in(turns, &scope, &mut refused).await?;
        drop(refused);
        if let Err(failure) = is_for(&session, project) {
            // Nobody will have it. Should this fail, it expires by itself.
            drop(self.revoke_token(turns, &session.token).await);
            return Err(failure);
        }
        Ok(session)
    }

    /// Logs in, unless that is known to be refused. Each refused login may help to lock an account, so
    /// they are all remembered, whoever has asked.
    async fn log_in(
        &self,
        turns: &dyn Turns,
        scope: &Scope,
        refused: &mut Refused,
    ) -> Result<Session, Failure> {
        if let Some(failure) = &refused.login {
            return Err(failure.clone());
        }
        let now = clock::monotonic();
        refused.scopes.retain(|_, (until, _)| *until > now);
        if let Some((_, failure)) = refused.scopes.get(scope) {
            return Err(failure.clone());
        }
        let result = self.try_to_log_in(turns, scope).await;
        if let Err(failure) = &result {
            match failure.reason {
                Reason::LoginRefused => refused.login = Some(failure.clone()),
                Reason::ScopeRefused => {
                    let until = now + REFUSED_FOR;
                    refused
                        .scopes
                        .insert(scope.clone(), (until, failure.clone()));
                }
                _ => {}
            }
        }
        result
    }

    async fn try_to_log_in(&self, turns: &dyn Turns, scope: &Scope) -> Result<Session, Failure> {
        let answer = self.post_login(turns, &self.login.body(scope)).await?;
        if answer.status == StatusCode::CREATED {
            return Session::read(&answer, scope, clock::now());
        }
        let failure = login::refused(&self.login, &answer);
        let Scope::Project(project) = scope else {
            return Err(failure);
        };
        if failure.reason != Reason::LoginRefused || answer.status != StatusCode::UNAUTHORIZED {
            return Err(failure);
        }
        // Keystone answers the same to a wrong login and to a wrong project: try without one.
        let answer = self
            .post_login(turns, &self.login.body(&Scope::None))
            .await?;
        if answer.status != StatusCode::CREATED {
            return Err(login::refused(&self.login, &answer));
        }
        let session = Session::read(&answer, &Scope::None, clock::now())?;
        self.lock().insert(Scope::None, Arc::new(session));
        Err(failed(
            Reason::ScopeRefused,
            format!(
                "the login works, but not for project {project}: it does not exist, is disabled, or the login's user has no \
                 role in it (Keystone does not say which)"
            ),
        ))
    }

    /// `POST /v3/auth/tokens`, without the catalog, which is large and of no use here.
    ///
    /// # Errors
    /// Those of any call without an answer.
    pub async fn post_login(&self, turns: &dyn Turns, body: &Value) -> Result<Answer, Failure> {
        let call = Call {
            query: &[("nocatalog", "")],
            body: Some(body),
            ..Call::new(Method::POST, &["v3", "auth", "tokens"])
        };
        self.http.send(turns, call).await
    }

    /// Makes a call with a session. One that is refused is replaced, once: a 401 means that it has
    /// ended before its time, and where the application credential or the project of a session is
    /// gone, Keystone answers 404 to everything. So a 404 is returned only where Keystone itself says
    /// so, and under a session that was seen alive after it.
    ///
    /// # Errors
    /// Those of any call, and of a login.
    pub async fn call(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        request: Request<'_>,
    ) -> Result<Answer, Failure> {
        let answer = self.asked(turns, session, &request).await?;
        let dead = match answer.status {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::NOT_FOUND => !self.is_alive(turns, session).await?,
            _ => false,
        };
        if !dead {
            return Ok(answer);
        }
        self.replace(turns, session).await?;
        let answer = self.asked(turns, session, &request).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED => Err(failed(
                Reason::ProviderUnavailable,
                format!("{NAME} refuses a session that it has only just given out"),
            )),
            StatusCode::NOT_FOUND if !self.is_alive(turns, session).await? => Err(failed(
                Reason::ProviderUnavailable,
                format!("{NAME} does not know a session that it has only just given out"),
            )),
            _ => Ok(answer),
        }
    }

    /// The answer of Keystone itself. A 404 of what stands before it (a gateway that is being
    /// reloaded, a filter) would pass for proof that something is gone.
    async fn asked(
        &self,
        turns: &dyn Turns,
        session: &Session,
        request: &Request<'_>,
    ) -> Result<Answer, Failure> {
        let answer = self.send(turns, session, request).await?;
        if answer.status == StatusCode::NOT_FOUND && super::answer::words(&answer).is_none() {
            return Err(unexpected(
                "is not what answers with HTTP 404 there; look at its endpoint, and at what stands between",
            ));
        }
        Ok(answer)
    }

    /// The same without a second try.
    ///
    /// # Errors
    /// Those of any call without an answer.
    pub async fn once(
        &self,
        turns: &dyn Turns,
        session: &Session,
        request: Request<'_>,
    ) -> Result<Answer, Failure> {
        self.send(turns, session, &request).await
    }

    /// Whether Keystone still knows a session: `GET /v3/auth/tokens` about itself.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn is_alive(&self, turns: &dyn Turns, session: &Session) -> Result<bool, Failure> {
        let answer = self.validate(turns, &session.token).await?;
        match answer.status {
            StatusCode::OK => Session::about(&answer).map(|_| true),
            _ => super::answer::no_token(&answer).map(|()| false),
        }
    }

    /// `GET /v3/auth/tokens` with a token about itself.
    ///
    /// # Errors
    /// Those of any call without an answer.
    pub async fn validate(
        &self,
        turns: &dyn Turns,
        token: &SecretString,
    ) -> Result<Answer, Failure> {
        let call = Call {
            query: &[("nocatalog", "")],
            headers: &[(CALLER, token), (SUBJECT, token)],
            ..Call::new(Method::GET, &["v3", "auth", "tokens"])
        };
        self.http.send(turns, call).await
    }

    /// `DELETE /v3/auth/tokens` with a token about itself.
    ///
    /// # Errors
    /// Those of any call without an answer.
    pub async fn revoke_token(
        &self,
        turns: &dyn Turns,
        token: &SecretString,
    ) -> Result<Answer, Failure> {
        let call = Call {
            headers: &[(CALLER, token), (SUBJECT, token)],
            ..Call::new(Method::DELETE, &["v3", "auth", "tokens"])
        };
        self.http.send(turns, call).await
    }

    async fn send(
        &self,
        turns: &dyn Turns,
        session: &Session,
        request: &Request<'_>,
    ) -> Result<Answer, Failure> {
        let call = Call {
            query: request.query,
            headers: &[(CALLER, &session.token)],
            body: request.body,
            size: request.size,
            ..Call::new(request.method.clone(), request.path)
        };
        self.http.send(turns, call).await
    }

    /// Forgets a session, unless it has been replaced already.
    fn forget(&self, session: &Arc<Session>) {
        let mut sessions = self.lock();
        let known = sessions.get(&session.scope);
        if known.is_some_and(|known| Arc::ptr_eq(known, session)) {
            sessions.remove(&session.scope);
        }
    }

    /// Whether signatures can be had checked, as far as is known.
    pub fn may_check_signatures(&self) -> bool {
        !self.no_signatures.load(Ordering::Relaxed)
    }
}

/// Whether a session is for a project.
fn is_for(session: &Session, project: &Named) -> Result<(), Failure> {
    let right = session.project.as_ref().is_some_and(|is| project.is(is));
    if right {
        Ok(())
    } else if session.delegated {
        Err(failed(
            Reason::ScopeRefused,
            format!(
                "the provider's login is an application credential for another project than {project}"
            ),
        ))
    } else {
        Err(unexpected(
            "answers to a login with a token for another project",
        ))
    }
}

/// A call with a session.
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The path below the endpoint.
    pub path: &'a [&'a str],
    /// The query.
    pub query: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Option<&'a Value>,
    /// How much of the answer is read.
    pub size: Size,
}

impl<'a> Request<'a> {
    /// A call without query and body.
    pub fn new(method: Method, path: &'a [&'a str]) -> Self {
        Request {
            method,
            path,
            query: &[],
            body: None,
            size: Size::USUAL,
        }
    }

    /// A call for a list, which grows with what users make at Keystone.
    pub fn list(path: &'a [&'a str]) -> Self {
        Request {
            size: Size::LIST,
            ..Request::new(Method::GET, path)
        }
    }
}
