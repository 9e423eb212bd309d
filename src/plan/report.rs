//! What a pass writes down: the status and events. As pure as the plan.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    Decision, Observed, Pause, Published, Step, Wait, WaitReason, backoff, conditions::conditions,
    ledger, obstacle, regeneration, retire, schedule,
};
use crate::api::{
    Reason, condition,
    request::{CredentialRecord, CredentialRequestStatus, CredentialState, NextAction},
};

/// What a settled pass leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The status, equal to the old one when nothing is to be written.
    pub status: CredentialRequestStatus,
    /// What to tell people.
    pub events: Vec<Note>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether somebody should look at it.
    pub warning: bool,
    /// One word: the reason of a condition, or what was done.
    pub reason: &'static str,
    /// What was done or tried.
    pub action: &'static str,
    /// What happened and what to do.
    pub note: String,
}

impl Note {
    /// Whether people have to be able to read it before something happens: it is told by itself each time,
    /// and wherever it can be told.
    pub fn is_notice(&self) -> bool {
        self.reason == Reason::DestroysMore.as_str()
    }
}

/// The report of a settled pass. `None` while something is under way that reports back by itself,
/// and there is nothing new to say: a queue or a running call is no reason for a write.
pub fn report(
    seen: &Observed,
    decision: &Decision,
    old: &CredentialRequestStatus,
    now: Timestamp,
) -> Option<Report> {
    if matches!(decision, Decision::LetGo | Decision::Do(_))
        || (is_passing(seen, decision, old)
            && !has_just_expired(seen, old, now)
            && !has_just_failed(seen, decision, old))
    {
        return None;
    }
    let mut status = old.clone();
    status.observed_generation = Some(seen.request.generation);
    if let Ok(wanted) = &seen.request.spec {
        status.credential = Some(wanted.credential.to_owned());
    }
    what_is_published(&mut status, seen);
    status.credentials = ledger::records(seen, now);
    status.last_serial = Some(ledger::last(seen)).filter(|last| {
        let highest = status.credentials.iter().map(|record| record.serial).max();
        seen.request.traits.revocable && *last > highest.unwrap_or(0)
    });
    status.rotated = regeneration::acknowledged(seen);
    status.revoked_retiring = seen.leaked().cloned();
    status.regeneration = regeneration::record(seen);
    status.used_rotations = regeneration::used(seen);
    status.failure = match decision {
        Decision::Wait(Wait {
            reason: WaitReason::Rest | WaitReason::Revocation,
            ..
        }) => None,
        _ => seen.failure_that_counts().cloned(),
    };
    let failing = retire::obstacle(seen, now).is_some();
    status.revocation_failure = seen
        .revocation_failure_that_counts()
        .filter(|_| failing)
        .cloned();
    status.write_failure = match decision {
        Decision::Wait(Wait {
            reason: WaitReason::Rest,
            ..
        }) => None,
        _ => seen.write_failure_that_counts().cloned(),
    };
    let retry = |failure| backoff::next_try(failure, seen, now);
    (status.next_action, status.next_action_time) = match decision {
        // What it waits for has to do with the failure; the next attempt is what people want to know.
        Decision::Wait(wait) if wait.reason == WaitReason::Call => {
            let retry = seen.failure_that_counts().and_then(retry);
            let next = retry.map(|_| NextAction::Retry).or(wait.next);
            (next, retry.or(wait.until).map(schedule::whole_millisecond))
        }
        Decision::Wait(wait) => (wait.next, wait.until.map(schedule::whole_millisecond)),
        _ => (None, None),
    };
    status.conditions = conditions(seen, decision, old, now);
    let events = events(seen, decision, old, &status);
    Some(Report { status, events })
}

/// Whether the pass ends in something that reports back by itself within seconds.
fn is_passing(seen: &Observed, decision: &Decision, old: &CredentialRequestStatus) -> bool {
    let Decision::Wait(wait) = decision else {
        return false;
    };
    let wrote = seen.done.published || seen.done.repaired;
    match wait.reason {
        WaitReason::Call => !wrote,
        // A request that goes says only what keeps it.
        WaitReason::Budget if seen.request.deleting.is_some() => true,
        WaitReason::Revocation => matches!(seen.access, super::Access::Checking),
        WaitReason::Budget => {
            let new = old.conditions.is_empty() && seen.published().is_none();
            let long = seen
                .queued
                .is_some_and(|length| length > schedule::LONG_QUEUE);
            let outage = seen.left_alone == Some(Pause::Outage);
            !wrote && !(new && (long || outage))
        }
        WaitReason::Provider => !wrote && obstacle(seen, decision).is_none(),
        WaitReason::Rest
        | WaitReason::Retry
        | WaitReason::Contested
        | WaitReason::Overlap
        | WaitReason::Write
        | WaitReason::Finalizer => false,
    }
}

