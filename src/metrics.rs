//! Figures for people and alerts, in the Prometheus text format.

use std::{fmt::Write, sync::atomic::AtomicU64, time::Duration};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::api::Reason;

/// A provider, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ProviderLabel {
    /// Kind, namespace and name.
    pub provider: String,
}

/// A call to a provider, as labels.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct CallLabel {
    /// Kind, namespace and name.
    pub provider: String,
    /// What was called for: `login`, `issue`, `verify`, `revoke` or `confirm`.
    pub operation: &'static str,
    /// `Success`, or the reason of the failure.
    pub outcome: &'static str,
}

/// A reason, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReasonLabel {
    /// The reason.
    pub reason: &'static str,
}

/// An outcome of a pass, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct PassLabel {
    /// `settled`, `conflict`, `error`, `timeout`, `undecodable` or `panic`.
    pub outcome: &'static str,
}

/// What became of an event that was lost, as a label.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct EventLabel {
    /// The status code of the API server, or `no answer`.
    pub code: String,
}

/// Name, type and meaning of every metric; the reference in the docs is made from it.
pub const REFERENCE: &[(&str, &str, &str)] = &[
    (
        "credential_operator_seconds_to_expiry",
        "gauge",
        "Seconds until the first published credential of a provider expires; negative when one has.",
    ),
    (
        "credential_operator_last_success_timestamp_seconds",
        "gauge",
        "When a credential of a provider was published last.",
    ),
    (
        "credential_operator_provider_calls_total",
        "counter",
        "Calls to providers by operation and outcome.",
    ),
    (
        "credential_operator_provider_queue",
        "gauge",
        "Requests that wait for a provider's budget.",
    ),
    (
        "credential_operator_provider_requests",
        "gauge",
        "Requests that name a provider.",
    ),
    (
        "credential_operator_failures_total",
        "counter",
        "Failed attempts by reason.",
    ),
    (
        "credential_operator_left_behind_credentials_total",
        "counter",
        "Credentials that were given up, or thrown away without being revoked: they may be alive. Tokens among them expire by themselves.",
    ),
    (
        "credential_operator_lost_events_total",
        "counter",
        "Events that the API server did not take, by its status code.",
    ),
    (
        "credential_operator_passes_total",
        "counter",
        "Passes over requests by outcome.",
    ),
    (
        "credential_operator_pass_duration_seconds",
        "histogram",
        "How long passes over requests took.",
    ),
];

type SecondsGauge = Gauge<f64, AtomicU64>;

/// All metrics.
pub struct Metrics {
    registry: Registry,
    seconds_to_expiry: Family<ProviderLabel, SecondsGauge>,
    last_success: Family<ProviderLabel, SecondsGauge>,
    calls: Family<CallLabel, Counter>,
    queue: Family<ProviderLabel, Gauge>,
    requests: Family<ProviderLabel, Gauge>,
    failures: Family<ReasonLabel, Counter>,
    left_behind: Counter,
    lost_events: Family<EventLabel, Counter>,
    passes: Family<PassLabel, Counter>,
    duration: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Metrics {
            registry: Registry::default(),
            seconds_to_expiry: Family::default(),
            last_success: Family::default(),
            calls: Family::default(),
            queue: Family::default(),
            requests: Family::default(),
            failures: Family::default(),
            left_behind: Counter::default(),
            lost_events: Family::default(),
            passes: Family::default(),
            duration: Histogram::new(exponential_buckets(0.001, 4.0, 8)),
        };
        let registry = &mut metrics.registry;
        let mut names = REFERENCE.iter().map(|(name, type_, help)| {
            // The library appends these itself.
            let name = if *type_ == "counter" {
                name.trim_end_matches("_total")
            } else {
                name
            };
            (name, help.trim_end_matches('.'))
        });
        macro_rules! register {
            ($($metric:ident),+) => { $(if let Some((name, help)) = names.next() { registry.register(name, help, metrics.$metric.clone()); })+ };
        }
        register!(
            seconds_to_expiry,
            last_success,
            calls,
            queue,
            requests,
            failures,
            left_behind,
            lost_events,
            passes,
            duration
        );
        metrics
    }
}

