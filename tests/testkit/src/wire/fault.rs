//! What can be made to go wrong, and when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;

use super::call::CallHead;

/// What happens to a call that a rule matches.
pub enum Fault {
    /// Holds the call before it is forwarded, until the rule is released. If the client goes away
    /// meanwhile, it is never forwarded.
    HoldBefore,
    /// Forwards the call, and holds the answer until the rule is released: the upstream has done
    /// what it was asked, and the client does not know.
    HoldAfter,
    /// Closes the connection without forwarding the call.
    CutBefore,
    /// Forwards the call, and closes the connection once the upstream has answered.
    CutAfter,
    /// Forwards the call after this time.
    Delay(Duration),
    /// Answers with this, without forwarding.
    Reply(ResponseParts),
    /// Forwards the call, waits for the whole answer and changes it. Not for watches, whose answer
    /// has no end.
    Rewrite(Box<dyn Fn(ResponseParts) -> ResponseParts + Send + Sync>),
}

impl Fault {
    /// [`Fault::Rewrite`] with a closure.
    pub fn rewrite(
        change: impl Fn(ResponseParts) -> ResponseParts + Send + Sync + 'static,
    ) -> Self {
        Self::Rewrite(Box::new(change))
    }
}

/// An answer, all of it.
#[derive(Clone, Debug)]
pub struct ResponseParts {
    /// The HTTP status.
    pub status: u16,
    /// The headers; the length of the body is not one of them, it follows from the body.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl ResponseParts {
    /// An answer with a body of plain text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::with_type(status, "text/plain; charset=utf-8", body.into().into())
    }

    /// An answer with a body of JSON.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::with_type(status, "application/json", body.to_string().into())
    }

    fn with_type(status: u16, content_type: &'static str, body: Bytes) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self {
            status,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, content_type)]),
            body,
        }
    }

    /// The same answer with one more header.
    ///
    /// # Panics
    /// When `name` or `value` is not valid.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a valid header value");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }
}

type Matcher = dyn Fn(&CallHead) -> bool + Send + Sync;

/// A fault with what it applies to.
pub(super) struct Rule {
    matcher: Box<Matcher>,
    pub(super) fault: Fault,
    /// How many more calls it applies to; None: any number.
    left: Mutex<Option<u32>>,
    /// How many calls have felt it.
    hits: watch::Sender<u64>,
    released: watch::Sender<bool>,
}

impl Rule {
    fn takes(&self, call: &CallHead) -> bool {
        if !(self.matcher)(call) {
            return false;
        }
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match left.as_mut() {
            None => true,
            Some(0) => false,
            Some(count) => {
                *count -= 1;
                true
            }
        }
    }

    /// Counts a call that feels the fault now.
    pub(super) fn hit(&self) {
        self.hits.send_modify(|hits| *hits += 1);
    }

    /// Counts a call and holds it.
    pub(super) async fn hold(&self) {
        self.hit();
        // An error means that the rule is gone, which it cannot be while it is borrowed here.
        let _ = self
            .released
            .subscribe()
            .wait_for(|released| *released)
            .await;
    }
}

/// The rules of a proxy, in the order in which they were made.
#[derive(Default)]
pub(super) struct Rules(Mutex<Vec<Arc<Rule>>>);

impl Rules {
    pub(super) fn add(
        &self,
        matcher: impl Fn(&CallHead) -> bool + Send + Sync + 'static,
        fault: Fault,
        times: Option<u32>,
    ) -> Arc<Rule> {
        let rule = Arc::new(Rule {
            matcher: Box::new(matcher),
            fault,
            left: Mutex::new(times),
            hits: watch::Sender::new(0),
            released: watch::Sender::new(false),
        });
        self.lock().push(Arc::clone(&rule));
        rule
    }

    /// The first rule that applies to `call`; this counts as one of its times.
    pub(super) fn take(&self, call: &CallHead) -> Option<Arc<Rule>> {
        // A copy, so that a matcher runs without the lock and may do what it likes.
        let rules = self.lock().clone();
        rules.into_iter().find(|rule| rule.takes(call))
    }

    pub(super) fn clear(&self) {
        for rule in std::mem::take(&mut *self.lock()) {
            rule.released.send_replace(true);
        }
    }

    fn remove(&self, rule: &Arc<Rule>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, rule));
        rule.released.send_replace(true);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Rule>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a test holds of a rule. Dropping it leaves the rule in force.
#[derive(Clone)]
pub struct RuleHandle {
    rule: Arc<Rule>,
    rules: Arc<Rules>,
    runtime: tokio::runtime::Handle,
}

impl RuleHandle {
    pub(super) fn new(rule: Arc<Rule>, rules: Arc<Rules>, runtime: tokio::runtime::Handle) -> Self {
        Self {
            rule,
            rules,
            runtime,
        }
    }

    /// How many calls have felt the fault. With `HoldAfter`, `CutAfter` and `Rewrite` a call counts
    /// when the upstream has answered it.
    #[must_use]
    pub fn hits(&self) -> u64 {
        *self.rule.hits.borrow()
    }

    /// Waits until a call has felt the fault.
    ///
    /// # Errors
    /// When `deadline` passes before.
    pub async fn hit(&self, deadline: Duration) -> Result<()> {
        self.hit_times(1, deadline).await
    }

    /// Waits until `times` calls have felt the fault.
    ///
    /// # Errors
    /// When `deadline` passes before.
    pub async fn hit_times(&self, times: u64, deadline: Duration) -> Result<()> {
        let mut hits = self.rule.hits.subscribe();
        let waiting = tokio::time::timeout(deadline, hits.wait_for(|hits| *hits >= times)).await;
        waiting.with_context(|| self.too_late(times, deadline))??;
        Ok(())
    }

    /// [`hit`](Self::hit) for code that is not async; blocks the thread.
    ///
    /// # Errors
    /// When `deadline` passes before.
    pub fn wait_hit(&self, deadline: Duration) -> Result<()> {
        self.wait_hits(1, deadline)
    }

    /// [`hit_times`](Self::hit_times) for code that is not async; blocks the thread.
    ///
    /// # Errors
    /// When `deadline` passes before.
    pub fn wait_hits(&self, times: u64, deadline: Duration) -> Result<()> {
        let mut hits = self.rule.hits.subscribe();
        let (done, waiting) = std::sync::mpsc::sync_channel(1);
        let watching = self.runtime.spawn(async move {
            if hits.wait_for(|hits| *hits >= times).await.is_ok() {
                let _ = done.send(());
            }
        });
        let result = waiting.recv_timeout(deadline);
        watching.abort();
        result.with_context(|| self.too_late(times, deadline))
    }

    fn too_late(&self, times: u64, deadline: Duration) -> String {
        format!(
            "the rule was hit {} instead of {times} times within {deadline:?}",
            self.hits()
        )
    }

    /// Lets all calls that are held go on, and holds none any more.
    pub fn release(&self) {
        self.rule.released.send_replace(true);
    }

    /// Removes the rule; calls that it holds go on.
    pub fn remove(&self) {
        self.rules.remove(&self.rule);
    }
}
