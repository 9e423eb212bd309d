//! A proxy below HTTP: it makes connections go wrong, not calls.
//!
//! It stands in front of a [`WireProxy`](super::WireProxy), which lists the calls. A fault concerns
//! connections that are open; new ones are served, unless [`TcpProxy::refuse_new`] says otherwise.
//!
//! ```no_run
//! # fn example() -> anyhow::Result<()> {
//! use testkit::wire::{TcpFault, TcpProxy};
//!
//! let proxy = TcpProxy::start("127.0.0.1:8080".parse()?)?;
//! // start the operator with proxy.url() …
//! proxy.break_open(TcpFault::Freeze, |line| line.contains("/leases/"));
//! # Ok(())
//! # }
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What happens to an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpFault {
    /// Bytes of both ends are taken and lost.
    Freeze,
    /// The server's end is closed, and the client does not learn of it: its bytes are taken and lost.
    HalfOpen,
    /// Both ends see the connection reset.
    Reset,
    /// What the client sends is lost. The server's bytes still arrive.
    LoseRequests,
    /// What the server sends is lost. The client's bytes still arrive.
    LoseAnswers,
}

impl TcpFault {
    /// All of them.
    pub const ALL: [TcpFault; 5] = [
        TcpFault::Freeze,
        TcpFault::HalfOpen,
        TcpFault::Reset,
        TcpFault::LoseRequests,
        TcpFault::LoseAnswers,
    ];
}

/// A running proxy. It has a thread and a runtime of its own and stops when dropped.
pub struct TcpProxy {
    url: String,
    shared: Arc<Shared>,
    /// Some until dropped.
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Shared {
    connections: Mutex<Vec<Connection>>,
    /// What happens to connections that are made from now on.
    new: Mutex<Option<TcpFault>>,
}

struct Connection {
    /// The first line of the last request.
    line: Arc<Mutex<String>>,
    fault: watch::Sender<Option<TcpFault>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TcpProxy {
    /// Starts a proxy in front of `upstream`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tcp-proxy")
            .enable_all()
            .build()?;
        let shared = Arc::<Shared>::default();
        runtime.spawn(accept(listener, upstream, Arc::clone(&shared)));
        Ok(Self {
            url,
            shared,
            runtime: Some(runtime),
        })
    }

    /// What clients connect to, for a server that speaks plain HTTP.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Breaks the open connections whose last request begins with a line that `which` picks, such as
    /// `GET /api/v1/secrets?watch=true HTTP/1.1`. Returns how many there were.
    pub fn break_open(&self, fault: TcpFault, which: impl Fn(&str) -> bool) -> usize {
        let mut connections = lock(&self.shared.connections);
        connections.retain(|connection| connection.fault.receiver_count() > 0);
        let mut broken = 0;
        for connection in connections.iter() {
            let is_whole = connection.fault.borrow().is_none();
            if is_whole && which(&lock(&connection.line)) {
                connection.fault.send_replace(Some(fault));
                broken += 1;
            }
        }
        broken
    }

    /// Has connections that are made from now on broken from their beginning, or served again.
    pub fn refuse_new(&self, fault: Option<TcpFault>) {
        *lock(&self.shared.new) = fault;
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: std::net::TcpListener, upstream: SocketAddr, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a listener that does not block");
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        let fault = watch::Sender::new(*lock(&shared.new));
        let line = Arc::<Mutex<String>>::default();
        let serving = serve(client, upstream, fault.subscribe(), Arc::clone(&line));
        lock(&shared.connections).push(Connection { line, fault });
        tokio::spawn(serving);
    }
}

async fn serve(
    client: TcpStream,
    upstream: SocketAddr,
    mut fault: watch::Receiver<Option<TcpFault>>,
    line: Arc<Mutex<String>>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    let (client, client_too) = twice(client)?;
    let (server, server_too) = twice(server)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let requests = copy(from_client, to_server, fault.clone(), Loses::Requests, line);
    let answers = copy(
        from_server,
        to_client,
        fault.clone(),
        Loses::Answers,
        Arc::default(),
    );
    let copying = async {
        let (requests, answers) = tokio::join!(requests, answers);
        (requests, answers)
    };
    tokio::select! {
        _ = copying => {}
        _ = fault.wait_for(|fault| *fault == Some(TcpFault::Reset)) => {
            // Closed with this, a connection is reset.
            client_too.set_zero_linger()?;
            server_too.set_zero_linger()?;
        }
    }
    Ok(())
}

/// A second handle of the same connection.
fn twice(stream: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let too = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(too)?))
}

#[derive(Clone, Copy, PartialEq)]
enum Loses {
    Requests,
    Answers,
}

impl Loses {
    fn is_lost(self, fault: Option<TcpFault>) -> bool {
        match fault {
            None | Some(TcpFault::Reset) => false,
            Some(TcpFault::Freeze | TcpFault::HalfOpen) => true,
            Some(TcpFault::LoseRequests) => self == Loses::Requests,
            Some(TcpFault::LoseAnswers) => self == Loses::Answers,
        }
    }
}

/// Copies one direction until it ends. An end is passed on, unless what ends is lost.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut fault: watch::Receiver<Option<TcpFault>>,
    loses: Loses,
    line: Arc<Mutex<String>>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let closes = async {
            drop(
                fault
                    .wait_for(|fault| *fault == Some(TcpFault::HalfOpen))
                    .await,
            );
        };
        let read = tokio::select! {
            biased;
            read = from.read(&mut buffer) => read?,
            () = closes, if loses == Loses::Answers => {
                // The server's end goes; the client's stays open, and hears nothing.
                drop(from);
                return std::future::pending().await;
            }
        };
        let now = *fault.borrow();
        if loses.is_lost(now) {
            if read == 0 && loses == Loses::Answers {
                return std::future::pending().await;
            }
            if read == 0 {
                return Ok(());
            }
            continue;
        }
        if read == 0 {
            return to.shutdown().await;
        }
        let bytes = &buffer[..read];
        if loses == Loses::Requests
            && let Some(first) = first_line(bytes)
        {
            *lock(&line) = first;
        }
        to.write_all(bytes).await?;
    }
}

/// The first line of a request, if the bytes begin with one.
fn first_line(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    line.ends_with("HTTP/1.1").then(|| line.to_owned())
}
