//! `/v3/credentials`: rows of any type; those of type ec2 are key pairs.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::{
    Answer, Refusal, bad_request, conflict, created, forbidden, missing, no_content, not_found, ok,
    refuse, server_page,
};
use super::call::{Call, Caller};
use super::schema::{member, members_typed, only, require};
use super::state::{Credential, State, id_of, new_id};

/// Members of a row that have a place of their own.
const KNOWN: [&str; 6] = ["id", "blob", "links", "project_id", "type", "user_id"];

/// `POST /v3/credentials`. Nobody looks whether the user or the project exist.
pub(super) fn create(call: &mut Call<'_>) -> Answer {
    let fields = member(&call.body, "credential")?;
    check_form(fields)?;
    let field = |name: &str| fields[name].as_str().unwrap_or_default();
    let (owner, kind, blob) = (field("user_id"), field("type"), field("blob"));
    let caller = call.caller()?;
    if !caller.is(owner) && !caller.is_admin() {
        return Err(forbidden("identity:create_credential"));
    }
    caller.refuse_delegated()?;
    let id = match kind.eq_ignore_ascii_case("ec2") {
        true => id_of(&access_in(blob)?),
        false => new_id(),
    };
    let extra = fields
        .iter()
        .filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    let row = Credential {
        serial: 0,
        user: owner.to_owned(),
        project: fields
            .get("project_id")
            .and_then(Value::as_str)
            .map(str::to_owned),
        kind: kind.to_owned(),
        blob: blob.to_owned(),
        extra: extra
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        created: call.now,
    };
    insert(call.state, &id, row)?;
    created(&json!({"credential": describe(call, &id)}))
}

/// Puts a row in, if the quota allows it and the id is free.
pub(super) fn insert(state: &mut State, id: &str, mut row: Credential) -> Result<(), Refusal> {
    if let Some(limit) = state.quota(&row.user).pairs {
        let owned = state.credentials.values().filter(|r| r.user == row.user);
        if owned.count() >= limit {
            let words = format!(
                "Unable to create additional credentials, maximum of {limit} already exceeded for user."
            );
            return Err(refuse(StatusCode::FORBIDDEN, words));
        }
    }
    if state.credentials.contains_key(id) {
        let details = format!("Duplicate entry found with ID {id}");
        return Err(conflict("credential", &details));
    }
    row.serial = state.next_serial();
    note_secret(state, &row);
    if row.is_ec2() {
        state.issued_to(&row.user).pairs += 1;
    }
    state.credentials.insert(id.to_owned(), row);
    Ok(())
}

fn check_form(fields: &Map<String, Value>) -> Result<(), Refusal> {
    require("credential", fields, &["blob", "type", "user_id"])?;
    if fields["type"] == "ec2" {
        require("credential", fields, &["project_id"])?;
    }
    members_typed(
        fields,
        &[
            ("id", &["string"]),
            ("blob", &["string"]),
            ("project_id", &["string", "null"]),
            ("type", &["string"]),
            ("user_id", &["string"]),
        ],
    )
}

/// The access key in a blob of type ec2.
fn access_in(blob: &str) -> Result<String, Refusal> {
    let Ok(blob) = serde_json::from_str::<Value>(blob) else {
        return Err(bad_request("Invalid blob in credential"));
    };
    if blob.as_object().is_none_or(Map::is_empty) {
        return Err(missing("blob", "credential"));
    }
    match blob.get("access") {
        None | Some(Value::Null) => Err(missing("access", "credential")),
        Some(Value::String(access)) => Ok(access.clone()),
        // Keystone breaks at this.
        Some(_) => Err(server_page(StatusCode::INTERNAL_SERVER_ERROR)),
    }
}

/// `GET /v3/credentials`. What the caller may not read is left out, so there is no 403.
pub(super) fn list(call: &mut Call<'_>) -> Answer {
    let caller = call.caller()?;
    let (user, kind) = (
        call.request.query_param("user_id"),
        call.request.query_param("type"),
    );
    let wanted = |row: &Credential| {
        user.as_ref().is_none_or(|user| row.user == *user)
            && kind.as_ref().is_none_or(|kind| row.kind == *kind)
            && (caller.is(&row.user) || caller.is_admin())
            && !caller.is_delegated()
    };
    let rows = call.state.credentials.iter();
    let ids: Vec<&String> = rows
        .filter(|(_, row)| wanted(row))
        .map(|(id, _)| id)
        .collect();
    let limit = call
        .request
        .query_param("limit")
        .and_then(|l| l.parse().ok());
    let shown = &ids[..ids.len().min(limit.unwrap_or(usize::MAX))];
    let items = shown.iter().map(|id| describe(call, id)).collect();
    let mut body = call.list("credentials", items);
    if shown.len() < ids.len() {
        // There is no way to the rest: a marker is ignored.
        body["truncated"] = json!(true);
        if let Some(last) = shown.last() {
            body["links"]["next"] = json!(format!("{}&marker={last}", call.itself()));
        }
    }
    ok(&body)
}

pub(super) fn get(call: &mut Call<'_>, id: &str) -> Answer {
    allowed(call, id, "get_credential")?;
    ok(&json!({"credential": describe(call, id)}))
}

/// `PATCH /v3/credentials/{id}`: only the blob. The id stays, also when the access key changes.
pub(super) fn update(call: &mut Call<'_>, id: &str) -> Answer {
    let fields = member(&call.body, "credential")?;
    only("credential", fields, &["blob"])?;
    require("credential", fields, &["blob"])?;
    members_typed(fields, &[("blob", &["string"])])?;
    let blob = fields["blob"].as_str().unwrap_or_default().to_owned();
    allowed(call, id, "update_credential")?;
    let row = call.state.credentials.get_mut(id).unwrap();
    if row.is_ec2() {
        access_in(&blob)?;
    }
    row.blob = blob;
    let secret = row.in_blob("secret").unwrap_or_default();
    call.state.secret(&secret);
    ok(&json!({"credential": describe(call, id)}))
}

pub(super) fn delete(call: &mut Call<'_>, id: &str) -> Answer {
    allowed(call, id, "delete_credential")?;
    call.state.credentials.remove(id);
    no_content()
}

/// Whether the caller may touch a row. To all but admins one that does not exist looks like one of somebody else.
fn allowed(call: &Call<'_>, id: &str, action: &str) -> Result<(), Refusal> {
    let caller = call.caller()?;
    let row = call.state.credentials.get(id);
    let owner = |caller: &Caller| row.is_some_and(|row| caller.is(&row.user));
    if !owner(&caller) && !caller.is_admin() {
        return Err(forbidden(&format!("identity:{action}")));
    }
    if row.is_none() {
        return Err(not_found(format!("Could not find credential: {id}.")));
    }
    caller.refuse_delegated()
}

fn describe(call: &Call<'_>, id: &str) -> Value {
    let row = &call.state.credentials[id];
    let mut body = json!({
        "id": id,
        "blob": row.blob,
        "links": {"self": call.link(&format!("/credentials/{id}"))},
        "project_id": row.project,
        "type": row.kind,
        "user_id": row.user,
    });
    body.as_object_mut().unwrap().extend(row.extra.clone());
    body
}

fn note_secret(state: &mut State, row: &Credential) {
    match row.is_ec2() {
        true => state.secret(&row.in_blob("secret").unwrap_or_default()),
        false => state.secret(&row.blob),
    }
}
