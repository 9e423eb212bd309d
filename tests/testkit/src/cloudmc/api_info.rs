//! `GET /services/connections/{id}/apiInfo?environmentId=…`: the caller's values in an environment (service connections).

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{Answer, invalid, not_found, stranger};
use super::connections::visible;
use super::fields::Field;
use super::ledger::Read;
use super::lie::Lie;
use super::protocol::Call;
use super::services::marked;
use crate::server::json as json_answer;

/// Everybody gets the own values and nobody else's, whatever rights there are, and only while being a member.
pub(super) fn get(call: &mut Call<'_>, id: &str) -> Answer {
    let connection = visible(call, id)?;
    let environment = call.request.query_param("environmentId");
    let Some(environment) = environment.filter(|id| !id.is_empty()) else {
        return Err(invalid("environmentId is required"));
    };
    let found = call.state.environment(&environment);
    let found = found.ok_or_else(|| not_found("environments"))?;
    let caller = call.caller();
    if !found.members.contains(&caller.id) {
        return Err(stranger(call.state.settings.style));
    }
    if found.connection != connection.id {
        return Err(invalid("The environment belongs to another connection"));
    }
    let read = Read {
        user_id: caller.id.clone(),
        connection_id: connection.id.clone(),
        environment_id: environment,
    };
    let can_regenerate = connection.can_regenerate;
    let key = (read.user_id.clone(), read.environment_id.clone());
    let known = call.state.values.get(&key).into_iter().flatten();
    let shown = known.filter(|field| !connection.hidden.contains(&field.key));
    let mut fields: Vec<Field> = shown.cloned().collect();

    let state = &mut *call.state;
    let lie = state.settings.lie(true);
    match lie {
        Some(Lie::ManyFields(count)) => {
            // One mark for all: a search for leaks has one more word to look for, and not ten thousand.
            let mark = marked("SKMARK");
            state.ledger.secret(&mark);
            let more =
                (0..count).map(|n| Field::secret(&format!("more_{n}"), format!("{mark}-{n}")));
            fields.extend(more);
        }
        Some(Lie::HugeValue(size)) => {
            if let Some(field) = fields.iter_mut().find(|field| field.sensitive) {
                let mark = marked("SKMARK");
                state.ledger.secret(&mark);
                field.value = json!(mark.repeat(size.div_ceil(mark.len()))[..size]);
            }
        }
        Some(Lie::NeverTheSame) => {
            if let Some(field) = fields.iter_mut().find(|field| field.sensitive) {
                let mark = marked("SKMARK");
                state.ledger.secret(&mark);
                field.value = json!(mark);
            }
        }
        Some(Lie::EmptyFields) => fields.clear(),
        _ => {}
    }
    let (sensitive, specific) = (lie != Some(Lie::NoSensitive), !state.settings.older);
    let described = fields
        .iter()
        .map(|field| field.describe(sensitive, specific));
    let described: Vec<Value> = described.collect();
    let body = match lie {
        Some(Lie::NoData) => json!({}),
        Some(Lie::NullData) => json!({"data": null}),
        Some(Lie::NoFields) => json!({"data": {"canRegenerateCredentials": can_regenerate}}),
        _ => {
            state.ledger.reads.push(read);
            json!({"data": {"canRegenerateCredentials": can_regenerate, "fields": described}})
        }
    };
    Ok(json_answer(StatusCode::OK, &body))
}
