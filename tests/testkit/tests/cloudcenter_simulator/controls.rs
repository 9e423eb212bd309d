//! What all simulators can do: faults, TLS, the log, and telling what must not leak.

use anyhow::ensure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde_json::Value;
use testkit::cloudcenter::{CloudCenterOptions, KEYS, OWN_KEY, USER, USERS};
use testkit::server::Fault;
use testkit::wait::eventually;

use super::{DEADLINE, Site};

#[tokio::test]
async fn it_speaks_tls_to_those_who_trust_its_authority() {
    let site = Site::with(CloudCenterOptions { tls: true });
    assert!(
        site.cloudcenter
            .endpoint()
            .starts_with("https://127.0.0.1:")
    );
    let user = site
        .get(&format!("/v1/users/{}", site.alice.id), &site.alice)
        .await
        .json();
    let link = user["accessKeys"].as_str().unwrap();
    assert!(link.starts_with(&site.cloudcenter.endpoint()), "{link}");
    let distrustful = Client::builder().no_proxy().build().unwrap();
    let refused = distrustful.get(site.cloudcenter.endpoint()).send().await;
    assert!(refused.unwrap_err().is_connect());
}

#[tokio::test]
async fn every_secret_is_known_for_ever_also_as_it_travels() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    let password = simulator.change_password(&alice.id);
    let changed = simulator.change_key(&alice.id);
    let made = site.generate(alice, &site.boss).await.key();
    simulator.delete_user(&alice.id);
    let secrets = simulator.secret_values();
    let basic = |name: &str, secret: &str| STANDARD.encode(format!("{name}:{secret}"));
    for key in [&alice.key, &changed, &made] {
        assert!(secrets.contains(key));
        assert!(secrets.contains(&basic(&alice.username, key)));
    }
    for password in [&alice.password, &password] {
        assert!(secrets.contains(password));
        assert!(secrets.contains(&basic(&alice.login(), password)));
    }
    for public in [&alice.username, &alice.email, &alice.id, ""] {
        assert!(secrets.iter().all(|known| known != public), "{public}");
    }
}

#[tokio::test]
async fn faults_meet_the_routes_that_they_are_for() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    simulator.faults().set(USERS, Fault::Html(502));
    assert_eq!(site.get("/v1/users", alice).await.status, 502);
    let path = format!("/v1/users/{}", alice.id);
    assert_eq!(site.get(&path, alice).await.status, 200);
    simulator.faults().set(USER, Fault::Html(503));
    assert_eq!(site.get(&path, alice).await.status, 503);
    assert_eq!(site.get("/v1/user/keys", alice).await.status, 200);
    simulator.faults().clear();
    simulator.faults().set(KEYS, Fault::Html(500));
    assert_eq!(site.get("/v1/user/keys", alice).await.status, 500);
    assert_eq!(site.read(alice, alice).await.status, 500);
    assert_eq!(site.get("/v1/users", alice).await.status, 200);
    assert_eq!(
        simulator.counts().key_reads,
        3,
        "also those that a fault answered"
    );
    simulator.faults().clear();

    simulator.down(true);
    let request = site.client.get(simulator.endpoint() + "/v1/users");
    assert!(request.send().await.is_err());
    simulator.down(false);
    assert_eq!(site.get("/v1/users", alice).await.status, 200);
}

#[tokio::test]
async fn calls_are_logged_and_counted_while_they_overlap() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    simulator.faults().set(OWN_KEY, Fault::Hang);
    let asked = (0..3).map(|_| site.get("/v1/user/keys", alice));
    let release = async {
        let three = eventually(DEADLINE, async || {
            ensure!(simulator.server().calls_to(OWN_KEY).len() == 3, "not yet");
            Ok(())
        });
        three.await.unwrap();
        simulator.faults().clear();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(asked), release);
    assert!(answers.iter().all(|got| got.key() == alice.key));
    assert_eq!(simulator.max_in_flight(OWN_KEY), 3);
    site.get("/v1/users?page=1&size=2", alice).await;
    let calls = simulator.calls();
    assert_eq!((calls.len(), &*calls[3].query), (4, "page=1&size=2"));
    assert!(
        calls
            .iter()
            .all(|call| call.authorization && call.status == Some(200))
    );
}

#[tokio::test]
async fn only_json_is_spoken() {
    let site = Site::new();
    let login = Some((&*site.alice.username, &*site.alice.key));
    for (accept, status) in [
        ("application/json", 200),
        ("*/*", 200),
        ("application/xml, application/json;q=0.5", 200),
        ("application/xml", 406),
    ] {
        let headers = [("Accept", accept)];
        let got = site
            .send("GET /v1/users", login, &headers, Value::Null)
            .await;
        assert_eq!(got.status, status, "{accept}");
    }
    let head = site.send("HEAD /v1/users", login, &[], Value::Null).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}
