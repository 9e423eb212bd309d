//! `GET`: all that is there, and the `null` that says nothing.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::soda::{Generation, KEYSTONE_LIST};

use super::{GENERATIONS, NOBODY, Person, Site};

#[tokio::test]
async fn all_credentials_of_a_user_are_listed_without_ids() {
    for generation in GENERATIONS {
        let (site, keystone) = Site::new(generation);
        let token = site.token(&site.alice).await;
        let read = site.read(&site.alice);
        let (access, secret) = site.make(&token).await;
        let got = site.call(&read, &token, Value::Null).await;
        let (project, user) = (&site.project, &site.alice.id);
        let text = format!(
            "[\n {{\n  \"project_id\": \"{project}\",\n  \"user_id\": \"{user}\",\n  \"type\": \"ec2\",\n  \
             \"blob\": {{\n   \"access_key\": \"{access}\",\n   \"secret_key\": \"{secret}\"\n  }}\n }}\n]"
        );
        assert_eq!(got.both(), (200, &*text));
        assert_eq!(got.header("content-type"), "application/json");
        let download = site
            .call(&format!("{read}/download"), &token, Value::Null)
            .await;
        assert_eq!(download.text, text);
        assert_eq!(download.header("content-disposition"), "attachment");
        assert_eq!(download.header("content-type"), "application/json");

        // Whoever made it, for whatever project, and whatever it is.
        keystone.add_pair(user, &site.admin_project, "made-at-keystone", "its-secret");
        let unusual = r#"{"serial": 7, "access": "odd"}"#;
        site.store(&token, "cert", unusual, &site.alice).await;
        let rows = site.call(&read, &token, Value::Null).await.json();
        let find = |key: &str, value: &str| {
            let rows = rows.as_array().unwrap().iter();
            rows.filter(|row| row["blob"][key] == value).count()
        };
        assert_eq!(rows.as_array().unwrap().len(), 3);
        assert_eq!(find("access_key", "made-at-keystone"), 1);
        assert_eq!(find("access_key", "odd"), 1);
        let secrets = site.soda.secret_values();
        assert!(secrets.contains(&"its-secret".to_owned()), "it told it");

        let other = r#"{"serial": 7}"#;
        let bob = site.token(&site.bob).await;
        site.store(&bob, "cert", other, &site.bob).await;
        let rows = site
            .call(&site.read(&site.bob), &bob, Value::Null)
            .await
            .json();
        assert_eq!(rows[0]["blob"], json!({}));
        let admin = site.admin_token().await;
        let rows = site.call(&read, &admin, Value::Null).await.json();
        assert_eq!(rows.as_array().unwrap().len(), 3, "an admin sees all");
    }
}

#[tokio::test]
async fn null_is_the_answer_to_everything_that_keystone_does_not_list() {
    let (site, keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    let read = site.read(&site.alice);
    let null = (200, "null");
    let got = site.call(&read, &token, Value::Null).await;
    assert_eq!(got.both(), null, "no key");
    assert_eq!(got.header("content-type"), "application/json");

    site.make(&token).await;
    let bob = site.token(&site.bob).await;
    let got = site.call(&read, &bob, Value::Null).await;
    assert_eq!(got.both(), null, "somebody else's");
    let credential = site.stored(&site.alice).await.remove(0);
    for id in [NOBODY, &credential] {
        let person = Person {
            id: id.to_owned(),
            password: String::new(),
        };
        let got = site.call(&site.read(&person), &token, Value::Null).await;
        assert_eq!(got.both(), null, "{id}");
    }

    let json = |status| Fault::status(status, "application/json", r#"{"error":{"code":1}}"#);
    for fault in [
        json(401),
        json(403),
        json(500),
        json(503),
        Fault::Html(502),
        Fault::status(503, "text/plain", ""),
        Fault::RetryAfter {
            status: 429,
            header_value: Some("1".to_owned()),
        },
    ] {
        let faults = site.soda.keystone_faults();
        faults.push_n(KEYSTONE_LIST, fault.clone(), 1);
        let got = site.call(&read, &token, Value::Null).await;
        assert_eq!(got.both(), null, "{fault:?}");
    }
    assert_eq!(keystone.live_pairs().len(), 1, "while it is there");
    let got = site.call(&read, &token, Value::Null).await;
    assert!(got.text.contains("access_key"), "{}", got.text);
}

#[tokio::test]
async fn one_blob_that_is_no_object_spoils_the_whole_list() {
    let seed = [
        "JBSWY3DPEHPK3PXP",
        "\"text\"",
        "[]",
        "null",
        "-----BEGIN-----",
    ];
    let odd = [r#"{"access":"a`b"}"#, r#"{"access":7}"#];
    for blob in seed.into_iter().chain(odd) {
        let (site, _keystone) = Site::new(Generation::Strato);
        let token = site.token(&site.alice).await;
        site.make(&token).await;
        site.store(&token, "totp", blob, &site.alice).await;
        let got = site
            .call(&site.read(&site.alice), &token, Value::Null)
            .await;
        let micro = got.json();
        assert_eq!((got.status, &micro["code"]), (500, &json!(500)), "{blob}");
        assert_eq!(micro["id"], "go.micro.client");
        assert_eq!(got.header("content-type"), "text/plain");
        let bob = site.token(&site.bob).await;
        let got = site.call(&site.read(&site.bob), &bob, Value::Null).await;
        assert_eq!(got.status, 200, "only of that user");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_twice_is_a_500_and_once_is_nothing() {
    let (site, _keystone) = Site::new(Generation::MultiCloud);
    let token = site.token(&site.alice).await;
    site.make(&token).await;
    let read = site.read(&site.alice);
    let faults = site.soda.keystone_faults();
    faults.push_n(KEYSTONE_LIST, Fault::CutConnection, 1);
    let got = site.call(&read, &token, Value::Null).await;
    assert_eq!(got.status, 200, "the second try has worked");
    faults.push_n(KEYSTONE_LIST, Fault::CutConnection, 2);
    let got = site.call(&read, &token, Value::Null).await;
    let url = format!("{}/credentials?user_id={}", site.account.url, site.alice.id);
    let detail = got.json()["detail"].clone();
    assert_eq!(got.status, 500);
    assert_eq!(detail, format!("Get \"{url}\": EOF"));
    assert_eq!(faults.pending(), 0);
}
