//! What is watched over all rows: what is logged, and who follows a redirect.

use std::{
    collections::BTreeSet,
    io,
    sync::{
        Arc, Mutex, Once, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::StatusCode;
use testkit::server::{Protocol, ServerOptions, SimRequest, SimResponse, SimServer, json};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// Everything that was logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Every secret of all systems that are gone.
static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Writes to [`LOG`].
struct Capture;

impl io::Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Capture {
    type Writer = Capture;

    fn make_writer(&'a self) -> Capture {
        Capture
    }
}

/// Writes down all that the crate logs, at the finest level, from here on.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("credential_operator=trace"))
            .with_writer(Capture)
            .with_ansi(false)
            .init();
    });
}

/// Remembers secrets, which are looked for at the end.
pub fn remember(secrets: Vec<String>) {
    SECRETS.lock().unwrap().extend(secrets);
}

/// Panics where a secret was logged, or nothing was.
pub fn nothing_secret_was_logged() {
    // So that an empty log is no proof.
    tracing::trace!(target: "credential_operator::conformance", "the end");
    let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
    assert!(log.contains("the end"), "nothing was written down");
    let secrets = SECRETS.lock().unwrap();
    assert!(!secrets.is_empty());
    let told = secrets
        .iter()
        .filter(|secret| secret.len() >= 8 && log.contains(*secret));
    assert_eq!(told.count(), 0, "secrets stand in the log");
}

/// How often the operator came to where nobody may be led. Systems that ask others follow redirects.
static CAME: AtomicUsize = AtomicUsize::new(0);

/// Says yes to everything, as whoever collects credentials would.
struct Yes;

impl Protocol for Yes {
    fn answer(&self, request: &SimRequest) -> SimResponse {
        let who = request.header(http::header::USER_AGENT.as_str());
        if who.starts_with("credential-operator") {
            CAME.fetch_add(1, Ordering::Relaxed);
        }
        json(StatusCode::OK, &serde_json::json!({}))
    }
}

fn server() -> &'static Arc<SimServer> {
    static SERVER: OnceLock<Arc<SimServer>> = OnceLock::new();
    SERVER.get_or_init(|| Arc::new(SimServer::start(ServerOptions::default(), Arc::new(Yes))))
}

/// A server that nobody may be led to. It is there and would answer.
pub fn elsewhere() -> String {
    format!("{}/elsewhere", server().base_url())
}

/// Panics where somebody was led there.
pub fn nobody_went_elsewhere() {
    let came = CAME.load(Ordering::Relaxed);
    assert_eq!(came, 0, "a redirect was followed");
}
