//! What can be read about users, roles and Keystone itself.

use serde_json::{Value, json};

use testkit::keystone::DEFAULT_DOMAIN;

use super::{NOBODY, REFUSED, Site};

#[tokio::test]
async fn users_are_listed_for_admins_and_shown_to_themselves() {
    let site = Site::new();
    let other = site.keystone.add_domain("other");
    let (olga, _) = site.keystone.add_user("olga", &other);
    site.keystone
        .set_default_project(&olga, Some(&site.project));
    site.keystone.enable_user(&site.bob.id, false);
    let (alice, admin) = (site.unscoped(&site.alice).await, site.admin_token().await);
    let (alice, admin) = (Some(&*alice), Some(&*admin));
    let one = |id: &str| format!("GET /v3/users/{id}");
    site.rows(&[
        (&one(&site.alice.id), alice, Value::Null, 200, "alice"),
        (
            &one(&site.bob.id),
            alice,
            Value::Null,
            403,
            "identity:get_user.",
        ),
        (&one(NOBODY), alice, Value::Null, 403, "identity:get_user."),
        (
            &one(&site.bob.id),
            admin,
            Value::Null,
            200,
            r#""enabled":false"#,
        ),
        (
            &one(NOBODY),
            admin,
            Value::Null,
            404,
            "Could not find user: ffff",
        ),
        (
            "GET /v3/users?name=alice&domain_id=default",
            alice,
            Value::Null,
            403,
            "identity:list_users.",
        ),
        ("GET /v3/users", None, Value::Null, 401, REFUSED),
        (
            &format!("GET /v3/users?name=alice&domain_id={other}"),
            admin,
            Value::Null,
            200,
            r#""users":[]"#,
        ),
        (
            "GET /v3/users?name=nobody",
            admin,
            Value::Null,
            200,
            r#""users":[]"#,
        ),
        (
            "POST /v3/users",
            admin,
            json!({}),
            501,
            "The simulator cannot do this",
        ),
    ])
    .await;
    let query = format!("/users?domain_id={other}");
    let got = site
        .call(&format!("GET /v3{query}"), admin, Value::Null)
        .await
        .json();
    let endpoint = site.keystone.endpoint();
    let user = json!({
        "id": olga,
        "name": "olga",
        "domain_id": other,
        "enabled": true,
        "default_project_id": site.project,
        "options": {},
        "password_expires_at": null,
        "links": {"self": format!("{endpoint}/users/{olga}")},
    });
    let links = json!({"next": null, "previous": null, "self": endpoint + &query});
    assert_eq!(got, json!({"users": [user], "links": links}));
}

#[tokio::test]
async fn role_assignments_tell_which_roles_are_implied_and_why() {
    let site = Site::new();
    let (alice, admin) = (site.token(&site.alice).await, site.admin_token().await);
    let filter = format!(
        "?user.id={}&scope.project.id={}",
        site.alice.id, site.project
    );
    let list = async |query: &str| {
        let line = format!("GET /v3/role_assignments{query}");
        let got = site.call(&line, Some(&admin), Value::Null).await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()["role_assignments"].as_array().unwrap().clone()
    };
    let all = list(&format!("{filter}&effective&include_names")).await;
    let names: Vec<&Value> = all.iter().map(|item| &item["role"]["name"]).collect();
    assert_eq!(names, ["member", "reader"]);
    let id = |index: usize| all[index]["role"]["id"].as_str().unwrap();
    let (member, reader) = (id(0), id(1));
    let endpoint = site.keystone.endpoint();
    let source = format!(
        "{endpoint}/projects/{}/users/{}/roles/{member}",
        site.project, site.alice.id
    );
    let domain = json!({"id": "default", "name": "Default"});
    let expected = json!({
        "links": {"assignment": source, "prior_role": format!("{endpoint}/prior_role/{reader}/implies/{member}")},
        "role": {"id": reader, "name": "reader"},
        "scope": {"project": {"id": site.project, "name": "tenant-a", "domain": domain}},
        "user": {"id": site.alice.id, "name": "alice", "domain": domain},
    });
    assert_eq!(all[1], expected);
    assert_eq!(all[0]["links"], json!({"assignment": source}));
    assert_eq!(list(&filter).await.len(), 1, "only what was granted");
    let bare = list(&format!("{filter}&effective=false&include_names=0")).await;
    assert_eq!(bare.len(), 2, "Keystone takes all but 0 for yes");
    assert_eq!(bare[0]["user"], json!({"id": site.alice.id}));
    let of_admin = format!("?user.id={}&effective", site.admin.id);
    assert_eq!(list(&of_admin).await.len(), 4);
    assert_eq!(list(&format!("?user.id={NOBODY}")).await.len(), 0);

    let line = |query: &str| format!("GET /v3/role_assignments?{query}");
    let (user, project) = (
        format!("user.id={NOBODY}&effective"),
        format!("scope.project.id={NOBODY}&effective"),
    );
    site.rows(&[
        (
            &line(&user),
            Some(&admin),
            Value::Null,
            404,
            "Could not find user: ffff",
        ),
        (
            &line(&project),
            Some(&admin),
            Value::Null,
            404,
            "Could not find project: ffff",
        ),
        (
            &line(&filter[1..]),
            Some(&alice),
            Value::Null,
            403,
            "identity:list_role_assignments.",
        ),
        (&line(&filter[1..]), None, Value::Null, 401, REFUSED),
    ])
    .await;
}

