//! The way to the API server.
//!
//! Guarantees:
//! - Every call ends: with an answer, with an error, or with [`Unanswered`] at its deadline.
//! - A pool of connections on which a call stayed unanswered is not used again. kube speaks HTTP/1,
//!   so each idle connection that is frozen would cost one deadline otherwise.
//! - When a read stays unanswered, or a call for the Lease, all watches are resumed on new connections
//!   as well: whatever froze one connection has probably frozen the others. A change may be unanswered
//!   because a webhook is slow, which says nothing about connections.
//! - A watch ends at the latest five seconds after the API server should have ended it. kube's
//!   watcher then resumes it at its resource version, without a list.
//!
//! A client-wide read timeout, as kube offers it, would cut healthy watches.

mod answer;
mod health;
mod pool;
mod watches;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, Response};
use kube::{Client, Config, client::Body};
use tokio::sync::watch;

use answer::Answer;
pub use health::{Health, PassGuard, WatchHealth};
use pool::Pool;
pub use watches::WatchClient;

use crate::clock;

/// How long the API server may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the answer to a call that reads one object.
    pub call: Duration,
    /// After how many seconds the API server is asked to end a watch, at least. Each watch asks for
    /// up to half as much again, so that they do not all end together.
    pub watch_seconds: u32,
}

/// How long a watch may outlast the time that it asked for.
const WATCH_MARGIN: Duration = Duration::from_secs(5);

impl Timeouts {
    /// For a call that changes something: longer than an admission webhook has by default.
    fn change(self) -> Duration {
        self.call * 3 / 2
    }

    /// For a page of a list.
    fn list(self) -> Duration {
        self.call * 3
    }

    /// The longest that a frozen connection goes unnoticed, and a call on a new one takes.
    pub fn recovery(self) -> Duration {
        Duration::from_secs(u64::from(self.watch_seconds) * 3 / 2) + WATCH_MARGIN + self.call
    }

    fn limit(self, request: &Request<Body>) -> Limit {
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        if parameter("watch").is_some_and(|value| value == "true" || value == "1") {
            let seconds = parameter("timeoutSeconds").and_then(|value| value.parse().ok());
            let seconds = seconds.unwrap_or(u64::from(self.watch_seconds));
            return Limit::Watch {
                head: self.call,
                end: Duration::from_secs(seconds) + WATCH_MARGIN,
                version: parameter("resourceVersion").and_then(|value| value.parse().ok()),
            };
        }
        Limit::Call(match request {
            request if is_list(request) => self.list(),
            _ if request.method() == Method::GET => self.call,
            _ => self.change(),
        })
    }
}

/// kube names the verb of each call.
fn is_list(request: &Request<Body>) -> bool {
    let verb = request.extensions().get::<&'static str>();
    verb.is_some_and(|verb| verb.starts_with("list"))
}

/// The deadlines of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// For the whole answer.
    Call(Duration),
    /// For the head of the answer, and for its end.
    Watch {
        head: Duration,
        end: Duration,
        /// The resource version that the watch begins at.
        version: Option<u64>,
    },
}

/// The API server did not answer in time. Whether it did what it was asked is not known.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f32())]
pub struct Unanswered(pub Duration);

/// Whether an error is [`Unanswered`].
pub fn is_timeout(error: &kube::Error) -> bool {
    let mut error: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(this) = error {
        if this.is::<Unanswered>() {
            return true;
        }
        // `kube::Error::Service` shows its content only so.
        error = match this.downcast_ref::<kube::Error>() {
            Some(kube::Error::Service(inner)) => Some(inner.as_ref()),
            _ => this.source(),
        };
    }
    false
}

/// The API server.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    timeouts: Timeouts,
    pool: Pool,
    health: Health,
    /// Counts how often all connections became suspect.
    suspicions: watch::Sender<u64>,
    /// Counts how often etcd turned out to have been restored.
    restores: watch::Sender<u64>,
}

