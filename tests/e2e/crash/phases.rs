//! The phases of a life: where a request has to be at the end of each.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use super::*;
use crate::stage::{SOON, status_of};

/// How often it is looked whether the call has come that the fault waits for.
const LOOK: Duration = Duration::from_millis(150);

/// A part of a life, and what holds at its end.
pub struct Phase<'a> {
    pub name: &'static str,
    /// The serial of what was published before.
    pub after: u64,
    /// The rotation that was asked for last.
    pub rotated: Option<&'a str>,
    /// What is published is for this.
    pub purpose: &'a str,
}

/// Waits until a request is where it should be, and nothing is alive but what its Secret holds.
/// Returns the serial of that.
pub async fn settled<L: Life>(
    life: &mut L,
    accident: &mut Option<Accident>,
    phase: Phase<'_>,
) -> Result<u64, String> {
    let deadline = credential_operator::clock::monotonic() + SOON;
    let mut interval = tokio::time::interval(LOOK);
    loop {
        interval.tick().await;
        if let Some(accident) = accident {
            accident.look(life).await;
        }
        match state(life, &phase).await {
            Ok(serial) => return Ok(serial),
            Err(why) if credential_operator::clock::monotonic() > deadline => {
                return Err(format!("{}: {why}", phase.name));
            }
            Err(_) => {}
        }
    }
}

async fn state<L: Life>(life: &L, phase: &Phase<'_>) -> Result<u64, String> {
    let stage = life.stage();
    let request = stage.requests().get("it").await.unwrap();
    let status = request.status.clone().unwrap_or_default();
    if status_of(&request, "Ready") != ("True", "Synced") {
        return Err(format!("not ready: {:?}", status.conditions));
    }
    if status.observed_generation != request.metadata.generation {
        let observed = status.observed_generation;
        return Err(format!("observed generation: {observed:?}"));
    }
    if status.rotated.as_deref() != phase.rotated {
        return Err(format!("rotated: {:?}", status.rotated));
    }
    let [record] = status.credentials.as_slice() else {
        return Err(format!("in the ledger: {:?}", status.credentials));
    };
    let secret = stage.api::<Secret>().get_opt("it").await.unwrap();
    let secret = secret.ok_or("no Secret")?;
    let note = |name| secret.annotations()[&format!("credential-operator.dev/{name}")].clone();
    let (serial, held) = (note("serial"), note("credential-id"));
    if record.serial.to_string() != serial || record.serial <= phase.after {
        return Err(format!(
            "serial {} in the ledger, {serial} held",
            record.serial
        ));
    }
    if record.id.as_ref() != Some(&held) {
        return Err(format!("{:?} in the ledger, {held} held", record.id));
    }
    let alive = life.alive().await;
    if alive != [(held.clone(), phase.purpose.to_owned())] {
        return Err(format!("alive: {alive:?}, held: {held}"));
    }
    if !life.works(&secret).await {
        return Err(format!(
            "the provider does not take what the Secret holds: {held}"
        ));
    }
    Ok(record.serial)
}

/// Waits until a request is gone, and nothing of it is left.
pub async fn gone<L: Life>(life: &mut L, accident: &mut Option<Accident>) -> Result<(), String> {
    let deadline = credential_operator::clock::monotonic() + SOON;
    let mut interval = tokio::time::interval(LOOK);
    loop {
        interval.tick().await;
        if let Some(accident) = accident {
            accident.look(life).await;
        }
        let Some(request) = life.stage().requests().get_opt("it").await.unwrap() else {
            break;
        };
        if credential_operator::clock::monotonic() > deadline {
            return Err(format!("the farewell: status: {:?}", request.status));
        }
    }
    if let Some(accident) = accident {
        accident.has_happened(life).await?;
    }
    // From then on nobody revokes anything any more.
    let alive = life.alive().await;
    if alive.is_empty() {
        Ok(())
    } else {
        Err(format!("the farewell: alive: {alive:?}"))
    }
}
