//! What a pass writes down: the status, its conditions, and events. As pure as the plan.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    Decision, Observed, Published, Refusal, Step, Wait, WaitReason,
    backoff::{Class, class},
    is_usable, obstacle, schedule,
};
use crate::api::{
    Reason, condition,
    request::{CredentialRecord, CredentialRequestStatus, CredentialState},
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

/// The report of a settled pass. `None` while something is under way that reports back by itself,
/// and there is nothing new to say: a queue or a running call is no reason for a write.
pub fn report(
    seen: &Observed,
    decision: &Decision,
    old: &CredentialRequestStatus,
    now: Timestamp,
) -> Option<Report> {
    if matches!(decision, Decision::LetGo | Decision::Do(_))
        || (is_passing(seen, decision, old) && !has_just_expired(seen, old, now))
    {
        return None;
    }
    let mut status = old.clone();
    status.observed_generation = Some(seen.request.generation);
    if let Ok(wanted) = &seen.request.spec {
        status.credential = Some(wanted.credential.to_owned());
    }
    ledger(&mut status, seen);
    status.rotated = seen.rotated().cloned();
    status.failure = match decision {
        Decision::Wait(Wait {
            reason: WaitReason::Rest,
            ..
        }) => None,
        _ => seen.failure_that_counts().cloned(),
    };
    (status.next_action, status.next_action_time) = match decision {
        Decision::Wait(wait) => (wait.next, wait.until.map(whole_millisecond)),
        _ => (None, None),
    };
    status.conditions = conditions(seen, decision, old, now);
    let events = events(seen, decision, old, &status);
    Some(Report { status, events })
}

/// A new request that stands in a queue for longer than this says so.
const LONG_QUEUE: SignedDuration = SignedDuration::from_secs(10);

/// Whether the pass ends in something that reports back by itself within seconds.
fn is_passing(seen: &Observed, decision: &Decision, old: &CredentialRequestStatus) -> bool {
    let Decision::Wait(wait) = decision else {
        return false;
    };
    let wrote = seen.done.published || seen.done.repaired;
    match wait.reason {
        WaitReason::Call => !wrote,
        WaitReason::Budget => {
            let new = old.conditions.is_empty() && seen.published().is_none();
            let long = seen.queued.is_some_and(|length| length > LONG_QUEUE);
            !wrote && (!new || !long)
        }
        WaitReason::Provider => !wrote && obstacle(seen, decision).is_none(),
        WaitReason::Rest | WaitReason::Retry | WaitReason::Contested => false,
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

fn ledger(status: &mut CredentialRequestStatus, seen: &Observed) {
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
            status.credentials = vec![CredentialRecord {
                serial: published.serial,
                id: published.id.clone(),
                owner: published.owner.clone(),
                state: CredentialState::Current,
                issued_at: published.issued_at,
                expires_at: published.expires_at,
            }];
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

fn conditions(
    seen: &Observed,
    decision: &Decision,
    old: &CredentialRequestStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let obstacle = obstacle(seen, decision);
    let ready = ready(seen, decision, obstacle.as_ref(), old, now);
    let works = ready.0;
    let stopped =
        matches!(decision, Decision::Stop(refusal) if refusal.reason != Reason::Suspended);
    let needs_people = obstacle.as_ref().is_some_and(|(reason, _)| {
        matches!(class(*reason), Class::Invalid | Class::Denied) && *reason != Reason::Suspended
    });
    let stalled = stopped || (!works && needs_people);
    let suspended =
        matches!(decision, Decision::Stop(refusal) if refusal.reason == Reason::Suspended);
    let reconciling = !works && !stalled && !suspended;
    let words = || {
        obstacle.clone().unwrap_or((
            Reason::Progressing,
            "the credential is being issued".to_owned(),
        ))
    };
    let quiet = |word: &str| (false, Reason::Nominal, word.to_owned());
    let flag = |on: bool, off: &str| {
        if on {
            let (reason, message) = words();
            (true, reason, message)
        } else {
            quiet(off)
        }
    };
    let failing = works && !suspended && obstacle.is_some();
    [
        (condition::READY, ready),
        (
            condition::RECONCILING,
            flag(reconciling, "nothing is under way"),
        ),
        (
            condition::STALLED,
            flag(stalled, "nobody has to do anything"),
        ),
        (
            condition::RENEWAL_FAILING,
            flag(failing, "no renewal has failed"),
        ),
    ]
    .into_iter()
    .map(|(type_, (on, reason, message))| {
        condition(
            &old.conditions,
            type_,
            (on, reason, &message),
            seen.request.generation,
            now,
        )
    })
    .collect()
}

fn is_intact(seen: &Observed) -> bool {
    seen.published()
        .is_some_and(|published| published.damage == super::Damage::None)
}

type Verdict = (bool, Reason, String);

fn ready(
    seen: &Observed,
    decision: &Decision,
    obstacle: Option<&(Reason, String)>,
    old: &CredentialRequestStatus,
    now: Timestamp,
) -> Verdict {
    if let Decision::Stop(refusal) = decision {
        match refusal.reason {
            Reason::Suspended => return while_suspended(refusal, old, now),
            // The provider is gone, but what it issued goes on working.
            Reason::ProviderNotFound if is_usable(seen, now) => {}
            // It cannot be replaced, but nobody has damaged it.
            Reason::TargetImmutable if is_intact(seen) && is_usable(seen, now) => {}
            _ => return (false, refusal.reason, refusal.message.clone()),
        }
    }
    let Some(published) = seen.published() else {
        return match obstacle {
            Some((reason, message)) => (false, *reason, message.clone()),
            None => (
                false,
                Reason::Progressing,
                "the credential is being issued".to_owned(),
            ),
        };
    };
    if is_usable(seen, now) {
        let credential = seen
            .request
            .spec
            .as_ref()
            .map_or("credential", |wanted| wanted.credential);
        let secret = seen
            .request
            .spec
            .as_ref()
            .map_or("", |wanted| wanted.secret_name.as_str());
        let life = match published.expires_at {
            Some(at) => format!(
                "it was granted for {:#}",
                rounded(at.duration_since(published.issued_at))
            ),
            None => "it does not expire".to_owned(),
        };
        return if published.unverified {
            (
                true,
                Reason::SyncedUnverified,
                format!(
                    "the {credential} is in Secret {secret}; {life}; the provider has no way to prove that it works"
                ),
            )
        } else {
            (
                true,
                Reason::Synced,
                format!("the {credential} in Secret {secret} was proven to work; {life}"),
            )
        };
    }
    let why = obstacle.map_or_else(
        || "it is being replaced".to_owned(),
        |(reason, message)| format!("{reason}: {message}"),
    );
    if published.damage == super::Damage::Lost {
        let reason = obstacle.map_or(Reason::Progressing, |(reason, _)| *reason);
        (
            false,
            reason,
            format!("the credential in the Secret was damaged; {why}"),
        )
    } else {
        (
            false,
            Reason::Expired,
            format!("the credential in the Secret has expired; {why}"),
        )
    }
}

/// A suspended request is not looked at: it stays as ready as it was, until its credential expires.
fn while_suspended(refusal: &Refusal, old: &CredentialRequestStatus, now: Timestamp) -> Verdict {
    let was = old
        .conditions
        .iter()
        .find(|condition| condition.type_ == condition::READY);
    match was {
        Some(was) if was.status == "True" && old.expires_at.is_none_or(|at| at > now) => {
            (true, Reason::Suspended, refusal.message.clone())
        }
        _ => (false, Reason::Suspended, refusal.message.clone()),
    }
}

fn rounded(life: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(life.as_secs())
}

/// A condition, with the old time of transition when its status is the same as before.
pub(crate) fn condition(
    old: &[Condition],
    type_: &str,
    (on, reason, message): (bool, Reason, &str),
    generation: i64,
    now: Timestamp,
) -> Condition {
    let status = if on { "True" } else { "False" };
    let since = old
        .iter()
        .find(|condition| condition.type_ == type_ && condition.status == status)
        .map_or_else(
            || Time(whole_second(now)),
            |condition| condition.last_transition_time.clone(),
        );
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.to_owned(),
        observed_generation: Some(generation),
        last_transition_time: since,
    }
}

/// People read these times.
fn whole_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// The API server keeps times of conditions to the second; a finer one would look like a change.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
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
    let first = old.credentials.is_empty();
    let rotated = old.rotated != new.rotated && !first;
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
            note: format!("somebody changed Secret {secret}; it was written again"),
        });
    }
    for type_ in [condition::READY, condition::RENEWAL_FAILING] {
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
            && was.is_none_or(|was| was.status != is.status || was.reason != is.reason)
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

fn action(decision: &Decision) -> &'static str {
    match decision {
        Decision::Stop(_) => "Check",
        Decision::Do(Step::Repair) => "Repair",
        _ => "Issue",
    }
}

fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Events hold at most 1024 bytes.
fn shortened(note: &str) -> String {
    let mut end = note.len().min(1000);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note[..end].to_owned()
}
