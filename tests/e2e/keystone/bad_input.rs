//! Bad input, and what it gets: a reason from the list, the object at fault, and the way out.

use credential_operator::{
    api::{ClusterCredentialProvider, CredentialRequest},
    providers::{Identity, keystone::identity},
};
use kube::ResourceExt;
use testkit::{
    dce::DceOptions, dce::DceSimulator, openstack::Keystone, wire::Fault, wire::ResponseParts,
};

use super::*;
use crate::stage::{in_conditions, message_of, status_of};

/// Waits until a request says why it cannot be served, and returns the words.
pub async fn refused(rig: &Rig, name: &str, reason: &str) -> String {
    let request = rig
        .stage
        .until(name, reason, |request| {
            status_of(request, "Ready") == ("False", reason)
        })
        .await;
    message_of(&request, "Ready").to_owned()
}

/// Waits until a provider says why it cannot be used, and returns the words.
pub async fn provider_refused(rig: &Rig, name: &str, reason: &str) -> String {
    let api: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    let message = eventually(SOON, || async {
        let status = api.get(name).await?.status.unwrap_or_default();
        let found = in_conditions(&status.conditions, "Ready");
        anyhow::ensure!(found == ("False", reason), "{found:?}");
        let ready = status.conditions.iter().find(|one| one.type_ == "Ready");
        Ok(ready.map(|one| one.message.clone()).unwrap_or_default())
    });
    message
        .await
        .unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// What the operator would call the credential of a request.
pub fn derived(rig: &Rig, request: &CredentialRequest, serial: u64) -> Identity {
    Identity {
        uid: request.uid().unwrap(),
        serial,
        cluster: String::new(),
        namespace: rig.stage.team.clone(),
        name: request.name_any(),
    }
}

/// A further provider with a login of its own.
async fn provider_with(rig: &Rig, name: &str, method: &str, login: Value) -> String {
    let name = format!("{}-{name}", rig.stage.team);
    rig.stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name, "namespace": rig.stage.platform,
                "annotations": {"credential-operator.dev/login-for": rig.wire.url()},
            },
            "stringData": login,
        }))
        .await;
    let mut provider = rig.provider();
    provider["metadata"]["name"] = json!(name);
    let secret = json!({"secretRef": {"namespace": rig.stage.platform, "name": name}});
    provider["spec"]["keystone"]["auth"] = json!({method: secret});
    rig.stage.apply(&provider).await;
    name
}

fn of(mut request: Value, provider: &str) -> Value {
    request["spec"]["providerRef"]["name"] = json!(provider);
    request
}

