//! The endpoints of access keys, which are there since ghippo 0.14 (OpenAPI, `accesstokens`): one's own below
//! `current-user/`, and for admins those of any user below `users/{id}/`.
//!
//! The paths and the fields are the OpenAPI's. Which names and expiries are refused, and that expired keys stay in the
//! list, are assumptions.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::keyring::{Broken, QuotaRefusal};
use super::lie::{Lie, Topic};
use super::mint::Mint;
use super::protocol::{Dce, Refusal, Settings, coded, envelope, invalid, not_allowed, not_found};
use super::users::User;
use super::{now_ms, times};
use crate::server::{SimRequest, SimResponse, json as json_answer};

type Answer = Result<SimResponse, Refusal>;

/// Answers one request, whose path below the API this is.
pub(super) fn answer(dce: &Dce, request: &SimRequest, path: &[&str]) -> Answer {
    let caller = dce.bearer(request)?;
    let (owner, path) = match path {
        ["current-user", path @ ..] => (caller, path),
        ["users", id, path @ ..] => (somebody(dce, &caller, id)?, path),
        _ => return Err(not_found()),
    };
    let settings = dce.settings.lock().unwrap().clone();
    match (request.method.as_str(), path) {
        ("GET", ["accesstokens"]) => Ok(list(dce, &settings, &owner)),
        ("POST", ["accesstoken"]) => create(dce, &settings, &owner, request),
        ("DELETE", ["accesstokens", id]) => delete(dce, &settings, &owner, id),
        (_, ["accesstokens" | "accesstoken"] | ["accesstokens", _]) => Err(not_allowed()),
        _ => Err(not_found()),
    }
}

/// The user whose keys an admin asks for.
fn somebody(dce: &Dce, caller: &User, id: &str) -> Result<User, Refusal> {
    if !caller.admin {
        return Err(envelope(StatusCode::FORBIDDEN, "permission denied").into());
    }
    let user = id.parse().ok().and_then(|id| dce.users.by_id(id));
    user.ok_or_else(not_found)
}

/// All of a user's keys at once, without the keys themselves. All fields are text.
fn list(dce: &Dce, settings: &Settings, owner: &User) -> SimResponse {
    let hidden = settings.lie(Topic::KeyList) == Some(Lie::KeysHidden);
    let keys = match hidden {
        true => Vec::new(),
        false => dce.keyring.of(owner.id),
    };
    let items = keys.into_iter().map(|key| {
        let mut item = Map::new();
        item.insert("id".to_owned(), key.id.into());
        item.insert("name".to_owned(), key.name.into());
        let moments = [
            ("createdAt", Some(key.created_ms)),
            ("updatedAt", None),
            ("expiredAt", key.expires_ms),
        ];
        for (field, at) in moments {
            times::write(&mut item, field, at, settings.times, settings.never);
        }
        Value::Object(item)
    });
    let items: Vec<Value> = items.collect();
    json_answer(StatusCode::OK, &json!({"items": items}))
}

/// `{"name", "expiredAt"}` gives `{"id", "token"}`, and the token is never shown again.
fn create(dce: &Dce, settings: &Settings, owner: &User, request: &SimRequest) -> Answer {
    let body = match request.body.is_empty() {
        // The gRPC gateway takes no body for an empty message.
        true => json!({}),
        false => serde_json::from_slice(&request.body)
            .map_err(|_| invalid("proto: syntax error: unexpected token"))?,
    };
    if !body.is_object() {
        return Err(invalid("proto: syntax error: unexpected token"));
    }
    let field = |name: &str| match &body[name] {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text.as_str()),
        other => Err(invalid(&format!(
            "proto: invalid value for string field {name}: {other}"
        ))),
    };
    let (name, expires) = (field("name")?, field("expiredAt")?);
    if name.is_empty() {
        return Err(invalid("name is required"));
    }
    let Ok(expires_ms) = times::read(expires) else {
        return Err(invalid("expiredAt is no time"));
    };
    if expires_ms.is_some_and(|at| at <= now_ms()) {
        return Err(invalid("expiredAt is in the past"));
    }
    let latest = settings.at_most.map(|limit| {
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        now_ms().saturating_add(limit)
    });
    let expires_ms = expires_ms.into_iter().chain(latest).min();
    let lie = settings.lie(Topic::Tokens);
    let mint = Mint {
        signer: &dce.signer,
        ledger: &dce.ledger,
        users: &dce.users,
        at_most: None,
        lie,
    };
    let made = dce
        .keyring
        .add(owner, name, expires_ms, settings.key_rules, || {
            mint.key(owner, expires_ms)
        });
    let (id, token) = made.map_err(|broken| refusal(&broken, settings.quota_refusal))?;
    let body = match lie {
        Some(Lie::EmptyObject) => json!({}),
        Some(Lie::Null) => Value::Null,
        Some(Lie::EmptyToken) => json!({"id": id, "token": ""}),
        Some(Lie::KeyWithoutId) => json!({"token": token}),
        _ => json!({"id": id, "token": token}),
    };
    Ok(json_answer(StatusCode::OK, &body))
}

fn refusal(broken: &Broken, style: QuotaRefusal) -> Refusal {
    let limit = match broken {
        Broken::Name => {
            let words = "an access token of this name already exists";
            return envelope(StatusCode::CONFLICT, words).into();
        }
        Broken::Limit(limit) => limit,
    };
    let words = format!("the number of access tokens has reached the limit of {limit}");
    let (status, code) = match style {
        QuotaRefusal::FailedPrecondition => (StatusCode::BAD_REQUEST, 9),
        QuotaRefusal::PermissionDenied => (StatusCode::FORBIDDEN, 7),
        QuotaRefusal::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, 8),
    };
    coded(status, code, &words).into()
}

/// Gives `{}`. A key may delete itself.
fn delete(dce: &Dce, settings: &Settings, owner: &User, id: &str) -> Answer {
    let undone = settings.lie(Topic::KeyDeletion) == Some(Lie::DeleteUndone);
    if !undone && !dce.keyring.delete(owner.id, id, &dce.ledger) {
        return Err(not_found());
    }
    Ok(json_answer(StatusCode::OK, &json!({})))
}
