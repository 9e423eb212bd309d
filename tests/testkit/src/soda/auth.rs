//! Whose token it is: the filter in front of all routes (source, `auth/keystone.go`), which asks Keystone with SODA's own
//! account.
//!
//! So a 401 says that the token is refused, or that Keystone is down, or that SODA's own login fails. There is no limit
//! to how long it takes.

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::answer::error;
use super::keystone::{Ask, Broken, Reply};
use super::protocol::Soda;
use crate::server::SimResponse;

/// Who calls.
pub(super) struct Session {
    pub(super) token: String,
    pub(super) user: String,
    pub(super) project: String,
}

/// Why a request goes no further.
pub(super) enum Stopped {
    Refused(Box<SimResponse>),
    /// The filter breaks, and go-restful closes the connection.
    HungUp,
}

impl Soda {
    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Result<Session, Stopped> {
        if self.without_auth {
            // Nobody is asked, and nobody's token is passed on.
            return Ok(Session {
                token: String::new(),
                user: String::new(),
                project: String::new(),
            });
        }
        let token = headers.get("x-auth-token");
        let token = token.and_then(|token| token.to_str().ok()).unwrap_or("");
        let token = token.trim();
        if token.is_empty() {
            return Err(unauthorized("token not found in header"));
        }
        let found = self.look_at(token).await;
        let found = found.map_err(|words| unauthorized(&format!("get token failed,{words}")))?;
        let id = |of: &str| found["token"][of]["id"].as_str().map(str::to_owned);
        let project = id("project").ok_or(Stopped::HungUp)?;
        Ok(Session {
            token: token.to_owned(),
            user: id("user").unwrap_or_default(),
            project,
        })
    }

    /// Keystone's description of a token, or gophercloud's words for why there is none.
    ///
    /// SODA's own token may have ended meanwhile: then it logs in again, once.
    async fn look_at(&self, token: &str) -> Result<Value, String> {
        let broken = |broken: Broken| broken.words;
        let own = self.link.own_token(None).await.map_err(broken)?;
        let mut reply = self.ask_about(token, &own).await.map_err(broken)?;
        if reply.status == 401 {
            let own = self.link.own_token(Some(&own)).await.map_err(broken)?;
            reply = self.ask_about(token, &own).await.map_err(broken)?;
        }
        match reply.status {
            200 | 203 => serde_json::from_str(&reply.body)
                .map_err(|_| "invalid character '<' looking for beginning of value".to_owned()),
            _ => Err(words(&reply, &self.link.url("/auth/tokens"))),
        }
    }

    async fn ask_about(&self, token: &str, own: &str) -> Result<Reply, Broken> {
        let ask = Ask {
            subject: Some(token),
            ..Ask::new(Method::GET, "/auth/tokens", own)
        };
        self.link.send(ask).await
    }
}

fn unauthorized(words: &str) -> Stopped {
    Stopped::Refused(error(StatusCode::UNAUTHORIZED, words).into())
}

/// gophercloud's words for a status that it did not hope for; some hold what Keystone said.
fn words(reply: &Reply, url: &str) -> String {
    let Reply { status, body, .. } = reply;
    match status {
        400 => format!("Bad request with: [GET {url}], error message: {body}"),
        401 => "Authentication failed".to_owned(),
        403 => format!("Request forbidden: [GET {url}], error message: {body}"),
        404 => "Resource not found".to_owned(),
        405 => "Method not allowed".to_owned(),
        408 => "The server timed out waiting for the request".to_owned(),
        429 => "Too many requests have been sent in a given amount of time. Pause requests, wait up to one minute, and \
                try again."
            .to_owned(),
        500 => "Internal Server Error".to_owned(),
        503 => "The service is currently unable to handle the request due to a temporary condition. This is usually \
                alleviated after some delay."
            .to_owned(),
        _ => format!(
            "Expected HTTP response code [200 203] when accessing [GET {url}], but got {status} instead\n{body}"
        ),
    }
}
