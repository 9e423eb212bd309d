//! What people change is picked up at once, not when something is due anyway, whichever object they
//! change, and takes nothing away that still works.

use std::time::Duration;

use anyhow::ensure;
use credential_operator::api::CredentialRequest;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use testkit::wait::eventually;

use crate::stage::{SOON, Stage, message_of, status_of, value};

/// The time in which a change has to be picked up: well before what failed and needs people is tried again
/// by itself, after half a minute. Mostly it takes milliseconds; a slow machine may take longer.
const PROMPTLY: Duration = Duration::from_secs(10);

const ROTATE: &str = "credential-operator.dev/rotate";

fn is(reason: &'static str) -> impl Fn(&CredentialRequest) -> bool {
    move |request| {
        status_of(request, "Ready") == ("False", reason)
            && status_of(request, "Stalled") == ("True", reason)
    }
}

fn is_synced(request: &CredentialRequest) -> bool {
    status_of(request, "Ready") == ("True", "Synced")
        && request
            .status
            .as_ref()
            .is_some_and(|status| status.observed_generation == request.metadata.generation)
}

fn serial(request: &CredentialRequest) -> u64 {
    let status = request.status.as_ref();
    status
        .and_then(|status| status.credentials.first())
        .map_or(0, |record| record.serial)
}

