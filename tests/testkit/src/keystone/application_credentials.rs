//! `/v3/users/{id}/application_credentials`.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::answer::{
    Answer, Refusal, bad_request, client_in_error, conflict, created, forbidden, no_content,
    not_found, ok, refuse,
};
use super::call::{Call, Caller};
use super::schema::{invalid, member, members_typed, only, printed, require};
use super::state::{ApplicationCredential, State, implied, new_id};
use super::tokens::{new_secret, without_z};

const KEY: &str = "application_credential";
const FIELDS: [&str; 10] = [
    "id",
    "secret",
    "name",
    "description",
    "expires_at",
    "project_id",
    "access_rules",
    "unrestricted",
    "system",
    "roles",
];
const RESTRICTED: &str = "Using method 'application_credential' is not allowed for managing additional application \
    credentials.";

/// `POST`: only for oneself, and for the project of the token. An id or a project in the body is ignored.
pub(super) fn create(call: &mut Call<'_>, user: &str) -> Answer {
    let fields = member(&call.body, KEY)?;
    check_form(&call.body, fields)?;
    let caller = call.caller()?;
    if !caller.is(user) {
        return Err(forbidden("identity:create_application_credential"));
    }
    refuse_restricted(call.state, &caller)?;
    let roles = roles_for(call.state, &caller, fields)?;
    let expires = fields.get("expires_at").and_then(Value::as_str);
    let expires = expires.map(|text| expiry(text, call.now)).transpose()?;
    let secret = fields.get("secret").and_then(Value::as_str);
    let given = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let row = ApplicationCredential {
        serial: 0,
        name: fields["name"].as_str().unwrap_or_default().to_owned(),
        user: user.to_owned(),
        project: caller.token.project.clone(),
        secret: secret
            .filter(|s| !s.is_empty())
            .map_or_else(new_secret, str::to_owned),
        description: given("description"),
        unrestricted: given("unrestricted"),
        roles,
        access_rules: given("access_rules")
            .as_array()
            .map(|r| with_ids(r))
            .unwrap_or_default(),
        expires,
        created: call.now,
    };
    let secret = row.secret.clone();
    let id = insert(call.state, row)?;
    let mut body = describe(call, &id);
    body["secret"] = json!(secret);
    created(&json!({KEY: body}))
}

/// Puts a row in, if the quota allows it and the owner has no other of this name, and returns its id.
pub(super) fn insert(state: &mut State, mut row: ApplicationCredential) -> Result<String, Refusal> {
    let owned = state.application_credentials.values();
    let owned: Vec<&ApplicationCredential> = owned.filter(|r| r.user == row.user).collect();
    if let Some(limit) = state.quota(&row.user).application_credentials
        && owned.len() >= limit
    {
        let words = format!(
            "Unable to create additional application credentials, maximum of {limit} already exceeded for user."
        );
        return Err(refuse(StatusCode::FORBIDDEN, words));
    }
    if owned.iter().any(|other| other.name == row.name) {
        let details = format!("Duplicate entry found with name {}", row.name);
        return Err(conflict(KEY, &details));
    }
    let id = new_id();
    row.serial = state.next_serial();
    state.secret(&row.secret);
    state.issued_to(&row.user).application_credentials += 1;
    state.application_credentials.insert(id.clone(), row);
    Ok(id)
}

fn check_form(body: &Value, fields: &Map<String, Value>) -> Result<(), Refusal> {
    let others = body.as_object().into_iter().flat_map(Map::keys);
    if let Some(other) = others.into_iter().find(|name| *name != KEY) {
        return Err(bad_request(format!(
            "Additional properties are not allowed ('{other}' was unexpected)"
        )));
    }
    require(KEY, fields, &["name"])?;
    only(KEY, fields, &FIELDS)?;
    members_typed(
        fields,
        &[
            ("id", &["string"]),
            ("secret", &["string", "null"]),
            ("name", &["string"]),
            ("description", &["string", "null"]),
            ("expires_at", &["string", "null"]),
            ("project_id", &["string"]),
            ("access_rules", &["array"]),
            ("unrestricted", &["boolean", "null"]),
            ("system", &["string", "null"]),
            ("roles", &["array"]),
        ],
    )?;
    let name = &fields["name"];
    match name.as_str().unwrap_or_default().chars().count() {
        0 => return Err(invalid("name", name, "'' should be non-empty")),
        1..=255 => {}
        _ => {
            let words = format!("{} is too long", printed(name));
            return Err(invalid("name", name, &words));
        }
    }
    for rule in fields
        .get("access_rules")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let path = &rule["path"];
        if path.as_str().is_some_and(|path| !path.starts_with('/')) {
            let words = format!("{} does not match '^/\\\\.*'", printed(path));
            return Err(invalid("path", path, &words));
        }
    }
    let roles = fields.get("roles").and_then(Value::as_array);
    for (index, role) in roles.into_iter().flatten().enumerate() {
        let words = match role.as_object().map_or(0, Map::len) {
            1 => continue,
            0 => "should be non-empty",
            _ => "has too many properties",
        };
        let words = format!("{} {words}", printed(role));
        return Err(invalid(&index.to_string(), role, &words));
    }
    Ok(())
}

