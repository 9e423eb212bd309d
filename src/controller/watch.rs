//! What the operator watches, and whom each change concerns.
//!
//! Secrets are watched as metadata only and without a store: an event that concerns no request and
//! no provider is dropped, so other people's Secrets cost no memory.

use std::{collections::BTreeSet, sync::Arc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Resource, ResourceExt,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::watcher::{self, Event},
};
use serde::de::DeserializeOwned;

use super::{
    apiserver::WatchClient,
    context::Context,
    key::{ProviderKey, RequestKey, SecretKey},
    link::Declared,
    memory::Heard,
    namespaces, orphans, parting,
};
use crate::api::{
    ClusterCredentialProvider, CredentialProvider, CredentialRequest, ProviderSpec, ProviderStatus,
    REVOKE_FINALIZER, reference::ProviderKind, validate,
};

/// A change of a request. Says whether a pass is due.
pub fn request_changed(context: &Context, request: &DeserializeGuard<CredentialRequest>) -> bool {
    let Some(key) = request_key(request.meta()) else {
        return false;
    };
    let Ok(request) = &request.0 else { return true };
    if let Some(uid) = request.uid() {
        context.orphans.is_there(&uid);
    }
    let secret = SecretKey {
        namespace: key.namespace.clone(),
        name: validate::target_name(&request.spec, &key.name),
    };
    let provider = ProviderKey::of(&request.spec.provider_ref, &key.namespace);
    context.memory.index(&key, secret, provider.clone());
    let needs = request
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == REVOKE_FINALIZER);
    if context.memory.needs(&key, needs) {
        wake_waiting_provider(context, &provider);
        wake_unheld_provider(context, &provider);
    }
    // What the operator has written itself is no news.
    let own = context.memory.with_known(&key, |remembered| {
        let own = request
            .resource_version()
            .is_some_and(|version| version == remembered.written_version);
        if own {
            remembered.written = None;
        }
        own
    });
    own != Some(true)
}

/// A request is gone.
pub fn request_gone(context: &Arc<Context>, request: &DeserializeGuard<CredentialRequest>) {
    let Some(key) = request_key(request.meta()) else {
        return;
    };
    request_missed(context, request);
    forget_request(context, &key);
}

/// A request is gone, and another one may be there under the same name: has revoked what it leaves.
pub fn request_missed(context: &Arc<Context>, request: &DeserializeGuard<CredentialRequest>) {
    if let (Some(key), Ok(request)) = (request_key(request.meta()), &request.0) {
        parting::part(context, &key, request);
        orphans::request_gone(context, &key, request);
    }
}

/// A provider that waits with its deletion has to look whether it still has to.
fn wake_waiting_provider(context: &Context, provider: &ProviderKey) {
    let link = context.links.get(provider);
    if link.is_some_and(|link| link.declared().deleting) {
        context.wakes.provider(provider);
    }
}

/// A provider that a request needs and that has lost its finalizer gets it back.
fn wake_unheld_provider(context: &Context, provider: &ProviderKey) {
    let link = context.links.get(provider);
    let is_held = |link: Arc<super::link::Link>| link.declared().is_held();
    if link.is_some_and(|link| !is_held(link)) {
        context.wakes.provider(provider);
    }
}

/// Forgets a request that is gone, also in the queue of its provider.
pub fn forget_request(context: &Context, key: &RequestKey) {
    if let Some(provider) = context.memory.forget(key)
        && let Some(link) = context.links.get(&provider)
    {
        link.budget.leave(key);
        wake_waiting_provider(context, &provider);
    }
}

/// The key of a request.
pub fn request_key(meta: &kube::core::ObjectMeta) -> Option<RequestKey> {
    Some(RequestKey {
        namespace: meta.namespace.clone()?,
        name: meta.name.clone()?,
    })
}

