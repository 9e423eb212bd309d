//! Follows one Secret as a workload could, and says when each change was seen.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// The annotation that counts the credentials of a request.
const SERIAL: &str = "credential-operator.dev/serial";

/// A Secret at one moment. Has no `Debug` output: it holds a credential.
pub struct Seen {
    /// When it was seen.
    pub at: Instant,
    /// Which credential is in it: 1, 2, 3 …
    pub serial: u64,
    secret: Secret,
}

impl Seen {
    /// A Secret as it is now.
    pub fn now(secret: Secret) -> Self {
        let serial = secret
            .annotations()
            .get(SERIAL)
            .and_then(|serial| serial.parse().ok())
            .unwrap_or_default();
        Self {
            at: Instant::now(),
            serial,
            secret,
        }
    }

    /// When the credential in it expires.
    ///
    /// # Errors
    /// When it does not say so.
    pub fn expiry(&self) -> Result<jiff::Timestamp> {
        self.value("expiry")?
            .parse()
            .context("the value of expiry is no time")
    }

    /// One value, as text.
    ///
    /// # Errors
    /// When it is not there.
    pub fn value(&self, key: &str) -> Result<String> {
        value(&self.secret, key)
    }

    /// All keys with their values: the environment of a program that has all of it there.
    ///
    /// # Errors
    /// When a value is no text.
    pub fn environment(&self) -> Result<Vec<(String, String)>> {
        let keys = self.secret.data.iter().flatten().map(|(key, _)| key);
        keys.map(|key| Ok((key.clone(), self.value(key)?)))
            .collect()
    }

    /// Its keys and how long their values are.
    pub fn keys(&self) -> String {
        let data = self.secret.data.iter().flatten();
        data.map(|(key, value)| format!("{key} ({} bytes)", value.0.len()))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// What happened to a Secret.
pub enum Sight {
    /// It is there, new or changed.
    There(Box<Seen>),
    /// It is gone.
    Gone(Instant),
}

/// A Secret that is followed, until this is dropped.
pub struct Follow {
    sights: mpsc::UnboundedReceiver<Sight>,
    task: AbortHandle,
}

impl Follow {
    /// Begins to follow; the Secret need not be there yet.
    pub fn begin(client: kube::Client, namespace: &str, name: &str) -> Self {
        let api: Api<Secret> = Api::namespaced(client, namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let (sender, sights) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, config));
            while let Some(event) = events.next().await {
                let sight = match event {
                    Ok(Event::Apply(secret) | Event::InitApply(secret)) => {
                        Sight::There(Box::new(Seen::now(secret)))
                    }
                    Ok(Event::Delete(_)) => Sight::Gone(Instant::now()),
                    // The watcher goes on by itself.
                    Ok(Event::Init | Event::InitDone) | Err(_) => continue,
                };
                if sender.send(sight).is_err() {
                    return;
                }
            }
        });
        Self {
            sights,
            task: task.abort_handle(),
        }
    }

    /// The next state of the Secret for which `check` holds.
    ///
    /// # Errors
    /// When the Secret goes, or `deadline` passes.
    pub async fn until(
        &mut self,
        what: &str,
        deadline: Duration,
        check: impl Fn(&Seen) -> bool,
    ) -> Result<Seen> {
        let wait = async {
            loop {
                match self.sights.recv().await {
                    Some(Sight::There(seen)) if check(&seen) => return Ok(*seen),
                    Some(Sight::There(_)) => {}
                    Some(Sight::Gone(_)) => bail!("the Secret was deleted"),
                    None => bail!("the watch ended"),
                }
            }
        };
        tokio::time::timeout(deadline, wait)
            .await
            .with_context(|| format!("{what}: not within {deadline:?}"))?
    }

    /// Waits until the Secret is gone, and returns when that was.
    ///
    /// # Errors
    /// When `deadline` passes.
    pub async fn gone(&mut self, deadline: Duration) -> Result<Instant> {
        let wait = async {
            while let Some(sight) = self.sights.recv().await {
                if let Sight::Gone(at) = sight {
                    return Ok(at);
                }
            }
            bail!("the watch ended")
        };
        tokio::time::timeout(deadline, wait)
            .await
            .with_context(|| format!("the Secret is still there after {deadline:?}"))?
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One value of a Secret, as text.
///
/// # Errors
/// When it is not there.
pub fn value(secret: &Secret, key: &str) -> Result<String> {
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    let value = value.with_context(|| format!("the Secret has no key {key}"))?;
    String::from_utf8(value.0.clone()).with_context(|| format!("the value of {key} is no text"))
}
