//! Probes and metrics over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    controller::{context::Context, lock},
};

/// What the operator still waits for before it works.
#[derive(Clone, Default)]
pub struct Readiness {
    pending: Arc<Mutex<BTreeSet<String>>>,
    phase: Arc<Mutex<Phase>>,
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

    /// What is still pending, or nothing. A copy that stands by is ready: it is all that it should
    /// be, and a roll-out that waited for more would never end.
    fn answer(&self) -> (StatusCode, String) {
        let unready = |text: &str| (StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
        match *lock(&self.phase) {
            Phase::Starting => return unready("waiting for the lease to be found\n"),
            Phase::Stopping => return unready("shutting down\n"),
            Phase::StandingBy => {
                return (
                    StatusCode::OK,
                    "standing by until the lease is free\n".to_owned(),
                );
            }
            Phase::Acting => {}
        }
        let pending = lock(&self.pending);
        if pending.is_empty() {
            (StatusCode::OK, "ok\n".to_owned())
        } else {
            let list: Vec<_> = pending.iter().map(String::as_str).collect();
            (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("waiting for the first list of: {}\n", list.join(", ")),
            )
        }
    }
}

/// Serves until told to stop.
///
/// # Errors
/// Those of the socket.
pub fn serve(
    listener: TcpListener,
    context: Arc<Context>,
    readiness: Readiness,
    stop: CancellationToken,
) -> impl Future<Output = std::io::Result<()>> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route(
            "/readyz",
            get(async |State((_, readiness)): State<Shared>| readiness.answer()),
        )
        .route("/metrics", get(metrics))
        .with_state((context, readiness));
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .into_future()
}

type Shared = (Arc<Context>, Readiness);

async fn metrics(State((context, _)): State<Shared>) -> impl IntoResponse {
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
    (
        [(
            "content-type",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        context.metrics.text(),
    )
}
