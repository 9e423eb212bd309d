//! Takes, renews and gives back the Lease.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease as Object;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Leadership, Lease,
    record::{self, Claim, Watched},
};
use crate::{
    api::FIELD_MANAGER,
    clock,
    controller::{apiserver::ApiServer, error::brief},
};

/// How long giving the Lease back may take at the end.
const GIVES_BACK_WITHIN: Duration = Duration::from_millis(1500);

/// How often a Lease is read that may not be watched.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// For how many seconds one watch of the Lease is asked for.
const WATCH_SECONDS: u32 = 60;

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Object>>> + Send>>;

/// What election needs: the Lease, and a client whose connections nobody else uses.
#[derive(Clone)]
struct Election {
    server: ApiServer,
    api: Api<Object>,
    lease: Arc<Lease>,
    leadership: Leadership,
}

/// A Lease that is held.
pub struct Held {
    leadership: Leadership,
    keeper: JoinHandle<Option<String>>,
    give_back: CancellationToken,
}

/// Waits until this copy holds the Lease. `None` when it was told to stop before. `found` is called when
/// the Lease is there, so that all that is left to wait for is another copy.
///
/// # Errors
/// When the configuration cannot be used.
pub async fn acquire(
    server: &ApiServer,
    lease: &Lease,
    leadership: &Leadership,
    found: impl FnOnce(),
    stop: &CancellationToken,
) -> anyhow::Result<Option<Held>> {
    let client = server.separate_client(lease.call_within())?;
    let election = Election {
        server: server.clone(),
        api: Api::namespaced(client, &lease.namespace),
        lease: Arc::new(lease.clone()),
        leadership: leadership.clone(),
    };
    let taken = stop.run_until_cancelled(election.take(found)).await;
    let Some((held, taken_at)) = taken else {
        return Ok(None);
    };
    tracing::info!("holding the lease");
    let give_back = CancellationToken::new();
    let keeper = Keeper {
        election,
        held,
        taken_at,
        answering: None,
    };
    Ok(Some(Held {
        leadership: leadership.clone(),
        keeper: tokio::spawn(keeper.run(give_back.clone())),
        give_back,
    }))
}

