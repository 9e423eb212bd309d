//! The audit log: exactly which requests each user made. The best oracle for "no needless write".

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::ControlPlane;
use crate::wait::eventually;

/// A view of the audit log, from its start or from a [`Mark`].
#[derive(Clone)]
pub struct Audit<'a> {
    control_plane: &'a ControlPlane,
    log: PathBuf,
    from: Mark,
}

/// A place in the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// One entry of the audit log.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Entry")]
pub struct AuditEvent {
    /// Who: a user name such as `system:serviceaccount:<namespace>:<name>`.
    pub user: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other
    /// paths the HTTP method in lower case.
    pub verb: String,
    /// The resource in plural, without its group; empty for paths that are no resources.
    pub resource: String,
    /// For example `status`.
    pub subresource: Option<String>,
    /// None for cluster-scoped resources.
    pub namespace: Option<String>,
    /// None for collections.
    pub name: Option<String>,
    /// The HTTP status; None before the answer.
    pub code: Option<u16>,
    /// Path and query.
    pub request_uri: String,
    /// `RequestReceived`, `ResponseStarted` (only where the answer is a stream), `ResponseComplete`
    /// or `Panic`.
    pub stage: String,
    /// What the client calls itself; empty if it says nothing.
    pub user_agent: String,
    /// When the stage was reached.
    pub time: jiff::Timestamp,
    /// The same in all stages of one request.
    pub id: String,
}

impl AuditEvent {
    /// Whether the request asks to change something, successful or not.
    #[must_use]
    pub fn is_mutating(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }
}

impl<'a> Audit<'a> {
    pub(super) fn new(control_plane: &'a ControlPlane) -> Self {
        Self {
            control_plane,
            log: control_plane.dir().join("audit.log"),
            from: Mark(0),
        }
    }

    /// The present end of the log. A request that is under way at this moment counts as later;
    /// [`settle`](Self::settle) first where that matters.
    ///
    /// # Errors
    /// When there is no log.
    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark(self.open()?.metadata()?.len()))
    }

    /// A view of what came after `mark`.
    #[must_use]
    pub fn since(&self, mark: Mark) -> Self {
        Self {
            from: mark,
            ..self.clone()
        }
    }

    /// The requests of `user` that have been answered, in the order of their answers, without
    /// watches.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn events(&self, user: &str) -> Result<Vec<AuditEvent>> {
        let mut events = self.all()?;
        events.retain(|event| {
            event.user == user && event.stage == "ResponseComplete" && event.verb != "watch"
        });
        Ok(events)
    }

    /// Those of [`events`](Self::events) that ask to change something.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn mutating(&self, user: &str) -> Result<Vec<AuditEvent>> {
        let mut events = self.events(user)?;
        events.retain(AuditEvent::is_mutating);
        Ok(events)
    }

    /// The watches that `user` has begun, whether or not they have ended.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn watches(&self, user: &str) -> Result<Vec<AuditEvent>> {
        let mut events = self.all()?;
        events.retain(|event| {
            event.user == user && event.stage == "ResponseStarted" && event.verb == "watch"
        });
        Ok(events)
    }

    /// Every entry of every user: several for each request.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn all(&self) -> Result<Vec<AuditEvent>> {
        self.tail()?.read()
    }

    /// Waits until the log is complete for everything that `user` has requested before this call:
    /// until each such request except streams has its answer in the log.
    ///
    /// A request is logged when it comes in, before it is served, so one of our own tells from
    /// where on nothing older can appear.
    ///
    /// # Errors
    /// When `deadline` passes before, for example because a request hangs.
    pub async fn settle(&self, user: &str, deadline: Duration) -> Result<()> {
        let mut tail = self.tail()?;
        let marker = uuid::Uuid::new_v4().to_string();
        let request = http::Request::get(format!("/version?settle={marker}")).body(Vec::new())?;
        self.control_plane
            .admin_client()
            .await
            .request_text(request)
            .await?;

        let mut marked = false;
        let mut open = HashSet::new();
        eventually(deadline, || {
            let news = tail.read();
            let look = news.and_then(|events| {
                for event in events {
                    if event.stage != "RequestReceived" {
                        open.remove(&event.id);
                    } else if event.request_uri.contains(&marker) {
                        marked = true;
                    } else if !marked && event.user == user {
                        open.insert(event.id);
                    }
                }
                ensure!(marked, "the marker is not in the audit log yet");
                ensure!(
                    open.is_empty(),
                    "{} requests of {user} are not answered yet",
                    open.len()
                );
                Ok(())
            });
            std::future::ready(look)
        })
        .await
    }

    fn tail(&self) -> Result<Tail> {
        let mut file = self.open()?;
        file.seek(SeekFrom::Start(self.from.0))?;
        Ok(Tail {
            file,
            rest: Vec::new(),
        })
    }

    fn open(&self) -> Result<File> {
        File::open(&self.log).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                anyhow::anyhow!("this control plane was started without an audit log")
            }
            _ => error.into(),
        })
    }
}