impl ApiServer {
    /// The API server of a configuration.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn new(
        mut config: Config,
        timeouts: Timeouts,
        health: Health,
    ) -> Result<Self, kube::Error> {
        // kube would repeat a call that was answered 429, 503 or 504 fifteen times, beginning after
        // 5 ms. A pass has a back-off of its own, and says what it was answered.
        config.default_retry = false;
        config.connect_timeout = Some(timeouts.call);
        let inner = Inner {
            pool: Pool::new(&config)?,
            config,
            timeouts,
            health,
            suspicions: watch::Sender::new(0),
            restores: watch::Sender::new(0),
        };
        Ok(ApiServer {
            inner: Arc::new(inner),
        })
    }

    /// The deadlines.
    pub fn timeouts(&self) -> Timeouts {
        self.inner.timeouts
    }

    /// What is known of the connection's health.
    pub fn health(&self) -> &Health {
        &self.inner.health
    }

    /// A client for ordinary calls. All of them share one pool.
    pub fn client(&self) -> Client {
        self.client_of(self.inner.pool.clone(), self.inner.timeouts, None)
    }

    /// A client with a pool of its own, in which each call ends within `timeout`.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn separate_client(&self, timeout: Duration) -> Result<Client, kube::Error> {
        let timeouts = Timeouts {
            // A change takes half as long again.
            call: timeout * 2 / 3,
            ..self.inner.timeouts
        };
        Ok(self.client_of(Pool::new(&self.inner.config)?, timeouts, None))
    }

    /// A client for one watch. `name` says what it watches, for people.
    pub fn watch_client(&self, name: &str) -> WatchClient {
        let health = self.inner.health.watch(name);
        let (pool, timeouts) = (self.inner.pool.clone(), self.inner.timeouts);
        WatchClient::new(
            self.client_of(pool, timeouts, Some(Arc::clone(&health))),
            timeouts.watch_seconds,
            self.inner.restores.subscribe(),
        )
    }

    fn client_of(&self, pool: Pool, timeouts: Timeouts, watch: Option<Arc<WatchHealth>>) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let limit = timeouts.limit(&request);
            server
                .clone()
                .call(pool.clone(), limit, watch.clone(), request)
        });
        Client::new(service, self.inner.config.default_namespace.clone())
    }

    async fn call(
        self,
        pool: Pool,
        limit: Limit,
        watch: Option<Arc<WatchHealth>>,
        request: Request<Body>,
    ) -> Result<Response<Answer>, tower::BoxError> {
        if let (Some(watch), Limit::Watch { version, .. }) = (&watch, limit)
            && watch.is_at(version)
        {
            self.restored(watch.name());
        }
        let is_list = is_list(&request);
        if let (Some(watch), true) = (&watch, is_list) {
            watch.lists(self.restored_so_often());
        }
        let is_read = request.method() == Method::GET;
        let (generation, client) = pool.current();
        let suspicions = self.inner.suspicions.subscribe();
        let (head, whole) = match limit {
            Limit::Call(whole) => (whole, whole),
            Limit::Watch { head, end, .. } => (head, end),
        };
        let end = clock::monotonic() + whole;
        let sent = tokio::time::timeout(head, client.send(request)).await;
        let failed = |status| {
            if let Some(watch) = &watch {
                watch.failed(status);
            }
        };
        match sent {
            Ok(Ok(response)) => {
                let status = response.status();
                if !status.is_server_error() {
                    self.inner.health.answered();
                }
                if !status.is_success() {
                    failed(Some(status));
                }
                let response = match &watch {
                    Some(watch) if is_list && status.is_success() => self
                        .compare(response, end, watch)
                        .await
                        .inspect_err(|error| {
                            if is_timeout(error) {
                                self.unanswered(&pool, generation, is_read);
                            }
                            failed(None);
                        })?,
                    _ => response,
                };
                Ok(response.map(|body| {
                    let give_up = move || self.unanswered(&pool, generation, is_read);
                    match limit {
                        Limit::Watch { .. } if status.is_success() => {
                            Answer::of_watch(body, end, give_up, suspicions, watch)
                        }
                        _ => Answer::of_call(body, end, give_up, whole),
                    }
                }))
            }
            Ok(Err(error)) => {
                failed(None);
                Err(error.into())
            }
            Err(_) => {
                failed(None);
                self.unanswered(&pool, generation, is_read);
                Err(Unanswered(head).into())
            }
        }
    }

    /// Compares the resource version of a page of a list with what the watch knows, before anybody
    /// sees what is in it.
    async fn compare(
        &self,
        response: Response<Body>,
        end: Instant,
        watch: &WatchHealth,
    ) -> Result<Response<Body>, kube::Error> {
        #[derive(serde::Deserialize)]
        struct List {
            metadata: kube::core::ListMeta,
        }
        let left = end.saturating_duration_since(clock::monotonic());
        let (head, body) = response.into_parts();
        let bytes = tokio::time::timeout(left, body.collect_bytes())
            .await
            .map_err(|_| kube::Error::Service(Unanswered(self.inner.timeouts.list()).into()))??;
        // A list that cannot be read is an error of whoever asked for it.
        let version = serde_json::from_slice::<List>(&bytes)
            .ok()
            .and_then(|list| list.metadata.resource_version?.parse().ok());
        if watch.is_at(version) {
            self.restored(watch.name());
        }
        Ok(Response::from_parts(head, Body::from(bytes)))
    }

    /// A call stayed unanswered on a connection of this generation of a pool.
    fn unanswered(&self, pool: &Pool, generation: u64, is_read: bool) {
        let shared = &self.inner.pool;
        let of_the_lease = !pool.is(shared);
        if pool.replace(generation) && (is_read || of_the_lease) {
            if of_the_lease {
                shared.replace(shared.current().0);
            }
            self.inner.suspicions.send_modify(|count| *count += 1);
        }
    }

    /// Whether the API server answers on a new connection, and says that it is ready.
    pub async fn answers_on_new_connection(&self, timeout: Duration) -> bool {
        // Building a client may read files or run a command for its login.
        let Ok(client) = Client::try_from(self.inner.config.clone()) else {
            return false;
        };
        is_ready(&client, timeout).await
    }

    /// Asks the API server whether it is ready, on the pool that ordinary calls use, so that a frozen
    /// pool is replaced before anybody needs it.
    pub async fn is_heard(&self) -> bool {
        is_ready(&self.client(), self.inner.timeouts.call).await
    }

    /// Notes that etcd has gone back in time: `what` showed it.
    pub fn restored(&self, what: &str) {
        tracing::warn!(
            what,
            "a resource version went back: etcd was restored from a backup. All objects are listed again"
        );
        self.inner.restores.send_modify(|count| *count += 1);
    }

    fn restored_so_often(&self) -> u64 {
        *self.inner.restores.borrow()
    }

    /// Whether all watches have listed everything since etcd was last restored. Before that, some
    /// objects are known as they were, and others as they are: no pass may decide by that.
    pub fn is_consistent(&self) -> bool {
        self.inner
            .health
            .have_listed_since(self.restored_so_often())
    }

    /// Tells of each time that etcd turned out to have been restored.
    pub fn restores(&self) -> watch::Receiver<u64> {
        self.inner.restores.subscribe()
    }
}

