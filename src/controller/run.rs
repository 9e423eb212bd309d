//! The wiring: watches lead to passes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Client,
    core::DeserializeGuard,
    runtime::{
        Config, WatchStreamExt, applier,
        controller::ReconcileRequest,
        reflector::{self, ObjectRef, Store},
        watcher::{self, Event},
    },
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    apiserver::{ApiServer, WatchClient},
    context::{Context, Settings, Wakes},
    key::{ProviderKey, RequestKey, SecretKey},
    leader::{self, Leadership},
    link::Links,
    memory::Memory,
    namespaces::Namespaces,
    provider_pass, reconcile, watch,
};
use crate::{
    api::{ClusterCredentialProvider, CredentialProvider, CredentialRequest},
    metrics::Metrics,
    server::{Phase, Readiness},
};

/// How long passes under way may take to end. Giving the Lease back comes after that.
const PASSES_END_WITHIN: Duration = Duration::from_secs(7);

/// A guarded request, as the watch delivers it.
type Guarded = DeserializeGuard<CredentialRequest>;

/// The operator, ready to run.
pub struct Operator {
    context: Arc<Context>,
    readiness: Readiness,
    requests: mpsc::UnboundedReceiver<RequestKey>,
    providers: mpsc::UnboundedReceiver<ProviderKey>,
    secrets: mpsc::UnboundedReceiver<SecretKey>,
}

impl Operator {
    /// An operator that has not begun yet.
    pub fn new(api_server: ApiServer, settings: Settings, readiness: Readiness) -> Self {
        let client = api_server.client();
        let (request_wakes, requests) = mpsc::unbounded_channel();
        let (provider_wakes, providers) = mpsc::unbounded_channel();
        let (secret_wakes, secrets) = mpsc::unbounded_channel();
        let context = Context {
            events: super::events::Events::default(),
            client,
            api_server,
            slots: Arc::new(tokio::sync::Semaphore::new(settings.concurrency)),
            leadership: Leadership::new(settings.lease.as_ref()),
            settings,
            memory: Memory::default(),
            orphans: Arc::default(),
            links: Links::default(),
            namespaces: Namespaces::default(),
            metrics: Metrics::default(),
            wakes: Wakes {
                requests: request_wakes,
                providers: provider_wakes,
                secrets: secret_wakes,
            },
        };
        Operator {
            context: Arc::new(context),
            readiness,
            requests,
            providers,
            secrets,
        }
    }

