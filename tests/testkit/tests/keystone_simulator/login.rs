//! `POST /v3/auth/tokens`.

use serde_json::{Value, json};
use testkit::keystone::DEFAULT_DOMAIN;

use super::{NOBODY, REFUSED, Site, by_password, on_project};

#[tokio::test]
async fn a_token_says_who_where_and_until_when() {
    let site = Site::new();
    let got = site
        .log_in(by_password(&site.alice, on_project(&site.project)))
        .await;
    assert_eq!(got.status, 201);
    let token = got.header("x-subject-token");
    assert!(token.starts_with("gAAAAA") && token.len() > 170, "{token}");
    let body = got.json();
    let said = &body["token"];
    let [issued, expires] = ["issued_at", "expires_at"].map(|name| {
        let text = said[name].as_str().unwrap();
        assert!(text.ends_with(".000000Z"), "{text}");
        text.parse::<jiff::Timestamp>().unwrap()
    });
    let life = expires.duration_since(issued).as_secs();
    assert_eq!(life, 3600);
    assert!((issued.as_second() - jiff::Timestamp::now().as_second()).abs() <= 20);
    let domain = json!({"id": "default", "name": "Default"});
    let roles: Vec<&Value> = said["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["name"])
        .collect();
    assert_eq!(
        roles,
        ["member", "reader"],
        "what a member is by implication"
    );
    let user = json!({
        "id": site.alice.id, "name": "alice", "domain": domain, "password_expires_at": null,
    });
    let expected = json!({"token": {
        "methods": ["password"],
        "user": user,
        "project": {"id": site.project, "name": "tenant-a", "domain": domain},
        "is_domain": false,
        "roles": said["roles"],
        "audit_ids": [said["audit_ids"][0]],
        "issued_at": said["issued_at"],
        "expires_at": said["expires_at"],
    }});
    assert_eq!(body, expected);

    let body =
        json!({"auth": by_password(&site.admin, on_project(&site.keystone.admin_project()))});
    let got = site.call("POST /v3/auth/tokens", None, body).await.json();
    let url = site.keystone.endpoint() + "/";
    assert_eq!(got["token"]["catalog"][0]["endpoints"][0]["url"], url);
    assert_eq!(
        got["token"]["roles"].as_array().unwrap().len(),
        4,
        "an admin is everything"
    );
}

#[tokio::test]
async fn users_and_projects_are_found_by_id_and_by_name() {
    let site = Site::new();
    let other = site.keystone.add_domain("other");
    let far = site.keystone.add_project("far", &other);
    let (olga, password) = site.keystone.add_user("olga", &other);
    site.keystone.assign_role(&olga, &far, "reader");
    let log_in = |user: Value, scope: Value| {
        let mut user = user;
        user["password"] = json!(password);
        json!({"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope})
    };
    let by_name = json!({"name": "olga", "domain": {"name": "other"}});
    let by_id = json!({"id": olga});
    let there = json!({"project": {"name": "far", "domain": {"id": other}}});
    for (user, scope) in [
        (by_name.clone(), there.clone()),
        (
            json!({"name": "olga", "domain": {"id": other}}),
            on_project(&far),
        ),
        (
            by_id.clone(),
            json!({"project": {"name": "far", "domain": {"name": "other"}}}),
        ),
    ] {
        let got = site.log_in(log_in(user.clone(), scope.clone())).await;
        assert_eq!(got.status, 201, "{user} {scope}: {}", got.text);
        assert_eq!(got.json()["token"]["user"]["id"], olga);
        assert_eq!(got.json()["token"]["project"]["id"], far);
    }
    let elsewhere = json!({"project": {"name": "far", "domain": {"id": DEFAULT_DOMAIN}}});
    let here = json!({"name": "olga", "domain": {"id": DEFAULT_DOMAIN}});
    for (user, scope, status, words) in [
        (here, there.clone(), 401, REFUSED),
        (by_id.clone(), elsewhere, 401, REFUSED),
        (
            json!({"name": "olga", "domain": {"name": "nope"}}),
            there.clone(),
            401,
            REFUSED,
        ),
        (json!({"id": NOBODY}), there.clone(), 401, REFUSED),
        (by_id.clone(), on_project(NOBODY), 401, REFUSED),
        (by_id.clone(), on_project(&site.project), 401, REFUSED),
        (
            by_id.clone(),
            json!({"domain": {"id": other}}),
            401,
            REFUSED,
        ),
        (
            by_id.clone(),
            json!({"system": {"all": true}}),
            401,
            REFUSED,
        ),
        (
            json!({"name": "olga"}),
            there.clone(),
            400,
            "Expecting to find domain in user.",
        ),
        (
            by_id.clone(),
            json!({"project": {"name": "far"}}),
            400,
            "Expecting to find domain in project.",
        ),
        (
            by_id.clone(),
            json!({"project": {}}),
            400,
            "scope/project: id or name must be present.",
        ),
        (
            by_id.clone(),
            json!({}),
            400,
            "OS-TRUST:trust or unscoped in scope.",
        ),
        (
            by_id.clone(),
            json!("nonsense"),
            400,
            "OS-TRUST:trust or unscoped in scope.",
        ),
        (
            by_id,
            json!(5),
            400,
            "'scope': 5 is not of type 'object', 'string'",
        ),
    ] {
        let got = site.log_in(log_in(user.clone(), scope.clone())).await;
        let row = format!("{user} {scope}: {}", got.text);
        assert_eq!(got.status, status, "{row}");
        assert!(got.message().contains(words), "{row}");
    }
}

#[tokio::test]
async fn without_a_scope_the_default_project_counts_if_it_can_be_used() {
    let site = Site::new();
    let keystone = &site.keystone;
    let project = async |scope: Value| {
        let got = site.log_in(by_password(&site.alice, scope)).await;
        assert_eq!(got.status, 201, "{}", got.text);
        let token = &got.json()["token"];
        assert_eq!(token.get("roles").is_some(), token.get("project").is_some());
        token["project"]["id"].as_str().map(str::to_owned)
    };
    assert_eq!(project(Value::Null).await, None);
    keystone.set_default_project(&site.alice.id, Some(&site.project));
    assert_eq!(project(Value::Null).await, Some(site.project.clone()));
    assert_eq!(project(json!("unscoped")).await, None);
    assert_eq!(project(json!({"unscoped": {}})).await, None);
    keystone.enable_project(&site.project, false);
    assert_eq!(project(Value::Null).await, None, "disabled");
    keystone.enable_project(&site.project, true);
    keystone.remove_role(&site.alice.id, &site.project, "member");
    assert_eq!(project(Value::Null).await, None, "no role");
}

#[tokio::test]
async fn logins_are_refused_with_the_status_that_keystone_gives() {
    let site = Site::new();
    let login = "POST /v3/auth/tokens";
    let with = |methods: Value, more: Value| {
        let mut identity = more;
        identity["methods"] = methods;
        json!({"auth": {"identity": identity}})
    };
    let (id, password) = (&site.alice.id, &site.alice.password);
    let user = |user: Value| with(json!(["password"]), json!({"password": {"user": user}}));
    site.rows(&[
        (
            login,
            None,
            user(json!({"id": id, "password": "wrong"})),
            401,
            REFUSED,
        ),
        (login, None, user(json!({"id": id})), 401, REFUSED),
        (login, None, with(json!([]), json!({})), 401, REFUSED),
        (
            login,
            None,
            Value::Null,
            400,
            "Expecting to find auth in request body.",
        ),
        (
            login,
            None,
            json!({}),
            400,
            "Expecting to find auth in request body.",
        ),
        (
            login,
            None,
            json!([]),
            400,
            "Expecting to find valid JSON in request body.",
        ),
        (
            login,
            None,
            json!({"auth": {}}),
            400,
            "'identity' is a required property",
        ),
        (
            login,
            None,
            json!({"auth": {"identity": {}}}),
            400,
            "'methods' is a required property",
        ),
        (
            login,
            None,
            with(json!("password"), json!({})),
            400,
            "'password' is not of type 'array'",
        ),
        (
            login,
            None,
            with(json!(["password"]), json!({})),
            400,
            "find password in identity.",
        ),
        (
            login,
            None,
            with(json!(["password"]), json!({"password": {}})),
            400,
            "find user in None.",
        ),
        (
            login,
            None,
            user(json!({})),
            400,
            "id or name must be present.",
        ),
        (
            login,
            None,
            user(json!({"id": id, "password": 5})),
            400,
            "5 is not of type 'string'",
        ),
        (
            login,
            None,
            with(json!(["magic"]), json!({"magic": {}})),
            401,
            "with an unsupported method.",
        ),
        (
            login,
            Some("garbage"),
            user(json!({"id": id, "password": password})),
            201,
            "token",
        ),
    ])
    .await;
    let kinds = site
        .log_in(with(json!(["magic"]), json!({"magic": {}}))["auth"].clone())
        .await;
    let methods = &kinds.json()["error"]["identity"]["methods"];
    assert_eq!(methods.as_array().unwrap().len(), 7);

    let text = site.client.post(site.keystone.url() + "/v3/auth/tokens");
    let text = text
        .header("content-type", "text/plain")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(text.status(), 400);
    assert!(
        text.text()
            .await
            .unwrap()
            .contains("application/json in Content-Type header.")
    );
    let large = json!({"auth": "x".repeat(120_000)});
    assert_eq!(site.call(login, None, large).await.status, 413);

    site.keystone.enable_user(&site.bob.id, false);
    let wrong = by_password(&site.bob, on_project(&site.project));
    assert_eq!(site.log_in(wrong).await.status, 401, "disabled");
    site.keystone.enable_project(&site.project, false);
    let closed = by_password(&site.alice, on_project(&site.project));
    assert_eq!(
        site.log_in(closed).await.status,
        401,
        "the project is disabled"
    );
}
