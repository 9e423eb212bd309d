//! Answers that are larger than any credential: they are given up early, and cost no memory.

use testkit::{
    dce::{CURRENT_USER, Lie, TOKEN},
    server::Fault,
};

use crate::stage::{Stage, message_of, status_of};

/// The most memory that a process ever had, in KiB (proc(5), `VmHWM`).
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("VmHWM");
    line.split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number")
}

/// More than a call may read and log, far less than what is sent.
const MORE: u64 = 24 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_gigabyte_is_given_up_early_and_costs_no_memory() {
    let mut stage = Stage::new("large").await;
    stage.start().await;
    let rows = [
        (
            "a gigabyte for a token",
            TOKEN,
            Some(Fault::HugeBody(1 << 30)),
            "the answer is larger than 1 MiB",
        ),
        (
            "a gigabyte for a user",
            CURRENT_USER,
            Some(Fault::HugeBody(1 << 30)),
            "the answer is larger than 1 MiB",
        ),
        (
            "headers without end",
            TOKEN,
            Some(Fault::HugeHeaders),
            "larger",
        ),
        (
            "a token of a MiB",
            TOKEN,
            None,
            "the answer is larger than 1 MiB",
        ),
    ];
    for number in 0..rows.len() {
        stage.apply(&stage.request(&format!("api-{number}"))).await;
        stage.ready(&format!("api-{number}")).await;
    }
    let pid = stage.pid();
    let before = peak(pid);
    for (number, (what, route, fault, words)) in rows.into_iter().enumerate() {
        let name = format!("api-{number}");
        let good = stage.secret(&name).await;
        stage.dce.faults().clear();
        match fault {
            Some(fault) => stage.dce.faults().set(route, fault),
            None => stage.dce.lie(Lie::HugeToken),
        }
        stage
            .annotate(&name, "credential-operator.dev/rotate", "1")
            .await;
        let failing = stage
            .until(&name, what, |request| {
                status_of(request, "RenewalFailing").0 == "True"
            })
            .await;
        assert_eq!(
            status_of(&failing, "RenewalFailing").1,
            "UnexpectedAnswer",
            "{what}"
        );
        assert!(
            message_of(&failing, "RenewalFailing").contains(words),
            "{what}: {}",
            message_of(&failing, "RenewalFailing")
        );
        assert_eq!(
            stage.secret(&name).await.data,
            good.data,
            "{what}: the Secret is untouched"
        );
    }
    let grown = peak(pid) - before;
    println!("peak memory before: {before} KiB, grown by {grown} KiB");
    assert!(
        grown < MORE,
        "the operator's peak of memory grew by {grown} KiB"
    );
    stage.finish().await;
}
