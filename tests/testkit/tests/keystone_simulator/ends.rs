//! How sessions and credentials end without being asked for, and which of them come back.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use testkit::keystone::KeystoneOptions;
use testkit::wait::eventually;

use super::{DEADLINE, Person, Site, by_credential, by_password, on_project};

#[tokio::test]
async fn a_token_dies_at_its_end_and_not_before() {
    let site = Site::with(KeystoneOptions {
        token_life: Duration::from_secs(2),
        ..KeystoneOptions::default()
    });
    let got = site
        .log_in(by_password(&site.alice, on_project(&site.project)))
        .await;
    let token = got.header("x-subject-token").to_owned();
    let said = |body: Value, name: &str| -> jiff::Timestamp {
        body["token"][name].as_str().unwrap().parse().unwrap()
    };
    let end = said(got.json(), "expires_at");
    assert_eq!(
        end.as_second() - said(got.json(), "issued_at").as_second(),
        2
    );
    eventually(DEADLINE, async || {
        let before = jiff::Timestamp::now();
        let got = site
            .call("GET /v3/credentials", Some(&token), Value::Null)
            .await;
        ensure!(got.status == 401 || before < end, "accepted after its end");
        ensure!(got.status == 401, "accepted");
        Ok(())
    })
    .await
    .unwrap();
    assert!(jiff::Timestamp::now() >= end, "refused before its end");

    site.keystone.set_token_life(Duration::from_secs(60));
    let fresh = site.token(&site.alice).await;
    let look = async |line| {
        site.send(line, Some(&fresh), Some(&token), Value::Null)
            .await
            .status
    };
    assert_eq!(look("GET /v3/auth/tokens").await, 404);
    assert_eq!(look("GET /v3/auth/tokens?allow_expired=1").await, 200);
    assert_eq!(look("DELETE /v3/auth/tokens").await, 404);
}