/// Follows the Secrets of one namespace, or of all, or one by its name.
pub async fn follow_secrets(
    context: Arc<Context>,
    namespace: Option<String>,
    name: Option<String>,
    ready: impl FnOnce() + Send,
) {
    let within = namespace.iter().map(|namespace| format!(" in {namespace}"));
    let named = name.iter().map(|name| format!(" named {name}"));
    let which: String = within.chain(named).collect();
    let watch = context.api_server.watch_client(&format!("secrets{which}"));
    let client = watch.client().clone();
    let api: Api<PartialObjectMeta<Secret>> = match &namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let mut config = watcher::Config::default();
    if let Some(name) = &name {
        config = config.fields(&format!("metadata.name={name}"));
    }
    let mut ready = Some(ready);
    let mut listed = BTreeSet::new();
    let mut stream = std::pin::pin!(watch.events(api, config));
    while let Some(event) = stream.next().await {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(secret) => {
                if let Some(key) = secret_seen(&context, &secret, false) {
                    listed.insert(key);
                }
            }
            Event::InitDone => {
                // A deletion between two lists is seen by nobody else.
                if ready.is_none() {
                    check_unlisted(&context, namespace.as_deref(), name.as_deref(), &listed);
                }
                listed = BTreeSet::new();
                if let Some(ready) = ready.take() {
                    ready();
                }
            }
            Event::Apply(secret) => {
                secret_seen(&context, &secret, false);
            }
            Event::Delete(secret) => {
                secret_seen(&context, &secret, true);
            }
        }
    }
}

/// Tells whom a Secret concerns. Returns its key when it concerns somebody.
fn secret_seen(
    context: &Context,
    secret: &PartialObjectMeta<Secret>,
    gone: bool,
) -> Option<SecretKey> {
    let key = SecretKey {
        namespace: secret.metadata.namespace.clone()?,
        name: secret.metadata.name.clone()?,
    };
    let version = secret
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or(u64::MAX);
    let requests = context.memory.naming_secret(&key);
    for request in &requests {
        if context.memory.heard(request, Heard { version, gone }) {
            context.wakes.request(request);
        }
    }
    let version = secret.resource_version().filter(|_| !gone);
    let providers = context.links.reading(&key, version.as_deref());
    for (provider, _) in providers.iter().filter(|(_, news)| *news) {
        wake_provider(context, provider);
    }
    (!requests.is_empty() || !providers.is_empty()).then_some(key)
}

fn check_unlisted(
    context: &Context,
    namespace: Option<&str>,
    name: Option<&str>,
    listed: &BTreeSet<SecretKey>,
) {
    for key in context.memory.named_secrets(namespace) {
        if name.is_some() || listed.contains(&key) {
            continue;
        }
        for request in context.memory.naming_secret(&key) {
            context
                .memory
                .with_known(&request, |remembered| remembered.must_look = true);
            context.wakes.request(&request);
        }
    }
    for (provider, _) in context.links.all() {
        wake_provider(context, &provider);
    }
}

/// Has a pass made over a provider, in which it is looked at anew.
fn wake_provider(context: &Context, provider: &ProviderKey) {
    if let Some(link) = context.links.get(provider) {
        link.changed();
    }
    context.wakes.provider(provider);
}

/// Follows the labels of namespaces.
pub async fn follow_namespaces(context: Arc<Context>, ready: impl FnOnce() + Send) {
    let mut ready = Some(ready);
    let mut listed = BTreeSet::new();
    let watch = context.api_server.watch_client("namespaces");
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(watch.client().clone());
    let mut stream = std::pin::pin!(watch.events(api, watcher::Config::default()));
    while let Some(event) = stream.next().await {
        match event {
            Event::InitApply(namespace) | Event::Apply(namespace) => {
                let name = namespace.name_any();
                listed.insert(name.clone());
                let meta = namespace.metadata;
                let seen = namespaces::Namespace {
                    deleting: meta.deletion_timestamp.is_some(),
                    labels: meta.labels.unwrap_or_default(),
                };
                if context.namespaces.set(&name, meta.uid, seen) {
                    for request in context.memory.in_namespace(&name) {
                        context.wakes.request(&request);
                    }
                }
            }
            Event::Delete(namespace) => context.namespaces.remove(&namespace.name_any()),
            Event::Init => listed.clear(),
            Event::InitDone => {
                // Those that were deleted between two lists must not leave their labels to others.
                context.namespaces.retain(&listed);
                if let Some(ready) = ready.take() {
                    ready();
                }
            }
        }
    }
}