/// Reads a log that is still being written, each line once and whole.
struct Tail {
    file: File,
    /// The beginning of a line whose end was not there yet.
    rest: Vec<u8>,
}

impl Tail {
    fn read(&mut self) -> Result<Vec<AuditEvent>> {
        let mut text = std::mem::take(&mut self.rest);
        self.file.read_to_end(&mut text)?;
        let end = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        self.rest = text.split_off(end);
        let lines = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).context("an entry of the audit log"))
            .collect()
    }
}

/// An entry as the API server writes it (`audit.k8s.io/v1`, Event).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: ObjectRef,
    response_status: Option<ResponseStatus>,
    stage_timestamp: jiff::Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct ResponseStatus {
    code: Option<u16>,
}

impl From<Entry> for AuditEvent {
    fn from(entry: Entry) -> Self {
        Self {
            user: entry.user.username,
            verb: entry.verb,
            resource: entry.object_ref.resource,
            subresource: entry.object_ref.subresource,
            namespace: entry.object_ref.namespace,
            name: entry.object_ref.name,
            code: entry.response_status.and_then(|status| status.code),
            request_uri: entry.request_uri,
            stage: entry.stage,
            user_agent: entry.user_agent,
            time: entry.stage_timestamp,
            id: entry.audit_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const LINE: &str = concat!(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","#,
        r#""stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/secrets/s/status","#,
        r#""verb":"patch","user":{"username":"u"},"userAgent":"agent","objectRef":{"#,
        r#""resource":"secrets","namespace":"a","name":"s","subresource":"status"},"#,
        r#""responseStatus":{"code":409},"#,
        r#""requestReceivedTimestamp":"2026-01-01T00:00:00.000001Z","#,
        r#""stageTimestamp":"2026-01-01T00:00:00.000002Z"}"#,
    );

    #[test]
    fn an_entry_becomes_an_event() {
        let event: AuditEvent = serde_json::from_str(LINE).unwrap();
        assert_eq!(
            (
                event.user.as_str(),
                event.verb.as_str(),
                event.resource.as_str()
            ),
            ("u", "patch", "secrets")
        );
        assert_eq!(
            (event.subresource.as_deref(), event.name.as_deref()),
            (Some("status"), Some("s"))
        );
        assert_eq!(
            (event.code, event.user_agent.as_str()),
            (Some(409), "agent")
        );
        assert!(event.is_mutating());
    }

    #[test]
    fn a_line_that_is_not_finished_is_read_when_it_is() {
        let mut written = tempfile::NamedTempFile::new().unwrap();
        let file = File::open(written.path()).unwrap();
        let mut tail = Tail {
            file,
            rest: Vec::new(),
        };
        let (first, second) = LINE.split_at(40);

        write!(written, "{LINE}\n{first}").unwrap();
        assert_eq!(tail.read().unwrap().len(), 1);
        assert_eq!(tail.read().unwrap().len(), 0);
        writeln!(written, "{second}").unwrap();
        assert_eq!(tail.read().unwrap().len(), 1);
    }
}