/// A stage with one synced request, `api`.
async fn synced(name: &str) -> Stage {
    let mut stage = Stage::new(name).await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_obeyed_as_soon_as_it_is_withdrawn_narrowed_or_given() {
    let stage = synced("grants").await;
    let (secret, asked) = (stage.secret("api").await, stage.dce.token_requests());
    let granted = stage.provider();
    let mut nobody = granted.clone();
    nobody["spec"]["allow"][0]["namespaces"] =
        json!({"matchLabels": {"kubernetes.io/metadata.name": "nobody"}});
    let mut shorter = granted.clone();
    shorter["spec"]["allow"][0]["dce"]["maxCycle"] = json!(1);

    for (provider, words) in [
        (&nobody, "none of its grants"),
        (&shorter, "may be at most 1 day"),
    ] {
        stage.apply(provider).await;
        let refused = stage
            .within(PROMPTLY, "api", "NotAllowed", is("NotAllowed"))
            .await;
        assert!(
            message_of(&refused, "Ready").contains(words),
            "{}",
            message_of(&refused, "Ready")
        );
        assert_eq!(status_of(&refused, "Reconciling").0, "False");
        assert_eq!(
            stage.secret("api").await,
            secret,
            "what was published stays"
        );
        assert!(stage.dce.is_live(&value(&secret, "token")));
        stage.apply(&granted).await;
        stage.within(PROMPTLY, "api", "Synced", is_synced).await;
    }
    assert_eq!(stage.secret("api").await, secret);
    assert_eq!(
        stage.dce.token_requests(),
        asked,
        "a grant is no reason for a new token or a new login"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_budget_helps_those_who_wait_for_the_smaller_one() {
    let mut stage = Stage::new("larger-budget").await;
    let mut provider = stage.provider();
    provider["spec"]["budget"] = json!({"requestsPerSecond": 1});
    stage.apply(&provider).await;
    stage.apply_crowd(40).await;
    stage.start().await;
    let one = eventually(SOON, async || {
        ensure!(stage.dce.token_requests() > 1, "no request was served");
        Ok(())
    });
    one.await.unwrap();
    provider["spec"]["budget"] = json!({"requestsPerSecond": 1000});
    let before = stage.dce.token_requests();
    stage.apply(&provider).await;
    // At one call a second, and two calls for each request, this would be five more.
    let more = eventually(PROMPTLY, async || {
        let now = stage.dce.token_requests();
        ensure!(now >= before + 15, "{before} and now {now} token requests");
        Ok(())
    });
    more.await.unwrap();
    stage.all_ready().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_secret_that_goes_and_comes_is_told_on_the_provider() {
    let stage = synced("login-secret").await;
    let (secret, request) = (
        stage.secret("api").await,
        stage.requests().get("api").await.unwrap(),
    );
    let platform: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.platform);
    platform
        .delete("login", &DeleteParams::default())
        .await
        .unwrap();
    let provider = stage
        .provider_says(PROMPTLY, "Ready", ("False", "LoginSecretNotFound"))
        .await;
    let words = format!("{}/login", stage.platform);
    assert!(
        provider
            .status
            .unwrap()
            .conditions
            .iter()
            .any(|condition| condition.message.contains(&words))
    );
    stage.apply(&stage.request("late")).await;
    stage
        .within(
            PROMPTLY,
            "late",
            "LoginSecretNotFound",
            is("LoginSecretNotFound"),
        )
        .await;

    stage.write_login(&stage.login).await;
    stage
        .provider_says(PROMPTLY, "Ready", ("True", "LoginWorks"))
        .await;
    stage.within(PROMPTLY, "late", "Synced", is_synced).await;

    // Consent belongs to the Secret, and can be taken back there.
    let patch = json!({"metadata": {"annotations": {"credential-operator.dev/login-for": null}}});
    platform
        .patch("login", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    stage
        .provider_says(PROMPTLY, "Ready", ("False", "NoConsent"))
        .await;
    stage.write_login(&stage.login).await;
    stage
        .provider_says(PROMPTLY, "Ready", ("True", "LoginWorks"))
        .await;

    assert_eq!(stage.secret("api").await, secret);
    let after = stage.requests().get("api").await.unwrap();
    assert_eq!(
        after.resource_version(),
        request.resource_version(),
        "what is published is not concerned"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_asks_for_something_else_gets_a_new_token() {
    let stage = synced("other-ask").await;
    let old = stage.token("api").await;
    stage
        .change("api", json!({"spec": {"dce": {"token": {"cycle": 7}}}}))
        .await;
    let changed = stage
        .within(PROMPTLY, "api", "serial 2", |request| {
            is_synced(request) && serial(request) == 2
        })
        .await;
    let issued = stage.dce.issued().pop().unwrap();
    assert_eq!(issued.cycle_asked, Some(7));
    assert_eq!(stage.token("api").await, issued.token);
    assert!(
        stage.dce.is_live(&old),
        "a token is left to expire: who has read it can go on using it"
    );

    // When it is renewed is no matter of the provider.
    let due = |request: &CredentialRequest| {
        request
            .status
            .as_ref()
            .and_then(|status| status.next_action_time)
    };
    let asked = stage.dce.token_requests();
    stage
        .change("api", json!({"spec": {"renewal": {"renewBefore": "1h"}}}))
        .await;
    let later = stage
        .within(PROMPTLY, "api", "another time", |request| {
            is_synced(request) && due(request) != due(&changed)
        })
        .await;
    let before = later
        .status
        .as_ref()
        .unwrap()
        .expires_at
        .unwrap()
        .duration_since(due(&later).unwrap());
    assert_eq!(before.as_secs(), 3600);
    assert_eq!(stage.dce.token_requests(), asked);

    // Another Secret would leave one behind that workloads go on using and nobody renews.
    let patch = json!({"spec": {"secret": {"name": "other"}}});
    let refused = stage
        .requests()
        .patch("api", &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    let words = refused.expect_err("refused").to_string();
    assert!(
        words.contains("spec.secret.name cannot be changed"),
        "{words}"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_annotation_rotate_brings_one_new_token_for_each_new_value() {
    let stage = synced("rotate").await;
    let asked = stage.dce.token_requests();
    for (serial_now, word) in [(2, "leak-1"), (3, "leak-2")] {
        // As after a leak: the old one was made worthless at the provider.
        let old = stage.token("api").await;
        stage.dce.revoke(&old);
        stage.annotate("api", ROTATE, word).await;
        let rotated = stage
            .within(PROMPTLY, "api", "rotated", |request| {
                is_synced(request) && serial(request) == serial_now
            })
            .await;
        assert_eq!(
            rotated.status.as_ref().unwrap().rotated.as_deref(),
            Some(word)
        );
        let new = stage.token("api").await;
        assert!(new != old && stage.dce.is_live(&new));
    }
    stage.annotate("api", ROTATE, "leak-2").await;
    stage.annotate("api", "somebody", "was here").await;
    let events = eventually(SOON, async || {
        let events = stage.events().await;
        let rotations = events
            .iter()
            .filter(|event| event.starts_with("Rotated: "))
            .count();
        ensure!(rotations >= 1, "{events:?}");
        Ok(events)
    });
    let events = events.await.unwrap();
    assert!(
        events.iter().any(|event| event.contains("into Secret api")),
        "{events:?}"
    );
    // A pass over another request, which begins later, has ended: so has that over this one.
    stage.apply(&stage.request("other")).await;
    stage.ready("other").await;
    assert_eq!(stage.dce.token_requests(), asked + 2 + 1);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_request_is_left_alone_until_it_is_resumed() {
    let stage = synced("suspend").await;
    let asked = stage.dce.token_requests();
    stage
        .change("api", json!({"spec": {"suspend": true}}))
        .await;
    let suspended =
        |request: &CredentialRequest| status_of(request, "Ready") == ("True", "Suspended");
    let request = stage.within(PROMPTLY, "api", "Suspended", suspended).await;
    for condition in ["Reconciling", "Stalled", "RenewalFailing"] {
        assert_eq!(status_of(&request, condition).0, "False", "{condition}");
    }
    stage
        .change("api", json!({"spec": {"dce": {"token": {"cycle": 9}}}}))
        .await;
    stage.annotate("api", ROTATE, "while-suspended").await;
    stage
        .api::<Secret>()
        .delete("api", &DeleteParams::default())
        .await
        .unwrap();
    stage.apply(&stage.request("other")).await;
    stage.ready("other").await;
    assert_eq!(
        stage.dce.token_requests(),
        asked + 1,
        "only the other one has asked"
    );
    assert_eq!(stage.api::<Secret>().get_opt("api").await.unwrap(), None);

    stage
        .change("api", json!({"spec": {"suspend": false}}))
        .await;
    stage.within(PROMPTLY, "api", "Synced", is_synced).await;
    assert_eq!(
        stage.dce.token_requests(),
        asked + 2,
        "one token for all that was asked meanwhile"
    );
    assert_eq!(stage.dce.issued().pop().unwrap().cycle_asked, Some(9));
    assert!(stage.dce.is_live(&stage.token("api").await));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_follows_the_labels_of_namespaces() {
    let mut stage = Stage::new("labels").await;
    let mut provider = stage.provider();
    provider["spec"]["allow"][0]["namespaces"] = json!({"matchLabels": {"tier": "gold"}});
    stage.apply(&provider).await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.until("api", "NotAllowed", is("NotAllowed")).await;

    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let label = async |tier: Value| {
        let patch = json!({"metadata": {"labels": {"tier": tier}}});
        namespaces
            .patch(&stage.team, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    };
    label(json!("gold")).await;
    stage.within(PROMPTLY, "api", "Synced", is_synced).await;
    let secret = stage.secret("api").await;
    for tier in [json!("silver"), json!(null)] {
        label(tier).await;
        stage
            .within(PROMPTLY, "api", "NotAllowed", is("NotAllowed"))
            .await;
        assert_eq!(
            stage.secret("api").await,
            secret,
            "what was published stays"
        );
        label(json!("gold")).await;
        stage.within(PROMPTLY, "api", "Synced", is_synced).await;
    }
    assert_eq!(
        stage.dce.token_requests(),
        2,
        "the test of the login, and the one token"
    );
    stage.finish().await;
}
