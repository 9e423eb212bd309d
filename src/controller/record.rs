//! Record: write the status once, and only when it has changed; tell people in events.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::{DeserializeGuard, DynamicObject, ObjectMeta, error_boundary::InvalidObject},
    runtime::controller::Action,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    context::Context,
    error::{self, PassError},
    finalizer,
    key::RequestKey,
    observe::Pass,
};
use crate::{
    api::{
        CredentialRequest, CredentialRequestStatus, FIELD_MANAGER, Reason, condition,
        request::RegenerationRecord,
    },
    clock,
    plan::{Decision, backoff, conditions, ledger, regeneration, report, schedule},
};

/// Writes down where a pass came to, by what was decided `now`.
///
/// # Errors
/// Those of the API server. A request that is gone is none.
pub async fn record(pass: &mut Pass, decision: &Decision, now: Timestamp) -> Result<(), PassError> {
    let old = pass.request.status.clone().unwrap_or_default();
    let report = report::report(&pass.seen, decision, &old, now);
    let Some(report) = report else {
        pass.remember();
        return Ok(());
    };
    pass.seen
        .recorded
        .failure
        .clone_from(&report.status.failure);
    let revoke = &report.status.revocation_failure;
    pass.seen.recorded.revocation_failure.clone_from(revoke);
    pass.seen
        .recorded
        .write_failure
        .clone_from(&report.status.write_failure);
    pass.remember();
    if report.status != old {
        if !pass.context.leadership.may_act() {
            return Err(PassError::NotLeading);
        }
        let written = write(&pass.context, &pass.key, &pass.request, &report.status).await;
        if let Err(error) = written {
            // Nothing says that the API server refuses this Secret where it refuses the status as
            // well, so the Secret is tried again when the API server is there.
            pass.context.memory.with(&pass.key, |remembered| {
                if let Some(failures) = &mut remembered.failures {
                    failures.write.clone_from(&old.write_failure);
                }
            });
            return Err(error);
        }
    }
    // What is settled and written down need not be remembered.
    let alive: Vec<u64> = report
        .status
        .credentials
        .iter()
        .map(|record| record.serial)
        .collect();
    pass.context.memory.with(&pass.key, |remembered| {
        // While a request goes, what is settled tells where to look no more.
        remembered
            .revocations
            .retain(|serial, _| alive.contains(serial) || pass.seen.request.deleting.is_some());
        remembered.leftovers.retain(|serial| {
            pass.seen.leftovers.contains(serial) && !ledger::is_settled(&pass.seen, *serial)
        });
    });
    for note in report.events {
        if note.is_notice() {
            tracing::warn!(request = %pass.key, provider = %pass.provider, notice = %note.note, "more will be destroyed than is the request's own");
        }
        if note.is_notice() && pass.seen.request.namespace_deleting {
            // The API server takes no further events in a namespace that is going.
            finalizer::tell_beside_provider(pass, &note);
        }
        tell(&pass.context, pass.request.as_ref(), note);
    }
    Ok(())
}

/// Writes down that the provider is about to be told to make a key anew. It is not before that is written,
/// and by nobody else: the request must not have changed since it was read.
///
/// # Errors
/// Those of the API server.
pub async fn announce(pass: &mut Pass) -> Result<(), PassError> {
    let Some(value) = pass.seen.request.rotate.clone() else {
        return Ok(());
    };
    let record = RegenerationRecord {
        value,
        announced_at: clock::now(),
        reason: None,
        message: None,
    };
    let mut status = pass.request.status.clone().unwrap_or_default();
    status.used_rotations =
        regeneration::with_used(std::mem::take(&mut status.used_rotations), &record.value);
    // Written anew it is a change in any case, so that a request which has changed since is noticed.
    let again = status
        .regeneration
        .replace(record.clone())
        .is_some_and(|before| before.value == record.value);
    let written = write(&pass.context, &pass.key, &pass.request, &status).await?;
    // Where it is gone, nobody wants a new key.
    pass.request = written.ok_or(PassError::Conflict)?;
    pass.seen.announce(record);
    pass.remember();
    if again {
        return Ok(());
    }
    let note = report::Note {
        warning: false,
        reason: "Regenerating",
        action: "Regenerate",
        note: "the annotation credential-operator.dev/rotate has a new value: the provider is told to make a new key, once; the \
               one before stops to work for everybody who has it"
            .to_owned(),
    };
    tell(&pass.context, pass.request.as_ref(), note);
    Ok(())
}

