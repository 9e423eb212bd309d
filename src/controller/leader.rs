//! Which of several copies acts: the one that holds a Lease.
//!
//! The Lease keeps copies from working side by side. It is not what keeps them from doing harm: a
//! process can be stopped at any instruction and go on much later. That is what resource versions and
//! derived names are for. What is checked here, right before a call that changes something, makes it
//! rare that they are needed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1 as coordination;
use kube::{Api, Client};
use kube_lease_manager::{DurationSeconds, LeaseManager, LeaseManagerBuilder};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::lock;
use crate::clock;

/// How the Lease is called and held.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Who this copy is.
    pub identity: String,
    /// How long it is held without being renewed.
    pub duration: Duration,
}

/// How often it is noted that the process is running.
const TICK: Duration = Duration::from_millis(250);
/// How often a Lease that cannot be reached is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long giving the Lease back may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Whether this copy may act.
#[derive(Clone)]
pub struct Leadership {
    inner: Arc<Inner>,
}

struct Inner {
    leading: AtomicBool,
    /// Until when the Lease is held for certain, by what the API server was last seen to say. Nobody
    /// tells when it could not be renewed.
    proven_until: Mutex<Option<Instant>>,
    /// When the process was last seen running, and how long it may go unseen.
    seen: Mutex<Instant>,
    limit: Option<Duration>,
}

impl Leadership {
    /// Of a copy that acts only while it holds a Lease, or of one that is said to be alone.
    pub fn new(lease: Option<&Lease>) -> Self {
        let inner = Inner {
            leading: AtomicBool::new(lease.is_none()),
            proven_until: Mutex::default(),
            seen: Mutex::new(clock::monotonic()),
            // A Lease is renewed when two thirds of it are over, at the latest.
            limit: lease.map(|lease| lease.duration / 3),
        };
        Leadership {
            inner: Arc::new(inner),
        }
    }

    /// Whether this copy may change something now. Not when the process has not been running for so
    /// long, or the Lease has not been renewed for so long, that another copy may have taken over.
    pub fn may_act(&self) -> bool {
        self.inner.leading.load(Ordering::Relaxed) && !self.was_stopped() && self.is_proven()
    }

    fn is_proven(&self) -> bool {
        lock(&self.inner.proven_until).is_none_or(|until| clock::monotonic() < until)
    }

    /// Notes until when the Lease is held.
    fn prove(&self, until: Instant) {
        *lock(&self.inner.proven_until) = Some(until);
    }

    fn was_stopped(&self) -> bool {
        let unseen = lock(&self.inner.seen).elapsed();
        self.inner.limit.is_some_and(|limit| unseen > limit)
    }

    /// Notes that the process is running. Says whether it has been stopped for too long before.
    fn tick(&self) -> bool {
        let stopped = self.was_stopped();
        if !stopped {
            *lock(&self.inner.seen) = clock::monotonic();
        }
        stopped
    }
}

/// A Lease that is held.
pub struct Held {
    leadership: Leadership,
    channel: watch::Receiver<bool>,
    task: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
    proofs: AbortOnDropHandle<()>,
}

/// Waits until this copy holds the Lease. `None` when it was told to stop before. `found` is called when
/// the Lease is there, so that all that is left to wait for is another copy.
///
/// # Errors
/// When the Lease cannot be watched, which would be a defect.
pub async fn acquire(
    client: Client,
    lease: &Lease,
    leadership: &Leadership,
    found: impl FnOnce(),
    stop: &CancellationToken,
) -> anyhow::Result<Option<Held>> {
    let Some(manager) = stop
        .run_until_cancelled(manager(client.clone(), lease))
        .await
    else {
        return Ok(None);
    };
    let (mut channel, task) = manager.watch().await;
    found();
    tracing::info!(lease = %lease.name, namespace = %lease.namespace, identity = %lease.identity, "waiting for the lease");
    let held = tokio::select! {
        () = stop.cancelled() => false,
        held = channel.wait_for(|leading| *leading) => {
            held.context("the lease is not watched any more")?;
            true
        }
    };
    if !held {
        give_back(channel, task).await;
        return Ok(None);
    }
    tracing::info!("holding the lease");
    let now = clock::monotonic();
    *lock(&leadership.inner.seen) = now;
    leadership.prove(now + lease.duration * 2 / 3);
    leadership.inner.leading.store(true, Ordering::Relaxed);
    let proofs = tokio::spawn(prove_again_and_again(
        client,
        lease.clone(),
        leadership.clone(),
    ));
    Ok(Some(Held {
        leadership: leadership.clone(),
        channel,
        task,
        proofs: AbortOnDropHandle::new(proofs),
    }))
}

/// Looks at the Lease after each time that it should have been renewed.
async fn prove_again_and_again(client: Client, lease: Lease, leadership: Leadership) {
    let api: Api<coordination::Lease> = Api::namespaced(client, &lease.namespace);
    loop {
        // It is renewed when a third of it is left.
        let until = *lock(&leadership.inner.proven_until);
        let next = until.and_then(|until| until.checked_sub(lease.duration / 4));
        tokio::time::sleep_until(next.unwrap_or_else(clock::monotonic).into()).await;
        let asked = clock::monotonic();
        let found = tokio::time::timeout(lease.duration / 5, api.get(&lease.name)).await;
        let left = match &found {
            Ok(Ok(found)) => left(found, &lease, clock::now()),
            Ok(Err(_)) | Err(_) => None,
        };
        match left.map(|left| asked + left) {
            Some(proven) if Some(proven) > until => leadership.prove(proven),
            _ => tokio::time::sleep(lease.duration / 15).await,
        }
    }
}

