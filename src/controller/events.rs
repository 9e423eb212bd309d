//! Events: they tell people what happened, beside the object that it is about.
//!
//! An event that is repeated is counted in the event that is there. The names of events are made
//! here and not by kube's `Recorder`, whose names are too long for objects with long names (decision
//! 0028). An event that is lost is counted and logged: no condition can tell of it.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use serde_json::json;

use super::{
    error::{brief, is_terminating},
    lock,
};
use crate::{clock, plan::report::Note};

/// Who reports.
const CONTROLLER: &str = "credential-operator";
/// The longest name of an object.
const LONGEST_NAME: usize = 253;
/// How long a repetition is counted in the event that is there, as client-go does.
const REPEATED_WITHIN: Duration = Duration::from_mins(6);
/// How long an event may take to be written.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often lost events are logged at most.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

/// Writes events.
pub struct Events {
    instance: String,
    sent: Mutex<HashMap<String, Sent>>,
    number: AtomicU32,
    complaints: Mutex<Complaints>,
}

/// An event that was written, and may be repeated.
#[derive(Clone)]
struct Sent {
    name: String,
    count: i32,
    last: Instant,
}

/// What the log says of lost events.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    unsaid: u64,
}

impl Default for Events {
    fn default() -> Self {
        Events {
            instance: std::env::var("HOSTNAME").unwrap_or_else(|_| CONTROLLER.to_owned()),
            sent: Mutex::default(),
            number: AtomicU32::new(0),
            complaints: Mutex::default(),
        }
    }
}

impl Events {
    /// Writes an event about an object. Two notes with the same `action` and reason are one event.
    ///
    /// # Errors
    /// How the API server answered, or `no answer`. That was logged already.
    pub async fn publish(
        &self,
        client: Client,
        about: &ObjectReference,
        note: Note,
        action: String,
    ) -> Result<(), String> {
        let reason = note.reason;
        let sent = tokio::time::timeout(DEADLINE, self.send(client, about, note, action)).await;
        let outcome = match &sent {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(kube::Error::Api(status))) => status.code.to_string(),
            Ok(Err(_)) | Err(_) => "no answer".to_owned(),
        };
        let words = match &sent {
            Ok(Err(error)) => brief(error),
            _ => "the API server did not answer in time".to_owned(),
        };
        if matches!(&sent, Ok(Err(kube::Error::Api(status))) if is_terminating(status)) {
            // The API server takes no events there, and the object goes as well.
            tracing::debug!(
                namespace = about.namespace,
                "an event in a namespace that is going"
            );
        } else if let Some(unsaid) = lock(&self.complaints).complain(clock::monotonic()) {
            tracing::warn!(
                kind = about.kind,
                namespace = about.namespace,
                name = about.name,
                reason,
                unsaid,
                error = words,
                "an event could not be written; `unsaid` more were lost since this was last said"
            );
        }
        Err(outcome)
    }

    async fn send(
        &self,
        client: Client,
        about: &ObjectReference,
        note: Note,
        action: String,
    ) -> Result<(), kube::Error> {
        let namespace = about.namespace.as_deref().unwrap_or("default");
        let api: Api<Event> = Api::namespaced(client, namespace);
        let key = format!(
            "{:?}/{namespace}/{:?}/{:?}/{}/{action}/{}",
            about.kind, about.name, about.uid, note.reason, note.warning
        );
        if let Some(before) = self.repeated(&key)
            && repeat(&api, &before).await?
        {
            self.remember(key, before.name, before.count + 1);
            return Ok(());
        }
        let now = clock::now();
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let name = name(about.name.as_deref().unwrap_or(CONTROLLER), now, number);
        let event = Event {
            metadata: ObjectMeta {
                namespace: Some(namespace.to_owned()),
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            action: Some(action),
            event_time: Some(MicroTime(now)),
            note: Some(note.note),
            reason: Some(note.reason.to_owned()),
            regarding: Some(about.clone()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            ..Event::default()
        };
        api.create(&PostParams::default(), &event).await?;
        self.remember(key, name, 1);
        Ok(())
    }

    /// The event that this one repeats.
    fn repeated(&self, key: &str) -> Option<Sent> {
        let now = clock::monotonic();
        let mut sent = lock(&self.sent);
        sent.retain(|_, sent| now.saturating_duration_since(sent.last) < REPEATED_WITHIN);
        sent.get(key).cloned()
    }

    fn remember(&self, key: String, name: String, count: i32) {
        let last = clock::monotonic();
        lock(&self.sent).insert(key, Sent { name, count, last });
    }
}

/// Counts one more in an event that is there; says no where it is gone, since somebody has deleted
/// it, or an older state of the cluster was restored.
async fn repeat(api: &Api<Event>, before: &Sent) -> Result<bool, kube::Error> {
    let series = EventSeries {
        count: before.count + 1,
        last_observed_time: MicroTime(clock::now()),
    };
    let patch = Patch::Merge(json!({ "series": series }));
    let patched = api
        .patch(&before.name, &PatchParams::default(), &patch)
        .await;
    match patched {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// The name of an event: that of the object, as far as there is room, and a number that no other
/// event of this copy has.
fn name(about: &str, now: Timestamp, number: u32) -> String {
    let number = now.as_nanosecond() + i128::from(number % 1_000_000);
    let number = format!(".{number:x}");
    let mut end = about.len().min(LONGEST_NAME.saturating_sub(number.len()));
    while !about.is_char_boundary(end) {
        end -= 1;
    }
    // A part of a name ends with a letter or digit.
    let about = about[..end].trim_end_matches(|char: char| !char.is_ascii_alphanumeric());
    format!("{about}{number}")
}

impl Complaints {
    /// Whether to say that an event was lost, and how many were not spoken of since the last time.
    fn complain(&mut self, now: Instant) -> Option<u64> {
        let recently = |last: Instant| now.saturating_duration_since(last) < COMPLAIN_EVERY;
        if self.last.is_some_and(recently) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_event_is_one_that_the_api_server_takes() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let later: Timestamp = "2200-01-01T00:00:00Z".parse().unwrap();
        for (what, about) in [
            ("short", "s3".to_owned()),
            ("the longest", "a".repeat(253)),
            ("the longest of all that fit", "a".repeat(236)),
            (
                "cut at a dot",
                format!("{}.{}", "a".repeat(235), "b".repeat(17)),
            ),
            (
                "cut at hyphens",
                format!("{}--.-{}", "a".repeat(232), "b".repeat(17)),
            ),
        ] {
            for now in [now, later] {
                let name = name(&about, now, 7);
                assert!(name.len() <= LONGEST_NAME, "{what}: {name}");
                let mut parts = name.split('.');
                let plain = |char: char| char.is_ascii_alphanumeric();
                assert!(
                    parts.all(|part| part.starts_with(plain) && part.ends_with(plain)),
                    "{what}: {name}"
                );
                assert!(name.starts_with(&about[..about.len().min(232)]), "{what}");
            }
        }
        assert_ne!(name("s3", now, 1), name("s3", now, 2), "in one millisecond");
    }

    #[test]
    fn lost_events_are_logged_once_a_minute_with_their_number() {
        let begin = clock::monotonic();
        let mut complaints = Complaints::default();
        for (second, expected) in [
            (0, Some(0)),
            (1, None),
            (59, None),
            (60, Some(2)),
            (61, None),
            (200, Some(1)),
            (400, Some(0)),
        ] {
            let now = begin + Duration::from_secs(second);
            assert_eq!(complaints.complain(now), expected, "at {second}");
        }
    }
}
