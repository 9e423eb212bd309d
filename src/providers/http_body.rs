//! Reading the body of an answer, within the limit that fits the call.
//!
//! Memory is bounded for all calls together: only a few bodies that are longer than usual are in
//! memory at the same time, whoever sends them.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use zeroize::Zeroizing;

use super::http::{failed, failure};
use crate::{api::Reason, plan::Failure};

const MIB: usize = 1024 * 1024;

/// How many bodies of more than [`Size::USUAL`] may be in memory at the same time.
const LONG_BODIES: usize = 4;
static LONG: Semaphore = Semaphore::const_new(LONG_BODIES);
/// How long a call waits until it may read a long body.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of an answer's body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The largest body, in bytes.
    most: usize,
    /// A longer body is cut off there instead of being a failure.
    cut: bool,
}

impl Size {
    /// One object. A longer body is a failure.
    pub const USUAL: Size = Size {
        most: MIB,
        cut: false,
    };
    /// A list that grows with what users make at the provider: thousands of entries. A longer body
    /// is a failure.
    pub const LIST: Size = Size {
        most: 8 * MIB,
        cut: false,
    };
    /// As [`Size::LIST`]; of a longer body the beginning is kept, and the answer's `is_whole` is not
    /// set.
    pub const LIST_OR_BEGINNING: Size = Size {
        cut: true,
        ..Size::LIST
    };
    /// Only the beginning, for a call whose outcome shows there.
    pub const BEGINNING: Size = Size {
        most: 64 * 1024,
        cut: true,
    };

    /// The limit in bytes.
    pub const fn bytes(self) -> usize {
        self.most
    }

    /// The limit in whole MiB, for messages.
    pub const fn mib(self) -> usize {
        self.most / MIB
    }
}

/// The body of an answer.
pub struct Body {
    /// The bytes. They may hold secrets, so they are wiped and cannot be printed.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether nothing was cut off.
    pub is_whole: bool,
    /// Held for as long as a long body is in memory.
    pub(super) _place: Option<SemaphorePermit<'static>>,
}

/// Reads a body.
///
/// # Errors
/// `UnexpectedAnswer` when it is too long; `Timeout`, also when others read long bodies for too
/// long; `ProviderUnavailable` when the connection broke.
pub(super) async fn read(response: &mut reqwest::Response, size: Size) -> Result<Body, Failure> {
    let mut body = Body {
        bytes: Zeroizing::new(Vec::new()),
        is_whole: true,
        _place: None,
    };
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        let room = size.most - body.bytes.len();
        if chunk.len() > room && !size.cut {
            return Err(failed(
                Reason::UnexpectedAnswer,
                format!("the answer is larger than {} MiB", size.mib()),
            ));
        }
        let (kept, rest) = chunk.split_at(chunk.len().min(room));
        if body.bytes.len() + kept.len() > Size::USUAL.most && body._place.is_none() {
            body._place = Some(place().await?);
        }
        append(&mut body.bytes, kept);
        if !rest.is_empty() {
            body.is_whole = false;
            break;
        }
    }
    Ok(body)
}

/// Appends without leaving an unwiped copy behind where the vector has to move.
fn append(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    if bytes.capacity() - bytes.len() < more.len() {
        let wanted = (bytes.len() + more.len()).max(2 * bytes.capacity());
        let mut moved = Zeroizing::new(Vec::with_capacity(wanted));
        moved.extend_from_slice(bytes);
        *bytes = moved;
    }
    bytes.extend_from_slice(more);
}

async fn place() -> Result<SemaphorePermit<'static>, Failure> {
    match tokio::time::timeout(PATIENCE, LONG.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        // The semaphore is never closed.
        Ok(Err(_)) | Err(_) => Err(failed(
            Reason::Timeout,
            format!(
                "the answer is larger than {} MiB, and other answers of that size were being read for too long",
                Size::USUAL.mib()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use reqwest::Method;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use url::Url;

    use super::*;
    use crate::providers::http::{Answer, Call, HttpClient, HttpSettings, Turns};

    /// Takes no turn.
    struct Free;
    impl Turns for Free {
        fn next(&self) -> BoxFuture<'_, Result<(), Failure>> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn answered(&self, _: bool) {}
    }

    /// A server whose answers have as many bytes as the path says.
    async fn server() -> HttpClient {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    let read = stream.read(&mut head).await.unwrap_or_default();
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default();
                    let length: usize = path.trim_matches('/').parse().unwrap_or_default();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                    drop(stream.write_all(head.as_bytes()).await);
                    // A client that has read enough breaks the connection off.
                    drop(stream.write_all(&vec![b'x'; length]).await);
                });
            }
        });
        HttpClient::new(&Url::parse(&url).unwrap(), HttpSettings::default()).unwrap()
    }

    async fn answer(client: &HttpClient, length: usize, size: Size) -> Result<Answer, Failure> {
        let length = length.to_string();
        let path = [length.as_str()];
        let call = Call {
            size,
            ..Call::new(Method::GET, &path)
        };
        client.send(&Free, call).await
    }

    #[tokio::test]
    async fn each_call_reads_as_much_as_fits_it_and_long_bodies_are_few_at_a_time() {
        let client = server().await;
        for (what, length, size, expected) in [
            ("an object", MIB, Size::USUAL, Ok((MIB, true))),
            ("a long object", MIB + 1, Size::USUAL, Err("than 1 MiB")),
            ("a list", 3 * MIB, Size::LIST, Ok((3 * MIB, true))),
            ("a long list", 8 * MIB + 1, Size::LIST, Err("than 8 MiB")),
            (
                "a long list, of which the beginning helps",
                9 * MIB,
                Size::LIST_OR_BEGINNING,
                Ok((8 * MIB, false)),
            ),
            ("a beginning", 9 * MIB, Size::BEGINNING, Ok((65536, false))),
            ("nothing else", 65536, Size::BEGINNING, Ok((65536, true))),
            ("nothing", 0, Size::USUAL, Ok((0, true))),
        ] {
            match (answer(&client, length, size).await, expected) {
                (Ok(answer), Ok(expected)) => {
                    assert_eq!((answer.body.len(), answer.is_whole), expected, "{what}");
                }
                (Err(failure), Err(words)) => {
                    assert_eq!(failure.reason, Reason::UnexpectedAnswer, "{what}");
                    assert!(failure.message.ends_with(words), "{}", failure.message);
                }
                (answer, _) => panic!("{what}: {:?}", answer.map(|answer| answer.body.len())),
            }
        }

        let mut held = Vec::new();
        for _ in 0..LONG_BODIES {
            held.push(answer(&client, 2 * MIB, Size::LIST).await.unwrap());
        }
        let short = answer(&client, MIB, Size::LIST).await;
        assert!(short.is_ok(), "a usual body waits for nobody");
        let mut next = std::pin::pin!(answer(&client, 2 * MIB, Size::LIST));
        let moment = Duration::from_millis(200);
        let early = tokio::time::timeout(moment, &mut next).await;
        assert!(early.is_err(), "it waits for a place");
        held.pop();
        assert!(next.await.is_ok(), "a place came free");
    }
}