    /// What all passes share.
    pub fn context(&self) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    /// Waits until this copy is the one that acts, and then runs until told to stop; then lets passes
    /// under way end.
    ///
    /// # Errors
    /// When something that has to go on has ended by itself: better no operator, which is started
    /// anew, than one that looks alive and does nothing. When another copy has become the one that
    /// acts.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let server = &self.context.api_server;
        let look_after = server
            .health()
            .clone()
            .look_after(server.clone(), self.context.settings.pass_deadline);
        let _look_after = AbortOnDropHandle::new(tokio::spawn(look_after));
        let Some(lease) = self.context.settings.lease.clone() else {
            return self.act(stop).await;
        };
        let context = Arc::clone(&self.context);
        let readiness = self.readiness.clone();
        let held = leader::acquire(
            &context.api_server,
            &lease,
            &context.leadership,
            move || readiness.enter(Phase::StandingBy),
            &stop,
        )
        .await?;
        let Some(mut held) = held else {
            return Ok(());
        };
        // Passes under way may end, also when the lease is lost: what they hold in hand is theirs to
        // put away. `act` returns in bounded time once `stop` is cancelled.
        let acting = self.act(stop.clone());
        tokio::pin!(acting);
        let ended = tokio::select! {
            ended = &mut acting => ended,
            lost = held.until_lost() => {
                stop.cancel();
                acting.await?;
                return lost;
            }
        };
        held.give_back().await;
        ended
    }

    async fn act(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Operator {
            context,
            readiness,
            requests,
            providers,
            secrets,
        } = self;
        let scopes = scopes(&context.settings);
        let mut tasks = JoinSet::new();
        tasks.spawn(forget_after_restores(Arc::clone(&context)));

        // Whoever makes passes over requests has to know providers and namespaces first.
        let mut first = JoinSet::new();
        let ready = readiness.pending("namespaces", &mut first);
        tasks.spawn(watch::follow_namespaces(Arc::clone(&context), ready));
        let ready = readiness.pending("clustercredentialproviders", &mut first);
        let mut config = watcher::Config::default();
        if let Some(selector) = &context.settings.provider_selector {
            config = config.labels(selector);
        }
        let watch = context
            .api_server
            .watch_client("clustercredentialproviders");
        let api = Api::<DeserializeGuard<ClusterCredentialProvider>>::all(watch.client().clone());
        tasks.spawn(watch::follow_providers(
            Arc::clone(&context),
            watch,
            api,
            config,
            ready,
        ));
        for scope in &scopes {
            let name = format!("credentialproviders{}", within(scope));
            let ready = readiness.pending(&name, &mut first);
            let watch = context.api_server.watch_client(&name);
            let api: Api<DeserializeGuard<CredentialProvider>> = scoped(watch.client(), scope);
            tasks.spawn(watch::follow_providers(
                Arc::clone(&context),
                watch,
                api,
                watcher::Config::default(),
                ready,
            ));
            let ready = readiness.pending(&format!("secrets{}", within(scope)), &mut first);
            tasks.spawn(watch::follow_secrets(
                Arc::clone(&context),
                scope.clone(),
                None,
                ready,
            ));
        }
        readiness.enter(Phase::Acting);
        tasks.spawn(make_provider_passes(
            Arc::clone(&context),
            providers,
            stop.clone(),
        ));
        tasks.spawn(watch_single_secrets(Arc::clone(&context), secrets));
        let begun = async { while first.join_next().await.is_some() {} };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(ended) = tasks.join_next() => return ended_by_itself(&stop, ended),
            () = begun => {}
        }

        let mut passes = JoinSet::new();
        let mut listed = JoinSet::new();
        let mut senders = HashMap::new();
        for scope in scopes {
            let (sender, receiver) = mpsc::unbounded_channel();
            let ready = readiness.pending(
                &format!("credentialrequests{}", within(&scope)),
                &mut listed,
            );
            passes.spawn(make_passes(
                Arc::clone(&context),
                scope.clone(),
                receiver,
                ready,
                stop.clone(),
            ));
            senders.insert(scope, sender);
        }
        tasks.spawn(distribute(requests, senders));
        let complete = {
            let context = Arc::clone(&context);
            async move {
                while listed.join_next().await.is_some() {}
                context.memory.completed();
            }
        };
        tokio::select! {
            () = stop.cancelled() => context.leadership.close(),
            Some(ended) = tasks.join_next() => return ended_by_itself(&stop, ended),
            Some(ended) = passes.join_next() => return ended_by_itself(&stop, ended),
            () = async { complete.await; std::future::pending().await } => {}
        }
        // Passes end by themselves once they are told to; everything else is dropped.
        let all_ended = async { while passes.join_next().await.is_some() {} };
        match tokio::time::timeout(PASSES_END_WITHIN, all_ended).await {
            Ok(()) => tracing::info!("all passes have ended"),
            Err(_) => {
                tracing::warn!(
                    "some passes did not end in time; they are taken up at the next start"
                );
            }
        }
        context.orphans.end().await;
        Ok(())
    }
}

fn ended_by_itself(
    stop: &CancellationToken,
    ended: Result<(), tokio::task::JoinError>,
) -> anyhow::Result<()> {
    match ended {
        _ if stop.is_cancelled() => Ok(()),
        Ok(()) => anyhow::bail!("a part of the operator has ended by itself"),
        Err(error) => Err(error).context("a part of the operator has failed"),
    }
}

/// The namespaces to watch, one by one, or all at once.
fn scopes(settings: &Settings) -> BTreeSet<Option<String>> {
    if settings.namespaces.is_empty() {
        BTreeSet::from([None])
    } else {
        settings.namespaces.iter().cloned().map(Some).collect()
    }
}

fn within(scope: &Option<String>) -> String {
    scope
        .as_ref()
        .map(|namespace| format!(" in {namespace}"))
        .unwrap_or_default()
}

fn scoped<K>(client: &Client, scope: &Option<String>) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Leads wakes to where passes over their namespace are made.
async fn distribute(
    mut requests: mpsc::UnboundedReceiver<RequestKey>,
    senders: HashMap<Option<String>, mpsc::UnboundedSender<RequestKey>>,
) {
    while let Some(key) = requests.recv().await {
        let sender = senders
            .get(&None)
            .or_else(|| senders.get(&Some(key.namespace.clone())));
        if let Some(sender) = sender {
            // Closed when the operator ends.
            drop(sender.send(key));
        }
    }
}