impl Election {
    /// Waits until the Lease is free, and takes it. Returns it, and when it was taken.
    async fn take(&self, found: impl FnOnce()) -> (Object, Timestamp) {
        let mut found = Some(found);
        let mut watched = Watched::default();
        loop {
            let taken = self.try_to_take(&mut watched, &mut found).await;
            self.server.health().lease(taken.is_ok());
            match taken {
                Ok(taken) => return taken,
                // Another copy was quicker; or a webhook answers so each time.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    tracing::debug!("the lease was not taken: 409 Conflict; it is tried again");
                    tokio::time::sleep(POLL_EVERY / 5).await;
                }
                Err(error) => {
                    watched.lose_sight(clock::monotonic());
                    let (name, namespace) = (&self.lease.name, &self.lease.namespace);
                    let error = brief(&error);
                    tracing::warn!(lease = %name, %namespace, error, "the lease can be neither read nor taken; it is tried again. \
                        See --lease-namespace and --leader-election, and the Role beside the operator");
                    tokio::time::sleep(POLL_EVERY).await;
                }
            }
        }
    }

    async fn try_to_take(
        &self,
        watched: &mut Watched,
        found: &mut Option<impl FnOnce()>,
    ) -> kube::Result<(Object, Timestamp)> {
        let mut tell = || {
            if let Some(found) = found.take() {
                let (name, namespace, identity) = (
                    &self.lease.name,
                    &self.lease.namespace,
                    &self.lease.identity,
                );
                tracing::info!(lease = %name, %namespace, %identity, "waiting for the lease");
                found();
            }
        };
        let free = match self.api.get_opt(&self.lease.name).await? {
            Some(object) => {
                tell();
                self.until_free(object, watched).await?
            }
            None => None,
        };
        let (asked, now) = (clock::monotonic(), clock::now());
        let held = match free {
            Some(object) => self.patch(&record::take(&object, &self.lease, now)).await?,
            None => {
                let object = record::new(&self.lease, now);
                let params = PostParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PostParams::default()
                };
                self.api.create(&params, &object).await?
            }
        };
        tell();
        self.leadership.prove(asked + self.lease.duration);
        Ok((held, now))
    }

    async fn patch(&self, body: &serde_json::Value) -> kube::Result<Object> {
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.api
            .patch(&self.lease.name, &params, &Patch::Merge(body))
            .await
    }

    /// Waits until a Lease is free that was found. `None` when it has been deleted.
    async fn until_free(
        &self,
        mut object: Object,
        watched: &mut Watched,
    ) -> kube::Result<Option<Object>> {
        let mut events: Option<Events> = None;
        loop {
            self.server.health().lease(true);
            let until = match watched.see(&object, &self.lease, clock::monotonic()) {
                Claim::Free => return Ok(Some(object)),
                Claim::Taken(until) => until,
            };
            let next = match &mut events {
                Some(events) => tokio::time::timeout_at(until.into(), events.next()).await,
                None => {
                    events = self.watch(&object, until).await;
                    // Whatever came in between is read, or heard.
                    if events.is_some() { continue } else { Ok(None) }
                }
            };
            match next {
                Ok(Some(Ok(WatchEvent::Added(now) | WatchEvent::Modified(now)))) => {
                    object = now;
                    continue;
                }
                Ok(Some(Ok(WatchEvent::Bookmark(_)))) => continue,
                Ok(Some(Ok(WatchEvent::Deleted(_)))) => return Ok(None),
                // A watch that hears nothing may be frozen.
                Err(_) => {}
                Ok(Some(Ok(WatchEvent::Error(_)) | Err(_)) | None) => {
                    events = None;
                    tokio::time::sleep(POLL_EVERY / 5).await;
                }
            }
            match self.api.get_opt(&self.lease.name).await? {
                Some(now) => object = now,
                None => return Ok(None),
            }
        }
    }

    /// Watches the Lease from where it was read. Where that is not possible, a moment passes instead.
    async fn watch(&self, object: &Object, until: Instant) -> Option<Events> {
        let which = WatchParams::default()
            .fields(&format!("metadata.name={}", self.lease.name))
            .timeout(WATCH_SECONDS);
        let from = record::version(object).to_string();
        match self.api.watch(&which, &from).await {
            Ok(events) => Some(events.boxed()),
            Err(error) => {
                tracing::debug!(
                    error = brief(&error),
                    "the lease cannot be watched; it is read instead"
                );
                let again = clock::monotonic() + POLL_EVERY;
                tokio::time::sleep_until(again.min(until).into()).await;
                None
            }
        }
    }
}

/// Renews a Lease that is held.
struct Keeper {
    election: Election,
    held: Object,
    taken_at: Timestamp,
    /// Since when new connections have been answered although the Lease cannot be renewed.
    answering: Option<Instant>,
}

