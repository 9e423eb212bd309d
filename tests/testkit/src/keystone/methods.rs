//! The three ways to say who one is.

use jiff::Timestamp;
use serde_json::Value;

use super::answer::{Refusal, forbidden, missing, not_found, unauthorized};
use super::call::Call;
use super::state::State;
use super::tokens::{BY_APPLICATION_CREDENTIAL, Invalid};

/// Who somebody has shown to be.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) application_credential: Option<String>,
    pub(super) methods: Vec<&'static str>,
    /// The audit id of the token that the login descends from.
    pub(super) root: Option<String>,
    /// The end of that token.
    pub(super) expires: Option<Timestamp>,
}

/// All methods must succeed, and for the same user. No method is nobody.
pub(super) fn authenticate(
    call: &Call<'_>,
    identity: &Value,
    names: &[&str],
) -> Result<Login, Refusal> {
    let mut found: Option<Login> = None;
    for name in names {
        let payload = &identity[*name];
        let login = match *name {
            "password" => by_password(call.state, payload)?,
            "token" => by_token(call, payload)?,
            _ => by_application_credential(call, payload)?,
        };
        found = Some(match found {
            None => login,
            Some(before) if before.user == login.user => merged(before, login),
            Some(_) => return Err(unauthorized()),
        });
    }
    found.ok_or_else(unauthorized)
}

fn merged(before: Login, login: Login) -> Login {
    let mut methods = login.methods;
    let more = before.methods.into_iter();
    let more: Vec<&'static str> = more.filter(|name| !methods.contains(name)).collect();
    methods.extend(more);
    Login {
        user: login.user,
        application_credential: login
            .application_credential
            .or(before.application_credential),
        methods,
        root: login.root.or(before.root),
        expires: login.expires.or(before.expires),
    }
}

fn by_password(state: &State, payload: &Value) -> Result<Login, Refusal> {
    let Some(user) = payload.get("user") else {
        return Err(missing("user", "None"));
    };
    let id = match text(user, "name") {
        Some(name) => {
            let domain = user.get("domain");
            let domain = domain_named(state, domain.ok_or_else(|| missing("domain", "user"))?)?;
            state.user_named(name, domain)
        }
        None => text(user, "id"),
    };
    let id = id.ok_or_else(unauthorized)?;
    let known = state.users.get(id).filter(|user| user.enabled);
    let known = known.ok_or_else(unauthorized)?;
    if user["password"].as_str() != Some(known.password.as_str()) {
        return Err(unauthorized());
    }
    Ok(Login {
        user: id.to_owned(),
        application_credential: None,
        methods: vec!["password"],
        root: None,
        expires: None,
    })
}

/// The new token ends when the old one does, and dies with the first of its line.
fn by_token(call: &Call<'_>, payload: &Value) -> Result<Login, Refusal> {
    let text = payload["id"].as_str().unwrap_or_default();
    let token = call.state.validate(text, call.now, false);
    let token = token.map_err(|invalid| match invalid {
        Invalid::Token(words) | Invalid::Dead(words) => not_found(words),
    })?;
    if token.methods.contains(&BY_APPLICATION_CREDENTIAL) {
        let action = "Using a delegated token to create another token is not allowed.";
        return Err(forbidden(action));
    }
    let mut methods = vec!["token"];
    methods.extend(token.methods.iter().filter(|name| **name != "token"));
    Ok(Login {
        user: token.user.clone(),
        application_credential: None,
        methods,
        root: Some(token.root.clone().unwrap_or_else(|| token.audit.clone())),
        expires: Some(token.expires),
    })
}

fn by_application_credential(call: &Call<'_>, payload: &Value) -> Result<Login, Refusal> {
    let state = &*call.state;
    let id = find_application_credential(state, payload)?;
    let credential = &state.application_credentials[&id];
    let user = state.users.get(&credential.user);
    if !user.is_some_and(|user| user.enabled) {
        return Err(unauthorized());
    }
    let expired = credential.expires.is_some_and(|end| call.now >= end);
    if payload["secret"].as_str() != Some(credential.secret.as_str()) || expired {
        return Err(unauthorized());
    }
    Ok(Login {
        user: credential.user.clone(),
        application_credential: Some(id),
        methods: vec![BY_APPLICATION_CREDENTIAL],
        root: None,
        expires: None,
    })
}

/// By id, whoever else is named beside it; or by name and user.
fn find_application_credential(state: &State, payload: &Value) -> Result<String, Refusal> {
    const WHAT: &str = "application credential";
    if let Some(id) = text(payload, "id") {
        return match state.application_credentials.contains_key(id) {
            true => Ok(id.to_owned()),
            false => Err(not_found(format!(
                "Could not find Application Credential: {id}."
            ))),
        };
    }
    let name = text(payload, "name").ok_or_else(|| missing("name or ID", WHAT))?;
    let user = payload.get("user").ok_or_else(|| missing("user", WHAT))?;
    let owner = match text(user, "id") {
        Some(id) => id,
        None => {
            let domain = user.get("domain");
            let domain = domain_named(state, domain.ok_or_else(|| missing("domain", "user"))?)?;
            let user = text(user, "name").unwrap_or_default();
            let unknown = || not_found(format!("Could not find user: {user}."));
            state.user_named(user, domain).ok_or_else(unknown)?
        }
    };
    let mut rows = state.application_credentials.iter();
    let found = rows.find(|(_, row)| row.user == owner && row.name == name);
    found.map(|(id, _)| id.clone()).ok_or_else(unauthorized)
}

/// The id of a domain. The name goes before the id, as at the real one.
pub(super) fn domain_named<'a>(state: &'a State, domain: &Value) -> Result<&'a str, Refusal> {
    let mut domains = state.domains.iter();
    let found = match text(domain, "name") {
        Some(name) => domains.find(|(_, known)| *known == name),
        None => domains.find(|(id, _)| Some(id.as_str()) == text(domain, "id")),
    };
    found.map(|(id, _)| id.as_str()).ok_or_else(unauthorized)
}

/// A text that says something.
fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}
