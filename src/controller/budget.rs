//! How much a provider is asked: calls per second and calls at a time, shared by all its requests.
//!
//! Nobody waits in here. Who does not get a place at once stands in a queue, ordered by urgency,
//! and is woken when it is its turn; its place is then kept for it for a while.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use super::{key::RequestKey, lock};
use crate::{api::provider, clock, plan::Urgency};

/// How long a place is kept for a request that was woken.
const KEPT: Duration = Duration::from_secs(10);

/// The budget of one provider.
pub struct Budget {
    inner: Mutex<Inner>,
    wake: Box<dyn Fn(&RequestKey) + Send + Sync>,
}

struct Inner {
    /// The time that one call costs.
    interval: Duration,
    /// How many calls may be under way.
    concurrency: u32,
    under_way: u32,
    /// When the rate is spent up to; a GCRA, in which the past is not saved beyond one second.
    spent_until: Instant,
    /// The provider asked to be left alone until then.
    paused_until: Instant,
    queue: BTreeMap<(Urgency, u64), RequestKey>,
    places: HashMap<RequestKey, (Urgency, u64)>,
    kept: HashMap<RequestKey, Instant>,
    arrivals: u64,
    alarm: Option<Instant>,
}

/// The right to make calls, one at a time. Given back when dropped.
pub struct Permit {
    budget: Arc<Budget>,
}

impl Budget {
    /// A budget. `wake` is called with a request whose turn it is.
    pub fn new(
        limits: &provider::Budget,
        wake: impl Fn(&RequestKey) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let now = clock::monotonic();
        Arc::new(Budget {
            inner: Mutex::new(Inner {
                interval: Duration::from_secs(1) / limits.requests_per_second(),
                concurrency: limits.concurrency(),
                under_way: 0,
                spent_until: now,
                paused_until: now,
                queue: BTreeMap::new(),
                places: HashMap::new(),
                kept: HashMap::new(),
                arrivals: 0,
                alarm: None,
            }),
            wake: Box::new(wake),
        })
    }

    /// Changes the limits; what is under way goes on.
    pub fn set(self: &Arc<Self>, limits: &provider::Budget) {
        let mut inner = lock(&self.inner);
        inner.interval = Duration::from_secs(1) / limits.requests_per_second();
        inner.concurrency = limits.concurrency();
        drop(inner);
        self.advance();
    }

    /// A permit, or a place in the queue.
    ///
    /// # Errors
    /// How long it takes at least, by the rate and by a pause that the provider asked for, when there
    /// is no permit to be had now.
    pub fn acquire(
        self: &Arc<Self>,
        request: &RequestKey,
        urgency: Urgency,
    ) -> Result<Permit, Duration> {
        let now = clock::monotonic();
        let mut inner = lock(&self.inner);
        inner.forget_the_late(now);
        let granted = if inner.kept.remove(request).is_some() {
            true
        } else if inner.queue.range(..(urgency, 0)).next().is_none()
            && (inner.queue.is_empty() || inner.is_first(request))
            && inner.may_start(now)
        {
            inner.leave_queue(request);
            inner.start(now);
            true
        } else {
            inner.enqueue(request, urgency);
            false
        };
        let wait = inner.interval * u32::try_from(inner.queue.len()).unwrap_or(u32::MAX);
        let paused = inner.paused_until.saturating_duration_since(now);
        drop(inner);
        if granted {
            Ok(Permit {
                budget: Arc::clone(self),
            })
        } else {
            self.advance();
            Err(wait.max(paused))
        }
    }

    /// Forgets a request that no longer wants anything.
    pub fn leave(self: &Arc<Self>, request: &RequestKey) {
        let mut inner = lock(&self.inner);
        inner.leave_queue(request);
        let freed = inner.kept.remove(request).is_some();
        if freed {
            inner.under_way -= 1;
        }
        drop(inner);
        if freed {
            self.advance();
        }
    }

    /// Leaves the provider alone for a while.
    pub fn pause(&self, length: Duration) {
        let mut inner = lock(&self.inner);
        inner.paused_until = inner.paused_until.max(clock::monotonic() + length);
    }

    /// How many requests are waiting.
    pub fn waiting(&self) -> usize {
        lock(&self.inner).queue.len()
    }

    /// Lets those go ahead whose turn it is, and comes back when the next one's is.
    fn advance(self: &Arc<Self>) {
        let now = clock::monotonic();
        let mut turn = Vec::new();
        let mut inner = lock(&self.inner);
        inner.forget_the_late(now);
        while inner.may_start(now) {
            let Some((_, request)) = inner.queue.pop_first() else {
                break;
            };
            inner.places.remove(&request);
            inner.start(now);
            inner.kept.insert(request.clone(), now + KEPT);
            turn.push(request);
        }
        let again = inner.next_chance(now);
        let set_alarm =
            again.is_some_and(|at| inner.alarm.is_none_or(|alarm| alarm <= now || at < alarm));
        if set_alarm {
            inner.alarm = again;
        }
        drop(inner);
        for request in turn {
            (self.wake)(&request);
        }
        if let Some(at) = again.filter(|_| set_alarm) {
            let budget: Weak<Budget> = Arc::downgrade(self);
            tokio::spawn(async move {
                tokio::time::sleep_until(at.into()).await;
                if let Some(budget) = budget.upgrade() {
                    lock(&budget.inner).alarm = None;
                    budget.advance();
                }
            });
        }
    }
}

