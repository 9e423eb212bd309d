//! Renewal: whoever uses what is in the Secret is served at every moment, and what goes wrong at the
//! provider is told without taking anything away.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use credential_operator::api::{CredentialRequest, Reason};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};
use testkit::{
    dce::{CURRENT_USER, Lie, TOKEN},
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
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Consumer { stage, http }
    }

    /// One call. Returns the serial of the credential that was used.
    async fn call(&self, name: &str) -> Result<u64> {
        let secret = self.stage.secret(name).await;
        let url = format!("{}/apis/ghippo.io/v1alpha1/current-user", value(&secret, "endpoint"));
        let call = self.http.get(url).header("Authorization", value(&secret, "authorization"));
        let status = call.send().await?.status();
        ensure!(status.is_success(), "serial {} was refused: {status}", serial(&secret));
        Ok(serial(&secret))
    }
}

fn serial(secret: &Secret) -> u64 {
    secret.annotations()["credential-operator.dev/serial"].parse().expect("a number")
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
    let listed = Reason::ALL.iter().any(|known| known.as_str() == reason && *known != Reason::Nominal);
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
            && request.status.as_ref().is_some_and(|status| status.failure.is_none())
    };
    let request = stage.until(name, "recovered", well).await;
    assert!(stage.dce.is_live(&stage.token(name).await));
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn who_uses_what_is_in_the_secret_never_fails_over_twenty_renewals() {
    let mut stage = Stage::new("renewal").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(3)));
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;

    let consumer = Consumer::new(&stage);
    let mut uses: BTreeMap<u64, u64> = BTreeMap::new();
    while uses.len() <= 20 {
        // Whatever is in the Secret works: nothing is tried twice.
        let used = consumer.call("api").await.unwrap_or_else(|error| panic!("{error:#}; uses before: {uses:?}"));
        *uses.entry(used).or_default() += 1;
    }
    let serials: Vec<_> = uses.keys().copied().collect();
    assert_eq!(serials, (1..=21).collect::<Vec<_>>(), "one credential after the other");
    // The test of the login, and one for each serial; the next may be under way.
    let asked = stage.dce.token_requests();
    assert!((22..=23).contains(&asked), "{asked} token requests");
    assert_eq!(stage.metric("credential_operator_failures_total").await, None);
    stage.finish().await;
}
