//! Connections to the API server that go wrong below HTTP. Whatever happens to them, the operator hears
//! again soon, says meanwhile that it does not, and lists nothing for it.

mod handover;
mod lease;
mod recovery;
mod restored;
mod stages;

use std::{process::ExitStatus, time::Duration};

use anyhow::{Result, anyhow, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use testkit::{
    wait::eventually,
    wire::{Call, Fault, TcpFault, TcpProxy},
};

use crate::stage::{Operator, SOON, Stage};

/// A stage whose operator reaches the API server by a proxy below HTTP.
async fn stage(name: &str) -> Stage {
    let mut stage = Stage::new(name).await;
    stage.tcp = Some(TcpProxy::start(stage.wire.address()).expect("the proxy starts"));
    stage
}

/// The same, with deadlines that are short for tests.
async fn impatient_stage(name: &str) -> Stage {
    let mut stage = stage(name).await;
    stage.lease_seconds = 6;
    stage.flags = vec![
        "--api-server-timeout-seconds=2".to_owned(),
        "--watch-seconds=5".to_owned(),
    ];
    stage
}

fn tcp(stage: &Stage) -> &TcpProxy {
    stage.tcp.as_ref().expect("a proxy")
}

fn is_watch(line: &str) -> bool {
    line.contains("watch=true") && !is_lease(line)
}

fn is_lease(line: &str) -> bool {
    line.contains("/leases")
}

fn is_call(line: &str) -> bool {
    !is_watch(line) && !is_lease(line)
}

/// Waits until a copy's `/readyz` begins with this.
async fn answers(operator: &Operator, beginning: &str) -> Result<()> {
    eventually(SOON, || async {
        let answer = operator.get("/readyz").await?;
        ensure!(answer.starts_with(beginning), "{answer}");
        Ok(())
    })
    .await
}

/// Waits until a copy has ended.
async fn ended(operator: &mut Operator) -> ExitStatus {
    let ended = eventually(SOON, || {
        let ended = operator.ended();
        async move { ended.ok_or_else(|| anyhow!("it goes on")) }
    });
    ended.await.unwrap()
}

fn leases(stage: &Stage) -> Api<Lease> {
    Api::namespaced(stage.client.clone(), &stage.platform)
}

/// How often the Lease was renewed or taken through the wire.
fn renewals(stage: &Stage) -> usize {
    let renewed = |call: &Call| call.label() == "patch leases" && call.status == Some(200);
    stage.wire.calls_where(renewed).len()
}

/// Has another copy, which there is not, hold the Lease.
async fn steal_lease(stage: &Stage) {
    let body = json!({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 2}});
    let stolen = leases(stage)
        .patch(
            "credential-operator",
            &PatchParams::default(),
            &Patch::Merge(&body),
        )
        .await;
    stolen.expect("the lease is there");
}

/// A call that the operator makes again and again is held for ever.
fn hold(stage: &Stage, label: &'static str) -> testkit::wire::RuleHandle {
    stage
        .wire
        .rule(move |call| call.label() == label, Fault::HoldBefore, None)
}

const EVERY_FAULT: [TcpFault; 5] = TcpFault::ALL;

const DEFAULT_LEASE: Duration = Duration::from_secs(15);
