//! Whether the operator hears the API server, and whether it gets on.
//!
//! `/readyz` asks the first: [`Health::deaf`]. `/livez` asks the second: [`Health::stuck`], which only a
//! defect of the operator can bring about, because a restart mends nothing else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use http::StatusCode;

use super::{ApiServer, Timeouts};
use crate::{clock, controller::lock};

/// How long a watch may take to be resumed before `/readyz` tells: longer than kube's first pause
/// after an error.
const RESUMES_WITHIN: Duration = Duration::from_secs(5);
/// How long the API server may stay silent before it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(15);
/// How long after a recovery is overdue `/livez` fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often all of this is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is known of the connection to the API server. Clones share it.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    watches: Vec<Weak<WatchHealth>>,
    /// When the API server last answered anything other than an error of its own.
    answered: Instant,
    /// Since when the Lease can be neither renewed nor read.
    lease_failing: Option<Instant>,
    /// When the Lease was last asked for, while somebody should.
    lease_tried: Option<Instant>,
    passes: HashMap<u64, Instant>,
    next_pass: u64,
    /// When a pass last ended.
    pass_ended: Instant,
    stuck: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        let now = clock::monotonic();
        let inner = Inner {
            watches: Vec::new(),
            answered: now,
            lease_failing: None,
            lease_tried: None,
            passes: HashMap::new(),
            next_pass: 0,
            pass_ended: now,
            stuck: None,
        };
        Health {
            inner: Arc::new(Mutex::new(inner)),
        }
    }
}

/// A part of the operator that has to get on.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    /// When it last got on.
    progress: Instant,
    /// How long it may take to get on.
    within: Duration,
}

impl Health {
    pub(super) fn watch(&self, name: &str) -> Arc<WatchHealth> {
        let now = clock::monotonic();
        let watch = Arc::new(WatchHealth {
            name: name.to_owned(),
            state: Mutex::new(WatchState {
                interrupted: Some(now),
                answered: now,
                is_refused: false,
                version: 0,
                listing_after: 0,
                listed_after: 0,
            }),
        });
        let mut inner = lock(&self.inner);
        inner.watches.retain(|watch| watch.strong_count() > 0);
        inner.watches.push(Arc::downgrade(&watch));
        watch
    }

    pub(super) fn answered(&self) {
        lock(&self.inner).answered = clock::monotonic();
    }

    /// Notes whether the Lease could be renewed or read.
    pub fn lease(&self, works: bool) {
        let now = clock::monotonic();
        let mut inner = lock(&self.inner);
        inner.lease_tried = Some(now);
        inner.lease_failing = match works {
            true => None,
            false => inner.lease_failing.or(Some(now)),
        };
    }

    /// Counts a pass as under way until what is returned is dropped.
    pub fn pass(&self) -> PassGuard {
        let mut inner = lock(&self.inner);
        let id = inner.next_pass;
        inner.next_pass += 1;
        inner.passes.insert(id, clock::monotonic());
        PassGuard {
            health: self.clone(),
            id,
        }
    }

