//! The first sync: what it brings about, and what it costs.

use std::collections::BTreeMap;

use kube::ResourceExt;

use testkit::wire::summarize;

use crate::stage::{Stage, status_of, value};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_a_secret_with_a_proven_token() {
    let mut stage = Stage::new("first-sync").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    let request = stage.ready("api").await;

    let secret = stage.secret("api").await;
    let token = value(&secret, "token");
    assert!(stage.dce.is_live(&token));
    assert_eq!(value(&secret, "authorization"), format!("Bearer {token}"));
    assert_eq!(value(&secret, "endpoint"), stage.dce.endpoint());
    assert_eq!(stage.dce.uses(&token), 1, "it was proven once");

    let status = request.status.as_ref().unwrap();
    assert_eq!(
        value(&secret, "expiry"),
        status.expires_at.unwrap().to_string()
    );
    assert_eq!(status.credential.as_deref(), Some("dce.token"));
    assert_eq!(status.observed_generation, request.metadata.generation);
    for (condition, expected) in [
        ("Reconciling", "False"),
        ("Stalled", "False"),
        ("RenewalFailing", "False"),
    ] {
        assert_eq!(status_of(&request, condition).0, expected, "{condition}");
    }
    let owner = &secret.owner_references()[0];
    assert_eq!(
        (owner.controller, &owner.uid),
        (Some(true), &request.uid().unwrap())
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_costs_two_writes_and_no_read() {
    let mut stage = Stage::new("first-cost").await;
    stage.start().await;
    stage.apply(&stage.request("warm-up")).await;
    stage.ready("warm-up").await;
    stage.told(1, "into Secret warm-up").await;
    let mark = stage.wire.mark();
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    stage.told(1, "into Secret api").await;
    // A provider's own status follows the number of its requests now and then.
    let mut calls = summarize(&stage.wire.since(mark));
    calls.remove("patch clustercredentialproviders/status");
    let expected = BTreeMap::from(
        [
            ("create secrets", 1),
            ("patch credentialrequests/status", 1),
            ("create events", 1),
        ]
        .map(|(call, count)| (call.to_owned(), count)),
    );
    assert_eq!(calls, expected);
    stage.finish().await;
}
