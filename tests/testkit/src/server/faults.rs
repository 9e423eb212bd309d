//! The faults that are set on a server, and which of them a request meets.

use std::sync::Mutex;

use http::Method;
use tokio_util::sync::CancellationToken;

use super::{Fault, Route};

/// The faults of one server. Faults pushed for a number of times come first, in the order in which they were pushed;
/// then those set to stay, the newest first.
#[derive(Default)]
pub struct Faults(Mutex<State>);

#[derive(Default)]
struct State {
    /// Cancelled by `clear`, and every fault's own token with it, also of those that are used up: a request may
    /// still hang in one.
    all: CancellationToken,
    staying: Vec<Entry>,
    counted: Vec<(Entry, usize)>,
}

struct Entry {
    route: Route,
    fault: Fault,
    released: CancellationToken,
}

impl State {
    fn entry(&self, route: Route, fault: Fault) -> Entry {
        let released = self.all.child_token();
        Entry {
            route,
            fault,
            released,
        }
    }
}

/// A fault that a request has met.
pub(crate) struct Met {
    pub(crate) fault: Fault,
    /// Cancelled when the fault is removed.
    pub(crate) released: CancellationToken,
}

impl Faults {
    /// Every request to the route meets this fault until it is removed. Replaces what was set for an equal route.
    pub fn set(&self, route: impl Into<Route>, fault: Fault) {
        let route = route.into();
        self.remove(&route);
        let mut state = self.0.lock().unwrap();
        let entry = state.entry(route, fault);
        state.staying.push(entry);
    }

    /// The next `times` requests to the route meet this fault.
    pub fn push_n(&self, route: impl Into<Route>, fault: Fault, times: usize) {
        let mut state = self.0.lock().unwrap();
        let entry = state.entry(route.into(), fault);
        state.counted.push((entry, times));
    }

    /// Removes what [`Faults::set`] set for an equal route, and lets go the requests that hang in it.
    pub fn remove(&self, route: impl Into<Route>) {
        let route = route.into();
        let mut state = self.0.lock().unwrap();
        state.staying.retain(|entry| {
            if entry.route == route {
                entry.released.cancel();
            }
            entry.route != route
        });
    }

    /// Removes all faults, and lets go all requests that hang.
    pub fn clear(&self) {
        let state = std::mem::take(&mut *self.0.lock().unwrap());
        state.all.cancel();
    }

    /// How many faults that were pushed are still waiting for a request.
    pub fn pending(&self) -> usize {
        let state = self.0.lock().unwrap();
        state.counted.iter().map(|(_, times)| times).sum()
    }

    pub(crate) fn meet(&self, method: &Method, path: &str) -> Option<Met> {
        let mut state = self.0.lock().unwrap();
        state.counted.retain(|(_, times)| *times > 0);
        let counted = state.counted.iter_mut();
        for (entry, times) in counted {
            if entry.route.matches(method, path) {
                *times -= 1;
                return Some(entry.met());
            }
        }
        let mut staying = state.staying.iter().rev();
        let entry = staying.find(|entry| entry.route.matches(method, path))?;
        Some(entry.met())
    }
}

impl Entry {
    fn met(&self) -> Met {
        Met {
            fault: self.fault.clone(),
            released: self.released.clone(),
        }
    }
}
