//! How much a Keystone is asked; with a simulator, since much is asked for.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use testkit::{server, wire::Fault};

use super::*;

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

fn is_login(call: &CallHead) -> bool {
    call.method == "POST" && call.path == "/v3/auth/tokens"
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_requests_of_one_account_over_four_projects_cost_four_logins() {
    const MANY: usize = 200;
    let mut rig = Rig::simulated("ks-logins-4").await;
    let projects = four_projects(&rig).await;
    let mut provider = rig.provider();
    provider["spec"]["budget"]["concurrency"] = json!(64);
    rig.stage.apply(&provider).await;
    // All that want a session find that there is none, long before there is one.
    let slow = Fault::Delay(Duration::from_millis(500));
    rig.wire.rule(is_login, slow, None);
    rig.stage.flags.push("--concurrency=64".to_owned());
    rig.stage.start().await;
    rig.provider_ready().await;
    let mark = rig.wire.mark();
    let requests: Vec<_> = (0..MANY)
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
    assert_eq!(calls.get("POST /v3/credentials"), Some(&MANY), "{calls:?}");
    let logins = rig.wire.calls_where(|call| is_login(call)).len();
    assert_eq!(logins, 5, "these, and the one that tries the login");

    // At rest nothing is asked, and a restart asks nothing and writes nothing.
    rig.stage.counted(&rig.name(), MANY).await;
    rig.stage.told(MANY, "Issued: ").await;
    let mark = (rig.stage.wire.mark(), rig.wire.mark());
    rig.stage.kill();
    rig.stage.start().await;
    eventually(SOON, || async {
        let looked = looked_at_since(&rig, mark.0).len();
        anyhow::ensure!(looked == MANY, "{looked} Secrets were looked at");
        Ok(())
    })
    .await
    .unwrap();
    rig.stage.passes(MANY).await;
    assert_eq!(rig.all_changes_since(mark.0), BTreeMap::new());
    rig.stage
        .change("r-000", json!({"spec": {"renewal": {"overlap": "1h"}}}))
        .await;
    rig.stage
        .until("r-000", "seen", |request| {
            request.status.as_ref().unwrap().observed_generation == request.metadata.generation
        })
        .await;
    // Passes under way end with the operator.
    rig.stage.stop().await;
    assert_eq!(rig.keystone_calls_since(mark.1), BTreeMap::new());
    assert_eq!(
        rig.all_changes_since(mark.0),
        BTreeMap::from([("patch credentialrequests/status".to_owned(), 1)])
    );
    rig.finish().await;
}

/// The Secrets of requests that were read since a mark.
fn looked_at_since(rig: &Rig, mark: Mark) -> BTreeSet<String> {
    let calls = rig.stage.wire.since(mark).into_iter();
    let meant = calls.filter_map(|call| call.kubernetes());
    meant
        .filter(|meant| meant.verb == "get" && meant.resource == "secrets")
        .filter(|meant| meant.namespace.as_deref() == Some(&rig.stage.team))
        .filter_map(|meant| meant.name)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_asked_in_a_second_than_the_budget_says() {
    const RATE: u32 = 10;
    /// What the way from the operator to the wire makes of the times: a fifth of a second.
    const SLACK: u32 = 2;
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
    let times: Vec<Instant> = rig.wire.calls().iter().map(|call| call.started).collect();
    assert!(times.len() > 80, "{} calls", times.len());
    // In each stretch of time: as many as the rate gives, and a second's worth at once.
    for (first, begin) in times.iter().enumerate() {
        for (last, end) in times.iter().enumerate().skip(first) {
            let count = u32::try_from(last - first + 1).unwrap();
            let length = end.duration_since(*begin).as_secs_f64();
            let most = f64::from(RATE) * length + f64::from(RATE + SLACK);
            assert!(
                f64::from(count) <= most,
                "{count} calls in {length:.3} s from call {first}"
            );
        }
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_asked_at_once_than_the_budget_says() {
    const AT_ONCE: usize = 3;
    let mut rig = Rig::simulated("ks-at-once").await;
    let mut provider = rig.provider();
    provider["spec"]["budget"]["concurrency"] = json!(AT_ONCE);
    rig.stage.apply(&provider).await;
    rig.stage.start().await;
    rig.provider_ready().await;
    let Cloud::Simulated(simulator) = &rig.cloud else {
        panic!("a simulator was asked for");
    };
    // Longer than a pass waits for a call before it lets others go on.
    let slow = server::Fault::Delay(Duration::from_millis(400));
    simulator.faults().set("*", slow);
    for number in 0..12 {
        rig.stage
            .apply(&rig.access_key(&format!("r-{number:02}")))
            .await;
    }
    rig.stage.all_ready().await;
    assert_eq!(simulator.max_in_flight("*"), AT_ONCE);
    simulator.faults().clear();
    rig.finish().await;
}
