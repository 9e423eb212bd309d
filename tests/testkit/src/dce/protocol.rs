//! ghippo's endpoints.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::keyring::{Keyring, QuotaRefusal, Rules};
use super::ledger::Ledger;
use super::lie::{Lie, Topic};
use super::mint::{Mint, SOMEBODY_ELSE};
use super::signer::Signer;
use super::simulator::Generation;
use super::times::{NeverForm, TimeForm};
use super::users::{User, Users};
use super::{access_keys, control, gateway};
use crate::server::{Protocol, SimRequest, SimResponse, html, json as json_answer, text};

/// The route of the token request, whatever the prefix (access key page, "Generate token based on key pair").
pub const TOKEN: &str = "*/apis/ghippo.io/v1alpha1/token";
/// The route of the self-test, whatever the prefix (OpenAPI, `current-user`).
pub const CURRENT_USER: &str = "*/apis/ghippo.io/v1alpha1/current-user";
/// The route of one's own access keys, all and single ones, whatever the prefix (OpenAPI). Making one is not part of it.
pub const ACCESS_KEYS: &str = "*/apis/ghippo.io/v1alpha1/current-user/accesstokens*";
/// The route of the list of one's own access keys, whatever the prefix (OpenAPI).
pub const ACCESS_KEY_LIST: &str = "GET */apis/ghippo.io/v1alpha1/current-user/accesstokens";
/// The route by which an access key of one's own is made, whatever the prefix (OpenAPI).
pub const ACCESS_KEY_CREATE: &str = "POST */apis/ghippo.io/v1alpha1/current-user/accesstoken";
/// The route by which an access key of one's own is deleted, whatever the prefix (OpenAPI).
pub const ACCESS_KEY_DELETE: &str = "DELETE */apis/ghippo.io/v1alpha1/current-user/accesstokens/*";
/// The route of the user list, whatever the prefix (access key page, "Use token to access API").
pub const USERS: &str = "*/apis/ghippo.io/v1alpha1/users";

const API: &str = "/apis/ghippo.io/v1alpha1/";

/// The largest `page` of a list (OpenAPI, `users`).
const MAX_PAGE: i64 = 1000;

/// In which form a wrong key pair is refused. The sources do not show the real one, so clients must cope with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusalStyle {
    /// ghippo's JSON envelope (OpenAPI, `googlerpcStatus`), as its other endpoints answer.
    #[default]
    Envelope,
    /// Plain text, as the gateway answers.
    PlainText,
}

/// An answer that ends a handler early; in a box, because answers are large and handlers mostly succeed.
pub(super) type Refusal = Box<SimResponse>;

/// The state of one simulator.
pub(super) struct Dce {
    pub(super) generation: Generation,
    /// Empty, or beginning with a slash and not ending with one.
    pub(super) prefix: String,
    pub(super) users: Users,
    pub(super) ledger: Ledger,
    pub(super) keyring: Keyring,
    pub(super) signer: Signer,
    pub(super) settings: Mutex<Settings>,
    pub(super) token_requests: AtomicU64,
    pub(super) logins_refused: AtomicU64,
}

/// What the controls set.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) at_most: Option<Duration>,
    pub(super) refusals: RefusalStyle,
    pub(super) lies: Vec<Lie>,
    pub(super) key_rules: Rules,
    pub(super) quota_refusal: QuotaRefusal,
    pub(super) times: TimeForm,
    pub(super) never: NeverForm,
}

impl Settings {
    pub(super) fn lie(&self, topic: Topic) -> Option<Lie> {
        let mut lies = self.lies.iter().rev().copied();
        lies.find(|lie| lie.topic() == topic)
    }
}

impl Protocol for Dce {
    fn answer(&self, request: &SimRequest) -> SimResponse {
        let Some(endpoint) = self.endpoint(&request.path) else {
            // The ingress knows no such route, and says so with nothing.
            return text(StatusCode::NOT_FOUND, "");
        };
        let get = request.method == Method::GET;
        let keys = self.generation == Generation::From014;
        let path: Vec<&str> = endpoint.split('/').collect();
        let answer = match path[..] {
            ["token"] if keys => Err(not_found()),
            ["token" | "current-user" | "users"] if !get => Err(not_allowed()),
            ["token"] => self.token(request),
            ["current-user"] => self.current_user(request),
            ["users"] => self.list_users(request),
            ["current-user", _, ..] | ["users", _, _, ..] if keys => {
                access_keys::answer(self, request, &path)
            }
            _ => Err(not_found()),
        };
        answer.unwrap_or_else(|refusal| *refusal)
    }

    fn arrived(&self, request: &SimRequest) {
        if request.method == Method::GET && self.endpoint(&request.path) == Some("token") {
            self.token_requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn control(&self, request: &SimRequest) -> Option<SimResponse> {
        control::answer(self, request)
    }
}

impl Dce {
    fn endpoint<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.prefix)?.strip_prefix(API)
    }

