//! Environments: those of which the caller is a member, and with the right for it all of the organization
//! (environments).

use serde_json::{Value, json};

use super::answer::{Answer, list as list_answer, not_found, single, stranger};
use super::protocol::Call;
use super::state::{Environment, State};

pub(super) fn list(call: &Call<'_>) -> Answer {
    let environments = call.state.environments.iter();
    let shown = environments.filter(|found| is_visible(call, found));
    let shown = shown.map(|found| describe(call.state, found));
    list_answer(&call.state.settings, shown.collect())
}

pub(super) fn get(call: &Call<'_>, id: &str) -> Answer {
    let found = call.state.environment(id);
    let found = found.ok_or_else(|| not_found("environments"))?;
    if !is_visible(call, found) {
        return Err(stranger(call.state.settings.style));
    }
    let mut environment = describe(call.state, found);
    let members = found.members.iter();
    let users = members.map(|id| json!({"id": id, "userName": name_of(call.state, id)}));
    environment["users"] = users.collect();
    single(&call.state.settings, environment, false)
}

fn is_visible(call: &Call<'_>, environment: &Environment) -> bool {
    let caller = call.caller();
    let same = environment.organization == caller.organization;
    environment.members.contains(&caller.id) || (caller.rights.read_all && same)
}

fn describe(state: &State, environment: &Environment) -> Value {
    let organization = state.organization(&environment.organization);
    let organization = organization.map_or("", |found| &found.name);
    let connection = state.connection(&environment.connection);
    let connection = connection.map_or("", |found| &found.name);
    let members = environment.members.iter();
    let users = members.map(|id| json!({"id": id, "name": name_of(state, id)}));
    json!({
        "id": environment.id,
        "name": environment.name,
        "description": environment.description,
        "membership": "MANY_USERS",
        "creationDate": format!("{:.3}", environment.created),
        "organization": {
            "id": environment.organization,
            "name": organization,
            "entryPoint": organization,
        },
        "serviceConnection": {"id": environment.connection, "name": connection},
        "roles": [{
            "id": "951b768b-e91c-4d20-8b52-d4a2ab5a538a",
            "name": "Environment Admin",
            "isDefault": true,
            "users": users.collect::<Vec<Value>>(),
        }],
    })
}

fn name_of<'a>(state: &'a State, user: &str) -> &'a str {
    state.user(user).map_or("", |found| &found.username)
}
