//! Who may see, make and delete application credentials.

use serde_json::{Value, json};

use super::application_credentials::named;
use super::{NOBODY, Site};

#[tokio::test]
async fn who_may_see_and_delete_one() {
    let site = Site::new();
    let (id, _) =
        site.keystone
            .add_application_credential(&site.alice.id, &site.project, "op", false);
    let (alice, bob) = (site.token(&site.alice).await, site.token(&site.bob).await);
    let admin = site.admin_token().await;
    let line = |method: &str, user: &str, id: &str| {
        format!("{method} /v3/users/{user}/application_credentials/{id}")
            .trim_end_matches('/')
            .to_owned()
    };
    let (a, b) = (&*site.alice.id, &*site.bob.id);
    let (alice, bob, admin) = (Some(&*alice), Some(&*bob), Some(&*admin));
    let gone = "Could not find Application Credential: ffff";
    let (may_not_see, may_not_delete) = (
        "identity:get_application_credential.",
        "identity:delete_application_credential.",
    );
    site.lines(&[
        (&line("GET", a, ""), alice, 200, &id),
        (&line("GET", a, ""), admin, 200, &id),
        (
            &line("GET", a, ""),
            bob,
            403,
            "identity:list_application_credentials.",
        ),
        (
            &line("GET", NOBODY, ""),
            admin,
            200,
            r#"{"application_credentials":[],"#,
        ),
        (&line("GET", a, &id), alice, 200, "op"),
        (&line("GET", a, &id), admin, 200, "op"),
        (&line("GET", a, &id), bob, 403, may_not_see),
        (&line("GET", b, &id), bob, 403, may_not_see),
        (&line("GET", b, &id), admin, 200, a),
        (&line("GET", a, NOBODY), alice, 404, gone),
        (&line("GET", a, NOBODY), bob, 403, may_not_see),
        (&line("GET", a, NOBODY), admin, 404, gone),
        (&line("DELETE", a, &id), bob, 403, may_not_delete),
        (&line("DELETE", b, &id), bob, 403, may_not_delete),
        (&line("DELETE", a, NOBODY), alice, 404, gone),
        (&line("DELETE", a, &id), alice, 204, ""),
        (
            &line("DELETE", a, &id),
            alice,
            404,
            "Could not find Application Credential: ",
        ),
        (&line("DELETE", a, &id), bob, 403, may_not_delete),
    ])
    .await;
    let (id, _) = site
        .keystone
        .add_application_credential(a, &site.project, "op", false);
    site.lines(&[(&line("DELETE", a, &id), admin, 204, "")])
        .await;
}

#[tokio::test]
async fn only_an_unrestricted_one_may_manage_others() {
    let site = Site::new();
    let make = |name, unrestricted| {
        site.keystone
            .add_application_credential(&site.alice.id, &site.project, name, unrestricted)
    };
    let (victim, _) = make("victim", false);
    let all = format!("/v3/users/{}/application_credentials", site.alice.id);
    let (create, list) = (format!("POST {all}"), format!("GET {all}?name=victim"));
    let (delete, none) = (
        format!("DELETE {all}/{victim}"),
        format!("DELETE {all}/{NOBODY}"),
    );
    let refused = "Using method 'application_credential' is not allowed for managing additional application \
        credentials..";
    let (id, secret) = make("restricted", false);
    let token = site.delegated(&id, &secret).await;
    site.rows(&[
        (&list, Some(&token), Value::Null, 200, &victim),
        (
            &create,
            Some(&token),
            named("child", json!({})),
            403,
            refused,
        ),
        (&delete, Some(&token), Value::Null, 403, refused),
        (&none, Some(&token), Value::Null, 403, refused),
    ])
    .await;
    let (id, secret) = make("unrestricted", true);
    let token = site.delegated(&id, &secret).await;
    site.rows(&[
        (&list, Some(&token), Value::Null, 200, &victim),
        (
            &create,
            Some(&token),
            named("child", json!({})),
            201,
            "child",
        ),
        (
            &none,
            Some(&token),
            Value::Null,
            404,
            "Could not find Application Credential: ",
        ),
        (&delete, Some(&token), Value::Null, 204, ""),
    ])
    .await;
}
