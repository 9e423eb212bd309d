//! Keys: reading the own one and anybody's, and making a new one, which destroys the one before.

use http::{StatusCode, header};
use serde_json::{Value, json};

use super::answer::{Answer, forbidden, invalid, ok, refuse, server_page};
use super::ledger::{MadeBy, new_key};
use super::lie::Lie;
use super::protocol::Call;
use super::state::{KeyShape, Rank};
use super::users::visible;

/// Whose key the lie about somebody else shows.
const SOMEBODY_ELSE: &str = "somebody_else_99";

const HUGE: usize = 2 * 1024 * 1024;

/// `GET /v1/user/keys` (key tutorial).
pub(super) fn own(call: &mut Call<'_>) -> Answer {
    let username = call.caller().username.clone();
    show(call, &username, "/v1/user/keys")
}

/// `GET /v1/users/{id}/keys` (key tutorial, manage API key). By the tutorial only admins get an answer here; by the
/// documentation everybody manages the own key. The second is the rule unless
/// [`super::CloudCenterSimulator::hide_own_key`] says otherwise.
pub(super) fn of_user(call: &mut Call<'_>, id: &str) -> Answer {
    let user = visible(call, id)?;
    if call.state.settings.own_key_hidden && call.caller().rank == Rank::User {
        return Err(forbidden());
    }
    let username = user.username.clone();
    show(call, &username, &format!("/v1/users/{id}/keys"))
}

/// `POST /v1/users/{id}/keys` with `{"apiKey": {"generate": true}}` (clients). The key before is dead when the answer
/// is sent, also when it is the one that this request came with.
pub(super) fn generate(call: &mut Call<'_>, id: &str) -> Answer {
    let kind = call.request.header(header::CONTENT_TYPE.as_str());
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return Err(server_page(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let Ok(body) = serde_json::from_slice::<Value>(&call.request.body) else {
        return Err(invalid("The body is no JSON."));
    };
    let username = visible(call, id)?.username.clone();
    if body["apiKey"]["generate"] != true {
        return Err(invalid("apiKey.generate must be true."));
    }
    let made_by = MadeBy::Call(call.caller().id.clone());
    let ledger = &mut call.state.ledger;
    ledger.add(id, &username, &new_key(), made_by);
    ledger.counts.generated += 1;
    show(call, &username, &format!("/v1/users/{id}/keys"))
}

fn show(call: &mut Call<'_>, username: &str, path: &str) -> Answer {
    let ledger = &mut call.state.ledger;
    let Some(live) = ledger.live_mut(username) else {
        // What CloudCenter says about a user who never had a key is not known.
        let message = "The user has no API key.";
        return Err(refuse(StatusCode::NOT_FOUND, "KEY_NOT_FOUND", message));
    };
    let (mut username, mut key) = (username.to_owned(), live.key.clone());
    match call.state.settings.lie(false) {
        Some(Lie::NoKey) => return ok(&json!({"apiKey": {}})),
        Some(Lie::NullKey) => return ok(&json!({"apiKey": null})),
        Some(Lie::EmptyKey) => key = String::new(),
        Some(Lie::HugeKey) => key = key.repeat(HUGE.div_ceil(key.len().max(1))),
        Some(Lie::OddKey) => key = format!("{key}:\"\r\nX-Odd: \u{fc}"),
        Some(Lie::SomebodyElse) => {
            username = SOMEBODY_ELSE.to_owned();
            key = new_key();
        }
        _ => live.shown += 1,
    }
    call.state.ledger.secret(&username, &key);
    let resource = call.link(path);
    let body = match call.state.settings.keys {
        KeyShape::Object => {
            json!({"apiKey": {"resource": resource, "username": username, "key": key}})
        }
        KeyShape::Text => json!({"apiKey": key}),
        KeyShape::TopLevel => json!({"resource": resource, "username": username, "key": key}),
    };
    ok(&body)
}
