//! Logging in: how often, what a refused login means, and what a dead session does not prove.

mod gateway;

use credential_operator::{
    api::{ClusterCredentialProvider, provider::LoginRecord},
    clock,
    providers::http::TOTAL,
};
use futures::future::join_all;
use kube::api::{DeleteParams, Patch, PatchParams};
use testkit::wire::{Call, Fault, ResponseParts};

use super::*;
use crate::stage::{in_conditions, status_of};

fn logins(calls: &[Call]) -> usize {
    calls
        .iter()
        .filter(|call| call.method == "POST" && call.path == "/v3/auth/tokens")
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_one_try_and_a_corrected_one_is_picked_up_at_once() {
    let mut rig = Rig::new("ks-password").await;
    let values = json!({"username": rig.user.name, "password": "wrong-password"});
    rig.write_login_values(values).await;
    for number in 0..20 {
        rig.stage
            .apply(&rig.access_key(&format!("r-{number:02}")))
            .await;
    }
    rig.stage.start().await;
    rig.stage
        .all("LoginRefused", |request| {
            status_of(request, "Ready") == ("False", "LoginRefused")
        })
        .await;
    assert_eq!(logins(&rig.wire.calls()), 1, "for twenty requests");
    // Nor does a restart try.
    rig.stage.kill();
    rig.stage.start().await;
    let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    let refused = providers.get(&rig.name()).await.unwrap().status.unwrap();
    assert_eq!(
        in_conditions(&refused.conditions, "Ready"),
        ("False", "LoginRefused")
    );
    assert_eq!(logins(&rig.wire.calls()), 1);
    rig.write_login(&rig.user).await;
    rig.stage.all_ready().await;
    // One without a scope to see whether it works, one for the project.
    assert_eq!(logins(&rig.wire.calls()), 3);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_early_is_replaced_once_and_nothing_is_taken_for_gone() {
    let mut rig = Rig::new("ks-dead").await;
    rig.stage.start().await;
    for name in ["one", "two"] {
        rig.stage.apply(&rig.access_key(name)).await;
        rig.stage.ready(name).await;
    }
    // As Keystone does to all sessions of a user whose password was changed.
    let mark = rig.wire.mark();
    let token = token_in_use(&rig);
    rig.admin()
        .set_password(&rig.user.id, &rig.user.password)
        .await
        .unwrap();
    assert!(!rig.admin().token_lives(&token).await.unwrap());
    rig.stage
        .annotate("one", "credential-operator.dev/rotate", "1")
        .await;
    rig.stage
        .until("one", "rotated", |request| {
            request.status.as_ref().unwrap().rotated.as_deref() == Some("1")
        })
        .await;
    assert_eq!(logins(&rig.wire.since(mark)), 1);
    assert_ne!(token_in_use(&rig), token);

    // A project that is disabled kills its sessions and lets nobody log in: what is in it is not gone.
    rig.admin()
        .set_project_enabled(&rig.project_id, false)
        .await
        .unwrap();
    rig.delete("two").await;
    rig.stage
        .until("two", "waiting", |request| {
            status_of(request, "RevocationFailing").0 == "True"
        })
        .await;
    assert_eq!(
        rig.pairs().await.len(),
        3,
        "two of one in its overlap, and this one"
    );
    rig.admin()
        .set_project_enabled(&rig.project_id, true)
        .await
        .unwrap();
    // Nothing tells of that, so it is tried again, rarely; a login Secret that changes does it at once.
    let id = json!({"user-id": rig.user.id, "password": rig.user.password});
    rig.write_login_values(id).await;
    rig.gone("two").await;
    assert_eq!(rig.pairs().await.len(), 2);
    rig.delete("one").await;
    rig.gone("one").await;
    assert_eq!(rig.pairs().await, []);
    rig.finish().await;
}

fn token_in_use(rig: &Rig) -> String {
    let calls = rig
        .wire
        .calls_where(|call| call.headers.contains_key("x-auth-token"));
    let last = calls.last().expect("a call with a session");
    last.headers["x-auth-token"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_under_a_dead_session_is_no_proof_that_something_is_gone() {
    let mut rig = Rig::new("ks-404").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    rig.stage.ready("s3").await;
    let gone = json!({"error": {"code": 404, "title": "Not Found", "message": "Could not find Application Credential: x."}});
    let everything = rig.wire.rule(
        |_| true,
        Fault::Reply(ResponseParts::json(404, &gone)),
        None,
    );
    rig.delete("s3").await;
    rig.stage
        .until("s3", "waiting", |request| {
            status_of(request, "RevocationFailing").0 == "True"
        })
        .await;
    assert_eq!(rig.pairs().await.len(), 1);
    everything.remove();
    // The provider is looked at again by itself; a changed login does it at once.
    let values = json!({"user-id": rig.user.id, "password": rig.user.password});
    rig.write_login_values(values).await;
    rig.gone("s3").await;
    assert_eq!(rig.pairs().await, []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_cut_short_is_no_proof_either() {
    let mut rig = Rig::new("ks-truncated").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.application_credential("app")).await;
    rig.stage.ready("app").await;
    let cut = rig.wire.rule(
        |call| call.method == "GET" && call.path.ends_with("/application_credentials"),
        Fault::Reply(ResponseParts::json(
            200,
            &json!({"application_credentials": [], "truncated": true, "links": {}}),
        )),
        None,
    );
    rig.delete("app").await;
    let waiting = rig
        .stage
        .until("app", "waiting", |request| {
            status_of(request, "RevocationFailing") == ("True", "UnexpectedAnswer")
        })
        .await;
    let said = crate::stage::message_of(&waiting, "Ready").to_owned();
    assert!(said.contains("list_limit"), "{said}");
    assert_eq!(rig.application_credentials().await.len(), 1);
    cut.remove();
    rig.gone("app").await;
    assert_eq!(rig.application_credentials().await, []);
    rig.finish().await;
}

/// What the provider says about its last login.
async fn last_login(rig: &Rig) -> Option<LoginRecord> {
    let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    let provider = providers.get(&rig.name()).await.unwrap();
    provider.status.and_then(|status| status.login)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_mended_at_keystone_is_found_by_the_attempt_that_has_come_due() {
    let mut rig = Rig::new("ks-mended").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    rig.stage.ready("s3").await;
    let user = rig.user.id.clone();
    rig.admin().set_user_enabled(&user, false).await.unwrap();
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    super::bad_input::provider_refused(&rig, &rig.name(), "LoginRefused").await;
    rig.stage.kill();
    rig.admin().set_user_enabled(&user, true).await.unwrap();
    // Nobody touches the Secret. Half an hour is long, so it has passed while nobody was there.
    let mut login = last_login(&rig).await.unwrap();
    login.time -= jiff::SignedDuration::from_mins(46);
    let patch = json!({"status": {"login": login}});
    Api::<ClusterCredentialProvider>::all(rig.stage.client.clone())
        .patch_status(&rig.name(), &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let mark = rig.wire.mark();
    rig.stage.start().await;
    rig.stage
        .until("s3", "rotated", |request| {
            request.status.as_ref().unwrap().rotated.as_deref() == Some("1")
        })
        .await;
    // One to see whether it works, one for the project.
    assert_eq!(logins(&rig.wire.since(mark)), 2);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_changes_hands_says_what_it_cannot_revoke() {
    let mut rig = Rig::new("ks-hands").await;
    let successor = rig
        .cloud
        .create_user(&format!("next-{}", rig.project))
        .await;
    rig.cloud
        .assign_role(&successor, &rig.project_id, "member")
        .await;
    rig.stage.start().await;
    for request in [rig.access_key("s3"), rig.application_credential("app")] {
        rig.stage.apply(&request).await;
    }
    for name in ["s3", "app"] {
        rig.stage.ready(name).await;
    }
    let before = last_login(&rig).await;
    rig.write_login(&successor).await;
    eventually(SOON, || async {
        anyhow::ensure!(last_login(&rig).await != before, "it has not logged in");
        Ok(())
    })
    .await
    .unwrap();
    for name in ["s3", "app"] {
        rig.delete(name).await;
        let waiting = rig
            .stage
            .until(name, "Forbidden", |request| {
                status_of(request, "RevocationFailing") == ("True", "Forbidden")
            })
            .await;
        let said = crate::stage::message_of(&waiting, "Ready").to_owned();
        assert!(said.contains(&rig.user.id), "{said}");
        assert!(
            said.contains("use a login of that user, or one with the role admin"),
            "{said}"
        );
    }
    assert_eq!(
        (
            rig.pairs().await.len(),
            rig.application_credentials().await.len()
        ),
        (1, 1)
    );
    rig.write_login(&rig.user).await;
    for name in ["s3", "app"] {
        rig.gone(name).await;
    }
    assert_eq!(rig.pairs().await, []);
    assert_eq!(rig.application_credentials().await, []);
    rig.stage.more_secret_values.push(successor.password);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_s_login_makes_pairs_for_users_whom_a_grant_names() {
    let mut rig = Rig::new("ks-for-others").await;
    let admin = rig
        .cloud
        .create_user(&format!("admin-{}", rig.project))
        .await;
    rig.cloud
        .assign_role(&admin, &rig.project_id, "admin")
        .await;
    let other = rig
        .cloud
        .create_user(&format!("other-{}", rig.project))
        .await;
    rig.cloud
        .assign_role(&other, &rig.project_id, "reader")
        .await;
    let outsider = rig
        .cloud
        .create_user(&format!("outsider-{}", rig.project))
        .await;
    rig.write_login(&admin).await;
    let mut provider = rig.provider();
    provider["spec"]["allow"][0]["keystone"]["users"] = json!([
        {"name": format!("other-{}", rig.project), "domainID": DOMAIN},
        {"name": format!("outsider-{}", rig.project), "domainID": DOMAIN},
    ]);
    rig.stage.apply(&provider).await;
    rig.stage.start().await;
    let ask = |name: &str, user: Value| {
        let pair = json!({"project": rig.project_ref(), "user": user});
        rig.request(name, json!({"accessKey": pair}))
    };
    rig.stage
        .apply(&ask(
            "theirs",
            json!({"name": other.name, "domain": "Default"}),
        ))
        .await;
    rig.stage.ready("theirs").await;
    let pair = rig.pair("theirs").await;
    assert!(rig.accepts(&pair).await);
    let theirs = rig.admin().ec2_credentials(&other.id).await.unwrap();
    assert_eq!(theirs.len(), 1);
    // Not those whom no grant names, nor those who do not exist or have no role: the same words.
    let mut words = Vec::new();
    for (name, user) in [
        ("ungranted", json!({"id": rig.user.id})),
        (
            "nobody",
            json!({"name": "nobody-at-all", "domainID": DOMAIN}),
        ),
        ("no-role", json!({"id": outsider.id})),
    ] {
        rig.stage.apply(&ask(name, user)).await;
        words.push(super::bad_input::refused(&rig, name, "NotAllowed").await);
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    rig.stage
        .annotate("theirs", "credential-operator.dev/revoke-retiring", "1")
        .await;
    rig.stage
        .until("theirs", "replaced", |request| {
            let status = request.status.as_ref().unwrap();
            status.revoked_retiring.as_deref() == Some("1") && status.credentials.len() == 1
        })
        .await;
    assert!(!rig.accepts(&pair).await);
    rig.delete("theirs").await;
    rig.gone("theirs").await;
    assert_eq!(rig.admin().ec2_credentials(&other.id).await.unwrap(), []);
    rig.stage
        .more_secret_values
        .extend([admin.password, other.password]);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keystone_with_a_certificate_of_its_own_is_trusted_by_what_the_provider_names() {
    let keystone = testkit::openstack::Keystone::start(testkit::openstack::Options {
        tls: true,
        ..Default::default()
    })
    .unwrap();
    let stage = crate::stage::Stage::new("ks-tls").await;
    let mut rig = Rig::on(
        stage,
        (
            cloud::Cloud::Real(keystone.admin().clone()),
            "http://127.0.0.1:9".to_owned(),
        ),
    )
    .await;
    let ca = keystone.ca_pem().unwrap().to_owned();
    let login = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "keystone-login", "namespace": rig.stage.platform,
            "annotations": {"credential-operator.dev/login-for": keystone.url()},
        },
        "stringData": {"username": rig.user.name, "password": rig.user.password},
    });
    rig.stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "ca", "namespace": rig.stage.platform},
            "stringData": {"ca.crt": ca},
        }))
        .await;
    let mut provider = rig.provider();
    let name = format!("{}-tls", rig.stage.team);
    provider["metadata"]["name"] = json!(name);
    let spec = &mut provider["spec"]["keystone"];
    // Without its version: it is the same.
    spec["endpoint"] = json!(keystone.url());
    spec.as_object_mut().unwrap().remove("allowHTTP");
    rig.stage.apply(&login).await;
    rig.stage.apply(&provider).await;
    rig.stage.start().await;
    super::bad_input::provider_refused(&rig, &name, "TLSFailed").await;
    provider["spec"]["keystone"]["tls"] =
        json!({"caBundleSecretRef": {"namespace": rig.stage.platform, "name": "ca"}});
    rig.stage.apply(&provider).await;
    let mut request = rig.application_credential("app");
    request["spec"]["providerRef"]["name"] = json!(name);
    rig.stage.apply(&request).await;
    rig.stage.ready("app").await;
    let secret = rig.stage.secret("app").await;
    assert_eq!(
        value(&secret, "ca.crt"),
        ca,
        "clients have to trust it, too"
    );
    assert_eq!(
        value(&secret, "OS_AUTH_URL"),
        format!("{}/v3", keystone.url())
    );
    rig.delete("app").await;
    rig.gone("app").await;
    let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    providers
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keystone_that_is_slow_or_silent_keeps_nobody_else_waiting() {
    let mut rig = Rig::new("ks-slow").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("before")).await;
    rig.stage.ready("before").await;
    let slow = rig.wire.rule(
        |call| call.path == "/v3/credentials",
        Fault::HoldBefore,
        None,
    );
    let names: Vec<_> = (0..40).map(|number| format!("slow-{number:02}")).collect();
    let requests: Vec<_> = names.iter().map(|name| rig.access_key(name)).collect();
    join_all(requests.iter().map(|request| rig.stage.apply(request))).await;
    slow.hit(SOON).await.unwrap();
    // Another provider's requests go on, and not for the reason that these were given up.
    let began = clock::monotonic();
    rig.stage.apply(&rig.stage.request("dce")).await;
    rig.stage.ready("dce").await;
    let took = began.elapsed();
    assert!(took < TOTAL, "{took:?}");
    slow.remove();
    rig.finish().await;
}