impl Inner {
    fn may_start(&self, now: Instant) -> bool {
        self.under_way < self.concurrency
            && now >= self.rate_allows_at(now)
            && now >= self.paused_until
    }

    /// When the rate allows the next call: what was spent may run ahead by a second's worth.
    fn rate_allows_at(&self, now: Instant) -> Instant {
        let ahead = Duration::from_secs(1).saturating_sub(self.interval);
        self.spent_until.checked_sub(ahead).unwrap_or(now)
    }

    fn start(&mut self, now: Instant) {
        self.under_way += 1;
        self.spend(now);
    }

    fn spend(&mut self, now: Instant) {
        self.spent_until = self.spent_until.max(now) + self.interval;
    }

    /// When to look again without being told: the queue moves with time alone while a place is free.
    fn next_chance(&self, now: Instant) -> Option<Instant> {
        if self.queue.is_empty() && self.kept.is_empty() {
            return None;
        }
        let late = self.kept.values().min().copied();
        let free = (!self.queue.is_empty() && self.under_way < self.concurrency)
            .then(|| self.rate_allows_at(now).max(self.paused_until));
        [late, free]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.max(now + Duration::from_millis(1)))
    }

    fn forget_the_late(&mut self, now: Instant) {
        let before = self.kept.len();
        self.kept.retain(|_, until| *until > now);
        self.under_way -= u32::try_from(before - self.kept.len()).unwrap_or_default();
    }

    fn is_first(&self, request: &RequestKey) -> bool {
        self.queue
            .first_key_value()
            .is_some_and(|(_, first)| first == request)
    }

    fn enqueue(&mut self, request: &RequestKey, urgency: Urgency) {
        match self.places.get(request) {
            Some((old, _)) if *old == urgency => {}
            _ => {
                self.leave_queue(request);
                self.arrivals += 1;
                self.queue.insert((urgency, self.arrivals), request.clone());
                self.places
                    .insert(request.clone(), (urgency, self.arrivals));
            }
        }
    }

    fn leave_queue(&mut self, request: &RequestKey) {
        if let Some(place) = self.places.remove(request) {
            self.queue.remove(&place);
        }
    }
}

impl Permit {
    /// Accounts for one more call under the same permit, such as the proof after the issue. It goes
    /// ahead even when the rate is spent; who comes next waits longer.
    pub fn one_more(&self) {
        lock(&self.budget.inner).spend(clock::monotonic());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.budget.inner).under_way -= 1;
        self.budget.advance();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn budget(rate: i32, concurrency: i32) -> (Arc<Budget>, mpsc::UnboundedReceiver<RequestKey>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let limits = provider::Budget {
            requests_per_second: Some(rate),
            concurrency: Some(concurrency),
        };
        (
            Budget::new(&limits, move |key| drop(sender.send(key.clone()))),
            receiver,
        )
    }

    fn key(name: &str) -> RequestKey {
        RequestKey {
            namespace: "ns".into(),
            name: name.into(),
        }
    }

    #[tokio::test]
    async fn no_more_calls_than_allowed_are_under_way_and_the_next_is_woken() {
        let (budget, mut woken) = budget(1000, 2);
        let first = budget.acquire(&key("a"), Urgency::New).unwrap();
        let _second = budget.acquire(&key("b"), Urgency::New).unwrap();
        assert!(budget.acquire(&key("c"), Urgency::New).is_err());
        assert_eq!(budget.waiting(), 1);
        drop(first);
        assert_eq!(woken.recv().await, Some(key("c")));
        assert!(
            budget.acquire(&key("d"), Urgency::New).is_err(),
            "the place is kept for c"
        );
        assert!(budget.acquire(&key("c"), Urgency::New).is_ok());
    }

    #[tokio::test]
    async fn what_expires_first_goes_first_and_routine_waits() {
        let (budget, mut woken) = budget(1000, 1);
        let busy = budget.acquire(&key("busy"), Urgency::New).unwrap();
        let at = |second| Urgency::Expiring(jiff::Timestamp::from_second(second).unwrap());
        for (name, urgency) in [
            ("routine", Urgency::Routine),
            ("new", Urgency::New),
            ("late", at(20)),
            ("soon", at(10)),
        ] {
            assert!(budget.acquire(&key(name), urgency).is_err());
        }
        drop(busy);
        for name in ["soon", "late", "new", "routine"] {
            assert_eq!(woken.recv().await, Some(key(name)));
            drop(budget.acquire(&key(name), Urgency::Routine).unwrap());
        }
    }

    #[tokio::test]
    async fn the_rate_holds_after_a_second_s_worth_at_once() {
        let (budget, mut woken) = budget(10, 100);
        let at_once = (0..50)
            .filter(|i| budget.acquire(&key(&i.to_string()), Urgency::New).is_ok())
            .count();
        assert_eq!(at_once, 10);
        assert!(woken.recv().await.is_some(), "the queue moves by itself");
    }

    #[tokio::test]
    async fn who_leaves_gives_its_place_away() {
        let (budget, mut woken) = budget(1000, 1);
        let busy = budget.acquire(&key("busy"), Urgency::New).unwrap();
        assert!(budget.acquire(&key("a"), Urgency::New).is_err());
        assert!(budget.acquire(&key("b"), Urgency::New).is_err());
        drop(busy);
        assert_eq!(woken.recv().await, Some(key("a")));
        budget.leave(&key("a"));
        assert_eq!(woken.recv().await, Some(key("b")));
    }
}
