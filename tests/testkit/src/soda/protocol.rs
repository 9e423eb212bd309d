//! Which request is what, as go-restful decides it: path, then method, then the types of what comes and what is wanted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, Method, StatusCode, header};

use super::answer::routing;
use super::keystone::Link;
use super::ledger::Ledger;
use super::lie::Lie;
use super::mint::Generator;
use super::simulator::Generation;
use crate::server::{Later, Protocol, SimRequest, SimResponse};

/// The route by which a key is made.
pub const CREATE: &str = "POST /v1/*/aksks";
/// The route by which a user's keys are read, downloads included.
pub const READ: &str = "GET /v1/*/aksks/*";
/// The route by which all of a user's keys are destroyed.
pub const DELETE: &str = "DELETE /v1/*/aksks/*";

const JSON: &str = "application/json";

/// The state of one simulator.
pub(super) struct Soda {
    pub(super) generation: Generation,
    pub(super) without_auth: bool,
    pub(super) deadline: Duration,
    pub(super) link: Link,
    pub(super) generator: Generator,
    pub(super) ledger: Ledger,
    pub(super) settings: Mutex<Settings>,
    pub(super) delete_calls: AtomicU64,
}

/// What the controls set.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) lies: Vec<Lie>,
    pub(super) forbidden: bool,
    pub(super) service_down: bool,
}

/// What is asked for. The project in the path is compared with nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    Read { user: String, download: bool },
    Delete { user: String },
}

impl Protocol for Soda {
    /// Only what go-restful refuses is answered at once.
    fn answer(&self, request: &SimRequest) -> SimResponse {
        let status = route(request).err().unwrap_or(StatusCode::NOT_FOUND);
        routing(status)
    }

    fn answer_later(self: Arc<Self>, request: &SimRequest) -> Option<Later> {
        let call = route(request).ok()?;
        let request = request.clone();
        Some(Box::pin(async move {
            // A task of its own: SODA goes on when the client leaves.
            let serving = tokio::spawn(self.serve(request, call));
            serving.await.unwrap_or_else(|ended| {
                match ended.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The simulator ends.
                    Err(_) => None,
                }
            })
        }))
    }

    fn arrived(&self, request: &SimRequest) {
        if request.method == Method::DELETE {
            self.delete_calls.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a request asks for, or how go-restful refuses it.
fn route(request: &SimRequest) -> Result<Call, StatusCode> {
    let path: Vec<&str> = request.path.split('/').skip(1).collect();
    if path.iter().any(|part| part.is_empty()) {
        return Err(StatusCode::NOT_FOUND);
    }
    let method = request.method.as_str();
    let call = match (method, &path[..]) {
        ("POST", ["v1", _, "aksks"]) => Call::Create,
        ("GET", ["v1", _, "aksks", user]) => Call::Read {
            user: decoded(user),
            download: false,
        },
        ("GET", ["v1", _, "aksks", user, "download"]) => Call::Read {
            user: decoded(user),
            download: true,
        },
        ("DELETE", ["v1", _, "aksks", user]) => Call::Delete {
            user: decoded(user),
        },
        (_, ["v1", _, "aksks"] | ["v1", _, "aksks", _] | ["v1", _, "aksks", _, "download"]) => {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        _ => return Err(StatusCode::NOT_FOUND),
    };
    let wants_body = call == Call::Create;
    let typed = match types(request, &header::CONTENT_TYPE) {
        None => !wants_body,
        Some(types) => types.iter().any(|kind| kind == JSON || kind == "*/*"),
    };
    if !typed {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let accepted = types(request, &header::ACCEPT);
    let accepted = accepted.is_none_or(|types| types.iter().any(|t| t == JSON || t == "*/*"));
    match accepted {
        true => Ok(call),
        false => Err(StatusCode::NOT_ACCEPTABLE),
    }
}

/// The media types in a header, without their parameters.
fn types(request: &SimRequest, name: &HeaderName) -> Option<Vec<String>> {
    let value = request.headers.get(name)?.to_str().ok()?;
    let types = value.split(',').map(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().to_owned()
    });
    Some(types.collect())
}

/// A part of a path without percent signs, as the service passes it on.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::new();
    let mut left = part.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let code = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        left = match code.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                &rest[2..]
            }
            None => {
                bytes.push(*first);
                rest
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
