//! Every fault does what its description says, and the log tells of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::Value;

use super::{Fault, Later, Protocol, ServerOptions, SimRequest, SimResponse, SimServer, text};

/// Long enough for a busy machine, and a failure where it passes.
const DEADLINE: Duration = Duration::from_secs(20);

/// Answers "hello" and counts how often.
#[derive(Default)]
struct Hello(AtomicU64);

impl Protocol for Hello {
    fn answer(&self, _: &SimRequest) -> SimResponse {
        self.0.fetch_add(1, Ordering::Relaxed);
        text(StatusCode::OK, "hello")
    }
}

struct Site {
    server: SimServer,
    client: Client,
    hello: Arc<Hello>,
}

impl Site {
    fn new() -> Self {
        Self::with(ServerOptions::default())
    }

    fn with(options: ServerOptions) -> Self {
        let hello = Arc::new(Hello::default());
        let server = SimServer::start(options, Arc::clone(&hello) as _);
        let client = Client::builder().no_proxy().redirect(Policy::none());
        let client = client.timeout(DEADLINE).build().unwrap();
        Site {
            server,
            client,
            hello,
        }
    }

    fn url(&self, path: &str) -> String {
        self.server.base_url() + path
    }

    async fn get(&self, path: &str) -> reqwest::Result<reqwest::Response> {
        self.client.get(self.url(path)).send().await
    }

    /// Status and body, or `None` when either could not be read.
    async fn read(&self, path: &str) -> Option<(u16, String)> {
        let response = self.get(path).await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    async fn says_hello(&self, path: &str) -> bool {
        self.read(path).await == Some((200, "hello".to_owned()))
    }
}

/// Looks again and again until it is so.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn faults_that_answer_give_their_answer_once_and_then_it_is_over() {
    let retry = |header_value| Fault::RetryAfter {
        status: 429,
        header_value,
    };
    let soon = || Some("2".to_owned());
    let cases = [
        (Fault::status(503, "text/plain", "no"), 503, "no", None),
        (retry(soon()), 429, "slow down", Some(("retry-after", "2"))),
        (retry(None), 429, "slow down", None),
        (
            Fault::Html(502),
            502,
            "502 Bad Gateway",
            Some(("content-type", "text/html")),
        ),
        (
            Fault::Body(b"\xff{nonsense".to_vec()),
            200,
            "{nonsense",
            None,
        ),
        (
            Fault::Redirect("http://elsewhere/".into()),
            307,
            "",
            Some(("location", "http://elsewhere/")),
        ),
    ];
    let site = Site::new();
    for (fault, status, words, header) in cases {
        site.server.faults().push_n("GET /x", fault, 1);
        assert!(
            site.says_hello("/other").await,
            "the fault is for another route"
        );
        let response = site.get("/x").await.unwrap();
        assert_eq!(response.status(), status);
        if let Some((name, value)) = header {
            assert_eq!(response.headers()[name], value);
        }
        let retry_after = response.headers().contains_key("retry-after");
        assert_eq!(
            retry_after,
            header.is_some_and(|(name, _)| name == "retry-after")
        );
        let body = response.text().await.unwrap();
        assert!(body.contains(words), "{body}");
        assert!(site.says_hello("/x").await, "the fault was for one request");
    }
    // Not exactly one: a client may ask again before its connection is back in the pool.
    let (calls, connections) = (site.server.calls().len() as u64, site.server.connections());
    assert!(
        connections < calls / 2,
        "{connections} connections are not kept alive"
    );
    assert_eq!(site.server.max_in_flight("*"), 1);
}

