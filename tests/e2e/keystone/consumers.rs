//! Workloads that use whatever is in their Secret are never refused, whatever is rotated.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::*;

const REQUESTS: u32 = 10;
const ROTATIONS: usize = 5;
const OVERLAP: Duration = Duration::from_secs(4);
/// How long after a change a workload sees it, as with a kubelet: the first and the last of them. All
/// together they ask Keystone, which has one thread, some six times a second.
const DELAYS: (Duration, Duration) = (Duration::from_millis(1500), Duration::from_secs(2));

/// What a workload has lived through.
#[derive(Default)]
struct Diary {
    /// The access keys that it has used.
    used: BTreeSet<String>,
    /// How often the Secret had a newer pair already.
    stale: usize,
    refused: Vec<String>,
}

/// Uses the pair in a Secret as it was `delay` ago, until told to stop, and then as it is.
async fn consume(
    rig: Arc<Rig>,
    name: String,
    mut pair: (String, String),
    delay: Duration,
    stop: Arc<AtomicBool>,
) -> Diary {
    let mut diary = Diary::default();
    let mut interval = tokio::time::interval(delay);
    loop {
        let last = stop.load(Ordering::Relaxed);
        interval.tick().await;
        let next = rig.pair(&name).await;
        diary.stale += usize::from(pair != next);
        for pair in [Some(&pair), last.then_some(&next)].into_iter().flatten() {
            diary.used.insert(pair.0.clone());
            if !rig.accepts(pair).await {
                diary.refused.push(pair.0.clone());
            }
        }
        if last {
            return diary;
        }
        pair = next;
    }
}

/// Makes sure that each pair was left alone for the overlap after it had been replaced.
fn overlaps_are_kept(rig: &Rig, name: &str) {
    let writes = rig.writes_of(name).unwrap();
    assert_eq!(writes.len(), ROTATIONS + 1, "{name}: {writes:?}");
    let revocations = rig.revocations();
    for pair in writes.windows(2) {
        let (replaced, since) = (&pair[0].id, pair[1].finished.unwrap());
        let mut its = revocations.iter().filter(|one| one.id == *replaced);
        let revoked = its.next().expect("it was revoked").started;
        let overlap = revoked.duration_since(since);
        // Times in the ledger are whole milliseconds.
        let least = OVERLAP - Duration::from_millis(1);
        assert!(overlap >= least, "{name}: revoked after {overlap:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_with_a_delay_is_never_refused() {
    let mut rig = Rig::new("ks-consumers").await;
    rig.stage.start().await;
    let names: Vec<_> = (0..REQUESTS).map(|number| format!("r-{number}")).collect();
    for name in &names {
        let mut request = rig.access_key(name);
        request["spec"]["renewal"] = json!({"overlap": format!("{}s", OVERLAP.as_secs())});
        rig.stage.apply(&request).await;
    }
    rig.stage.all_ready().await;
    let rig = Arc::new(rig);
    let stop = Arc::new(AtomicBool::new(false));
    let mut consumers = Vec::new();
    for (number, name) in (0..).zip(&names) {
        let delay = DELAYS.0 + (DELAYS.1 - DELAYS.0) * number / (REQUESTS - 1);
        let first = rig.pair(name).await;
        let consumer = consume(
            Arc::clone(&rig),
            name.clone(),
            first,
            delay,
            Arc::clone(&stop),
        );
        consumers.push(tokio::spawn(consumer));
    }
    for round in 1..=ROTATIONS {
        for name in &names {
            rig.stage
                .annotate(name, "credential-operator.dev/rotate", &round.to_string())
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
    for (name, consumer) in names.iter().zip(consumers) {
        let diary = consumer.await.unwrap();
        assert_eq!(diary.refused, [""; 0], "{name}");
        assert_eq!(diary.used.len(), ROTATIONS + 1, "{name}");
        assert_eq!(diary.stale, ROTATIONS, "{name}: each was used once more");
        overlaps_are_kept(&rig, name);
        rig.was_always_good(name).unwrap();
    }
    let Ok(rig) = Arc::try_unwrap(rig) else {
        panic!("somebody still uses the rig")
    };
    assert_eq!(rig.pairs().await.len(), names.len());
    rig.finish().await;
}
