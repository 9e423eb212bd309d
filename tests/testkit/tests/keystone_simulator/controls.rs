//! What tests can make the simulator do, and what they can ask it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use testkit::keystone::{
    APPLICATION_CREDENTIALS, CREDENTIALS, EC2, Issued, KeystoneOptions, LOGIN, TOKENS,
};
use testkit::server::Fault;

use super::{Site, by_credential, by_password, on_project, pair};

#[tokio::test]
async fn the_ledger_tells_what_was_issued_to_whom_and_what_is_left() {
    let site = Site::new();
    let keystone = &site.keystone;
    let before = jiff::Timestamp::now();
    let (alice, admin) = (site.token(&site.alice).await, site.admin_token().await);
    let body = pair(&site.alice.id, &site.project, "AK1");
    assert_eq!(
        site.call("POST /v3/credentials", Some(&alice), body)
            .await
            .status,
        201
    );
    let body = pair(&site.bob.id, "nowhere", "AK2");
    assert_eq!(
        site.call("POST /v3/credentials", Some(&admin), body)
            .await
            .status,
        201
    );
    let create = format!("POST /v3/users/{}/application_credentials", site.alice.id);
    let body = json!({"application_credential": {
        "name": "op", "description": "d", "expires_at": "2100-01-01T00:00:00Z", "roles": [{"name": "reader"}],
    }});
    let made = site.call(&create, Some(&alice), body).await.json();
    let after = jiff::Timestamp::now();

    let pairs = keystone.live_pairs();
    let told: Vec<_> = pairs
        .iter()
        .map(|pair| {
            (
                &*pair.access,
                &*pair.user,
                &pair.user_id,
                pair.project.as_deref(),
            )
        })
        .collect();
    let expected = [
        ("AK1", "alice", &site.alice.id, Some("tenant-a")),
        ("AK2", "bob", &site.bob.id, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(pairs[1].project_id.as_deref(), Some("nowhere"));
    assert!(
        pairs
            .iter()
            .all(|pair| before <= pair.created && pair.created <= after)
    );
    let credentials = keystone.live_application_credentials();
    let credential = &credentials[0];
    assert_eq!(made["application_credential"]["id"], credential.id);
    assert_eq!((&*credential.name, &*credential.user), ("op", "alice"));
    assert_eq!(credential.project.as_deref(), Some("tenant-a"));
    assert_eq!(
        (&credential.roles[..], credential.unrestricted),
        (&["reader".to_owned()][..], false)
    );
    assert_eq!(credential.description.as_deref(), Some("d"));
    assert_eq!(
        credential.expires_at.unwrap().to_string(),
        "2100-01-01T00:00:00Z"
    );
    assert!(before <= credential.created && credential.created <= after);

    assert!(keystone.revoke_pair("AK1"));
    assert!(keystone.revoke_application_credential(&credential.id));
    assert!(!keystone.revoke_application_credential(&credential.id));
    assert_eq!(keystone.live_pairs().len(), 1);
    assert!(keystone.live_application_credentials().is_empty());
    let issued = |pairs, application_credentials, tokens| Issued {
        pairs,
        application_credentials,
        tokens,
    };
    let expected = BTreeMap::from([
        (site.alice.id.clone(), issued(1, 1, 1)),
        (site.bob.id.clone(), issued(1, 0, 0)),
        (site.admin.id.clone(), issued(0, 0, 1)),
    ]);
    assert_eq!(keystone.ever_issued(), expected);
    assert_eq!(keystone.ever_issued_to(&site.alice.id), issued(1, 1, 1));
    assert_eq!(keystone.ever_issued_to("nobody"), Issued::default());
}

#[tokio::test]
async fn every_secret_is_known_for_ever() {
    let site = Site::new();
    let keystone = &site.keystone;
    let old = site.alice.password.clone();
    let token = site.token(&site.alice).await;
    let (id, secret) =
        keystone.add_application_credential(&site.alice.id, &site.project, "op", false);
    keystone.add_pair(&site.alice.id, &site.project, "AK1", "SK1");
    keystone.add_pair(&site.bob.id, &site.project, "EMPTY", "");
    let one = keystone.live_pairs()[0].access.clone();
    let line = "GET /v3/credentials";
    let row = site.call(line, Some(&token), Value::Null).await.json()["credentials"][0].clone();
    let patch = format!("PATCH /v3/credentials/{}", row["id"].as_str().unwrap());
    let blob = json!({"access": one, "secret": "SK2"}).to_string();
    let body = json!({"credential": {"blob": blob}});
    assert_eq!(site.call(&patch, Some(&token), body).await.status, 200);
    let password = keystone.rotate_password(&site.alice.id);
    assert!(old.starts_with("PWMARK-") && password.starts_with("PWMARK-") && old != password);
    keystone.delete_user(&site.alice.id);
    let secrets = keystone.secret_values();
    for secret in [
        &old,
        &password,
        &token,
        &secret,
        "SK1",
        "SK2",
        &site.bob.password,
    ] {
        assert!(secrets.iter().any(|known| known == secret), "{secret}");
    }
    for public in ["AK1", "alice", "op", &id, &site.alice.id, ""] {
        assert!(secrets.iter().all(|known| known != public), "{public}");
    }
}

#[tokio::test]
async fn logins_are_counted_by_how_they_end_and_faults_too() {
    let site = Site::new();
    let keystone = &site.keystone;
    let good = by_password(&site.alice, on_project(&site.project));
    keystone.faults().push_n(LOGIN, Fault::Html(502), 2);
    for status in [502, 502, 201] {
        assert_eq!(site.log_in(good.clone()).await.status, status);
    }
    let mut wrong = good.clone();
    wrong["identity"]["password"]["user"]["password"] = json!("wrong");
    assert_eq!(site.log_in(wrong).await.status, 401);
    let unknown = by_credential(json!({"id": "none", "secret": "none"}));
    assert_eq!(site.log_in(unknown).await.status, 404);
    let logins = keystone.logins();
    assert_eq!(logins.asked, 5);
    assert_eq!(
        logins.by_status,
        BTreeMap::from([(201, 1), (401, 1), (404, 1)])
    );
    assert_eq!(
        (
            logins.succeeded(),
            logins.with_status(401),
            logins.with_status(403)
        ),
        (1, 1, 0)
    );

    let token = site.token(&site.alice).await;
    keystone.faults().push_n(CREDENTIALS, Fault::LoseAnswer, 1);
    let lost = site.client.post(keystone.endpoint() + "/credentials");
    let lost = lost
        .header("X-Auth-Token", &token)
        .header("connection", "close");
    assert!(
        lost.json(&pair(&site.alice.id, &site.project, "AK1"))
            .send()
            .await
            .is_err()
    );
    assert!(
        keystone.pair_works("AK1", "SK"),
        "made, though nobody heard of it"
    );
    keystone.revoke_token(&token);
    assert_eq!(
        site.call("GET /v3/credentials", Some(&token), Value::Null)
            .await
            .status,
        401
    );
    keystone.down(true);
    assert!(site.client.get(keystone.url()).send().await.is_err());
    keystone.down(false);
    assert_eq!(site.call("GET /v3", None, Value::Null).await.status, 200);
}

#[tokio::test]
async fn routes_tell_the_calls_apart() {
    let site = Site::new();
    let token = site.token(&site.alice).await;
    let user = format!("/v3/users/{}", site.alice.id);
    for line in [
        "DELETE /v3/credentials/x".to_owned(),
        "GET /v3/credentials?type=ec2".to_owned(),
        format!("GET {user}/credentials/OS-EC2"),
        format!("DELETE {user}/credentials/OS-EC2/x"),
        format!("GET {user}/application_credentials?name=x"),
        format!("GET {user}/application_credentials/x"),
        "GET /v3/auth/tokens".to_owned(),
    ] {
        site.call(&line, Some(&token), Value::Null).await;
    }
    let count = |route: &str| site.keystone.server().calls_to(route).len();
    let counts = [
        LOGIN,
        TOKENS,
        CREDENTIALS,
        EC2,
        APPLICATION_CREDENTIALS,
        "*",
    ]
    .map(count);
    assert_eq!(counts, [1, 2, 2, 2, 2, 8]);
    assert_eq!(site.keystone.calls()[2].query, "type=ec2");
    assert_eq!(site.keystone.max_in_flight("*"), 1);
}

#[tokio::test]
async fn it_speaks_tls_to_those_who_trust_its_authority() {
    let site = Site::with(KeystoneOptions {
        tls: true,
        ..KeystoneOptions::default()
    });
    assert!(site.keystone.endpoint().starts_with("https://127.0.0.1:"));
    let got = site.call("GET /v3", None, Value::Null).await;
    let link = got.json()["version"]["links"][0]["href"].clone();
    assert_eq!(link, site.keystone.endpoint() + "/");
    let distrustful = Client::builder().no_proxy().build().unwrap();
    let refused = distrustful.get(site.keystone.endpoint()).send().await;
    assert!(refused.unwrap_err().is_connect());
}

/// A real Keystone makes twenty tokens a second on two cores. Without a margin like this the simulator has no purpose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_much_faster_than_a_real_one() {
    let site = Site::new();
    let started = Instant::now();
    let logins = (0..8).map(async |worker| {
        for number in 0..50 {
            let token = site.token(&site.alice).await;
            let access = format!("AK{worker}-{number}");
            let body = pair(&site.alice.id, &site.project, &access);
            assert_eq!(
                site.call("POST /v3/credentials", Some(&token), body)
                    .await
                    .status,
                201
            );
        }
    });
    futures::future::join_all(logins).await;
    let took = started.elapsed();
    assert_eq!(site.keystone.live_pairs().len(), 400);
    // On a machine that does nothing else it takes less than a second; a real one would take half a minute.
    println!("800 calls took {took:?}");
    assert!(took < Duration::from_secs(20), "800 calls took {took:?}");
    let calls = site.keystone.calls();
    let span = calls.last().unwrap().at.duration_since(calls[0].at);
    assert!(span <= took && calls.len() == 800);
}
