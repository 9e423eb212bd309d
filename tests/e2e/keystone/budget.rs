//! How much a Keystone is asked, and who goes first; with a simulator, since much is asked for.

use std::time::Duration;

use testkit::wire::{Call, Fault};

use super::*;
use crate::stage::status_of;

/// The projects of a team, each with a fourth of its requests.
async fn four_projects(rig: &Rig) -> Vec<String> {
    let mut names = Vec::new();
    for number in 0..4 {
        let name = format!("{}-{number}", rig.project);
        let id = rig.cloud.create_project(&name).await;
        rig.cloud.assign_role(&rig.user, &id, "member").await;
        names.push(name);
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_requests_of_one_account_over_four_projects_cost_four_logins() {
    let mut rig = Rig::simulated("ks-logins-4").await;
    let projects = four_projects(&rig).await;
    rig.stage.start().await;
    rig.provider_ready().await;
    let mark = rig.wire.mark();
    let requests: Vec<_> = (0..200)
        .map(|number| {
            let project = json!({"name": projects[number % 4], "domainID": DOMAIN});
            rig.request(
                &format!("r-{number:03}"),
                json!({"accessKey": {"project": project}}),
            )
        })
        .collect();
    futures::future::join_all(requests.iter().map(|request| rig.stage.apply(request))).await;
    rig.stage.all_ready().await;
    let calls = rig.keystone_calls_since(mark);
    assert_eq!(calls.get("POST /v3/auth/tokens"), Some(&4), "{calls:?}");
    assert_eq!(calls.get("POST /v3/credentials"), Some(&200), "{calls:?}");
    // At rest nothing is asked, and a restart asks nothing.
    let mark = (rig.stage.wire.mark(), rig.wire.mark());
    rig.stage.kill();
    rig.stage.start().await;
    rig.stage
        .change("r-000", json!({"spec": {"renewal": {"overlap": "1h"}}}))
        .await;
    rig.stage
        .until("r-000", "seen", |request| {
            request.status.as_ref().unwrap().observed_generation == request.metadata.generation
        })
        .await;
    assert_eq!(rig.keystone_calls_since(mark.1), BTreeMap::new());
    assert_eq!(
        rig.changes_since(mark.0),
        BTreeMap::from([("patch credentialrequests/status".to_owned(), 1)])
    );
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_asked_in_a_second_than_the_budget_says() {
    const RATE: usize = 10;
    let mut rig = Rig::simulated("ks-rate").await;
    let mut provider = rig.provider();
    provider["spec"]["budget"] = json!({"requestsPerSecond": RATE});
    rig.stage.apply(&provider).await;
    rig.stage.start().await;
    rig.provider_ready().await;
    for number in 0..40 {
        rig.stage
            .apply(&rig.access_key(&format!("r-{number:02}")))
            .await;
    }
    rig.stage.all_ready().await;
    let calls = rig.wire.calls();
    assert!(calls.len() > 80, "{} calls", calls.len());
    // In any stretch of time: as many as the rate gives, and the burst of a second's worth.
    for (first, call) in calls.iter().enumerate() {
        for seconds in 1..8 {
            let end = call.started + Duration::from_secs(seconds);
            let within = |later: &&Call| later.started < end;
            let count = calls[first..].iter().take_while(within).count();
            let most = RATE * usize::try_from(seconds).unwrap() + RATE;
            assert!(
                count <= most,
                "{count} calls in {seconds} s from call {first}"
            );
        }
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_to_expire_and_what_is_new_go_ahead_of_five_hundred_rotations() {
    const MANY: usize = 500;
    let mut rig = Rig::simulated("ks-order").await;
    rig.stage.start().await;
    let requests: Vec<_> = (0..MANY)
        .map(|number| rig.access_key(&format!("r-{number:03}")))
        .collect();
    futures::future::join_all(requests.iter().map(|request| rig.stage.apply(request))).await;
    let mut dying = rig.application_credential("dying");
    dying["spec"]["keystone"]["applicationCredential"]["lifetime"] = json!("24s");
    rig.stage.apply(&dying).await;
    rig.stage
        .all_within(Duration::from_secs(60), "Ready=True", |request| {
            status_of(request, "Ready") == ("True", "Synced")
        })
        .await;
    // From here on six calls a second: the rotations alone take minutes.
    let mut provider = rig.provider();
    provider["spec"]["budget"] = json!({"requestsPerSecond": 6, "concurrency": 4});
    rig.stage.apply(&provider).await;
    for number in 0..MANY {
        let name = format!("r-{number:03}");
        rig.stage
            .annotate(&name, "credential-operator.dev/rotate", "1")
            .await;
    }
    eventually(SOON, || async {
        let waiting = rig.stage.metric("credential_operator_provider_queue").await;
        anyhow::ensure!(
            waiting.is_some_and(|waiting| waiting > 300.0),
            "{waiting:?}"
        );
        Ok(())
    })
    .await
    .unwrap();
    let began = credential_operator::clock::monotonic();
    rig.stage.apply(&rig.access_key("new")).await;
    rig.stage.ready("new").await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "a new one took {:?}",
        began.elapsed()
    );
    // It is renewed before it ends, again and again.
    let mut serial = 0;
    for _ in 0..2 {
        let renewed = rig
            .stage
            .within(Duration::from_secs(40), "dying", "renewed", |request| {
                let first = &request.status.as_ref().unwrap().credentials[0];
                status_of(request, "Ready").0 == "True" && first.serial > serial + 1
            })
            .await;
        serial = renewed.status.unwrap().credentials[0].serial;
    }
    let waiting = rig.stage.metric("credential_operator_provider_queue").await;
    assert!(
        waiting.is_some_and(|waiting| waiting > 100.0),
        "the rotations still wait: {waiting:?}"
    );
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keystone_that_does_not_answer_is_left_alone_and_then_asked_gently() {
    let mut rig = Rig::simulated("ks-breaker").await;
    rig.stage.start().await;
    rig.provider_ready().await;
    rig.stage.apply(&rig.access_key("before")).await;
    rig.stage.ready("before").await;
    let down = rig.wire.rule(|_| true, Fault::CutBefore, None);
    let mark = rig.wire.mark();
    let began = credential_operator::clock::monotonic();
    for number in 0..50 {
        rig.stage
            .apply(&rig.access_key(&format!("r-{number:02}")))
            .await;
    }
    rig.stage
        .all("told", |request| {
            kube::ResourceExt::name_any(request) == "before"
                || status_of(request, "Ready") == ("False", "ProviderUnavailable")
        })
        .await;
    eventually(Duration::from_secs(30), || async {
        anyhow::ensure!(began.elapsed() > Duration::from_secs(12), "not long enough");
        Ok(())
    })
    .await
    .unwrap();
    let calls = rig.wire.since(mark).len();
    assert!(
        calls < 40,
        "{calls} calls of fifty requests in {:?}",
        began.elapsed()
    );
    let before = rig.stage.requests().get("before").await.unwrap();
    assert_eq!(
        status_of(&before, "Ready"),
        ("True", "Synced"),
        "what works goes on"
    );
    down.remove();
    rig.stage
        .all_within(Duration::from_secs(60), "Ready=True", |request| {
            status_of(request, "Ready") == ("True", "Synced")
        })
        .await;
    rig.finish().await;
}
