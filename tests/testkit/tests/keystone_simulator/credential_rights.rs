//! Who may read and delete which rows of `/v3/credentials`.

use serde_json::{Value, json};

use super::credentials::{AK1, CREATE};
use super::{REFUSED, Site, pair};

const DELEGATED: &str = "requested action: Delegated tokens cannot access credentials directly.";

#[tokio::test]
async fn what_is_missing_looks_like_what_is_foreign_to_all_but_admins() {
    let site = Site::new();
    let (alice, bob) = (site.token(&site.alice).await, site.token(&site.bob).await);
    let (unscoped, admin) = (site.unscoped(&site.alice).await, site.admin_token().await);
    site.keystone
        .add_pair(&site.alice.id, &site.project, "AK1", "SK");
    let line = |method: &str, id: &str| format!("{method} /v3/credentials/{id}");
    let (get, delete) = (line("GET", AK1), line("DELETE", AK1));
    let (get_none, delete_none) = (line("GET", "none"), line("DELETE", "none"));
    let patch = line("PATCH", AK1);
    let blob = |blob: &str| json!({"credential": {"blob": blob}});
    let gone = "Could not find credential: none.";
    let (alice, bob, admin) = (Some(&*alice), Some(&*bob), Some(&*admin));
    site.rows(&[
        (&get, alice, Value::Null, 200, AK1),
        (&get, Some(&unscoped), Value::Null, 200, AK1),
        (&get, admin, Value::Null, 200, "SK"),
        (&get, bob, Value::Null, 403, "identity:get_credential."),
        (&get, None, Value::Null, 401, REFUSED),
        (
            &get_none,
            alice,
            Value::Null,
            403,
            "identity:get_credential.",
        ),
        (&get_none, admin, Value::Null, 404, gone),
        (&patch, bob, blob("{}"), 403, "identity:update_credential."),
        (
            &patch,
            alice,
            json!({"credential": {"project_id": "x"}}),
            400,
            "('project_id' was unexpected)",
        ),
        (
            &patch,
            alice,
            blob("nope"),
            400,
            "Invalid blob in credential",
        ),
        (
            &patch,
            alice,
            blob(r#"{"access":"AK1","secret":"SK2"}"#),
            200,
            "SK2",
        ),
        (
            &delete,
            bob,
            Value::Null,
            403,
            "identity:delete_credential.",
        ),
        (
            &delete_none,
            alice,
            Value::Null,
            403,
            "identity:delete_credential.",
        ),
        (&delete_none, admin, Value::Null, 404, gone),
        (&delete, alice, Value::Null, 204, ""),
        (
            &delete,
            alice,
            Value::Null,
            403,
            "identity:delete_credential.",
        ),
        (
            CREATE,
            alice,
            pair(&site.alice.id, &site.project, "AK1"),
            201,
            AK1,
        ),
        (&delete, admin, Value::Null, 204, ""),
    ])
    .await;
}

#[tokio::test]
async fn a_list_shows_what_one_may_read_and_says_nothing_of_the_rest() {
    let site = Site::new();
    let keystone = &site.keystone;
    for access in ["A1", "A2", "A3"] {
        keystone.add_pair(&site.alice.id, &site.project, access, "SK");
    }
    keystone.add_pair(&site.bob.id, &site.project, "B1", "SK");
    let (alice, admin) = (site.token(&site.alice).await, site.admin_token().await);
    let cert = json!({"credential": {"type": "cert", "user_id": site.alice.id, "blob": "b"}});
    assert_eq!(site.call(CREATE, Some(&alice), cert).await.status, 201);
    let list = async |token: &str, query: &str| {
        let got = site
            .call(
                &format!("GET /v3/credentials{query}"),
                Some(token),
                Value::Null,
            )
            .await;
        assert_eq!(got.status, 200, "{}", got.text);
        got.json()
    };
    let (of_alice, of_bob) = (
        format!("user_id={}", site.alice.id),
        format!("user_id={}", site.bob.id),
    );
    for (token, query, count) in [
        (&alice, String::new(), 4),
        (&alice, "?type=ec2".to_owned(), 3),
        (&alice, format!("?type=ec2&{of_alice}&whatever=1"), 3),
        (&alice, format!("?{of_bob}"), 0),
        (&admin, format!("?{of_bob}"), 1),
        (&admin, "?type=ec2".to_owned(), 4),
        (&admin, "/".to_owned(), 5),
    ] {
        let body = list(token, &query).await;
        assert_eq!(
            body["credentials"].as_array().unwrap().len(),
            count,
            "{query} {body}"
        );
        assert_eq!(body.get("truncated"), None);
    }
    let body = list(&alice, "?type=ec2&limit=2").await;
    assert_eq!(
        (
            body["credentials"].as_array().unwrap().len(),
            &body["truncated"]
        ),
        (2, &json!(true))
    );
    let next = body["links"]["next"].as_str().unwrap();
    assert!(next.contains("limit=2&marker="), "{next}");
    assert_eq!(
        list(&alice, "?type=ec2&limit=3").await.get("truncated"),
        None
    );
}

#[tokio::test]
async fn with_the_token_of_an_application_credential_there_are_no_pairs() {
    let site = Site::new();
    let keystone = &site.keystone;
    keystone.add_pair(&site.alice.id, &site.project, "AK1", "SK");
    for (name, unrestricted) in [("restricted", false), ("unrestricted", true)] {
        let (id, secret) =
            keystone.add_application_credential(&site.alice.id, &site.project, name, unrestricted);
        let token = site.delegated(&id, &secret).await;
        let token = Some(&*token);
        let (of_alice, of_bob) = (&site.alice.id, &site.bob.id);
        let own = |method: &str, rest: &str| {
            format!("{method} /v3/users/{of_alice}/credentials/OS-EC2{rest}")
        };
        let mut wrong = pair(of_alice, &site.project, "AK2");
        wrong["credential"]["blob"] = json!("nope");
        site.rows(&[
            (
                "GET /v3/credentials",
                token,
                Value::Null,
                200,
                r#"{"credentials":[],"#,
            ),
            (
                &format!("GET /v3/credentials/{AK1}"),
                token,
                Value::Null,
                403,
                DELEGATED,
            ),
            (
                &format!("DELETE /v3/credentials/{AK1}"),
                token,
                Value::Null,
                403,
                DELEGATED,
            ),
            (
                "DELETE /v3/credentials/none",
                token,
                Value::Null,
                403,
                "identity:delete_credential.",
            ),
            (
                CREATE,
                token,
                pair(of_alice, &site.project, "AK2"),
                403,
                DELEGATED,
            ),
            (
                CREATE,
                token,
                pair(of_alice, &site.project, "AK1"),
                403,
                DELEGATED,
            ),
            (CREATE, token, wrong, 403, DELEGATED),
            (
                CREATE,
                token,
                pair(of_bob, &site.project, "AK2"),
                403,
                "identity:create_credential.",
            ),
            (&own("GET", ""), token, Value::Null, 403, DELEGATED),
            (&own("GET", "/AK1"), token, Value::Null, 403, DELEGATED),
            (&own("DELETE", "/AK1"), token, Value::Null, 403, DELEGATED),
            (
                &own("DELETE", "/none"),
                token,
                Value::Null,
                404,
                "Could not find credential: ",
            ),
        ])
        .await;
    }
    assert!(keystone.pair_works("AK1", "SK"));
}
