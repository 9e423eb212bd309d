//! The one hardened HTTP client for all providers.
//!
//! Times are bounded (connecting, silence, and all together), so are header and body; redirects are
//! not followed, since they would carry the login to another host; proxy variables are ignored
//! unless a flag says otherwise; and no error of it holds a URL, a header or a body: some systems
//! take secrets in the query string.

use std::{error::Error, io, time::Duration};

use futures::future::BoxFuture;
use jiff::SignedDuration;
use reqwest::{
    Method, StatusCode,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use url::Url;
use zeroize::Zeroizing;

pub use super::http_body::Size;
use super::{
    certificates,
    guard::{Guard, GuardedResolver, NotPermitted},
    handshake, http_body, retry_after, tls,
};
use crate::{
    api::Reason,
    clock,
    plan::{Failure, Refusal},
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a call may take in all.
pub const TOTAL: Duration = Duration::from_secs(10);

/// How a server is reached.
#[derive(Clone, Debug, Default)]
pub struct HttpSettings {
    /// The certificates to trust, as PEM, instead of the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether the server's certificate is not checked.
    pub skip_verify: bool,
    /// Where the connection may lead; anywhere when absent.
    pub guard: Option<Guard>,
    /// Whether the proxy variables of the environment are heeded.
    pub proxy_from_env: bool,
}

/// A client for one server.
#[derive(Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    endpoint: Url,
    /// The field of the provider that names the server, where the provider names several.
    field: Option<&'static str>,
    guard: Option<Guard>,
}

/// A call.
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The segments below the endpoint's path; encoded here, so that a name with a slash in it
    /// stays one segment.
    pub path: &'a [&'a str],
    /// The query. A pair with an empty value is sent as the key alone.
    pub query: &'a [(&'a str, &'a str)],
    /// A bearer token.
    pub bearer: Option<&'a str>,
    /// Further headers, whose values are secret.
    pub headers: &'a [(HeaderName, &'a SecretString)],
    /// A body of JSON, which may hold secrets.
    pub body: Option<&'a Value>,
    /// How much of the answer's body is read. Its headers are bounded by the HTTP library (about
    /// 400 KiB).
    pub size: Size,
}

impl<'a> Call<'a> {
    /// A call without anything but its path.
    pub fn new(method: Method, path: &'a [&'a str]) -> Self {
        Call {
            method,
            path,
            query: &[],
            bearer: None,
            headers: &[],
            body: None,
            size: Size::USUAL,
        }
    }
}

/// The order in which calls to one provider take turns: each waits for its own, so that no more are
/// made in a second than the provider's budget says.
pub trait Turns: Send + Sync {
    /// Waits until one more call may be made.
    ///
    /// # Errors
    /// When that would take long, because the provider asked to be left alone.
    fn next(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Notes whether the provider did answer a call, with anything but an error of its own.
    fn answered(&self, answered: bool);
}

/// An answer, whatever its status.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Whether the body says that it is JSON.
    pub is_json: bool,
    /// How long the server asks to be left alone.
    pub retry_after: Option<SignedDuration>,
    /// The headers. They may hold secrets, so only single ones are asked for.
    headers: HeaderMap,
    /// The body. It may hold secrets, so it is wiped and cannot be printed.
    pub body: Zeroizing<Vec<u8>>,
    /// Whether nothing of the body was cut off, as the call's [`Size`] can ask for.
    pub is_whole: bool,
    /// Held for as long as a long body is in memory.
    _place: Option<SemaphorePermit<'static>>,
}

