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
use kube::Client;
use kube_lease_manager::{DurationSeconds, LeaseManager, LeaseManagerBuilder};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

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
    /// When the process was last seen running, and how long it may go unseen.
    seen: Mutex<Instant>,
    limit: Option<Duration>,
}

impl Leadership {
    /// Of a copy that acts only while it holds a Lease, or of one that is said to be alone.
    pub fn new(lease: Option<&Lease>) -> Self {
        let inner = Inner {
            leading: AtomicBool::new(lease.is_none()),
            seen: Mutex::new(clock::monotonic()),
            // A Lease is renewed when two thirds of it are over, at the latest.
            limit: lease.map(|lease| lease.duration / 3),
        };
        Leadership {
            inner: Arc::new(inner),
        }
    }

    /// Whether this copy may change something now. Not when the process has not been running for so
    /// long that another copy may have taken over.
    pub fn may_act(&self) -> bool {
        self.inner.leading.load(Ordering::Relaxed) && !self.was_stopped()
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
    let Some(manager) = stop.run_until_cancelled(manager(client, lease)).await else {
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
    *lock(&leadership.inner.seen) = clock::monotonic();
    leadership.inner.leading.store(true, Ordering::Relaxed);
    Ok(Some(Held {
        leadership: leadership.clone(),
        channel,
        task,
    }))
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
}