/// Makes passes over the requests of one scope.
async fn make_passes(
    context: Arc<Context>,
    scope: Option<String>,
    wakes: mpsc::UnboundedReceiver<RequestKey>,
    ready: impl FnOnce() + Send + 'static,
    stop: CancellationToken,
) {
    let (store, writer) = reflector::store::<Guarded>();
    let watch = context
        .api_server
        .watch_client(&format!("credentialrequests{}", within(&scope)));
    let api: Api<Guarded> = scoped(watch.client(), &scope);
    let listed = CancellationToken::new();
    let ready = {
        let listed = listed.clone();
        move || {
            listed.cancel();
            ready();
        }
    };
    let store_and_writer = (store.clone(), writer);
    let changes = changes(Arc::clone(&context), watch, api, store_and_writer, ready);
    let wakes =
        tokio_stream(wakes).map(|key: RequestKey| ObjectRef::new(&key.name).within(&key.namespace));
    let queue = stream::select(changes, wakes)
        .map(|reference| Ok::<_, watcher::Error>(ReconcileRequest::from(reference)))
        .take_until(stop.clone().cancelled_owned());
    let store: Store<Guarded> = store;
    let passes = applier(
        |request, context| Box::pin(reconcile::reconcile(request, context)),
        |_, error: &std::convert::Infallible, _| match *error {},
        context,
        store,
        Box::pin(queue),
        // Without a bound: the slots bound the passes, and a pass that waits for the Lease must not
        // keep another one from putting away what is in hand.
        Config::default(),
    )
    // A request that is gone by now needs no pass.
    .for_each(|_| std::future::ready(()));
    // The applier waits for the first list, also when it has been told to stop.
    let stopped_before_the_list = async {
        stop.cancelled().await;
        if listed.is_cancelled() {
            std::future::pending().await
        }
    };
    tokio::select! {
        () = passes => {}
        () = stopped_before_the_list => {}
    }
}

/// Forgets what is remembered of the cluster each time that etcd turns out to have been restored.
async fn forget_after_restores(context: Arc<Context>) {
    let mut restores = context.api_server.restores();
    while restores.changed().await.is_ok() {
        context.memory.forget_the_cluster();
        context.links.forget_the_cluster();
    }
}

/// Follows the requests of one scope into the store, and says over which a pass is due.
fn changes(
    context: Arc<Context>,
    watch: WatchClient,
    api: Api<Guarded>,
    (store, writer): (Store<Guarded>, reflector::store::Writer<Guarded>),
    ready: impl FnOnce() + Send + 'static,
) -> impl Stream<Item = ObjectRef<Guarded>> + Send {
    let config = watcher::Config::default();
    let watched = watch
        .events(api, config)
        .map(Ok::<_, watcher::Error>)
        .modify(|request| {
            // Large, and of no use.
            kube::ResourceExt::managed_fields_mut(request).clear();
        });
    let mut ready = Some(ready);
    let mut listed: BTreeSet<RequestKey> = BTreeSet::new();
    let mut uids: BTreeSet<Option<String>> = BTreeSet::new();
    let mut known: BTreeSet<RequestKey> = BTreeSet::new();
    // The objects as they were before a list, in which a deletion between two lists shows.
    let mut before: Vec<Arc<Guarded>> = Vec::new();
    // The UID and the resource version of each request, as they were last heard.
    let mut heard: HashMap<RequestKey, (Option<String>, u64)> = HashMap::new();
    reflector::reflector(writer, watched).filter_map(move |event| {
        let due = match &event {
            Ok(Event::Apply(request) | Event::InitApply(request)) => {
                let meta = kube::Resource::meta(request);
                if let Some(key) = watch::request_key(meta) {
                    let version = meta.resource_version.as_deref();
                    let now = version.and_then(|version| version.parse().ok());
                    let now = (meta.uid.clone(), now.unwrap_or(u64::MAX));
                    let before = heard.insert(key.clone(), now.clone());
                    if before.is_some_and(|before| before.0 == now.0 && before.1 > now.1) {
                        // The versions of the cluster may be further on than before by now. One
                        // request is sign enough: each sign begins all lists again.
                        heard.clear();
                        context.api_server.restored(&format!("request {key}"));
                    }
                    listed.insert(key.clone());
                    known.insert(key);
                }
                if matches!(event, Ok(Event::InitApply(_))) {
                    uids.insert(kube::Resource::meta(request).uid.clone());
                }
                watch::request_changed(&context, request).then(|| ObjectRef::from_obj(request))
            }
            Ok(Event::Delete(request)) => {
                if let Some(key) = watch::request_key(kube::Resource::meta(request)) {
                    known.remove(&key);
                    heard.remove(&key);
                }
                watch::request_gone(&context, request);
                None
            }
            Ok(Event::Init) => {
                listed.clear();
                uids.clear();
                before = store.state();
                None
            }
            Ok(Event::InitDone) => {
                let uids = std::mem::take(&mut uids);
                for request in std::mem::take(&mut before) {
                    if !uids.contains(&kube::Resource::meta(request.as_ref()).uid) {
                        watch::request_missed(&context, &request);
                    }
                }
                for gone in known.difference(&listed) {
                    watch::forget_request(&context, gone);
                }
                known = std::mem::take(&mut listed);
                heard.retain(|key, _| known.contains(key));
                if let Some(ready) = ready.take() {
                    ready();
                }
                None
            }
            Err(_) => None,
        };
        std::future::ready(due)
    })
}

