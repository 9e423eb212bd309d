//! `POST /v3/auth/tokens`: what is asked for, and the token that comes of it.

use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::answer::{
    Answer, Refusal, bad_request, created, missing, not_found, refuse_with, unauthorized,
};
use super::call::Call;
use super::methods::{self, Login};
use super::schema::printed;
use super::state::State;
use super::tokens::{BY_APPLICATION_CREDENTIAL, Draft, Invalid};

/// Keystone's methods, in its order. Those that are not simulated are refused as if they were switched off.
const METHODS: [&str; 7] = [
    "external",
    "password",
    "token",
    "oauth1",
    "mapped",
    BY_APPLICATION_CREDENTIAL,
    "ec2credential",
];

const SCOPES: [&str; 5] = ["system", "project", "domain", "OS-TRUST:trust", "unscoped"];

/// What a login asks to be good for.
enum Scope {
    /// Nothing was said: the user's default project, if there is one.
    Default,
    Unscoped,
    Project(String),
    /// A domain or the system, on which nobody has a role here.
    Elsewhere,
}

/// The order is Keystone's: the form of the body, then the methods, then the scope, and only then who it is.
pub(super) fn log_in(call: &mut Call<'_>) -> Answer {
    let auth = &call.body["auth"];
    if auth.is_null() {
        return Err(missing("auth", "request body"));
    }
    check_form(auth)?;
    let identity = &auth["identity"];
    let names = method_names(identity)?;
    let by_credential = names.contains(&BY_APPLICATION_CREDENTIAL);
    let scope = match auth.get("scope") {
        Some(_) if by_credential => {
            let words = "Error authenticating with application credential: Application credentials cannot request a \
                scope.";
            let more = json!({"identity": {}});
            return Err(refuse_with(StatusCode::UNAUTHORIZED, words, more));
        }
        Some(scope) => scope_of(call.state, scope)?,
        None => Scope::Default,
    };
    let login = methods::authenticate(call, identity, &names)?;
    let project = project_of(call.state, scope, &login)?;
    let draft = Draft {
        user: login.user,
        project,
        application_credential: login.application_credential,
        methods: login.methods,
        root: login.root,
        expires: login.expires,
    };
    let minted = call.state.mint(draft, call.now);
    let token = minted.map_err(|invalid| match invalid {
        Invalid::Token(_) => unauthorized(),
        Invalid::Dead(words) => not_found(words),
    })?;
    let token = call.state.issue(token);
    let catalog = call.request.query_param("nocatalog").is_none();
    let mut answer = created(&call.state.describe(&token, &call.base, catalog))?;
    let text = HeaderValue::from_str(&token.id).unwrap();
    answer.headers_mut().insert("x-subject-token", text);
    Ok(answer)
}

/// The part of Keystone's schema that clients get wrong.
fn check_form(auth: &Value) -> Result<(), Refusal> {
    let Some(identity) = auth.get("identity") else {
        return Err(bad_request("'identity' is a required property"));
    };
    let Some(methods) = identity.get("methods") else {
        return Err(wrong("'identity'", "'methods' is a required property"));
    };
    if !methods.is_array() {
        let words = format!("{} is not of type 'array'", printed(methods));
        return Err(wrong("'identity/methods'", &words));
    }
    if identity.get("token").is_some_and(|t| t.get("id").is_none()) {
        return Err(wrong("'identity/token'", "'id' is a required property"));
    }
    if let Some(user) = identity["password"].get("user") {
        if let Some(password) = user.get("password").filter(|p| !p.is_string()) {
            let words = format!("{} is not of type 'string'", printed(password));
            return Err(wrong("'identity/password/user/password'", &words));
        }
        named(user, "identity/password/user")?;
    }
    let Some(scope) = auth.get("scope") else {
        return Ok(());
    };
    if !scope.is_object() && !scope.is_string() {
        let words = format!("{} is not of type 'object', 'string'", printed(scope));
        return Err(wrong("'scope'", &words));
    }
    scope
        .get("project")
        .map_or(Ok(()), |project| named(project, "scope/project"))
}

/// It has an id or a name, and so has its domain.
fn named(value: &Value, place: &str) -> Result<(), Refusal> {
    let words = "id or name must be present.";
    if value.get("id").or(value.get("name")).is_none() {
        return Err(wrong(place, words));
    }
    match value.get("domain") {
        Some(domain) if domain.get("id").or(domain.get("name")).is_none() => {
            Err(wrong(&format!("{place}/domain"), words))
        }
        _ => Ok(()),
    }
}

fn wrong(place: &str, words: &str) -> Refusal {
    bad_request(format!("Invalid input for field {place}: {words}"))
}

/// The names of the methods, each once.
fn method_names(identity: &Value) -> Result<Vec<&str>, Refusal> {
    let mut names = Vec::new();
    for name in identity["methods"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if identity.get(name).is_none() {
            return Err(missing(name, "identity"));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let known = ["password", "token", BY_APPLICATION_CREDENTIAL];
    if names.iter().any(|name| !known.contains(name)) {
        let words = "Attempted to authenticate with an unsupported method.";
        let more = json!({"identity": {"methods": METHODS}});
        return Err(refuse_with(StatusCode::UNAUTHORIZED, words, more));
    }
    Ok(names)
}

fn scope_of(state: &State, scope: &Value) -> Result<Scope, Refusal> {
    // Keystone looks for the words in the text or in the keys, whichever it is.
    let says = |word: &&&str| match scope.as_str() {
        Some(text) => text.contains(**word),
        None => scope.get(**word).is_some(),
    };
    let said: Vec<&&str> = SCOPES.iter().filter(says).collect();
    match said[..] {
        [&"unscoped"] => Ok(Scope::Unscoped),
        [&"project"] => {
            let project = project_named(state, &scope["project"])?;
            Ok(Scope::Project(project))
        }
        [_] => Ok(Scope::Elsewhere),
        _ => Err(missing(
            "system, project, domain, OS-TRUST:trust or unscoped",
            "scope",
        )),
    }
}

/// The id of an enabled project. The name goes before the id, as at the real one.
fn project_named(state: &State, project: &Value) -> Result<String, Refusal> {
    let found = match project["name"].as_str().filter(|name| !name.is_empty()) {
        Some(name) => {
            let domain = project.get("domain");
            let domain = domain.ok_or_else(|| missing("domain", "project"))?;
            let domain = methods::domain_named(state, domain)?;
            state.project_named(name, domain)
        }
        None => project["id"].as_str(),
    };
    let id = found.ok_or_else(unauthorized)?;
    match state.projects.get(id) {
        Some(project) if project.enabled => Ok(id.to_owned()),
        _ => Err(unauthorized()),
    }
}

fn project_of(state: &State, scope: Scope, login: &Login) -> Result<Option<String>, Refusal> {
    if let Some(id) = &login.application_credential {
        return Ok(state.application_credentials[id].project.clone());
    }
    match scope {
        Scope::Unscoped => Ok(None),
        Scope::Project(id) => Ok(Some(id)),
        Scope::Elsewhere => Err(unauthorized()),
        Scope::Default => {
            // One that cannot be used is as none.
            let usable = |id: &&String| {
                state.projects.get(*id).is_some_and(|p| p.enabled)
                    && !state.effective(&login.user, id).is_empty()
            };
            let default = state.users[&login.user].default_project.as_ref();
            Ok(default.filter(usable).cloned())
        }
    }
}
