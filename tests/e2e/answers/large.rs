//! Answers that are larger than any credential: they are given up early, and cost no memory.

use testkit::{
    dce::{CURRENT_USER, Lie, TOKEN},
    server::Fault,
};

use crate::stage::{Stage, message_of, status_of};

/// The most memory that a process ever had, in KiB (proc(5), `VmHWM`).
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// More than a call may read and log, far less than what is sent.
const MORE: u64 = 24 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_gigabyte_is_given_up_early_and_costs_no_memory() {
    let mut stage = Stage::new("large").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let token = stage.token("api").await;
    let pid = stage.pid();
    let before = peak(pid);
    let mut reasons = Vec::new();
    for (number, (what, route, fault, expected, words)) in [
        ("a gigabyte for a token", TOKEN, Some(Fault::HugeBody(1 << 30)), "UnexpectedAnswer", "larger than 1 MiB"),
        ("a gigabyte for a user", CURRENT_USER, Some(Fault::HugeBody(1 << 30)), "UnexpectedAnswer", "larger than 1 MiB"),
        ("headers without end", TOKEN, Some(Fault::HugeHeaders), "UnexpectedAnswer", "larger than"),
        ("a token of a MiB", TOKEN, None, "UnexpectedAnswer", "larger than 1 MiB"),
    ]
    .into_iter()
    .enumerate()
    {
        stage.dce.faults().clear();
        match fault {
            Some(fault) => stage.dce.faults().set(route, fault),
            None => stage.dce.lie(Lie::HugeToken),
        }
        stage.annotate("api", "credential-operator.dev/rotate", &format!("{number}")).await;
        let rotating = number + 1;
        let failing = stage
            .until("api", what, |request| {
                let failure = request.status.as_ref().and_then(|status| status.failure.as_ref());
                let this = failure.is_some_and(|failure| failure.inputs.ends_with(&format!("/{number}")));
                this && status_of(request, "RenewalFailing").0 == "True"
            })
            .await;
        assert_eq!(status_of(&failing, "RenewalFailing").1, expected, "{what}, rotation {rotating}");
        assert!(message_of(&failing, "RenewalFailing").contains(words), "{what}: {}", message_of(&failing, "RenewalFailing"));
        assert_eq!(stage.token("api").await, token, "{what}: the Secret is untouched");
        reasons.push((what, peak(pid) - before));
    }
    let grown = peak(pid) - before;
    assert!(grown < MORE, "the operator's memory grew by {grown} KiB: {reasons:?}");
    println!("peak memory {before} KiB, grown by {grown} KiB: {reasons:?}");
    stage.finish().await;
}
