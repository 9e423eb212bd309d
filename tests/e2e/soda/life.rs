//! The life of a pair that is issued at Keystone and proven by SODA, in front of a real Keystone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use testkit::soda::READ;

use super::*;
use crate::{keystone::OVERLAP, stage::value};

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_is_issued_at_keystone_proven_by_soda_rotated_and_revoked() {
    let mut rig = Rig::new("soda-life").await;
    rig.keystone.stage.start().await;
    rig.provider_says("True", "LoginWorks").await;
    // Somebody else's pair of the same user, which nothing may happen to.
    let (user, project) = (&rig.keystone.user.id, &rig.keystone.project_id);
    let other = rig.keystone.admin();
    other
        .create_credential(user, project, "AKSOMEBODYELSE", "the-secret-of-somebody")
        .await
        .unwrap();
    rig.ready("warm-up", json!({})).await;

    let (mark, read) = (
        rig.keystone.wire.mark(),
        rig.soda.server().calls_to(READ).len(),
    );
    let mut request = rig.request("s3", json!({}));
    request["spec"]["renewal"] = json!({"overlap": format!("{}s", OVERLAP.as_secs())});
    rig.stage().apply(&request).await;
    let ready = rig.stage().ready("s3").await;
    assert_eq!(
        rig.keystone.keystone_calls_since(mark),
        BTreeMap::from([("POST /v3/credentials".to_owned(), 1)]),
        "SODA alone is asked whether it works"
    );
    assert_eq!(rig.soda.server().calls_to(READ).len(), read + 1);
    let secret = rig.stage().secret("s3").await;
    assert_eq!(
        value(&secret, "AWS_ENDPOINT_URL_S3"),
        rig.soda.s3_endpoint()
    );
    assert_eq!(value(&secret, "AWS_REGION"), "us-east-1");
    let status = ready.status.as_ref().unwrap();
    assert_eq!(status.credential.as_deref(), Some("soda.accessKey"));
    assert_eq!(status.credentials[0].owner.as_ref(), Some(user));
    assert!(!ready.finalizers().is_empty(), "it has to be revoked");
    let first = rig.keystone.pair("s3").await;
    assert!(rig.keystone.accepts(&first).await);
    rig.is_taken_by_s3(&first).await;

    rig.rotate("s3", "1").await;
    let alive = |request: &CredentialRequest, count| {
        let status = request.status.as_ref();
        status.is_some_and(|status| status.credentials.len() == count)
    };
    rig.stage()
        .until("s3", "two credentials", |it| alive(it, 2))
        .await;
    let second = rig.keystone.pair("s3").await;
    assert_ne!(first, second);
    assert!(rig.keystone.accepts(&first).await, "during the overlap");
    for pair in [&first, &second] {
        rig.is_taken_by_s3(pair).await;
    }
    rig.stage()
        .until("s3", "one credential", |it| alive(it, 1))
        .await;
    assert!(!rig.keystone.accepts(&first).await, "it is revoked");
    rig.is_unknown_to_s3(&first).await;
    assert!(rig.keystone.accepts(&second).await);

    rig.delete("s3").await;
    assert!(!rig.keystone.accepts(&second).await);
    rig.stage().gone::<Secret>("s3").await;
    rig.delete("warm-up").await;
    let left: Vec<_> = rig.keystone.pairs().await;
    let left: Vec<_> = left.iter().map(|pair| pair.access.as_str()).collect();
    assert_eq!(left, ["AKSOMEBODYELSE"]);
    assert_eq!(rig.creates(), 0, "SODA makes nothing");
    rig.finish().await;
}
