//! One pass over one provider: is everything there that it needs, and does its login work? What it
//! comes to is what requests find at its link.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, ResourceExt,
    api::ListParams,
    core::{DeserializeGuard, ObjectMeta, PartialObjectMeta},
};
use serde_json::json;

use super::{
    context::Context,
    error::brief,
    key::ProviderKey,
    link::{Declared, Link, Usability, refused_login},
    reach::{Reached, insecure, reach},
    record::{patch_metadata, patch_status, tell_about},
    refused,
    watch::wake_requests,
};
use crate::{
    api::{
        self, ClusterCredentialProvider, CredentialProvider, CredentialRequest, IN_USE_FINALIZER,
        ProviderStatus, REVOKE_FINALIZER, Reason, provider::LoginRecord,
    },
    clock,
    plan::{
        NotReady,
        provider::{self, Hold, ProviderDecision, SeenProvider, plan, report},
        report::{Note, shortened},
        schedule,
    },
    providers::{Connection, System},
};

/// How long a changed number of requests may be old in a provider's status.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// When a copy that may not act looks again: it ends by then, or the Lease has been renewed after all.
const AGAIN: Duration = Duration::from_secs(1);

/// Makes a pass over a provider.
pub async fn reconcile(context: &Arc<Context>, key: &ProviderKey) -> Option<Duration> {
    let link = context.links.get(key)?;
    match pass(context, key, &link).await {
        Ok(action) => action,
        Err(kube::Error::Api(status)) if status.code == 409 => Some(Duration::from_millis(250)),
        Err(error) => {
            let error = brief(&error);
            tracing::warn!(provider = %key, error, "a pass over a provider could not be finished");
            Some(Duration::from_secs(2))
        }
    }
}

async fn pass(
    context: &Arc<Context>,
    key: &ProviderKey,
    link: &Arc<Link>,
) -> Result<Option<Duration>, kube::Error> {
    let declared = link.declared();
    let reached = match link.still_usable(&declared) {
        Some(connection) => {
            // Not from the status, which may be forged.
            let spec = declared.spec.as_ref().ok();
            let to = spec.and_then(|spec| System::read(spec).ok());
            Reached {
                endpoint: to.as_ref().map(|(_, to)| to.endpoint.to_string()),
                insecure: to.and_then(|(_, to)| insecure(&to)),
                connection: Ok(connection),
            }
        }
        None => reach(context, key, link, &declared)
            .await
            .inspect_err(|_| link.changed())?,
    };
    let mut seen = SeenProvider {
        name: key.to_string(),
        generation: declared.generation,
        spread: schedule::spread(&declared.uid),
        endpoint: reached.endpoint,
        reach: reached
            .connection
            .as_ref()
            .map(|(_, inputs)| inputs.clone())
            .map_err(Clone::clone),
        login: link.login(),
        insecure: reached.insecure,
        requests: requests(context, key, &declared),
        deleting: declared.deleting,
        held: declared.is_held(),
        wanted_held: link.is_wanted_held() || !context.memory.needing_provider(key).is_empty(),
        additions: link.additions(),
        needed_by: needed_by(context, key),
    };
    let mut decision = plan(&seen, clock::now());
    if let (ProviderDecision::TestLogin, Ok((connection, inputs))) =
        (&decision, &reached.connection)
    {
        let Some(login) = test_login(context, key, link, connection, inputs).await else {
            return Ok(Some(AGAIN));
        };
        seen.login = Some(login);
        decision = plan(&seen, clock::now());
    }
    let usability = match (&decision, reached.connection) {
        (ProviderDecision::Usable, Ok((connection, inputs))) => {
            Some(Usability::Usable { connection, inputs })
        }
        (ProviderDecision::NotUsable(not_ready), _) => {
            Some(without_login(link, &declared, not_ready.clone()))
        }
        _ => None,
    };
    if let Some(usability) = usability
        && link.settle(&declared, usability)
    {
        wake_requests(context, key);
    }
    if !context.leadership.may_act() {
        return Ok(Some(AGAIN));
    }
    let hold = provider::hold(&seen, clock::now());
    if hold != Hold::AsItIs
        && let Some(again) = change_hold(context, key, link, &declared, hold).await?
    {
        return Ok(Some(again));
    }
    seen.additions = link.additions();
    let now = clock::now();
    let next_hold = provider::next_hold(&seen, now);
    tell_not_held(context, key, link, &declared, &seen);
    let new = report(&seen, &decision, &declared.status, now);
    write(context, &declared, &new).await?;
    let next_hold =
        next_hold.map(|at| Duration::try_from(at.duration_since(clock::now())).unwrap_or_default());
    let again = match decision {
        ProviderDecision::NotUsable(not_ready) => not_ready
            .retry_at
            .map(|at| Duration::try_from(at.duration_since(clock::now())).unwrap_or_default()),
        ProviderDecision::Usable => Some(COUNT_EVERY),
        ProviderDecision::TestLogin => Some(Duration::from_secs(1)),
    };
    Ok(again.into_iter().chain(next_hold).min())
}

