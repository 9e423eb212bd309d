//! Reading keys, and making new ones, which destroys the old.

use serde_json::{Value, json};
use testkit::cloudcenter::{Account, ApiKey, KEYS, KeyShape, Lie, MadeBy, OWN_KEY, USER_KEYS};
use testkit::server::Fault;

use super::Site;

#[tokio::test]
async fn keys_are_shown_to_their_owner_and_to_admins() {
    let site = Site::new();
    let Site {
        root,
        boss,
        alice,
        foreign,
        ..
    } = &site;
    let all: [&Account; 4] = [root, boss, alice, foreign];
    let rows: [(&Account, &[&Account]); 4] = [
        (root, &all),
        (boss, &[boss, alice]),
        (alice, &[alice]),
        (foreign, &[foreign]),
    ];
    for (caller, shown) in rows {
        assert_eq!(site.get("/v1/user/keys", caller).await.key(), caller.key);
        for owner in all {
            let got = site.read(owner, caller).await;
            match shown.contains(&owner) {
                true => assert_eq!(got.key(), owner.key),
                false => assert_eq!(got.refusal(), (403, "ACCESS_DENIED".to_owned())),
            }
        }
    }
    let key = &site.alice.key;
    assert_eq!(key.len(), 16);
    let hex = |c: char| c.is_ascii_digit() || ('A'..='F').contains(&c);
    assert!(key.chars().all(hex), "{key}");
    let known = &site.cloudcenter.keys_of(&alice.username)[0];
    assert_eq!((known.shown, &known.made_by), (4, &MadeBy::Test));
    let counts = site.cloudcenter.counts();
    assert_eq!((counts.key_reads, counts.changing), (20, 0));

    site.cloudcenter.hide_own_key(true);
    let refused = site.read(alice, alice).await;
    assert_eq!(refused.refusal(), (403, "ACCESS_DENIED".to_owned()));
    assert_eq!(site.get("/v1/user/keys", alice).await.key(), alice.key);
    assert_eq!(site.read(alice, boss).await.key(), alice.key);
    assert_eq!(site.read(boss, boss).await.key(), boss.key);
}

#[tokio::test]
async fn a_new_key_kills_the_old_one_at_once() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    let new = site.generate(alice, &site.boss).await;
    assert_eq!((new.status, new.key() == alice.key), (200, false));
    assert_eq!(site.get("/v1/user/keys", alice).await.status, 401);
    let now = simulator.account(&alice.id);
    assert_eq!(new.key(), now.key);
    assert_eq!(site.get("/v1/user/keys", &now).await.key(), now.key);
    assert!(simulator.is_live(&alice.username, &now.key));
    assert!(!simulator.is_live(&alice.username, &alice.key));

    // The caller's own: the answer is the last thing that the old key gets.
    let own = site.generate(&now, &now).await.key();
    assert_eq!(site.get("/v1/user/keys", &now).await.status, 401);

    let keys: Vec<ApiKey> = simulator.keys_of(&alice.username);
    let told: Vec<_> = keys
        .iter()
        .map(|key| (&*key.key, &key.made_by, key.is_live()))
        .collect();
    let expected = [
        (&*alice.key, &MadeBy::Test, false),
        (&*now.key, &MadeBy::Call(site.boss.id.clone()), false),
        (&*own, &MadeBy::Call(alice.id.clone()), true),
    ];
    assert_eq!(told, expected);
    assert!(keys[0].died_at_ms.unwrap() >= keys[0].made_at_ms);
    assert_eq!((keys[1].shown, keys[1].uses), (2, 2));
    let serials: Vec<u64> = simulator.keys().iter().map(|key| key.serial).collect();
    assert_eq!(serials, [1, 2, 3, 4, 5, 6]);
    let counts = simulator.counts();
    assert_eq!(
        (counts.generate_asked, counts.generated, counts.changing),
        (2, 2, 2)
    );
}

#[tokio::test]
async fn what_is_refused_destroys_nothing() {
    let site = Site::new();
    let Site {
        boss,
        alice,
        foreign,
        ..
    } = &site;
    let line = format!("POST /v1/users/{}/keys", alice.id);
    for body in [
        json!({}),
        json!([]),
        json!({"apiKey": {"generate": false}}),
        json!({"apiKey": {"generate": "true"}}),
        json!({"generate": true}),
    ] {
        let got = site.call(&line, boss, body.clone()).await;
        assert_eq!(got.refusal(), (400, "INVALID_REQUEST".to_owned()), "{body}");
    }
    let url = format!("{}/v1/users/{}/keys", site.cloudcenter.endpoint(), alice.id);
    let post = async |kind: &str, body: &'static str| {
        let request = site
            .client
            .post(&url)
            .body(body)
            .header("content-type", kind);
        let request = request.basic_auth(&boss.username, Some(&boss.key));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post("application/json; charset=utf-8", "{").await, 400);
    assert_eq!(
        post("text/plain", r#"{"apiKey":{"generate":true}}"#).await,
        415
    );
    assert_eq!(site.generate(foreign, alice).await.refusal().0, 403);
    assert_eq!(site.generate(foreign, boss).await.refusal().0, 403);
    let nobody = Account {
        id: "999".to_owned(),
        ..foreign.clone()
    };
    assert_eq!(site.generate(&nobody, &site.root).await.refusal().0, 404);
    for line in [
        "POST /v1/user/keys",
        "DELETE /v1/user/keys",
        "PUT /v1/users/2",
        "DELETE /v1/users",
    ] {
        let got = site.call(line, &site.root, Value::Null).await;
        assert_eq!(got.status, 405, "{line}");
    }
    assert_eq!(site.get("/v1/tenants", &site.root).await.status, 404);
    assert_eq!(site.get("/v2/users", &site.root).await.status, 404);
    assert!(site.cloudcenter.keys().iter().all(ApiKey::is_live));
    let counts = site.cloudcenter.counts();
    assert_eq!(
        (counts.generate_asked, counts.generated, counts.changing),
        (11, 0, 14)
    );
}

