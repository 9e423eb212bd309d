//! The servers.

use std::{io, net::Ipv4Addr, sync::Arc, time::Duration};

use rustls::{
    ALL_VERSIONS, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS12,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::identity::{Authority, Identity};

/// The answer to every request.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    content-length: 2\r\nconnection: close\r\n\r\n{}";

/// The answer of a server that speaks HTTP to what is none.
const NO_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How long a client may take to close a connection that the server has ended.
const PARTING: Duration = Duration::from_secs(10);

/// How a server behaves.
pub enum Manner {
    /// Shows these certificates, and signs with that key.
    Shows(Identity),
    /// As before, and speaks TLS 1.2 alone.
    ShowsByTls12(Identity),
    /// As [`Manner::Shows`], and asks for a certificate of the client that this authority has signed.
    WantsCertificate(Identity, Box<Authority>),
    /// Ends every handshake with a TLS alert of this number.
    Alert(u8),
    /// Speaks HTTP without TLS.
    PlainHttp,
    /// Reads the start of the handshake and closes the connection.
    Closes,
}

/// A server on 127.0.0.1. It stops when this is dropped.
pub struct Server {
    port: u16,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts to listen on a free port.
    ///
    /// # Panics
    /// When there is no free port, or the private key is none that rustls can sign with.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let talk = Arc::new(Talk::new(manner));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let talk = Arc::clone(&talk);
                // A client that refuses the certificate ends the connection: that is the test's affair.
                tokio::spawn(async move { talk.with(stream).await });
            }
        });
        Server { port, serving }
    }

    /// The port on which the server listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

enum Talk {
    Tls(TlsAcceptor),
    Alert(u8),
    PlainHttp,
    Closes,
}

impl Talk {
    fn new(manner: Manner) -> Self {
        match manner {
            Manner::Shows(identity) => Talk::Tls(acceptor(identity, None, ALL_VERSIONS)),
            Manner::ShowsByTls12(identity) => Talk::Tls(acceptor(identity, None, &[&TLS12])),
            Manner::WantsCertificate(identity, authority) => {
                Talk::Tls(acceptor(identity, Some(&authority), ALL_VERSIONS))
            }
            Manner::Alert(number) => Talk::Alert(number),
            Manner::PlainHttp => Talk::PlainHttp,
            Manner::Closes => Talk::Closes,
        }
    }

    async fn with(&self, mut stream: TcpStream) -> io::Result<()> {
        match self {
            Talk::Tls(acceptor) => match acceptor.accept(stream).into_fallible().await {
                Ok(mut stream) => {
                    read_head(&mut stream).await?;
                    stream.write_all(ANSWER).await?;
                    part(&mut stream).await
                }
                // A client learns why from the alert, unless unread bytes reset the connection.
                Err((_, mut stream)) => part(&mut stream).await,
            },
            Talk::Alert(number) => {
                read_some(&mut stream).await?;
                stream.write_all(&[21, 3, 3, 0, 2, 2, *number]).await?;
                part(&mut stream).await
            }
            Talk::PlainHttp => {
                read_some(&mut stream).await?;
                stream.write_all(NO_HTTP).await?;
                part(&mut stream).await
            }
            Talk::Closes => {
                read_some(&mut stream).await?;
                part(&mut stream).await
            }
        }
    }
}

/// A server's settings. Certificate and key need not belong together: some tests want that.
fn acceptor(
    identity: Identity,
    clients: Option<&Authority>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let key = provider
        .key_provider
        .load_private_key(identity.key)
        .unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(identity.chain, key));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    TlsAcceptor::from(Arc::new(builder.with_cert_resolver(Arc::new(shown))))
}

async fn read_some(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    stream.read(&mut buffer).await.map(drop)
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

/// Ends a connection, and waits until the client has, too.
async fn part(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = tokio::io::sink();
    let ended = tokio::io::copy(stream, &mut rest);
    tokio::time::timeout(PARTING, ended).await.ok();
    Ok(())
}
