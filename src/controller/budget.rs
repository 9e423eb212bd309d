//! How much a provider is asked: calls per second and calls at a time, shared by all its requests.
//!
//! No pass waits in here. Who does not get a place at once stands in a queue, ordered by urgency,
//! and is woken when it is its turn; its place is then kept for it for a while. Who has one waits for
//! the rate before each further call.
//!
//! A provider that does not answer several times in a row is left alone for a while, then asked by
//! one call at a time until it answers again: a circuit breaker.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use jiff::SignedDuration;

use super::{key::RequestKey, leader::Leadership, lock};
use crate::{
    api::{Reason, provider},
    clock,
    plan::{Failure, Pause, Urgency},
    providers::http::{Turns, failed},
};

/// How long a place is kept for a request that was woken.
const KEPT: Duration = Duration::from_secs(10);
/// How long a call waits for its turn before it is given up: whoever has a place keeps others out.
const LONGEST_TURN: Duration = Duration::from_secs(5);
/// How long after its permit was given the first call may be made without waiting for a turn: it may
/// have to wait for a login.
const PREPAID_FOR: Duration = Duration::from_millis(100);
/// So many calls in a row without an answer open the breaker.
const OUTAGES: u32 = 5;
/// For how long it opens at most; a second at first, and twice as long each time.
const LONGEST_OUTAGE: Duration = Duration::from_secs(60);

/// The budget of one provider.
pub struct Budget {
    inner: Mutex<Inner>,
    leadership: Leadership,
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
    /// No call is made before then, whoever wants that.
    paused_until: Instant,
    /// The provider asked to be left alone until then.
    asked_until: Instant,
    queue: BTreeMap<(Urgency, u64), RequestKey>,
    /// Where in the queue each one stands, and since when.
    in_queue: HashMap<RequestKey, ((Urgency, u64), Instant)>,
    kept: HashMap<RequestKey, Instant>,
    arrivals: u64,
    alarm: Option<Instant>,
    /// How many calls in a row had no answer.
    outages: u32,
}

/// The right to make calls, one at a time. Given back when dropped.
pub struct Permit {
    budget: Arc<Budget>,
    /// The first call was accounted for when the permit was given.
    prepaid: AtomicBool,
    /// When that was.
    granted: Instant,
}

/// For the few calls that belong to no request: they wait for the rate alone.
pub struct Passerby(Arc<Budget>);

