//! Which credentials of a request may be alive, beside the published one.
//!
//! Their names are derived from the request, so a serial is enough to find one. What the status says
//! is a hint about which serials there may be; what is not in it and can still be there follows
//! from how serials are counted.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Credential, Observed, Revocation, Target, schedule};
use crate::api::request::{CredentialRecord, CredentialState};

/// What the annotation `abandon` says to give up whatever there is.
pub const EVERYTHING: &str = "all";

/// How many serials below a published one are looked for, where nothing tells about them.
const FORGOTTEN: u64 = 8;

/// A credential that may be alive although it is not the published one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its serial.
    pub serial: u64,
    /// When it is to be revoked.
    pub revoke_after: Timestamp,
    /// What the ledger has said about it, if anything.
    pub record: Option<CredentialRecord>,
}

/// Whether the serial of the published credential is lower than the one that the ledger calls
/// current: somebody put an older Secret back.
pub fn is_rolled_back(seen: &Observed) -> bool {
    let Some(published) = seen.published() else {
        return false;
    };
    let newer = |record: &CredentialRecord| {
        record.state == CredentialState::Current && record.serial > published.serial
    };
    seen.request.traits.revocable && seen.recorded.credentials.iter().any(newer)
}

/// The credentials that have been replaced, or that an attempt has left behind, in the order of
/// their serials. None of a kind that is left to expire.
pub fn others(seen: &Observed, now: Timestamp) -> Vec<Other> {
    if !seen.request.traits.revocable {
        return Vec::new();
    }
    let published = seen.published().map(|published| published.serial);
    let mut others: BTreeMap<u64, Other> = BTreeMap::new();
    for record in &seen.recorded.credentials {
        let replaced = match record.state {
            CredentialState::Retiring => true,
            CredentialState::Current => published.is_some_and(|serial| serial > record.serial),
        };
        if replaced && Some(record.serial) != published {
            let other = Other {
                serial: record.serial,
                revoke_after: revoke_after(seen, record, now),
                record: Some(record.clone()),
            };
            others.insert(record.serial, other);
        }
    }
    let left = |serial| Other {
        serial,
        revoke_after: now,
        record: None,
    };
    // Serials that were skipped because something by their name was there, or of which a status was
    // lost that named them.
    let first = seen.recorded.serial() + 1;
    if let Some(published) = published {
        for serial in first.max(published.saturating_sub(FORGOTTEN))..published {
            others.entry(serial).or_insert_with(|| left(serial));
        }
    }
    for serial in &seen.leftovers {
        if Some(*serial) != published {
            others.entry(*serial).or_insert_with(|| left(*serial));
        }
    }
    // A credential in hand is on its way into the Secret.
    let in_hand = seen.in_hand.as_ref().map(|it| it.credential.serial);
    others.retain(|serial, other| {
        Some(*serial) != in_hand && !is_settled(seen, *serial) && !is_abandoned(seen, id_of(other))
    });
    others.into_values().collect()
}

/// The record of a credential that was issued and is not published. Without a time to revoke it at:
/// `revoke_after` has none to wait for, because no workload was given it.
pub fn unpublished(credential: &Credential) -> CredentialRecord {
    CredentialRecord {
        serial: credential.serial,
        id: credential.id.clone(),
        owner: credential.owner.clone(),
        state: CredentialState::Retiring,
        issued_at: Some(credential.issued_at),
        expires_at: credential.expires_at,
        revoke_after: None,
    }
}

/// The record of a credential of which nothing but the serial is known.
pub fn unknown(serial: u64) -> CredentialRecord {
    CredentialRecord {
        serial,
        id: None,
        owner: None,
        state: CredentialState::Retiring,
        issued_at: None,
        expires_at: None,
        revoke_after: None,
    }
}

/// When a credential that was replaced is revoked: after the overlap, and no later than it expires.
fn revoke_after(seen: &Observed, record: &CredentialRecord, now: Timestamp) -> Timestamp {
    let overlap = || {
        let wanted = seen.request.spec.as_ref().ok();
        let overlap = wanted.map_or(super::DEFAULT_OVERLAP, |wanted| wanted.overlap);
        now.checked_add(overlap).unwrap_or(now)
    };
    let after = match record.revoke_after {
        // After a leak none of the older ones is kept, whatever was said before. They do not wait
        // for a successor of the published one, which may not come.
        _ if is_leak_unacknowledged(seen) || super::checks::leaked(seen, now).is_some() => now,
        Some(at) => at,
        // Issued and never published, see [`unpublished`].
        None if record.state == CredentialState::Retiring && record.serial > seen.baseline() => now,
        None => overlap(),
    };
    record.expires_at.map_or(after, |at| at.min(after))
}

