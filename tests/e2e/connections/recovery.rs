//! How soon the operator hears again.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use testkit::wire::summarize;

use super::*;

/// Which of the open connections break.
#[derive(Clone, Copy, Debug)]
enum Which {
    Calls,
    Watches,
    Lease,
    All,
}

impl Which {
    const ALL: [Which; 4] = [Which::Calls, Which::Watches, Which::Lease, Which::All];

    fn picks(self, line: &str) -> bool {
        match self {
            Which::Calls => is_call(line),
            Which::Watches => is_watch(line),
            Which::Lease => is_lease(line),
            Which::All => true,
        }
    }
}

/// Lists since a mark, by what was listed.
fn lists(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut lists = summarize(calls);
    lists.retain(|label, _| label.starts_with("list "));
    lists
}

async fn recovers_from(fault: TcpFault, which: Which) {
    let mut stage = impatient_stage("tcp").await;
    stage.start().await;
    stage.apply(&stage.request("before")).await;
    stage.ready("before").await;
    let (mark, renewed) = (stage.wire.mark(), renewals(&stage));
    let broken = tcp(&stage).break_open(fault, |line| which.picks(line));
    assert!(broken > 0, "{fault:?} {which:?}: no connection is open");
    stage.apply(&stage.request("after")).await;
    stage.ready("after").await;
    eventually(SOON, || async {
        ensure!(renewals(&stage) > renewed, "the lease is not renewed");
        let answer = stage.get("/readyz").await?;
        ensure!(answer == "ok\n", "{answer}");
        let answer = stage.get("/livez").await?;
        ensure!(answer == "ok\n", "{answer}");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{fault:?} {which:?}: {error:#}"));
    let lists = lists(&stage.wire.since(mark));
    assert!(lists.is_empty(), "{fault:?} {which:?}: {lists:?}");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_every_kind_of_connection_is_recovered_from_without_a_list() {
    let cells = EVERY_FAULT
        .into_iter()
        .flat_map(|fault| Which::ALL.map(|which| (fault, which)));
    stream::iter(cells)
        .map(|(fault, which)| recovers_from(fault, which))
        .buffer_unordered(10)
        .collect::<Vec<()>>()
        .await;
}

/// Freezes connections of an operator with its default deadlines. Returns how long a new request takes.
async fn freeze_by_default(name: &str, which: Which) -> Duration {
    let mut stage = stage(name).await;
    stage.lease_seconds = DEFAULT_LEASE.as_secs();
    stage.start().await;
    stage.apply(&stage.request("before")).await;
    stage.ready("before").await;
    let said = "the API server did not answer in time";
    // A connection that is opened at that very moment does not freeze, and the request goes by it.
    for round in 0..10 {
        let name = format!("after-{round}");
        let began = credential_operator::clock::monotonic();
        tcp(&stage).break_open(TcpFault::Freeze, |line| which.picks(line));
        stage.apply(&stage.request(&name)).await;
        stage
            .within(Duration::from_secs(150), &name, "Ready=True", |request| {
                crate::stage::status_of(request, "Ready") == ("True", "Synced")
            })
            .await;
        let took = began.elapsed();
        if stage.logs().contains(said) {
            stage.finish().await;
            return took;
        }
    }
    panic!("no call met a frozen connection:\n{}", stage.logs_tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_calls_take_45_seconds_at_most_and_a_frozen_watch_100() {
    let (calls, watches) = tokio::join!(
        freeze_by_default("frozen-calls", Which::Calls),
        freeze_by_default("frozen-watch", Which::Watches),
    );
    assert!(calls < Duration::from_secs(45), "{calls:?}");
    assert!(watches < Duration::from_secs(100), "{watches:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_whose_connections_all_freeze_one_acts_within_the_lease() {
    let mut stage = stage("frozen-copies").await;
    stage.lease_seconds = DEFAULT_LEASE.as_secs();
    let first = stage.spawn("first").await;
    answers(&first, "ok").await.unwrap();
    let second = stage.spawn("second").await;
    answers(&second, "standing by").await.unwrap();
    stage.apply(&stage.request("before")).await;
    stage.ready("before").await;
    let began = credential_operator::clock::monotonic();
    tcp(&stage).break_open(TcpFault::Freeze, |_| true);
    stage.apply(&stage.request("after")).await;
    stage.ready("after").await;
    let took = began.elapsed();
    // A second for the pass and what a busy machine adds.
    assert!(took < DEFAULT_LEASE + Duration::from_secs(5), "{took:?}");
    drop((first, second));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_end_and_are_resumed_where_they_were_without_a_list() {
    let mut stage = impatient_stage("idle").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let mark = stage.wire.mark();
    // Each watch lasts 5 to 7 seconds.
    eventually(SOON, || async {
        let calls = stage.wire.since(mark);
        let watches = summarize(&calls);
        for kind in [
            "namespaces",
            "secrets",
            "credentialrequests",
            "credentialproviders",
        ] {
            let again = watches.get(&format!("watch {kind}")).copied();
            ensure!(again.unwrap_or_default() >= 3, "{kind}: {again:?}");
        }
        Ok(())
    })
    .await
    .unwrap();
    let calls = stage.wire.since(mark);
    assert_eq!(lists(&calls), BTreeMap::new());
    for call in &calls {
        let query = call.query.clone().unwrap_or_default();
        if query.contains("watch=true") {
            assert!(!query.contains("resourceVersion=0&") && query.contains("resourceVersion="));
        }
    }
    assert_eq!(stage.get("/readyz").await.unwrap(), "ok\n");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn livez_fails_when_a_watch_is_never_answered_while_the_api_server_answers_others() {
    let mut stage = impatient_stage("stuck").await;
    stage.flags = vec![
        "--api-server-timeout-seconds=1".to_owned(),
        "--watch-seconds=5".to_owned(),
    ];
    stage.start().await;
    let held = hold(&stage, "watch secrets");
    eventually(SOON, || async {
        let answer = stage.get("/readyz").await?;
        ensure!(
            answer.starts_with("does not hear the API server: the watch of secrets"),
            "{answer}"
        );
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(stage.get("/livez").await.unwrap(), "ok\n", "it may recover");
    eventually(Duration::from_secs(180), || async {
        let answer = stage.get("/livez").await?;
        ensure!(answer.contains("the watch of secrets"), "{answer}");
        Ok(())
    })
    .await
    .unwrap();
    held.remove();
    eventually(SOON, || async {
        let answer = stage.get("/livez").await?;
        ensure!(answer == "ok\n", "{answer}");
        Ok(())
    })
    .await
    .unwrap();
    stage.finish().await;
}
