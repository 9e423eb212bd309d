//! What a server can do instead of answering, and how each of these answers is made.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde::{Deserialize, Deserializer};

use super::answer;
use super::body::{self, AnyBody};

/// How many headers, and how long each, [`Fault::HugeHeaders`] sends: 1.6 MB, more than any client should hold.
const HEADERS: (usize, usize) = (200, 8 * 1024);

/// One way to fail. As JSON (over `/_sim/faults`): `"hang"`, `{"delay": 500}` (milliseconds), `{"html": 502}`,
/// `{"status": {"status": 503, "contentType": "text/plain", "body": "no"}}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fault {
    /// Waits, then answers normally.
    Delay(#[serde(deserialize_with = "milliseconds")] Duration),
    /// Accepts the request and answers only when the fault is removed (then normally), or never: the client leaves.
    Hang,
    /// This answer. See [`Fault::status`].
    Status {
        /// The HTTP status.
        status: u16,
        /// The `Content-Type`.
        content_type: String,
        /// The body.
        body: String,
    },
    /// A status that asks to come back later, 429 or 503.
    RetryAfter {
        /// The HTTP status.
        status: u16,
        /// The value of `Retry-After`: seconds, a date or nonsense; `None` leaves the header out.
        header_value: Option<String>,
    },
    /// The error page of a gateway in front of the provider.
    Html(u16),
    /// 200, `application/json`, and this body, whatever it is.
    Body(#[serde(deserialize_with = "text_bytes")] Vec<u8>),
    /// 200 and a body of so many bytes without a `Content-Length`, made while it is sent.
    HugeBody(u64),
    /// 200 and one byte a second, for ever: every read succeeds, so only a limit on the whole answer helps.
    Drip,
    /// 200 and more header bytes than a client should accept.
    HugeHeaders,
    /// A redirect to there. It is a 307, which keeps method and body: a client that follows it gives away the most.
    Redirect(String),
    /// Reads the request, then closes the connection without an answer. Nothing was done, but the client cannot know.
    CutConnection,
    /// Does what was asked, then closes the connection without an answer. To the client it looks like
    /// [`Fault::CutConnection`].
    LoseAnswer,
    /// 200 with a `Content-Length` larger than what is sent before the connection closes.
    Truncate,
}

impl Fault {
    /// A [`Fault::Status`].
    pub fn status(status: u16, content_type: impl Into<String>, body: impl Into<String>) -> Self {
        let (content_type, body) = (content_type.into(), body.into());
        Fault::Status {
            status,
            content_type,
            body,
        }
    }
}

/// What to do about a request after its fault was looked at.
pub(crate) enum Outcome {
    /// Let the protocol answer, after this time.
    AnswerAfter(Duration),
    /// Let the protocol answer once the fault is gone.
    AnswerWhenReleased,
    /// Give this answer.
    Instead(Response<AnyBody>),
    /// Let the protocol answer, then close the connection instead of sending it.
    AnswerAndCut,
    /// Close the connection.
    Cut,
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        Outcome::Instead(match fault {
            Fault::Delay(time) => return Outcome::AnswerAfter(time),
            Fault::Hang => return Outcome::AnswerWhenReleased,
            Fault::CutConnection => return Outcome::Cut,
            Fault::LoseAnswer => return Outcome::AnswerAndCut,
            Fault::Status {
                status,
                content_type,
                body,
            } => in_memory(code(status), &content_type, body),
            Fault::RetryAfter {
                status,
                header_value,
            } => {
                let mut response = in_memory(code(status), "text/plain", "slow down");
                if let Some(value) = header_value {
                    let value = value.parse().expect("a valid header value");
                    response.headers_mut().insert(header::RETRY_AFTER, value);
                }
                response
            }
            Fault::Html(status) => in_memory(code(status), "text/html", gateway_page(code(status))),
            Fault::Body(bytes) => ok(body::full(bytes.into())),
            Fault::HugeBody(length) => ok(body::huge(length)),
            Fault::Drip => ok(body::drip()),
            Fault::HugeHeaders => {
                let mut response = in_memory(StatusCode::OK, "application/json", "{}");
                let value = "h".repeat(HEADERS.1);
                for number in 0..HEADERS.0 {
                    let name: header::HeaderName = format!("x-huge-{number}").parse().unwrap();
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
            Fault::Redirect(location) => {
                let mut response = in_memory(StatusCode::TEMPORARY_REDIRECT, "text/plain", "");
                let location = location.parse().expect("a valid header value");
                response.headers_mut().insert(header::LOCATION, location);
                response
            }
            Fault::Truncate => {
                let sent = Bytes::from_static(b"{\"truncated\":");
                let claimed = sent.len() + 1000;
                let mut response = ok(body::broken_after(sent));
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, claimed.into());
                response
            }
        })
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("an HTTP status")
}

fn ok(body: AnyBody) -> Response<AnyBody> {
    let response = Response::builder().header(header::CONTENT_TYPE, "application/json");
    response.body(body).unwrap()
}

fn in_memory(status: StatusCode, content_type: &str, body: impl Into<String>) -> Response<AnyBody> {
    answer::build(status, content_type, body).map(body::full)
}

fn gateway_page(status: StatusCode) -> String {
    format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
}

fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

fn text_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    String::deserialize(from).map(String::into_bytes)
}
