//! What people run works with nothing but a Secret as its environment.

use testkit::openstack::{Keystone, Options, Swift};

use super::*;
use crate::clients::{PAIR_REFUSED, S3, refused, run};

/// What Keystone says of an application credential that it does not know.
const APPLICATION_REFUSED: &str = "Could not find Application Credential";

/// A rig whose provider names the S3 endpoint of Swift.
async fn with_swift(name: &str) -> Rig {
    let rig = Rig::new(name).await;
    let mut provider = rig.provider();
    let swift = Swift::shared();
    provider["spec"]["keystone"]["s3"] =
        json!({"endpoint": swift.s3_endpoint(), "region": swift.region()});
    rig.stage.apply(&provider).await;
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_s3_work_with_an_access_key_and_no_longer_after_it_is_gone() {
    let mut rig = with_swift("ks-clients-s3").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    rig.stage.ready("s3").await;
    let first = rig.stage.secret("s3").await;
    run(&first, "aws", &["s3", "mb", "s3://reports"])
        .await
        .unwrap();
    let listed = run(&first, "aws", &["s3", "ls"]).await.unwrap();
    assert!(listed.trim().ends_with("reports"), "{listed}");
    let listed = run(&first, "python", &["-c", S3]).await.unwrap();
    assert_eq!(listed.trim(), "['a']");

    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    let rotated = rig
        .stage
        .until("s3", "rotated", |request| {
            request.status.as_ref().unwrap().rotated.as_deref() == Some("1")
        })
        .await;
    assert_eq!(rotated.status.unwrap().credentials.len(), 2);
    let second = rig.stage.secret("s3").await;
    for secret in [&first, &second] {
        run(secret, "aws", &["s3", "ls", "s3://reports"])
            .await
            .unwrap();
    }
    rig.delete("s3").await;
    rig.gone("s3").await;
    for secret in [&first, &second] {
        refused(secret, "aws", &["s3", "ls"], PAIR_REFUSED).await;
        refused(secret, "python", &["-c", S3], PAIR_REFUSED).await;
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_openstack_work_with_an_application_credential_and_with_a_token() {
    const SDK: &str = "import openstack; \
                       print(openstack.connect(cloud='envvars').current_project_id)";
    const ISSUE: &[&str] = &["token", "issue", "-f", "value", "-c", "project_id"];
    let mut rig = Rig::new("ks-clients-os").await;
    rig.stage.start().await;
    for request in [rig.application_credential("app"), rig.token("token")] {
        rig.stage.apply(&request).await;
    }
    for name in ["app", "token"] {
        rig.stage.ready(name).await;
        let secret = rig.stage.secret(name).await;
        let project = run(&secret, "python", &["-c", SDK]).await.unwrap();
        assert_eq!(project.trim(), rig.project_id, "{name}");
    }
    let app = rig.stage.secret("app").await;
    let project = run(&app, "openstack", ISSUE).await.unwrap();
    assert_eq!(project.trim(), rig.project_id);
    // With a token there is a scope already, and nothing to issue: it is used.
    let token = rig.stage.secret("token").await;
    let catalog = ["catalog", "list", "-f", "value", "-c", "Type"];
    let types = run(&token, "openstack", &catalog).await.unwrap();
    assert!(types.contains("identity"), "{types}");

    rig.delete("app").await;
    rig.gone("app").await;
    refused(&app, "openstack", ISSUE, APPLICATION_REFUSED).await;
    refused(&app, "python", &["-c", SDK], APPLICATION_REFUSED).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_by_a_login_of_their_own_before_they_end() {
    // Long enough that a slow minute of the machine does not eat the third that is left.
    const LIFE: Duration = Duration::from_secs(30);
    let keystone = Keystone::start(Options {
        token_expiration: LIFE,
        ..Default::default()
    })
    .unwrap();
    let stage = crate::stage::Stage::new("ks-token-life").await;
    let cloud = (
        Cloud::Real(keystone.admin().clone()),
        keystone.url().to_owned(),
    );
    let mut rig = Rig::on(stage, cloud).await;
    rig.stage.start().await;
    rig.stage.apply(&rig.token("token")).await;
    let mut before = rig.stage.ready("token").await.status.unwrap();
    let mut old = value(&rig.stage.secret("token").await, "OS_TOKEN");
    for _ in 0..2 {
        let serial = before.credentials[0].serial;
        let renewed = rig
            .stage
            .within(SOON, "token", "renewed", |request| {
                request.status.as_ref().unwrap().credentials[0].serial > serial
            })
            .await
            .status
            .unwrap();
        let new = value(&rig.stage.secret("token").await, "OS_TOKEN");
        assert!(
            rig.admin().token_lives(&old).await.unwrap(),
            "it is left to expire"
        );
        assert!(rig.admin().token_lives(&new).await.unwrap());
        // A whole life, which no token has that was made of another one.
        let issued = renewed.credentials[0].issued_at.unwrap();
        let life = renewed.expires_at.unwrap().duration_since(issued);
        assert!(life.as_secs() >= 29, "{life}");
        let previous = before.credentials[0].issued_at.unwrap();
        let age = issued.duration_since(previous).as_secs_f64();
        assert!(
            (18.0..30.0).contains(&age),
            "renewed at two thirds and before its end, but after {age} s"
        );
        (before, old) = (renewed, new);
    }
    rig.delete("token").await;
    rig.gone("token").await;
    eventually(SOON, || async {
        let lives = keystone.admin().token_lives(&old).await.unwrap();
        anyhow::ensure!(!lives, "the published token is not revoked");
        Ok(())
    })
    .await
    .unwrap();
    rig.finish().await;
}