/// Whether the published credential was issued after a leak, and the status does not say so yet.
fn is_leak_unacknowledged(seen: &Observed) -> bool {
    seen.published().is_some_and(|published| {
        published.leak.is_some() && published.leak != seen.recorded.revoked_retiring
    })
}

/// The highest serial that is not used again, as far as is known.
pub fn last(seen: &Observed) -> u64 {
    let taken = seen.taken.last().copied().unwrap_or(0);
    taken.max(seen.baseline()).max(seen.recorded.last())
}

/// Whether nothing of a serial has to be revoked any more.
pub fn is_settled(seen: &Observed, serial: u64) -> bool {
    match seen.revocations.get(&serial) {
        Some(Revocation::Gone | Revocation::Absent | Revocation::Foreign) => true,
        Some(Revocation::Sent) | None => false,
    }
}

fn id_of(other: &Other) -> Option<&String> {
    other.record.as_ref()?.id.as_ref()
}

/// Whether the credential with this id is given up knowingly.
pub fn is_abandoned(seen: &Observed, id: Option<&String>) -> bool {
    // As long as the request lives, each is given up by its name: a standing word for all of them
    // would let credentials pile up.
    (seen.request.abandon.contains(EVERYTHING) && seen.request.deleting.is_some())
        || id.is_some_and(|id| seen.request.abandon.contains(id))
}

/// The ledger as it is written down: the published credential, and the others that have a record or
/// can have one.
pub fn records(seen: &Observed, now: Timestamp) -> Vec<CredentialRecord> {
    let others = others(seen, now);
    let mut records: BTreeMap<u64, CredentialRecord> = BTreeMap::new();
    if !matches!(seen.target, Target::Ours(_) | Target::Immutable(_)) {
        // What was published last still stands, whether the Secret was not looked at or is lost.
        for record in &seen.recorded.credentials {
            if record.state == CredentialState::Current && !is_settled(seen, record.serial) {
                records.insert(record.serial, record.clone());
            }
        }
    }
    if is_rolled_back(seen) {
        for record in &seen.recorded.credentials {
            records.insert(record.serial, record.clone());
        }
    }
    for other in others {
        // Of an attempt whose outcome is not known nothing is written: it is repeated under the
        // same serial, and that tells.
        let known = other.record.is_some()
            || seen.taken.contains(&other.serial)
            || seen
                .published()
                .is_some_and(|published| published.serial > other.serial);
        if !known {
            continue;
        }
        let revoke_after = Some(schedule::whole_millisecond(other.revoke_after));
        let record = match other.record {
            Some(record) => CredentialRecord {
                state: CredentialState::Retiring,
                revoke_after,
                ..record
            },
            None => CredentialRecord {
                revoke_after,
                ..unknown(other.serial)
            },
        };
        records.insert(record.serial, record);
    }
    if let Some(in_hand) = seen
        .in_hand
        .as_ref()
        .filter(|_| seen.request.traits.revocable)
    {
        // Alive at the provider, and possibly for long: where the proof or the Secret's write
        // fails, it is tried again with the same credential.
        let record = unpublished(&in_hand.credential);
        records.insert(record.serial, record);
    }
    if let Some(published) = seen.published() {
        // Whoever may write Secrets may write whose it is; who may write the status is trusted more.
        let mut recorded = seen.recorded.credentials.iter();
        let owner = recorded
            .find(|record| record.serial == published.serial)
            .and_then(|record| record.owner.clone());
        let record = CredentialRecord {
            serial: published.serial,
            id: published.id.clone(),
            owner: owner.or_else(|| published.owner.clone()),
            state: CredentialState::Current,
            issued_at: Some(published.issued_at),
            expires_at: published.expires_at,
            revoke_after: None,
        };
        records.insert(record.serial, record);
    }
    let mut records: Vec<_> = records.into_values().collect();
    // The one that works comes first.
    records.reverse();
    records
}
