//! What a provider can answer, and what becomes of it: a reason that tells people what is wrong, a
//! pause of its class, and the Secret that works left as it is. Each row has a simulator, a provider
//! and requests of its own; all rows of a test share one operator and run side by side.

mod honest;
mod large;
mod login_secret;
mod rows;
mod story;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use testkit::{
    dce::{DceOptions, DceSimulator, Generation, TOKEN},
    server::Fault,
};

use crate::stage::{Stage, in_conditions, message_of, status_of};
use rows::Row;

/// How many rows are played at once: enough that waiting costs nothing, few enough for two cores.
const AT_ONCE: usize = 10;

/// Plays all rows, and fails when one of them does.
async fn play(name: &str, rows: Vec<Row>) {
    let mut stage = Stage::new(name).await;
    stage.flags.push("--concurrency=64".to_owned());
    stage.start().await;
    let stage = Arc::new(stage);
    let played = stream::iter(rows).map(|row| {
        let stage = Arc::clone(&stage);
        async move {
            let name = row.name;
            let dce = DceSimulator::start(DceOptions::default());
            let story = std::panic::AssertUnwindSafe(story::play(&stage, &dce, row));
            (
                name,
                story.catch_unwind().await.is_ok(),
                dce.secret_values(),
            )
        }
    });
    let played: Vec<_> = played.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = played
        .iter()
        .filter(|(_, ok, _)| !ok)
        .map(|(name, ..)| *name)
        .collect();
    assert!(failed.is_empty(), "rows that failed: {failed:?}");
    let mut stage = Arc::into_inner(stage).expect("all rows have ended");
    stage
        .more_secret_values
        .extend(played.into_iter().flat_map(|(.., values)| values));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_the_token_endpoint_has_its_reason_and_spares_the_secret() {
    let elsewhere = DceSimulator::start(DceOptions::default());
    play("answers-token", rows::token_endpoint(&elsewhere.endpoint())).await;
    assert_eq!(elsewhere.calls().len(), 0, "a redirect is never followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_the_self_test_keeps_the_new_token_from_being_published() {
    play("answers-proof", rows::self_test()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dce_that_has_no_token_endpoint_any_more_says_what_to_use_instead() {
    let options = DceOptions {
        generation: Generation::From014,
        ..DceOptions::default()
    };
    let mut stage = Stage::with("from-014", options).await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    let request = stage
        .until("api", "NotOffered", |request| {
            status_of(request, "Ready") == ("False", "NotOffered")
        })
        .await;
    let words = message_of(&request, "Ready");
    assert!(
        words.contains("an access key from the Personal Center is itself the bearer token"),
        "{words}"
    );
    assert_eq!(
        status_of(&request, "Stalled").0,
        "True",
        "somebody has to do something"
    );
    let provider = stage.live_provider().await;
    let conditions = provider.status.expect("a status").conditions;
    assert_eq!(in_conditions(&conditions, "Ready"), ("False", "NotOffered"));
    let calls = stage.dce.server().calls_to(TOKEN).len();
    assert_eq!(
        calls, 1,
        "the provider was tried once, and the request did not try again"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_quietly_while_their_provider_is_tried_again() {
    let mut stage = Stage::new("quiet").await;
    let down = Fault::status(503, "text/plain", "no healthy upstream");
    stage.dce.faults().push_n(TOKEN, down, 1);
    let slow = Fault::Delay(Duration::from_secs(3));
    stage.dce.faults().push_n(TOKEN, slow, 1);
    stage.start().await;
    let mark = stage.wire.mark();
    for name in ["a", "b", "c"] {
        stage.apply(&stage.request(name)).await;
    }
    for name in ["a", "b", "c"] {
        stage.ready(name).await;
    }
    assert_eq!(
        stage.dce.faults().pending(),
        0,
        "the login failed, and took long the second time"
    );
    // Each look at a Secret is a pass: a few for each verdict of the provider, not one after the
    // other for as long as the provider takes to answer.
    let calls = testkit::wire::summarize(&stage.wire.since(mark));
    let looks = calls.get("get secrets").copied().unwrap_or_default();
    assert!(looks <= 30, "{calls:?}");
    stage.finish().await;
}