#[tokio::test]
async fn versions_are_told_to_everybody_and_other_paths_are_pages() {
    let site = Site::new();
    let admin = site.admin_token().await;
    let page = "<title>404 Not Found</title>";
    site.rows(&[
        (
            "GET /v3",
            None,
            Value::Null,
            200,
            r#"{"version":{"id":"v3.14""#,
        ),
        ("GET /v3/", Some("garbage"), Value::Null, 200, "v3.14"),
        (
            "GET /",
            None,
            Value::Null,
            300,
            r#"{"versions":{"values":[{"id":"v3.14""#,
        ),
        (
            "POST /v3",
            None,
            json!({}),
            405,
            "<title>405 Method Not Allowed</title>",
        ),
        ("GET /nowhere", None, Value::Null, 404, page),
        ("GET /v3/nowhere", Some(&admin), Value::Null, 404, page),
        ("POST /v2.0/tokens", None, json!({}), 404, page),
        ("GET /identity/v3", None, Value::Null, 404, page),
        ("GET /v3/users/x/nowhere", None, Value::Null, 404, page),
        (
            "POST /nowhere",
            None,
            json!([]),
            400,
            "Expecting to find valid JSON in request body.",
        ),
        (
            "GET /v3/projects",
            Some(&admin),
            Value::Null,
            501,
            "The simulator cannot do this: GET /v3/projects",
        ),
    ])
    .await;
    let got = site.call("GET /nowhere", None, Value::Null).await;
    assert_eq!(got.header("content-type"), "text/html; charset=utf-8");
    let got = site.call("GET /", None, Value::Null).await;
    let url = site.keystone.endpoint() + "/";
    assert_eq!(got.header("location"), url);
    assert_eq!(got.json()["versions"]["values"][0]["links"][0]["href"], url);
}

#[tokio::test]
async fn a_project_is_shown_to_admins_and_to_those_who_are_logged_in_to_it() {
    let site = Site::new();
    let other = site.keystone.add_project("tenant-b", DEFAULT_DOMAIN);
    let (alice, unscoped) = (
        site.token(&site.alice).await,
        site.unscoped(&site.alice).await,
    );
    let admin = site.admin_token().await;
    let (alice, unscoped, admin) = (Some(&*alice), Some(&*unscoped), Some(&*admin));
    let one = |id: &str| format!("GET /v3/projects/{id}");
    let (own, other, none) = (one(&site.project), one(&other), one(NOBODY));
    let forbidden = "identity:get_project.";
    site.lines(&[
        (&own, alice, 200, r#""name":"tenant-a""#),
        (&own, admin, 200, r#""is_domain":false"#),
        (&own, unscoped, 403, forbidden),
        (&own, None, 401, REFUSED),
        (&other, alice, 403, forbidden),
        (&other, admin, 200, "tenant-b"),
        (&none, alice, 403, forbidden),
        (&none, admin, 404, "Could not find project: ffff"),
        (
            "DELETE /v3/projects/x",
            admin,
            501,
            "The simulator cannot do this",
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_projects_are_told_in_which_the_caller_has_a_role() {
    let site = Site::new();
    let off = site.keystone.add_project("switched-off", DEFAULT_DOMAIN);
    site.keystone.add_project("of-nobody", DEFAULT_DOMAIN);
    site.keystone.assign_role(&site.alice.id, &off, "reader");
    site.keystone.enable_project(&off, false);
    let line = "GET /v3/auth/projects";
    for token in [
        site.unscoped(&site.alice).await,
        site.token(&site.alice).await,
    ] {
        let got = site.call(line, Some(&token), Value::Null).await;
        assert_eq!(got.status, 200);
        let projects = got.json()["projects"].clone();
        let ids: Vec<_> = projects.as_array().unwrap().iter().collect();
        assert_eq!(ids.len(), 1, "{projects}");
        assert_eq!(ids[0]["id"], json!(site.project));
    }
    site.lines(&[
        (line, None, 401, REFUSED),
        ("POST /v3/auth/projects", None, 405, "not allowed"),
    ])
    .await;
}
