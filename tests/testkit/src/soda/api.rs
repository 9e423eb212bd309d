//! What the API does with a request that has come through the filter (source, `api/pkg/aksk/service.go`).

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::{entity, error, kind};
use super::auth::{Session, Stopped};
use super::lie::Lie;
use super::protocol::{Call, Soda};
use super::rpc::{self, MicroError};
use super::service::{self, Pair, Row};
use super::simulator::Generation;
use crate::server::{SimRequest, SimResponse};

/// What strato says of every key that could not be made, whatever the reason (source, `service.go`).
const NOT_MADE: &str = "error in creating AKSK for the user, projectId or userId is invalid";

/// Whom a key is asked for.
struct Wanted {
    user: String,
    project: String,
}

impl Soda {
    /// Answers a request; `None` closes the connection.
    pub(super) async fn serve(
        self: Arc<Self>,
        request: SimRequest,
        call: Call,
    ) -> Option<SimResponse> {
        let session = match self.authenticate(&request.headers).await {
            Ok(session) => session,
            Err(Stopped::Refused(refusal)) => return Some(*refusal),
            Err(Stopped::HungUp) => return None,
        };
        if self.settings.lock().unwrap().forbidden && !self.without_auth {
            return Some(error(StatusCode::FORBIDDEN, "operation is not permitted"));
        }
        match call {
            Call::Create => self.create(session, &request).await,
            Call::Read { user, download } => Some(self.read(session, user, download).await),
            Call::Delete { user } => Some(self.delete(session, user).await),
        }
    }

    /// `POST /v1/{project}/aksks`: one more key, at every call. 200 with `access_key` and `secret_key`.
    async fn create(
        self: Arc<Self>,
        session: Session,
        request: &SimRequest,
    ) -> Option<SimResponse> {
        let wanted = match self.wanted(&session, request) {
            Ok(wanted) => wanted?,
            Err(words) => {
                let status = match self.generation {
                    Generation::MultiCloud => StatusCode::INTERNAL_SERVER_ERROR,
                    Generation::Strato => StatusCode::BAD_REQUEST,
                };
                return Some(error(status, words));
            }
        };
        let made = rpc::call(self.deadline, || {
            let (user, project) = (wanted.user.clone(), wanted.project.clone());
            service::create(Arc::clone(&self), session.token.clone(), user, project)
        });
        let mut pair = match (made.await, self.generation) {
            (Ok(pair), _) => pair,
            (Err(broken), Generation::MultiCloud) => return Some(failed(&broken)),
            (Err(_), Generation::Strato) => return Some(error(StatusCode::BAD_REQUEST, NOT_MADE)),
        };
        match self.lie() {
            Some(Lie::EmptyObject) => return Some(entity(&json!({}))),
            Some(Lie::Null) => return Some(entity(&Value::Null)),
            Some(Lie::EmptySecret) => pair.secret_key.clear(),
            _ => self.ledger.told(&pair.access_key),
        }
        Some(entity(&pair))
    }

    /// Whom the key is for, or the words of a refusal. `Ok(None)` when the body is `null`, which breaks both generations.
    ///
    /// multi-cloud decodes the body, and then takes user and project from the token. strato takes them from the body,
    /// where they have to stand at the top: what the API page shows, an object `credential` around them, is to it as if
    /// they were missing.
    fn wanted(&self, session: &Session, request: &SimRequest) -> Result<Option<Wanted>, String> {
        let goal = match self.generation {
            Generation::MultiCloud => "AkSkDetail",
            Generation::Strato => "AkSkCreateRequest",
        };
        if request.body.trim_ascii().is_empty() {
            let words = match self.generation {
                Generation::MultiCloud => "EOF",
                Generation::Strato => "unexpected end of JSON input",
            };
            return Err(words.to_owned());
        }
        let body: Value = serde_json::from_slice(&request.body)
            .map_err(|_| "invalid character in the body, looking for a value".to_owned())?;
        let body = match body {
            Value::Null => return Ok(None),
            Value::Object(body) => body,
            other => {
                let kind = kind(&other);
                return Err(format!(
                    "json: cannot unmarshal {kind} into Go value of type aksk.{goal}"
                ));
            }
        };
        let field = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(format!(
                "json: cannot unmarshal {} into Go struct field {goal}.{name} of type string",
                kind(other)
            )),
        };
        let (project, user) = (field("project_id")?, field("user_id")?);
        if self.generation == Generation::MultiCloud {
            return Ok(Some(Wanted {
                user: session.user.clone(),
                project: session.project.clone(),
            }));
        }
        for (name, value) in [("projectId", &project), ("userId", &user)] {
            if value.trim().is_empty() {
                return Err(format!("{name} is blank, provide a valid {name}"));
            }
        }
        Ok(Some(Wanted { user, project }))
    }

    /// `GET /v1/{project}/aksks/{user}`, and the same with `/download`.
    async fn read(self: Arc<Self>, session: Session, user: String, download: bool) -> SimResponse {
        let read = rpc::call(self.deadline, || {
            service::read(Arc::clone(&self), session.token.clone(), user.clone())
        });
        let rows = match read.await {
            Ok(rows) => self.distort(rows),
            Err(broken) => return failed(&broken),
        };
        for row in rows.iter().flatten() {
            self.ledger.told(&row.blob.access_key);
            self.ledger.secret(&row.blob.secret_key);
        }
        let mut answer = entity(&rows);
        if download {
            let attachment = HeaderValue::from_static("attachment");
            let headers = answer.headers_mut();
            headers.insert(header::CONTENT_DISPOSITION, attachment);
        }
        answer
    }

    fn distort(&self, rows: Option<Vec<Row>>) -> Option<Vec<Row>> {
        let mut rows = rows?;
        match self.lie() {
            Some(Lie::Hidden) => return None,
            Some(Lie::OtherUser) => {
                let stranger = Uuid::new_v4().simple().to_string();
                rows.iter_mut()
                    .for_each(|row| row.user_id.clone_from(&stranger));
            }
            Some(Lie::OtherSecret) => {
                for Pair { secret_key, .. } in rows.iter_mut().map(|row| &mut row.blob) {
                    *secret_key = Uuid::new_v4().simple().to_string();
                }
            }
            _ => {}
        }
        Some(rows)
    }

    /// `DELETE /v1/{project}/aksks/{user}`: all credentials of the user that the token may delete. `200 {}` also when
    /// there was none, and when none could be deleted.
    async fn delete(self: Arc<Self>, session: Session, user: String) -> SimResponse {
        let place = self.ledger.deletion(&user);
        let deleted = rpc::call(self.deadline, || {
            service::delete(
                Arc::clone(&self),
                session.token.clone(),
                user.clone(),
                place,
            )
        });
        match deleted.await {
            Ok(()) => entity(&json!({})),
            Err(broken) => failed(&broken),
        }
    }

    fn lie(&self) -> Option<Lie> {
        self.settings.lock().unwrap().lies.last().copied()
    }
}

/// go-micro's error, as the text that it is: 500, whatever code stands in it.
fn failed(broken: &MicroError) -> SimResponse {
    error(StatusCode::INTERNAL_SERVER_ERROR, broken.text())
}