impl Metrics {
    /// Counts a call to a provider.
    pub fn call(&self, provider: &str, operation: &'static str, outcome: Result<(), Reason>) {
        let outcome = outcome.map_or_else(Reason::as_str, |()| "Success");
        self.calls
            .get_or_create(&CallLabel {
                provider: provider.to_owned(),
                operation,
                outcome,
            })
            .inc();
    }

    /// Counts a failed attempt.
    pub fn failure(&self, reason: Reason) {
        self.failures
            .get_or_create(&ReasonLabel {
                reason: reason.as_str(),
            })
            .inc();
    }

    /// Counts a credential that was issued, not published, and cannot be revoked.
    pub fn left_behind(&self) {
        self.left_behind.inc();
    }

    /// Counts an event that was not written. `code` is the API server's status code, or `no answer`.
    pub fn lost_event(&self, code: &str) {
        self.lost_events
            .get_or_create(&EventLabel {
                code: code.to_owned(),
            })
            .inc();
    }

    /// Notes that a credential was published.
    pub fn published(&self, provider: &str, at: Timestamp) {
        self.last_success
            .get_or_create(&ProviderLabel {
                provider: provider.to_owned(),
            })
            .set(seconds(at));
    }

    /// Counts a pass.
    pub fn pass(&self, outcome: &'static str, took: Duration) {
        self.passes.get_or_create(&PassLabel { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Sets the figures that are counted when somebody asks for them.
    pub fn set_provider(
        &self,
        provider: &str,
        requests: usize,
        queue: usize,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        let label = ProviderLabel {
            provider: provider.to_owned(),
        };
        self.requests
            .get_or_create(&label)
            .set(i64::try_from(requests).unwrap_or(i64::MAX));
        self.queue
            .get_or_create(&label)
            .set(i64::try_from(queue).unwrap_or(i64::MAX));
        match expires_at {
            Some(at) => {
                self.seconds_to_expiry
                    .get_or_create(&label)
                    .set(seconds(at) - seconds(now));
            }
            None => {
                self.seconds_to_expiry.remove(&label);
            }
        }
    }

    /// Forgets a provider that is gone.
    pub fn forget_provider(&self, provider: &str) {
        let label = ProviderLabel {
            provider: provider.to_owned(),
        };
        self.requests.remove(&label);
        self.queue.remove(&label);
        self.seconds_to_expiry.remove(&label);
        self.last_success.remove(&label);
    }

    /// All figures as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }

    /// The reference of all metrics, in Markdown.
    pub fn reference() -> String {
        let mut text = String::from("| metric | type | meaning |\n|---|---|---|\n");
        for (name, type_, meaning) in REFERENCE {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| `{name}` | {type_} | {meaning} |");
        }
        text
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 fit into the 53 bits of a float"
)]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_exported_under_its_documented_name() {
        let metrics = Metrics::default();
        metrics.call("p", "issue", Ok(()));
        metrics.failure(Reason::Timeout);
        metrics.left_behind();
        metrics.lost_event("422");
        metrics.published("p", Timestamp::UNIX_EPOCH);
        metrics.pass("settled", Duration::from_millis(3));
        metrics.set_provider(
            "p",
            1,
            2,
            Some(Timestamp::UNIX_EPOCH),
            Timestamp::UNIX_EPOCH,
        );
        let text = metrics.text();
        for (name, type_, _) in REFERENCE {
            let family = if *type_ == "counter" {
                name.trim_end_matches("_total")
            } else {
                name
            };
            assert!(
                text.contains(&format!("# TYPE {family} {type_}")),
                "{name} in {text}"
            );
            assert!(text.contains(name), "{name}");
        }
    }
}