#[tokio::test]
async fn a_lost_answer_has_destroyed_and_a_fault_has_not() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    simulator
        .faults()
        .push_n(format!("POST {USER_KEYS}").as_str(), Fault::Html(502), 1);
    assert_eq!(site.generate(alice, &site.boss).await.status, 502);
    assert!(simulator.is_live(&alice.username, &alice.key));

    simulator.faults().push_n(USER_KEYS, Fault::LoseAnswer, 1);
    let url = format!("{}/v1/users/{}/keys", simulator.endpoint(), alice.id);
    let request = site
        .client
        .post(url)
        .json(&json!({"apiKey": {"generate": true}}));
    let request = request.basic_auth(&site.boss.username, Some(&site.boss.key));
    let lost = request.header("connection", "close").send().await;
    assert!(lost.is_err());
    assert!(!simulator.is_live(&alice.username, &alice.key));
    let counts = simulator.counts();
    assert_eq!((counts.generate_asked, counts.generated), (2, 1));
    let read = site.read(alice, &site.boss).await.key();
    assert_eq!(
        read,
        simulator.account(&alice.id).key,
        "to read is the way out"
    );
}

#[tokio::test]
async fn keys_change_and_go_behind_the_back() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    let changed = simulator.change_key(&alice.id);
    assert_ne!(changed, alice.key);
    assert_eq!(site.read(alice, &site.boss).await.key(), changed);
    assert_eq!(site.get("/v1/user/keys", alice).await.status, 401);
    simulator.set_key(&alice.id, "a:b \"c\"");
    let now = simulator.account(&alice.id);
    assert_eq!(site.get("/v1/user/keys", &now).await.key(), "a:b \"c\"");
    simulator.remove_key(&alice.id);
    assert_eq!(simulator.account(&alice.id).key, "");
    let none = site.read(alice, &site.boss).await;
    assert_eq!(none.refusal(), (404, "KEY_NOT_FOUND".to_owned()));
    assert_eq!(site.get("/v1/user/keys", &now).await.status, 401);
    let counts = simulator.counts();
    assert_eq!((counts.generated, counts.changing), (0, 0));
    assert_eq!(site.generate(alice, &site.boss).await.status, 200);
}

#[tokio::test]
async fn an_answer_about_a_key_has_the_form_that_is_set() {
    let site = Site::new();
    let (alice, path) = (&site.alice, "/v1/user/keys");
    let resource = site.cloudcenter.endpoint() + path;
    let (username, key) = (&alice.username, &alice.key);
    let object = json!({"resource": resource, "username": username, "key": key});
    for (shape, expected) in [
        (KeyShape::Object, json!({"apiKey": object})),
        (KeyShape::Text, json!({"apiKey": key})),
        (KeyShape::TopLevel, object.clone()),
    ] {
        site.cloudcenter.show_keys_as(shape);
        assert_eq!(site.get(path, alice).await.json(), expected);
    }
    let new = site.generate(alice, alice).await.json();
    assert_eq!(new["key"], site.cloudcenter.account(&alice.id).key);
}

#[tokio::test]
async fn lies_about_keys_are_told_until_they_are_stopped() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    let read = async || site.read(alice, &site.boss).await;
    for (lie, expected) in [
        (Lie::NoKey, json!({"apiKey": {}})),
        (Lie::NullKey, json!({"apiKey": null})),
    ] {
        simulator.lie(lie);
        assert_eq!(read().await.json(), expected);
    }
    simulator.lie(Lie::EmptyKey);
    assert_eq!(read().await.key(), "");
    simulator.lie(Lie::HugeKey);
    let huge = read().await.key();
    assert!(huge.len() >= 2 * 1024 * 1024);
    simulator.lie(Lie::OddKey);
    let odd = read().await.key();
    assert!(odd.starts_with(&alice.key) && odd.contains("\r\n") && !odd.is_ascii());
    simulator.lie(Lie::SomebodyElse);
    let other = read().await;
    assert_ne!(other.json()["apiKey"]["username"], alice.username);
    let user = site
        .get(&format!("/v1/users/{}", alice.id), alice)
        .await
        .json();
    assert_ne!(user["id"], alice.id);
    let secrets = simulator.secret_values();
    for secret in [huge, odd, other.key()] {
        assert!(secrets.contains(&secret));
    }
    simulator.stop_lying();
    assert_eq!(read().await.key(), alice.key);
    assert_eq!(simulator.keys_of(&alice.username)[0].shown, 1);
    let server = simulator.server();
    let calls = [KEYS, USER_KEYS, OWN_KEY].map(|route| server.calls_to(route).len());
    assert_eq!(calls, [7, 7, 0]);
}
