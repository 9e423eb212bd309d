//! What the service behind the API does at Keystone (source, `aksk/pkg`): with the caller's token, and mostly without a
//! look at the status of the answer. Errors are texts.

use std::sync::Arc;

use http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::kind;
use super::keystone::Ask;
use super::ledger::Vanished;
use super::protocol::Soda;
use super::simulator::Generation;

/// A key, as answers tell it (source, `aksk.pb.go`).
#[derive(Clone, Serialize)]
pub(super) struct Pair {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) access_key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) secret_key: String,
}

/// A credential of Keystone, of any type, as answers tell it (source, `aksk.pb.go`). There is no id.
#[derive(Clone, Serialize)]
pub(super) struct Row {
    #[serde(skip_serializing_if = "String::is_empty")]
    project_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) user_id: String,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    kind: String,
    pub(super) blob: Pair,
}

/// What breaks the service off looks like this to who called it.
const PANICKED: &str = "connection error: EOF";

/// Makes a key. The draw comes first, whatever comes of it.
pub(super) async fn create(
    soda: Arc<Soda>,
    token: String,
    user: String,
    project: String,
) -> Result<Pair, String> {
    soda.is_reachable()?;
    let pair = soda.generator.draw();
    if soda.generation == Generation::Strato {
        soda.must_exist(&token, format!("/projects/{project}"), "TenantId")
            .await?;
        soda.must_exist(&token, format!("/users/{user}"), "UserId")
            .await?;
    }
    let blob = json!({"access": pair.0, "secret": pair.1}).to_string();
    let row = json!({"project_id": project, "user_id": user, "blob": blob, "type": "ec2"});
    let ask = Ask {
        body: Some(json!({"credential": row})),
        ..Ask::new(Method::POST, "/credentials", &token)
    };
    let place = soda.ledger.issue(&pair, &user, &project);
    let reply = soda.link.send(ask).await;
    let status = match &reply {
        Ok(reply) => Some(reply.status),
        Err(broken) => broken.lost,
    };
    if status == Some(201) {
        soda.ledger.stored(place);
    }
    let reply = reply.map_err(|broken| broken.words)?;
    let body: Value = serde_json::from_str(&reply.body).map_err(|_| PANICKED)?;
    // Keystone's refusals are JSON as well, with no blob.
    read_blob(text(&body["credential"], "blob"))
}

/// All credentials of a user that the token may see, of every project and type. `None`, which is not an empty list, when
/// there is none, and also when Keystone says anything but a list.
pub(super) async fn read(
    soda: Arc<Soda>,
    token: String,
    user: String,
) -> Result<Option<Vec<Row>>, String> {
    soda.is_reachable()?;
    let listed = soda.list(&token, &user).await?;
    let listed: Value = serde_json::from_str(&listed).unwrap_or_default();
    let listed = listed["credentials"].as_array().into_iter().flatten();
    let rows = listed.map(|row| {
        Ok(Row {
            project_id: text(row, "project_id").to_owned(),
            user_id: text(row, "user_id").to_owned(),
            kind: text(row, "type").to_owned(),
            blob: read_blob(text(row, "blob"))?,
        })
    });
    let rows = rows.collect::<Result<Vec<Row>, String>>()?;
    Ok(Some(rows).filter(|rows| !rows.is_empty()))
}

/// Deletes, one by one, all that [`read`] would have listed. Whether each was deleted nobody asks.
pub(super) async fn delete(
    soda: Arc<Soda>,
    token: String,
    user: String,
    place: usize,
) -> Result<(), String> {
    soda.is_reachable()?;
    let listed = soda.list(&token, &user).await?;
    let listed: Value = serde_json::from_str(&listed).map_err(|error| error.to_string())?;
    for row in listed["credentials"].as_array().into_iter().flatten() {
        let id = text(row, "id");
        let ask = Ask::new(Method::DELETE, format!("/credentials/{id}"), &token);
        let reply = soda.link.send(ask).await;
        let status = match &reply {
            Ok(reply) => Some(reply.status),
            Err(broken) => broken.lost,
        };
        if status == Some(204) {
            let project = row["project_id"].as_str().map(str::to_owned);
            let vanished = Vanished {
                id: id.to_owned(),
                kind: text(row, "type").to_owned(),
                project_id: project,
            };
            soda.ledger.vanished(place, vanished);
        }
        reply.map_err(|broken| broken.words)?;
    }
    Ok(())
}

impl Soda {
    fn is_reachable(&self) -> Result<(), String> {
        match self.settings.lock().unwrap().service_down {
            true => Err("service aksk: not found".to_owned()),
            false => Ok(()),
        }
    }

    /// Whether Keystone shows it to the caller.
    async fn must_exist(&self, token: &str, path: String, what: &str) -> Result<(), String> {
        let found = self.link.send(Ask::new(Method::GET, path, token)).await;
        match found {
            Ok(reply) if reply.status == 200 => Ok(()),
            _ => Err(format!("{what} is not valid, Please provide valid {what} ")),
        }
    }

    /// Whatever Keystone answers to the question for a user's credentials.
    async fn list(&self, token: &str, user: &str) -> Result<String, String> {
        // The id goes in as it is.
        let path = format!("/credentials?user_id={user}");
        let reply = self.link.send(Ask::new(Method::GET, path, token)).await;
        reply.map(|reply| reply.body).map_err(|broken| broken.words)
    }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The pair in a credential's blob, with Go's words for what is none. A backtick spoils it, because the service wraps the
/// text in two.
fn read_blob(blob: &str) -> Result<Pair, String> {
    if blob.is_empty() || blob.contains('`') {
        return Err("unexpected end of JSON input".to_owned());
    }
    let blob: Value = serde_json::from_str(blob)
        .map_err(|_| "invalid character in the blob, looking for a value".to_owned())?;
    let fields = match &blob {
        Value::Object(fields) => fields,
        Value::Null => return Err(PANICKED.to_owned()),
        other => {
            let words = "json: cannot unmarshal";
            return Err(format!(
                "{words} {} into Go value of type model.Blob",
                kind(other)
            ));
        }
    };
    Ok(Pair {
        access_key: in_blob(fields, "access")?,
        secret_key: in_blob(fields, "secret")?,
    })
}

fn in_blob(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!(
            "json: cannot unmarshal {} into Go struct field Blob.{name} of type string",
            kind(other)
        )),
    }
}