/// Tells requests and people that the provider is without its finalizer although requests need it,
/// or that it is not so any more.
fn tell_not_held(
    context: &Arc<Context>,
    key: &ProviderKey,
    link: &Link,
    declared: &Declared,
    seen: &SeenProvider,
) {
    let now = clock::now();
    let obstacle = provider::hold_obstacle(seen, now);
    let not_held = obstacle.clone().map(|(reason, message)| NotReady {
        reason,
        message,
        retry_at: provider::next_hold(seen, now),
    });
    if !link.set_not_held(not_held) {
        return;
    }
    wake_requests(context, key);
    if let Some((reason, message)) = obstacle {
        tracing::warn!(provider = %key, %reason, message, "a provider is without its finalizer");
        let note = Note {
            warning: true,
            reason: reason.as_str(),
            action: "Hold",
            note: shortened(&format!("{message}. {}", reason.way_out())),
        };
        tell_about(context, reference(key, declared), note);
    }
}

fn reference(key: &ProviderKey, declared: &Declared) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", api::GROUP, api::VERSION)),
        kind: Some(key.kind.to_string()),
        name: Some(key.name.clone()),
        namespace: key.namespace.clone(),
        uid: Some(declared.uid.clone()),
        ..ObjectReference::default()
    }
}

/// Whose login is lost goes on as long as a session of it lives. One that was refused, or whose owner
/// has taken consent back, does not.
fn without_login(link: &Link, declared: &Declared, not_ready: NotReady) -> Usability {
    match link.last(declared) {
        Some((connection, inputs))
            if not_ready.reason == Reason::LoginSecretNotFound
                && connection.has_living_session() =>
        {
            Usability::Lingering {
                connection,
                inputs,
                not_ready,
            }
        }
        _ => Usability::NotReady(not_ready),
    }
}

/// The requests that need the provider to revoke something; not known before all have been listed.
fn needed_by(context: &Context, key: &ProviderKey) -> Option<Vec<String>> {
    context.memory.is_complete().then(|| {
        let needing = context.memory.needing_provider(key);
        needing.iter().map(ToString::to_string).collect()
    })
}

/// Lets the provider's deletion wait for its requests, or not any more, with one PATCH. `None` when
/// the finalizer could not be added, which is noted: the pass goes on and says so.
async fn change_hold(
    context: &Context,
    key: &ProviderKey,
    link: &Link,
    declared: &Declared,
    hold: Hold,
) -> Result<Option<Duration>, kube::Error> {
    let mut finalizers = declared.finalizers.clone();
    finalizers.retain(|finalizer| finalizer != IN_USE_FINALIZER);
    if hold == Hold::Add {
        finalizers.push(IN_USE_FINALIZER.to_owned());
    } else if still_needed(context, key).await? {
        // By a request that is very new, or that another operator serves.
        return Ok(Some(COUNT_EVERY));
    }
    let body = json!({"metadata": {
        "uid": declared.uid,
        "resourceVersion": declared.resource_version,
        "finalizers": finalizers,
    }});
    let client = context.client.clone();
    let name = &declared.key.name;
    let written = match &declared.key.namespace {
        None => {
            let api = Api::<PartialObjectMeta<ClusterCredentialProvider>>::all(client);
            let written = patch_metadata(&api, name, &body).await;
            written.map(|written| written.map(|object| object.metadata))
        }
        Some(namespace) => {
            let api = Api::<PartialObjectMeta<CredentialProvider>>::namespaced(client, namespace);
            let written = patch_metadata(&api, name, &body).await;
            written.map(|written| written.map(|object| object.metadata))
        }
    };
    if hold == Hold::Add {
        let now = clock::now();
        let is_held = |meta: &ObjectMeta| {
            let mut finalizers = meta.finalizers.iter().flatten();
            finalizers.any(|name| name == IN_USE_FINALIZER)
        };
        match &written {
            Err(error @ kube::Error::Api(status))
                if status.code != 409 || refused::is_by_admission(status) =>
            {
                let answer = refused::answer(error);
                link.note_addition(|additions| additions.failed(Some(answer), now));
                return Ok(None);
            }
            Ok(Some(meta)) if !is_held(meta) => {
                link.note_addition(|additions| additions.failed(None, now));
                return Ok(None);
            }
            Ok(Some(_)) => link.note_addition(|additions| additions.worked(now)),
            Ok(None) | Err(_) => {}
        }
    }
    written?;
    // The watch tells of it, and that makes the next pass.
    Ok(Some(Duration::from_secs(2)))
}