/// Whether what was ready is over: that is told even while its successor is on its way, which can
/// take long where a provider hangs or a queue is long.
fn has_just_expired(seen: &Observed, old: &CredentialRequestStatus, now: Timestamp) -> bool {
    let was_ready =
        find(&old.conditions, condition::READY).is_some_and(|ready| ready.status == "True");
    let expired = |published: &Published| schedule::is_expired(published.expires_at, now);
    was_ready && seen.published().is_some_and(expired)
}

/// Whether an attempt has failed for a reason that is not told yet. What follows from it (tidying up, the
/// next attempt) can be under way for so long that there is never a better moment.
fn has_just_failed(seen: &Observed, decision: &Decision, old: &CredentialRequestStatus) -> bool {
    let told = old.failure.as_ref().map(|failure| failure.reason);
    seen.request.deleting.is_none()
        && matches!(decision, Decision::Wait(wait) if wait.reason == WaitReason::Call)
        && seen
            .failure_that_counts()
            .is_some_and(|failure| told != Some(failure.reason))
}

fn what_is_published(status: &mut CredentialRequestStatus, seen: &Observed) {
    use super::Target;
    match &seen.target {
        Target::Ours(published) | Target::Immutable(published) => {
            status.secret_name = seen
                .request
                .spec
                .as_ref()
                .ok()
                .map(|wanted| wanted.secret_name.clone());
            status.expires_at = published.expires_at;
        }
        // Not looked at: what was known still stands.
        Target::Unknown => {}
        Target::Unseen
        | Target::Absent
        | Target::Adoptable
        | Target::Foreign(_)
        | Target::Terminating => {
            status.secret_name = None;
            status.expires_at = None;
        }
    }
}
fn events(
    seen: &Observed,
    decision: &Decision,
    old: &CredentialRequestStatus,
    new: &CredentialRequestStatus,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let secret = new.secret_name.as_deref().unwrap_or_default();
    let serial = seen.published().map_or(0, |published| published.serial);
    let was_current = |record: &CredentialRecord| record.state == CredentialState::Current;
    let first = !old.credentials.iter().any(was_current);
    let asked = old.rotated != new.rotated || old.revoked_retiring != new.revoked_retiring;
    let rotated = asked && !first;
    if (seen.done.published && rotated) || (first && seen.published().is_some()) {
        let credential = new.credential.as_deref().unwrap_or("credential");
        notes.push(Note {
            warning: false,
            reason: if first { "Issued" } else { "Rotated" },
            action: "Publish",
            note: format!("put {credential} with serial {serial} into Secret {secret}"),
        });
    }
    if seen.done.repaired {
        notes.push(Note {
            warning: false,
            reason: "Repaired",
            action: "Repair",
            note: format!(
                "Secret {secret} was not as it should be (somebody changed it, or the provider's settings); it was written again"
            ),
        });
    }
    for given_up in old.credentials.iter().filter(|record| {
        ledger::is_abandoned(seen, record.id.as_ref())
            && !ledger::is_settled(seen, record.serial)
            && new.credentials.iter().all(|it| it.serial != record.serial)
    }) {
        notes.push(Note {
            warning: true,
            reason: "GivenUp",
            action: "Revoke",
            note: format!(
                "the credential with serial {} was given up as its annotation asks, and may be alive at the provider",
                given_up.serial
            ),
        });
    }
    for type_ in [
        condition::READY,
        condition::RENEWAL_FAILING,
        condition::REVOCATION_FAILING,
    ] {
        let bad = if type_ == condition::READY {
            "False"
        } else {
            "True"
        };
        let (was, is) = (find(&old.conditions, type_), find(&new.conditions, type_));
        if let Some(is) = is
            && is.status == bad
            && is.reason != Reason::Progressing.as_str()
            && is.reason != Reason::Suspended.as_str()
            && is.reason != Reason::Revoking.as_str()
            && was.is_none_or(|was| is_news(was, is))
            && let Some(reason) = Reason::ALL
                .iter()
                .find(|reason| reason.as_str() == is.reason)
        {
            notes.push(Note {
                warning: true,
                reason: reason.as_str(),
                action: action(decision),
                note: shortened(&format!("{}. {}", is.message, reason.way_out())),
            });
            break;
        }
    }
    notes
}

/// Whether a condition says something else than before. Words change often, and are news only where they
/// list what will be destroyed.
fn is_news(was: &Condition, is: &Condition) -> bool {
    let is_list = is.reason == Reason::DestroysMore.as_str();
    was.status != is.status || was.reason != is.reason || (is_list && was.message != is.message)
}

fn action(decision: &Decision) -> &'static str {
    match decision {
        Decision::Stop(_) => "Check",
        Decision::Wait(Wait {
            reason: WaitReason::Revocation,
            ..
        }) => "Revoke",
        Decision::Wait(Wait {
            reason: WaitReason::Write,
            ..
        }) => "Write",
        Decision::Do(Step::Repair) => "Repair",
        _ => "Issue",
    }
}

fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Events hold at most 1024 bytes.
pub fn shortened(note: &str) -> String {
    let mut end = note.len().min(1000);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note[..end].to_owned()
}
