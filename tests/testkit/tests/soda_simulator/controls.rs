//! What tests can make the simulator do, and what they can ask it.

use serde_json::{Value, json};
use testkit::server::Fault;
use testkit::soda::{CREATE, DELETE, Generation, Lie, READ, SodaOptions};

use super::{Site, options};

#[tokio::test]
async fn lies_are_told_until_they_are_stopped() {
    let (site, keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    for (lie, expected) in [(Lie::EmptyObject, "{}"), (Lie::Null, "null")] {
        site.soda.lie(lie);
        let got = site
            .call(&site.create(), &token, site.both(&site.alice))
            .await;
        assert_eq!(got.both(), (200, expected));
    }
    site.soda.lie(Lie::EmptySecret);
    let got = site
        .call(&site.create(), &token, site.both(&site.alice))
        .await;
    let body = got.json();
    let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["access_key"]);
    assert_eq!(
        keystone.live_pairs().len(),
        3,
        "they were made all the same"
    );
    assert!(site.soda.issued().iter().all(|key| key.stored && !key.told));

    let read = site.read(&site.alice);
    let first = site.soda.issued().remove(0);
    let found = async || {
        let rows = site.call(&read, &token, Value::Null).await.json();
        let rows = rows.as_array().cloned().unwrap_or_default();
        let mut rows = rows.into_iter();
        rows.find(|row| row["blob"]["access_key"] == first.access)
    };
    site.soda.lie(Lie::Hidden);
    assert_eq!(found().await, None);
    site.soda.lie(Lie::OtherUser);
    assert_ne!(found().await.unwrap()["user_id"], site.alice.id);
    site.soda.lie(Lie::OtherSecret);
    let told = found().await.unwrap()["blob"]["secret_key"].clone();
    assert_ne!(told, first.secret);
    let secrets = site.soda.secret_values();
    assert!(secrets.contains(&told.as_str().unwrap().to_owned()));
    site.soda.stop_lying();
    let row = found().await.unwrap();
    assert_eq!(
        (&row["user_id"], &row["blob"]["secret_key"]),
        (&json!(site.alice.id), &json!(first.secret),)
    );
}

#[tokio::test]
async fn its_callers_meet_faults_and_it_counts_their_calls() {
    let (site, keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    site.soda.faults().push_n(CREATE, Fault::LoseAnswer, 1);
    let body = site.both(&site.alice);
    let request = site.client.post(site.soda.url() + "/v1/x/aksks");
    let request = request.header("x-auth-token", &token).json(&body);
    assert!(request.send().await.is_err());
    assert_eq!(
        keystone.live_pairs().len(),
        1,
        "made, though nobody heard of it"
    );
    site.soda.faults().push_n(READ, Fault::Html(502), 1);
    let read = site.read(&site.alice);
    assert_eq!(site.call(&read, &token, Value::Null).await.status, 502);
    assert_eq!(site.call(&read, &token, Value::Null).await.status, 200);
    let download = format!("{read}/download");
    assert_eq!(site.call(&download, &token, Value::Null).await.status, 200);
    let calls = [CREATE, READ, DELETE].map(|route| site.soda.server().calls_to(route).len());
    assert_eq!((calls, site.soda.calls().len()), ([1, 3, 0], 4));
    assert_eq!(site.soda.max_in_flight(READ), 1);
    assert_eq!(site.soda.delete_calls(), 0);
    site.soda.down(true);
    assert!(site.try_call(&read, &token, Value::Null).await.is_none());
}

#[tokio::test]
async fn it_speaks_tls_to_those_who_trust_its_ca() {
    let (site, _keystone) = Site::with(SodaOptions {
        tls: true,
        ..options(Generation::Strato)
    });
    assert!(site.soda.endpoint().starts_with("https://127.0.0.1:"));
    assert!(site.soda.endpoint().ends_with("/v1"));
    let url = format!("{}/x/aksks/{}", site.soda.endpoint(), site.alice.id);
    let got = site.client.get(url).send().await.unwrap();
    assert_eq!(got.status(), 401);
}
