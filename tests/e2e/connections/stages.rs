//! Every stage of the operator's start and end, and what may happen in it. Each wait has an end.

use futures::{StreamExt, stream};

use super::*;

/// Where the operator stands when it happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    /// The Lease has not been read yet.
    Finding,
    /// Another copy holds the Lease.
    StandingBy,
    /// What requests need is listed.
    FirstLists,
    /// The requests are listed.
    Requests,
    /// It acts.
    Acting,
    /// It was told to end, and a pass is under way.
    Ending,
    /// It gives the Lease back.
    GivingBack,
}

const POINTS: [Point; 7] = [
    Point::Finding,
    Point::StandingBy,
    Point::FirstLists,
    Point::Requests,
    Point::Acting,
    Point::Ending,
    Point::GivingBack,
];

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    LeaseLost,
    ApiServerStopped,
    Terminated,
    Stopped,
}

const EVENTS: [Event; 4] = [
    Event::LeaseLost,
    Event::ApiServerStopped,
    Event::Terminated,
    Event::Stopped,
];

/// How long a process is stopped, and an API server away: longer than a Lease.
const AWAY: Duration = Duration::from_secs(5);

impl Point {
    /// The call that is held so that the operator stays there.
    fn held(self) -> Option<&'static str> {
        match self {
            Point::Finding => Some("get leases"),
            Point::StandingBy | Point::Acting => None,
            Point::FirstLists => Some("list secrets"),
            Point::Requests => Some("list credentialrequests"),
            Point::Ending => Some("create secrets"),
            Point::GivingBack => Some("patch leases"),
        }
    }

    fn is_end(self) -> bool {
        matches!(self, Point::Ending | Point::GivingBack)
    }
}

/// Brings an operator to a point. What is returned lets it go on.
async fn bring(stage: &mut Stage, point: Point) -> (Operator, Option<testkit::wire::RuleHandle>) {
    if point == Point::StandingBy {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "credential-operator", "namespace": stage.platform},
            "spec": {"holderIdentity": "other", "leaseDurationSeconds": 8},
        });
        stage.apply(&lease).await;
    }
    let label = point.held();
    let early = label
        .filter(|_| !point.is_end())
        .map(|label| hold(stage, label));
    let operator = stage.spawn("it").await;
    match point {
        Point::StandingBy => answers(&operator, "standing by").await.unwrap(),
        Point::Acting | Point::Ending | Point::GivingBack => {
            answers(&operator, "ok").await.unwrap();
        }
        Point::Finding | Point::FirstLists | Point::Requests => {}
    }
    let late = label
        .filter(|_| point.is_end())
        .map(|label| hold(stage, label));
    if point == Point::Ending {
        stage.apply(&stage.request("api")).await;
        let late = late.as_ref().expect("a rule");
        late.hit(SOON).await.unwrap();
        operator.signal("-TERM");
    }
    if point == Point::GivingBack {
        operator.signal("-TERM");
    }
    if let Some(held) = early.as_ref().or(late.as_ref()) {
        held.hit(SOON).await.unwrap();
    }
    (operator, early.or(late))
}

async fn plays(point: Point, event: Event) {
    let mut stage = stage("stages").await;
    stage.lease_seconds = 3;
    stage.flags = vec!["--api-server-timeout-seconds=2".to_owned()];
    let (mut operator, held) = bring(&mut stage, point).await;
    let case = format!("{point:?} {event:?}");
    match event {
        Event::LeaseLost => steal_lease(&stage).await,
        Event::ApiServerStopped => {
            tcp(&stage).refuse_new(Some(TcpFault::Freeze));
            tcp(&stage).break_open(TcpFault::Freeze, |_| true);
            tokio::time::sleep(AWAY).await;
            tcp(&stage).refuse_new(None);
        }
        Event::Terminated => operator.signal("-TERM"),
        Event::Stopped => {
            operator.signal("-STOP");
            tokio::time::sleep(AWAY).await;
            operator.signal("-CONT");
        }
    }
    let terminated = event == Event::Terminated || point.is_end();
    if terminated {
        let began = credential_operator::clock::monotonic();
        let status = ended(&mut operator).await;
        assert!(
            began.elapsed() < Duration::from_secs(12),
            "{case}: {:?}",
            began.elapsed()
        );
        // One that lost its Lease while it ended may say so.
        let lost = event == Event::LeaseLost || event == Event::Stopped;
        assert!(status.success() || lost, "{case}: {status}");
        drop(held);
        stage.finish().await;
        return;
    }
    if let Some(held) = &held {
        held.remove();
    }
    // It serves, or it ends and its next start serves. One that has lost its Lease has to end.
    let must_end = event == Event::LeaseLost && point != Point::StandingBy;
    let serves = eventually(SOON, || async {
        match operator.get("/readyz").await {
            Ok(answer) if answer == "ok\n" && !must_end => Ok(true),
            Ok(answer) => Err(anyhow!("{answer}")),
            Err(_) => Ok(false),
        }
    });
    if !serves
        .await
        .unwrap_or_else(|error| panic!("{case}: {error:#}"))
    {
        let status = ended(&mut operator).await;
        assert!(!status.success(), "{case}: {status}");
        operator = stage.spawn("it").await;
        answers(&operator, "ok")
            .await
            .unwrap_or_else(|error| panic!("{case}: {error:#}"));
    }
    stage.apply(&stage.request("served")).await;
    stage.ready("served").await;
    operator.signal("-TERM");
    ended(&mut operator).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_at_any_stage_of_start_and_end_the_operator_goes_on_or_ends_in_time() {
    let cells = POINTS
        .into_iter()
        .flat_map(|point| EVENTS.map(|event| (point, event)))
        // Nobody can take a Lease that this copy does not hold.
        .filter(|cell| *cell != (Point::Finding, Event::LeaseLost));
    stream::iter(cells)
        .map(|(point, event)| plays(point, event))
        .buffer_unordered(9)
        .collect::<Vec<()>>()
        .await;
}