impl HttpClient {
    /// A client for the server at `endpoint`.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn new(endpoint: &Url, settings: HttpSettings) -> Result<Self, Refusal> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .timeout(TOTAL)
            .redirect(Policy::none())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(64)
            .referer(false)
            .user_agent(concat!("credential-operator/", env!("CARGO_PKG_VERSION")));
        let bundle = settings.ca_pem.as_deref().map(certificates::read);
        let bundle = bundle.transpose()?;
        builder = if settings.skip_verify {
            builder.tls_danger_accept_invalid_certs(true)
        } else {
            builder.tls_backend_preconfigured(tls::config(bundle)?)
        };
        if !settings.proxy_from_env {
            builder = builder.no_proxy();
        }
        if let Some(guard) = &settings.guard {
            builder = builder.dns_resolver(GuardedResolver(guard.clone()));
        }
        let client = builder.build().map_err(|_| {
            Refusal::new(
                Reason::InternalError,
                "the HTTP client could not be built; this is a defect of the operator",
            )
        })?;
        Ok(HttpClient {
            client,
            endpoint: endpoint.clone(),
            field: None,
            guard: settings.guard,
        })
    }

    /// Makes a call when its turn has come.
    ///
    /// # Errors
    /// `Timeout`, `TLSFailed`, `EndpointRefused`, `ProviderUnavailable` when there was no answer;
    /// `UnexpectedAnswer` when it was too large; that of [`Turns::next`].
    pub async fn send(&self, turns: &dyn Turns, call: Call<'_>) -> Result<Answer, Failure> {
        turns.next().await?;
        let answer = self
            .make(call)
            .await
            .map_err(|failure| self.of_the_server(failure));
        turns.answered(match &answer {
            Ok(answer) => !answer.status.is_server_error(),
            Err(failure) => !is_outage(failure.reason),
        });
        answer
    }

    async fn make(&self, call: Call<'_>) -> Result<Answer, Failure> {
        // A path would lose them, whichever way they are encoded, and lead elsewhere.
        if call.path.iter().any(|part| ["", ".", ".."].contains(part)) {
            return Err(failed(
                Reason::UnexpectedAnswer,
                "a name or id is empty or only dots, which no path can hold",
            ));
        }
        let url = self.url(&call);
        if let Some(guard) = &self.guard
            && !guard.permits_literal(&url)
        {
            return Err(not_permitted());
        }
        let mut request = self
            .client
            .request(call.method, url)
            .header(header::ACCEPT, "application/json");
        if let Some(token) = call.bearer {
            request = request.bearer_auth(token);
        }
        for (name, value) in call.headers {
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
                failed(
                    Reason::UnexpectedAnswer,
                    "the provider gave out a token that cannot stand in a header",
                )
            })?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let (is_json, retry_after) = facts(response.headers());
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = http_body::read(&mut response, call.size).await?;
        Ok(Answer {
            status,
            is_json,
            retry_after,
            headers,
            body: body.bytes,
            is_whole: body.is_whole,
            _place: body._place,
        })
    }

    /// The same client with another base URL.
    #[must_use]
    pub fn at(self, endpoint: Url) -> Self {
        HttpClient { endpoint, ..self }
    }

    /// The same client, whose failures begin with the field that names the server: for a provider with
    /// several servers, where "the server" would not say which.
    #[must_use]
    pub fn named_by(self, field: &'static str) -> Self {
        HttpClient {
            field: Some(field),
            ..self
        }
    }

    /// A failure with the field that names the server, where the provider names several.
    fn of_the_server(&self, failure: Failure) -> Failure {
        let Some(field) = self.field else {
            return failure;
        };
        Failure {
            message: format!("{field}: {}", failure.message),
            ..failure
        }
    }

    /// The base URL.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (key, value) in call.query {
                if value.is_empty() {
                    pairs.append_key_only(key);
                } else {
                    pairs.append_pair(key, value);
                }
            }
        }
        url
    }
}

impl Answer {
    /// The value of a header, which may be secret.
    pub fn header(&self, name: &str) -> Option<SecretString> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(SecretString::from(value))
    }

    /// An answer as a server might give it.
    #[cfg(test)]
    pub fn of(status: u16, headers: &[(&'static str, &str)], body: &str) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect();
        let (is_json, retry_after) = facts(&headers);
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            is_json,
            retry_after,
            headers,
            body: Zeroizing::new(body.as_bytes().to_vec()),
            is_whole: true,
            _place: None,
        }
    }

    /// What the status says, where it is the same for all systems: answers that are no success.
    /// `who` names the system, such as `DCE`.
    pub fn failure(&self, who: &str) -> Failure {
        by_status(self.status, self.retry_after, who)
    }
}

/// What a status says that is no success, where it is the same for all systems. `who` names the system,
/// such as `DCE`.
pub fn by_status(status: StatusCode, retry_after: Option<SignedDuration>, who: &str) -> Failure {
    let (reason, says) = match status {
        StatusCode::TOO_MANY_REQUESTS => (Reason::RateLimited, "asks for fewer calls"),
        StatusCode::PAYMENT_REQUIRED | StatusCode::INSUFFICIENT_STORAGE => {
            (Reason::QuotaExceeded, "refuses more credentials")
        }
        StatusCode::UNAUTHORIZED => (Reason::LoginRefused, "refuses the login"),
        StatusCode::FORBIDDEN => (
            Reason::Forbidden,
            "accepts the login but does not let it do this",
        ),
        _ if status.is_redirection() => (
            Reason::UnexpectedAnswer,
            "points to another address, which is not followed; correct its endpoint",
        ),
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
            (Reason::Timeout, "or a gateway before it ran out of time")
        }
        _ if status.is_server_error() => (
            Reason::ProviderUnavailable,
            "or a gateway before it has failed",
        ),
        _ => (
            Reason::UnexpectedAnswer,
            "answers something else than was expected",
        ),
    };
    Failure {
        reason,
        message: format!("{who} {says} (HTTP {})", status.as_u16()),
        retry_after,
        rest: None,
    }
}

