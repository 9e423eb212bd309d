//! Answers that are odd and good enough.

use std::time::Duration;

use testkit::dce::{CURRENT_USER, Lie};

use crate::stage::{Stage, message_of, status_of, value};

const DAY: i64 = 86_400;

fn life(request: &credential_operator::api::CredentialRequest) -> i64 {
    let status = request.status.as_ref().expect("a status");
    let issued = status
        .credentials
        .first()
        .expect("a credential")
        .issued_at
        .unwrap();
    status
        .expires_at
        .expect("an expiry")
        .duration_since(issued)
        .as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_states_no_expiry_lives_as_long_as_was_asked_for() {
    let mut stage = Stage::new("no-exp").await;
    stage.dce.lie(Lie::ExpMissing);
    stage.start().await;
    let mut request = stage.request("week");
    request["spec"]["dce"]["token"]["cycle"] = 7.into();
    stage.apply(&request).await;
    stage.apply(&stage.request("usual")).await;
    assert_eq!(life(&stage.ready("week").await), 7 * DAY);
    assert_eq!(life(&stage.ready("usual").await), 3 * DAY);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_of_the_provider_that_is_ahead_does_not_delay_the_renewal() {
    let mut stage = Stage::new("iat-ahead").await;
    stage.dce.lie(Lie::IatInFuture(Duration::from_secs(3600)));
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    assert_eq!(life(&stage.ready("api").await), 3 * DAY, "not an hour more");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_test_that_is_not_there_is_no_hindrance_and_no_secret() {
    let mut stage = Stage::new("no-self-test").await;
    stage.dce.lie(Lie::SelfTestMissing);
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    let request = stage
        .until("api", "SyncedUnverified", |request| {
            status_of(request, "Ready") == ("True", "SyncedUnverified")
        })
        .await;
    let words = message_of(&request, "Ready");
    assert!(
        words.contains("the provider has no way to prove that it works"),
        "{words}"
    );
    let secret = stage.secret("api").await;
    assert!(stage.dce.is_live(&value(&secret, "token")));
    let marks = secret.metadata.annotations.expect("annotations");
    assert_eq!(
        marks
            .get("credential-operator.dev/unverified")
            .map(String::as_str),
        Some("true")
    );
    assert_eq!(
        stage.dce.server().calls_to(CURRENT_USER).len(),
        1,
        "it was tried once"
    );

    // With the next credential it is tried anew.
    stage.dce.stop_lying();
    stage
        .annotate("api", "credential-operator.dev/rotate", "1")
        .await;
    stage.ready("api").await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_token_it_is_stands_in_the_status() {
    let mut stage = Stage::new("other-user").await;
    stage.dce.lie(Lie::OtherUser);
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    // Nobody but the provider knows whose pair it is, so a token of another user cannot be told
    // from a right one. It is not hidden either.
    let request = stage.ready("api").await;
    let owner = request.status.and_then(|status| {
        status
            .credentials
            .first()
            .and_then(|record| record.owner.clone())
    });
    assert_eq!(owner.as_deref(), Some("somebody-else"));
    let secret = stage.secret("api").await;
    let marks = secret.metadata.annotations.expect("annotations");
    assert_eq!(
        marks
            .get("credential-operator.dev/owner")
            .map(String::as_str),
        Some("somebody-else")
    );
    stage.finish().await;
}