    fn watches(&self) -> Vec<Arc<WatchHealth>> {
        lock(&self.inner)
            .watches
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Whether all watches have taken in a list that began after so many restores. A watch that the API
    /// server refuses lists nothing, and nothing waits for it: for some seconds at most, because an
    /// API server that has just been started may refuse what it allows later.
    pub(super) fn have_listed_since(&self, restores: u64) -> bool {
        let now = clock::monotonic();
        let listed = |watch: &Arc<WatchHealth>| {
            let state = lock(&watch.state);
            let is_late = state
                .interrupted
                .is_some_and(|since| now.saturating_duration_since(since) > RESUMES_WITHIN);
            state.listed_after >= restores || (state.is_refused && (state.version == 0 || is_late))
        };
        restores == 0 || self.watches().iter().all(listed)
    }

    /// What the operator does not hear from the API server, if anything.
    pub fn deaf(&self) -> Option<String> {
        let now = clock::monotonic();
        let (answered, failing) = {
            let inner = lock(&self.inner);
            (inner.answered, inner.lease_failing)
        };
        let mut deaf: Vec<String> = self
            .watches()
            .iter()
            .filter(|watch| {
                let state = lock(&watch.state);
                let late = |since| now.saturating_duration_since(since) > RESUMES_WITHIN;
                !state.is_refused && state.interrupted.is_some_and(late)
            })
            .map(|watch| format!("the watch of {}", watch.name))
            .collect();
        if failing.is_some_and(|since| now.saturating_duration_since(since) > RESUMES_WITHIN) {
            deaf.push("the lease".to_owned());
        }
        if deaf.is_empty()
            && now.saturating_duration_since(answered) > SILENCE + LOOK_EVERY + RESUMES_WITHIN
        {
            deaf.push("any call".to_owned());
        }
        deaf.sort();
        (!deaf.is_empty()).then(|| deaf.join(", "))
    }

    /// What does not get on although the API server answers, if anything.
    pub fn stuck(&self) -> Option<String> {
        lock(&self.inner).stuck.clone()
    }

    fn parts(&self, timeouts: Timeouts, pass_deadline: Duration) -> Vec<Part> {
        let within = timeouts.recovery();
        let mut parts: Vec<Part> = self
            .watches()
            .iter()
            .map(|watch| Part {
                name: format!("the watch of {}", watch.name),
                progress: lock(&watch.state).answered,
                within,
            })
            .collect();
        let inner = lock(&self.inner);
        parts.extend(inner.lease_tried.map(|progress| Part {
            name: "the lease".to_owned(),
            progress,
            within,
        }));
        let oldest = inner.passes.values().min();
        parts.extend(oldest.map(|oldest| Part {
            name: "the passes".to_owned(),
            // Each that ends leaves its place to the next.
            progress: inner.pass_ended.max(*oldest),
            within: within + pass_deadline,
        }));
        parts
    }

    /// Looks after the connection for ever: asks whether the API server is there when nothing has been
    /// heard of it for a while, and finds out what is stuck.
    pub async fn look_after(self, server: ApiServer, pass_deadline: Duration) {
        let timeouts = server.timeouts();
        // Since when a new connection has been answered, each time that one was made.
        let mut answering: Option<Instant> = None;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = clock::monotonic();
            let silent = now.saturating_duration_since(lock(&self.inner).answered) > SILENCE;
            if silent {
                server.is_heard().await;
            }
            let parts = self.parts(timeouts, pass_deadline);
            let late = parts
                .iter()
                .any(|part| now.saturating_duration_since(part.progress) > part.within);
            if late && server.answers_on_new_connection(timeouts.call).await {
                answering = answering.or(Some(now));
            } else {
                answering = None;
            }
            let stuck = stuck(&parts, answering, clock::monotonic());
            let mut inner = lock(&self.inner);
            if let Some(what) = &stuck
                && inner.stuck.is_none()
            {
                tracing::error!(%what, "does not get on although the API server answers; /livez fails from now on");
            }
            inner.stuck = stuck;
        }
    }
}

/// What has not got on for a minute longer than it may take, while the API server answered.
fn stuck(parts: &[Part], answering: Option<Instant>, now: Instant) -> Option<String> {
    let answering = answering?;
    parts
        .iter()
        .find(|part| {
            let since = part.progress.max(answering);
            now.saturating_duration_since(since) > part.within + PATIENCE
        })
        .map(|part| part.name.clone())
}

/// A pass that is under way.
pub struct PassGuard {
    health: Health,
    id: u64,
}

impl Drop for PassGuard {
    fn drop(&mut self) {
        let mut inner = lock(&self.health.inner);
        inner.passes.remove(&self.id);
        inner.pass_ended = clock::monotonic();
    }
}

/// What is known of one watch.
pub struct WatchHealth {
    name: String,
    state: Mutex<WatchState>,
}

struct WatchState {
    /// Since when it does not run.
    interrupted: Option<Instant>,
    /// When the API server last answered it, whatever it said.
    answered: Instant,
    /// Whether the API server heard it, and says no: a right is missing, for example.
    is_refused: bool,
    /// The resource version of its last list, or that it last began at.
    version: u64,
    /// How often etcd had been restored when its last list began.
    listing_after: u64,
    /// The same of the last list that was taken in.
    listed_after: u64,
}

impl WatchHealth {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Notes that a list begins, after so many restores.
    pub(super) fn lists(&self, restores: u64) {
        lock(&self.state).listing_after = restores;
    }

    /// Notes the resource version of its list, or that it begins at, which is that of what it saw last.
    /// Says whether that went back, which only a restored etcd makes it do.
    pub(super) fn is_at(&self, version: Option<u64>) -> bool {
        let Some(version) = version.filter(|version| *version > 0) else {
            return false;
        };
        let before = std::mem::replace(&mut lock(&self.state).version, version);
        version < before
    }

    pub(super) fn began(&self) {
        let mut state = lock(&self.state);
        state.answered = clock::monotonic();
        state.interrupted = None;
        state.is_refused = false;
        // kube begins a watch when all that was listed has been taken.
        state.listed_after = state.listing_after;
    }

    pub(super) fn ended(&self) {
        let mut state = lock(&self.state);
        state.interrupted = state.interrupted.or(Some(clock::monotonic()));
    }

