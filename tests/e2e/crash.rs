//! Crash safety, tested: the life of a request is listed call by call, and at each call that changes
//! something the operator is killed before and after it took effect, or loses the answer alone.
//!
//! Every kind that is made and revoked by a name of its own has such a test: a file in this folder. The
//! others need none:
//!
//! - Tokens of DCE and of Keystone end by themselves, within days and within hours. What a crash has left
//!   of them dies without anybody's doing, and DCE's cannot be revoked by anybody.
//! - The keys of CloudCenter and CloudMC, and SODA's with `adopt`, are only read, and a second reading is as
//!   good as the first.
//! - What SODA and CloudCenter are asked to make where a request says so has no name that could be looked
//!   for. That it is not made twice, whatever becomes of the call, is told in stories of their own, in which
//!   the operator is killed around the call as well: `soda/killed.rs` and `cloudcenter/regenerate.rs`.
//!   What becomes of SODA's, of which none goes without all others of its user, is told in `soda/ending.rs`.

mod accident;
mod dce;
mod keystone;
mod life;
mod phases;
mod soda;

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use credential_operator::providers::{Kind, kinds::Deletion};
use futures::StreamExt;
use testkit::wire::{CallHead, Mark};
use tokio::sync::Semaphore;

use crate::{
    journal::{is_issue, was_always_good},
    keystone::concerns_a_request,
    stage::say,
};
use accident::{Accident, Point, points};
use life::Life;
use phases::{Phase, gone, settled};

/// How many lives of a kind are played side by side.
const SIDE_BY_SIDE: usize = 6;

/// And how many of all kinds: their tests run side by side as well, and too many lives at once miss their
/// deadlines.
static STAGES: Semaphore = Semaphore::const_new(9);

/// Which of the two servers a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    Kubernetes,
    Provider,
}

/// Calls that change something, in their order for each server.
pub type Calls = Vec<(Server, String)>;

/// What a life may ask for besides: it is not about the request, or comes when it comes.
const BESIDES: [(Server, &str); 4] = [
    (Server::Kubernetes, "create events"),
    // An event that is repeated is counted in the one that is there.
    (Server::Kubernetes, "patch events"),
    (
        Server::Kubernetes,
        "patch clustercredentialproviders/status",
    ),
    // Each start takes the Lease anew.
    (Server::Kubernetes, "patch leases"),
];

/// What the API server is asked for in a fault-free life, whatever the kind. A new call cannot slip in
/// without standing here.
const AT_KUBERNETES: [&str; 11] = [
    "patch clustercredentialproviders",
    "patch credentialrequests",
    "create secrets",
    "patch credentialrequests/status",
    // The rotation, and the end of its overlap.
    "patch secrets",
    "patch credentialrequests/status",
    "patch credentialrequests/status",
    // The change, and the end of its overlap.
    "patch secrets",
    "patch credentialrequests/status",
    "patch credentialrequests/status",
    // The farewell.
    "patch credentialrequests",
];

/// What a fault-free life is made of.
fn expected<L: Life>(kind: L::Kind) -> Calls {
    let at_provider = L::at_provider(kind).iter();
    let all = AT_KUBERNETES
        .iter()
        .map(|call| (Server::Kubernetes, *call))
        .chain(at_provider.map(|call| (Server::Provider, *call)));
    all.map(|(server, call)| (server, call.to_owned()))
        .collect()
}

