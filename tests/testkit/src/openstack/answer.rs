//! Requests to Keystone, and what it answers.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::{Certificate, Client, Method, RequestBuilder};
use serde_json::Value;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What Keystone answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body: an object as a rule, a string if it was not JSON, and null if there was none.
    pub body: Value,
    /// The header `X-Subject-Token`: the token that a login has made.
    pub subject_token: Option<String>,
    /// Method and path of the request, for errors.
    what: String,
}

/// A status that is not a success.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// Keystone's words.
    pub message: String,
    what: String,
}

impl Answer {
    /// The body, if the status is a success.
    ///
    /// # Errors
    /// A [`Refused`] if it is not.
    pub fn success(self) -> Result<Value, Refused> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let message = self.message();
        Err(Refused {
            status: self.status,
            message,
            what: self.what,
        })
    }

    /// Keystone's words on what went wrong; the body if it found none.
    #[must_use]
    pub fn message(&self) -> String {
        let message = self.body["error"]["message"].as_str();
        let message = message.or_else(|| self.body.as_str());
        message.map_or_else(|| self.body.to_string(), |text| text.trim().to_owned())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            message,
            what,
        } = self;
        write!(formatter, "{what}: {status}: {message}")
    }
}

impl std::error::Error for Refused {}

/// Keystone's API, version 3.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    root: String,
}

impl Api {
    /// The API of the Keystone at `url`.
    pub(super) fn new(url: &str, ca_pem: Option<&str>) -> Result<Self> {
        let authorities = ca_pem.map(|pem| Certificate::from_pem(pem.as_bytes()));
        let authorities = authorities.transpose()?;
        let client = Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .tls_certs_only(authorities)
            // Each request has a connection of its own. One that is kept is served by the runtime
            // of the test that opened it, and would hang in the next test's.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            client,
            root: url.to_owned(),
        })
    }

    /// Begins a request; `path` comes after `/v3`.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/v3{path}", self.root))
    }

    /// Begins a request to what this testkit has put beside Keystone.
    pub(super) fn request_of_testkit(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}/testkit{path}", self.root))
    }

    /// Makes the request, whatever the answer.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Answer> {
        let request = request.build()?;
        let what = format!("{} {}", request.method(), request.url().path());
        let response = self.client.execute(request).await;
        let response = response.with_context(|| what.clone())?;
        let token = response.headers().get("x-subject-token");
        let token = token.and_then(|value| value.to_str().ok());
        let (status, token) = (response.status().as_u16(), token.map(String::from));
        let text = response.text().await.with_context(|| what.clone())?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Ok(Answer {
            status,
            body,
            subject_token: token,
            what,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: Value) -> Answer {
        Answer {
            status,
            body,
            subject_token: None,
            what: String::from("GET /v3/users"),
        }
    }

    #[test]
    fn a_refusal_tells_what_was_asked_and_what_keystone_says() {
        let body = json!({"error": {"code": 404, "message": "Could not find user: x.", "title": "Not Found"}});
        let error = answer(404, body).success().unwrap_err();
        assert_eq!(
            error.to_string(),
            "GET /v3/users: 404: Could not find user: x."
        );
    }

    #[test]
    fn a_page_of_a_web_server_is_a_message_too() {
        let page = json!("<title>413 Request Entity Too Large</title>\n");
        let error = answer(413, page).success().unwrap_err();
        assert_eq!(error.message, "<title>413 Request Entity Too Large</title>");
        assert_eq!(answer(204, Value::Null).success().unwrap(), Value::Null);
    }
}
