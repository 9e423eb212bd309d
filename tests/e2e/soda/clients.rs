//! Clients of S3 work with a pair that SODA has proven: their requests are signed, and SODA's S3 checks
//! that, and what an access key may look like, as the real one does.

use super::*;
use crate::clients::{S3, refused, run};

/// The code of SODA's S3 for an access key that is none, or that Keystone does not know.
const UNKNOWN: &str = "InvalidAccessKeyId";

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_s3_work_with_a_pair_and_no_longer_after_it_is_gone() {
    let mut rig = Rig::new("soda-clients").await;
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
        refused(secret, "aws", &["s3", "ls"], UNKNOWN).await;
        refused(secret, "python", &["-c", S3], UNKNOWN).await;
    }
    rig.finish().await;
}

/// What SODA makes itself, and what is shared, is for the same S3.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_s3_work_with_a_pair_that_soda_has_made_and_with_one_that_is_adopted() {
    let mut rig = Rig::simulated("soda-clients-else", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    rig.ready("made", json!({"issueThrough": "Soda"})).await;
    rig.ready("shared", json!({"adopt": true})).await;
    let made = rig.stage().secret("made").await;
    run(&made, "aws", &["s3", "mb", "s3://reports"])
        .await
        .unwrap();
    let shared = rig.stage().secret("shared").await;
    let listed = run(&shared, "python", &["-c", S3]).await.unwrap();
    assert_eq!(listed.trim(), "['a']");
    rig.finish().await;
}
