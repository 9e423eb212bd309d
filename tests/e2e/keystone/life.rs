//! The life of what Keystone issues: from the first sync to the last revocation, and what it costs.

use std::collections::BTreeMap;

use kube::{ResourceExt, api::Patch};
use serde_json::json;
use testkit::{openstack::Keystone, wait::eventually};

use super::*;
use crate::stage::status_of;

fn counts<const N: usize>(calls: [(&str, usize); N]) -> BTreeMap<String, usize> {
    calls.map(|(call, count)| (call.to_owned(), count)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_is_issued_proven_rotated_with_overlap_and_revoked() {
    let mut rig = Rig::new("ks-life").await;
    rig.stage.start().await;
    // The provider gets its own finalizer once, with the first request that needs it.
    rig.stage.apply(&rig.access_key("warm-up")).await;
    rig.stage.ready("warm-up").await;
    rig.stage.told(1, "into Secret warm-up").await;
    rig.stage.counted(&rig.name(), 1).await;

    let mark = (rig.stage.wire.mark(), rig.wire.mark());
    let mut request = rig.access_key("s3");
    request["spec"]["renewal"] = json!({"overlap": format!("{}s", OVERLAP.as_secs())});
    rig.stage.apply(&request).await;
    let ready = rig.stage.ready("s3").await;
    rig.stage.told(1, "serial 1 into Secret s3").await;
    rig.stage.counted(&rig.name(), 2).await;
    let mut writes = counts([
        ("patch credentialrequests", 1),
        ("create secrets", 1),
        ("patch credentialrequests/status", 1),
        ("create events", 1),
        // The provider counts its requests.
        ("patch clustercredentialproviders/status", 1),
    ]);
    assert_eq!(
        rig.all_changes_since(mark.0),
        writes,
        "the first sync costs three writes, and is told"
    );
    assert_eq!(
        rig.keystone_calls_since(mark.1),
        counts([
            ("POST /v3/credentials", 1),
            ("GET /v3/users/{id}/credentials/OS-EC2/{id}", 1),
        ]),
        "it is read back, and the login is shared"
    );
    let secret = rig.stage.secret("s3").await;
    let first = pair_in(&secret);
    assert!(rig.accepts(&first).await);
    assert_eq!(
        value(&secret, "AWS_ENDPOINT_URL_S3"),
        "https://s3.example.com"
    );
    assert_eq!(value(&secret, "AWS_REGION"), "RegionOne");
    let status = ready.status.as_ref().unwrap();
    assert_eq!(status.credential.as_deref(), Some("keystone.accessKey"));
    let record = &status.credentials[0];
    assert_eq!(record.owner.as_deref(), Some(rig.user.id.as_str()));

    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    let rotated = rig
        .stage
        .until("s3", "two credentials", |request| {
            request
                .status
                .as_ref()
                .is_some_and(|status| status.credentials.len() == 2)
        })
        .await;
    assert_eq!(status_of(&rotated, "Ready"), ("True", "Synced"));
    assert_eq!(status_of(&rotated, "Reconciling").0, "False");
    let second = rig.pair("s3").await;
    assert_ne!(first, second);
    assert!(
        rig.accepts(&first).await,
        "the old one works during the overlap"
    );
    assert!(rig.accepts(&second).await);
    rig.stage
        .until("s3", "one credential", |request| {
            request
                .status
                .as_ref()
                .is_some_and(|status| status.credentials.len() == 1)
        })
        .await;
    assert!(!rig.accepts(&first).await, "the old one is revoked");
    assert!(rig.accepts(&second).await);
    // That somebody's wish was fulfilled is told, too.
    rig.stage.told(1, "serial 2 into Secret s3").await;
    for (write, more) in [
        ("patch secrets", 1),
        ("patch credentialrequests/status", 2),
        ("create events", 1),
    ] {
        *writes.entry(write.to_owned()).or_default() += more;
    }
    assert_eq!(
        rig.all_changes_since(mark.0),
        writes,
        "a rotation with overlap costs three writes"
    );
    rig.was_always_good("s3").unwrap();
    assert_eq!(rig.most_alive(mark.1), 2);

    rig.delete("s3").await;
    rig.gone("s3").await;
    assert!(!rig.accepts(&second).await);
    rig.stage.gone::<Secret>("s3").await;
    rig.delete("warm-up").await;
    rig.gone("warm-up").await;
    assert_eq!(rig.pairs().await, []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_credential_is_issued_proven_rotated_and_revoked() {
    let mut rig = Rig::new("ks-app").await;
    rig.stage.start().await;
    let mut request = rig.application_credential("app");
    request["spec"]["keystone"]["applicationCredential"]["lifetime"] = json!("1h");
    request["spec"]["renewal"] = json!({"overlap": format!("{}s", OVERLAP.as_secs())});
    rig.stage.apply(&request).await;
    let ready = rig.stage.ready("app").await;
    let login = async |secret: &Secret| {
        let (id, secret) = (
            value(secret, "OS_APPLICATION_CREDENTIAL_ID"),
            value(secret, "OS_APPLICATION_CREDENTIAL_SECRET"),
        );
        Keystone::shared()
            .login_application_credential(&id, &secret)
            .await
    };
    let first = rig.stage.secret("app").await;
    let token = login(&first).await.unwrap();
    assert_eq!(token.body["project"]["id"], json!(rig.project_id));
    assert_eq!(value(&first, "OS_AUTH_TYPE"), "v3applicationcredential");
    assert_eq!(value(&first, "OS_AUTH_URL"), rig.endpoint());
    let keys: Vec<_> = first.data.as_ref().unwrap().keys().cloned().collect();
    assert!(!keys.iter().any(|key| key.contains("PROJECT")), "{keys:?}");
    let status = ready.status.as_ref().unwrap();
    let life = status
        .expires_at
        .unwrap()
        .duration_since(status.credentials[0].issued_at.unwrap());
    // Whole seconds, and not longer than asked for.
    assert!((3599..=3600).contains(&life.as_secs()), "{life}");
    let until = value(&first, "expiry");
    assert_eq!(until.len(), "2026-01-01T00:00:00Z".len(), "{until}");

    rig.stage
        .annotate("app", "credential-operator.dev/rotate", "1")
        .await;
    let changed = |secret: &Secret| {
        value(secret, "OS_APPLICATION_CREDENTIAL_ID")
            != value(&first, "OS_APPLICATION_CREDENTIAL_ID")
    };
    eventually(SOON, || async {
        anyhow::ensure!(changed(&rig.stage.secret("app").await), "the same");
        Ok(())
    })
    .await
    .unwrap();
    let second = rig.stage.secret("app").await;
    assert!(
        login(&first).await.is_ok(),
        "the old one works during the overlap"
    );
    assert!(login(&second).await.is_ok());
    eventually(SOON, || async {
        let left = rig.application_credentials().await;
        anyhow::ensure!(left.len() == 1, "{left:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert!(login(&first).await.is_err());
    rig.delete("app").await;
    rig.gone("app").await;
    assert_eq!(rig.application_credentials().await, []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_issued_proven_and_revoked_when_its_request_goes() {
    let mut rig = Rig::new("ks-token").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.token("token")).await;
    let ready = rig.stage.ready("token").await;
    assert_eq!(ready.finalizers(), [""; 0], "it expires by itself");
    let secret = rig.stage.secret("token").await;
    let token = value(&secret, "OS_TOKEN");
    assert!(rig.admin().token_lives(&token).await.unwrap());
    assert_eq!(value(&secret, "OS_PROJECT_ID"), rig.project_id);
    assert_eq!(value(&secret, "OS_AUTH_TYPE"), "v3token");
    let expiry: jiff::Timestamp = value(&secret, "expiry").parse().unwrap();
    assert_eq!(Some(expiry), ready.status.as_ref().unwrap().expires_at);

    // Only with the Secret at hand can it be revoked, and the garbage collector does not wait: unless
    // something holds the Secret, it may be faster.
    let secrets = rig.stage.api::<Secret>();
    let hold = |finalizers: Value| {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        let secrets = secrets.clone();
        async move { secrets.patch("token", &Default::default(), &patch).await }
    };
    hold(json!(["example.com/held"])).await.unwrap();
    rig.delete("token").await;
    rig.gone("token").await;
    eventually(SOON, || async {
        let lives = rig.admin().token_lives(&token).await.unwrap();
        anyhow::ensure!(!lives, "it is still alive");
        Ok(())
    })
    .await
    .unwrap();
    hold(json!(null)).await.unwrap();
    rig.stage.gone::<Secret>("token").await;
    rig.finish().await;
}
