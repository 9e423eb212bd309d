//! Renewal: whoever uses what is in the Secret is served at every moment, and what goes wrong at the
//! provider is told without taking anything away.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use credential_operator::api::{CredentialRequest, Reason};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};
use testkit::{
    dce::{CURRENT_USER, TOKEN},
    server::Fault,
    wait::eventually,
};

use crate::stage::{SOON, Stage, status_of, value};

/// A workload: reads the Secret afresh and calls DCE with what is in it, by the documented keys.
struct Consumer<'a> {
    stage: &'a Stage,
    http: reqwest::Client,
}

impl<'a> Consumer<'a> {
    fn new(stage: &'a Stage) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        Consumer { stage, http }
    }

    /// One call. Returns the serial of the credential that was used.
    async fn call(&self, name: &str) -> Result<u64> {
        let secret = self.stage.secret(name).await;
        let url = format!(
            "{}/apis/ghippo.io/v1alpha1/current-user",
            value(&secret, "endpoint")
        );
        let call = self
            .http
            .get(url)
            .header("Authorization", value(&secret, "authorization"));
        let status = call.send().await?.status();
        ensure!(
            status.is_success(),
            "serial {} was refused: {status}",
            serial(&secret)
        );
        Ok(serial(&secret))
    }
}

fn serial(secret: &Secret) -> u64 {
    secret.annotations()["credential-operator.dev/serial"]
        .parse()
        .expect("a number")
}

/// A request that renews so long before the expiry.
fn renewed_before(stage: &Stage, name: &str, before: &str) -> Value {
    let mut request = stage.request(name);
    request["spec"]["renewal"] = json!({"renewBefore": before});
    request
}

/// What everybody sees while renewals fail and the old credential lives.
fn fails_quietly(request: &CredentialRequest) -> bool {
    let reason = status_of(request, "RenewalFailing").1;
    let listed = Reason::ALL
        .iter()
        .any(|known| known.as_str() == reason && *known != Reason::Nominal);
    listed
        && status_of(request, "RenewalFailing").0 == "True"
        && status_of(request, "Ready") == ("True", "Synced")
        && status_of(request, "Reconciling").0 == "False"
        && status_of(request, "Stalled").0 == "False"
}

fn has_expired(request: &CredentialRequest) -> bool {
    status_of(request, "Ready") == ("False", "Expired")
}