#[tokio::test]
async fn an_application_credential_dies_at_its_end_and_keeps_its_name() {
    let site = Site::new();
    let alice = site.token(&site.alice).await;
    let all = format!("/v3/users/{}/application_credentials", site.alice.id);
    let end = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 3).unwrap();
    let body = json!({"application_credential": {"name": "short", "expires_at": end.to_string()}});
    let got = site
        .call(&format!("POST {all}"), Some(&alice), body.clone())
        .await
        .json();
    let made = &got["application_credential"];
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["secret"].as_str().unwrap(),
    );
    let login = by_credential(json!({"id": id, "secret": secret}));
    let got = site.log_in(login.clone()).await;
    let token = got.header("x-subject-token").to_owned();
    let said = got.json()["token"]["expires_at"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        said.parse::<jiff::Timestamp>().unwrap(),
        end,
        "it ends with the credential"
    );
    assert!(site.keystone.application_credential_works(id, secret));
    eventually(DEADLINE, async || {
        let before = jiff::Timestamp::now();
        let status = site.log_in(login.clone()).await.status;
        ensure!(status == 401 || before < end, "accepted after its end");
        ensure!(status == 401, "accepted");
        Ok(())
    })
    .await
    .unwrap();
    assert!(jiff::Timestamp::now() >= end, "refused before its end");
    assert!(!site.keystone.application_credential_works(id, secret));

    let one = format!("{all}/{id}");
    site.rows(&[
        ("GET /v3/credentials", Some(&token), Value::Null, 401, ""),
        (
            &format!("POST {all}"),
            Some(&alice),
            json!({"application_credential": {"name": "short"}}),
            409,
            "name short.",
        ),
        (
            &format!("POST {all}"),
            Some(&alice),
            body,
            400,
            "The 'expires_at' must not be before now.",
        ),
        (
            &format!("GET {one}"),
            Some(&alice),
            Value::Null,
            200,
            "short",
        ),
        (&format!("DELETE {one}"), Some(&alice), Value::Null, 204, ""),
        (
            &format!("POST {all}"),
            Some(&alice),
            json!({"application_credential": {"name": "short"}}),
            201,
            "short",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_new_password_ends_all_tokens_and_no_credential() {
    let site = Site::new();
    let keystone = &site.keystone;
    let (id, secret) =
        keystone.add_application_credential(&site.alice.id, &site.project, "op", true);
    keystone.add_pair(&site.alice.id, &site.project, "AK", "SK");
    let delegated = site.delegated(&id, &secret).await;
    let (scoped, unscoped) = (
        site.token(&site.alice).await,
        site.unscoped(&site.alice).await,
    );
    let bob = site.token(&site.bob).await;
    let password = keystone.rotate_password(&site.alice.id);
    for dead in [&scoped, &unscoped, &delegated] {
        let got = site
            .call("GET /v3/credentials", Some(dead), Value::Null)
            .await;
        assert_eq!(got.status, 401);
    }
    assert!(keystone.token_works(&bob));
    let old = by_password(&site.alice, on_project(&site.project));
    assert_eq!(site.log_in(old).await.status, 401);
    let alice = Person {
        password,
        ..site.alice.clone()
    };
    site.next_second().await;
    assert!(keystone.token_works(&site.token(&alice).await));
    assert!(keystone.application_credential_works(&id, &secret) && keystone.pair_works("AK", "SK"));
}

#[tokio::test]
async fn a_token_of_the_second_of_a_revocation_is_born_dead() {
    let site = Site::new();
    let born_dead = eventually(DEADLINE, async || {
        let second = jiff::Timestamp::now().as_second();
        site.keystone.revoke_tokens_of(&site.alice.id);
        let token = site.token(&site.alice).await;
        ensure!(second == jiff::Timestamp::now().as_second(), "too slow");
        Ok(token)
    });
    let born_dead = born_dead.await.unwrap();
    assert!(!site.keystone.token_works(&born_dead));
    site.next_second().await;
    assert!(!site.keystone.token_works(&born_dead), "it stays dead");
    let token = site.token(&site.alice).await;
    assert!(site.keystone.token_works(&token));
}

#[tokio::test]
async fn a_user_who_comes_back_gets_the_credentials_back_and_not_the_tokens() {
    let site = Site::new();
    let keystone = &site.keystone;
    let (id, secret) =
        keystone.add_application_credential(&site.alice.id, &site.project, "op", true);
    keystone.add_pair(&site.alice.id, &site.project, "AK", "SK");
    let login = by_credential(json!({"id": id, "secret": secret}));
    let works = async || {
        let login = site.log_in(login.clone()).await.status;
        let pair = keystone.pair_works("AK", "SK");
        assert_eq!(
            keystone.application_credential_works(&id, &secret),
            login == 201
        );
        assert_eq!(pair, login == 201);
        login
    };
    let token = site.token(&site.alice).await;
    assert_eq!(works().await, 201);
    keystone.enable_user(&site.alice.id, false);
    assert_eq!(works().await, 401);
    assert!(!keystone.token_works(&token));
    keystone.enable_user(&site.alice.id, true);
    assert_eq!(works().await, 201);
    assert!(!keystone.token_works(&token));

    keystone.enable_project(&site.project, false);
    assert_eq!(works().await, 404, "not a 401");
    keystone.enable_project(&site.project, true);
    assert_eq!(works().await, 201);
    keystone.remove_role(&site.alice.id, &site.project, "member");
    assert_eq!(works().await, 401);
    keystone.assign_role(&site.alice.id, &site.project, "reader");
    let got = site.log_in(login.clone()).await.json();
    assert_eq!(
        got["token"]["roles"].as_array().unwrap().len(),
        1,
        "what is left of its roles"
    );
    assert_eq!(
        keystone.live_pairs().len() + keystone.live_application_credentials().len(),
        2
    );
}

#[tokio::test]
async fn what_is_deleted_takes_along_what_belongs_to_it() {
    let site = Site::new();
    let keystone = &site.keystone;
    let other = keystone.add_project("tenant-b", super::DEFAULT_DOMAIN);
    keystone.assign_role(&site.alice.id, &other, "member");
    let made = keystone.add_application_credential(&site.alice.id, &other, "b", true);
    keystone.add_pair(&site.alice.id, &other, "AKB", "SK");
    keystone.add_pair(&site.alice.id, &site.project, "AKA", "SK");
    keystone.add_pair(&site.bob.id, &site.project, "AKBOB", "SK");
    let accesses = || -> Vec<String> {
        let pairs = keystone.live_pairs().into_iter();
        pairs.map(|pair| pair.access).collect()
    };
    keystone.delete_project(&other);
    assert_eq!(accesses(), ["AKA", "AKBOB"]);
    let left = keystone.live_application_credentials();
    assert_eq!(
        (left.len(), left[0].project.as_deref()),
        (1, None),
        "it stays, dead"
    );
    let login = by_credential(json!({"id": made.0, "secret": made.1}));
    assert_eq!(site.log_in(login).await.status, 404);
    let line = format!(
        "GET /v3/role_assignments?include_names&user.id={}",
        site.alice.id
    );
    let admin = site.admin_token().await;
    let got = site.call(&line, Some(&admin), Value::Null).await.json();
    assert_eq!(got["role_assignments"].as_array().unwrap().len(), 1);
    keystone.delete_user(&site.alice.id);
    assert_eq!(accesses(), ["AKBOB"]);
    assert!(keystone.live_application_credentials().is_empty());
    assert_eq!(
        site.log_in(by_password(&site.alice, Value::Null))
            .await
            .status,
        401
    );
}
