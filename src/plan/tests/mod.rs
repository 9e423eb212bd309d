//! The plan's table of cases: the operator's specification.

mod cases;
mod delays;
mod failing;
mod farewell;
mod finalizers;
mod lives;
mod proofs;
mod providers;
mod purity;
mod regeneration;
mod reports;
mod revocation;
mod stuck;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    api::Reason,
    api::request::{CredentialRecord, CredentialState, FailureRecord},
    secret::SecretData,
};

/// All cases begin here. The published credential was issued then and lives for 3000 seconds, so
/// that two thirds of its life are 2000 seconds.
const BEGIN: Timestamp = Timestamp::UNIX_EPOCH;

/// A time, in seconds since the beginning.
fn at(seconds: i64) -> Timestamp {
    BEGIN + SignedDuration::from_secs(seconds)
}

/// A request that was just created.
fn fresh() -> Observed {
    Observed {
        request: Request {
            name: "s3".into(),
            provider: "ClusterCredentialProvider cloud".into(),
            generation: 1,
            deleting: None,
            namespace_deleting: false,
            finalizer: false,
            traits: Traits::default(),
            retain: false,
            rotate: None,
            revoke_retiring: None,
            abandon: BTreeSet::new(),
            spread: 0,
            suspended: false,
            spec: Ok(Wanted {
                credential: "acme.token",
                digest: "asked".into(),
                secret_name: "s3".into(),
                renew_before: None,
                rotate_every: None,
                overlap: SignedDuration::from_secs(300),
                verify_every: None,
                ends: None,
                regenerate: false,
            }),
        },
        gate: Gate::Open {
            inputs: "provider@1".into(),
        },
        access: Access::Open {
            inputs: "provider@1".into(),
        },
        provider_held: false,
        additions: Default::default(),
        is_let_go: false,
        target: Target::Unseen,
        looked: false,
        recorded: Recorded::default(),
        in_hand: None,
        call_under_way: false,
        queued: None,
        left_alone: None,
        taken: BTreeSet::new(),
        stuck: BTreeSet::new(),
        leftovers: BTreeSet::new(),
        announced: None,
        announced_now: false,
        revocations: BTreeMap::new(),
        probe: Probe::default(),
        give_up_after: SignedDuration::from_secs(600),
        replacements: Vec::new(),
        repairs: Vec::new(),
        done: Done::default(),
    }
}

/// A request whose first credential is published.
fn synced() -> Observed {
    let mut seen = fresh();
    seen.target = Target::Ours(published());
    seen.recorded.credentials = vec![current(1)];
    seen
}

/// What the ledger says of the credential in the Secret.
fn current(serial: u64) -> CredentialRecord {
    CredentialRecord {
        serial,
        id: Some(format!("id-{serial}")),
        owner: Some("bot".into()),
        state: CredentialState::Current,
        issued_at: Some(BEGIN),
        expires_at: Some(at(3000)),
        revoke_after: None,
    }
}

/// The same of one that was replaced.
fn retiring(serial: u64, revoke_after: i64) -> CredentialRecord {
    CredentialRecord {
        state: CredentialState::Retiring,
        expires_at: None,
        revoke_after: Some(at(revoke_after)),
        ..current(serial)
    }
}

fn published() -> Published {
    Published {
        serial: 1,
        issued_at: BEGIN,
        expires_at: Some(at(3000)),
        asked: "asked".into(),
        rotation: None,
        leak: None,
        unverified: false,
        id: Some("id-1".into()),
        owner: Some("bot".into()),
        is_owned: true,
        deviation: None,
        damage: Damage::None,
    }
}

/// With a credential in hand that is not published yet.
fn with_in_hand(mut seen: Observed, proof: Proof) -> Observed {
    seen.in_hand = Some(InHand {
        credential: Credential {
            serial: seen.next_serial(),
            id: None,
            owner: None,
            issued_at: at(0),
            expires_at: Some(at(9000)),
            asked: "asked".into(),
            rotation: None,
            leak: None,
        },
        data: SecretData::default().with("token", "t"),
        proof,
        regenerated: false,
    });
    seen
}

/// With a failure on record, met at the given second with the inputs as they are.
fn with_failure(mut seen: Observed, reason: Reason, second: i64) -> Observed {
    let failure = Failure {
        reason,
        message: "it failed".into(),
        retry_after: None,
        rest: None,
    };
    seen.fail(failure, at(second));
    seen
}

fn change(mut seen: Observed, change: impl FnOnce(&mut Observed)) -> Observed {
    change(&mut seen);
    seen
}

fn wanted(seen: &mut Observed) -> &mut Wanted {
    seen.request.spec.as_mut().unwrap()
}

fn damaged(damage: Damage) -> Observed {
    change(synced(), |seen| {
        seen.target = Target::Ours(Published {
            damage,
            ..published()
        })
    })
}

fn not_ready() -> Gate {
    Gate::NotReady(NotReady {
        reason: Reason::LoginRefused,
        message: "provider: the login is refused".into(),
        retry_at: Some(at(5000)),
    })
}

fn refusal(reason: Reason) -> Refusal {
    Refusal::new(reason, "no")
}

fn failure_record(reason: Reason, attempts: u32) -> FailureRecord {
    FailureRecord {
        reason,
        attempts,
        last_attempt_time: at(0),
        not_before: None,
        inputs: String::new(),
        message: String::new(),
    }
}