/// A call that changes something, as it is told apart from others.
fn label<L: Life>(server: Server, call: &CallHead) -> Option<String> {
    if !call.is_changing() {
        return None;
    }
    match server {
        Server::Kubernetes => concerns_a_request(call).then(|| call.label()),
        Server::Provider => Some(L::label(call)),
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
async fn play<L: Life>(kind: L::Kind, point: Option<Point>) -> Result<Outcome, String> {
    let mut life = L::begin(kind).await;
    life.stage_mut().start().await;
    life.provider_ready().await;
    let marks = (life.stage().wire.mark(), life.wire().mark());
    let accident = point.map(|point| Accident::arm(&life, point));

    let began = credential_operator::clock::monotonic();
    let result = live(&mut life, accident).await;
    let took = began.elapsed();
    let outcome = outcome(&life, marks, took);
    if result.is_err() {
        eprintln!("{}", life.stage().logs_tail());
    }
    life.finish().await;
    result.map(|()| outcome)
}

/// The life itself.
async fn live<L: Life>(life: &mut L, mut accident: Option<Accident>) -> Result<(), String> {
    let [first, second] = life.purposes();
    life.stage().apply(&life.request()).await;
    let phase = Phase {
        name: "the first sync",
        after: 0,
        rotated: None,
        purpose: &first,
    };
    let after = settled(life, &mut accident, phase).await?;
    life.stage()
        .annotate("it", "credential-operator.dev/rotate", "1")
        .await;
    let phase = Phase {
        name: "the rotation",
        after,
        rotated: Some("1"),
        purpose: &first,
    };
    let after = settled(life, &mut accident, phase).await?;
    life.stage().apply(&life.changed()).await;
    let phase = Phase {
        name: "the change",
        after,
        rotated: Some("1"),
        purpose: &second,
    };
    settled(life, &mut accident, phase).await?;
    was_always_good(life.stage(), life.wire(), "it")?;
    let requests = life.stage().requests();
    requests.delete("it", &Default::default()).await.unwrap();
    gone(life, &mut accident).await
}

fn outcome<L: Life>(life: &L, marks: (Mark, Mark), took: Duration) -> Outcome {
    let servers = [
        (Server::Kubernetes, life.stage().wire.since(marks.0)),
        (Server::Provider, life.wire().since(marks.1)),
    ];
    let (mut calls, mut asked, mut issued) = (Vec::new(), BTreeSet::new(), 0);
    for (server, all) in servers {
        for call in all.iter().filter(|call| call.is_changing()) {
            asked.insert((
                server,
                match server {
                    Server::Kubernetes => call.label(),
                    Server::Provider => L::label(call),
                },
            ));
            // What was refused has changed nothing.
            if call.status != Some(409) {
                calls.extend(label::<L>(server, call).map(|label| (server, label)));
            }
            let made = is_issue(call) && matches!(call.status, Some(200 | 201));
            issued += usize::from(server == Server::Provider && made);
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
fn objection<L: Life>(kind: L::Kind, calm: usize, outcome: &Outcome) -> Option<String> {
    if outcome.issued > calm + 1 {
        return Some(format!("{} issued instead of {calm}", outcome.issued));
    }
    let mut asked = outcome.asked.clone();
    for (server, label) in expected::<L>(kind) {
        asked.remove(&(server, label));
    }
    for (server, label) in BESIDES {
        asked.remove(&(server, label.to_owned()));
    }
    (!asked.is_empty()).then(|| format!("calls that no other life has: {asked:?}"))
}

#[test]
fn every_kind_that_is_made_and_revoked_by_its_name_has_such_a_test() {
    let played = [keystone::KINDS, dce::KINDS, soda::KINDS].concat();
    for kind in Kind::ALL {
        // What goes only with all others of its user has no name by which a crash would lose it; that what
        // goes is said anew after one is a story of its own.
        let by_name = kind.capabilities().deletion == Deletion::ByName;
        assert_eq!(played.contains(kind), by_name, "{}", kind.name());
    }
}

async fn no_crash_breaks_it<L: Life>(kind: L::Kind) {
    let calm = play::<L>(kind, None).await.unwrap();
    let sorted = |mut calls: Calls| {
        // Each server's in their order; between the two of them there is none.
        calls.sort_by_key(|(server, _)| *server);
        calls
    };
    assert_eq!(sorted(calm.calls.clone()), expected::<L>(kind), "{kind:?}");
    assert_eq!(objection::<L>(kind, calm.issued, &calm), None);

    let outcomes: Vec<_> = futures::stream::iter(points(&expected::<L>(kind)))
        .map(|point| async move {
            let _turn = STAGES.acquire().await.expect("it is never closed");
            let outcome = tokio::spawn(play::<L>(kind, Some(point.clone()))).await;
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
            Ok(outcome) => match objection::<L>(kind, calm.issued, outcome) {
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
            "  {:10} {:52} {:2} {:12} {verdict}",
            format!("{:?}", point.server),
            point.label,
            point.number + 1,
            format!("{:?}", point.mishap),
        )
        .unwrap();
    }
    // Past what the test harness keeps to itself: it is what the test is for.
    say(&table);
    assert_eq!(failures, 0, "{table}");
}
