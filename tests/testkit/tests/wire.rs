//! The wire proxy between a client and a small server.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use futures::StreamExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use testkit::wait::eventually;
use testkit::wire::{Fault, ResponseParts, WireProxy};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Longer than anything takes here, so that a test that waits for it has failed.
const DEADLINE: Duration = Duration::from_secs(10);

/// A server that counts what reaches it.
struct Upstream {
    url: String,
    state: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    things: AtomicU32,
    lines: tokio::sync::Notify,
}

impl Upstream {
    async fn start() -> Self {
        let state = Arc::<Counters>::default();
        let routes = Router::new()
            .route("/things", post(create).get(async || "no things"))
            .route("/watch", get(watch))
            .route(
                "/host",
                get(async |headers: HeaderMap| format!("{:?}", headers.get("host"))),
            )
            .with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, routes).into_future());
        Self { url, state }
    }

    fn things(&self) -> u32 {
        self.state.things.load(Ordering::SeqCst)
    }
}

async fn create(
    State(state): State<Arc<Counters>>,
    body: Bytes,
) -> (axum::http::StatusCode, Bytes) {
    state.things.fetch_add(1, Ordering::SeqCst);
    (axum::http::StatusCode::CREATED, body)
}

/// A line whenever the test says so, without end.
async fn watch(State(state): State<Arc<Counters>>) -> Body {
    Body::from_stream(futures::stream::unfold(
        (state, 0),
        async |(state, count)| {
            state.lines.notified().await;
            Some((
                Ok::<_, Infallible>(format!("line {count}\n")),
                (state, count + 1),
            ))
        },
    ))
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn create_thing(proxy: &WireProxy) -> reqwest::Result<reqwest::Response> {
    client()
        .post(format!("{}/things", proxy.url()))
        .body("a thing")
        .send()
        .await
}

async fn both() -> (Upstream, WireProxy) {
    let upstream = Upstream::start().await;
    let proxy = WireProxy::start(&upstream.url, None).unwrap();
    (upstream, proxy)
}

#[tokio::test]
async fn a_call_is_forwarded_and_recorded() {
    let (upstream, proxy) = both().await;
    let answer = client()
        .post(format!("{}/things?dryRun=All", proxy.url()))
        .header("accept", "application/json")
        .header("content-type", "text/x-thing")
        .header("user-agent", "a client")
        .body("a thing")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.text().await.unwrap(), "a thing");
    assert_eq!(upstream.things(), 1);

    let calls = eventually(DEADLINE, async || {
        let calls = proxy.changing();
        ensure!(
            calls.iter().all(|call| call.finished.is_some()),
            "not finished"
        );
        Ok(calls)
    });
    let calls = calls.await.unwrap();
    let [call] = calls.as_slice() else {
        panic!("one call, not {calls:?}")
    };
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("POST", "/things")
    );
    assert_eq!(call.query.as_deref(), Some("dryRun=All"));
    assert_eq!(call.accept.as_deref(), Some("application/json"));
    assert_eq!(call.content_type.as_deref(), Some("text/x-thing"));
    assert_eq!(call.user_agent.as_deref(), Some("a client"));
    assert_eq!(call.request_body, "a thing");
    assert_eq!((call.forwarded, call.status), (true, Some(201)));
}

