//! Whose token it is, and what becomes of tokens that SODA cannot cope with.

use std::time::Duration;

use serde_json::Value;
use testkit::server::Fault;
use testkit::soda::{
    Generation, KEYSTONE_LOGIN, KEYSTONE_VALIDATE, KeystoneAccount, SodaOptions, SodaSimulator,
};

use super::{GENERATIONS, NOBODY, Site, options};

#[tokio::test]
async fn only_a_token_that_keystone_knows_gets_in() {
    let (site, keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    let read = site.read(&site.alice);
    for (token, words) in [
        ("", "token not found in header"),
        ("  ", "token not found in header"),
        (NOBODY, "get token failed,Resource not found"),
    ] {
        let got = site.call(&read, token, Value::Null).await;
        assert_eq!(got.both(), (401, words));
        assert_eq!(got.header("content-type"), "text/plain");
    }
    let spaced = format!("  {token} ");
    assert_eq!(site.call(&read, &spaced, Value::Null).await.status, 200);
    keystone.revoke_token(&token);
    let got = site.call(&read, &token, Value::Null).await;
    assert_eq!(got.both(), (401, "get token failed,Resource not found"));
}

#[tokio::test]
async fn a_token_for_no_project_has_the_connection_closed() {
    let (site, _keystone) = Site::new(Generation::Strato);
    let unscoped = site.token_for(&site.alice, None).await;
    for line in [site.read(&site.alice), site.delete(&site.alice)] {
        let got = site.try_call(&line, &unscoped, Value::Null).await;
        assert!(got.is_none(), "{got:?}");
    }
    let token = site.token(&site.alice).await;
    let got = site
        .call(&site.read(&site.alice), &token, Value::Null)
        .await;
    assert_eq!(got.status, 200, "it lives on");
    assert!(site.soda.deletions().is_empty());
}

#[tokio::test]
async fn whatever_is_wrong_with_keystone_is_a_401() {
    let (site, _keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    let read = site.read(&site.alice);
    let json = |status| Fault::status(status, "application/json", r#"{"error":{}}"#);
    for (fault, words) in [
        (json(400), "Bad request with: [GET http://127.0.0.1:"),
        (json(403), r#"error message: {"error":{}}"#),
        (json(429), "Too many requests have been sent"),
        (json(500), "Internal Server Error"),
        (json(503), "temporary condition"),
        (Fault::Html(502), "but got 502 instead\n<html>"),
        (Fault::Body(b"<html>".to_vec()), "invalid character '<'"),
        (Fault::CutConnection, "/v3/auth/tokens\": EOF"),
        (Fault::Truncate, "unexpected EOF"),
    ] {
        let faults = site.soda.keystone_faults();
        faults.push_n(KEYSTONE_VALIDATE, fault.clone(), 1);
        let got = site.call(&read, &token, Value::Null).await;
        assert_eq!(got.status, 401, "{fault:?}: {}", got.text);
        assert!(got.text.starts_with("get token failed,"), "{}", got.text);
        assert!(got.text.contains(words), "{fault:?}: {}", got.text);
        assert!(!got.text.contains(&token), "it tells no token");
    }
    site.soda.keystone_down(true);
    let got = site.call(&read, &token, Value::Null).await;
    let down = got.text.ends_with("connect: connection refused");
    assert_eq!((got.status, down), (401, true), "{}", got.text);
    site.soda.keystone_down(false);
    assert_eq!(site.call(&read, &token, Value::Null).await.status, 200);
}

#[tokio::test]
async fn its_own_login_is_made_once_and_again_when_it_has_ended() {
    let (site, keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    let read = site.read(&site.alice);
    let faults = site.soda.keystone_faults();
    faults.push_n(KEYSTONE_LOGIN, Fault::Html(503), 1);
    let got = site.call(&read, &token, Value::Null).await;
    assert_eq!(got.both(), (401, "get token failed,Authentication failed"));
    for _ in 0..3 {
        assert_eq!(site.call(&read, &token, Value::Null).await.status, 200);
    }
    assert_eq!(keystone.logins().succeeded(), 2, "alice's and its own");
    let ended = Fault::status(401, "application/json", "{}");
    faults.push_n(KEYSTONE_VALIDATE, ended.clone(), 1);
    assert_eq!(site.call(&read, &token, Value::Null).await.status, 200);
    assert_eq!(keystone.logins().succeeded(), 3);
    faults.push_n(KEYSTONE_VALIDATE, ended, 2);
    let got = site.call(&read, &token, Value::Null).await;
    assert_eq!(got.both(), (401, "get token failed,Authentication failed"));

    let account = KeystoneAccount {
        password: "wrong".to_owned(),
        ..site.account.clone()
    };
    let locked_out = SodaSimulator::start(SodaOptions::default(), account);
    let url = format!("{}/x/aksks/{}", locked_out.endpoint(), site.alice.id);
    let got = site.client.get(url).header("x-auth-token", &token);
    let got = got.send().await.unwrap();
    assert_eq!(got.status(), 401);
    let words = got.text().await.unwrap();
    assert_eq!(words, "get token failed,Authentication failed");
    assert!(locked_out.is_live("x").await.is_err());
}

#[tokio::test]
async fn a_look_at_the_token_may_take_longer_than_all_that_follows() {
    let (site, _keystone) = Site::with(SodaOptions {
        deadline: Duration::from_secs(2),
        ..SodaOptions::default()
    });
    let token = site.token(&site.alice).await;
    let slow = Fault::Delay(Duration::from_millis(2500));
    site.soda
        .keystone_faults()
        .push_n(KEYSTONE_VALIDATE, slow, 1);
    let started = std::time::Instant::now();
    let got = site
        .call(&site.read(&site.alice), &token, Value::Null)
        .await;
    assert_eq!(got.status, 200);
    assert!(started.elapsed() > Duration::from_millis(2500));
}

#[tokio::test]
async fn a_policy_may_forbid_all() {
    let (site, _keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    site.soda.forbid(true);
    let read = site.read(&site.alice);
    let got = site.call(&read, &token, Value::Null).await;
    assert_eq!(got.both(), (403, "operation is not permitted"));
    assert_eq!(site.call(&read, "x", Value::Null).await.status, 401);
    let got = site
        .call(&site.delete(&site.alice), &token, Value::Null)
        .await;
    assert_eq!(got.status, 403);
    assert!(site.soda.deletions().is_empty());
    site.soda.forbid(false);
    assert_eq!(site.call(&read, &token, Value::Null).await.status, 200);
}

#[tokio::test]
async fn without_a_filter_all_calls_only_look_as_if_they_worked() {
    for generation in GENERATIONS {
        let (site, _keystone) = Site::with(SodaOptions {
            without_auth: true,
            ..options(generation)
        });
        let token = site.token(&site.alice).await;
        let blob = r#"{"access":"a","secret":"s"}"#;
        site.store(&token, "ec2", blob, &site.alice).await;
        for token in ["", &token] {
            let got = site.call(&site.read(&site.alice), token, Value::Null).await;
            assert_eq!(got.both(), (200, "null"));
            let got = site
                .call(&site.delete(&site.alice), token, Value::Null)
                .await;
            assert_eq!(got.both(), (200, "{}"));
            let body = site.both(&site.alice);
            let got = site.call(&site.create(), token, body).await;
            let failed = match generation {
                Generation::MultiCloud => 500,
                Generation::Strato => 400,
            };
            assert_eq!(got.status, failed, "{}", got.text);
        }
        assert_eq!(site.stored(&site.alice).await.len(), 1);
    }
}