async fn write(
    context: &Context,
    key: &RequestKey,
    request: &CredentialRequest,
    status: &CredentialRequestStatus,
) -> Result<Option<Arc<CredentialRequest>>, PassError> {
    let api: Api<CredentialRequest> = Api::namespaced(context.client.clone(), &key.namespace);
    let old = request.status.clone().unwrap_or_default();
    let written = patch_status(&api, &request.metadata, &old, status).await?;
    let written = written.map(Arc::new);
    if let Some(written) = &written {
        context.memory.with(key, |remembered| {
            remembered.written_version = written.resource_version().unwrap_or_default();
            remembered.written = Some(Arc::clone(written));
        });
    }
    Ok(written)
}

/// Patches the status of an object that has not changed since it was read. `None` when it is gone.
///
/// # Errors
/// Those of the API server; `409` when the object has changed.
pub async fn patch_status<K, S>(
    api: &Api<K>,
    object: &ObjectMeta,
    old: &S,
    new: &S,
) -> Result<Option<K>, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    S: Serialize,
{
    let body = json!({
        "metadata": {"resourceVersion": object.resource_version, "uid": object.uid},
        "status": difference(
            &serde_json::to_value(old).map_err(kube::Error::SerdeError)?,
            &serde_json::to_value(new).map_err(kube::Error::SerdeError)?,
        ),
    });
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_status(
            object.name.as_deref().unwrap_or_default(),
            &params,
            &Patch::Merge(&body),
        )
        .await
    {
        Ok(written) => Ok(Some(written)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Patches the metadata of an object, with what is in the patch as precondition. `None` when it is
/// gone.
///
/// # Errors
/// Those of the API server; `409` when the object has changed.
pub async fn patch_metadata<K>(
    api: &Api<K>,
    name: &str,
    body: &Value,
) -> Result<Option<K>, kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch(name, &params, &Patch::Merge(body)).await {
        Ok(written) => Ok(Some(written)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// The merge patch (RFC 7386) that leads from one value to another.
fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) => drop(patch.insert(key.clone(), difference(before, value))),
            None => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

/// Sends an event, without waiting for it.
pub fn tell<K: Resource<DynamicType = ()>>(context: &Arc<Context>, about: &K, note: report::Note) {
    tell_about(context, about.object_ref(&()), note);
}

/// Sends an event about an object that need not be at hand, without waiting for it.
pub fn tell_about(context: &Arc<Context>, reference: ObjectReference, note: report::Note) {
    let context = Arc::clone(context);
    // Events that differ in their words alone are counted as one, which keeps the first one's.
    let action = if note.is_notice() {
        let digest = Sha256::digest(&note.note);
        let hex = digest.iter().take(4).map(|byte| format!("{byte:02x}"));
        format!("{}-{}", note.action, hex.collect::<String>())
    } else {
        note.action.to_owned()
    };
    tokio::spawn(async move {
        let client = context.client.clone();
        let sent = context.events.publish(client, &reference, note, action);
        if let Err(outcome) = sent.await {
            context.metrics.lost_event(&outcome);
        }
    });
}

/// What becomes of a request whose pass panicked: it says so, and is tried again ever more rarely.
pub async fn panicked(
    context: &Arc<Context>,
    key: &RequestKey,
    request: &DeserializeGuard<CredentialRequest>,
) -> Action {
    let Ok(request) = &request.0 else {
        return Action::requeue(Duration::from_secs(300));
    };
    context.metrics.failure(Reason::InternalError);
    let mut status = context
        .memory
        .with(key, |remembered| {
            remembered
                .written
                .as_ref()
                .and_then(|written| written.status.clone())
        })
        .or_else(|| request.status.clone())
        .unwrap_or_default();
    let old = request.status.clone().unwrap_or_default();
    let failure = error::defect();
    let now = clock::now();
    let attempts = status
        .failure
        .as_ref()
        .filter(|before| before.reason == failure.reason)
        .map_or(0, |before| before.attempts)
        + 1;
    let record = crate::api::request::FailureRecord {
        reason: failure.reason,
        attempts,
        last_attempt_time: now,
        not_before: None,
        inputs: String::new(),
        message: failure.message,
    };
    let delay = backoff::delay(
        &record,
        schedule::spread(&request.uid().unwrap_or_default()),
        None,
    );
    let delay = delay
        .and_then(|delay| Duration::try_from(delay).ok())
        .unwrap_or(Duration::from_secs(60));
    // Before the write: the watch may tell of it before it is answered, which looks like a change
    // that somebody else has made.
    context.memory.with(key, |remembered| {
        remembered.resting = Some((version(request), clock::monotonic() + delay));
    });
    let generation = request.metadata.generation.unwrap_or_default();
    let works = old
        .conditions
        .iter()
        .any(|condition| condition.type_ == condition::READY && condition.status == "True")
        && old.expires_at.is_none_or(|at| at > now);
    let verdict = |on: bool| {
        if on {
            (true, record.reason, record.message.as_str())
        } else {
            (false, Reason::Nominal, "")
        }
    };
    let mut conditions: Vec<Condition> = [
        (condition::RECONCILING, verdict(!works)),
        (condition::STALLED, verdict(false)),
        (condition::RENEWAL_FAILING, verdict(works)),
    ]
    .map(|(type_, verdict)| conditions::condition(&old.conditions, type_, verdict, generation, now))
    .into();
    if !works {
        let ready = (false, record.reason, record.message.as_str());
        conditions.push(conditions::condition(
            &old.conditions,
            condition::READY,
            ready,
            generation,
            now,
        ));
    } else {
        conditions.extend(
            old.conditions
                .iter()
                .filter(|condition| condition.type_ == condition::READY)
                .cloned(),
        );
    }
    status.conditions = conditions;
    status.observed_generation = Some(generation);
    status.failure = Some(record);
    if let Err(error) = write(context, key, request, &status).await {
        tracing::warn!(request = %key, %error, "a panic could not be written down");
    }
    Action::requeue(delay)
}

/// How long a request is still left alone after a panic; not at all once somebody has changed it.
pub fn rest_after_panic(
    context: &Context,
    key: &RequestKey,
    request: &DeserializeGuard<CredentialRequest>,
) -> Option<Duration> {
    let version = version(request.0.as_ref().ok()?);
    let resting = context
        .memory
        .with_known(key, |remembered| remembered.resting.clone())??;
    let left = resting.1.saturating_duration_since(clock::monotonic());
    (resting.0 == version && !left.is_zero()).then_some(left)
}

fn version(request: &CredentialRequest) -> String {
    format!(
        "{:?}/{:?}",
        request.metadata.uid, request.metadata.generation
    )
}

/// What becomes of a stored object that cannot be read: it says so, once.
pub async fn undecodable(context: &Arc<Context>, object: &InvalidObject) -> Action {
    let result = say_undecodable(context, object).await;
    if let Err(error) = result {
        tracing::warn!(name = ?object.metadata.name, %error, "an object that cannot be read could not be told so");
    }
    Action::requeue(Duration::from_secs(3600))
}

async fn say_undecodable(
    context: &Arc<Context>,
    object: &InvalidObject,
) -> Result<(), kube::Error> {
    let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name) else {
        return Ok(());
    };
    let resource = kube::core::ApiResource::erase::<CredentialRequest>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), namespace, &resource);
    let Some(live) = api.get_opt(name).await? else {
        return Ok(());
    };
    let generation = live.metadata.generation.unwrap_or_default();
    let old: Vec<Condition> = live
        .data
        .pointer("/status/conditions")
        .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
        .unwrap_or_default();
    // The error names the field and what kind of value it holds.
    let words: String = object.error.chars().take(300).collect();
    let message = format!("this version of the operator cannot read the object: {words}");
    let now = clock::now();
    let mut new: Vec<Condition> = [(condition::READY, false), (condition::STALLED, true)]
        .map(|(type_, on)| {
            conditions::condition(
                &old,
                type_,
                (on, Reason::Undecodable, &message),
                generation,
                now,
            )
        })
        .into();
    new.extend(
        old.iter()
            .filter(|condition| new.iter().all(|known| known.type_ != condition.type_))
            .cloned()
            .collect::<Vec<_>>(),
    );
    let same = new.iter().all(|condition| old.contains(condition));
    if same {
        return Ok(());
    }
    tracing::warn!(%namespace, %name, "an object cannot be read");
    let body = json!({"status": {"conditions": new, "observedGeneration": generation}});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch_status(name, &params, &Patch::Merge(&body))
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_leads_from_old_to_new_and_is_empty_for_equals() {
        let old = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]});
        let new = json!({"a": 1, "b": {"c": 5}, "e": [1], "f": "x"});
        assert_eq!(
            difference(&old, &new),
            json!({"b": {"c": 5, "d": null}, "e": [1], "f": "x"})
        );
        assert_eq!(difference(&old, &old), json!({}));
    }
}