/// Whether a request needs the provider, by a fresh list: letting it go cannot be taken back.
async fn still_needed(context: &Context, key: &ProviderKey) -> Result<bool, kube::Error> {
    let api: Api<DeserializeGuard<CredentialRequest>> = match &key.namespace {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    };
    let requests = api.list(&ListParams::default()).await?;
    Ok(requests.items.iter().any(|request| match &request.0 {
        Ok(request) => {
            let namespace = request.namespace().unwrap_or_default();
            ProviderKey::of(&request.spec.provider_ref, &namespace) == *key
                && request
                    .finalizers()
                    .iter()
                    .any(|name| name == REVOKE_FINALIZER)
        }
        // Of one that cannot be read it is not known which provider it needs.
        Err(unreadable) => {
            let finalizers = unreadable.metadata.finalizers.iter().flatten();
            finalizers.into_iter().any(|name| name == REVOKE_FINALIZER)
        }
    }))
}

/// How many requests use the provider; after a restart what was written last, until all are known.
fn requests(context: &Context, key: &ProviderKey, declared: &Declared) -> i64 {
    if context.memory.is_complete() {
        i64::try_from(context.memory.count_naming_provider(key)).unwrap_or(i64::MAX)
    } else {
        declared.status.requests.unwrap_or_default()
    }
}

async fn test_login(
    context: &Arc<Context>,
    key: &ProviderKey,
    link: &Link,
    connection: &Connection,
    inputs: &str,
) -> Option<LoginRecord> {
    let result = connection.test_login(&link.budget.passerby()).await;
    context.metrics.call(
        &key.to_string(),
        "login",
        result
            .as_ref()
            .map(|_| ())
            .map_err(|failure| failure.reason),
    );
    if !context.leadership.may_act() {
        // It was not made, which says nothing about the login.
        return None;
    }
    let before = link.login().filter(|before| before.inputs == inputs);
    let record = match result {
        Ok(()) => LoginRecord {
            reason: Reason::LoginWorks,
            inputs: inputs.to_owned(),
            time: clock::now(),
            attempts: 0,
            not_before: None,
            message: None,
        },
        Err(failure) => refused_login(&failure, inputs, before.map_or(0, |before| before.attempts)),
    };
    link.set_login(Some(record.clone()));
    Some(record)
}

async fn write(
    context: &Context,
    declared: &Declared,
    new: &ProviderStatus,
) -> Result<(), kube::Error> {
    if *new == declared.status {
        return Ok(());
    }
    let client = context.client.clone();
    let meta = kube::core::ObjectMeta {
        name: Some(declared.key.name.clone()),
        namespace: declared.key.namespace.clone(),
        uid: Some(declared.uid.clone()),
        resource_version: Some(declared.resource_version.clone()),
        ..Default::default()
    };
    let done = match &declared.key.namespace {
        None => {
            status_of::<ClusterCredentialProvider>(&Api::all(client), meta, &declared.status, new)
                .await?
        }
        Some(namespace) => {
            status_of::<CredentialProvider>(
                &Api::namespaced(client, namespace),
                meta,
                &declared.status,
                new,
            )
            .await?
        }
    };
    if let Some((generation, resource_version)) = done
        && generation == Some(declared.generation)
    {
        let written = Declared {
            resource_version,
            status: new.clone(),
            ..declared.clone()
        };
        // So that the watch's echo of it is no news.
        context
            .links
            .declare(written, true, &context.leadership, |_| {});
    }
    Ok(())
}

async fn status_of<K>(
    // Of an object that cannot be read, at least this part can be.
    api: &Api<PartialObjectMeta<K>>,
    meta: kube::core::ObjectMeta,
    old: &ProviderStatus,
    new: &ProviderStatus,
) -> Result<Option<(Option<i64>, String)>, kube::Error>
where
    K: super::watch::ProviderObject,
{
    let written = patch_status(api, &meta, old, new).await?;
    Ok(written.map(|written: PartialObjectMeta<K>| {
        (
            written.metadata.generation,
            written.resource_version().unwrap_or_default(),
        )
    }))
}
