//! One request: what it says, and who makes it.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use http::header;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{DELEGATED, Refusal, forbidden, missing, not_found, unauthorized};
use super::state::State;
use super::tokens::{BY_APPLICATION_CREDENTIAL, Invalid, Token};
use crate::server::SimRequest;

const ADMIN: &str = "admin";
const SERVICE: &str = "service";

/// A request on its way through a handler.
pub(super) struct Call<'a> {
    pub(super) state: &'a mut State,
    pub(super) request: &'a SimRequest,
    /// The URL that the client used, without a path: links begin with it.
    pub(super) base: String,
    /// An object, or null when there is no body.
    pub(super) body: Value,
    pub(super) now: Timestamp,
    caller: Option<Rc<Caller>>,
}

/// Whose token a request came with.
pub(super) struct Caller {
    pub(super) token: Arc<Token>,
    roles: BTreeSet<String>,
}

impl<'a> Call<'a> {
    /// The order is Keystone's: a session whose user, project or application credential is gone ends the request
    /// whatever it is about; then the body must be JSON. A token that is worth nothing is as none.
    pub(super) fn new(
        state: &'a mut State,
        request: &'a SimRequest,
        base: &str,
    ) -> Result<Self, Refusal> {
        let now = Timestamp::now();
        let caller = match request.headers.get("x-auth-token") {
            Some(text) => caller(state, text.to_str().unwrap_or_default(), now)?,
            None => None,
        };
        let body = read_json(request)?;
        Ok(Call {
            state,
            request,
            base: base.to_owned(),
            body,
            now,
            caller,
        })
    }

    /// Who makes the request, or a 401.
    pub(super) fn caller(&self) -> Result<Rc<Caller>, Refusal> {
        self.caller.clone().ok_or_else(unauthorized)
    }

    pub(super) fn link(&self, path: &str) -> String {
        format!("{}/v3{path}", self.base)
    }

    /// A list, with the links that lists have. There is no paging.
    pub(super) fn list(&self, key: &str, items: Vec<Value>) -> Value {
        json!({key: items, "links": {"next": null, "previous": null, "self": self.itself()}})
    }

    /// The URL of the request.
    pub(super) fn itself(&self) -> String {
        let (path, query) = (&self.request.path, &self.request.query);
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{path}{mark}{query}", self.base)
    }

    /// A switch in the query: on when it is there, unless it is "0". So "false" is on.
    pub(super) fn switched_on(&self, name: &str) -> bool {
        let value = self.request.query_param(name);
        value.is_some_and(|value| value != "0")
    }

    /// The user exists, or a 404.
    pub(super) fn user_exists(&self, id: &str) -> Result<(), Refusal> {
        match self.state.users.contains_key(id) {
            true => Ok(()),
            false => Err(not_found(format!("Could not find user: {id}."))),
        }
    }
}

impl Caller {
    pub(super) fn is(&self, user: &str) -> bool {
        self.token.user == user
    }

    pub(super) fn is_admin(&self) -> bool {
        self.has(ADMIN)
    }

    /// A service that checks the tokens and signatures of others.
    pub(super) fn is_service_or_admin(&self) -> bool {
        self.has(SERVICE) || self.is_admin()
    }

    pub(super) fn has(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// Whether the login was an application credential.
    pub(super) fn is_delegated(&self) -> bool {
        self.token.methods.contains(&BY_APPLICATION_CREDENTIAL)
    }

    pub(super) fn refuse_delegated(&self) -> Result<(), Refusal> {
        match self.is_delegated() {
            true => Err(forbidden(DELEGATED)),
            false => Ok(()),
        }
    }
}

fn caller(state: &State, text: &str, now: Timestamp) -> Result<Option<Rc<Caller>>, Refusal> {
    match state.validate(text, now, false) {
        Ok(token) => {
            let roles = state.roles_of(&token).into_iter();
            let roles = roles.map(|role| role.name.clone()).collect();
            Ok(Some(Rc::new(Caller { token, roles })))
        }
        Err(Invalid::Token(_)) => Ok(None),
        Err(Invalid::Dead(words)) => Err(not_found(words)),
    }
}

fn read_json(request: &SimRequest) -> Result<Value, Refusal> {
    if request.body.is_empty() {
        return Ok(Value::Null);
    }
    let kind = request.headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    let json = kind.is_empty()
        || kind == "application/json"
        || (kind.starts_with("application/") && kind.ends_with("+json"));
    if !json {
        return Err(missing("application/json", "Content-Type header"));
    }
    match serde_json::from_slice(&request.body) {
        Ok(body @ Value::Object(_)) => Ok(body),
        _ => Err(missing("valid JSON", "request body")),
    }
}
