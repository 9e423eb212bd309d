//! What the operator costs the API server and the provider, from the wire and from the audit log.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::ensure;
use credential_operator::api::CredentialRequest;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use testkit::{
    control_plane::AuditEvent,
    dce::{CURRENT_USER, TOKEN},
    server::Fault,
    wait::eventually,
    wire::{Call, summarize},
};

use crate::stage::{SOON, Stage, control_plane, create, status_of};

fn serial(request: &CredentialRequest) -> u64 {
    let status = request.status.as_ref();
    status
        .and_then(|status| status.credentials.first())
        .map_or(0, |record| record.serial)
}

async fn renewed(stage: &Stage, name: &str, at_least: u64) -> CredentialRequest {
    stage
        .until(name, "renewed", |request| serial(request) >= at_least)
        .await
}

/// Waits until the provider's status counts so many requests, which may take some seconds, and
/// until so many events were sent: neither belongs to what follows.
async fn settled(stage: &Stage, requests: usize) {
    let settled = eventually(SOON, || async {
        let status = stage.live_provider().await.status.unwrap_or_default();
        ensure!(
            status.requests == i64::try_from(requests).ok(),
            "{:?} requests",
            status.requests
        );
        let events = stage.events().await.len();
        ensure!(events >= requests, "{events} events");
        Ok(())
    });
    settled.await.expect("the first sync comes to an end");
}

