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
use tokio::sync::watch;

use super::{Unanswered, health::WatchHealth};

/// The body of an answer. At its deadline it fails, or, if it is that of a watch, ends.
pub(super) struct Answer {
    /// `None` once it has ended.
    inner: Option<Body>,
    /// Ends when the body has to.
    limit: Pin<Box<dyn Future<Output = ()> + Send>>,
    kind: Kind,
}

enum Kind {
    Call(Duration),
    Watch(Option<Arc<WatchHealth>>),
}

impl Answer {
    /// The answer to a call, which fails at `end`, so long after the call began.
    pub(super) fn of_call(
        body: Body,
        end: Instant,
        give_up: impl FnOnce() + Send + 'static,
        whole: Duration,
    ) -> Self {
        Answer {
            inner: Some(body),
            limit: Box::pin(async move {
                tokio::time::sleep_until(end.into()).await;
                give_up();
            }),
            kind: Kind::Call(whole),
        }
    }

    /// The answer to a watch. It ends as if the API server had ended it: at `end`, or when all
    /// connections become suspect.
    pub(super) fn of_watch(
        body: Body,
        end: Instant,
        give_up: impl FnOnce() + Send + 'static,
        mut suspicions: watch::Receiver<u64>,
        watch: Option<Arc<WatchHealth>>,
    ) -> Self {
        if let Some(watch) = &watch {
            watch.began();
        }
        Answer {
            inner: Some(body),
            limit: Box::pin(async move {
                tokio::select! {
                    () = tokio::time::sleep_until(end.into()) => give_up(),
                    Ok(()) = suspicions.changed() => {}
                }
            }),
            kind: Kind::Watch(watch),
        }
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
        let is_call = matches!(this.kind, Kind::Call(_));
        // What has arrived of a call counts, however late it is looked at. A watch ends on time,
        // however much arrives.
        let is_over = !is_call && this.limit.as_mut().poll(context).is_ready();
        if !is_over && let Poll::Ready(frame) = Pin::new(inner).poll_frame(context) {
            if !matches!(frame, Some(Ok(_))) {
                this.end();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let is_late = is_call && this.limit.as_mut().poll(context).is_ready();
        if !is_over && !is_late {
            return Poll::Pending;
        }
        this.end();
        Poll::Ready(match this.kind {
            Kind::Call(time) => Some(Err(Unanswered(time).into())),
            Kind::Watch(_) => None,
        })
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
