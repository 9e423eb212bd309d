//! When what is published is replaced, and what becomes of the old one.

use std::time::Duration;

use credential_operator::api::CredentialRequest;

use super::*;
use crate::stage::status_of;

fn alive(request: &CredentialRequest) -> usize {
    request
        .status
        .as_ref()
        .map_or(0, |status| status.credentials.len())
}

fn serial(request: &CredentialRequest) -> u64 {
    request.status.as_ref().map_or(0, |status| {
        status.credentials.first().map_or(0, |record| record.serial)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_leak_all_older_ones_are_revoked_at_once() {
    let mut rig = Rig::new("ks-leak").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    rig.stage.ready("s3").await;
    let first = rig.pair("s3").await;
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    rig.stage
        .until("s3", "two", |request| alive(request) == 2)
        .await;
    let second = rig.pair("s3").await;
    assert!(rig.accepts(&first).await, "the overlap is fifteen minutes");
    rig.stage
        .annotate("s3", "credential-operator.dev/revoke-retiring", "leak-1")
        .await;
    let done = rig
        .stage
        .until("s3", "one", |request| {
            alive(request) == 1 && serial(request) == 3
        })
        .await;
    assert_eq!(
        done.status.unwrap().revoked_retiring.as_deref(),
        Some("leak-1")
    );
    let third = rig.pair("s3").await;
    assert!(rig.accepts(&third).await);
    assert!(!rig.accepts(&first).await && !rig.accepts(&second).await);
    // Once: what is replaced later has its overlap again.
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "2")
        .await;
    rig.stage
        .until("s3", "two", |request| alive(request) == 2)
        .await;
    assert!(rig.accepts(&third).await);
    rig.delete("s3").await;
    rig.gone("s3").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_comes_due_during_an_overlap_waits_for_it_to_end() {
    let mut rig = Rig::new("ks-two").await;
    let start = rig.wire.mark();
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["renewal"] = json!({"overlap": "4s"});
    rig.stage.apply(&request).await;
    rig.stage.ready("s3").await;
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    rig.stage
        .until("s3", "two", |request| alive(request) == 2)
        .await;
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "2")
        .await;
    let waiting = rig
        .stage
        .until("s3", "waiting", |request| {
            crate::stage::message_of(request, "Ready").contains("its successor waits")
        })
        .await;
    assert_eq!(status_of(&waiting, "Ready"), ("True", "Synced"));
    assert_eq!(status_of(&waiting, "Reconciling").0, "False");
    assert_eq!(serial(&waiting), 2);
    rig.stage
        .until("s3", "the third alone", |request| {
            serial(request) == 3 && alive(request) == 1
        })
        .await;
    assert_eq!(rig.most_alive(start), 2);
    assert_eq!(rig.pairs().await.len(), 1);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_behind_our_back_is_noticed_and_replaced_where_that_is_wanted() {
    let mut rig = Rig::new("ks-verify").await;
    rig.stage.start().await;
    for mut request in [rig.access_key("s3"), rig.application_credential("app")] {
        request["spec"]["renewal"] = json!({"verifyEvery": "2s"});
        rig.stage.apply(&request).await;
    }
    rig.stage.apply(&rig.access_key("unwatched")).await;
    for name in ["s3", "app", "unwatched"] {
        rig.stage.ready(name).await;
    }
    let mark = rig.stage.wire.mark();
    let calls = rig.wire.mark();
    // A proof that succeeds writes nothing.
    eventually(SOON, || async {
        let proofs = rig
            .wire
            .since(calls)
            .iter()
            .filter(|call| call.path.contains("OS-EC2"))
            .count();
        anyhow::ensure!(proofs >= 2, "{proofs} proofs");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(rig.changes_since(mark), BTreeMap::new());
    let before = rig.pair("s3").await;
    for pair in rig.pairs().await {
        rig.admin().delete_credential(&pair.id).await.unwrap();
    }
    for app in rig.application_credentials().await {
        rig.admin()
            .delete_application_credential(&rig.user.id, &app.id)
            .await
            .unwrap();
    }
    for name in ["s3", "app"] {
        rig.stage
            .until(name, "replaced", |request| {
                serial(request) == 2 && status_of(request, "Ready") == ("True", "Synced")
            })
            .await;
    }
    let after = rig.pair("s3").await;
    assert_ne!(before, after);
    assert!(rig.accepts(&after).await);
    let unwatched = rig.stage.requests().get("unwatched").await.unwrap();
    assert_eq!(serial(&unwatched), 1, "nobody asked for that");
    for name in ["s3", "app", "unwatched"] {
        rig.delete(name).await;
        rig.gone(name).await;
    }
    assert_eq!(rig.pairs().await, []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotate_every_replaces_again_and_again_and_local_changes_do_not() {
    let mut rig = Rig::new("ks-every").await;
    let start = rig.wire.mark();
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["renewal"] = json!({"rotateEvery": "3s", "overlap": "1s"});
    rig.stage.apply(&request).await;
    rig.stage
        .until("s3", "the third", |request| serial(request) >= 3)
        .await;
    request["spec"]["renewal"] = json!({"rotateEvery": "720h", "overlap": "1s"});
    rig.stage.apply(&request).await;
    let rested = rig
        .stage
        .until("s3", "at rest", |request| {
            let observed = request.status.as_ref().unwrap().observed_generation;
            alive(request) == 1 && observed == request.metadata.generation
        })
        .await;
    let pair = rig.pair("s3").await;
    // The first one was told, and what comes by routine is not.
    rig.stage.told(1, "Issued: ").await;
    let events = rig.stage.wire.summary().get("create events").copied();
    assert_eq!(events, Some(1), "{:?}", rig.stage.events().await);
    // What the provider says about S3 is no reason for a new pair, but for another Secret.
    let mut provider = rig.provider();
    provider["spec"]["keystone"]["s3"] =
        json!({"endpoint": "https://other.example.com", "region": "RegionTwo"});
    rig.stage.apply(&provider).await;
    eventually(SOON, || async {
        let secret = rig.stage.secret("s3").await;
        let endpoint = value(&secret, "AWS_ENDPOINT_URL_S3");
        anyhow::ensure!(endpoint == "https://other.example.com", "{endpoint}");
        anyhow::ensure!(value(&secret, "AWS_REGION") == "RegionTwo", "the region");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(rig.pair("s3").await, pair);
    let request = rig.stage.requests().get("s3").await.unwrap();
    assert_eq!(serial(&request), serial(&rested));
    assert_eq!(rig.pairs().await.len(), 1);
    assert_eq!(rig.most_alive(start), 2);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_secret_is_made_anew_and_no_more_than_two_are_alive() {
    let mut rig = Rig::new("ks-deleted").await;
    let start = rig.wire.mark();
    rig.stage.start().await;
    rig.stage.apply(&rig.access_key("s3")).await;
    rig.stage.ready("s3").await;
    for round in 2..5 {
        rig.stage
            .api::<Secret>()
            .delete("s3", &Default::default())
            .await
            .unwrap();
        rig.stage
            .until("s3", "made anew", |request| {
                serial(request) == round && status_of(request, "Ready") == ("True", "Synced")
            })
            .await;
        let pair = rig.pair("s3").await;
        assert!(rig.accepts(&pair).await);
    }
    assert_eq!(rig.most_alive(start), 2);
    rig.delete("s3").await;
    rig.gone("s3").await;
    assert_eq!(rig.pairs().await, []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_lived_credentials_are_renewed_before_they_end_and_stop_when_the_request_says_so() {
    let mut rig = Rig::new("ks-short").await;
    rig.stage.start().await;
    let mut request = rig.application_credential("app");
    let ends = credential_operator::clock::now() + jiff::SignedDuration::from_secs(20);
    request["spec"]["keystone"]["applicationCredential"]["lifetime"] = json!("6s");
    request["spec"]["keystone"]["applicationCredential"]["expiresAt"] = json!(ends.to_string());
    request["spec"]["renewal"] = json!({"overlap": "1s"});
    rig.stage.apply(&request).await;
    rig.stage
        .until("app", "the third", |request| serial(request) >= 3)
        .await;
    let over = rig
        .stage
        .within(Duration::from_secs(40), "app", "over", |request| {
            status_of(request, "Ready") == ("False", "InvalidSpec")
        })
        .await;
    let said = crate::stage::message_of(&over, "Ready").to_owned();
    assert!(
        said.contains("applicationCredential.expiresAt is over"),
        "{said}"
    );
    rig.delete("app").await;
    rig.gone("app").await;
    assert_eq!(rig.application_credentials().await, []);
    rig.finish().await;
}
