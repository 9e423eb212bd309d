//! What a Lease object means for this copy. No I/O, and the time is an argument.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as Object, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::Lease;

/// The resource version as a number. It grows with every change in the cluster.
pub(super) fn version(object: &Object) -> u64 {
    object
        .resource_version()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

/// The copy that holds a Lease.
pub(super) fn holder(object: &Object) -> Option<&str> {
    let holder = object.spec.as_ref()?.holder_identity.as_deref();
    holder.filter(|holder| !holder.is_empty())
}

/// When the present holder took it.
pub(super) fn taken_at(object: &Object) -> Option<Timestamp> {
    Some(object.spec.as_ref()?.acquire_time.as_ref()?.0)
}

/// Who may have a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Nobody holds it, or this copy did when it was last started, or its holder let it run out.
    Free,
    /// Another copy holds it, until then if it does not renew it.
    Taken(Instant),
}

/// What a copy that stands by has seen of a Lease.
///
/// A Lease runs out by the clock of the one who waits, from when it saw the last change of it: the
/// clocks of two machines need not agree. That time does not count while the API server could not be
/// reached, because the holder could not renew it then, either.
#[derive(Default)]
pub(super) struct Watched {
    /// The version, and when it was first seen.
    last: Option<(u64, Instant)>,
    /// When the Lease was last seen, whatever its version.
    contact: Option<Instant>,
    /// Since when it cannot be read.
    out_of_sight: Option<Instant>,
}

impl Watched {
    /// Takes in the Lease as it was at `now`.
    pub(super) fn see(&mut self, object: &Object, lease: &Lease, now: Instant) -> Claim {
        let longer_than = |since: Option<Instant>, time| {
            since.is_some_and(|since| now.saturating_duration_since(since) > time)
        };
        // Within a shorter time the holder has another try.
        let was_away = longer_than(self.out_of_sight.take(), lease.renew_every());
        // A copy that runs sees the Lease at the latest when it should be over.
        let lasts = duration(object).unwrap_or(lease.duration);
        let was_stopped = longer_than(self.contact.replace(now), 2 * lasts);
        let seen = version(object);
        let since = match self.last {
            Some((last, since)) if last == seen && !was_away && !was_stopped => since,
            _ => now,
        };
        self.last = Some((seen, since));
        match holder(object) {
            None => return Claim::Free,
            Some(holder) if holder == lease.identity => return Claim::Free,
            Some(_) => {}
        }
        let until = since + lasts;
        if now < until {
            Claim::Taken(until)
        } else {
            Claim::Free
        }
    }

    /// Notes that the Lease could not be read.
    pub(super) fn lose_sight(&mut self, now: Instant) {
        self.out_of_sight = self.out_of_sight.or(Some(now));
    }
}