impl Budget {
    /// A budget. `wake` is called with a request whose turn it is.
    pub fn new(
        limits: &provider::Budget,
        leadership: Leadership,
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
                asked_until: now,
                queue: BTreeMap::new(),
                in_queue: HashMap::new(),
                kept: HashMap::new(),
                arrivals: 0,
                alarm: None,
                outages: 0,
            }),
            leadership,
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
    /// How long it takes at least, by the rate and by a pause that the provider asked for, or has taken
    /// so far, when there is no permit to be had now.
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
        let since = inner.in_queue.get(request).map_or(now, |(_, since)| *since);
        let waited = now.saturating_duration_since(since);
        let paused = inner.paused_until.saturating_duration_since(now);
        drop(inner);
        if granted {
            Ok(Permit {
                budget: Arc::clone(self),
                prepaid: AtomicBool::new(true),
                granted: now,
            })
        } else {
            self.advance();
            Err(wait.max(paused).max(waited))
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

    /// Leaves the provider alone for a while, as it has asked.
    pub fn pause(&self, length: Duration) {
        let until = clock::monotonic() + length;
        let mut inner = lock(&self.inner);
        inner.asked_until = inner.asked_until.max(until);
        inner.paused_until = inner.paused_until.max(until);
    }

    /// For calls that belong to no request.
    pub fn passerby(self: &Arc<Self>) -> Passerby {
        Passerby(Arc::clone(self))
    }

    /// Why the provider is left alone now, if it is.
    pub fn left_alone(&self) -> Option<Pause> {
        lock(&self.inner).left_alone(clock::monotonic())
    }

    /// Waits for the rate, and accounts for a call.
    async fn turn(&self) -> Result<(), Failure> {
        let until = {
            let now = clock::monotonic();
            let mut inner = lock(&self.inner);
            let from = inner.rate_allows_at(now).max(inner.paused_until).max(now);
            let wait = from.saturating_duration_since(now);
            if wait > LONGEST_TURN {
                let (reason, words) = match inner.left_alone(now) {
                    Some(Pause::Outage) => (
                        Reason::ProviderUnavailable,
                        "the provider did not answer several times in a row and is left alone for a while",
                    ),
                    Some(Pause::Asked) => (
                        Reason::RateLimited,
                        "the provider asked to be left alone for a while",
                    ),
                    None => (
                        Reason::WaitingForBudget,
                        "the provider's budget (spec.budget) is spent for the moment",
                    ),
                };
                // For the caller alone: the provider has said nothing new, so nobody else waits for it.
                return Err(Failure {
                    rest: SignedDuration::try_from(wait).ok(),
                    ..failed(reason, words)
                });
            }
            inner.spend(now);
            from
        };
        tokio::time::sleep_until(until.into()).await;
        self.led()
    }

    /// Right before a call: whoever does not lead any more makes none.
    fn led(&self) -> Result<(), Failure> {
        if self.leadership.may_act() {
            Ok(())
        } else {
            Err(failed(
                Reason::InternalError,
                "this copy of the operator does not act any more",
            ))
        }
    }

    fn answered(self: &Arc<Self>, answered: bool) {
        let now = clock::monotonic();
        let mut inner = lock(&self.inner);
        if answered {
            let was_open = inner.is_open();
            inner.outages = 0;
            drop(inner);
            if was_open {
                self.advance();
            }
            return;
        }
        // What was under way when it opened says nothing new.
        if inner.is_open() && now < inner.paused_until {
            return;
        }
        inner.outages = inner.outages.saturating_add(1);
        if inner.is_open() {
            let times = (inner.outages - OUTAGES).min(16);
            let pause = Duration::from_secs(1 << times).min(LONGEST_OUTAGE);
            inner.paused_until = inner.paused_until.max(now + pause);
        }
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
            inner.in_queue.remove(&request);
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
    fn is_open(&self) -> bool {
        self.outages >= OUTAGES
    }

    fn left_alone(&self, now: Instant) -> Option<Pause> {
        if self.is_open() {
            Some(Pause::Outage)
        } else {
            (self.asked_until > now).then_some(Pause::Asked)
        }
    }

    /// How many calls may be under way now: one, to see whether the provider is back.
    fn places(&self) -> u32 {
        if self.is_open() { 1 } else { self.concurrency }
    }

    fn may_start(&self, now: Instant) -> bool {
        self.under_way < self.places()
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
        let free = (!self.queue.is_empty() && self.under_way < self.places())
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
        let since = match self.in_queue.get(request) {
            Some(((old, _), _)) if *old == urgency => return,
            Some((_, since)) => *since,
            None => clock::monotonic(),
        };
        self.leave_queue(request);
        self.arrivals += 1;
        let place = (urgency, self.arrivals);
        self.queue.insert(place, request.clone());
        self.in_queue.insert(request.clone(), (place, since));
    }

    fn leave_queue(&mut self, request: &RequestKey) {
        if let Some((place, _)) = self.in_queue.remove(request) {
            self.queue.remove(&place);
        }
    }
}

impl Turns for Permit {
    fn next(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            // Not for a call that is made later than the turn it was given.
            let in_time = self.granted.elapsed() < PREPAID_FOR;
            if self.prepaid.swap(false, Ordering::Relaxed) && in_time {
                return self.budget.led();
            }
            self.budget.turn().await
        })
    }

    fn answered(&self, answered: bool) {
        self.budget.answered(answered);
    }
}

impl Turns for Passerby {
    fn next(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.0.turn())
    }

    fn answered(&self, answered: bool) {
        self.0.answered(answered);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.budget.inner).under_way -= 1;
        self.budget.advance();
    }
}

#[cfg(test)]
mod tests;
