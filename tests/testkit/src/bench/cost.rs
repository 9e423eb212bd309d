//! Which requests the operator makes to the API server, as the wire proxy sees them, and what it
//! writes: the floor program writes the same.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};
use testkit::wait::eventually;
use testkit::wire::{Call, WireProxy};

use super::ready::ReadyWatch;
use super::rig::{DEADLINE, NAMESPACE, Rig};

/// How many requests are counted with.
const COUNTED: usize = 100;

/// The API requests of one run.
#[derive(Serialize)]
pub struct Calls {
    /// For how many requests.
    pub requests: usize,
    /// How many there were of each, such as `create secrets`.
    pub by_verb: BTreeMap<String, usize>,
    /// Those that were refused, with the status, such as `create secrets: 409`.
    pub refused: BTreeMap<String, usize>,
}

/// What the operator was seen to write for one request.
#[derive(Clone, Serialize, Deserialize)]
pub struct Templates {
    /// The request's name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// The write that creates the Secret.
    pub secret: Write,
    /// The write of the status.
    pub status: Write,
}

/// A write, as it was seen.
#[derive(Clone, Serialize, Deserialize)]
pub struct Write {
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path_and_query: String,
    /// The type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// Counts what requests cost that are there when the operator starts.
///
/// # Errors
/// When they do not become Ready.
pub async fn first_sync(rig: &Rig) -> Result<(Calls, Templates)> {
    let created = rig.create_many(NAMESPACE, COUNTED).await?;
    let proxy = WireProxy::start(rig.control_plane.url(), Some(rig.control_plane.ca_pem()))?;
    let mut watch = ReadyWatch::begin(&rig.requests(NAMESPACE)).await?;
    let operator = rig.operator_through(proxy.url())?;
    watch
        .until(COUNTED, DEADLINE)
        .await
        .with_context(|| operator.log_tail())?;
    let calls = until_quiet(&proxy).await?;
    operator.stop()?;
    rig.clear(NAMESPACE).await?;
    let sample = created.first().context("no request was created")?;
    let write = |label: &str| seen_write(&calls, label, &sample.name_any());
    let templates = Templates {
        name: sample.name_any(),
        uid: sample.uid().unwrap_or_default(),
        namespace: NAMESPACE.to_owned(),
        secret: write("create secrets")?,
        status: write("patch credentialrequests/status")?,
    };
    Ok((count(&calls, COUNTED), templates))
}

/// The calls of a proxy, once there were no new ones for a second.
///
/// # Errors
/// When that does not come.
pub async fn until_quiet(proxy: &WireProxy) -> Result<Vec<Call>> {
    eventually(DEADLINE, || async {
        let before = proxy.mark();
        tokio::time::sleep(Duration::from_secs(1)).await;
        anyhow::ensure!(proxy.mark() == before, "the operator does not come to rest");
        Ok(())
    })
    .await?;
    Ok(proxy.calls())
}

/// Counts calls.
pub fn count(calls: &[Call], requests: usize) -> Calls {
    let mut refused = BTreeMap::new();
    for call in calls {
        if let Some(status) = call.status.filter(|status| *status >= 400) {
            *refused
                .entry(format!("{}: {status}", call.label()))
                .or_default() += 1;
        }
    }
    Calls {
        requests,
        by_verb: testkit::wire::summarize(calls),
        refused,
    }
}

/// The first write of this kind that mentions the request. Of a POST the path does not, so the body
/// is asked.
fn seen_write(calls: &[Call], label: &str, name: &str) -> Result<Write> {
    let mentions = |call: &&Call| {
        call.path.contains(name) || String::from_utf8_lossy(&call.request_body).contains(name)
    };
    let call = calls
        .iter()
        .filter(|call| call.label() == label)
        .find(mentions);
    let call = call.with_context(|| format!("the operator was not seen to {label} for {name}"))?;
    let query = call
        .query
        .as_ref()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    Ok(Write {
        method: call.method.to_string(),
        path_and_query: format!("{}{query}", call.path),
        content_type: call.content_type.clone().unwrap_or_default(),
        body: String::from_utf8(call.request_body.to_vec())?,
    })
}
