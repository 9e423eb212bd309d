//! `/v3/users/{id}/application_credentials`.

use anyhow::ensure;
use serde_json::{Value, json};
use testkit::keystone::Quota;
use testkit::wait::eventually;

use super::{DEADLINE, NOBODY, REFUSED, Site, by_credential, by_password, on_project};

/// A body with these fields.
pub fn named(name: &str, more: Value) -> Value {
    let mut fields = more;
    fields["name"] = json!(name);
    json!({"application_credential": fields})
}

#[tokio::test]
async fn one_is_shown_with_its_secret_once() {
    let site = Site::new();
    let alice = site.token(&site.alice).await;
    let all = format!("/v3/users/{}/application_credentials", site.alice.id);
    let end = "2100-01-02T03:04:05.678900";
    let fields = json!({
        "roles": [{"name": "member"}],
        "expires_at": format!("{end}Z"),
        "description": "hello",
        "unrestricted": true,
        "project_id": "ignored",
        "id": "ignored",
    });
    let got = site
        .call(&format!("POST {all}"), Some(&alice), named("op", fields))
        .await;
    assert_eq!(got.status, 201, "{}", got.text);
    let mut made = got.json()["application_credential"].clone();
    let secret = made.as_object_mut().unwrap().remove("secret").unwrap();
    assert_eq!(secret.as_str().unwrap().len(), 86);
    let id = made["id"].as_str().unwrap().to_owned();
    let roles = made["roles"].as_array().unwrap();
    let names: Vec<&Value> = roles.iter().map(|role| &role["name"]).collect();
    assert_eq!(names, ["member", "reader"]);
    assert_eq!(roles[0]["options"], json!({"immutable": true}));
    let expected = json!({
        "id": id,
        "name": "op",
        "description": "hello",
        "user_id": site.alice.id,
        "project_id": site.project,
        "system": null,
        "expires_at": end,
        "unrestricted": true,
        "roles": roles,
        "links": {"self": format!("{}/application_credentials/{id}", site.keystone.endpoint())},
    });
    assert_eq!(made, expected);
    let got = site
        .call(&format!("GET {all}/{id}"), Some(&alice), Value::Null)
        .await;
    assert_eq!(got.json(), json!({"application_credential": expected}));
    let got = site
        .call(&format!("GET {all}?name=op"), Some(&alice), Value::Null)
        .await;
    let itself = format!("{}{all}?name=op", site.keystone.url());
    let links = json!({"next": null, "previous": null, "self": itself});
    assert_eq!(
        got.json(),
        json!({"application_credentials": [expected], "links": links})
    );
    let got = site
        .call(&format!("GET {all}?name=none"), Some(&alice), Value::Null)
        .await;
    assert_eq!(got.json()["application_credentials"], json!([]));
    let token = site.delegated(&id, secret.as_str().unwrap()).await;
    assert!(site.keystone.token_works(&token));
}

