//! `/v3/credentials`.

use serde_json::{Value, json};
use testkit::keystone::Quota;

use super::{NOBODY, REFUSED, Site, pair};

pub const CREATE: &str = "POST /v3/credentials";
/// The SHA-256 of `AK1`.
pub const AK1: &str = "5e2e84497339a607cff12f20eab85a14f7bad4da010e4fedc95381144fa3933d";

#[tokio::test]
async fn a_pair_is_kept_as_it_was_sent_under_an_id_that_the_client_can_know() {
    let site = Site::new();
    let alice = site.token(&site.alice).await;
    let mut body = pair(&site.alice.id, &site.project, "AK1");
    let row = body["credential"].as_object_mut().unwrap();
    let blob = r#"{ "secret":"SK",  "access":"AK1", "x": {"y":[1, 2]} }"#;
    row.insert("blob".to_owned(), json!(blob));
    row.insert("managed_by".to_owned(), json!("me"));
    row.insert("id".to_owned(), json!("ignored"));
    let got = site.call(CREATE, Some(&alice), body.clone()).await;
    assert_eq!(got.status, 201, "{}", got.text);
    let one = format!("{}/credentials/{AK1}", site.keystone.endpoint());
    let expected = json!({
        "id": AK1,
        "type": "ec2",
        "user_id": site.alice.id,
        "project_id": site.project,
        "blob": blob,
        "managed_by": "me",
        "links": {"self": one},
    });
    assert_eq!(got.json(), json!({"credential": expected}));
    let got = site
        .call(
            &format!("GET /v3/credentials/{AK1}"),
            Some(&alice),
            Value::Null,
        )
        .await;
    assert_eq!(got.json(), json!({"credential": expected}));
    let query = format!("?type=ec2&user_id={}", site.alice.id);
    let got = site
        .call(
            &format!("GET /v3/credentials{query}"),
            Some(&alice),
            Value::Null,
        )
        .await;
    let itself = format!("{}/credentials{query}", site.keystone.endpoint());
    let links = json!({"next": null, "previous": null, "self": itself});
    assert_eq!(
        got.json(),
        json!({"credentials": [expected], "links": links})
    );
}

