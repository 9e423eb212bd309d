//! Which request goes to which handler.

use std::sync::{Mutex, MutexGuard};

use http::{Method, StatusCode};

use super::answer::{
    Answer, finish, method_not_allowed, method_not_allowed_page, not_simulated, server_page,
    unknown_path,
};
use super::call::Call;
use super::state::State;
use super::{application_credentials, credentials, directory, ec2, login, s3, sessions};
use crate::server::{Protocol, SimRequest, SimResponse};

/// The route of logins.
pub const LOGIN: &str = "POST /v3/auth/tokens";
/// The route of logins, and of looking at tokens and ending them.
pub const TOKENS: &str = "/v3/auth/tokens";
/// The route of credentials of any type, all and single ones.
pub const CREDENTIALS: &str = "/v3/credentials*";
/// The route of a user's key pairs by access key, all and single ones.
pub const EC2: &str = "/v3/users/*/credentials/OS-EC2*";
/// The route of a user's application credentials, all and single ones.
pub const APPLICATION_CREDENTIALS: &str = "/v3/users/*/application_credentials*";
/// The route of the check of S3 signatures.
pub const S3_TOKENS: &str = "/v3/s3tokens";

/// What stands in front of Keystone reads no more of a body.
const MAX_BODY: usize = 112 * 1024;

/// Parts of Keystone that are not here. Answering 404 as for a path that nobody knows would mislead.
const LEFT_OUT: [&str; 14] = [
    "domains",
    "ec2tokens",
    "endpoints",
    "groups",
    "limits",
    "OS-TRUST",
    "policies",
    "projects",
    "regions",
    "registered_limits",
    "role_inferences",
    "roles",
    "services",
    "system",
];

/// The state of one simulator.
pub(super) struct Keystone {
    pub(super) scheme: &'static str,
    pub(super) state: Mutex<State>,
}

impl Keystone {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn base(&self, request: &SimRequest) -> String {
        format!("{}://{}", self.scheme, request.host())
    }
}

impl Protocol for Keystone {
    fn answer(&self, request: &SimRequest) -> SimResponse {
        let base = self.base(request);
        let mut state = self.state();
        let answer = route(&mut state, request, &base).unwrap_or_else(|refusal| *refusal);
        if is_login(request) {
            let status = answer.status().as_u16();
            *state.logins.by_status.entry(status).or_default() += 1;
        }
        drop(state);
        finish(answer, &base)
    }

    fn arrived(&self, request: &SimRequest) {
        if is_login(request) {
            self.state().logins.asked += 1;
        }
    }
}

fn is_login(request: &SimRequest) -> bool {
    request.method == Method::POST && request.path.trim_end_matches('/') == TOKENS
}

fn route(state: &mut State, request: &SimRequest, base: &str) -> Answer {
    if request.body.len() > MAX_BODY {
        return Err(server_page(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let mut call = Call::new(state, request, base)?;
    let call = &mut call;
    let method = match request.method.as_str() {
        // The server leaves the body out.
        "HEAD" => "GET",
        method => method,
    };
    let path: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
    match (method, &path[..]) {
        ("GET", []) => directory::versions(call),
        ("GET", ["v3"]) => directory::version(call),
        (_, [] | ["v3"]) => Err(method_not_allowed_page()),

        ("POST", ["v3", "auth", "tokens"]) => login::log_in(call),
        ("GET", ["v3", "auth", "tokens"]) => sessions::look(call),
        ("DELETE", ["v3", "auth", "tokens"]) => sessions::end(call),
        (_, ["v3", "auth", "tokens"]) => Err(method_not_allowed()),

        ("GET", ["v3", "auth", "projects"]) => directory::own_projects(call),
        (_, ["v3", "auth", "projects"]) => Err(method_not_allowed()),

        ("POST", ["v3", "credentials"]) => credentials::create(call),
        ("GET", ["v3", "credentials"]) => credentials::list(call),
        (_, ["v3", "credentials"]) => Err(method_not_allowed()),
        ("GET", ["v3", "credentials", id]) => credentials::get(call, id),
        ("PATCH", ["v3", "credentials", id]) => credentials::update(call, id),
        ("DELETE", ["v3", "credentials", id]) => credentials::delete(call, id),
        (_, ["v3", "credentials", _]) => Err(method_not_allowed()),

        ("POST", ["v3", "s3tokens"]) => s3::check(call),
        (_, ["v3", "s3tokens"]) => Err(method_not_allowed()),

        ("GET", ["v3", "role_assignments"]) => directory::role_assignments(call),
        (_, ["v3", "role_assignments"]) => Err(method_not_allowed()),

        ("GET", ["v3", "projects", id]) => directory::project(call, id),

        (_, ["v3", "users", rest @ ..]) => of_users(call, method, rest),

        (_, ["v3", first, ..]) if LEFT_OUT.contains(first) => {
            Err(not_simulated(&format!("{method} /v3/{first}")))
        }
        _ => Err(unknown_path()),
    }
}

fn of_users(call: &mut Call<'_>, method: &str, path: &[&str]) -> Answer {
    match (method, path) {
        ("GET", []) => directory::users(call),
        ("GET", [user]) => directory::user(call, user),
        ("POST", []) | ("PATCH" | "DELETE", [_]) => Err(not_simulated("changes of users")),
        (_, [] | [_]) => Err(method_not_allowed()),

        ("GET", [user, "credentials", "OS-EC2"]) => ec2::list(call, user),
        ("POST", [_, "credentials", "OS-EC2"]) => {
            Err(not_simulated("key pairs that Keystone makes up"))
        }
        (_, [_, "credentials", "OS-EC2"]) => Err(method_not_allowed()),
        ("GET", [user, "credentials", "OS-EC2", access]) => ec2::get(call, user, access),
        ("DELETE", [user, "credentials", "OS-EC2", access]) => ec2::delete(call, user, access),
        (_, [_, "credentials", "OS-EC2", _]) => Err(method_not_allowed()),

        ("POST", [user, "application_credentials"]) => application_credentials::create(call, user),
        ("GET", [user, "application_credentials"]) => application_credentials::list(call, user),
        (_, [_, "application_credentials"]) => Err(method_not_allowed()),
        ("GET", [user, "application_credentials", id]) => {
            application_credentials::get(call, user, id)
        }
        ("DELETE", [user, "application_credentials", id]) => {
            application_credentials::delete(call, user, id)
        }
        (_, [_, "application_credentials", _]) => Err(method_not_allowed()),
        _ => Err(unknown_path()),
    }
}
