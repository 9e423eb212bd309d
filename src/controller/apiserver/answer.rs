//! The body of an answer, with a deadline.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use tokio::time::Sleep;

use super::{Unanswered, health::WatchHealth, pool::Pool};

/// The body of an answer. At its deadline it fails, or, if it is that of a watch, ends.
pub(super) struct Answer {
    /// `None` once it has ended.
    inner: Option<Body>,
    deadline: Pin<Box<Sleep>>,
    pool: Pool,
    generation: u64,
    kind: Kind,
}

enum Kind {
    Call(Duration),
    Watch(Option<Arc<WatchHealth>>),
}

impl Answer {
    pub(super) fn new(inner: Body, deadline: Instant, pool: Pool, generation: u64) -> Self {
        Answer {
            inner: Some(inner),
            deadline: Box::pin(tokio::time::sleep_until(deadline.into())),
            pool,
            generation,
            kind: Kind::Watch(None),
        }
    }

    /// It fails at its deadline, so long after the call began.
    pub(super) fn that_fails_after(mut self, time: Duration) -> Self {
        self.kind = Kind::Call(time);
        self
    }

    /// It ends at its deadline, as if the API server had ended the watch.
    pub(super) fn of_watch(mut self, watch: Option<Arc<WatchHealth>>) -> Self {
        if let Some(watch) = &watch {
            watch.began();
        }
        self.kind = Kind::Watch(watch);
        self
    }

    fn end(&mut self) {
        self.inner = None;
        if let Kind::Watch(Some(watch)) = &self.kind {
            watch.ended();
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = tower::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        // What has arrived of a call counts, however late it is looked at.
        if let (Kind::Call(_), Poll::Ready(frame)) =
            (&this.kind, Pin::new(&mut *inner).poll_frame(context))
        {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.deadline.as_mut().poll(context).is_ready() {
            this.pool.replace(this.generation);
            this.end();
            return Poll::Ready(match this.kind {
                Kind::Call(time) => Some(Err(Unanswered(time).into())),
                Kind::Watch(_) => None,
            });
        }
        if matches!(this.kind, Kind::Call(_)) {
            return Poll::Pending;
        }
        let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) else {
            return Poll::Pending;
        };
        if !matches!(frame, Some(Ok(_))) {
            this.end();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.end();
        }
    }
}