#[tokio::test]
async fn a_mark_separates_what_came_before_and_after() {
    let (_upstream, proxy) = both().await;
    create_thing(&proxy).await.unwrap();
    let mark = proxy.mark();
    client()
        .get(format!("{}/things", proxy.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(proxy.since(mark).len(), 1);
    assert_eq!(
        proxy.summary(),
        [
            ("GET /things".to_owned(), 1),
            ("POST /things".to_owned(), 1)
        ]
        .into()
    );
    assert_eq!(proxy.calls_where(|call| call.path == "/things").len(), 2);
    proxy.clear();
    assert!(proxy.calls().is_empty());
}

#[tokio::test]
async fn the_host_that_the_client_named_reaches_the_server() {
    let (_upstream, proxy) = both().await;
    let seen = client()
        .get(format!("{}/host", proxy.url()))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let authority = proxy.url().strip_prefix("http://").unwrap();
    assert!(seen.contains(authority), "{seen}");
}

#[tokio::test]
async fn a_stream_is_passed_on_part_by_part() {
    let (upstream, proxy) = both().await;
    let answer = client()
        .get(format!("{}/watch", proxy.url()))
        .send()
        .await
        .unwrap();
    let mut parts = answer.bytes_stream();
    for count in 0..3 {
        upstream.state.lines.notify_one();
        let part = tokio::time::timeout(DEADLINE, parts.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(part, format!("line {count}\n"));
    }
    assert!(proxy.calls()[0].finished.is_none());

    drop(parts);
    let finished = eventually(DEADLINE, async || {
        ensure!(
            proxy.calls()[0].finished.is_some(),
            "the end of the stream was not noticed"
        );
        Ok(())
    });
    finished.await.unwrap();
}

#[tokio::test]
async fn a_connection_serves_several_calls() {
    let (_upstream, proxy) = both().await;
    let address: SocketAddr = proxy
        .url()
        .strip_prefix("http://")
        .unwrap()
        .parse()
        .unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        sender.ready().await.unwrap();
        let request = http::Request::get("/things")
            .header("host", "a")
            .body(String::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let body = http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap();
        assert_eq!(body.to_bytes(), "no things");
    }
    assert_eq!(proxy.calls().len(), 3);
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length() {
    let (_upstream, proxy) = both().await;
    let answer = client()
        .head(format!("{}/things", proxy.url()))
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.headers()["content-length"],
        "no things".len().to_string()
    );
}

#[tokio::test]
async fn a_proxy_with_tls_is_trusted_by_name_and_by_address() {
    let upstream = Upstream::start().await;
    let inner = WireProxy::start_tls(&upstream.url, None).unwrap();
    // A second one in front, so that TLS towards the upstream is tried, too.
    let outer = WireProxy::start_tls(inner.url(), inner.ca_pem()).unwrap();
    let ca = reqwest::Certificate::from_pem(outer.ca_pem().unwrap().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([ca])
        .build()
        .unwrap();
    for url in [
        outer.url().to_owned(),
        outer.url().replace("127.0.0.1", "localhost"),
    ] {
        let answer = client.post(format!("{url}/things")).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    assert_eq!(upstream.things(), 2);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_looks_like_no_server() {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let proxy = WireProxy::start(&format!("http://{free}"), None).unwrap();
    assert!(create_thing(&proxy).await.unwrap_err().is_request());
    let calls = proxy.calls();
    assert_eq!((calls[0].forwarded, calls[0].status), (false, None));
}

#[tokio::test]
async fn hold_before_keeps_the_call_from_the_server_until_it_is_released() {
    let (upstream, proxy) = both().await;
    let held = proxy.rule(|call| call.is_changing(), Fault::HoldBefore, Some(1));
    let calling = async { create_thing(&proxy).await.unwrap().status() };
    let watching = async {
        held.hit(DEADLINE).await.unwrap();
        assert_eq!(upstream.things(), 0);
        held.release();
    };
    let (status, ()) = tokio::join!(calling, watching);
    assert_eq!(
        (status.as_u16(), upstream.things(), held.hits()),
        (201, 1, 1)
    );
}

/// Sends a call, and closes the connection at the same moment in which the call is released: the
/// proxy has no time to learn of the one before the other.
async fn leave_while_held(proxy: &WireProxy, mut connect: impl FnMut() -> Box<dyn std::io::Write>) {
    for _ in 0..20 {
        let held = proxy.rule(|call| call.is_changing(), Fault::HoldBefore, Some(1));
        let mark = proxy.mark();
        let mut client = connect();
        let call = b"POST /things HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
        client.write_all(call).unwrap();
        held.hit(DEADLINE).await.unwrap();
        drop(client);
        held.release();
        let over = eventually(DEADLINE, async || {
            ensure!(
                proxy.since(mark)[0].finished.is_some(),
                "the call is not over"
            );
            Ok(())
        });
        over.await.unwrap();
    }
    assert!(proxy.calls().iter().all(|call| !call.forwarded));
}

#[tokio::test]
async fn what_is_held_before_is_not_forwarded_once_the_client_is_gone() {
    let (upstream, proxy) = both().await;
    let address = proxy.url().strip_prefix("http://").unwrap();
    leave_while_held(&proxy, || {
        Box::new(std::net::TcpStream::connect(address).unwrap())
    })
    .await;
    assert_eq!(upstream.things(), 0);
}

#[tokio::test]
async fn what_is_held_before_under_tls_is_not_forwarded_once_the_client_is_gone() {
    let upstream = Upstream::start().await;
    let proxy = WireProxy::start_tls(&upstream.url, None).unwrap();
    let address = proxy.url().strip_prefix("https://").unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(proxy.ca_pem().unwrap().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    leave_while_held(&proxy, || {
        let name = "localhost".try_into().unwrap();
        let tls = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        let tcp = std::net::TcpStream::connect(address).unwrap();
        Box::new(rustls::StreamOwned::new(tls, tcp))
    })
    .await;
    assert_eq!(upstream.things(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_call_is_held_ends_the_call() {
    let (upstream, proxy) = both().await;
    let held = proxy.rule(|call| call.is_changing(), Fault::HoldBefore, None);
    let calling = tokio::time::timeout(Duration::from_millis(100), create_thing(&proxy));
    assert!(calling.await.is_err(), "the call was answered");
    let over = eventually(DEADLINE, async || {
        ensure!(proxy.calls()[0].finished.is_some(), "the call is not over");
        Ok(())
    });
    over.await.unwrap();
    held.remove();
    assert_eq!(upstream.things(), 0);
}

#[tokio::test]
async fn hold_after_lets_the_server_act_and_keeps_its_answer() {
    let (upstream, proxy) = both().await;
    let held = proxy.rule(|call| call.is_changing(), Fault::HoldAfter, Some(1));
    let calling = async { create_thing(&proxy).await.unwrap().text().await.unwrap() };
    let watching = async {
        held.hit(DEADLINE).await.unwrap();
        assert_eq!(upstream.things(), 1);
        assert_eq!(proxy.calls()[0].status, Some(201));
        held.release();
    };
    let (answer, ()) = tokio::join!(calling, watching);
    assert_eq!(answer, "a thing");
}

#[tokio::test]
async fn cut_before_and_cut_after_differ_in_what_the_server_did() {
    let (upstream, proxy) = both().await;
    let before = proxy.rule(|call| call.is_changing(), Fault::CutBefore, Some(1));
    let after = proxy.rule(|call| call.is_changing(), Fault::CutAfter, Some(1));

    assert!(create_thing(&proxy).await.is_err());
    assert_eq!((upstream.things(), before.hits(), after.hits()), (0, 1, 0));
    assert!(create_thing(&proxy).await.is_err());
    assert_eq!((upstream.things(), before.hits(), after.hits()), (1, 1, 1));
    assert!(create_thing(&proxy).await.is_ok());
}

#[tokio::test]
async fn a_delay_passes_before_the_call_is_forwarded() {
    let (upstream, proxy) = both().await;
    let delay = Duration::from_millis(200);
    proxy.rule(|_| true, Fault::Delay(delay), Some(1));
    let started = Instant::now();
    create_thing(&proxy).await.unwrap();
    assert!(started.elapsed() >= delay);
    assert_eq!(upstream.things(), 1);
}

#[tokio::test]
async fn a_reply_takes_the_place_of_the_server() {
    let (upstream, proxy) = both().await;
    let reply = ResponseParts::text(429, "later").with_header("retry-after", "7");
    proxy.rule(|call| call.is_changing(), Fault::Reply(reply), Some(1));
    let answer = create_thing(&proxy).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    assert_eq!(answer.text().await.unwrap(), "later");
    assert_eq!(upstream.things(), 0);
    assert_eq!(
        (proxy.calls()[0].forwarded, proxy.calls()[0].status),
        (false, Some(429))
    );
}

#[tokio::test]
async fn a_rewrite_changes_what_the_server_said() {
    let (upstream, proxy) = both().await;
    let rewrite = Fault::rewrite(|mut parts| {
        parts.status = 200;
        parts.body = [&b"not only "[..], &parts.body].concat().into();
        parts
    });
    proxy.rule(|call| call.is_changing(), rewrite, None);
    let answer = create_thing(&proxy).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "not only a thing");
    assert_eq!(upstream.things(), 1);
}

#[tokio::test]
async fn a_rule_that_is_removed_lets_go_and_does_nothing_any_more() {
    let (_upstream, proxy) = both().await;
    let held = proxy.rule(|_| true, Fault::HoldBefore, None);
    let (status, ()) = tokio::join!(
        async { create_thing(&proxy).await.unwrap().status() },
        async {
            held.hit(DEADLINE).await.unwrap();
            held.remove();
        }
    );
    assert_eq!(status, 201);
    create_thing(&proxy).await.unwrap();
    assert_eq!(held.hits(), 1);
}

#[tokio::test]
async fn while_down_nobody_is_served_and_streams_are_cut() {
    let (_upstream, proxy) = both().await;
    let mut stream = client()
        .get(format!("{}/watch", proxy.url()))
        .send()
        .await
        .unwrap()
        .bytes_stream();
    proxy.set_down(true);
    let cut = tokio::time::timeout(DEADLINE, stream.next()).await.unwrap();
    assert!(!matches!(cut, Some(Ok(_))), "{cut:?}");
    assert!(create_thing(&proxy).await.is_err());

    proxy.set_down(false);
    assert_eq!(create_thing(&proxy).await.unwrap().status(), 201);
}

#[tokio::test]
async fn cut_connections_leaves_the_server_up() {
    let (_upstream, proxy) = both().await;
    let mut stream = client()
        .get(format!("{}/watch", proxy.url()))
        .send()
        .await
        .unwrap()
        .bytes_stream();
    proxy.cut_connections();
    let cut = tokio::time::timeout(DEADLINE, stream.next()).await.unwrap();
    assert!(!matches!(cut, Some(Ok(_))), "{cut:?}");
    assert_eq!(create_thing(&proxy).await.unwrap().status(), 201);
}

#[test]
fn everything_can_be_waited_for_without_a_runtime() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_upstream, proxy) = runtime.block_on(both());
    let held = proxy.rule(|_| true, Fault::HoldAfter, None);
    assert!(held.wait_hit(Duration::from_millis(50)).is_err());
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| runtime.block_on(create_thing(&proxy)));
        held.wait_hit(DEADLINE).unwrap();
        held.release();
        assert_eq!(calling.join().unwrap().unwrap().status(), 201);
    });
}

#[tokio::test]
async fn a_proxy_that_is_dropped_is_gone() {
    let (_upstream, proxy) = both().await;
    let address = proxy.url().strip_prefix("http://").unwrap().to_owned();
    drop(proxy);
    let refused = eventually(DEADLINE, async || {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            stream.shutdown().await?;
            anyhow::bail!("still there");
        }
        Ok(())
    });
    refused.await.unwrap();
}
