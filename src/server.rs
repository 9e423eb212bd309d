//! Probes and metrics over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Mutex, OnceLock},
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    controller::{apiserver::Health, context::Context, lock},
};

/// What probes and metrics tell. It is there before anything else is, so that the first probe is
/// answered. Clones share it.
#[derive(Clone, Default)]
pub struct Readiness {
    pending: Arc<Mutex<BTreeSet<String>>>,
    phase: Arc<Mutex<Phase>>,
    health: Health,
    /// Empty until the operator is set up.
    context: Arc<OnceLock<Arc<Context>>>,
}

/// Where the operator stands between its start and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has just been started.
    #[default]
    Starting,
    /// Another copy acts, or may, and this one takes over when that ends.
    StandingBy,
    /// It acts, as soon as nothing is pending any more.
    Acting,
    /// It is about to end.
    Stopping,
}

impl Readiness {
    /// Notes something to wait for. What is returned is called when it is there; `first` ends when
    /// everything that was noted with it is.
    pub fn pending(&self, what: &str, first: &mut JoinSet<()>) -> impl FnOnce() + Send + use<> {
        lock(&self.pending).insert(what.to_owned());
        let (sender, receiver) = oneshot::channel::<()>();
        first.spawn(async move {
            // A sender that was dropped will never tell; waiting on is right.
            if receiver.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        let (pending, what) = (Arc::clone(&self.pending), what.to_owned());
        move || {
            lock(&pending).remove(&what);
            // Nobody waits any more when the operator is ending.
            let _ = sender.send(());
        }
    }

    /// Says where the operator stands. From its end nothing leads back.
    pub fn enter(&self, phase: Phase) {
        let mut now = lock(&self.phase);
        if *now != Phase::Stopping {
            *now = phase;
        }
    }

    /// What is known of the connection to the API server.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Has metrics served of this operator.
    pub fn show(&self, context: Arc<Context>) {
        // Only the first counts, and there is but one.
        drop(self.context.set(context));
    }

    /// Whether the operator gets on, as far as a restart could mend it.
    fn liveness(&self) -> (StatusCode, String) {
        match self.health.stuck() {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(what) => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("does not get on although the API server answers: {what}\n"),
            ),
        }
    }

    /// What is still pending or not heard, or nothing. A copy that stands by is ready: it is all that it should
    /// be, and a roll-out that waited for more would never end.
    fn answer(&self) -> (StatusCode, String) {
        let unready = |text: String| (StatusCode::SERVICE_UNAVAILABLE, text);
        let ready = match *lock(&self.phase) {
            Phase::Starting => return unready("waiting for the lease to be found\n".to_owned()),
            Phase::Stopping => return unready("shutting down\n".to_owned()),
            Phase::StandingBy => "standing by until the lease is free\n",
            Phase::Acting => {
                let pending = lock(&self.pending);
                if !pending.is_empty() {
                    let list: Vec<_> = pending.iter().map(String::as_str).collect();
                    let list = list.join(", ");
                    return unready(format!("waiting for the first list of: {list}\n"));
                }
                "ok\n"
            }
        };
        match self.health.deaf() {
            None => (StatusCode::OK, ready.to_owned()),
            Some(what) => unready(format!("does not hear the API server: {what}\n")),
        }
    }
}

/// Serves until told to stop.
///
/// # Errors
/// Those of the socket.
pub fn serve(
    listener: TcpListener,
    readiness: Readiness,
    stop: CancellationToken,
) -> impl Future<Output = std::io::Result<()>> {
    let router = Router::new()
        .route(
            "/livez",
            get(async |State(readiness): State<Readiness>| readiness.liveness()),
        )
        .route(
            "/readyz",
            get(async |State(readiness): State<Readiness>| readiness.answer()),
        )
        .route("/metrics", get(metrics))
        .with_state(readiness);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .into_future()
}

async fn metrics(State(readiness): State<Readiness>) -> impl IntoResponse {
    let text = match readiness.context.get() {
        Some(context) => figures(context),
        None => "# EOF\n".to_owned(),
    };
    (
        [(
            "content-type",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
}

fn figures(context: &Context) -> String {
    let now = clock::now();
    let expiries = context.memory.earliest_expiries();
    for (key, link) in context.links.all() {
        let expires_at = expiries
            .iter()
            .find(|(provider, _)| *provider == key)
            .map(|(_, at)| *at);
        let requests = context.memory.count_naming_provider(&key);
        context.metrics.set_provider(
            &key.to_string(),
            requests,
            link.budget.waiting(),
            expires_at,
            now,
        );
    }
    context.metrics.text()
}
