//! Clients of S3 work with a pair that SODA has proven. SODA's own S3 asks the same Keystone about a
//! signature as Swift does, which stands here in its place.

use testkit::openstack::Swift;

use super::*;
use crate::clients::{PAIR_REFUSED, S3, refused, run};

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_s3_work_with_a_pair_and_no_longer_after_it_is_gone() {
    let mut rig = Rig::new("soda-clients").await;
    let swift = Swift::shared();
    let mut provider = rig.provider();
    provider["spec"]["soda"]["s3"] =
        json!({"endpoint": swift.s3_endpoint(), "region": swift.region()});
    rig.stage().apply(&provider).await;
    rig.keystone.stage.start().await;
    rig.ready("s3", json!({})).await;
    let first = rig.stage().secret("s3").await;
    run(&first, "aws", &["s3", "mb", "s3://reports"])
        .await
        .unwrap();
    let listed = run(&first, "python", &["-c", S3]).await.unwrap();
    assert_eq!(listed.trim(), "['a']");

    rig.rotate("s3", "1").await;
    rig.rotated("s3", "1").await;
    let second = rig.stage().secret("s3").await;
    for secret in [&first, &second] {
        let listed = run(secret, "aws", &["s3", "ls"]).await.unwrap();
        assert!(listed.trim().ends_with("reports"), "{listed}");
    }
    rig.delete("s3").await;
    for secret in [&first, &second] {
        refused(secret, "aws", &["s3", "ls"], PAIR_REFUSED).await;
        refused(secret, "python", &["-c", S3], PAIR_REFUSED).await;
    }
    rig.finish().await;
}
