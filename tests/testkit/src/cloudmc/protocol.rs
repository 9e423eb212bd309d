//! Which request goes to which handler, and who makes it.

use std::sync::{Mutex, MutexGuard};

use http::Method;

use super::answer::{Answer, Refusal, invalid, no_endpoint, portal, unauthorized, wrong_method};
use super::state::{State, User};
use super::{api_info, connections, environments, users};
use crate::server::{Protocol, SimRequest, SimResponse};

/// The route of the list of connections, whatever the base path.
pub const CONNECTIONS: &str = "*/services/connections";
/// The route of a single connection, and of all that is below.
pub const CONNECTION: &str = "*/services/connections/*";
/// The route of the values.
pub const API_INFO: &str = "*/services/connections/*/apiInfo";
/// The route of a connection's parameters, which hold the provider's own admin credentials.
pub const PARAMETERS: &str = "*/services/connections/*/parameters";
/// The route of the list of environments.
pub const ENVIRONMENTS: &str = "*/environments";
/// The route of a single environment.
pub const ENVIRONMENT: &str = "*/environments/*";
/// The route of the list of users, by which a key can be tried out.
pub const USERS: &str = "*/users";

/// The header with the API key (getting started).
const API_KEY: &str = "mc-api-key";

/// One simulator.
pub(super) struct CloudMc {
    /// Empty, or beginning with a slash and not ending with one.
    pub(super) base_path: String,
    pub(super) state: Mutex<State>,
}

/// A request on its way through a handler.
pub(super) struct Call<'a> {
    pub(super) state: &'a mut State,
    pub(super) request: &'a SimRequest,
    /// The id of a user who exists.
    caller: String,
}

impl Call<'_> {
    pub(super) fn caller(&self) -> &User {
        self.state.user(&self.caller).expect("the caller exists")
    }
}

impl CloudMc {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What follows the base path, decoded; `None` outside the API.
    fn path(&self, request: &SimRequest) -> Option<Result<Vec<String>, Refusal>> {
        let rest = request.path.strip_prefix(&self.base_path)?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let below = SimRequest {
            path: rest.to_owned(),
            ..request.clone()
        };
        let segments = below.segments();
        Some(segments.ok_or_else(|| invalid("The path is not encoded well")))
    }
}

impl Protocol for CloudMc {
    fn answer(&self, request: &SimRequest) -> SimResponse {
        let Some(path) = self.path(request) else {
            return portal();
        };
        let mut state = self.state();
        let answer = path.and_then(|path| route(&mut state, request, &path));
        answer.unwrap_or_else(|refusal| refusal.answer(state.settings.style))
    }

    fn arrived(&self, request: &SimRequest) {
        let path = self.path(request).and_then(Result::ok).unwrap_or_default();
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let counts = &mut self.state().ledger.counts;
        match request.method {
            Method::GET | Method::HEAD => {}
            _ => counts.changing += 1,
        }
        match &path[..] {
            ["services", "connections", _, "apiInfo"] => counts.api_info += 1,
            ["services", "connections", _, "parameters"] => counts.parameters += 1,
            _ => {}
        }
    }
}

fn route(state: &mut State, request: &SimRequest, path: &[String]) -> Answer {
    let caller = log_in(state, request)?;
    let mut call = Call {
        state,
        request,
        caller,
    };
    let call = &mut call;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match request.method.as_str() {
        // The server leaves the body out of an answer to HEAD.
        "GET" | "HEAD" => match &path[..] {
            ["services", "connections"] => connections::list(call),
            ["services", "connections", id] => connections::get(call, id),
            ["services", "connections", id, "apiInfo"] => api_info::get(call, id),
            ["services", "connections", id, "parameters"] => connections::parameters(call, id),
            ["environments"] => environments::list(call),
            ["environments", id] => environments::get(call, id),
            ["users"] => users::list(call),
            ["users", id] => users::get(call, id),
            _ => Err(no_endpoint()),
        },
        _ => match &path[..] {
            ["services", "connections"]
            | ["services", "connections", _]
            | ["services", "connections", _, "apiInfo" | "parameters"]
            | ["environments" | "users"]
            | ["environments" | "users", _] => Err(wrong_method()),
            _ => Err(no_endpoint()),
        },
    }
}

/// The id of the user who makes the request. A deleted key is as one that never was (knowledge base).
fn log_in(state: &mut State, request: &SimRequest) -> Result<String, Refusal> {
    let key = state.api_keys.get_mut(request.header(API_KEY));
    match key.filter(|key| !key.deleted) {
        Some(key) => {
            key.uses += 1;
            state.ledger.counts.accepted += 1;
            Ok(key.user.clone())
        }
        None => {
            state.ledger.counts.refused += 1;
            Err(unauthorized())
        }
    }
}