#[tokio::test]
async fn faults_that_break_the_answer_are_errors_at_the_client() {
    let site = Site::new();
    let (done, undone) = (true, false);
    for (fault, status, effect) in [
        (Fault::CutConnection, None, undone),
        (Fault::LoseAnswer, None, done),
        (Fault::Truncate, Some(200), undone),
        (Fault::HugeHeaders, Some(200), undone),
    ] {
        let before = site.hello.0.load(Ordering::Relaxed);
        site.server.faults().push_n("*", fault.clone(), 1);
        // A client may try once more by itself where the server closed a kept connection, so no keep-alive here.
        let post = site
            .client
            .post(site.url("/x"))
            .header("connection", "close");
        let answer = match post.send().await {
            Ok(response) => response.bytes().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(answer.is_err(), "{fault:?}");
        let happened = site.hello.0.load(Ordering::Relaxed) > before;
        assert_eq!(happened, effect, "{fault:?}");
        assert_eq!(
            site.server.calls().last().unwrap().status,
            status,
            "{fault:?}"
        );
    }
    site.server.faults().push_n("*", Fault::Truncate, 1);
    let truncated = site
        .get("/x")
        .await
        .expect("the head arrives, the body does not");
    assert_eq!(truncated.content_length(), Some(1013));
}

#[tokio::test]
async fn a_delay_passes_before_the_normal_answer() {
    let site = Site::new();
    let delay = Duration::from_millis(80);
    site.server.faults().push_n("*", Fault::Delay(delay), 1);
    let started = Instant::now();
    assert!(site.says_hello("/").await);
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn a_hang_ends_when_its_fault_does_or_the_client_leaves() {
    let site = Site::new();
    type Release = fn(&SimServer);
    let releases: [Release; 3] = [
        |server| server.faults().clear(),
        |server| server.faults().remove("/h"),
        |server| server.faults().set("/h", Fault::Delay(Duration::ZERO)),
    ];
    for release in releases {
        site.server.faults().clear();
        site.server.faults().set("/h", Fault::Hang);
        let before = site.server.calls_to("/h").len();
        let hanging = async { tokio::join!(site.says_hello("/h"), site.says_hello("/h")) };
        let releasing = async {
            until("two calls came", || {
                site.server.calls_to("/h").len() == before + 2
            })
            .await;
            assert!(
                site.server.calls_to("/h")[before..]
                    .iter()
                    .all(|call| call.status.is_none())
            );
            release(&site.server);
        };
        assert_eq!(tokio::join!(hanging, releasing).0, (true, true));
    }
    assert_eq!(site.server.max_in_flight("/h"), 2);

    site.server.faults().push_n("/left", Fault::Hang, 1);
    let leaving = tokio::time::timeout(Duration::from_millis(50), site.get("/left"));
    assert!(leaving.await.is_err());
    let left = || {
        site.server
            .calls_to("/left")
            .iter()
            .all(|call| call.ended.is_some())
    };
    until("the server saw the client leave", left).await;
    assert_eq!(site.server.calls_to("/left")[0].status, None);
}

#[tokio::test]
async fn a_huge_body_has_its_size_and_a_drip_never_ends() {
    let site = Site::new();
    let size = 100 * 1024 * 1024 + 7;
    site.server.faults().set("/huge", Fault::HugeBody(size));
    let mut huge = site.get("/huge").await.unwrap();
    assert_eq!(huge.content_length(), None);
    let mut received = 0;
    while let Some(chunk) = huge.chunk().await.unwrap() {
        received += chunk.len() as u64;
    }
    assert_eq!(received, size);

    site.server.faults().set("/drip", Fault::Drip);
    let mut drip = site.get("/drip").await.unwrap();
    for _ in 0..2 {
        assert_eq!(drip.chunk().await.unwrap().unwrap().len(), 1);
    }
    let open = |wanted| site.server.calls_to("/drip")[0].ended.is_none() == wanted;
    assert!(open(true));
    drop(drip);
    until("the server saw the client leave", || open(false)).await;
}

#[tokio::test]
async fn while_down_connections_are_closed_and_then_all_is_well() {
    let site = Site::new();
    assert!(site.says_hello("/").await);
    site.server.faults().set("/h", Fault::Hang);
    let hanging = site.get("/h");
    let going_down = async {
        until("the call came", || site.server.calls_to("/h").len() == 1).await;
        site.server.down(true);
    };
    assert!(
        tokio::join!(hanging, going_down).0.is_err(),
        "open connections are closed"
    );
    assert!(site.get("/").await.is_err());
    site.server.down(false);
    assert!(site.says_hello("/").await);
    assert!(site.server.connections() >= 3);
}

#[tokio::test]
async fn going_down_is_over_when_the_call_returns_also_for_kept_connections() {
    let site = Site::new();
    for _ in 0..50 {
        assert!(site.says_hello("/").await);
        site.server.down(true);
        assert!(site.get("/").await.is_err());
        site.server.down(false);
    }
    assert_eq!(site.server.calls().len(), 50);
}

#[tokio::test]
async fn the_log_tells_what_came_and_counts_what_is_open_at_once() {
    let site = Site::new();
    let url = site.url("/a/b?x=1&y=%20");
    site.client
        .put(url)
        .bearer_auth("t")
        .body("text")
        .send()
        .await
        .unwrap();
    let calls = site.server.calls();
    let call = &calls[0];
    assert_eq!((call.method.as_str(), call.path.as_str()), ("PUT", "/a/b"));
    assert_eq!(
        (call.query.as_str(), call.authorization, call.status),
        ("x=1&y=%20", true, Some(200))
    );
    assert!(call.at <= call.ended.unwrap());

    site.server.faults().set("/slow/*", Fault::Hang);
    let paths = ["/slow/1", "/slow/2", "/slow/1"];
    let all = futures::future::join_all(paths.map(|path| site.says_hello(path)));
    let release = async {
        until("three calls came", || {
            site.server.calls_to("/slow/*").len() == 3
        })
        .await;
        site.server.faults().clear();
    };
    assert_eq!(tokio::join!(all, release).0, [true; 3]);
    for (route, most) in [("*", 3), ("/slow/1", 2), ("/slow/2", 1), ("/none", 0)] {
        assert_eq!(site.server.max_in_flight(route), most, "{route}");
    }
}

#[tokio::test]
async fn orders_over_http_exist_only_where_they_are_wanted() {
    let site = Site::new();
    assert!(site.says_hello("/_sim/faults").await, "an ordinary path");

    let site = Site::with(ServerOptions {
        control: true,
        ..ServerOptions::default()
    });
    let order = async |body: &'static str| {
        let put = site.client.put(site.url("/_sim/faults")).body(body);
        put.send().await.unwrap().status().as_u16()
    };
    let once = r#"{"route": "GET /x", "fault": {"status": {"status": 418, "contentType": "a/b", "body": ""}}, "times": 1}"#;
    assert_eq!(order(once).await, 200);
    assert_eq!(site.read("/x").await.unwrap().0, 418);
    assert!(site.says_hello("/x").await);
    assert_eq!(
        order(r#"{"route": "*", "fault": "cutConnection"}"#).await,
        200
    );
    assert!(site.get("/x").await.is_err());
    let clear = site.client.delete(site.url("/_sim/faults")).send().await;
    assert_eq!(clear.unwrap().status(), 200);
    assert!(site.says_hello("/x").await);
    for wrong in ["", "{}", r#"{"route": "*", "fault": "unheard-of"}"#] {
        assert_eq!(order(wrong).await, 400, "{wrong}");
    }
    let (_, calls) = site.read("/_sim/calls?route=GET+/x").await.unwrap();
    let calls: Value = serde_json::from_str(&calls).unwrap();
    assert_eq!(calls["maxInFlight"], 1);
    assert_eq!(calls["count"], site.server.calls_to("GET /x").len());
    assert_eq!(site.read("/_sim/unknown").await.unwrap().0, 404);

    site.client
        .post(site.url("/_sim/down?seconds=1"))
        .send()
        .await
        .unwrap();
    let end = Instant::now() + DEADLINE;
    while !site.says_hello("/").await {
        assert!(Instant::now() < end, "it came up again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_port_is_free_once_the_server_is_dropped() {
    let site = Site::new();
    assert!(site.says_hello("/").await);
    let port = site.server.port();
    drop(site);
    let again = Site::with(ServerOptions {
        port,
        ..ServerOptions::default()
    });
    assert!(again.says_hello("/").await);
}

/// Answers a while later, or hangs up.
struct Slow;

impl Protocol for Slow {
    fn answer(&self, _: &SimRequest) -> SimResponse {
        text(StatusCode::OK, "at once")
    }

    fn answer_later(self: Arc<Self>, request: &SimRequest) -> Option<Later> {
        let answer = match request.path.as_str() {
            "/late" => Some(text(StatusCode::OK, "late")),
            "/never" => None,
            _ => return None,
        };
        Some(Box::pin(async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            answer
        }))
    }
}

#[tokio::test]
async fn a_protocol_may_answer_later_or_hang_up() {
    let server = SimServer::start(ServerOptions::default(), Arc::new(Slow));
    for (path, expected) in [
        ("/at-once", Some("at once")),
        ("/late", Some("late")),
        ("/never", None),
    ] {
        let client = Client::builder().no_proxy().timeout(DEADLINE);
        let got = client.build().unwrap().get(server.base_url() + path);
        let got = got.send().await.ok();
        assert_eq!(got.is_some(), expected.is_some(), "{path}");
        if let (Some(got), Some(expected)) = (got, expected) {
            assert_eq!(got.text().await.unwrap(), expected);
        }
        let statuses = server.calls_to(path).into_iter().map(|call| call.status);
        assert!(statuses.eq([expected.map(|_| 200)]), "{path}");
    }
}
