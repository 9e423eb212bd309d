//! The same pairs by access key, and whether a signature that was made with one is good.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use super::{NOBODY, REFUSED, Site, by_password, on_project, pair};

#[tokio::test]
async fn by_access_key_what_is_missing_is_a_404_to_everybody() {
    let site = Site::new();
    let keystone = &site.keystone;
    let (rita, password) = keystone.add_user("rita", super::DEFAULT_DOMAIN);
    let rita = super::Person { id: rita, password };
    keystone.assign_role(&rita.id, &site.project, "reader");
    keystone.add_pair(&site.alice.id, &site.project, "AK1", "SK");
    keystone.add_pair(&rita.id, &site.project, "AKRITA", "SK");
    let (alice, bob) = (site.token(&site.alice).await, site.token(&site.bob).await);
    let (unscoped, admin) = (site.unscoped(&site.alice).await, site.admin_token().await);
    let reader = site
        .token_of(by_password(&rita, on_project(&site.project)))
        .await;
    let line = |method: &str, user: &str, rest: &str| {
        format!("{method} /v3/users/{user}/credentials/OS-EC2{rest}")
    };
    let own = |method: &str, rest: &str| line(method, &site.alice.id, rest);
    let of_rita = |method: &str, rest: &str| line(method, &rita.id, rest);
    let (alice, bob, admin) = (Some(&*alice), Some(&*bob), Some(&*admin));
    let gone = "Could not find credential: ";
    let may_not = "identity:ec2_delete_credential.";
    site.lines(&[
        (&own("GET", ""), alice, 200, "AK1"),
        (&own("GET", ""), Some(&unscoped), 200, "AK1"),
        (&own("GET", ""), admin, 200, "AK1"),
        (&own("GET", ""), bob, 403, "identity:ec2_list_credentials."),
        (&own("GET", ""), None, 401, REFUSED),
        (
            &line("GET", NOBODY, ""),
            admin,
            404,
            "Could not find user: ffff",
        ),
        (&own("GET", "/AK1"), alice, 200, "AK1"),
        (&own("GET", "/AK1"), Some(&unscoped), 200, "AK1"),
        (&own("GET", "/AK1"), admin, 200, "AK1"),
        (
            &own("GET", "/AK1"),
            bob,
            403,
            "identity:ec2_get_credential.",
        ),
        (
            &line("GET", &site.bob.id, "/AK1"),
            bob,
            403,
            "identity:ec2_get_credential.",
        ),
        (
            &line("GET", &site.bob.id, "/AK1"),
            admin,
            200,
            &site.alice.id,
        ),
        (
            &line("GET", NOBODY, "/AK1"),
            admin,
            404,
            "Could not find user: ffff",
        ),
        (&own("GET", "/none"), alice, 404, gone),
        (&own("GET", "/none"), bob, 404, gone),
        (&own("GET", "/none"), admin, 404, gone),
        (&own("GET", "/none"), None, 401, REFUSED),
        (&of_rita("GET", "/AKRITA"), Some(&reader), 200, "AKRITA"),
        (&of_rita("DELETE", "/AKRITA"), Some(&reader), 403, may_not),
        (&own("DELETE", "/AK1"), bob, 403, may_not),
        (&own("DELETE", "/AK1"), Some(&unscoped), 403, may_not),
        (&own("DELETE", "/none"), Some(&unscoped), 404, gone),
        (&own("DELETE", "/none"), bob, 404, gone),
        (&own("DELETE", "/AK1"), alice, 204, ""),
        (&own("DELETE", "/AK1"), alice, 404, gone),
        (&of_rita("DELETE", "/AKRITA"), admin, 204, ""),
    ])
    .await;
    site.rows(&[
        (&own("PATCH", "/AK1"), alice, json!({}), 405, "not allowed"),
        (
            &own("POST", ""),
            alice,
            json!({}),
            501,
            "The simulator cannot do this",
        ),
    ])
    .await;
    assert!(keystone.live_pairs().is_empty());
}

#[tokio::test]
async fn both_apis_show_the_same_rows() {
    let site = Site::new();
    let alice = site.token(&site.alice).await;
    let body = pair(&site.alice.id, &site.project, "AK1");
    let made = site
        .call("POST /v3/credentials", Some(&alice), body)
        .await
        .json();
    let path = format!("/users/{}/credentials/OS-EC2", site.alice.id);
    let got = site
        .call(&format!("GET /v3{path}/AK1"), Some(&alice), Value::Null)
        .await;
    let itself = format!("{}{path}", site.keystone.endpoint());
    let expected = json!({
        "user_id": site.alice.id,
        "tenant_id": site.project,
        "access": "AK1",
        "secret": "SK",
        "trust_id": null,
        "links": {"self": format!("{itself}/AK1")},
    });
    assert_eq!(got.json(), json!({"credential": expected}));
    let got = site
        .call(&format!("GET /v3{path}"), Some(&alice), Value::Null)
        .await;
    let links = json!({"next": null, "previous": null, "self": itself});
    assert_eq!(
        got.json(),
        json!({"credentials": [expected], "links": links})
    );
    let gone = site
        .call(&format!("DELETE /v3{path}/AK1"), Some(&alice), Value::Null)
        .await;
    assert_eq!(gone.status, 204);
    let one = format!(
        "GET /v3/credentials/{}",
        made["credential"]["id"].as_str().unwrap()
    );
    assert_eq!(site.call(&one, Some(&alice), Value::Null).await.status, 403);
}

