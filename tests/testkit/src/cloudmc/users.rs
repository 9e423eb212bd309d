//! Users: without the right to read others everybody only sees oneself (users). So the list tells whose key it is.

use serde_json::{Value, json};

use super::answer::{Answer, forbidden, list as list_answer, not_found, single};
use super::lie::Lie;
use super::protocol::Call;
use super::state::{State, User, new_id};

pub(super) fn list(call: &Call<'_>) -> Answer {
    if call.state.settings.lie(false) == Some(Lie::SomebodyElse) {
        let mut somebody = describe(call.state, call.caller());
        somebody["id"] = json!(new_id());
        somebody["userName"] = json!("somebody-else");
        somebody["email"] = json!("somebody-else@example.com");
        return list_answer(&call.state.settings, vec![somebody]);
    }
    let users = call.state.users.iter();
    let shown = users.filter(|user| is_visible(call, user));
    let shown = shown.map(|user| describe(call.state, user));
    list_answer(&call.state.settings, shown.collect())
}

pub(super) fn get(call: &Call<'_>, id: &str) -> Answer {
    let user = call.state.user(id).ok_or_else(|| not_found("users"))?;
    if !is_visible(call, user) {
        return Err(forbidden());
    }
    let mut described = describe(call.state, user);
    let environments = call.state.environments.iter();
    let own = environments.filter(|found| found.members.contains(&user.id));
    let own = own.map(|found| json!({"id": found.id, "name": found.name}));
    described["environments"] = own.collect();
    single(&call.state.settings, described, false)
}

fn is_visible(call: &Call<'_>, user: &User) -> bool {
    let caller = call.caller();
    let same = user.organization == caller.organization;
    user.id == caller.id || (caller.rights.read_all && same)
}

fn describe(state: &State, user: &User) -> Value {
    let organization = state.organization(&user.organization);
    json!({
        "id": user.id,
        "userName": user.username,
        "firstName": user.username,
        "lastName": "",
        "email": format!("{}@example.com", user.username),
        "creationDate": format!("{:.3}", user.created),
        "status": "ACTIVE",
        "organization": {
            "id": user.organization,
            "name": organization.map_or("", |found| &found.name),
        },
        "roles": [{"id": "cdaaa9d0-304e-4063-b1ab-de31905bdab8", "name": "End-User"}],
    })
}
