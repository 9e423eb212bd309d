//! Looking at tokens and ending them, and what comes of a token that is worth nothing.

use serde_json::Value;

use super::{NOBODY, REFUSED, Site, by_password, by_token, on_project};

const GARBAGE: &str = "Could not recognize Fernet token";
const FAILED: &str = "Failed to validate token";

#[tokio::test]
async fn tokens_are_looked_at_by_their_user_and_by_admins() {
    let site = Site::new();
    let (alice, bob) = (site.token(&site.alice).await, site.token(&site.bob).await);
    let (second, admin) = (site.unscoped(&site.alice).await, site.admin_token().await);
    let refused = "requested action: identity:validate_token.";
    for (token, subject, status, words) in [
        (Some(&*alice), Some(&*alice), 200, "tenant-a"),
        (Some(&alice), Some(&second), 200, "alice"),
        (Some(&admin), Some(&bob), 200, "bob"),
        (Some(&alice), Some(&bob), 403, refused),
        (Some(&alice), None, 403, refused),
        (Some(&admin), None, 404, "No token in the request"),
        (Some(&alice), Some("garbage"), 404, GARBAGE),
        (Some("garbage"), Some(&alice), 401, REFUSED),
        (None, Some(&alice), 401, REFUSED),
    ] {
        let got = site
            .send("GET /v3/auth/tokens?nocatalog", token, subject, Value::Null)
            .await;
        assert_eq!(got.status, status, "{}", got.text);
        assert!(got.text.contains(words), "{words}: {}", got.text);
        let returned = if status == 200 { subject.unwrap() } else { "" };
        assert_eq!(got.header("x-subject-token"), returned);
        let head = site
            .send("HEAD /v3/auth/tokens", token, subject, Value::Null)
            .await;
        assert_eq!((head.status, head.text.as_str()), (status, ""));
    }
}

#[tokio::test]
async fn an_ended_token_takes_its_descendants_along() {
    let site = Site::new();
    let end = "DELETE /v3/auth/tokens";
    let (parent, admin) = (site.unscoped(&site.alice).await, site.admin_token().await);
    let child = site
        .token_of(by_token(&parent, on_project(&site.project)))
        .await;
    let sibling = site
        .token_of(by_token(&parent, on_project(&site.project)))
        .await;
    let bob = site.token(&site.bob).await;
    let refused = site.send(end, Some(&bob), Some(&child), Value::Null).await;
    assert_eq!(refused.status, 403);
    assert!(refused.message().contains("identity:revoke_token."));

    let ended = site
        .send(end, Some(&child), Some(&child), Value::Null)
        .await;
    assert_eq!((ended.status, ended.text.as_str()), (204, ""));
    assert!(!site.keystone.token_works(&child));
    assert!(site.keystone.token_works(&parent) && site.keystone.token_works(&sibling));
    let ended = site
        .send(end, Some(&admin), Some(&parent), Value::Null)
        .await;
    assert_eq!(ended.status, 204);
    for dead in [&parent, &sibling, &child] {
        let got = site.send(end, Some(dead), Some(dead), Value::Null).await;
        assert_eq!(got.status, 401);
        let got = site
            .send("GET /v3/auth/tokens", Some(&admin), Some(dead), Value::Null)
            .await;
        assert_eq!((got.status, got.message().as_str()), (404, FAILED));
        let got = site.log_in(by_token(dead, Value::Null)).await;
        assert_eq!((got.status, got.message().as_str()), (404, FAILED));
    }
    assert!(site.keystone.token_works(&bob));
}

#[tokio::test]
async fn a_session_whose_ground_is_gone_meets_404_everywhere() {
    let site = Site::new();
    let keystone = &site.keystone;
    let gone = keystone.add_project("gone", super::DEFAULT_DOMAIN);
    keystone.assign_role(&site.bob.id, &gone, "member");
    let (id, secret) =
        keystone.add_application_credential(&site.alice.id, &site.project, "op", true);
    let delegated = site.delegated(&id, &secret).await;
    let of_gone = site
        .token_of(by_password(&site.bob, on_project(&gone)))
        .await;
    let of_bob = site.unscoped(&site.bob).await;
    let of_alice = site.token(&site.alice).await;
    let elsewhere = site.unscoped(&site.alice).await;

    keystone.delete_project(&gone);
    let message = format!("Could not find project: {gone}.");
    everywhere(&site, &of_gone, &message).await;
    assert_eq!(
        site.call("GET /v3/credentials", Some(&of_bob), Value::Null)
            .await
            .status,
        200
    );
    keystone.delete_user(&site.bob.id);
    let message = format!("Could not find user: {}.", site.bob.id);
    everywhere(&site, &of_bob, &message).await;

    keystone.enable_project(&site.project, false);
    let message = format!(
        "Unable to validate token because project {} is disabled",
        site.project
    );
    everywhere(&site, &of_alice, &message).await;
    everywhere(&site, &delegated, &message).await;
    assert_eq!(
        site.call("GET /v3/credentials", Some(&elsewhere), Value::Null)
            .await
            .status,
        200
    );
    keystone.enable_project(&site.project, true);
    assert!(keystone.token_works(&of_alice) && keystone.token_works(&delegated));

    assert!(keystone.revoke_application_credential(&id));
    let message = format!("Could not find Application Credential: {id}.");
    everywhere(&site, &delegated, &message).await;
    assert!(keystone.token_works(&of_alice));
}

async fn everywhere(site: &Site, dead: &str, message: &str) {
    let login = serde_json::json!({"auth": by_password(&site.alice, Value::Null)});
    let own = format!("GET /v3/users/{}/application_credentials", site.alice.id);
    let foreign = format!("DELETE /v3/users/{NOBODY}/application_credentials/{NOBODY}");
    site.rows(&[
        ("GET /v3/credentials", Some(dead), Value::Null, 404, message),
        (
            "DELETE /v3/credentials/x",
            Some(dead),
            Value::Null,
            404,
            message,
        ),
        ("PUT /v3/credentials", Some(dead), Value::Null, 404, message),
        ("POST /v3/auth/tokens", Some(dead), login, 404, message),
        (&own, Some(dead), Value::Null, 404, message),
        (&foreign, Some(dead), Value::Null, 404, message),
        ("GET /v3", Some(dead), Value::Null, 404, message),
        ("GET /", Some(dead), Value::Null, 404, message),
        ("GET /nowhere", Some(dead), Value::Null, 404, message),
    ])
    .await;
    let alice = site.unscoped(&site.alice).await;
    let got = site
        .send("GET /v3/auth/tokens", Some(&alice), Some(dead), Value::Null)
        .await;
    assert_eq!((got.status, got.message().as_str()), (404, message));
    assert!(!site.keystone.token_works(dead));
}