#[tokio::test]
async fn what_can_be_made_and_what_cannot() {
    let site = Site::new();
    site.keystone.add_role("custom");
    let (alice, bob) = (site.token(&site.alice).await, site.token(&site.bob).await);
    let admin = site.admin_token().await;
    let all = format!("POST /v3/users/{}/application_credentials", site.alice.id);
    let of_bob = format!("POST /v3/users/{}/application_credentials", site.bob.id);
    let (create, of_bob) = (&*all, &*of_bob);
    let (alice, bob) = (Some(&*alice), Some(&*bob));
    let unassigned = "Invalid application credential: Cannot create an application credential with unassigned role";
    let format = "Timestamp not in expected format.";
    let own = "identity:create_application_credential.";
    let role = |role: Value| json!({"roles": [role]});
    let ends = |text: &str| json!({"expires_at": text});
    let rule = |path: &str| json!({"access_rules": [{"path": path, "method": "GET", "service": "compute"}]});
    let rows = [
        (named("op", json!({})), 201, r#""unrestricted":null"#),
        (
            named("op", json!({})),
            409,
            "attempting to store application_credential - Duplicate entry found with name op.",
        ),
        (
            named("a", json!({"secret": "client-secret"})),
            201,
            "client-secret",
        ),
        (
            named("b", json!({"secret": null, "expires_at": null})),
            201,
            "secret",
        ),
        (named("c", json!({"roles": []})), 201, "member"),
        (named("d", rule("/v2.1/servers")), 201, "/v2.1/servers"),
        (
            named("e", json!({"unrestricted": false})),
            201,
            r#""unrestricted":false"#,
        ),
        (
            named("f", ends("2100-01-01T00:00:00")),
            201,
            "2100-01-01T00:00:00.000000\"",
        ),
        (named("x", rule("v2")), 400, "'v2' does not match"),
        (named("x", role(json!({"name": "admin"}))), 400, unassigned),
        (named("x", role(json!({"name": "custom"}))), 400, unassigned),
        (named("x", role(json!({"id": NOBODY}))), 400, unassigned),
        (
            named("x", role(json!({"name": "nosuch"}))),
            404,
            "Role nosuch is not defined",
        ),
        (
            named("x", role(json!({"name": "member", "id": "m"}))),
            400,
            "has too many properties",
        ),
        (named("x", role(json!({}))), 400, "{} should be non-empty"),
        (
            named("x", ends("2020-01-01T00:00:00Z")),
            400,
            "The 'expires_at' must not be before now.",
        ),
        (
            named("op", ends("2020-01-01T00:00:00Z")),
            400,
            "The 'expires_at' must not be before now.",
        ),
        (named("x", ends("2100-01-01T00:00:00+02:00")), 400, format),
        (named("x", ends("tomorrow")), 400, format),
        (
            named("x", json!({"expires_at": 5})),
            400,
            "5 is not of type 'string', 'null'",
        ),
        (
            json!({"application_credential": {}}),
            400,
            "'name' is a required property",
        ),
        (named("", json!({})), 400, "'' should be non-empty"),
        (named(&"n".repeat(255), json!({})), 201, "nnn"),
        (named(&"n".repeat(256), json!({})), 400, "is too long"),
        (
            named("x", json!({"colour": "red"})),
            400,
            "('colour' was unexpected)",
        ),
        (
            json!({}),
            400,
            "'application_credential' is a required property",
        ),
    ];
    site.bodies(create, alice, &rows).await;
    site.rows(&[
        (of_bob, bob, named("op", json!({})), 201, "op"),
        (
            create,
            None,
            json!({}),
            400,
            "'application_credential' is a required property",
        ),
        (create, None, named("x", json!({})), 401, REFUSED),
        (create, bob, named("x", json!({})), 403, own),
        (create, Some(&admin), named("x", json!({})), 403, own),
        (
            "PATCH /v3/users/u/application_credentials/x",
            alice,
            json!({}),
            405,
            "not allowed",
        ),
    ])
    .await;

    let unscoped = site.unscoped(&site.alice).await;
    let got = site
        .call(
            create,
            Some(&unscoped),
            named("useless", json!({"secret": "s"})),
        )
        .await;
    let useless = &got.json()["application_credential"];
    assert_eq!(
        (&useless["project_id"], &useless["roles"]),
        (&Value::Null, &json!([]))
    );
    let got = site
        .log_in(by_credential(json!({"id": useless["id"], "secret": "s"})))
        .await;
    assert_eq!(
        (got.status, got.json()["token"].get("project")),
        (201, None)
    );
}

#[tokio::test]
async fn its_roles_are_those_of_the_token_and_its_rules_shut_it_out_of_keystone() {
    let site = Site::new();
    site.keystone.add_role("custom");
    site.keystone
        .assign_role(&site.alice.id, &site.project, "custom");
    let alice = site
        .token_of(by_password(&site.alice, on_project(&site.project)))
        .await;
    let create = format!("POST /v3/users/{}/application_credentials", site.alice.id);
    let rules = json!([{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]);
    let body = named(
        "op",
        json!({"roles": [{"name": "custom"}], "access_rules": rules, "secret": "s"}),
    );
    let made = site.call(&create, Some(&alice), body).await.json();
    let made = &made["application_credential"];
    assert_eq!(
        made["roles"][0]["options"],
        json!({}),
        "a role of our own is no built-in one"
    );
    assert_eq!(made["roles"].as_array().unwrap().len(), 1);
    let got = site
        .log_in(by_credential(json!({"id": made["id"], "secret": "s"})))
        .await;
    let roles = &got.json()["token"]["roles"];
    assert_eq!(roles.as_array().unwrap().len(), 1, "alice has three");
    let about = &got.json()["token"]["application_credential"];
    assert_eq!(about["access_rules"], made["access_rules"]);
    let token = got.header("x-subject-token");
    site.rows(&[(
        "GET /v3/credentials",
        Some(token),
        Value::Null,
        401,
        REFUSED,
    )])
    .await;
}

#[tokio::test]
async fn a_full_quota_counts_what_has_expired() {
    let site = Site::new();
    let alice = site.token(&site.alice).await;
    let all = format!("/v3/users/{}/application_credentials", site.alice.id);
    let create = format!("POST {all}");
    let quota = Quota {
        application_credentials: Some(2),
        ..Quota::default()
    };
    site.keystone.set_quota(&site.alice.id, quota);
    let full = "Unable to create additional application credentials, maximum of 2 already exceeded for user.";
    let soon = jiff::Timestamp::now() + std::time::Duration::from_secs(2);
    let short = named(
        "short",
        json!({"expires_at": soon.to_string(), "secret": "s"}),
    );
    site.rows(&[
        (&create, Some(&alice), short, 201, ""),
        (&create, Some(&alice), named("a", json!({})), 201, ""),
    ])
    .await;
    let id = site.keystone.live_application_credentials()[0].id.clone();
    let expired = eventually(DEADLINE, async || {
        let works = site.keystone.application_credential_works(&id, "s");
        ensure!(!works, "it has not expired");
        Ok(())
    });
    expired.await.unwrap();
    site.rows(&[
        (&create, Some(&alice), named("b", json!({})), 403, full),
        (&create, Some(&alice), named("a", json!({})), 403, full),
        (
            &create,
            Some(&alice),
            named("b", json!({"roles": [{"name": "nosuch"}]})),
            404,
            "nosuch",
        ),
    ])
    .await;
}
