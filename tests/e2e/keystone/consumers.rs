//! Workloads that use whatever is in their Secret are never refused, whatever is rotated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::*;

const REQUESTS: usize = 10;
const ROTATIONS: usize = 5;
/// How long after a change a workload sees it at the latest, as with a kubelet.
const DELAY: Duration = Duration::from_secs(2);

/// Uses the pair in a Secret as it was seen `delay` ago, until told to stop.
async fn consume(
    rig: Arc<Rig>,
    name: String,
    delay: Duration,
    stop: Arc<AtomicBool>,
    uses: Arc<AtomicUsize>,
) -> Vec<String> {
    let mut refused = Vec::new();
    let mut pair = rig.pair(&name).await;
    let mut interval = tokio::time::interval(Duration::from_millis(250) + delay / 2);
    while !stop.load(Ordering::Relaxed) {
        let next = rig.pair(&name).await;
        interval.tick().await;
        if !rig.accepts(&pair).await {
            refused.push(format!("{name}: {}", pair.0));
        }
        uses.fetch_add(1, Ordering::Relaxed);
        pair = next;
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_with_a_delay_is_never_refused() {
    let mut rig = Rig::new("ks-consumers").await;
    rig.stage.start().await;
    for number in 0..REQUESTS {
        let mut request = rig.access_key(&format!("r-{number}"));
        request["spec"]["renewal"] = json!({"overlap": "4s"});
        rig.stage.apply(&request).await;
    }
    rig.stage.all_ready().await;
    let rig = Arc::new(rig);
    let (stop, uses) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let consumers: Vec<_> = (0..REQUESTS)
        .map(|number| {
            let delay = DELAY * u32::try_from(number).unwrap() / 10;
            let name = format!("r-{number}");
            tokio::spawn(consume(
                Arc::clone(&rig),
                name,
                delay,
                Arc::clone(&stop),
                Arc::clone(&uses),
            ))
        })
        .collect();
    for round in 1..=ROTATIONS {
        for number in 0..REQUESTS {
            let name = format!("r-{number}");
            rig.stage
                .annotate(&name, "credential-operator.dev/rotate", &round.to_string())
                .await;
        }
        let done = Some(round.to_string());
        rig.stage
            .all_within(
                Duration::from_secs(60),
                "rotated and tidied up",
                |request| {
                    let status = request.status.as_ref().unwrap();
                    status.rotated == done && status.credentials.len() == 1
                },
            )
            .await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut refused = Vec::new();
    for consumer in consumers {
        refused.append(&mut consumer.await.unwrap());
    }
    assert_eq!(refused, [""; 0]);
    let uses = uses.load(Ordering::Relaxed);
    assert!(uses > REQUESTS * ROTATIONS, "{uses} uses");
    let Ok(rig) = Arc::try_unwrap(rig) else {
        panic!("somebody still uses the rig")
    };
    assert_eq!(rig.pairs().await.len(), REQUESTS);
    rig.finish().await;
}
