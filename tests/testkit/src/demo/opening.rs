//! What every story begins with: the control plane, and the operator.

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use super::narrator::{Narrator, seconds};
use super::operator::Operator;
use super::scene::Scene;

/// Says what the story is about and which programs it starts, of which `others` are its own.
pub fn announce(narrator: &Narrator, title: &str, others: &str) {
    narrator.title(title);
    narrator.says(&format!(
        "\nIt starts these on loopback, and ends them: etcd, kube-apiserver, kube-controller-manager, the operator,\n\
         {others}.\n\
         What is missing on this machine is put into a cache first. That takes minutes, and happens once."
    ));
}

/// Puts up a control plane and the operator.
///
/// # Errors
/// When one of them does not come up.
pub async fn put_up(narrator: &mut Narrator, scene: &mut Scene) -> Result<()> {
    narrator.step("A Kubernetes control plane: etcd, API server and controller manager, without nodes or containers");
    let started = Instant::now();
    // Before the wait, which may be long the first time: there is nothing to show without it.
    Operator::binary()?;
    let url = scene.start_control_plane().await?.url().to_owned();
    let version = scene.kubectl("version -o json", "").await?;
    let version: Value = serde_json::from_str(&version)?;
    let version = version["serverVersion"]["gitVersion"]
        .as_str()
        .unwrap_or("unknown")
        .to_owned();
    narrator.verified(format!(
        "Kubernetes {version} serves at {url}, with the operator's CRDs and roles, after {}",
        seconds(started.elapsed())
    ));

    narrator.step("The operator, as a process of its own, with the rights of its ServiceAccount in deploy/ and no others");
    let started = Instant::now();
    scene.start_operator().await?;
    narrator.verified(format!("it is ready after {}", seconds(started.elapsed())));
    Ok(())
}