#[tokio::test]
async fn who_may_make_a_pair_and_of_what() {
    let site = Site::new();
    let (alice, bob) = (site.token(&site.alice).await, site.token(&site.bob).await);
    let (unscoped, admin) = (site.unscoped(&site.alice).await, site.admin_token().await);
    let of = |person: &super::Person, access: &str| pair(&person.id, &site.project, access);
    let but = |name: &str, value: Value| {
        let mut body = of(&site.alice, "AKMOD");
        body["credential"][name] = value;
        body
    };
    let without = |name: &str| {
        let mut body = of(&site.alice, "AKMOD");
        body["credential"].as_object_mut().unwrap().remove(name);
        body
    };
    let (alice, bob) = (Some(&*alice), Some(&*bob));
    let taken = "Conflict occurred attempting to store credential - Duplicate entry found with ID ";
    let denied = "requested action: identity:create_credential.";
    site.rows(&[
        (CREATE, alice, of(&site.alice, "AK1"), 201, AK1),
        (CREATE, alice, of(&site.alice, "AK1"), 409, taken),
        (CREATE, bob, of(&site.bob, "AK1"), 409, AK1),
        (CREATE, alice, of(&site.bob, "AK2"), 403, denied),
        (CREATE, bob, of(&site.alice, "AK1"), 403, denied),
        (CREATE, Some(&admin), of(&site.bob, "AK3"), 201, "AK3"),
        (
            CREATE,
            Some(&admin),
            pair(NOBODY, &site.project, "AK4"),
            201,
            "AK4",
        ),
        (
            CREATE,
            alice,
            pair(&site.alice.id, NOBODY, "AK5"),
            201,
            "AK5",
        ),
        (
            CREATE,
            alice,
            pair(&site.alice.id, &site.keystone.admin_project(), "AK6"),
            201,
            "AK6",
        ),
        (CREATE, Some(&unscoped), of(&site.alice, "AK7"), 201, "AK7"),
        (CREATE, alice, but("project_id", Value::Null), 201, "AKMOD"),
        (
            CREATE,
            alice,
            but("blob", json!(r#"{"access":"AKNS"}"#)),
            201,
            "AKNS",
        ),
        (
            CREATE,
            alice,
            but("blob", json!(r#"{"access":""}"#)),
            201,
            "access",
        ),
        (CREATE, alice, but("type", json!("cert")), 201, "cert"),
        (CREATE, None, of(&site.alice, "AK8"), 401, REFUSED),
        (
            CREATE,
            Some("garbage"),
            of(&site.alice, "AK8"),
            401,
            REFUSED,
        ),
        (
            CREATE,
            None,
            json!({}),
            400,
            "'credential' is a required property",
        ),
        (
            CREATE,
            alice,
            json!({"credential": 5}),
            400,
            "5 is not of type 'object'",
        ),
        (
            CREATE,
            alice,
            without("blob"),
            400,
            "'blob' is a required property",
        ),
        (
            CREATE,
            alice,
            without("type"),
            400,
            "'type' is a required property",
        ),
        (
            CREATE,
            alice,
            without("user_id"),
            400,
            "'user_id' is a required property",
        ),
        (
            CREATE,
            alice,
            without("project_id"),
            400,
            "'project_id' is a required property",
        ),
        (
            CREATE,
            alice,
            but("blob", json!({"access": "q"})),
            400,
            "{'access': 'q'} is not of type 'string'",
        ),
        (
            CREATE,
            alice,
            but("blob", json!("nope")),
            400,
            "Invalid blob in credential",
        ),
        (
            CREATE,
            alice,
            but("blob", json!("[1]")),
            400,
            "Expecting to find blob in credential.",
        ),
        (
            CREATE,
            alice,
            but("blob", json!(r#"{"secret":"x"}"#)),
            400,
            "Expecting to find access in credential.",
        ),
        (
            CREATE,
            alice,
            but("blob", json!(r#"{"access":5}"#)),
            500,
            "Internal Server Error",
        ),
        (
            "PUT /v3/credentials",
            alice,
            json!({}),
            405,
            "The method is not allowed for the requested URL.",
        ),
        (
            "PUT /v3/credentials/x",
            None,
            json!({}),
            405,
            "The method is not allowed for the requested URL.",
        ),
    ])
    .await;
    let mut leaky = without("type");
    leaky["credential"]["project_id"] = Value::Null;
    leaky["credential"]["enabled"] = json!(true);
    leaky["credential"]["list"] = json!([1, "it's"]);
    let refusal = site.call(CREATE, alice, leaky).await.message();
    let blob = r#"'blob': '{"access":"AKMOD","secret":"SK"}'"#;
    for printed in [
        blob,
        "'project_id': None",
        "'enabled': True",
        r#"'list': [1, "it's"]"#,
    ] {
        assert!(refusal.contains(printed), "{printed}: {refusal}");
    }
}

#[tokio::test]
async fn a_full_quota_is_a_403_that_hides_what_else_is_wrong() {
    let site = Site::new();
    let alice = site.token(&site.alice).await;
    let alice = Some(&*alice);
    let quota = |pairs| Quota {
        pairs,
        ..Quota::default()
    };
    site.keystone.set_quota(&site.alice.id, quota(Some(2)));
    let full = "Unable to create additional credentials, maximum of 2 already exceeded for user.";
    let make = |access: &str| pair(&site.alice.id, &site.project, access);
    let cert = json!({"credential": {"type": "cert", "user_id": site.alice.id, "blob": "b"}});
    site.rows(&[
        (CREATE, alice, make("AK1"), 201, ""),
        (CREATE, alice, cert, 201, ""),
        (CREATE, alice, make("AK2"), 403, full),
        (CREATE, alice, make("AK1"), 403, full),
        (
            &format!("DELETE /v3/credentials/{AK1}"),
            alice,
            Value::Null,
            204,
            "",
        ),
        (CREATE, alice, make("AK2"), 201, ""),
        (CREATE, alice, make("AK3"), 403, full),
    ])
    .await;
    site.keystone.set_quota(&site.alice.id, quota(None));
    site.rows(&[(CREATE, alice, make("AK3"), 201, "")]).await;
}