fn tokio_stream<T: Send>(receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send {
    stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|item| (item, receiver))
    })
}

/// A provider is looked at this often at least. Far longer times are more than a timer takes.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Makes passes over providers: each provider one at a time, different ones side by side.
async fn make_provider_passes(
    context: Arc<Context>,
    mut wakes: mpsc::UnboundedReceiver<ProviderKey>,
    stop: CancellationToken,
) {
    let mut under_way: HashMap<ProviderKey, bool> = HashMap::new();
    let mut later: tokio_util::time::DelayQueue<ProviderKey> = tokio_util::time::DelayQueue::new();
    let mut alarms: HashMap<ProviderKey, tokio_util::time::delay_queue::Key> = HashMap::new();
    let mut passes: JoinSet<(ProviderKey, Option<Duration>)> = JoinSet::new();
    loop {
        let due = tokio::select! {
            () = stop.cancelled() => return,
            Some(key) = wakes.recv() => Some(key),
            Some(alarm) = later.next(), if !later.is_empty() => {
                let key = alarm.into_inner();
                alarms.remove(&key);
                Some(key)
            }
            Some(ended) = passes.join_next(), if !passes.is_empty() => {
                match ended {
                    Ok((key, again)) => {
                        let woken = under_way.remove(&key).unwrap_or(false);
                        if let Some(alarm) = alarms.remove(&key) {
                            later.try_remove(&alarm);
                        }
                        if let Some(again) = again.filter(|_| !woken) {
                            alarms.insert(key.clone(), later.insert(key.clone(), again.min(LONGEST_REST)));
                        }
                        woken.then_some(key)
                    }
                    Err(error) => {
                        tracing::error!(%error, "a pass over a provider was aborted");
                        None
                    }
                }
            }
            else => return,
        };
        let Some(key) = due else { continue };
        if let Some(again) = under_way.get_mut(&key) {
            *again = true;
            continue;
        }
        under_way.insert(key.clone(), false);
        let context = Arc::clone(&context);
        passes.spawn(provider_pass_of(context, key));
    }
}

/// A pass over a provider, within its deadline and whatever happens in it.
async fn provider_pass_of(
    context: Arc<Context>,
    key: ProviderKey,
) -> (ProviderKey, Option<Duration>) {
    let deadline = context.settings.pass_deadline;
    let of = key.clone();
    let links = Arc::clone(&context);
    if !context.until_pass().await {
        return (key, None);
    }
    let _under_way = context.api_server.health().pass();
    let pass = tokio::spawn(async move {
        tokio::time::timeout(deadline, provider_pass::reconcile(&context, &of)).await
    });
    let ended = pass.await;
    if !matches!(ended, Ok(Ok(_)))
        && let Some(link) = links.links.get(&key)
    {
        // What it came to is not known.
        link.changed();
    }
    match ended {
        Ok(Ok(action)) => (key, action),
        Ok(Err(_)) => {
            tracing::warn!(provider = %key, ?deadline, "a pass over a provider took too long and was given up");
            (key, Some(Duration::from_secs(5)))
        }
        Err(error) => {
            tracing::error!(provider = %key, %error, "a pass over a provider panicked");
            (key, Some(Duration::from_secs(60)))
        }
    }
}

/// Watches Secrets that providers read in namespaces which are not served, one by one.
async fn watch_single_secrets(
    context: Arc<Context>,
    mut wanted: mpsc::UnboundedReceiver<SecretKey>,
) {
    let mut watched: HashMap<SecretKey, tokio::task::AbortHandle> = HashMap::new();
    let mut watches = JoinSet::new();
    while let Some(key) = wanted.recv().await {
        let needed = context.links.all_secrets();
        watched.retain(|key, watch| {
            let keep = needed.contains(key);
            if !keep {
                watch.abort();
            }
            keep
        });
        while watches.try_join_next().is_some() {}
        watched.entry(key.clone()).or_insert_with(|| {
            let (namespace, name) = (Some(key.namespace), Some(key.name));
            watches.spawn(watch::follow_secrets(
                Arc::clone(&context),
                namespace,
                name,
                || {},
            ))
        });
    }
}