/// The names of the roles that are asked for and of those that they imply; all of the token's when none is asked for.
fn roles_for(
    state: &State,
    caller: &Caller,
    fields: &Map<String, Value>,
) -> Result<Vec<String>, Refusal> {
    let held = state.roles_of(&caller.token).into_iter();
    let held: Vec<String> = held.map(|role| role.name.clone()).collect();
    let asked = fields.get("roles").and_then(Value::as_array);
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return Ok(held);
    };
    let unassigned = || {
        let words = "Cannot create an application credential with unassigned role";
        bad_request(format!("Invalid application credential: {words}"))
    };
    let mut wanted: Vec<&str> = Vec::new();
    for role in asked {
        let name = match (role["id"].as_str(), role["name"].as_str()) {
            (Some(id), _) => {
                let known = state.roles.iter().find(|role| role.id == id);
                known.ok_or_else(unassigned)?.name.as_str()
            }
            (None, Some(name)) if state.role_named(name).is_some() => name,
            (None, name) => {
                let name = name.unwrap_or_default();
                return Err(not_found(format!("Role {name} is not defined")));
            }
        };
        wanted.push(name);
        wanted.extend(implied(name));
    }
    if wanted
        .iter()
        .any(|name| !held.iter().any(|held| held == name))
    {
        return Err(unassigned());
    }
    Ok(held
        .into_iter()
        .filter(|name| wanted.contains(&name.as_str()))
        .collect())
}

/// UTC, with or without `Z`. An offset is a format error, as at the real one.
fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    let text = format!("{}Z", text.strip_suffix('Z').unwrap_or(text));
    let Ok(at) = text.parse::<Timestamp>() else {
        return Err(client_in_error("Timestamp not in expected format."));
    };
    match at < now {
        true => Err(client_in_error("The 'expires_at' must not be before now.")),
        false => Ok(at),
    }
}

fn with_ids(rules: &[Value]) -> Vec<Value> {
    let rules = rules.iter().map(|rule| {
        let mut rule = rule.clone();
        if rule.get("id").is_none() {
            rule["id"] = json!(new_id());
        }
        rule
    });
    rules.collect()
}

/// `GET` of all, or of those with a name.
pub(super) fn list(call: &mut Call<'_>, user: &str) -> Answer {
    let caller = call.caller()?;
    if !caller.is(user) && !caller.is_admin() {
        return Err(forbidden("identity:list_application_credentials"));
    }
    let name = call.request.query_param("name");
    let rows = call.state.application_credentials.iter();
    let rows = rows
        .filter(|(_, row)| row.user == user && name.as_ref().is_none_or(|name| row.name == *name));
    let items = rows.map(|(id, _)| describe(call, id)).collect();
    ok(&call.list("application_credentials", items))
}

pub(super) fn get(call: &mut Call<'_>, user: &str, id: &str) -> Answer {
    let caller = call.caller()?;
    allowed(call, &caller, user, id, "get_application_credential")?;
    exists(call, id)?;
    ok(&json!({KEY: describe(call, id)}))
}

pub(super) fn delete(call: &mut Call<'_>, user: &str, id: &str) -> Answer {
    let caller = call.caller()?;
    allowed(call, &caller, user, id, "delete_application_credential")?;
    refuse_restricted(call.state, &caller)?;
    exists(call, id)?;
    call.state.application_credentials.remove(id);
    no_content()
}

/// Admins, and the owner: the one of the row, or the user in the path when there is no row.
fn allowed(
    call: &Call<'_>,
    caller: &Caller,
    user: &str,
    id: &str,
    action: &str,
) -> Result<(), Refusal> {
    let row = call.state.application_credentials.get(id);
    let owner = row.map_or(user, |row| row.user.as_str());
    match caller.is(owner) || caller.is_admin() {
        true => Ok(()),
        false => Err(forbidden(&format!("identity:{action}"))),
    }
}

fn exists(call: &Call<'_>, id: &str) -> Result<(), Refusal> {
    match call.state.application_credentials.contains_key(id) {
        true => Ok(()),
        false => Err(not_found(format!(
            "Could not find Application Credential: {id}."
        ))),
    }
}

/// A restricted application credential must not make or delete others.
fn refuse_restricted(state: &State, caller: &Caller) -> Result<(), Refusal> {
    let Some(id) = &caller.token.application_credential else {
        return Ok(());
    };
    match state.application_credentials[id].unrestricted == true {
        true => Ok(()),
        false => Err(forbidden(RESTRICTED)),
    }
}

/// What everybody may see of it: not the secret.
fn describe(call: &Call<'_>, id: &str) -> Value {
    let row = &call.state.application_credentials[id];
    let roles = row
        .roles
        .iter()
        .filter_map(|name| call.state.role_named(name));
    let roles: Vec<Value> = roles
        .map(|role| {
            let options = match role.built_in {
                true => json!({"immutable": true}),
                false => json!({}),
            };
            json!({"id": role.id, "name": role.name, "domain_id": null, "description": null, "options": options})
        })
        .collect();
    let mut body = json!({
        "id": id,
        "name": row.name,
        "description": row.description,
        "user_id": row.user,
        "project_id": row.project,
        "system": null,
        "expires_at": row.expires.map(without_z),
        "unrestricted": row.unrestricted,
        "roles": roles,
        "links": {"self": call.link(&format!("/application_credentials/{id}"))},
    });
    if !row.access_rules.is_empty() {
        body["access_rules"] = json!(row.access_rules);
    }
    body
}
