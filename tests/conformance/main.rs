//! What every kind of credential has to stand, whichever system it comes from: each kind of bad answer at
//! each of its calls. The rows run against the provider's own client and the system's simulator, without
//! an API server; the rest of the operator is the same for all kinds and has stories of its own.
//!
//! A further kind is one more entry in [`subjects::all`], and passes the same rows.

mod answers;
mod dce;
mod stages;
mod subjects;

use std::fmt::Write as _;

use futures::{StreamExt, stream};
use stages::{STAGES, Stage};

/// How many rows at least each kind has to pass.
const LEAST: usize = 25;

/// How many rows run at once.
const AT_ONCE: usize = 150;

/// The table that people read.
const TABLE: &str = "docs/reference/conformance.md";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_kind_stands_every_bad_answer_at_every_call() {
    let mut table = Vec::new();
    let mut rows = Vec::new();
    let mut lives = Vec::new();
    for (kind, make) in subjects::all() {
        let mut planned = Vec::new();
        for stage in STAGES {
            if let Some(why) = make().gap(*stage) {
                planned.push(Err(why));
                continue;
            }
            planned.push(Ok(answers::all().len()));
            // Each row has a system of its own.
            rows.extend(answers::all().into_iter().map(|answer| async move {
                let name = format!("{kind}: {} {}", stage.name(), answer.name);
                let row = tokio::spawn(stages::run(make, *stage, answer));
                row.await.err().map(|error| format!("{name}: {error}"))
            }));
        }
        table.push((kind, planned));
        lives.push(async move {
            let life = tokio::spawn(stages::live(make)).await;
            let somebody_else = tokio::spawn(stages::somebody_else(make)).await;
            [
                life.err().map(|error| format!("{kind}: a life: {error}")),
                somebody_else
                    .err()
                    .map(|error| format!("{kind}: an answer for somebody else: {error}")),
            ]
        });
    }
    let lives = stream::iter(lives).buffer_unordered(AT_ONCE);
    let unwell: Vec<_> = lives.collect().await;
    // They wait for their time-outs side by side.
    let outcomes = stream::iter(rows).buffer_unordered(AT_ONCE);
    let mut failed: Vec<_> = outcomes.filter_map(std::future::ready).collect().await;
    failed.extend(unwell.into_iter().flatten().flatten());
    let text = written(&table);
    println!("{text}");
    assert!(
        failed.is_empty(),
        "{} rows failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    for (kind, passed) in &table {
        let rows: usize = passed.iter().flatten().sum();
        assert!(
            rows >= LEAST,
            "{kind} passes {rows} rows, {LEAST} are the least"
        );
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    if old != text {
        std::fs::write(&path, &text).unwrap();
        panic!("{TABLE} was stale and has been written anew: look at it, and commit it");
    }
}

/// The table: kinds by stages.
fn written(table: &[(&str, Vec<Result<usize, &'static str>>)]) -> String {
    let mut text = String::from(
        "# Conformance\n\n<!-- Made by tests/conformance; `cargo test --test conformance` writes it anew. -->\n\n\
         Each kind of credential was met with each of these bad answers at each of its calls: how many of the rows\n\
         passed, or why there are none.\n\n| kind |",
    );
    for stage in STAGES {
        write!(text, " {} |", stage.name()).unwrap();
    }
    text.push_str(" a life | somebody else's |");
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(STAGES.len() + 2));
    for (kind, passed) in table {
        write!(text, "\n| `{kind}` |").unwrap();
        for outcome in passed {
            match outcome {
                Ok(rows) => write!(text, " {rows} |").unwrap(),
                Err(why) => write!(text, " – ({why}) |").unwrap(),
            }
        }
        text.push_str(" 1 | 1 |");
    }
    text.push_str("\n\nThe calls:\n\n");
    for stage in STAGES {
        writeln!(text, "- **{}**: {}", stage.name(), stage.promise()).unwrap();
    }
    text.push_str(
        "- **a life**: without a bad answer. Issued and proven, at the same price each time; issued once more while the \
         first goes on working; each revoked, which is confirmed, and not the other one with it. What is only read is the \
         same again, and no call changes anything.\n\
         - **somebody else's**: an answer that is about another user or another object than was asked for is refused.\n",
    );
    text.push_str("\nThe answers:\n\n");
    for answer in answers::all() {
        writeln!(text, "- {}", answer.name).unwrap();
    }
    text
}

#[test]
fn no_kind_is_left_out() {
    let listed: Vec<_> = subjects::all().into_iter().map(|(kind, _)| kind).collect();
    for kind in credential_operator::providers::Kind::ALL {
        assert!(
            listed.contains(&kind.name()),
            "{} has no subject",
            kind.name()
        );
    }
    assert!(Stage::Issue.promise().len() > 10);
}
