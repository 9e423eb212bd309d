//! What the conditions of a request say. As pure as the plan.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    Damage, Decision, Observed, Refusal, Wait, WaitReason, backoff::needs_people, checks,
    finalizer, is_usable, ledger, obstacle, retire, writes,
};
use crate::api::{Reason, condition, request::CredentialRequestStatus};

/// All conditions of a request after a pass.
pub(super) fn conditions(
    seen: &Observed,
    decision: &Decision,
    old: &CredentialRequestStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let revocation = retire::obstacle(seen, now);
    if seen.request.deleting.is_some() {
        return while_going(seen, revocation.as_ref(), old, now);
    }
    // A revocation that fails now is worse than one that may be missed later.
    let revocation = revocation.or_else(|| finalizer::obstacle(seen, now));
    let obstacle = obstacle(seen, decision);
    let revocation = revocation.or_else(|| unrevoked_leak(seen, obstacle.as_ref(), now));
    let ready = ready(seen, decision, obstacle.as_ref(), old, now);
    let works = ready.0;
    let stopped =
        matches!(decision, Decision::Stop(refusal) if refusal.reason != Reason::Suspended);
    let needs_people = obstacle
        .as_ref()
        .is_some_and(|(reason, _)| needs_people(*reason) && *reason != Reason::Suspended);
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
    let verdicts = [
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
    ];
    let revoking = seen
        .request
        .traits
        .revocable
        .then(|| revocation_failing(revocation.as_ref()));
    stated(verdicts.into_iter().chain(revoking), seen, old, now)
}

fn stated(
    verdicts: impl Iterator<Item = (&'static str, Verdict)>,
    seen: &Observed,
    old: &CredentialRequestStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let generation = seen.request.generation;
    verdicts
        .map(|(type_, (on, reason, message))| {
            let verdict = (on, reason, message.as_str());
            condition(&old.conditions, type_, verdict, generation, now)
        })
        .collect()
}

/// Why the published credential still works although `revoke-retiring` asks for its end.
fn unrevoked_leak(
    seen: &Observed,
    obstacle: Option<&(Reason, String)>,
    now: Timestamp,
) -> Option<(Reason, String)> {
    checks::leaked(seen, now)?;
    let (reason, why) = obstacle?;
    let serial = seen.published()?.serial;
    let message = format!(
        "the published credential with serial {serial} is still alive, although the annotation \
         credential-operator.dev/revoke-retiring asks for its end: it is revoked when its successor is published, \
         and that waits for this: {why}"
    );
    Some((*reason, message))
}

fn revocation_failing(obstacle: Option<&(Reason, String)>) -> (&'static str, Verdict) {
    let verdict = match obstacle {
        Some((reason, message)) => (true, *reason, message.clone()),
        None => (
            false,
            Reason::Nominal,
            "no revocation has failed".to_owned(),
        ),
    };
    (condition::REVOCATION_FAILING, verdict)
}

/// A request that is being deleted says what keeps it.
fn while_going(
    seen: &Observed,
    obstacle: Option<&(Reason, String)>,
    old: &CredentialRequestStatus,
    now: Timestamp,
) -> Vec<Condition> {
    let alive: Vec<_> = ledger::records(seen, now)
        .iter()
        .map(|record| match &record.id {
            Some(id) => format!("{} (id {id})", record.serial),
            None => record.serial.to_string(),
        })
        .collect();
    let what = if alive.is_empty() {
        "being deleted; it is made sure that no attempt has left a credential behind".to_owned()
    } else {
        format!(
            "being deleted; still alive at the provider: credential {}",
            alive.join(", ")
        )
    };
    let (reason, message) = match obstacle {
        Some((reason, why)) => (*reason, format!("{what}; {why}")),
        None => (Reason::Revoking, what),
    };
    let needs_people = needs_people(reason);
    let verdict = |on: bool, off: &str| {
        if on {
            (true, reason, message.clone())
        } else {
            (false, Reason::Nominal, off.to_owned())
        }
    };
    let verdicts = [
        (condition::READY, (false, reason, message.clone())),
        (
            condition::RECONCILING,
            verdict(!needs_people, "nothing is under way"),
        ),
        (
            condition::STALLED,
            verdict(needs_people, "nobody has to do anything"),
        ),
        (
            condition::RENEWAL_FAILING,
            verdict(false, "no renewal has failed"),
        ),
        revocation_failing(obstacle),
    ];
    stated(verdicts.into_iter(), seen, old, now)
}

fn is_intact(seen: &Observed) -> bool {
    seen.published()
        .is_some_and(|published| matches!(published.damage, Damage::None | Damage::Metadata))
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
            // The provider is gone, or about to go, but what it issued goes on working.
            Reason::ProviderNotFound | Reason::ProviderTerminating if is_usable(seen, now) => {}
            // It cannot be replaced, but nobody has damaged it.
            Reason::TargetImmutable if is_intact(seen) && is_usable(seen, now) => {}
            _ => return (false, refusal.reason, refusal.message.clone()),
        }
    }
    // A grant that was withdrawn, where that took the provider to tell.
    if seen.request.traits.fetched
        && let Some((Reason::NotAllowed, message)) = obstacle
    {
        return (false, Reason::NotAllowed, message.clone());
    }
    if let Some(verdict) = while_unreadable(seen, old, now) {
        return verdict;
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
        // Never more than two at a time are alive.
        let waits = matches!(
            decision,
            Decision::Wait(Wait {
                reason: WaitReason::Overlap,
                ..
            })
        );
        let life = if waits {
            format!("{life}; its successor waits until an older credential is revoked")
        } else {
            life
        };
        let life = match &published.deviation {
            Some(deviation) => format!("{life}; {deviation}"),
            None => life,
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
    if seen.probe.refused == Some(published.serial) {
        let reason = obstacle.map_or(Reason::Progressing, |(reason, _)| *reason);
        return (
            false,
            reason,
            format!("the provider does not know the credential in the Secret any more; {why}"),
        );
    }
    if let Some((reason, message)) = writes::contest(seen) {
        return (false, reason, message);
    }
    if matches!(published.damage, Damage::Repairable | Damage::Lost) || ledger::is_rolled_back(seen)
    {
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

/// A Secret that could be read a moment ago and cannot be now stays as ready as it was, until its
/// credential expires or several attempts have failed.
fn while_unreadable(
    seen: &Observed,
    old: &CredentialRequestStatus,
    now: Timestamp,
) -> Option<Verdict> {
    (seen.published().is_none() && writes::is_briefly_unreadable(seen)).then_some(())?;
    let was = was_ready(old, now)?;
    let reason = Reason::ALL
        .iter()
        .find(|reason| reason.as_str() == was.reason)?;
    Some((true, *reason, was.message.clone()))
}

/// The old condition `Ready`, where it says yes and the credential has not expired since.
fn was_ready(old: &CredentialRequestStatus, now: Timestamp) -> Option<&Condition> {
    let was = old
        .conditions
        .iter()
        .find(|condition| condition.type_ == condition::READY)?;
    (was.status == "True" && old.expires_at.is_none_or(|at| at > now)).then_some(was)
}

/// A suspended request is not looked at: it stays as ready as it was, until its credential expires.
fn while_suspended(refusal: &Refusal, old: &CredentialRequestStatus, now: Timestamp) -> Verdict {
    let was_ready = was_ready(old, now).is_some();
    (was_ready, Reason::Suspended, refusal.message.clone())
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

/// The API server keeps times of conditions to the second; a finer one would look like a change.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
