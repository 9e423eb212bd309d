//! The connections of clients: accepting, serving and cutting them.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::forward::{Client, Shared, serve};

/// Cuts connections, and keeps new ones from coming up.
#[derive(Clone)]
pub(super) struct Switch(watch::Sender<State>);

#[derive(Clone, Copy, Default, PartialEq)]
struct State {
    down: bool,
    /// Counts the cuts: a connection ends when this is no longer what it was when the connection
    /// was made.
    cuts: u64,
}

impl Default for Switch {
    fn default() -> Self {
        Self(watch::Sender::new(State::default()))
    }
}

impl Switch {
    pub(super) fn set_down(&self, down: bool) {
        self.0.send_modify(|state| {
            state.down = down;
            state.cuts += u64::from(down);
        });
    }

    pub(super) fn cut(&self) {
        self.0.send_modify(|state| state.cuts += 1);
    }
}

/// Accepts connections until the runtime ends.
pub(super) async fn accept(
    listener: std::net::TcpListener,
    tls: Option<Arc<ServerConfig>>,
    switch: Switch,
    shared: Arc<Shared>,
) {
    let listener = TcpListener::from_std(listener).expect("a listener that does not block");
    let tls = tls.map(TlsAcceptor::from);
    loop {
        // An error concerns the one connection that could not be accepted.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let mut state = switch.0.subscribe();
        let at_start = *state.borrow_and_update();
        if at_start.down {
            continue;
        }
        let connection = serve_connection(stream, tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            tokio::select! {
                _ = connection => {}
                _ = state.wait_for(|now| now.cuts != at_start.cuts) => {}
            }
        });
    }
}

async fn serve_connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let client = Arc::new(Client::new(stream.try_clone()?, tls.is_some()));
    let stream = TcpStream::from_std(stream)?;
    match tls {
        Some(acceptor) => serve_http(acceptor.accept(stream).await?, client, shared).await,
        None => serve_http(stream, client, shared).await,
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    client: Arc<Client>,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    let service = service_fn(|request| serve(Arc::clone(&shared), Arc::clone(&client), request));
    http1::Builder::new()
        // Clients keep idle connections for as long as they like.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}