/// What was signed with the secret `SK`, and the signature, as another program computed it.
const SIGNED: &str = "AWS4-HMAC-SHA256\n20261120T100000Z\n20261120/us-east-1/s3/aws4_request\nabc";
const SIGNATURE: &str = "23a6dadeb50a4a5a57a92cc1d19e28aa32ed1b89bc16ad7abc648f3d7deeefb3";

/// The same for a service that is not S3.
const SIGNATURE_FOR_EC2: &str = "90b320ec5062670ea67a1404d260c3951d875dca46c649a8974b5b968762b3fc";

#[tokio::test]
async fn a_signature_is_good_while_its_pair_works() {
    let site = Site::new();
    let keystone = &site.keystone;
    keystone.add_pair(&site.alice.id, &site.project, "AK1", "SK");
    keystone.add_pair(&site.alice.id, &site.project, "OTHER", "SK2");
    keystone.add_pair(&site.alice.id, NOBODY, "NOWHERE", "SK");
    let (watcher, password) = keystone.add_user("swift", super::DEFAULT_DOMAIN);
    keystone.assign_role(&watcher, &site.project, "service");
    let watcher = super::Person {
        id: watcher,
        password,
    };
    let (alice, admin) = (site.token(&site.alice).await, site.admin_token().await);
    let service = site.token(&watcher).await;
    let check = "POST /v3/s3tokens";
    let signed = |access: &str, text: &str| {
        let token = URL_SAFE.encode(text);
        json!({"credentials": {"access": access, "token": token, "signature": SIGNATURE}})
    };
    let mut elsewhere = signed("AK1", &SIGNED.replace("/s3/", "/ec2/"));
    elsewhere["credentials"]["signature"] = json!(SIGNATURE_FOR_EC2);
    let (service, admin) = (Some(&*service), Some(&*admin));
    site.rows(&[
        (check, admin, signed("AK1", SIGNED), 200, "ec2credential"),
        (check, service, signed("AK1", SIGNED), 200, "tenant-a"),
        (
            check,
            Some(&alice),
            signed("AK1", SIGNED),
            403,
            "identity:s3tokens_validate.",
        ),
        (check, None, signed("AK1", SIGNED), 401, REFUSED),
        (check, admin, signed("OTHER", SIGNED), 401, REFUSED),
        (
            check,
            admin,
            signed("AK1", &SIGNED.replace("abc", "abd")),
            401,
            REFUSED,
        ),
        (check, admin, elsewhere, 401, REFUSED),
        (
            check,
            admin,
            signed("AK1", "GET\n\n\n\n/b"),
            501,
            "signatures of version 2",
        ),
        (
            check,
            admin,
            signed("none", SIGNED),
            404,
            "EC2 access key not found.",
        ),
        (
            check,
            admin,
            signed("NOWHERE", SIGNED),
            404,
            "Could not find project: ffff",
        ),
        (
            check,
            admin,
            json!({}),
            400,
            "request must include a request body",
        ),
        (check, admin, json!({"credentials": {}}), 401, REFUSED),
        ("GET /v3/s3tokens", admin, Value::Null, 405, "not allowed"),
    ])
    .await;
    let good = async || site.call(check, admin, signed("AK1", SIGNED)).await.status;
    for (status, change) in [
        (
            401,
            Box::new(|on| keystone.enable_user(&site.alice.id, on)) as Box<dyn Fn(bool)>,
        ),
        (
            401,
            Box::new(|on| keystone.enable_project(&site.project, on)),
        ),
        (
            401,
            Box::new(|on| match on {
                true => keystone.assign_role(&site.alice.id, &site.project, "member"),
                false => keystone.remove_role(&site.alice.id, &site.project, "member"),
            }),
        ),
    ] {
        change(false);
        assert_eq!(
            (good().await, keystone.pair_works("AK1", "SK")),
            (status, false)
        );
        change(true);
        assert_eq!(
            (good().await, keystone.pair_works("AK1", "SK")),
            (200, true)
        );
    }
    assert!(!keystone.pair_works("AK1", "SK2") && !keystone.pair_works("NOWHERE", "SK"));
    assert!(keystone.revoke_pair("AK1"));
    assert_eq!(
        (good().await, keystone.pair_works("AK1", "SK")),
        (404, false)
    );
    assert!(!keystone.revoke_pair("AK1"));
}