/// Waits until a request is ready again, with nothing left of what was wrong.
async fn recovered(stage: &Stage, name: &str) -> CredentialRequest {
    let well = |request: &CredentialRequest| {
        status_of(request, "Ready") == ("True", "Synced")
            && status_of(request, "RenewalFailing") == ("False", "Nominal")
            && request
                .status
                .as_ref()
                .is_some_and(|status| status.failure.is_none())
    };
    let request = stage.until(name, "recovered", well).await;
    assert!(stage.dce.is_live(&stage.token(name).await));
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn who_uses_what_is_in_the_secret_never_fails_over_twenty_renewals() {
    let mut stage = Stage::new("renewal").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(7)));
    stage.start().await;
    stage.apply(&renewed_before(&stage, "api", "3s")).await;
    stage.ready("api").await;

    let consumer = Consumer::new(&stage);
    let uses = Mutex::new(BTreeMap::<u64, u64>::new());
    let renewed = eventually(Duration::from_secs(150), async || {
        // Whatever is in the Secret works: nothing is tried twice.
        let used = consumer
            .call("api")
            .await
            .unwrap_or_else(|error| panic!("{error:#}; before: {uses:?}"));
        let mut uses = uses.lock().expect("no panic");
        *uses.entry(used).or_default() += 1;
        ensure!(uses.len() > 20, "{} renewals", uses.len() - 1);
        Ok(())
    });
    renewed.await.unwrap();
    let serials: Vec<_> = uses.lock().expect("no panic").keys().copied().collect();
    assert_eq!(
        serials,
        (1..=21).collect::<Vec<_>>(),
        "one credential after the other"
    );
    // The test of the login, and one for each serial; the next may be under way.
    let asked = stage.dce.token_requests();
    assert!((22..=23).contains(&asked), "{asked} token requests");
    assert_eq!(
        stage.metric("credential_operator_failures_total{").await,
        None
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_before_during_and_after_a_renewal_takes_nothing_away() {
    let mut stage = Stage::new("outage").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(12)));
    stage.dce.down(true);
    stage.start().await;
    stage.apply(&renewed_before(&stage, "api", "5s")).await;
    let waiting = |request: &CredentialRequest| {
        status_of(request, "Ready") == ("False", "ProviderUnavailable")
            && status_of(request, "Reconciling") == ("True", "ProviderUnavailable")
            && status_of(request, "Stalled").0 == "False"
    };
    stage
        .until("api", "waiting for the provider", waiting)
        .await;
    stage.dce.down(false);
    recovered(&stage, "api").await;

    // Gone before the renewal is due, and still gone when the token is over.
    let first = stage.secret("api").await;
    stage.dce.down(true);
    let failing = stage.until("api", "failing quietly", fails_quietly).await;
    assert_eq!(
        status_of(&failing, "RenewalFailing").1,
        "ProviderUnavailable"
    );
    assert!(stage.dce.is_live(&value(&first, "token")));
    assert_eq!(
        stage.secret("api").await,
        first,
        "the last good Secret stays"
    );
    stage.until("api", "Expired", has_expired).await;
    assert_eq!(
        stage.secret("api").await,
        first,
        "it stays also when it is over"
    );
    stage.dce.down(false);
    recovered(&stage, "api").await;

    // Gone between the issue and the proof.
    let second = stage.secret("api").await;
    stage.dce.faults().set(CURRENT_USER, Fault::CutConnection);
    let issued = stage.dce.issued().len();
    stage.until("api", "failing quietly", fails_quietly).await;
    assert_eq!(
        stage.secret("api").await,
        second,
        "what was not proven is not published"
    );
    stage.dce.faults().clear();
    recovered(&stage, "api").await;
    let tokens: Vec<_> = stage
        .dce
        .issued()
        .into_iter()
        .skip(issued)
        .map(|issued| issued.token)
        .collect();
    assert_eq!(
        tokens,
        [stage.token("api").await],
        "the token in hand was kept until it could be proven"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_during_a_renewal_is_told_and_so_is_the_end_of_the_token() {
    let mut stage = Stage::new("hanging").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(20)));
    stage.start().await;
    stage.apply(&renewed_before(&stage, "api", "7s")).await;
    stage.ready("api").await;
    let first = stage.secret("api").await;
    stage.dce.faults().set(TOKEN, Fault::Hang);
    let failing = stage.until("api", "failing quietly", fails_quietly).await;
    assert_eq!(status_of(&failing, "RenewalFailing").1, "Timeout");

    // The next attempt hangs too. That the token is over is told all the same, and at once.
    let expired = stage.until("api", "Expired", has_expired).await;
    let late = late(&expired);
    assert!(late <= 2, "told {late} s after the end");
    assert_eq!(
        stage.secret("api").await,
        first,
        "the last good Secret stays"
    );
    stage.dce.faults().clear();
    recovered(&stage, "api").await;
    stage.finish().await;
}

/// How many seconds after the end of its token a request was told to be no longer ready.
fn late(expired: &CredentialRequest) -> i64 {
    let status = expired.status.as_ref().expect("a status");
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .expect("Ready");
    ready.last_transition_time.0.as_second() - status.expires_at.expect("an expiry").as_second()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_answers_nonsense_is_asked_again_while_the_old_token_serves() {
    let mut stage = Stage::new("nonsense").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(20)));
    stage.start().await;
    stage.apply(&renewed_before(&stage, "api", "9s")).await;
    stage.ready("api").await;
    let first = stage.secret("api").await;
    let faults = stage.dce.faults();
    for body in ["null", "{}", r#"{"token":"a.b.c"}"#] {
        faults.push_n(TOKEN, Fault::Body(body.into()), 1);
    }
    faults.push_n(TOKEN, Fault::Html(502), 1);
    faults.push_n(TOKEN, Fault::Html(200), 1);

    let consumer = Consumer::new(&stage);
    let reasons = Mutex::new(BTreeSet::new());
    let renewed = eventually(SOON, async || {
        consumer
            .call("api")
            .await
            .unwrap_or_else(|error| panic!("{error:#}"));
        let request = stage.requests().get("api").await?;
        if stage.secret("api").await != first {
            return Ok(());
        }
        let (on, reason) = status_of(&request, "RenewalFailing");
        if on == "True" {
            assert!(fails_quietly(&request), "{:?}", request.status);
            reasons.lock().expect("no panic").insert(reason.to_owned());
        }
        Err(anyhow!("not renewed: {:?}", request.status))
    });
    renewed.await.unwrap();
    let reasons: Vec<_> = reasons
        .into_inner()
        .expect("no panic")
        .into_iter()
        .collect();
    assert_eq!(reasons, ["ProviderUnavailable", "UnexpectedAnswer"]);
    assert_eq!(stage.dce.faults().pending(), 0);
    recovered(&stage, "api").await;
    let failures =
        |reason: &str| format!("credential_operator_failures_total{{reason=\"{reason}\"}}");
    assert_eq!(stage.metric(&failures("UnexpectedAnswer")).await, Some(4.0));
    assert_eq!(
        stage.metric(&failures("ProviderUnavailable")).await,
        Some(1.0)
    );
    stage.finish().await;
}
