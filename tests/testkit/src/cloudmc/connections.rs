//! Service connections, and their parameters (service connections).

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, forbidden, list as list_answer, not_found, single};
use super::protocol::Call;
use super::state::{Connection, new_id};
use crate::server::json as json_answer;

/// `GET …/connections`: those of the caller's organization, or of another one that `organizationId` names.
pub(super) fn list(call: &Call<'_>) -> Answer {
    let caller = call.caller();
    let asked = call.request.query_param("organizationId");
    let organization = asked.as_ref().unwrap_or(&caller.organization);
    if *organization != caller.organization && !caller.rights.manage_connections {
        return Err(forbidden());
    }
    if call.state.organization(organization).is_none() {
        return Err(not_found("organizations"));
    }
    let connections = call.state.connections.iter();
    let shown = connections.filter(|found| found.organizations.contains(organization));
    list_answer(&call.state.settings, shown.map(describe).collect())
}

pub(super) fn get(call: &Call<'_>, id: &str) -> Answer {
    single(&call.state.settings, describe(visible(call, id)?), true)
}

/// `GET …/parameters`: the provider's own admin credentials, for those who manage connections.
pub(super) fn parameters(call: &Call<'_>, id: &str) -> Answer {
    let connection = visible(call, id)?;
    if !call.caller().rights.manage_connections {
        return Err(forbidden());
    }
    let parameters = connection.parameters.iter();
    let data = parameters.map(|(name, value)| {
        json!({
            "parameter": name,
            "id": new_id(),
            "value": value,
            "serviceConnection": {"id": connection.id},
        })
    });
    let data: Vec<Value> = data.collect();
    Ok(json_answer(StatusCode::OK, &json!({"data": data})))
}

/// The connection, when the caller's organization has it.
pub(super) fn visible<'a>(call: &'a Call<'_>, id: &str) -> Result<&'a Connection, Refusal> {
    let caller = call.caller();
    let connection = call.state.connection(id).filter(|found| {
        caller.rights.manage_connections || found.organizations.contains(&caller.organization)
    });
    connection.ok_or_else(|| not_found("connections"))
}

fn describe(connection: &Connection) -> Value {
    json!({
        "id": connection.id,
        "serviceCode": connection.code,
        "name": connection.name,
        "type": connection.service.kind(),
        "status": {
            "lastUpdated": format!("{:.3}", Timestamp::now()),
            "reachable": true,
        },
    })
}