/// Why a renewal did not succeed.
enum NotRenewed {
    /// Somebody else holds the Lease.
    Lost(&'static str),
    /// It is not known who holds it.
    Failed(kube::Error),
}

impl From<kube::Error> for NotRenewed {
    fn from(error: kube::Error) -> Self {
        NotRenewed::Failed(error)
    }
}

impl Keeper {
    /// Renews the Lease until it is to be given back, or is lost: then says why.
    async fn run(mut self, give_back: CancellationToken) -> Option<String> {
        let mut pause = self.election.lease.renew_every();
        loop {
            let over = self.election.leadership.proven_until();
            tokio::select! {
                () = give_back.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            let renewed = {
                let doubt = self.election.leadership.clone();
                let is_over = async {
                    match over {
                        Some(over) => tokio::time::sleep_until(over.into()).await,
                        None => std::future::pending().await,
                    }
                    doubt.doubt();
                    std::future::pending().await
                };
                tokio::select! {
                    renewed = self.renew() => renewed,
                    () = is_over => continue,
                    () = give_back.cancelled() => break,
                }
            };
            self.election.server.health().lease(renewed.is_ok());
            match renewed {
                Ok(()) => {
                    self.answering = None;
                    pause = self.election.lease.renew_every();
                }
                Err(NotRenewed::Lost(why)) => return Some(why.to_owned()),
                Err(NotRenewed::Failed(error)) => {
                    let error = brief(&error);
                    tracing::warn!(error, "the lease could not be renewed; it is tried again");
                    if let Some(why) = self.is_given_up().await {
                        return Some(why.to_owned());
                    }
                    pause = self.election.lease.retry_after();
                }
            }
        }
        self.give_back().await;
        None
    }

    async fn renew(&mut self) -> Result<(), NotRenewed> {
        let asked = clock::monotonic();
        let renewed = self
            .election
            .patch(&record::renew(&self.held, clock::now()))
            .await;
        match renewed {
            Ok(object) => {
                let went_back = record::version(&object) < record::version(&self.held);
                self.holds(object, asked, went_back);
            }
            Err(kube::Error::Api(status)) if [404, 409, 422].contains(&status.code) => {
                self.look().await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The Lease is not as this copy left it.
    async fn look(&mut self) -> Result<(), NotRenewed> {
        let election = &self.election;
        let (asked, now) = (clock::monotonic(), clock::now());
        let Some(found) = election.api.get_opt(&election.lease.name).await? else {
            let created = election
                .api
                .create(&PostParams::default(), &record::new(&election.lease, now))
                .await?;
            self.taken_at = now;
            let went_back = record::version(&created) < record::version(&self.held);
            self.holds(created, asked, went_back);
            return Ok(());
        };
        let went_back = record::version(&found) < record::version(&self.held);
        match record::holder(&found) {
            None => {}
            Some(holder) if holder != election.lease.identity => {
                return Err(NotRenewed::Lost("another copy holds the lease"));
            }
            // Resource versions went back, and so may the time have.
            Some(_) if went_back => {}
            Some(_) if record::taken_at(&found) != Some(self.taken_at) => {
                return Err(NotRenewed::Lost(
                    "another copy with the same --lease-identity holds the lease",
                ));
            }
            Some(_) => {}
        }
        let taken = election
            .patch(&record::take(&found, &election.lease, now))
            .await?;
        self.taken_at = now;
        self.holds(taken, asked, went_back);
        Ok(())
    }

    /// This copy holds the Lease, by an answer that was `asked` for then. Its resource version grows with
    /// every change in the cluster, unless etcd was restored from a backup.
    fn holds(&mut self, object: Object, asked: Instant, went_back: bool) {
        if went_back {
            self.election.server.restored("the lease");
        }
        self.held = object;
        let until = asked + self.election.lease.duration;
        self.election.leadership.prove(until);
    }

    /// Whether this copy should end because it cannot renew the Lease, although the API server answers
    /// on new connections for as long as the Lease lasts. While it answers nobody, ending would only
    /// throw away what is in hand.
    async fn is_given_up(&mut self) -> Option<&'static str> {
        let election = &self.election;
        if election.leadership.is_proven() {
            return None;
        }
        election.leadership.doubt();
        let within = election.lease.call_within();
        if !election.server.answers_on_new_connection(within).await {
            self.answering = None;
            return None;
        }
        let since = *self.answering.get_or_insert(clock::monotonic());
        (since.elapsed() > election.lease.duration)
            .then_some("the API server answers, and yet the lease cannot be renewed")
    }

    /// Lets the next copy take over at once. One that another copy holds by now is left alone.
    async fn give_back(&mut self) {
        let gave_back = async {
            let first = self.election.patch(&record::give_back(&self.held)).await;
            match first {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                done => return done.map(drop),
            }
            // A renewal may have arrived whose answer was not waited for.
            let found = self.election.api.get(&self.election.lease.name).await?;
            let mine = record::holder(&found) == Some(&self.election.lease.identity)
                && record::taken_at(&found) == Some(self.taken_at);
            if mine {
                self.election.patch(&record::give_back(&found)).await?;
            }
            Ok(())
        };
        let gave_back = tokio::time::timeout(GIVES_BACK_WITHIN, gave_back).await;
        if !matches!(gave_back, Ok(Ok(()))) {
            tracing::warn!(
                "the lease could not be given back; another copy has to wait for it to end"
            );
        }
    }
}

impl Held {
    /// Ends when this copy must not go on.
    ///
    /// # Errors
    /// Always: without the Lease this copy ends, and begins anew.
    pub async fn until_lost(&mut self) -> anyhow::Result<()> {
        let why = match (&mut self.keeper).await {
            Ok(why) => why.unwrap_or_else(|| "the lease was given back".to_owned()),
            Err(error) => format!("the lease is not renewed any more: {error}"),
        };
        self.leadership.end();
        anyhow::bail!("{why}; ending, to begin anew");
    }

    /// Gives the Lease back, so that another copy need not wait for it to run out.
    pub async fn give_back(self) {
        self.leadership.end();
        self.give_back.cancel();
        // It has a deadline of its own.
        drop(self.keeper.await);
    }
}
