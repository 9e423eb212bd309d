//! The checks that find something to do, in the order in which they count.

use jiff::Timestamp;

use super::{
    Damage, Observed, Target, ledger,
    regeneration::{self, Stage},
    schedule,
};

/// Something that has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub reason: Why,
    /// How.
    pub remedy: Remedy,
}

/// Why something has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing was published yet, or the Secret is gone.
    NothingPublished,
    /// Somebody changed the Secret.
    Damaged,
    /// The provider does not know what is published any more.
    Refused,
    /// The annotation `revoke-retiring` has a new value.
    Leaked,
    /// The annotation `rotate` has a new value.
    AskedToRotate,
    /// The request asks for something else than what is published.
    AskedDifferently,
    /// What is published expires.
    Expiring,
    /// What is published has reached `renewal.rotateEvery`.
    Aged,
    /// `renewal.verifyEvery` has passed since the last proof.
    Unproven,
}

impl Why {
    /// Whether a successor is needed now, even when an older credential is still retiring.
    pub fn is_pressing(self) -> bool {
        match self {
            Why::NothingPublished | Why::Damaged | Why::Refused | Why::Leaked => true,
            Why::AskedToRotate
            | Why::AskedDifferently
            | Why::Expiring
            | Why::Aged
            | Why::Unproven => false,
        }
    }
}

/// How it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// With what is still good in the Secret; the provider is not asked.
    Repair,
    /// With a new credential.
    Replace,
    /// By having the provider make a key anew.
    Regenerate,
    /// By asking the provider whether it still knows the credential.
    Prove,
}

type Check = fn(&Observed, Timestamp) -> Option<Finding>;

/// All checks, the first that finds something counts.
pub const MUST_ACT: &[Check] = &[
    nothing_published,
    damaged,
    rolled_back,
    refused,
    leaked,
    asked_to_rotate,
    asked_differently,
    expiring,
    aged,
    unproven,
];

/// The first thing that has to be done, if any.
pub fn first_finding(seen: &Observed, now: Timestamp) -> Option<Finding> {
    MUST_ACT.iter().find_map(|check| check(seen, now))
}

fn replace(reason: Why) -> Option<Finding> {
    Some(Finding {
        reason,
        remedy: Remedy::Replace,
    })
}

fn nothing_published(seen: &Observed, _: Timestamp) -> Option<Finding> {
    match seen.target {
        // Somebody deleted what was there: slowed down like any other damage.
        Target::Absent if seen.baseline() > 0 => replace(Why::Damaged),
        Target::Absent | Target::Unseen | Target::Adoptable => replace(Why::NothingPublished),
        _ => None,
    }
}

fn damaged(seen: &Observed, now: Timestamp) -> Option<Finding> {
    let published = seen.published()?;
    match published.damage {
        Damage::None => None,
        Damage::Metadata | Damage::Repairable
            if !schedule::is_expired(published.expires_at, now) =>
        {
            Some(Finding {
                reason: Why::Damaged,
                remedy: Remedy::Repair,
            })
        }
        Damage::Metadata | Damage::Repairable | Damage::Lost => replace(Why::Damaged),
    }
}

/// Somebody put an older Secret back: what is in it may be revoked already, or will be.
fn rolled_back(seen: &Observed, _: Timestamp) -> Option<Finding> {
    ledger::is_rolled_back(seen).then_some(())?;
    replace(Why::Damaged)
}

/// The provider does not know it any more, or it was revoked before somebody published it.
fn refused(seen: &Observed, _: Timestamp) -> Option<Finding> {
    let serial = seen.published()?.serial;
    (seen.probe.refused == Some(serial) || ledger::is_settled(seen, serial)).then_some(())?;
    replace(Why::Refused)
}

/// Somebody asked for all older ones to be revoked, which has not been done yet.
pub(super) fn leaked(seen: &Observed, _: Timestamp) -> Option<Finding> {
    let asked = seen.request.revoke_retiring.as_ref()?;
    seen.published()?;
    let traits = seen.request.traits;
    (traits.revocable && !traits.shared && seen.leaked() != Some(asked)).then_some(())?;
    replace(Why::Leaked)
}

fn asked_to_rotate(seen: &Observed, now: Timestamp) -> Option<Finding> {
    let asked = seen.request.rotate.as_ref()?;
    seen.published()?;
    (seen.rotated() != Some(asked)).then_some(())?;
    if !regeneration::is_wanted(seen) {
        return replace(Why::AskedToRotate);
    }
    let remedy = match regeneration::stage(seen) {
        Stage::New | Stage::Announced => Remedy::Regenerate,
        // Whether there is another key by now shows when it is read.
        Stage::Told if regeneration::read_at(seen)? <= now => Remedy::Prove,
        Stage::Told | Stage::Failed | Stage::Spent => return None,
    };
    Some(Finding {
        reason: Why::AskedToRotate,
        remedy,
    })
}

fn asked_differently(seen: &Observed, _: Timestamp) -> Option<Finding> {
    let wanted = seen.request.spec.as_ref().ok()?;
    (seen.published()?.asked != wanted.digest).then_some(())?;
    replace(Why::AskedDifferently)
}

pub(super) fn expiring(seen: &Observed, now: Timestamp) -> Option<Finding> {
    // A successor would not live longer.
    (!schedule::is_last(seen, seen.published()?)).then_some(())?;
    let due = schedule::renew_at(seen, seen.published()?)?;
    (due <= now).then_some(())?;
    replace(Why::Expiring)
}

fn aged(seen: &Observed, now: Timestamp) -> Option<Finding> {
    let due = schedule::rotate_at(seen, seen.published()?)?;
    (due <= now).then_some(())?;
    replace(Why::Aged)
}

fn unproven(seen: &Observed, now: Timestamp) -> Option<Finding> {
    // What this pass has published or proven is good for this pass, however long that took.
    (!seen.done.published && !seen.done.proven).then_some(())?;
    let due = schedule::verify_at(seen, seen.published()?)?;
    // A reading that has failed is made up for, also by a run that does not know when the last one was.
    let failed = seen.request.traits.fetched && seen.recorded.failure.is_some();
    (failed || due <= now).then_some(Finding {
        reason: Why::Unproven,
        remedy: Remedy::Prove,
    })
}
