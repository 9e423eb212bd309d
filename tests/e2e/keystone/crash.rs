//! Crash safety, tested: the life of a request is listed call by call, and at each call that changes
//! something the operator is killed before and after it took effect, or loses the answer alone.

mod accident;
mod kind;
mod phases;

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use futures::StreamExt;
use testkit::wire::Fault;

use super::*;
use crate::{journal::is_issue, stage::status_of};
use accident::{Accident, Point, points};
use kind::Kind;
use phases::{Phase, gone, settled};

/// How many lives are played side by side.
const SIDE_BY_SIDE: usize = 6;

/// Which of the two servers a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    Kubernetes,
    Keystone,
}

/// Calls that change something, in their order for each server.
pub type Calls = Vec<(Server, String)>;

/// What a life may ask for besides: it is not about the request, or comes when it comes.
const BESIDES: [(Server, &str); 3] = [
    (Server::Kubernetes, "create events"),
    (
        Server::Kubernetes,
        "patch clustercredentialproviders/status",
    ),
    // Each start takes the Lease anew.
    (Server::Kubernetes, "patch leases"),
];

/// A call that changes something, as it is told apart from others.
fn label(server: Server, call: &CallHead) -> Option<String> {
    if !call.is_changing() {
        return None;
    }
    match server {
        Server::Kubernetes => concerns_a_request(call).then(|| call.label()),
        Server::Keystone => Some(keystone_label(call)),
    }
}

/// How a life went.
struct Outcome {
    calls: Calls,
    /// All that were meant to change something, whether or not they could.
    asked: BTreeSet<(Server, String)>,
    issued: usize,
    took: Duration,
}

/// Plays a life, with a fault in it if there is one.
async fn play(kind: Kind, point: Option<Point>) -> Result<Outcome, String> {
    // What goes wrong towards Keystone goes wrong towards a real one; the many lives in which
    // something else does have a simulator, since a real one does twenty things a second.
    let with_simulator = point
        .as_ref()
        .is_some_and(|point| point.server == Server::Kubernetes);
    let mut rig = if with_simulator {
        Rig::simulated(kind.stage()).await
    } else {
        Rig::new(kind.stage()).await
    };
    let second = rig
        .cloud
        .create_project(&format!("{}-2", rig.project))
        .await;
    rig.cloud.assign_role(&rig.user, &second, "member").await;
    let mut provider = rig.provider();
    provider["spec"]["allow"][0]["keystone"]["projects"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": second}));
    rig.stage.apply(&provider).await;
    rig.stage.start().await;
    rig.provider_ready().await;
    let marks = (rig.stage.wire.mark(), rig.wire.mark());
    let accident = point.map(|point| Accident::arm(&rig, point));

    let began = credential_operator::clock::monotonic();
    let result = live(kind, &mut rig, accident, &second).await;
    let took = began.elapsed();
    let outcome = outcome(&rig, marks, took);
    if result.is_err() {
        eprintln!("{}", rig.stage.logs_tail());
    }
    rig.finish().await;
    result.map(|()| outcome)
}

/// The life itself.
async fn live(
    kind: Kind,
    rig: &mut Rig,
    mut accident: Option<Accident>,
    second: &str,
) -> Result<(), String> {
    let first = rig.project_id.clone();
    rig.stage.apply(&kind.request(rig)).await;
    let phase = Phase {
        name: "the first sync",
        after: 0,
        rotated: None,
        project: &first,
    };
    let after = settled(kind, rig, &mut accident, phase).await?;
    rig.stage
        .annotate("it", "credential-operator.dev/rotate", "1")
        .await;
    let phase = Phase {
        name: "the rotation",
        after,
        rotated: Some("1"),
        project: &first,
    };
    let after = settled(kind, rig, &mut accident, phase).await?;
    rig.stage.apply(&kind.changed(rig, second)).await;
    let phase = Phase {
        name: "the change",
        after,
        rotated: Some("1"),
        project: second,
    };
    settled(kind, rig, &mut accident, phase).await?;
    rig.was_always_good("it")?;
    rig.delete("it").await;
    gone(kind, rig, &mut accident).await
}

fn outcome(rig: &Rig, marks: (Mark, Mark), took: Duration) -> Outcome {
    let servers = [
        (Server::Kubernetes, rig.stage.wire.since(marks.0)),
        (Server::Keystone, rig.wire.since(marks.1)),
    ];
    let (mut calls, mut asked, mut issued) = (Vec::new(), BTreeSet::new(), 0);
    for (server, all) in servers {
        for call in all.iter().filter(|call| call.is_changing()) {
            asked.insert((
                server,
                match server {
                    Server::Kubernetes => call.label(),
                    Server::Keystone => keystone_label(call),
                },
            ));
            // What was refused has changed nothing.
            if call.status != Some(409) {
                calls.extend(label(server, call).map(|label| (server, label)));
            }
            let made = is_issue(call) && call.status == Some(201);
            issued += usize::from(server == Server::Keystone && made);
        }
    }
    Outcome {
        calls,
        asked,
        issued,
        took,
    }
}

/// What is wrong with a life that has come to the same end.
fn objection(kind: Kind, calm: usize, outcome: &Outcome) -> Option<String> {
    if outcome.issued > calm + 1 {
        return Some(format!("{} issued instead of {calm}", outcome.issued));
    }
    let mut asked = outcome.asked.clone();
    for (server, label) in kind.expected() {
        asked.remove(&(server, label));
    }
    for (server, label) in BESIDES {
        asked.remove(&(server, label.to_owned()));
    }
    (!asked.is_empty()).then(|| format!("calls that no other life has: {asked:?}"))
}

async fn no_crash_breaks_it(kind: Kind) {
    let calm = play(kind, None).await.unwrap();
    let sorted = |mut calls: Calls| {
        // Each server's in their order; between the two of them there is none.
        calls.sort_by_key(|(server, _)| *server);
        calls
    };
    assert_eq!(sorted(calm.calls.clone()), kind.expected(), "{kind:?}");
    assert_eq!(objection(kind, calm.issued, &calm), None);

    let outcomes: Vec<_> = futures::stream::iter(points(&kind.expected()))
        .map(|point| async move {
            let outcome = tokio::spawn(play(kind, Some(point.clone()))).await;
            let outcome = outcome.unwrap_or_else(|error| Err(error.to_string()));
            (point, outcome)
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let mut table = format!("{kind:?}: {} lives, each with one fault\n", outcomes.len());
    let mut failures = 0;
    for (point, outcome) in &outcomes {
        let verdict = match outcome {
            Ok(outcome) => match objection(kind, calm.issued, outcome) {
                None => {
                    let extra = outcome.issued.saturating_sub(calm.issued);
                    let took = outcome.took.as_secs_f64();
                    format!("same end, {extra} extra, {took:.1} s")
                }
                Some(why) => format!("FAILED: {why}"),
            },
            Err(why) => format!("FAILED: {why}"),
        };
        failures += usize::from(verdict.starts_with("FAILED"));
        writeln!(
            table,
            "  {:10?} {:52} {:2} {:12} {verdict}",
            point.server,
            point.label,
            point.number + 1,
            format!("{:?}", point.mishap),
        )
        .unwrap();
    }
    // Past what the test harness keeps to itself: it is what the test is for.
    crate::stage::say(&table);
    assert_eq!(failures, 0, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crash_leaks_or_loses_an_access_key() {
    no_crash_breaks_it(Kind::AccessKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crash_leaks_or_loses_an_application_credential() {
    no_crash_breaks_it(Kind::ApplicationCredential).await;
}
