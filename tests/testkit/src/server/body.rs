//! Answer bodies: those that fit in memory, and the endless ones that faults send.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame, SizeHint};

use super::calls::OpenCall;

/// Any body that the server can send.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;

const CHUNK: &[u8] = &[b'a'; 64 * 1024];

/// A body in memory.
pub(super) fn full(bytes: Bytes) -> AnyBody {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// The beginning of a JSON string, `length` bytes in total, made while it is sent.
pub(super) fn huge(length: u64) -> AnyBody {
    streamed(stream::unfold((true, length), |(first, left)| async move {
        let chunk = match (first, left) {
            (_, 0) => return None,
            (true, _) => Bytes::from_static(b"\""),
            (false, _) => {
                let size = usize::try_from(left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
                Bytes::from_static(&CHUNK[..size])
            }
        };
        let left = left - chunk.len() as u64;
        Some((Ok(chunk), (false, left)))
    }))
}

/// One byte at once and one more every second, for ever.
pub(super) fn drip() -> AnyBody {
    streamed(stream::unfold(false, |started| async move {
        if started {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Some((Ok(Bytes::from_static(b" ")), true))
    }))
}

/// The bytes, and then the connection breaks.
pub(super) fn broken_after(bytes: Bytes) -> AnyBody {
    let broken = stream::once(async {
        // hyper sends what it holds only when the body has nothing more to give: without this pause the client
        // would see a cut connection and no answer at all.
        tokio::time::sleep(Duration::from_millis(10)).await;
        Err(io::Error::other("truncated on purpose"))
    });
    streamed(stream::once(async { Ok(bytes) }).chain(broken))
}

fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> AnyBody {
    StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

/// A body that keeps its call open in the log until the last byte was handed over or the client has left: hyper
/// drops the body at either.
pub(super) struct Watched {
    inner: AnyBody,
    _call: Option<OpenCall>,
}

impl Watched {
    pub(super) fn new(inner: AnyBody, call: Option<OpenCall>) -> Self {
        Self { inner, _call: call }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
