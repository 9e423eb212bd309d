//! The plan for a provider: is it usable, and does its login have to be tested?

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    NotReady, Refusal, backoff, conditions,
    finalizer::{self, Additions},
};
use crate::api::{
    ProviderStatus, Reason, condition, provider::LoginRecord, request::FailureRecord,
};

/// All that is known about one provider at one moment.
#[derive(Clone, Debug)]
pub struct SeenProvider {
    /// Its kind and name, for messages.
    pub name: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// 0 to 999, derived from its UID.
    pub spread: u32,
    /// Its endpoint.
    pub endpoint: Option<String>,
    /// The versions of what its login is made with, or what is missing.
    pub reach: Result<String, Refusal>,
    /// The last login, or the last attempt.
    pub login: Option<LoginRecord>,
    /// Why the connection is not safe, where it is not.
    pub insecure: Option<(Reason, String)>,
    /// How many requests use it.
    pub requests: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its deletion waits for the requests that need it.
    pub held: bool,
    /// Whether a request waits for it to be held, or needs that it is.
    pub wanted_held: bool,
    /// The writes that put the operator's finalizer on it.
    pub additions: Additions,
    /// The requests that need it to revoke something; absent while that is not known.
    pub needed_by: Option<Vec<String>>,
}

/// What becomes of the operator's finalizer on a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Nothing.
    AsItIs,
    /// It is added, since something is about to be issued that has to be revoked there one day.
    Add,
    /// It is removed, since nobody needs the provider.
    Remove,
}

/// Decides what becomes of the finalizer of a provider, which is put back where another writer has
/// removed it and a request needs it. It is kept until the provider is deleted: one
/// that comes and goes with every request would be a write for each.
pub fn hold(seen: &SeenProvider, now: Timestamp) -> Hold {
    let needed = seen
        .needed_by
        .as_ref()
        .is_none_or(|requests| !requests.is_empty());
    match (seen.deleting, seen.held) {
        // The API server accepts no new finalizers from here on.
        (true, true) if !needed => Hold::Remove,
        (false, false) if seen.wanted_held && next_hold(seen, now).is_none() => Hold::Add,
        _ => Hold::AsItIs,
    }
}

/// When the missing finalizer is put on the provider, if that has to wait.
pub fn next_hold(seen: &SeenProvider, now: Timestamp) -> Option<Timestamp> {
    let missing = seen.wanted_held && !seen.held && !seen.deleting;
    missing.then(|| backoff::next_addition(&seen.additions, seen.spread, now))?
}

/// Why the finalizer is missing on a provider that needs it, as it stands in conditions and events.
pub fn hold_obstacle(seen: &SeenProvider, now: Timestamp) -> Option<(Reason, String)> {
    next_hold(seen, now).map(|_| finalizer::words_for_provider(&seen.name, &seen.additions))
}

/// How many of the requests that a provider waits for are named.
const NAMED: usize = 5;

/// What to do next for one provider.
#[derive(Clone, Debug, PartialEq)]
pub enum ProviderDecision {
    /// Log in once, to see whether it works.
    TestLogin,
    /// It can be used.
    Usable,
    /// It cannot be used at the moment.
    NotUsable(NotReady),
}

/// Decides what to do next for one provider. Its login is tested once for each change of what it is
/// made with, and again only after it failed.
pub fn plan(seen: &SeenProvider, now: Timestamp) -> ProviderDecision {
    let inputs = match &seen.reach {
        Ok(inputs) => inputs,
        Err(refusal) => {
            return ProviderDecision::NotUsable(NotReady {
                reason: refusal.reason,
                message: format!("{}: {}", seen.name, refusal.message),
                retry_at: None,
            });
        }
    };
    match &seen.login {
        Some(login) if login.inputs == *inputs && login.reason == Reason::LoginWorks => {
            ProviderDecision::Usable
        }
        Some(login) if login.inputs == *inputs => match next_login(login, seen.spread, now) {
            Some(at) if at <= now => ProviderDecision::TestLogin,
            retry_at => ProviderDecision::NotUsable(NotReady {
                reason: login.reason,
                message: format!(
                    "{}: {}",
                    seen.name,
                    login.message.as_deref().unwrap_or("the login failed")
                ),
                retry_at,
            }),
        },
        _ => ProviderDecision::TestLogin,
    }
}

/// When a failed login is tried again.
fn next_login(login: &LoginRecord, spread: u32, now: Timestamp) -> Option<Timestamp> {
    let failure = FailureRecord {
        reason: login.reason,
        attempts: login.attempts,
        last_attempt_time: login.time,
        not_before: login.not_before,
        inputs: String::new(),
        message: String::new(),
    };
    let delay = backoff::delay(&failure, spread, None)?;
    // A time in the future is no time of an attempt: a clock was set back, or somebody wrote it.
    login.time.min(now).checked_add(delay).ok()
}

fn waits_for(seen: &SeenProvider) -> String {
    let requests = seen.needed_by.as_deref().unwrap_or_default();
    let mut names: Vec<_> = requests.iter().take(NAMED).cloned().collect();
    let more = requests.len().saturating_sub(NAMED);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    format!(
        "{} is being deleted and issues nothing any more; it waits for CredentialRequests whose credentials it has to \
         revoke: {}",
        seen.name,
        names.join(", ")
    )
}

/// The status of a provider after its pass.
pub fn report(
    seen: &SeenProvider,
    decision: &ProviderDecision,
    old: &ProviderStatus,
    now: Timestamp,
) -> ProviderStatus {
    let (on, reason, message) = match decision {
        _ if seen.deleting && seen.held => (false, Reason::InUse, waits_for(seen)),
        ProviderDecision::NotUsable(not_ready) => {
            (false, not_ready.reason, not_ready.message.clone())
        }
        ProviderDecision::Usable => (true, Reason::LoginWorks, "the login works".to_owned()),
        ProviderDecision::TestLogin => (
            false,
            Reason::Progressing,
            "the login is being tested".to_owned(),
        ),
    };
    let stalled = !on && backoff::needs_people(reason);
    let reconciling = !on && !stalled;
    let flag = |set: bool, off: &'static str| {
        if set {
            (true, reason, message.clone())
        } else {
            (false, Reason::Nominal, off.to_owned())
        }
    };
    let mut verdicts = vec![
        (condition::READY, (on, reason, message.clone())),
        (
            condition::RECONCILING,
            match hold_obstacle(seen, now).filter(|_| !reconciling) {
                Some((reason, message)) => (true, reason, message),
                None => flag(reconciling, "nothing is under way"),
            },
        ),
        (
            condition::STALLED,
            flag(stalled, "nobody has to do anything"),
        ),
    ];
    if let Some((reason, message)) = &seen.insecure {
        verdicts.push((condition::INSECURE, (true, *reason, message.clone())));
    }
    let conditions: Vec<Condition> = verdicts
        .into_iter()
        .map(|(type_, (on, reason, message))| {
            conditions::condition(
                &old.conditions,
                type_,
                (on, reason, &message),
                seen.generation,
                now,
            )
        })
        .collect();
    ProviderStatus {
        conditions,
        observed_generation: Some(seen.generation),
        endpoint: seen.endpoint.clone(),
        requests: Some(seen.requests),
        login: seen.login.clone(),
    }
}
