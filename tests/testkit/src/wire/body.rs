//! The body of an answer on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::journal::Entry;

/// Passes each part on as it comes, and ends the call's entry when it is dropped: hyper does so
/// when the last part has been taken or when the client is gone.
pub(super) struct Answer {
    inner: BoxBody<Bytes, hyper::Error>,
    _entry: Entry,
}

impl Answer {
    pub(super) fn streamed(inner: Incoming, entry: Entry) -> Self {
        Self {
            inner: inner.boxed(),
            _entry: entry,
        }
    }

    pub(super) fn whole(bytes: Bytes, entry: Entry) -> Self {
        Self {
            inner: Full::new(bytes).map_err(|never| match never {}).boxed(),
            _entry: entry,
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