    /// `GET token?ak=&sk=&cycle=` gives `{"token": …}` (access key page). `cycle` is in days: the page's example asks
    /// for 7 and gets a token whose `exp - iat` is seven days. It was required until 0.13.0 (release notes).
    ///
    /// The order (first what is missing or no number, as the gRPC gateway does, then the pair) is an assumption.
    fn token(&self, request: &SimRequest) -> Result<SimResponse, Refusal> {
        let pair = (request.query_param("ak"), request.query_param("sk"));
        let (Some(ak), Some(sk)) = pair else {
            return Err(invalid("ak and sk are required"));
        };
        let cycle = match request.query_param("cycle") {
            Some(cycle) => Some(whole_number("cycle", &cycle)?),
            None if self.generation == Generation::Before013 => {
                return Err(invalid("cycle is required"));
            }
            None => None,
        };
        if cycle.is_some_and(|days| days < 1) {
            return Err(invalid("cycle must be at least 1"));
        }
        let settings = self.settings.lock().unwrap().clone();
        let Some(user) = self.users.log_in(&ak, &sk) else {
            self.logins_refused.fetch_add(1, Ordering::Relaxed);
            let refusal = match settings.refusals {
                RefusalStyle::Envelope => {
                    envelope(StatusCode::UNAUTHORIZED, "invalid access key or secret key")
                }
                RefusalStyle::PlainText => text(StatusCode::UNAUTHORIZED, "Unauthorized"),
            };
            return Err(refusal.into());
        };
        let mint = Mint {
            signer: &self.signer,
            ledger: &self.ledger,
            users: &self.users,
            at_most: settings.at_most,
            lie: settings.lie(Topic::Tokens),
        };
        Ok(json_answer(StatusCode::OK, &mint.answer(&user, cycle)))
    }

    /// `GET current-user` (OpenAPI): who the bearer is. `uid`, `username`, `email` and `locale` are in all published
    /// versions, the other fields came later.
    fn current_user(&self, request: &SimRequest) -> Result<SimResponse, Refusal> {
        let lie = self.settings.lock().unwrap().lie(Topic::SelfTest);
        match lie {
            Some(Lie::SelfTestMissing) => return Err(not_found()),
            Some(Lie::SelfTestHtml) => return Ok(html(StatusCode::OK, LOGIN_PAGE)),
            _ => {}
        }
        let mut user = self.bearer(request)?;
        if lie == Some(Lie::SelfTestOtherUser) {
            user = self.users.ensure(SOMEBODY_ELSE);
        }
        let body = json!({
            "uid": user.id.to_string(),
            "username": user.username,
            "email": "",
            "locale": "zh-CN",
            "source": "locale",
            "phoneNumber": "",
            "firstname": "",
            "lastname": "",
        });
        Ok(json_answer(StatusCode::OK, &body))
    }

    /// `GET users?page=&pageSize=` (access key page, sample): for admins. Moments are milliseconds since the epoch, as
    /// text; "0" and "" stand for never.
    fn list_users(&self, request: &SimRequest) -> Result<SimResponse, Refusal> {
        let user = self.bearer(request)?;
        if !user.admin {
            return Err(envelope(StatusCode::FORBIDDEN, "permission denied").into());
        }
        let number = |name, otherwise| match request.query_param(name) {
            Some(value) => whole_number(name, &value),
            None => Ok(otherwise),
        };
        let (page, size) = (number("page", 1)?, number("pageSize", 10)?);
        if !(0..=MAX_PAGE).contains(&page) || size < 1 {
            return Err(invalid("page or pageSize is out of range"));
        }
        let all = self.users.all();
        let skip = (page.max(1) - 1).saturating_mul(size);
        let shown = all.iter().skip(skip as usize).take(size as usize);
        let items: Vec<Value> = shown.map(describe).collect();
        let pagination = json!({"page": page, "pageSize": size, "total": all.len()});
        let body = json!({"items": items, "pagination": pagination});
        Ok(json_answer(StatusCode::OK, &body))
    }

    pub(super) fn bearer(&self, request: &SimRequest) -> Result<User, Refusal> {
        let id: Uuid = gateway::check(&self.signer, &self.ledger, request)?;
        let gone = || envelope(StatusCode::UNAUTHORIZED, "user not found").into();
        self.users.by_id(id).ok_or_else(gone)
    }
}

fn describe(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "name": user.username,
        "email": "",
        "description": "",
        "firstname": "",
        "lastname": "",
        "source": "locale",
        "enabled": true,
        "createdAt": user.created_at.to_string(),
        "updatedAt": "0",
        "lastLoginAt": "",
    })
}

/// The gRPC gateway's way to read a number from the query, with Go's words for what is wrong with it.
fn whole_number(name: &str, value: &str) -> Result<i64, Refusal> {
    value.parse().map_err(|_| {
        let reason = format!("strconv.ParseInt: parsing {value:?}: invalid syntax");
        invalid(&format!("parsing field {name:?}: {reason}"))
    })
}

pub(super) fn invalid(message: &str) -> Refusal {
    envelope(StatusCode::BAD_REQUEST, message).into()
}

pub(super) fn not_found() -> Refusal {
    envelope(StatusCode::NOT_FOUND, "Not Found").into()
}

pub(super) fn not_allowed() -> Refusal {
    envelope(StatusCode::NOT_IMPLEMENTED, "Method Not Allowed").into()
}

/// ghippo's errors (OpenAPI, `googlerpcStatus`) with the code of gRPC that the gRPC gateway makes this status of.
pub(super) fn envelope(status: StatusCode, message: &str) -> SimResponse {
    let code = match status {
        StatusCode::BAD_REQUEST => 3,
        StatusCode::NOT_FOUND => 5,
        StatusCode::CONFLICT => 6,
        StatusCode::FORBIDDEN => 7,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::NOT_IMPLEMENTED => 12,
        StatusCode::UNAUTHORIZED => 16,
        _ => 2,
    };
    coded(status, code, message)
}

/// ghippo's errors: `code` is the number of the gRPC code, not of the HTTP status.
pub(super) fn coded(status: StatusCode, code: u8, message: &str) -> SimResponse {
    let body = json!({"code": code, "message": message, "details": []});
    json_answer(status, &body)
}

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\
    <body><form method=\"post\"><input name=\"username\"></form></body></html>\n";
