//! The log of requests: what came, when, what it was answered, and how many were open at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{Method, header};

use super::{Route, SimRequest};

/// How many calls are kept. Older ones are dropped, so that a benchmark of millions of calls fits in memory.
const KEPT: usize = 100_000;

/// One request as the server saw it.
#[derive(Clone, Debug)]
pub struct SimCall {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query as sent. For DCE it holds the access key and the secret key.
    pub query: String,
    /// Whether there was an `Authorization` header. Its value is not kept.
    pub authorization: bool,
    /// When the request had arrived completely.
    pub at: Instant,
    /// The same moment on the wall clock, as time since the epoch.
    pub at_unix: Duration,
    /// The status of the answer; `None` while there is none, and for ever when the connection was cut or the
    /// client left.
    pub status: Option<u16>,
    /// When the last byte of the answer was handed to the connection, or the client left; `None` while open.
    pub ended: Option<Instant>,
}

/// The calls of one server.
#[derive(Default)]
pub(super) struct CallLog(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// How many calls were dropped at the front: the number of the first one kept.
    dropped: u64,
    calls: VecDeque<SimCall>,
}

impl Kept {
    fn get_mut(&mut self, number: u64) -> Option<&mut SimCall> {
        let index = number.checked_sub(self.dropped)?;
        self.calls.get_mut(usize::try_from(index).ok()?)
    }
}

impl CallLog {
    /// Notes a request; it counts as open until the returned guard is dropped.
    pub(super) fn open(self: &Arc<Self>, request: &SimRequest) -> OpenCall {
        let call = SimCall {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            authorization: request.headers.contains_key(header::AUTHORIZATION),
            at: Instant::now(),
            at_unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            status: None,
            ended: None,
        };
        let mut kept = self.0.lock().unwrap();
        if kept.calls.len() == KEPT {
            kept.calls.pop_front();
            kept.dropped += 1;
        }
        kept.calls.push_back(call);
        let number = kept.dropped + kept.calls.len() as u64 - 1;
        drop(kept);
        OpenCall {
            log: Arc::clone(self),
            number,
        }
    }

    /// The calls to a route, oldest first.
    pub(super) fn matching(&self, route: &Route) -> Vec<SimCall> {
        let kept = self.0.lock().unwrap();
        let matching = kept
            .calls
            .iter()
            .filter(|call| route.matches(&call.method, &call.path));
        matching.cloned().collect()
    }

    /// The highest number of calls to a route that were open at the same moment.
    ///
    /// Computed from the log rather than counted while it happens: so a test may ask about any route, after the fact.
    pub(super) fn max_in_flight(&self, route: &Route) -> usize {
        let kept = self.0.lock().unwrap();
        let mut changes = Vec::new();
        for call in &kept.calls {
            if route.matches(&call.method, &call.path) {
                changes.push((call.at, 1));
                changes.extend(call.ended.map(|ended| (ended, -1)));
            }
        }
        drop(kept);
        // At the same instant, ends come before starts.
        changes.sort_unstable();
        let (mut open, mut max) = (0_isize, 0);
        for (_, change) in changes {
            open += change;
            max = max.max(open);
        }
        max.unsigned_abs()
    }
}

/// A call whose answer is not yet complete.
pub(super) struct OpenCall {
    log: Arc<CallLog>,
    number: u64,
}

impl OpenCall {
    /// Notes the status of the answer.
    pub(super) fn answered(&self, status: u16) {
        if let Some(call) = self.log.0.lock().unwrap().get_mut(self.number) {
            call.status = Some(status);
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if let Some(call) = self.log.0.lock().unwrap().get_mut(self.number) {
            call.ended = Some(Instant::now());
        }
    }
}
