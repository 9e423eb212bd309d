//! Logins with what an earlier login has led to: a token, or an application credential.

use serde_json::{Value, json};
use testkit::keystone::DEFAULT_DOMAIN;

use super::{NOBODY, REFUSED, Site, by_credential, by_password, by_token, on_project};

#[tokio::test]
async fn rescoping_keeps_the_end_and_the_line_of_a_token() {
    let site = Site::new();
    let got = site
        .log_in(by_password(&site.alice, json!("unscoped")))
        .await;
    let (parent, first) = (got.header("x-subject-token").to_owned(), got.json());
    site.next_second().await;
    let got = site
        .log_in(by_token(&parent, on_project(&site.project)))
        .await;
    let (child, second) = (got.header("x-subject-token").to_owned(), got.json());
    let (first, second) = (&first["token"], &second["token"]);
    assert_eq!(second["expires_at"], first["expires_at"]);
    assert_ne!(second["issued_at"], first["issued_at"]);
    assert_eq!(second["methods"], json!(["token", "password"]));
    assert_eq!(second["audit_ids"][1], first["audit_ids"][0]);
    assert_eq!(second["project"]["id"], site.project);
    let got = site.log_in(by_token(&child, Value::Null)).await.json();
    assert_eq!(
        got["token"]["audit_ids"][1], first["audit_ids"][0],
        "the line has one root"
    );

    let no = "Could not recognize Fernet token";
    for (token, status, words) in [("garbage", 404, no), ("", 404, "No token in the request")] {
        let got = site.log_in(by_token(token, Value::Null)).await;
        assert_eq!((got.status, got.message().as_str()), (status, words));
    }
    let (id, secret) =
        site.keystone
            .add_application_credential(&site.alice.id, &site.project, "a", true);
    let delegated = site.delegated(&id, &secret).await;
    let got = site
        .log_in(by_token(&delegated, on_project(&site.project)))
        .await;
    assert_eq!(got.status, 403);
    assert!(
        got.message()
            .contains("Using a delegated token to create another token is not allowed.")
    );
    let mut both = by_password(&site.bob, Value::Null);
    both["identity"]["methods"] = json!(["password", "token"]);
    both["identity"]["token"] = json!({"id": parent});
    assert_eq!(site.log_in(both).await.status, 401, "two users");
}

#[tokio::test]
async fn an_application_credential_logs_in_to_its_project_and_nowhere_else() {
    let site = Site::new();
    let keystone = &site.keystone;
    let (id, secret) =
        keystone.add_application_credential(&site.alice.id, &site.project, "op", false);
    let alice = json!({"name": "alice", "domain": {"id": DEFAULT_DOMAIN}});
    for credential in [
        json!({"id": id, "secret": secret}),
        json!({"name": "op", "user": {"id": site.alice.id}, "secret": secret}),
        json!({"name": "op", "user": alice, "secret": secret}),
        json!({"id": id, "user": {"id": site.bob.id}, "secret": secret}),
    ] {
        let got = site.log_in(by_credential(credential)).await;
        assert_eq!(got.status, 201, "{}", got.text);
        let token = &got.json()["token"];
        assert_eq!(token["methods"], json!(["application_credential"]));
        assert_eq!(
            (&token["user"]["id"], &token["project"]["id"]),
            (&json!(site.alice.id), &json!(site.project))
        );
        let about = json!({"id": id, "name": "op", "restricted": true});
        assert_eq!(token["application_credential"], about);
    }
    let nobody = json!({"name": "nobody", "domain": {"id": DEFAULT_DOMAIN}});
    for (credential, status, words) in [
        (json!({"id": id, "secret": "wrong"}), 401, REFUSED),
        (json!({"id": id}), 401, REFUSED),
        (
            json!({"id": NOBODY, "secret": secret}),
            404,
            "Could not find Application Credential: ffff",
        ),
        (
            json!({"name": "no", "user": {"id": site.alice.id}, "secret": secret}),
            401,
            REFUSED,
        ),
        (
            json!({"name": "op", "user": {"id": site.bob.id}, "secret": secret}),
            401,
            REFUSED,
        ),
        (
            json!({"name": "op", "user": nobody, "secret": secret}),
            404,
            "Could not find user: nobody.",
        ),
        (
            json!({"name": "op", "secret": secret}),
            400,
            "find user in application credential.",
        ),
        (
            json!({"secret": secret}),
            400,
            "find name or ID in application credential.",
        ),
    ] {
        let got = site.log_in(by_credential(credential.clone())).await;
        assert_eq!(got.status, status, "{credential} {}", got.text);
        assert!(got.message().contains(words), "{credential} {}", got.text);
    }
    let mut scoped = by_credential(json!({"id": id, "secret": secret}));
    for scope in [on_project(&site.project), json!("unscoped")] {
        scoped["scope"] = scope;
        let got = site.log_in(scoped.clone()).await;
        assert_eq!(
            (got.status, &got.json()["error"]["identity"]),
            (401, &json!({}))
        );
        assert!(
            got.message()
                .ends_with("Application credentials cannot request a scope.")
        );
    }
}
