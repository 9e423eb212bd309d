//! What every kind of credential has to stand, whichever system it comes from: each kind of bad answer at
//! each of its calls. The rows run against the provider's own client and the system's simulator, without
//! an API server; the rest of the operator is the same for all kinds and has stories of its own.
//!
//! A further kind is one more entry in [`subjects::all`], and passes the same rows. What is expected of a call where
//! systems differ stands beside the call (`subjects/`), what holds for all of them in `rows.rs`.

mod answers;
mod bench;
mod dce;
mod lies;
mod life;
mod refusals;
mod rows;
mod stages;
mod subjects;
mod table;
mod tls;
mod watch;

use std::{any::Any, future::Future, panic::AssertUnwindSafe, sync::Arc};

use answers::BadAnswer;
use bench::{Bench, Slot};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use stages::{STAGES, Stage};
use subjects::{Call, Entry};
use table::{Missing, Played};
use tokio::sync::Semaphore;

/// How many rows at least each kind has to pass.
const LEAST: usize = 25;

/// How many have something to do at the same time; what waits does not count. Two cores have to answer all of them
/// within seconds.
const AT_ONCE: usize = 12;

/// How many are under way at the same time, those included that wait.
const UNDER_WAY: usize = 300;

/// The table that people read.
const TABLE: &str = "docs/reference/conformance.md";

/// Something to play, with what comes of it.
type Play = BoxFuture<'static, Vec<Played>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_kind_stands_every_bad_answer_at_every_call() {
    watch::listen();
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut plays: Vec<Play> = Vec::new();
    let mut played = Vec::new();
    let kinds = subjects::all();
    for entry in &kinds {
        let subject = entry.1();
        plays.push(life(*entry, &slots));
        plays.push(wrong_login(*entry, &slots));
        plays.extend(lies(*entry, &subject, &slots));
        plays.extend(refusals(*entry, &subject, &slots));
        for stage in STAGES {
            if let Some(why) = subject.gap(*stage) {
                played.push(Played {
                    kind: entry.0,
                    column: stage.name(),
                    call: None,
                    outcome: Err(Missing::Gap(why)),
                });
            }
            for call in subject.calls(*stage) {
                plays.extend(rows(*entry, *stage, call, subject.waits, &slots));
            }
        }
    }
    let plays = stream::iter(plays).map(tokio::spawn);
    let mut plays = plays.buffer_unordered(UNDER_WAY);
    while let Some(outcomes) = plays.next().await {
        played.extend(outcomes.expect("what fails is caught"));
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, _)| *kind).collect();
    let text = table::written(&kinds, &played);
    println!("{text}");
    let failed = played.iter().filter_map(|it| match &it.outcome {
        Err(Missing::Failed(words)) => Some(format!("{}: {}: {words}", it.kind, it.column)),
        _ => None,
    });
    let failed: Vec<_> = failed.collect();
    assert!(
        failed.is_empty(),
        "{} rows failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    for kind in kinds {
        let rows = table::passed(&played, kind);
        assert!(
            rows >= LEAST,
            "{kind} passes {rows} rows, {LEAST} are the least"
        );
    }
    watch::nothing_secret_was_logged();
    watch::nobody_went_elsewhere();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    if old != text {
        std::fs::write(&path, &text).unwrap();
        panic!("{TABLE} was stale and has been written anew: look at it, and commit it");
    }
}

/// A system of its own for each.
async fn set_up(entry: Entry, slots: &Arc<Semaphore>) -> Bench {
    let slot = Slot::take(slots).await;
    Bench::set_up(entry.1(), slot)
}

