//! The server itself: a thread, a runtime, a listener, and the way of a request through faults to the protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use super::body::{self, Watched};
use super::calls::CallLog;
use super::fault::Outcome;
use super::{Faults, Protocol, Route, SimCall, SimRequest, SimResponse, answer, control, tls};

/// The largest request body that is read.
const MAX_BODY: usize = 1024 * 1024;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Speak HTTPS, with a certificate authority of its own.
    pub tls: bool,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// How many threads answer requests.
    pub threads: usize,
    /// Take orders over HTTP below `/_sim/`. Off in tests: a simulator should not have paths that the real one lacks.
    pub control: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            tls: false,
            port: 0,
            threads: 2,
            control: false,
        }
    }
}

/// A running server. It stops when this is dropped, and its port is free again when the drop returns.
pub struct SimServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    ca_pem: Option<String>,
    certificate_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the connections and the controls share.
pub(super) struct Shared {
    pub(super) protocol: Arc<dyn Protocol>,
    pub(super) faults: Faults,
    pub(super) calls: Arc<CallLog>,
    pub(super) down: watch::Sender<bool>,
    control: bool,
    connections: AtomicU64,
}

impl SimServer {
    /// Starts to listen on 127.0.0.1. Connections are accepted from the moment this returns.
    ///
    /// Panics when the port is taken.
    pub fn start(options: ServerOptions, protocol: Arc<dyn Protocol>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
            .unwrap_or_else(|error| panic!("port {}: {error}", options.port));
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let identity = options.tls.then(tls::identity);
        let certificate_pem = identity.as_ref().map(|i| i.certificate_pem.clone());
        let (ca_pem, acceptor) = identity.map(|i| (i.ca_pem, i.acceptor)).unzip();
        let shared = Arc::new(Shared {
            protocol,
            faults: Faults::default(),
            calls: Arc::default(),
            down: watch::Sender::new(false),
            control: options.control,
            connections: AtomicU64::new(0),
        });

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .thread_name("simulator")
            .enable_all()
            .build()
            .unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, acceptor, serving) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(2));
        });
        SimServer {
            shared,
            address,
            ca_pem,
            certificate_pem,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// `http://127.0.0.1:port` or `https://127.0.0.1:port`.
    pub fn base_url(&self) -> String {
        let scheme = if self.ca_pem.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The port on which the server listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The certificate of the authority that signed the server's certificate; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The server's own certificate; `None` without TLS.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// The faults that requests meet.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// While down, connections are accepted and closed at once, and those that are open are closed.
    pub fn down(&self, down: bool) {
        self.shared.down.send_replace(down);
    }

    /// The last 100 000 calls, oldest first.
    pub fn calls(&self) -> Vec<SimCall> {
        self.shared.calls.matching(&Route::any())
    }

    /// Those of the last 100 000 calls that went to this route, oldest first.
    pub fn calls_to(&self, route: impl Into<Route>) -> Vec<SimCall> {
        self.shared.calls.matching(&route.into())
    }

    /// The highest number of calls to a route that were open at the same moment, among the last 100 000 calls.
    ///
    /// An answer takes so little time, and so few threads give them, that even eager clients rarely overlap: set a
    /// [`Fault::Delay`](super::Fault::Delay) or [`Fault::Hang`](super::Fault::Hang) to see how many calls a client
    /// dares to have open.
    pub fn max_in_flight(&self, route: impl Into<Route>) -> usize {
        self.shared.calls.max_in_flight(&route.into())
    }

    /// How many connections were accepted, those closed at once while down included.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        // A tokio runtime may not be dropped inside another one, where an async test drops us: so its own thread
        // does it, and we wait for that thread.
        self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        // Out of file descriptors, for example: the next connection may find one.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        if *shared.down.borrow() {
            continue;
        }
        let _ = stream.set_nodelay(true);
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        let mut down = shared.down.subscribe();
        tokio::spawn(async move {
            let served = async {
                let Some(acceptor) = acceptor else {
                    return serve(TokioIo::new(stream), shared).await;
                };
                // Else the client does not trust us, or has gone: nobody is left to tell.
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(TokioIo::new(stream), shared).await;
                }
            };
            tokio::select! {
                () = served => {}
                _ = down.wait_for(|down| *down) => {}
            }
        });
    }
}

/// Serves one connection until it ends. How it ends is the client's affair, or a fault's.
async fn serve(io: impl Read + Write + Unpin, shared: Arc<Shared>) {
    let service = service_fn(|request| answer_one(request, Arc::clone(&shared)));
    let _ = http1::Builder::new().serve_connection(io, service).await;
}

/// The way of one request. An error closes the connection without an answer.
async fn answer_one(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> io::Result<Response<Watched>> {
    // The connection is about to be closed, but the request may be faster.
    if *shared.down.borrow() {
        return Err(io::Error::other("down"));
    }
    let (head, incoming) = request.into_parts();
    let Ok(body) = Limited::new(incoming, MAX_BODY).collect().await else {
        let too_large = answer::text(StatusCode::PAYLOAD_TOO_LARGE, "too large");
        return Ok(too_large.map(|body| Watched::new(body::full(body), None)));
    };
    let request = SimRequest {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    };
    if shared.control && request.path.starts_with(control::PATH) {
        let answer = control::answer(&shared, &request);
        return Ok(answer.map(|body| Watched::new(body::full(body), None)));
    }

    let call = shared.calls.open(&request);
    shared.protocol.arrived(&request);
    let mut answer = None;
    if let Some(met) = shared.faults.meet(&request.method, &request.path) {
        match Outcome::from(met.fault) {
            Outcome::AnswerAfter(time) => tokio::time::sleep(time).await,
            Outcome::AnswerWhenReleased => met.released.cancelled().await,
            Outcome::Instead(instead) => answer = Some(instead),
            Outcome::AnswerAndCut => {
                ask(&shared.protocol, &request).await;
                return Err(io::Error::other("lost on purpose"));
            }
            Outcome::Cut => return Err(io::Error::other("cut on purpose")),
        }
    }
    let answer = match answer {
        Some(answer) => answer,
        None => match ask(&shared.protocol, &request).await {
            Some(answer) => answer.map(|bytes: Bytes| body::full(bytes)),
            None => return Err(io::Error::other("closed by the protocol")),
        },
    };
    call.answered(answer.status().as_u16());
    Ok(answer.map(|body| Watched::new(body, Some(call))))
}

/// What the protocol says; `None` when it hangs up instead.
async fn ask(protocol: &Arc<dyn Protocol>, request: &SimRequest) -> Option<SimResponse> {
    match Arc::clone(protocol).answer_later(request) {
        Some(later) => later.await,
        None => Some(protocol.answer(request)),
    }
}
