//! Which request goes to which handler.

use std::sync::{Mutex, MutexGuard};

use http::{Method, StatusCode};

use super::answer::{Answer, server_page};
use super::state::{State, User};
use super::{keys, users};
use crate::server::{Protocol, SimRequest, SimResponse};

/// The route of the list of users.
pub const USERS: &str = "/v1/users";
/// The route of a single user, and of all that is below.
pub const USER: &str = "/v1/users/*";
/// The route of the caller's own key.
pub const OWN_KEY: &str = "/v1/user/keys";
/// The route of the keys of users by their ids.
pub const USER_KEYS: &str = "/v1/users/*/keys";
/// The route of all keys, the caller's own included.
pub const KEYS: &str = "/v1/user*/keys";

/// One simulator.
pub(super) struct CloudCenter {
    pub(super) scheme: &'static str,
    pub(super) state: Mutex<State>,
}

/// A request on its way through a handler.
pub(super) struct Call<'a> {
    pub(super) state: &'a mut State,
    pub(super) request: &'a SimRequest,
    /// The URL that the client used, without a path.
    base: String,
    /// The id of a user who exists.
    caller: String,
}

impl Call<'_> {
    pub(super) fn caller(&self) -> &User {
        self.state.user(&self.caller).expect("the caller exists")
    }

    /// The server's idea of its own URLs.
    pub(super) fn link(&self, path: &str) -> String {
        let base = self.state.settings.advertised.as_ref();
        format!("{}{path}", base.unwrap_or(&self.base))
    }
}

impl CloudCenter {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Protocol for CloudCenter {
    fn answer(&self, request: &SimRequest) -> SimResponse {
        let base = format!("{}://{}", self.scheme, request.host());
        route(&mut self.state(), request, base).unwrap_or_else(|refusal| *refusal)
    }

    fn arrived(&self, request: &SimRequest) {
        let counts = &mut self.state().ledger.counts;
        let is_key = request.path.trim_end_matches('/').ends_with("/keys");
        match request.method {
            Method::GET | Method::HEAD => counts.key_reads += u64::from(is_key),
            _ => {
                counts.changing += 1;
                counts.generate_asked += u64::from(is_key && request.method == Method::POST);
            }
        }
    }
}

fn route(state: &mut State, request: &SimRequest, base: String) -> Answer {
    // Tomcat answers so before anything else: an encoded slash, and a step upwards that the client did not resolve.
    let segments = request.segments().filter(|path| !path.iter().any(is_trap));
    let Some(segments) = segments else {
        return Err(server_page(StatusCode::BAD_REQUEST));
    };
    let caller = state.log_in(request)?;
    let accepted = request.header("accept");
    if !accepted.is_empty() && !accepted.contains('*') && !accepted.contains("json") {
        return Err(server_page(StatusCode::NOT_ACCEPTABLE));
    }
    let mut call = Call {
        state,
        request,
        base,
        caller,
    };
    let call = &mut call;
    let method = match request.method.as_str() {
        // The server leaves the body out.
        "HEAD" => "GET",
        method => method,
    };
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (method, &path[..]) {
        ("GET", ["v1", "users"]) => users::list(call),
        ("GET", ["v1", "users", id]) => users::get(call, id),
        ("GET", ["v1", "user", "keys"]) => keys::own(call),
        ("GET", ["v1", "users", id, "keys"]) => keys::of_user(call, id),
        ("POST", ["v1", "users", id, "keys"]) => keys::generate(call, id),
        (
            _,
            ["v1", "users"]
            | ["v1", "user", "keys"]
            | ["v1", "users", _]
            | ["v1", "users", _, "keys"],
        ) => Err(server_page(StatusCode::METHOD_NOT_ALLOWED)),
        _ => Err(server_page(StatusCode::NOT_FOUND)),
    }
}

fn is_trap(segment: &String) -> bool {
    segment == "." || segment == ".." || segment.contains(['/', '\\'])
}