/// What came of something that panics where it fails.
async fn caught<T>(name: &str, playing: impl Future<Output = T>) -> Result<T, Missing> {
    let outcome = AssertUnwindSafe(playing).catch_unwind().await;
    outcome.map_err(|panic| Missing::Failed(format!("{name}: {}", words(panic.as_ref()))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
    text.unwrap_or_default()
}

/// The rows of a call. Those that cost no time come one after the other, to the same system with a new connection.
fn rows(
    entry: Entry,
    stage: Stage,
    call: Call,
    all_wait: bool,
    slots: &Arc<Semaphore>,
) -> Vec<Play> {
    let (waiting, swift): (Vec<_>, Vec<_>) = answers::all()
        .into_iter()
        .partition(|answer| all_wait || answer.waits());
    let alone = waiting.into_iter().map(|answer| vec![answer]);
    let parts = alone.chain((!swift.is_empty()).then_some(swift));
    parts
        .map(|answers| {
            let slots = Arc::clone(slots);
            one_after_the_other(entry, stage, call, answers, slots).boxed()
        })
        .collect()
}

async fn one_after_the_other(
    entry: Entry,
    stage: Stage,
    call: Call,
    answers: Vec<BadAnswer>,
    slots: Arc<Semaphore>,
) -> Vec<Played> {
    let mut played = Vec::new();
    let mut last: Option<Bench> = None;
    for answer in answers {
        let mut bench = match last.take() {
            Some(bench) => bench,
            None => set_up(entry, &slots).await,
        };
        bench.connect_anew();
        let name = format!("{}: {}", call.route, answer.name);
        let outcome = caught(&name, rows::run(&mut bench, stage, &call, &answer)).await;
        last = outcome.is_ok().then_some(bench);
        played.push(Played {
            kind: entry.0,
            column: stage.name(),
            call: Some(call.route),
            outcome,
        });
    }
    played
}

fn life(entry: Entry, slots: &Arc<Semaphore>) -> Play {
    let slots = Arc::clone(slots);
    let playing = async move {
        let mut bench = set_up(entry, &slots).await;
        let of = |column, outcome| Played {
            kind: entry.0,
            column,
            call: None,
            outcome,
        };
        match caught("a life", life::run(&mut bench)).await {
            Ok(parts) => life::PARTS
                .into_iter()
                .zip(parts)
                .map(|(column, part)| of(column, part.map_err(Missing::Gap)))
                .collect(),
            Err(missing) => vec![of(life::PARTS[0], Err(missing))],
        }
    };
    playing.boxed()
}

fn wrong_login(entry: Entry, slots: &Arc<Semaphore>) -> Play {
    let slots = Arc::clone(slots);
    let playing = async move {
        let mut bench = set_up(entry, &slots).await;
        let outcome = caught("a wrong login", refusals::wrong_login(&mut bench)).await;
        vec![Played {
            kind: entry.0,
            column: table::WRONG_LOGIN,
            call: None,
            outcome,
        }]
    };
    playing.boxed()
}

fn refusals(entry: Entry, subject: &subjects::Subject, slots: &Arc<Semaphore>) -> Vec<Play> {
    let one = |number: usize, is_lie: bool| {
        let slots = Arc::clone(slots);
        let playing = async move {
            let bench = set_up(entry, &slots).await;
            let list = if is_lie {
                &bench.subject.lies
            } else {
                &bench.subject.refusals
            };
            let refusal = &list[number];
            let outcome = caught(refusal.name, refusals::run(&bench, refusal)).await;
            vec![Played {
                kind: entry.0,
                column: if is_lie {
                    table::SOMEBODY_ELSE
                } else {
                    table::REFUSED
                },
                call: None,
                outcome,
            }]
        };
        playing.boxed()
    };
    let refusals = (0..subject.refusals.len()).map(|number| one(number, false));
    let lies = (0..subject.lies.len()).map(|number| one(number, true));
    refusals.chain(lies).collect()
}

fn lies(entry: Entry, subject: &subjects::Subject, slots: &Arc<Semaphore>) -> Vec<Play> {
    let mut plays = Vec::new();
    for (number, answered) in subject.answered.iter().enumerate() {
        let fields = (0..answered.fields.len()).map(Some);
        for field in std::iter::once(None).chain(fields) {
            let slots = Arc::clone(slots);
            let playing = async move {
                let bench = set_up(entry, &slots).await;
                let answered = &bench.subject.answered[number];
                let name = field.map_or("the truth", |number| answered.fields[number].0);
                let name = format!("{}: {name}", answered.route);
                let outcome = caught(&name, lies::run(&bench, answered, field)).await;
                // The truth is no lie.
                let column = field.map(|_| table::SOMEBODY_ELSE);
                vec![Played {
                    kind: entry.0,
                    column: column.unwrap_or("the truth"),
                    call: None,
                    outcome,
                }]
            };
            plays.push(playing.boxed());
        }
    }
    plays
}

#[test]
fn no_kind_is_left_out_and_gaps_are_those_of_the_kind() {
    let listed = subjects::all();
    for kind in credential_operator::providers::Kind::ALL {
        let of_kind: Vec<_> = listed
            .iter()
            .filter(|(name, _)| name.split(' ').next() == Some(kind.name()))
            .collect();
        assert!(!of_kind.is_empty(), "{} has no subject", kind.name());
        let traits = kind.traits();
        let can = |stage| of_kind.iter().any(|(_, make)| make().gap(stage).is_none());
        // What goes with all others of its user is revoked in stories of its own.
        let together = kind.name() == "soda.accessKey.onDelete";
        assert_eq!(can(Stage::Revoke), traits.revocable && !together);
        assert_eq!(can(Stage::Confirm), traits.revocable && !together);
        assert_eq!(can(Stage::Part), traits.parting, "{}", kind.name());
        assert_eq!(can(Stage::Regenerate), traits.regenerable);
    }
}
