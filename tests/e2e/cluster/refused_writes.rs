//! Each write of a Secret meets each answer of the API server that is none. One operator serves all
//! cells of the table at once, so that their expiries are waited for together.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testkit::{
    wait::eventually,
    wire::{CallHead, Fault, ResponseParts},
};

use crate::stage::{SOON, Stage, create, is_about_secret, message_of, status_of};

/// The writes of a Secret in the life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    First,
    Renewal,
    Repair,
    Adoption,
    Retain,
}

const WRITES: [Write; 5] = [
    Write::First,
    Write::Renewal,
    Write::Repair,
    Write::Adoption,
    Write::Retain,
];

impl Write {
    /// Whether a credential is published before.
    fn comes_later(self) -> bool {
        matches!(self, Write::Renewal | Write::Repair | Write::Retain)
    }
}

/// The answers: a name, the fault, and the words of the condition.
const ANSWERS: [(&str, u16, &str, &str, &str); 10] = [
    (
        "400",
        400,
        "BadRequest",
        "the object is malformed",
        "400 BadRequest",
    ),
    (
        "403",
        403,
        "Forbidden",
        "secrets is forbidden: User cannot write",
        "403 Forbidden: secrets is forbidden: User cannot write",
    ),
    ("404", 404, "NotFound", "no such thing", "404 NotFound"),
    (
        "409",
        409,
        "Conflict",
        "somebody was quicker",
        "409 Conflict",
    ),
    (
        "413",
        413,
        "RequestEntityTooLarge",
        "limit is 3145728",
        "413 RequestEntityTooLarge",
    ),
    (
        "422",
        422,
        "Invalid",
        "Secret is invalid: data: Too long",
        "422 Invalid",
    ),
    (
        "429",
        429,
        "TooManyRequests",
        "slow down",
        "429 TooManyRequests",
    ),
    (
        "500",
        500,
        "InternalError",
        "Internal error occurred: failed calling webhook \"w.example.com\": failed to call webhook: Post \"https://x\"",
        "admission webhook w.example.com could not be called (500 InternalError)",
    ),
    (
        "503",
        503,
        "ServiceUnavailable",
        "etcd is away",
        "503 ServiceUnavailable",
    ),
    ("504", 504, "Timeout", "it took too long", "504 Timeout"),
];
/// The same for answers that do not come.
const SILENCES: [(&str, &str); 2] = [("none", "did not answer"), ("reset", "did not answer")];

fn fault(answer: &str) -> Fault {
    match answer {
        "none" => Fault::HoldBefore,
        "reset" => Fault::CutBefore,
        code => {
            let (_, code, reason, message, _) = ANSWERS
                .into_iter()
                .find(|(name, ..)| *name == code)
                .expect("an answer of the table");
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": reason, "code": code,
            });
            Fault::Reply(ResponseParts::json(code, &status))
        }
    }
}

/// One cell of the table.
struct Cell {
    write: Write,
    answer: &'static str,
    words: &'static str,
    name: String,
}

fn cells() -> Vec<Cell> {
    let answers = ANSWERS.iter().map(|(name, .., words)| (*name, *words));
    answers
        .chain(SILENCES)
        .flat_map(|(answer, words)| {
            WRITES.map(|write| Cell {
                write,
                answer,
                words,
                name: format!("{write:?}-{answer}").to_lowercase(),
            })
        })
        .collect()
}

fn writes(call: &CallHead, name: &str) -> bool {
    is_about_secret(call, name) && call.method != "GET"
}

/// Breaks the writes of a cell's Secret, and brings about the write.
async fn provoke(stage: &Stage, cell: &Cell) {
    let name = cell.name.clone();
    stage
        .wire
        .rule(move |call| writes(call, &name), fault(cell.answer), None);
    let name = &cell.name;
    match cell.write {
        Write::First => stage.apply(&stage.request(name)).await,
        Write::Adoption => {
            let consent = json!({"credential-operator.dev/adopt-by": name});
            create::<Secret>(
                &stage.api(),
                json!({"metadata": {"name": name, "annotations": consent}, "stringData": {"theirs": "kept"}}),
            )
            .await;
            stage.apply(&stage.request(name)).await;
        }
        Write::Renewal => {
            stage
                .annotate(name, "credential-operator.dev/rotate", "now")
                .await;
        }
        Write::Repair => {
            let patch = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}});
            stage
                .api::<Secret>()
                .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .expect("the label is changed");
        }
        Write::Retain => {
            stage
                .change(name, json!({"spec": {"deletionPolicy": "Retain"}}))
                .await;
        }
    }
}