/// Whether a call failed because there is nobody to answer it.
fn is_outage(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ProviderUnavailable | Reason::Timeout | Reason::TLSFailed
    )
}

/// A failure without a time.
pub fn failed(reason: Reason, message: impl Into<String>) -> Failure {
    Failure {
        reason,
        message: message.into(),
        retry_after: None,
        rest: None,
    }
}

fn facts(headers: &HeaderMap) -> (bool, Option<SignedDuration>) {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_json =
        text(header::CONTENT_TYPE).is_some_and(|value| value.to_ascii_lowercase().contains("json"));
    let retry_after = text(header::RETRY_AFTER)
        .and_then(|value| retry_after::read(value, text(header::DATE), clock::now()));
    (is_json, retry_after)
}

/// What became of a call that got no answer. Of the library's error only its kind is used.
pub(super) fn failure(error: &reqwest::Error) -> Failure {
    if cause::<NotPermitted>(error).is_some() {
        return not_permitted();
    }
    if error.is_timeout() {
        return failed(Reason::Timeout, "the server did not answer in time");
    }
    if let Some(error) = cause::<rustls::Error>(error) {
        return failed(Reason::TLSFailed, handshake::words(error));
    }
    if cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        return failed(
            Reason::UnexpectedAnswer,
            "the server answers with something that is no HTTP, or with headers that are larger than any should be; \
             check the endpoint",
        );
    }
    if error.is_connect() && cause::<io::Error>(error).is_some_and(is_end) {
        return failed(
            Reason::ProviderUnavailable,
            "the server closed the connection during the TLS handshake: it is down, or speaks no TLS \
             at this port",
        );
    }
    if error.is_connect() {
        return failed(
            Reason::ProviderUnavailable,
            "the server could not be reached (name, address, port, or firewall)",
        );
    }
    failed(
        Reason::ProviderUnavailable,
        "the connection broke before the answer was complete",
    )
}

fn not_permitted() -> Failure {
    failed(
        Reason::EndpointRefused,
        "the endpoint leads to an address that is reserved for the cluster; see the operator's flag --tenant-endpoints",
    )
}

/// Whether an error, or one that it wraps, says that the other side has closed the connection.
fn is_end(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    error.kind() == io::ErrorKind::UnexpectedEof || inner.is_some_and(is_end)
}

/// The first of an error's causes that is of a type.
fn cause<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error hides what it wraps from `source()`, also another of its kind.
        cause = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded_and_prefixes_kept() {
        let client = HttpClient::new(
            &Url::parse("https://host/prefix/").unwrap(),
            HttpSettings::default(),
        )
        .unwrap();
        let url = client.url(&Call {
            query: &[("k", "v&w"), ("flag", "")],
            ..Call::new(Method::GET, &["a", "b/../c d"])
        });
        assert_eq!(
            url.as_str(),
            "https://host/prefix/a/b%2F..%2Fc%20d?k=v%26w&flag"
        );
    }

    #[tokio::test]
    async fn a_segment_that_a_path_would_lose_is_refused_before_anything_is_sent() {
        /// Takes no turn.
        struct Free;
        impl Turns for Free {
            fn next(&self) -> BoxFuture<'_, Result<(), Failure>> {
                Box::pin(std::future::ready(Ok(())))
            }
            fn answered(&self, _: bool) {}
        }
        let nobody = Url::parse("http://127.0.0.1:1/").unwrap();
        let client = HttpClient::new(&nobody, HttpSettings::default()).unwrap();
        for (part, expected) in [
            ("..", Reason::UnexpectedAnswer),
            (".", Reason::UnexpectedAnswer),
            ("", Reason::UnexpectedAnswer),
            ("...", Reason::ProviderUnavailable),
        ] {
            let path = ["v3", part];
            let call = Call::new(Method::GET, &path);
            let refused = client.send(&Free, call).await.err();
            assert_eq!(refused.map(|it| it.reason), Some(expected), "{part:?}");
        }
    }
}