/// An object of one of the two provider kinds.
pub trait ProviderObject:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
    /// Which kind.
    const KIND: ProviderKind;
    /// Spec and status.
    fn parts(&self) -> (ProviderSpec, ProviderStatus);
}

impl ProviderObject for ClusterCredentialProvider {
    const KIND: ProviderKind = ProviderKind::ClusterCredentialProvider;

    fn parts(&self) -> (ProviderSpec, ProviderStatus) {
        (
            self.spec.clone().into(),
            self.status.clone().unwrap_or_default(),
        )
    }
}

impl ProviderObject for CredentialProvider {
    const KIND: ProviderKind = ProviderKind::CredentialProvider;

    fn parts(&self) -> (ProviderSpec, ProviderStatus) {
        (
            self.spec.clone().into(),
            self.status.clone().unwrap_or_default(),
        )
    }
}

/// Follows the providers of one kind.
pub async fn follow_providers<K: ProviderObject>(
    context: Arc<Context>,
    watch: WatchClient,
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    ready: impl FnOnce() + Send,
) {
    let mut ready = Some(ready);
    let mut listed = BTreeSet::new();
    let mut known: BTreeSet<ProviderKey> = BTreeSet::new();
    let mut stream = std::pin::pin!(watch.events(api, config));
    while let Some(event) = stream.next().await {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(provider) | Event::Apply(provider) => {
                if let Some(declared) = declared(&provider) {
                    let key = declared.key.clone();
                    listed.insert(key.clone());
                    known.insert(key.clone());
                    provider_seen(&context, declared);
                }
            }
            Event::InitDone => {
                for gone in known.difference(&listed).cloned().collect::<Vec<_>>() {
                    known.remove(&gone);
                    provider_gone(&context, &gone);
                }
                if let Some(ready) = ready.take() {
                    ready();
                }
            }
            Event::Delete(provider) => {
                if let Some(declared) = declared(&provider) {
                    known.remove(&declared.key);
                    provider_gone(&context, &declared.key);
                }
            }
        }
    }
}

fn declared<K: ProviderObject>(provider: &DeserializeGuard<K>) -> Option<Declared> {
    let meta = provider.meta();
    let (spec, status) = match &provider.0 {
        Ok(provider) => {
            let (spec, status) = provider.parts();
            (Ok(spec), status)
        }
        Err(error) => (Err(error.error.clone()), ProviderStatus::default()),
    };
    Some(Declared {
        key: ProviderKey {
            kind: K::KIND,
            namespace: meta.namespace.clone(),
            name: meta.name.clone()?,
        },
        uid: meta.uid.clone()?,
        resource_version: meta.resource_version.clone()?,
        generation: meta.generation.unwrap_or_default(),
        spec,
        status,
        finalizers: meta.finalizers.clone().unwrap_or_default(),
        deleting: meta.deletion_timestamp.is_some(),
    })
}

fn provider_seen(context: &Arc<Context>, declared: Declared) {
    let key = declared.key.clone();
    let before = context.links.get(&key).map(|link| link.declared());
    let wakes = context.wakes.clone();
    let wake = move |request: &RequestKey| wakes.request(request);
    if context
        .links
        .declare(declared.clone(), false, &context.leadership, wake)
    {
        context.wakes.provider(&key);
    }
    // Grants are read from what was declared, without waiting for the pass over the provider.
    if before.is_none_or(|before| {
        before.generation != declared.generation
            || before.uid != declared.uid
            || before.finalizers != declared.finalizers
            || before.deleting != declared.deleting
    }) {
        wake_requests(context, &key);
    }
}

fn provider_gone(context: &Context, key: &ProviderKey) {
    let needing = context.memory.needing_provider(key).len();
    if needing > 0 {
        tracing::warn!(provider = %key, requests = needing, "a provider is gone although requests need it to revoke their credentials");
    }
    context.links.remove(key);
    context.metrics.forget_provider(&key.to_string());
    wake_requests(context, key);
}

/// Has passes made over all requests that name a provider.
pub fn wake_requests(context: &Context, provider: &ProviderKey) {
    for request in context.memory.naming_provider(provider) {
        context.wakes.request(&request);
    }
}