fn asking(rig: &Rig, name: &str, kind: &str, fields: Value) -> Value {
    let mut credential = json!({"project": rig.project_ref()});
    for (key, value) in fields.as_object().unwrap() {
        credential[key] = value.clone();
    }
    rig.request(name, json!({kind: credential}))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_asks_for_and_cannot_have_is_told_with_the_reason() {
    let mut rig = Rig::new("ks-refused").await;
    let forbidden = format!("{}-forbidden", rig.project);
    rig.cloud.create_project(&forbidden).await;
    let mut provider = rig.provider();
    let grant = &mut provider["spec"]["allow"][0]["keystone"];
    grant["roles"] = json!(["member", "reader", "auditor"]);
    grant["users"] = json!([{"name": "*", "domainID": DOMAIN}]);
    rig.stage.apply(&provider).await;
    rig.stage.start().await;

    let typo = format!("{}-typo", rig.project);
    let named = |name: &str| json!({"project": {"name": name, "domainID": DOMAIN}});
    let rows = [
        (
            "unknown",
            asking(&rig, "unknown", "accessKey", named(&typo)),
            "ScopeRefused",
            "does not exist, is disabled",
        ),
        (
            "no-role",
            asking(&rig, "no-role", "accessKey", named(&forbidden)),
            "ScopeRefused",
            "does not exist, is disabled",
        ),
        (
            "no-role-app",
            asking(
                &rig,
                "no-role-app",
                "applicationCredential",
                named(&forbidden),
            ),
            "ScopeRefused",
            "has no role in it",
        ),
        (
            "no-role-token",
            asking(&rig, "no-role-token", "token", named(&forbidden)),
            "ScopeRefused",
            "has no role in it",
        ),
        (
            "domain",
            asking(
                &rig,
                "domain",
                "token",
                json!({"project": {"name": rig.project, "domain": "Nowhere"}}),
            ),
            "NotAllowed",
            "none of its grants",
        ),
        (
            "id",
            asking(
                &rig,
                "id",
                "token",
                json!({"project": {"id": "ffffffffffffffffffffffffffffffff"}}),
            ),
            "NotAllowed",
            "none of its grants",
        ),
        (
            "role",
            asking(
                &rig,
                "role",
                "applicationCredential",
                json!({"roles": ["admin"]}),
            ),
            "NotAllowed",
            "roles: admin is not among the roles that are allowed",
        ),
        (
            "not-held",
            asking(
                &rig,
                "not-held",
                "applicationCredential",
                json!({"roles": ["auditor"]}),
            ),
            "Forbidden",
            "does not have the role auditor",
        ),
        (
            "unrestricted",
            asking(
                &rig,
                "unrestricted",
                "applicationCredential",
                json!({"roles": ["member"], "unrestricted": true}),
            ),
            "NotAllowed",
            "unrestricted: true is not allowed",
        ),
        (
            "past",
            asking(
                &rig,
                "past",
                "applicationCredential",
                json!({"expiresAt": "2020-01-01T00:00:00Z"}),
            ),
            "InvalidSpec",
            "spec.keystone.applicationCredential.expiresAt is over",
        ),
        (
            "other-user",
            asking(
                &rig,
                "other-user",
                "accessKey",
                json!({"user": {"name": "admin", "domainID": DOMAIN}}),
            ),
            "Forbidden",
            "a login with the role admin",
        ),
        (
            "rules",
            asking(
                &rig,
                "rules",
                "applicationCredential",
                json!({"accessRules": [{"service": "no such service", "method": "GET", "path": "/v1"}]}),
            ),
            "UnexpectedAnswer",
            "its accessRules above all",
        ),
    ];
    for (_, request, _, _) in &rows {
        rig.stage.apply(request).await;
    }
    for (name, _, reason, words) in &rows {
        let said = refused(&rig, name, reason).await;
        assert!(said.contains(words), "{name}: {said}");
    }
    // Whether it exists or not is told in the same words, but for the name.
    let unknown = refused(&rig, "unknown", "ScopeRefused").await;
    let no_role = refused(&rig, "no-role", "ScopeRefused").await;
    assert_eq!(
        unknown.replace(&typo, "X"),
        no_role.replace(&forbidden, "X")
    );
    assert_eq!(rig.pairs().await, []);
    assert_eq!(rig.application_credentials().await, []);
    // No retry storm: whoever is refused is not asked about again for half an hour.
    let mark = rig.wire.mark();
    rig.stage.apply(&rig.access_key("good")).await;
    rig.stage.ready("good").await;
    let calls = rig.keystone_calls_since(mark);
    assert!(calls.values().sum::<usize>() <= 4, "{calls:?}");
    for (name, ..) in &rows {
        // Nothing was issued, so nothing keeps it.
        rig.delete(name).await;
        rig.gone(name).await;
    }
    rig.finish().await;
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
    let password =
        |user: &testkit::openstack::User| json!({"user-id": user.id, "password": user.password});
    let disabled = provider_with(&rig, "disabled", "password", password(&other)).await;
    let expired = provider_with(&rig, "expired", "password", password(&expired)).await;
    let mighty = provider_with(&rig, "mighty", "password", password(&admin)).await;
    let wrong =
        json!({"username": rig.user.name, "domain": "Default", "password": "wrong-password"});
    let wrong = provider_with(&rig, "wrong", "password", wrong).await;
    let nobody = provider_with(&rig, "nobody", "password", json!({"password": "p"})).await;

    for (provider, reason, words) in [
        (&disabled, "LoginRefused", "is disabled, or is locked"),
        (
            &expired,
            "LoginRefused",
            "has expired and has to be changed",
        ),
        (&wrong, "LoginRefused", "the password is wrong"),
        (
            &nobody,
            "LoginKeyNotFound",
            "neither key username nor key user-id",
        ),
    ] {
        let said = provider_refused(&rig, provider, reason).await;
        assert!(said.contains(words), "{provider}: {said}");
    }
    rig.stage
        .apply(&of(rig.access_key("restricted"), &restricted))
        .await;
    let said = refused(&rig, "restricted", "Forbidden").await;
    assert!(said.contains("login with a password"), "{said}");
    rig.stage
        .apply(&of(
            rig.application_credential("restricted-app"),
            &restricted,
        ))
        .await;
    let said = refused(&rig, "restricted-app", "Forbidden").await;
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
    let said = refused(&rig, "elsewhere", "ScopeRefused").await;
    assert!(
        said.contains("application credential for another project"),
        "{said}"
    );

    // A login that can more than the grant: nothing that carries its roles is issued.
    rig.stage
        .apply(&of(rig.access_key("mighty"), &mighty))
        .await;
    let said = refused(&rig, "mighty", "NotAllowed").await;
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
        .extend([admin.password, other.password]);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_keystone_is_told_from_one_that_is() {
    let mut rig = Rig::new("ks-none").await;
    let dce = DceSimulator::start(DceOptions::default());
    rig.stage.start().await;
    let mut provider = rig.provider();
    provider["metadata"]["name"] = json!(format!("{}-none", rig.stage.team));
    provider["spec"]["keystone"]["endpoint"] = json!(dce.endpoint());
    rig.write_login_values_for(&[&rig.endpoint(), &dce.endpoint()])
        .await;
    rig.stage.apply(&provider).await;
    let name = provider["metadata"]["name"].as_str().unwrap().to_owned();
    let said = provider_refused(&rig, &name, "UnexpectedAnswer").await;
    assert!(said.contains("v3 is not at this endpoint"), "{said}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_for_the_same_thing_are_served_separately() {
    let mut rig = Rig::new("ks-twins").await;
    rig.stage.start().await;
    for name in ["one", "two"] {
        rig.stage.apply(&rig.access_key(name)).await;
        rig.stage
            .apply(&rig.application_credential(&format!("{name}-app")))
            .await;
    }
    for name in ["one", "two", "one-app", "two-app"] {
        rig.stage.ready(name).await;
    }
    let (one, two) = (rig.pair("one").await, rig.pair("two").await);
    assert_ne!(one, two);
    assert_eq!(rig.pairs().await.len(), 2);
    assert_eq!(rig.application_credentials().await.len(), 2);
    for name in ["one", "one-app"] {
        rig.delete(name).await;
        rig.gone(name).await;
    }
    assert!(
        !rig.accepts(&one).await && rig.accepts(&two).await,
        "the other one is left alone"
    );
    assert_eq!(rig.application_credentials().await.len(), 1);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_keystone_that_mean_not_now_keep_what_is_published() {
    let mut rig = Rig::new("ks-answers").await;
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["renewal"] = json!({"overlap": "1s"});
    rig.stage.apply(&request).await;
    rig.stage.ready("s3").await;
    let published = rig.pair("s3").await;
    let quota = json!({"error": {
        "code": 403, "title": "Forbidden",
        "message": "Unable to create additional credentials, maximum of 1 already exceeded for user.",
    }});
    let html = |status| {
        ResponseParts::text(status, "<html>no</html>").with_header("content-type", "text/html")
    };
    for (number, (reply, reason)) in [
        (ResponseParts::json(403, &quota), "QuotaExceeded"),
        (html(502), "ProviderUnavailable"),
        (html(429).with_header("retry-after", "7"), "RateLimited"),
        (ResponseParts::json(201, &json!({})), "UnexpectedAnswer"),
        (ResponseParts::text(201, "null"), "UnexpectedAnswer"),
        (
            html(302).with_header("location", "https://evil.example.com"),
            "UnexpectedAnswer",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = rig.wire.rule(
            |call| call.method == "POST" && call.path == "/v3/credentials",
            Fault::Reply(reply),
            None,
        );
        rig.stage
            .annotate("s3", "credential-operator.dev/rotate", &number.to_string())
            .await;
        let request = rig
            .stage
            .until("s3", reason, |request| {
                status_of(request, "RenewalFailing") == ("True", reason)
            })
            .await;
        assert_eq!(status_of(&request, "Ready"), ("True", "Synced"), "{reason}");
        assert_eq!(
            rig.pair("s3").await,
            published,
            "{reason}: the last good Secret stays"
        );
        rule.remove();
    }
    assert!(rig.accepts(&published).await);
    // Somebody asks again, and it works.
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "now")
        .await;
    rig.stage
        .until("s3", "rotated", |request| {
            request.status.as_ref().unwrap().rotated.as_deref() == Some("now")
        })
        .await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_name_that_is_taken_by_somebody_else_is_skipped() {
    let mut rig = Rig::new("ks-taken").await;
    let squatter = rig
        .cloud
        .create_user(&format!("squatter-{}", rig.project))
        .await;
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["suspend"] = json!(true);
    rig.stage.apply(&request).await;
    let created = rig.stage.requests().get("s3").await.unwrap();
    let access = identity::access_key(&derived(&rig, &created, 1));
    let theirs = rig
        .admin()
        .create_credential(&squatter.id, &rig.project_id, &access, "known-to-them")
        .await
        .unwrap();
    request["spec"]["suspend"] = json!(false);
    rig.stage.apply(&request).await;
    let ready = rig.stage.ready("s3").await;
    let status = ready.status.unwrap();
    assert_eq!(status.credentials[0].serial, 2);
    let mine = rig.pair("s3").await;
    assert_ne!(mine.0, access);
    assert!(rig.accepts(&mine).await);
    rig.delete("s3").await;
    rig.gone("s3").await;
    assert_eq!(rig.pairs().await, []);
    let left = rig.admin().ec2_credentials(&squatter.id).await.unwrap();
    assert_eq!(left.len(), 1, "what is somebody else's is left alone");
    assert_eq!(left[0].id, theirs);
    rig.stage.more_secret_values.push("known-to-them".into());
    rig.finish().await;
}