    /// Notes that a call failed: with this status, or without an answer.
    pub(super) fn failed(&self, status: Option<StatusCode>) {
        self.ended();
        let mut state = lock(&self.state);
        state.is_refused = status.is_some_and(|status| {
            status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS
        });
        if status.is_some() {
            state.answered = clock::monotonic();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(105);

    #[test]
    fn stuck_is_what_should_have_recovered_a_minute_ago_while_the_api_server_answered() {
        let start = clock::monotonic();
        let after = |seconds| start + Duration::from_secs(seconds);
        let part = |progress| {
            [Part {
                name: "the lease".to_owned(),
                progress: after(progress),
                within: WITHIN,
            }]
        };
        for (case, progress, answering, now, expected) in [
            ("it gets on", 1000, None, 1010, false),
            ("the API server answers nobody", 0, None, 100_000, false),
            ("it may still recover", 0, Some(106), 260, false),
            ("it should have", 0, Some(106), 272, true),
            ("the outage has just ended", 0, Some(50_000), 50_060, false),
            (
                "and it did not recover from it",
                0,
                Some(50_000),
                50_166,
                true,
            ),
        ] {
            let stuck = stuck(&part(progress), answering.map(after), after(now));
            assert_eq!(stuck.is_some(), expected, "{case}");
        }
    }

    #[test]
    fn a_watch_is_heard_from_its_first_answer_until_it_ends() {
        let health = Health::default();
        let watch = health.watch("secrets");
        let long_ago = |watch: &WatchHealth| {
            let mut state = lock(&watch.state);
            state.interrupted = state.interrupted.map(|since| since - 2 * RESUMES_WITHIN);
        };
        long_ago(&watch);
        assert_eq!(health.deaf().as_deref(), Some("the watch of secrets"));
        watch.began();
        assert_eq!(health.deaf(), None);
        watch.ended();
        assert_eq!(health.deaf(), None, "it is about to be resumed");
        long_ago(&watch);
        watch.failed(None);
        assert!(health.deaf().is_some());
        watch.failed(Some(StatusCode::INTERNAL_SERVER_ERROR));
        assert!(
            health.deaf().is_some(),
            "the API server does not hear its etcd"
        );
        watch.failed(Some(StatusCode::FORBIDDEN));
        assert_eq!(health.deaf(), None, "the log tells of missing rights");
        watch.failed(None);
        drop(watch);
        assert_eq!(health.deaf(), None, "nobody watches any more");
    }

    #[test]
    fn after_a_restore_all_watches_list_again_and_one_that_is_refused_is_not_waited_for() {
        let health = Health::default();
        let (requests, refused) = (health.watch("requests"), health.watch("secret x"));
        assert!(health.have_listed_since(0));
        requests.is_at(Some(7));
        requests.began();
        refused.failed(Some(StatusCode::FORBIDDEN));
        assert!(!health.have_listed_since(1), "requests are not listed");
        requests.failed(Some(StatusCode::FORBIDDEN));
        assert!(
            !health.have_listed_since(1),
            "an API server that starts may refuse what it allows later"
        );
        requests.lists(1);
        requests.began();
        assert!(health.have_listed_since(1));
    }

    #[test]
    fn the_lease_is_heard_as_long_as_it_works() {
        let health = Health::default();
        health.lease(false);
        assert_eq!(health.deaf(), None, "one failure is no outage");
        let first = lock(&health.inner).lease_failing;
        lock(&health.inner).lease_failing = first.map(|since| since - 2 * RESUMES_WITHIN);
        health.lease(false);
        assert_eq!(health.deaf().as_deref(), Some("the lease"));
        health.lease(true);
        assert_eq!(health.deaf(), None);
    }

    #[test]
    fn a_resource_version_that_goes_back_is_the_sign_of_a_restored_etcd() {
        let watch = Health::default().watch("secrets");
        for (version, restored) in [
            (Some(10), false),
            (Some(10), false),
            (Some(12), false),
            (None, false),
            (Some(0), false),
            (Some(11), true),
            (Some(11), false),
        ] {
            assert_eq!(watch.is_at(version), restored, "{version:?}");
        }
    }

    #[test]
    fn what_is_known_is_consistent_again_when_every_watch_has_listed_after_a_restore() {
        let health = Health::default();
        let (requests, secrets) = (health.watch("requests"), health.watch("secrets"));
        requests.lists(0);
        requests.began();
        assert!(
            health.have_listed_since(0),
            "secrets are still listed for the first time"
        );
        assert!(!health.have_listed_since(1));
        requests.lists(1);
        secrets.lists(0);
        requests.began();
        secrets.began();
        assert!(!health.have_listed_since(1), "secrets were listed before");
        secrets.lists(1);
        assert!(!health.have_listed_since(1), "the list is not taken in yet");
        secrets.began();
        assert!(health.have_listed_since(1));
    }

    #[test]
    fn passes_get_on_as_long_as_one_ends_now_and_then() {
        let timeouts = Timeouts {
            call: Duration::from_secs(10),
            watch_seconds: 60,
        };
        let health = Health::default();
        let parts = |health: &Health| health.parts(timeouts, Duration::from_secs(60));
        assert_eq!(parts(&health), [], "nothing is due");
        let (first, second) = (health.pass(), health.pass());
        let before = parts(&health).remove(0).progress;
        drop(first);
        let part = parts(&health).remove(0);
        assert!(part.progress >= before && part.within == WITHIN + Duration::from_secs(60));
        drop(second);
        assert_eq!(parts(&health), []);
    }
}