fn duration(object: &Object) -> Option<Duration> {
    let seconds = object.spec.as_ref()?.lease_duration_seconds?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

fn seconds(lease: &Lease) -> i32 {
    i32::try_from(lease.duration.as_secs()).unwrap_or(i32::MAX)
}

/// A Lease that this copy creates and holds.
pub(super) fn new(lease: &Lease, now: Timestamp) -> Object {
    let spec = LeaseSpec {
        holder_identity: Some(lease.identity.clone()),
        lease_duration_seconds: Some(seconds(lease)),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(0),
        ..LeaseSpec::default()
    };
    let mut object = Object {
        spec: Some(spec),
        ..Object::default()
    };
    object.metadata.name = Some(lease.name.clone());
    object
}

/// The merge patch by which this copy takes a Lease that has not changed since it was read.
pub(super) fn take(found: &Object, lease: &Lease, now: Timestamp) -> Value {
    let spec = found.spec.as_ref();
    let transitions = spec.and_then(|spec| spec.lease_transitions).unwrap_or(0);
    let changes_hands = holder(found) != Some(&lease.identity);
    patch(
        found,
        json!({
            "holderIdentity": lease.identity,
            "leaseDurationSeconds": seconds(lease),
            "acquireTime": MicroTime(now),
            "renewTime": MicroTime(now),
            "leaseTransitions": transitions.saturating_add(i32::from(changes_hands)),
        }),
    )
}

/// The merge patch by which this copy renews it.
pub(super) fn renew(held: &Object, now: Timestamp) -> Value {
    patch(held, json!({"renewTime": MicroTime(now)}))
}

/// The merge patch by which this copy gives it back.
pub(super) fn give_back(held: &Object) -> Value {
    patch(held, json!({"holderIdentity": null}))
}

fn patch(found: &Object, spec: Value) -> Value {
    json!({
        "metadata": {"resourceVersion": found.resource_version(), "uid": found.uid()},
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    fn lease() -> Lease {
        Lease {
            name: "l".into(),
            namespace: "n".into(),
            identity: "me".into(),
            duration: DURATION,
        }
    }

    fn object(holder: Option<&str>, version: u64) -> Object {
        let mut object = new(&lease(), Timestamp::UNIX_EPOCH);
        object.metadata.resource_version = Some(version.to_string());
        object.spec.as_mut().unwrap().holder_identity = holder.map(str::to_owned);
        object
    }

    #[test]
    fn a_lease_is_free_when_nobody_holds_it_or_this_copy_does() {
        let now = crate::clock::monotonic();
        for (holder, free) in [
            (None, true),
            (Some(""), true),
            (Some("me"), true),
            (Some("other"), false),
        ] {
            let claim = Watched::default().see(&object(holder, 1), &lease(), now);
            assert_eq!(claim == Claim::Free, free, "{holder:?}");
        }
    }

    #[test]
    fn a_lease_runs_out_so_long_after_the_last_change_that_was_seen() {
        let start = crate::clock::monotonic();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut watched = Watched::default();
        let mut see = |version, seconds| {
            watched.see(&object(Some("other"), version), &lease(), after(seconds))
        };
        assert_eq!(see(1, 0), Claim::Taken(after(15)));
        assert_eq!(see(2, 10), Claim::Taken(after(25)), "it was renewed");
        assert_eq!(see(2, 24), Claim::Taken(after(25)));
        assert_eq!(see(2, 25), Claim::Free);
    }

    #[test]
    fn the_time_in_which_nobody_could_renew_it_does_not_count() {
        let start = crate::clock::monotonic();
        let after = |seconds| start + Duration::from_secs(seconds);
        let other = object(Some("other"), 1);
        let mut watched = Watched::default();
        watched.see(&other, &lease(), start);
        watched.lose_sight(after(14));
        assert_eq!(
            watched.see(&other, &lease(), after(16)),
            Claim::Free,
            "one call that failed is no outage"
        );
        let mut watched = Watched::default();
        watched.see(&other, &lease(), start);
        watched.lose_sight(after(14));
        watched.lose_sight(after(500));
        assert_eq!(
            watched.see(&other, &lease(), after(600)),
            Claim::Taken(after(615)),
            "the API server was away"
        );
        assert_eq!(
            watched.see(&other, &lease(), after(6000)),
            Claim::Taken(after(6015)),
            "this copy was stopped"
        );
    }

    #[test]
    fn the_duration_is_that_of_the_one_who_holds_it() {
        let now = crate::clock::monotonic();
        let mut other = object(Some("other"), 1);
        other.spec.as_mut().unwrap().lease_duration_seconds = Some(60);
        let mut watched = Watched::default();
        let until = now + Duration::from_secs(60);
        assert_eq!(watched.see(&other, &lease(), now), Claim::Taken(until));
        assert_eq!(watched.see(&other, &lease(), until), Claim::Free);
    }

    #[test]
    fn every_write_is_for_the_version_that_was_read() {
        let mut found = object(Some("other"), 7);
        found.metadata.uid = Some("u".into());
        let now = Timestamp::UNIX_EPOCH;
        let taken = take(&found, &lease(), now);
        assert_eq!(taken["spec"]["holderIdentity"], "me");
        assert_eq!(taken["spec"]["leaseTransitions"], 1);
        assert_eq!(taken["spec"]["acquireTime"], "1970-01-01T00:00:00.000000Z");
        let again = take(&object(Some("me"), 7), &lease(), now);
        assert_eq!(again["spec"]["leaseTransitions"], 0, "by the same copy");
        for patch in [taken, renew(&found, now), give_back(&found)] {
            assert_eq!(
                patch["metadata"],
                json!({"resourceVersion": "7", "uid": "u"})
            );
        }
    }
}