/// The condition that says what is wrong with a write, and its words.
fn is_told(cell: &Cell, request: &credential_operator::api::CredentialRequest) -> Result<()> {
    let (type_, status) = if cell.write.comes_later() {
        ("RenewalFailing", "True")
    } else {
        ("Ready", "False")
    };
    ensure!(
        status_of(request, type_) == (status, "SecretRefused"),
        "{type_} is {:?}",
        status_of(request, type_)
    );
    let words = message_of(request, type_);
    ensure!(words.contains(cell.words), "{type_} says {words:?}");
    if cell.write.comes_later() {
        ensure!(status_of(request, "Ready").0 == "True", "still usable");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_written_is_said_whatever_the_api_server_answers() {
    let mut stage = Stage::new("unwritable").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(75)));
    stage.start().await;
    let cells = cells();
    for cell in cells.iter().filter(|cell| cell.write.comes_later()) {
        stage.apply(&stage.request(&cell.name)).await;
    }
    stage.all_ready().await;
    let mark = stage.wire.mark();
    let begun = credential_operator::clock::monotonic();
    futures::future::join_all(cells.iter().map(|cell| provoke(&stage, cell))).await;

    for cell in &cells {
        eventually(SOON, || async {
            is_told(cell, &stage.requests().get(&cell.name).await?)
        })
        .await
        .unwrap_or_else(|error| panic!("{}: {error:#}", cell.name));
    }
    let issued = stage.dce.token_requests();

    // The moment that what is published expires, no request is ready any more.
    for cell in cells.iter().filter(|cell| cell.write.comes_later()) {
        stage
            .within(Duration::from_secs(120), &cell.name, "expired", |request| {
                let late = credential_operator::clock::now()
                    .duration_since(request.status.as_ref().unwrap().expires_at.unwrap());
                assert!(
                    late.as_secs() < 20 || status_of(request, "Ready").0 == "False",
                    "{} is ready {late:#} after the end of its token",
                    cell.name
                );
                status_of(request, "Ready") == ("False", "Expired")
            })
            .await;
    }
    let seconds = begun.elapsed().as_secs();
    let events = stage.events().await;
    let calls = stage.wire.since(mark);
    for cell in &cells {
        let about = format!("Secret {}", cell.name);
        assert!(
            events
                .iter()
                .any(|event| event.starts_with("SecretRefused") && event.contains(&about)),
            "no event for {}",
            cell.name
        );
        let tries = calls.iter().filter(|call| writes(call, &cell.name)).count() as u64;
        assert!(
            (1..=seconds).contains(&tries),
            "{}: {tries} writes in {seconds} s",
            cell.name
        );
    }
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for call in &calls {
        if let Some(meant) = call.kubernetes().filter(|meant| {
            meant.resource == "credentialrequests" && meant.subresource.as_deref() == Some("status")
        }) && let Some(name) = meant.name
        {
            *statuses.entry(name.to_owned()).or_default() += 1;
        }
    }
    for (name, count) in statuses {
        assert!(count <= seconds, "{name}: {count} statuses in {seconds} s");
    }
    // Tokens that expired in hand are issued once more, after a dry run alone.
    let again = stage.dce.token_requests() - issued;
    assert!(again <= cells.len() as u64, "{again} further tokens");

    stage.wire.clear_rules();
    stage.dce.grant_at_most(None);
    for cell in &cells {
        stage
            .annotate(&cell.name, "credential-operator.dev/rotate", "again")
            .await;
    }
    stage.all_ready().await;
    for cell in &cells {
        let request = stage.requests().get(&cell.name).await.unwrap();
        assert_eq!(request.status.unwrap().write_failure, None, "{}", cell.name);
    }
    stage.finish().await;
}