/// Asks for `/readyz`. It covers etcd, and by default anybody may read it; whoever may not is answered
/// as well.
async fn is_ready(client: &Client, timeout: Duration) -> bool {
    let Ok(request) = Request::get("/readyz").body(Vec::new()) else {
        return false;
    };
    match tokio::time::timeout(timeout, client.request_text(request)).await {
        Ok(Ok(_)) => true,
        Ok(Err(kube::Error::Api(status))) => (400..429).contains(&status.code),
        Ok(Err(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        call: Duration::from_secs(10),
        watch_seconds: 60,
    };

    fn limit(method: Method, uri: &str, verb: &'static str) -> Limit {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().unwrap();
        request.extensions_mut().insert(verb);
        TIMEOUTS.limit(&request)
    }

    #[test]
    fn each_kind_of_call_has_a_deadline_of_its_own() {
        let seconds = |seconds| Limit::Call(Duration::from_secs(seconds));
        for (method, uri, verb, expected) in [
            (
                Method::GET,
                "/api/v1/namespaces/n/secrets/s?",
                "get",
                seconds(10),
            ),
            (
                Method::GET,
                "/api/v1/secrets?limit=500",
                "list_metadata",
                seconds(30),
            ),
            (Method::GET, "/readyz", "", seconds(10)),
            (
                Method::POST,
                "/api/v1/namespaces/n/secrets?",
                "create",
                seconds(15),
            ),
            (
                Method::PATCH,
                "/api/v1/namespaces/n/secrets/s?",
                "patch",
                seconds(15),
            ),
            (
                Method::GET,
                "/api/v1/secrets?&watch=true&timeoutSeconds=77&allowWatchBookmarks=true&resourceVersion=12",
                "watch_metadata",
                Limit::Watch {
                    head: Duration::from_secs(10),
                    end: Duration::from_secs(82),
                    version: Some(12),
                },
            ),
        ] {
            assert_eq!(limit(method, uri, verb), expected, "{uri}");
        }
    }

    #[test]
    fn a_call_without_an_answer_is_told_apart_however_deep_it_lies() {
        let unanswered = || Unanswered(Duration::from_secs(10));
        assert!(is_timeout(&kube::Error::Service(unanswered().into())));
        let nested = kube::Error::Service(kube::Error::Service(unanswered().into()).into());
        assert!(is_timeout(&nested));
        assert!(!is_timeout(&kube::Error::TlsRequired));
        let other = kube::Error::Service("connection refused".into());
        assert!(!is_timeout(&other));
    }
}
