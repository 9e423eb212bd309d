//! Whether this copy may act.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use tokio::sync::watch;

use super::Lease;
use crate::{clock, controller::lock};

/// Whether this copy may act. Clones share it.
#[derive(Clone)]
pub struct Leadership {
    inner: Arc<Inner>,
}

struct Inner {
    state: watch::Sender<State>,
    /// Whether this copy acts without a Lease.
    is_alone: bool,
    /// Until when the Lease is held for certain: no other copy takes it before. `None` before this copy
    /// holds it.
    proven_until: Mutex<Option<Instant>>,
}

/// The one signal that passes wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The Lease is not held yet, or it is not known whether it still is.
    Waiting,
    Acting,
    /// No new pass begins. Passes under way may act.
    Closing,
    /// This copy will never act again.
    Over,
}

impl Leadership {
    /// Of a copy that acts only while it holds a Lease, or of one that is said to be alone.
    pub fn new(lease: Option<&Lease>) -> Self {
        let state = match lease {
            Some(_) => State::Waiting,
            None => State::Acting,
        };
        let inner = Inner {
            state: watch::Sender::new(state),
            is_alone: lease.is_none(),
            proven_until: Mutex::default(),
        };
        Leadership {
            inner: Arc::new(inner),
        }
    }

    /// Whether this copy may change something now. False once the Lease has not been renewed for so
    /// long that another copy may have taken it, or the process was stopped for so long.
    pub fn may_act(&self) -> bool {
        *self.inner.state.borrow() != State::Over && self.is_proven()
    }

    pub(super) fn is_proven(&self) -> bool {
        let proven = |until| clock::monotonic() < until;
        self.inner.is_alone || lock(&self.inner.proven_until).is_some_and(proven)
    }

    pub(super) fn proven_until(&self) -> Option<Instant> {
        *lock(&self.inner.proven_until)
    }

    /// Waits until this copy may act. False when no new pass may begin any more.
    pub async fn until_acting(&self) -> bool {
        let mut state = self.inner.state.subscribe();
        loop {
            let now = *state.borrow_and_update();
            match now {
                State::Closing | State::Over => return false,
                State::Acting if self.is_proven() => return true,
                State::Acting | State::Waiting => {}
            }
            // The sender lives as long as `self`.
            if state.changed().await.is_err() {
                return false;
            }
        }
    }

    /// The Lease is held until then.
    pub(super) fn prove(&self, until: Instant) {
        *lock(&self.inner.proven_until) = Some(until);
        self.enter(State::Acting);
    }

    /// Nobody knows whether the Lease is still held.
    pub(super) fn doubt(&self) {
        self.enter(State::Waiting);
    }

    /// No new pass begins.
    pub fn close(&self) {
        self.enter(State::Closing);
    }

    /// This copy will never act again.
    pub fn end(&self) {
        self.enter(State::Over);
    }

    /// Wakes those that wait, also when the state was that one before: the proof may be new.
    fn enter(&self, to: State) {
        self.inner.state.send_modify(|state| {
            let is_final = match *state {
                State::Waiting | State::Acting => false,
                State::Closing => to != State::Over,
                State::Over => true,
            };
            if !is_final {
                *state = to;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lease() -> Lease {
        Lease {
            name: "l".into(),
            namespace: "n".into(),
            identity: "me".into(),
            duration: Duration::from_secs(15),
        }
    }

    #[test]
    fn a_copy_that_is_alone_may_always_act() {
        assert!(Leadership::new(None).may_act());
    }

    #[test]
    fn a_copy_acts_no_longer_than_the_lease_was_renewed() {
        let leadership = Leadership::new(Some(&lease()));
        assert!(!leadership.may_act(), "not before it holds the lease");
        let now = clock::monotonic();
        leadership.prove(now);
        assert!(!leadership.may_act(), "the lease is over");
        leadership.prove(now + Duration::from_secs(15));
        assert!(
            leadership.may_act(),
            "it goes on when it is renewed after all"
        );
        leadership.close();
        assert!(leadership.may_act(), "passes under way may end");
        leadership.end();
        leadership.prove(now + Duration::from_secs(15));
        assert!(!leadership.may_act(), "the end is final");
    }

    #[tokio::test]
    async fn all_that_wait_go_on_when_the_lease_is_renewed_and_give_up_when_it_is_lost() {
        let leadership = Leadership::new(Some(&lease()));
        let waiting = |leadership: &Leadership| {
            let leadership = leadership.clone();
            tokio::spawn(async move { leadership.until_acting().await })
        };
        let (first, second) = (waiting(&leadership), waiting(&leadership));
        tokio::task::yield_now().await;
        assert!(!first.is_finished() && !second.is_finished());
        leadership.prove(clock::monotonic() + Duration::from_secs(15));
        assert!(first.await.unwrap() && second.await.unwrap());
        leadership.doubt();
        let third = waiting(&leadership);
        tokio::task::yield_now().await;
        assert!(
            !third.is_finished(),
            "it is not known whether the lease is held"
        );
        leadership.end();
        assert!(!third.await.unwrap());
    }
}
