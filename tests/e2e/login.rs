//! A wrong login belongs to the account: it is tried once, however many requests need it, and its
//! correction is picked up at once.

use std::time::Duration;

use credential_operator::api::{CredentialRequest, Reason};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::json;

use crate::stage::{SOON, Stage, in_conditions, message_of, status_of};

/// So many requests share the login.
const MANY: usize = 50;

/// A stage on which the login is refused, with many requests and no operator yet.
async fn with_a_wrong_login(name: &str) -> Stage {
    let stage = Stage::new(name).await;
    let wrong = stage.dce.add_user("operator");
    stage.dce.disable_pair(&wrong.0);
    stage.write_login(&wrong).await;
    stage.apply_crowd(MANY).await;
    stage
}

/// A new request that waits for the login to be corrected.
fn is_refused(request: &CredentialRequest) -> bool {
    status_of(request, "Ready") == ("False", "LoginRefused")
        && status_of(request, "Stalled") == ("True", "LoginRefused")
        && status_of(request, "Reconciling").0 == "False"
}

/// A request whose credential lives while the login is refused.
fn fails_quietly(request: &CredentialRequest) -> bool {
    status_of(request, "Ready") == ("True", "Synced")
        && status_of(request, "RenewalFailing") == ("True", "LoginRefused")
        && status_of(request, "Reconciling").0 == "False"
        && status_of(request, "Stalled").0 == "False"
}

async fn secret_versions(stage: &Stage) -> Vec<(String, Option<String>)> {
    let secrets: Api<Secret> = stage.api();
    let secrets = secrets
        .list(&ListParams::default())
        .await
        .expect("Secrets can be listed");
    secrets
        .iter()
        .map(|secret| (secret.name_any(), secret.resource_version()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_with_a_wrong_login_are_one_try_until_it_is_corrected() {
    let mut stage = with_a_wrong_login("wrong-login").await;
    stage.start().await;
    let refused = stage.all("LoginRefused", is_refused).await;
    assert_eq!(refused.len(), MANY);
    let words = message_of(&refused[0], "Ready");
    assert!(
        words.contains(&format!("ClusterCredentialProvider {}", stage.team)),
        "{words}"
    );
    stage
        .provider_says(SOON, "Stalled", ("True", "LoginRefused"))
        .await;
    assert_eq!(stage.dce.token_requests(), 1);

    // Neither a restart nor another request is a reason to try again.
    stage.stop().await;
    let mark = stage.wire.mark();
    stage.start().await;
    stage.apply(&stage.request("another")).await;
    stage.until("another", "LoginRefused", is_refused).await;
    assert_eq!(stage.dce.token_requests(), 1);
    let old: Vec<_> = stage
        .wire
        .since(mark)
        .into_iter()
        .filter(|call| call.is_changing() && call.path.contains("/credentialrequests/r-"))
        .collect();
    assert!(old.is_empty(), "nothing has changed for them: {old:?}");

    stage.write_login(&stage.login).await;
    assert_eq!(stage.all_ready().await.len(), MANY + 1);
    stage
        .provider_says(SOON, "Ready", ("True", "LoginWorks"))
        .await;
    let tries = u64::try_from(MANY).unwrap() + 1;
    assert_eq!(stage.dce.logins_refused(), 1);
    assert_eq!(
        stage.dce.token_requests(),
        1 + 1 + tries,
        "the two tests, and one for each"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_corrected_while_the_operator_was_away_is_picked_up_at_once() {
    let mut stage = with_a_wrong_login("corrected-away").await;
    stage.start().await;
    stage.all("LoginRefused", is_refused).await;
    stage.stop().await;
    stage.write_login(&stage.login).await;
    stage.start().await;
    stage.all_ready().await;
    assert_eq!(stage.dce.logins_refused(), 1);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_later_takes_nothing_away_and_is_not_tried_by_everybody() {
    let mut stage = Stage::new("refused-later").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(20)));
    stage.start().await;
    for number in 0..20 {
        let mut request = stage.request(&format!("r-{number:03}"));
        request["spec"]["renewal"] = json!({"renewBefore": "9s"});
        stage.apply(&request).await;
    }
    stage.all_ready().await;
    let before = secret_versions(&stage).await;
    let corrected = stage.dce.change_pair("operator");

    stage.all("failing quietly", fails_quietly).await;
    assert_eq!(
        secret_versions(&stage).await,
        before,
        "what is published stays"
    );
    let provider = stage
        .provider_says(SOON, "Ready", ("False", "LoginRefused"))
        .await;
    let known = provider.status.unwrap_or_default();
    assert_eq!(
        known.login.map(|login| login.reason),
        Some(Reason::LoginRefused)
    );
    assert_eq!(in_conditions(&known.conditions, "Stalled").0, "True");
    // All were due within a second. Only what was under way when the first was refused was refused
    // too: at most as many as the budget's concurrency, 8.
    let refused = stage.dce.logins_refused();
    assert!((1..=8).contains(&refused), "{refused} tries");

    stage.write_login(&corrected).await;
    let renewed = stage
        .all("renewed", |request| {
            let serial = request
                .status
                .as_ref()
                .and_then(|status| status.credentials.first());
            serial.is_some_and(|record| record.serial > 1)
                && status_of(request, "Ready") == ("True", "Synced")
                && status_of(request, "RenewalFailing").0 == "False"
        })
        .await;
    assert_eq!(renewed.len(), 20);
    assert_eq!(stage.dce.logins_refused(), refused);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_while_the_login_is_refused_is_told_when_it_ends() {
    let mut stage = Stage::new("refused-end").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(6)));
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let secret = stage.secret("api").await;
    let corrected = stage.dce.change_pair("operator");
    stage.until("api", "failing quietly", fails_quietly).await;
    // The next try of the login is half an hour away; the end of the token is not.
    let expired = stage
        .until("api", "Expired", |request| {
            status_of(request, "Ready") == ("False", "Expired")
        })
        .await;
    assert!(message_of(&expired, "Ready").contains("LoginRefused"));
    assert_eq!(status_of(&expired, "Stalled"), ("True", "LoginRefused"));
    assert_eq!(
        stage.secret("api").await,
        secret,
        "the last good Secret stays"
    );
    assert_eq!(stage.dce.logins_refused(), 1);
    stage.write_login(&corrected).await;
    stage.ready("api").await;
    stage.finish().await;
}
