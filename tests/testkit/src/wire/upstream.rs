//! The proxy's own client: sends a request on to the server behind it.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;

use super::tls;

pub(super) struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    scheme: Scheme,
    authority: Authority,
}

impl Upstream {
    /// `url` is a scheme and an authority; a certificate must be vouched for by `ca_pem`.
    pub(super) fn new(url: &str, ca_pem: Option<&str>) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("not a URL: {url}"))?;
        ensure!(
            uri.path() == "/" && uri.query().is_none(),
            "a proxy stands for a whole server, not for {url}"
        );
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        // Small requests and answers, one after the other: the worst case for Nagle's algorithm.
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(ca_pem)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            scheme: uri
                .scheme()
                .cloned()
                .with_context(|| format!("no scheme in {url}"))?,
            authority: uri
                .authority()
                .cloned()
                .with_context(|| format!("no authority in {url}"))?,
        })
    }

    /// Sends a request on as it came, `Host` included: signatures cover it, and servers build links
    /// with it.
    pub(super) async fn send(
        &self,
        mut parts: http::request::Parts,
        body: Bytes,
    ) -> Result<Response<Incoming>, Error> {
        let path = parts.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        parts.uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .expect("all parts of the URI are valid");
        parts.version = Version::HTTP_11;
        remove_hop_by_hop(&mut parts.headers);
        let mut response = self
            .client
            .request(Request::from_parts(parts, Full::new(body)))
            .await?;
        remove_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        Ok(response)
    }
}

/// Removes what concerns one connection only (RFC 9110, 7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}
