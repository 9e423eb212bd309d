//! Events: objects with the longest names have them, too, and what is lost is counted and logged.

use k8s_openapi::{api::events::v1::Event, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use testkit::{
    wait::eventually,
    wire::{Fault, ResponseParts},
};

use crate::stage::{SOON, Stage, status_of};

/// How often a text stands in the operator's log.
fn times(stage: &Stage, words: &str) -> usize {
    stage.logs().matches(words).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_the_longest_name_has_events() {
    let mut stage = Stage::new("long-name").await;
    stage.start().await;
    for name in [
        "n".repeat(253),
        format!("{}.{}", "n".repeat(235), "m".repeat(17)),
    ] {
        stage.apply(&stage.request(&name)).await;
        stage.ready(&name).await;
        stage.told(1, &format!("into Secret {name}")).await;
        stage.dce.lie(testkit::dce::Lie::HugeToken);
        stage
            .annotate(&name, "credential-operator.dev/rotate", "1")
            .await;
        let failing = |it: &_| status_of(it, "RenewalFailing").0 == "True";
        stage.until(&name, "a failure", failing).await;
        stage.dce.stop_lying();
    }
    stage.told(2, "UnexpectedAnswer: ").await;
    // Why the names are cut: this is how kube's recorder makes them.
    let events: kube::Api<Event> = stage.api();
    let mut event = events
        .list(&Default::default())
        .await
        .unwrap()
        .items
        .remove(0);
    event.metadata = ObjectMeta {
        name: Some(format!("{}.18a4c2f1d3b5e607", "n".repeat(253))),
        ..ObjectMeta::default()
    };
    let refused = events.create(&Default::default(), &event).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("no more than 253"), "{refused}");
    assert_eq!(times(&stage, "an event could not be written"), 0);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_api_server_refuses_are_counted_and_logged_rarely() {
    const CROWD: usize = 12;
    let mut stage = Stage::new("lost-events").await;
    stage.start().await;
    stage.wire.rule(
        |call| call.method == "POST" && call.path.ends_with("/events"),
        Fault::Reply(ResponseParts::text(500, "etcd is full")),
        None,
    );
    stage.apply_crowd(CROWD).await;
    stage.all_ready().await;
    let lost = "credential_operator_lost_events_total{code=\"500\"}";
    eventually(SOON, || async {
        let count = stage.metric(lost).await.unwrap_or_default();
        anyhow::ensure!(count >= 12.0, "{count} events were counted");
        Ok(())
    })
    .await
    .unwrap();
    let logged = times(&stage, "an event could not be written");
    assert!((1..=3).contains(&logged), "logged {logged} times");
    stage.finish().await;
}
