//! One call on its way through the proxy, and the faults on that way.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::body::Answer;
use super::fault::{Fault, ResponseParts, Rule, Rules};
use super::journal::{Entry, Journal};
use super::upstream::Upstream;

/// What all connections of one proxy share.
pub(super) struct Shared {
    pub(super) upstream: Upstream,
    pub(super) journal: Arc<Journal>,
    pub(super) rules: Arc<Rules>,
}

/// The connection is to be closed without an answer: hyper does so when a service fails.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection was cut")
    }
}

impl std::error::Error for Cut {}

/// The client's end of a connection, to ask whether it is still there.
pub(super) struct Client {
    socket: TcpStream,
    tls: bool,
}

impl Client {
    /// `socket` must not block.
    pub(super) fn new(socket: TcpStream, tls: bool) -> Self {
        Self { socket, tls }
    }

    /// Asks the kernel, because hyper and tokio learn of a closed connection only when they are
    /// next polled: a call that is released the moment after its client was killed would be
    /// forwarded.
    fn is_there(&self) -> bool {
        match self.socket.peek(&mut [0]) {
            Ok(0) => false,
            // Under TLS a client that waits for its answer sends nothing but its farewell.
            Ok(_) => !self.tls,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

/// Serves one call. The future is dropped when the client goes away.
pub(super) async fn serve(
    shared: Arc<Shared>,
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let (head, entry) = shared.journal.begin(&parts, &body);
    let rule = shared.rules.take(&head);
    if let Some(rule) = &rule
        && let Some(instead) = before(rule, &client).await?
    {
        return Ok(replace(instead, entry));
    }

    entry.forwarded();
    let response = shared.upstream.send(parts, body).await.map_err(|error| {
        if error.is_connect() {
            entry.not_forwarded();
        }
        // The client sees what it would see without a proxy: no server.
        Cut
    })?;
    entry.answered(response.status().as_u16());
    match rule {
        Some(rule) => after(&rule, response, entry).await,
        None => Ok(pass(response, entry)),
    }
}

/// What a rule does before the call is forwarded; with an answer, it is not.
async fn before(rule: &Rule, client: &Client) -> Result<Option<ResponseParts>, Cut> {
    match &rule.fault {
        Fault::HoldBefore => rule.hold().await,
        Fault::Delay(time) => {
            rule.hit();
            tokio::time::sleep(*time).await;
        }
        Fault::CutBefore => {
            rule.hit();
            return Err(Cut);
        }
        Fault::Reply(parts) => {
            rule.hit();
            return Ok(Some(parts.clone()));
        }
        Fault::HoldAfter | Fault::CutAfter | Fault::Rewrite(_) => return Ok(None),
    }
    if client.is_there() {
        Ok(None)
    } else {
        Err(Cut)
    }
}

/// What a rule does once the upstream has answered.
async fn after(
    rule: &Rule,
    response: Response<Incoming>,
    entry: Entry,
) -> Result<Response<Answer>, Cut> {
    match &rule.fault {
        Fault::HoldAfter => {
            rule.hold().await;
            Ok(pass(response, entry))
        }
        Fault::CutAfter => {
            rule.hit();
            Err(Cut)
        }
        Fault::Rewrite(change) => {
            let (parts, body) = response.into_parts();
            let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
            let rewritten = change(ResponseParts {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body,
            });
            rule.hit();
            Ok(replace(rewritten, entry))
        }
        Fault::HoldBefore | Fault::CutBefore | Fault::Delay(_) | Fault::Reply(_) => {
            Ok(pass(response, entry))
        }
    }
}

fn pass(response: Response<Incoming>, entry: Entry) -> Response<Answer> {
    response.map(|body| Answer::streamed(body, entry))
}

fn replace(parts: ResponseParts, entry: Entry) -> Response<Answer> {
    entry.answered(parts.status);
    let body: Bytes = parts.body;
    let mut response = Response::new(Answer::whole(body, entry));
    *response.status_mut() =
        StatusCode::from_u16(parts.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = parts.headers;
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}
