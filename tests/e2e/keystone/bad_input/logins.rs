//! Logins that cannot serve, and what becomes of those who need them.

use testkit::openstack::{Keystone, User};

use super::*;

/// How often somebody tried to log in with a text in what was sent.
fn logins_with(rig: &Rig, text: &str) -> usize {
    let with = |call: &testkit::wire::Call| {
        call.method == "POST"
            && call.path == "/v3/auth/tokens"
            && String::from_utf8_lossy(&call.request_body).contains(text)
    };
    rig.wire.calls_where(with).len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_serve_says_why() {
    let mut rig = Rig::new("ks-logins").await;
    let token = Keystone::shared()
        .login(&rig.user.id, &rig.user.password, Some(&rig.project_id))
        .await
        .unwrap();
    let path = format!("/users/{}/application_credentials", rig.user.id);
    let body =
        json!({"application_credential": {"name": "login", "secret": "restricted-app-secret"}});
    let made = Keystone::shared()
        .request(&token.id, http::Method::POST, &path, Some(&body))
        .await
        .unwrap();
    let made = made.success().unwrap();
    let id = made["application_credential"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    rig.stage
        .more_secret_values
        .push("restricted-app-secret".into());

    let other = rig
        .cloud
        .create_user(&format!("other-{}", rig.project))
        .await;
    rig.cloud
        .assign_role(&other, &rig.project_id, "member")
        .await;
    let expired = rig
        .cloud
        .create_user(&format!("expired-{}", rig.project))
        .await;
    rig.admin().expire_password(&expired.id).await.unwrap();
    let admin = rig
        .cloud
        .create_user(&format!("mighty-{}", rig.project))
        .await;
    rig.cloud
        .assign_role(&admin, &rig.project_id, "admin")
        .await;
    rig.admin()
        .set_user_enabled(&other.id, false)
        .await
        .unwrap();
    rig.stage.start().await;

    let app = json!({"id": id, "secret": "restricted-app-secret"});
    let restricted = provider_with(&rig, "restricted", "applicationCredential", app).await;
    let password = |user: &User| json!({"user-id": user.id, "password": user.password});
    let disabled = provider_with(&rig, "disabled", "password", password(&other)).await;
    let old = provider_with(&rig, "expired", "password", password(&expired)).await;
    let mighty = provider_with(&rig, "mighty", "password", password(&admin)).await;
    let wrong =
        json!({"username": rig.user.name, "domain": "Default", "password": "wrong-password"});
    let wrong = provider_with(&rig, "wrong", "password", wrong).await;
    let nobody = provider_with(&rig, "nobody", "password", json!({"password": "p"})).await;

    let unknown =
        json!({"username": rig.user.name, "domain": "Nowhere", "password": rig.user.password});
    let unknown = provider_with(&rig, "unknown", "password", unknown).await;

    let said = provider_refused(&rig, &nobody, "LoginKeyNotFound").await;
    assert!(
        said.contains("neither key username nor key user-id"),
        "{said}"
    );
    let does_not_say =
        "the password is wrong, or the user or domain does not exist, is disabled, or is locked";
    for (name, provider, sent, words) in [
        ("disabled", &disabled, &*other.id, does_not_say),
        (
            "expired",
            &old,
            &*expired.id,
            "has expired and has to be changed",
        ),
        ("wrong", &wrong, "wrong-password", does_not_say),
        ("unknown", &unknown, "Nowhere", does_not_say),
    ] {
        let status = refused_provider(&rig, provider, "LoginRefused").await;
        let said = provider_refused(&rig, provider, "LoginRefused").await;
        assert!(said.contains(words), "{provider}: {said}");
        assert_eq!(status.login.unwrap().attempts, 1, "{provider}");
        // Each further attempt may help to lock the account, so those who need it try none.
        let request = of(rig.access_key(name), provider);
        rig.stage.apply(&request).await;
        refused(&rig, name, "LoginRefused").await;
        assert_eq!(logins_with(&rig, sent), 1, "{provider}");
    }
    rig.stage
        .apply(&of(rig.access_key("restricted"), &restricted))
        .await;
    let request = refused_request(&rig, "restricted", "Forbidden").await;
    Again::Patiently.check("restricted", &request, "Forbidden");
    let said = message_of(&request, "Ready");
    assert!(said.contains("login with a password"), "{said}");
    rig.stage
        .apply(&of(
            rig.application_credential("restricted-app"),
            &restricted,
        ))
        .await;
    let request = refused_request(&rig, "restricted-app", "Forbidden").await;
    Again::Patiently.check("restricted-app", &request, "Forbidden");
    let said = message_of(&request, "Ready");
    assert!(said.contains("use an unrestricted one"), "{said}");
    // What it can do, it does: a token of its own project.
    rig.stage
        .apply(&of(rig.token("restricted-token"), &restricted))
        .await;
    rig.stage.ready("restricted-token").await;
    let elsewhere = rig.request(
        "elsewhere",
        json!({"token": {"project": {"name": format!("{}-2", rig.project), "domainID": DOMAIN}}}),
    );
    rig.stage.apply(&of(elsewhere, &restricted)).await;
    let request = refused_request(&rig, "elsewhere", "ScopeRefused").await;
    Again::Patiently.check("elsewhere", &request, "ScopeRefused");
    let said = message_of(&request, "Ready");
    assert!(
        said.contains("application credential for another project"),
        "{said}"
    );

    // A login that can more than the grant: nothing that carries its roles is issued.
    rig.stage
        .apply(&of(rig.access_key("mighty"), &mighty))
        .await;
    let request = refused_request(&rig, "mighty", "NotAllowed").await;
    Again::SomeTime.check("mighty", &request, "NotAllowed");
    let said = message_of(&request, "Ready");
    assert!(said.contains("would carry role admin"), "{said}");
    // An application credential carries what is asked for.
    rig.stage
        .apply(&of(rig.application_credential("modest"), &mighty))
        .await;
    rig.stage.ready("modest").await;
    let modest = rig.cloud.application_credentials(&admin).await;
    assert!(!modest[0].roles.contains(&"admin".to_owned()), "{modest:?}");
    rig.delete("modest").await;
    rig.gone("modest").await;
    rig.stage
        .more_secret_values
        .extend([admin.password, other.password, expired.password]);
    rig.finish().await;
}
