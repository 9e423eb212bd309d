//! How long one request takes on an idle machine.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::ready::ReadyWatch;
use super::report::Spread;
use super::rig::{DEADLINE, NAMESPACE, Rig};

/// How long the machine is left alone before each request.
const PAUSE: Duration = Duration::from_millis(200);

/// The times of single requests, in milliseconds.
#[derive(Serialize)]
pub struct Single {
    /// From before the request is sent to the API server until a watch says that it is Ready.
    pub to_ready: Spread,
    /// The same from the API server's answer on.
    pub created_to_ready: Spread,
    /// What the provider takes of it: its two calls, made by this program.
    pub provider: Spread,
}

/// Measures.
///
/// # Errors
/// When a request does not become Ready.
pub async fn measure(rig: &Rig, samples: usize) -> Result<Single> {
    let mut operator = rig.operator(&[])?;
    operator
        .ready()
        .await
        .with_context(|| operator.log_tail())?;
    let (mut to_ready, mut created_to_ready, mut provider) = (vec![], vec![], vec![]);
    // One more: the first opens the connections.
    for sample in 0..=samples {
        tokio::time::sleep(PAUSE).await;
        let two_calls = rig.simulator.two_calls().await?;
        let name = format!("single-{sample:05}");
        let mut watch = ReadyWatch::begin_for(&rig.requests(NAMESPACE), &name).await?;
        tokio::time::sleep(PAUSE).await;
        let asked = Instant::now();
        rig.create(NAMESPACE, &name).await?;
        let created = Instant::now();
        let (ready, _) = watch
            .until(1, DEADLINE)
            .await
            .with_context(|| operator.log_tail())?;
        if sample > 0 {
            to_ready.push(milliseconds(ready.duration_since(asked)));
            // The watch may be faster than the answer.
            created_to_ready.push(milliseconds(ready.saturating_duration_since(created)));
            provider.push(milliseconds(two_calls));
        }
    }
    operator.stop()?;
    rig.clear(NAMESPACE).await?;
    Ok(Single {
        to_ready: Spread::of(to_ready),
        created_to_ready: Spread::of(created_to_ready),
        provider: Spread::of(provider),
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