/// How much longer this copy holds the Lease by what stands in it. Its times are those of this machine's
/// clock, since this copy wrote them.
fn left(found: &coordination::Lease, lease: &Lease, now: Timestamp) -> Option<Duration> {
    let spec = found.spec.as_ref()?;
    if spec.holder_identity.as_ref() != Some(&lease.identity) {
        return None;
    }
    let age = now.duration_since(spec.renew_time.as_ref()?.0);
    // A time in the future is that of a clock that was set back since.
    let age = Duration::try_from(age).unwrap_or_default();
    lease.duration.checked_sub(age)
}

/// What follows the Lease, which is created where it is not there. The API server may have to be
/// waited for, and rights may have to be given.
async fn manager(client: Client, lease: &Lease) -> LeaseManager {
    let seconds: DurationSeconds = lease.duration.as_secs().max(3);
    loop {
        let manager = LeaseManagerBuilder::new(client.clone(), &lease.name)
            .with_namespace(&lease.namespace)
            .with_identity(&lease.identity)
            .with_field_manager(format!("credential-operator-{}", lease.identity))
            .with_duration(seconds)
            .with_grace(seconds / 3)
            .build()
            .await;
        match manager {
            Ok(manager) => return manager,
            Err(error) => {
                tracing::warn!(lease = %lease.name, namespace = %lease.namespace, %error, "the lease can be neither read nor created; it is tried again. \
                    See --lease-namespace and --leader-election, and the Role beside the operator");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Held {
    /// Ends when the Lease is lost, or may have been.
    ///
    /// # Errors
    /// Always: without it this copy must not go on.
    pub async fn until_lost(&mut self) -> anyhow::Result<()> {
        let leadership = self.leadership.clone();
        let stopped = async {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                if leadership.tick() {
                    return;
                }
            }
        };
        let why = tokio::select! {
            lost = self.channel.wait_for(|leading| !*leading) => match lost {
                Ok(_) => "another copy holds the lease",
                Err(_) => "the lease is not watched any more",
            },
            () = stopped => "the process was stopped for so long that another copy may have taken over",
        };
        self.leadership
            .inner
            .leading
            .store(false, Ordering::Relaxed);
        anyhow::bail!("{why}; ending, to begin anew");
    }

    /// Gives the Lease back, so that another copy need not wait for it to end.
    pub async fn give_back(self) {
        self.leadership
            .inner
            .leading
            .store(false, Ordering::Relaxed);
        drop(self.proofs);
        give_back(self.channel, self.task).await;
    }
}

async fn give_back(
    channel: watch::Receiver<bool>,
    task: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
) {
    drop(channel);
    // One that another copy holds by now is left alone.
    if tokio::time::timeout(FAREWELL, task).await.is_err() {
        tracing::warn!("the lease could not be given back; another copy has to wait for it to end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(duration: Duration) -> Lease {
        Lease {
            name: "l".into(),
            namespace: "n".into(),
            identity: "me".into(),
            duration,
        }
    }

    #[test]
    fn a_copy_that_is_alone_may_always_act() {
        let alone = Leadership::new(None);
        *lock(&alone.inner.seen) -= Duration::from_secs(3600);
        assert!(alone.may_act());
    }

    #[test]
    fn a_copy_acts_only_while_it_leads_and_not_after_it_was_stopped() {
        let leadership = Leadership::new(Some(&lease(Duration::from_secs(15))));
        assert!(!leadership.may_act(), "not before it holds the lease");
        leadership.inner.leading.store(true, Ordering::Relaxed);
        assert!(leadership.may_act() && !leadership.tick());
        *lock(&leadership.inner.seen) -= Duration::from_secs(6);
        assert!(
            !leadership.may_act(),
            "stopped for longer than a third of the lease"
        );
        assert!(
            leadership.tick() && !leadership.may_act(),
            "and that stays so"
        );
    }

    #[test]
    fn a_copy_acts_no_longer_than_the_lease_was_seen_to_be_renewed() {
        let lease = lease(Duration::from_secs(15));
        let leadership = Leadership::new(Some(&lease));
        leadership.inner.leading.store(true, Ordering::Relaxed);
        let now = clock::monotonic();
        leadership.prove(now);
        assert!(!leadership.may_act(), "nobody has seen it renewed");
        leadership.prove(now + lease.duration);
        assert!(
            leadership.may_act(),
            "it goes on when it is renewed after all"
        );
    }

    #[test]
    fn a_lease_is_held_for_its_duration_after_it_was_renewed_by_the_one_who_renewed_it() {
        let now: Timestamp = "2026-01-01T00:00:20Z".parse().unwrap();
        let found = |holder: &str, renewed: &str| coordination::Lease {
            spec: Some(coordination::LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                renew_time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(
                    renewed.parse().unwrap(),
                )),
                ..Default::default()
            }),
            ..Default::default()
        };
        let lease = lease(Duration::from_secs(15));
        for (holder, renewed, expected) in [
            ("me", "2026-01-01T00:00:20Z", Some(15)),
            ("me", "2026-01-01T00:00:10Z", Some(5)),
            ("me", "2026-01-01T00:00:04Z", None),
            ("me", "2026-01-01T00:01:00Z", Some(15)),
            ("other", "2026-01-01T00:00:20Z", None),
        ] {
            assert_eq!(
                left(&found(holder, renewed), &lease, now),
                expected.map(Duration::from_secs),
                "{holder} {renewed}"
            );
        }
    }
}