fn counts(calls: &[(&str, usize)]) -> BTreeMap<String, usize> {
    calls
        .iter()
        .map(|(call, times)| ((*call).to_owned(), *times))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_costs_two_writes_and_no_read_and_what_rests_costs_nothing() {
    let mut stage = Stage::new("renewal-cost").await;
    stage.start().await;
    stage.apply_crowd(20).await;
    stage.all_ready().await;
    stage.dce.grant_at_most(Some(Duration::from_secs(4)));
    stage.apply(&stage.request("short")).await;
    stage.ready("short").await;
    settled(&stage, 21).await;

    let begin = renewed(
        &stage,
        "short",
        serial(&stage.requests().get("short").await.unwrap()) + 1,
    )
    .await;
    let (mark, tokens) = (stage.wire.mark(), stage.dce.token_requests());
    // Things that are no business of the operator: they concern neither a request nor a provider.
    let foreign: Api<Secret> = stage.api();
    create(
        &foreign,
        json!({"metadata": {"name": "foreign"}, "stringData": {"a": "b"}}),
    )
    .await;
    let patch = Patch::Merge(json!({"stringData": {"a": "c"}}));
    foreign
        .patch("foreign", &PatchParams::default(), &patch)
        .await
        .unwrap();
    foreign
        .delete("foreign", &DeleteParams::default())
        .await
        .unwrap();
    let mut provider = stage.provider();
    provider["metadata"]["annotations"] = json!({"somebody": "was here"});
    stage.apply(&provider).await;

    let end = renewed(&stage, "short", serial(&begin) + 3).await;
    let renewals = usize::try_from(serial(&end) - serial(&begin)).unwrap();
    let calls = stage.wire.since(mark);
    let expected = counts(&[
        ("patch secrets", renewals),
        ("patch credentialrequests/status", renewals),
    ]);
    assert_eq!(summarize(&calls), expected);
    assert!(
        calls.iter().all(|call| call.path.contains("/short")),
        "only what is renewed is written"
    );
    assert_eq!(
        stage.dce.token_requests() - tokens,
        serial(&end) - serial(&begin)
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sync_is_told_in_one_event_and_renewals_in_none() {
    let mut stage = Stage::new("events").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(4)));
    stage.start().await;
    for name in ["one", "two", "three"] {
        stage.apply(&stage.request(name)).await;
    }
    stage.all_ready().await;
    for name in ["one", "two", "three"] {
        renewed(&stage, name, 3).await;
    }
    let mut events = stage.events().await;
    events.sort();
    let expected = ["one", "three", "two"]
        .map(|name| format!("Issued: put dce.token with serial 1 into Secret {name}"));
    assert_eq!(events, expected);
    let calls = stage.wire.summary();
    assert_eq!(
        (calls.get("create events"), calls.get("patch events")),
        (Some(&3), None)
    );
    stage.finish().await;
}

/// The reads of a Secret's contents.
fn reads(stage: &Stage) -> Vec<Call> {
    stage.wire.calls_where(|call| call.label() == "get secrets")
}

fn reads_of_api(stage: &Stage) -> usize {
    reads(stage)
        .iter()
        .filter(|call| call.path.ends_with("/secrets/api"))
        .count()
}

/// Waits until the request's own Secret was read more than so often.
async fn looked(stage: &Stage, times: usize) {
    let looked = eventually(SOON, async || {
        let read = reads_of_api(stage);
        ensure!(read > times, "read {read} times");
        Ok(())
    });
    looked.await.expect("the Secret is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_secrets_that_a_request_or_a_provider_names_are_read() {
    let mut stage = Stage::new("reads").await;
    let own: Api<Secret> = stage.api();
    let platform: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.platform);
    let foreign = |name: &str| json!({"metadata": {"name": name}, "stringData": {"password": "no business of yours"}});
    for secrets in [&own, &platform] {
        create(secrets, foreign("foreign-before")).await;
    }
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    for secrets in [&own, &platform] {
        create(secrets, foreign("foreign-after")).await;
        let patch = Patch::Merge(json!({"stringData": {"password": "still none"}}));
        secrets
            .patch("foreign-before", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    // Both of these make it read the request's own Secret.
    let patch = Patch::Merge(json!({"stringData": {"endpoint": "https://elsewhere"}}));
    own.patch("api", &PatchParams::default(), &patch)
        .await
        .unwrap();
    looked(&stage, 0).await;
    stage.ready("api").await;
    stage.stop().await;
    let before = reads_of_api(&stage);
    stage.start().await;
    looked(&stage, before).await;

    let read: BTreeSet<_> = reads(&stage).iter().map(|call| call.path.clone()).collect();
    let named = [
        format!("/api/v1/namespaces/{}/secrets/login", stage.platform),
        format!("/api/v1/namespaces/{}/secrets/api", stage.team),
    ];
    assert_eq!(read, named.into());
    let watched = stage
        .wire
        .calls_where(|call| matches!(call.label().as_str(), "list secrets" | "watch secrets"));
    assert!(watched.len() >= 4, "both namespaces, twice: {watched:?}");
    for call in watched {
        assert!(call.is_metadata_only(), "{call:?}");
        let by_name = call
            .query
            .as_deref()
            .unwrap_or_default()
            .contains("fieldSelector=metadata.name%3Dlogin");
        let place = call.kubernetes().and_then(|call| call.namespace);
        assert!(
            place == Some(stage.team.clone()) || (place == Some(stage.platform.clone()) && by_name),
            "{call:?}"
        );
    }
    let written = stage
        .wire
        .calls_where(|call| call.is_changing() && call.path.contains("foreign"));
    assert!(written.is_empty(), "{written:?}");
    stage.finish().await;
}

/// What a call did, in words that the wire and the audit log share.
type Deed = (String, String, Option<String>, Option<u16>);

fn on_the_wire(call: &Call) -> Deed {
    let meant = call.kubernetes().expect("a resource");
    let name = meant.name.filter(|_| meant.verb != "create");
    (
        call.label(),
        meant.namespace.unwrap_or_default(),
        name,
        call.status,
    )
}

fn in_the_log(event: &AuditEvent) -> Deed {
    let resource = match &event.subresource {
        Some(subresource) => format!("{}/{subresource}", event.resource),
        None => event.resource.clone(),
    };
    let name = event.name.clone().filter(|_| event.verb != "create");
    (
        format!("{} {resource}", event.verb),
        event.namespace.clone().unwrap_or_default(),
        name,
        event.code,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_knows_of_no_other_write_than_the_wire() {
    let mut stage = Stage::new("audit").await;
    stage.start().await;
    stage.apply_crowd(5).await;
    stage.all_ready().await;
    stage
        .annotate("r-000", "credential-operator.dev/rotate", "now")
        .await;
    renewed(&stage, "r-000", 2).await;
    stage.dce.faults().push_n(TOKEN, Fault::Html(503), 1);
    stage.apply(&stage.request("unlucky")).await;
    stage.ready("unlucky").await;
    stage
        .requests()
        .delete("r-001", &DeleteParams::default())
        .await
        .unwrap();
    // Whatever is still on its way ends with the operator.
    let user = stage.user();
    stage.stop().await;
    let audit = control_plane().audit();
    audit.settle(&user, SOON).await.unwrap();
    let mut logged: Vec<_> = audit
        .mutating(&user)
        .unwrap()
        .iter()
        .map(in_the_log)
        .collect();
    let mut seen: Vec<_> = stage.wire.changing().iter().map(on_the_wire).collect();
    logged.sort();
    seen.sort();
    assert_eq!(logged, seen);
    assert!(seen.len() >= 15, "{seen:?}");
    let elsewhere = seen.iter().find(|(what, namespace, ..)| {
        let own = namespace.is_empty() || *namespace == stage.team;
        // The Lease lies beside the operator's account.
        !own && !what.ends_with(" leases")
    });
    assert_eq!(elsewhere, None);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_of_one_second_is_bounded_by_the_budget_and_shown() {
    const SPAN: u32 = 4;
    const RATE: usize = 5;
    let mut stage = Stage::new("one-second").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(1)));
    let mut provider = stage.provider();
    provider["spec"]["budget"] = json!({"requestsPerSecond": RATE});
    stage.apply(&provider).await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    let calls = || {
        let server = stage.dce.server();
        let mut at: Vec<_> = [TOKEN, CURRENT_USER]
            .into_iter()
            .flat_map(|route| server.calls_to(route))
            .map(|call| call.at)
            .collect();
        at.sort();
        at
    };
    let span = Duration::from_secs(SPAN.into());
    let calls = eventually(SOON, async || {
        let calls = calls();
        let last = calls
            .last()
            .zip(calls.first())
            .map(|(last, first)| last.duration_since(*first));
        ensure!(
            last.is_some_and(|last| last >= span),
            "{} calls in {last:?}",
            calls.len()
        );
        Ok(calls)
    });
    let calls = calls.await.unwrap();
    let within = calls
        .iter()
        .filter(|at| at.duration_since(calls[0]) < span)
        .count();
    // A second's worth may come at once, and another second's is for what two clocks, a login and a
    // slow machine make of it. Without a budget it would be hundreds.
    let most = RATE * usize::try_from(SPAN + 2).unwrap();
    assert!(within <= most, "{within} calls in {SPAN} s");
    assert!(within >= RATE, "{within} calls: it goes on renewing");

    let request = stage
        .until("api", "granted", |request| {
            status_of(request, "Ready") == ("True", "Synced")
                && message(request).contains("it was granted for")
        })
        .await;
    let status = request.status.as_ref().unwrap();
    let record = &status.credentials[0];
    let life = record
        .expires_at
        .unwrap()
        .duration_since(record.issued_at.unwrap());
    assert!(
        life.as_secs() <= 1,
        "asked for three days, granted {life:?}: {}",
        message(&request)
    );
    stage.finish().await;
}

fn message(request: &CredentialRequest) -> &str {
    crate::stage::message_of(request, "Ready")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_a_slot_cost_no_more_than_others() {
    let mut stage = Stage::new("one-slot").await;
    stage.flags.push("--concurrency=1".into());
    stage.apply_crowd(30).await;
    stage.start().await;
    stage.all_ready().await;
    let calls = stage.wire.calls();
    let mut counted = summarize(&calls);
    assert_eq!(counted.remove("create secrets"), Some(30));
    assert_eq!(counted.remove("patch credentialrequests/status"), Some(30));
    // The login is read; what the requests name is not there yet, and is not looked for.
    let reads = calls.iter().filter(|call| call.label() == "get secrets");
    assert!(
        reads
            .clone()
            .all(|call| call.path.contains(&stage.platform)),
        "{counted:?}"
    );
    assert!(calls.iter().all(|call| call.status != Some(409)));
    stage.finish().await;
}
