//! The only place where delays after failures are chosen.

use jiff::{SignedDuration, Timestamp};

use super::{Observed, finalizer::Additions, schedule};
use crate::api::{Reason, request::FailureRecord};

/// What kind of failure a reason stands for: it alone decides when the next attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Somebody has to change something; trying again is useless before.
    Invalid,
    /// The login is refused. Trying again soon gets accounts locked.
    Denied,
    /// The login works, but lacks a right or finds something missing or in the way. Somebody has to
    /// change that at the provider, which tells nobody when it is done.
    Lacking,
    /// The provider refuses more credentials.
    Quota,
    /// The provider asked for fewer calls.
    RateLimited,
    /// It may work the next time.
    Transient,
}

/// The class of a reason.
pub fn class(reason: Reason) -> Class {
    match reason {
        Reason::InvalidSpec
        | Reason::Undecodable
        | Reason::ProviderNotFound
        | Reason::ProviderTerminating
        | Reason::Suspended
        | Reason::TargetNotOwned
        | Reason::TargetImmutable
        | Reason::TargetTerminating
        | Reason::LoginSecretNotFound
        | Reason::LoginKeyNotFound
        | Reason::LoginInvalid
        | Reason::WouldBreakLogin
        | Reason::NotRegenerated
        | Reason::NoConsent
        | Reason::CABundleInvalid => Class::Invalid,
        Reason::LoginRefused
        // A name may lead elsewhere later, and nobody tells.
        | Reason::EndpointRefused => Class::Denied,
        Reason::Forbidden
        // Where it depends on what the provider says about users and roles; what the grants alone say
        // is no failure.
        | Reason::NotAllowed
        | Reason::ScopeRefused
        | Reason::IdentityTaken
        | Reason::NotOffered => Class::Lacking,
        Reason::QuotaExceeded => Class::Quota,
        Reason::RateLimited => Class::RateLimited,
        Reason::ProviderUnavailable
        | Reason::Timeout
        | Reason::TLSFailed
        | Reason::UnexpectedAnswer
        | Reason::VerificationFailed
        | Reason::DestroysMore
        | Reason::InternalError
        | Reason::SecretRefused
        | Reason::SecretUnreadable
        | Reason::FinalizerRefused
        | Reason::Expired
        | Reason::TargetAltered
        | Reason::TargetContested
        // A call found no turn in time, behind those that are under way.
        | Reason::WaitingForBudget => Class::Transient,
        // These say that things are well; as a failure they would be a defect.
        Reason::Synced
        | Reason::SyncedUnverified
        | Reason::Progressing
        | Reason::Revoking
        | Reason::InUse
        | Reason::Nominal
        | Reason::LoginWorks
        | Reason::SkipsVerification
        | Reason::PlainHTTP => Class::Transient,
    }
}

/// The first delay after a transient failure.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// The longest delay after a transient failure.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// The delay after a denial. Long, because each attempt counts towards locking an account.
const DENIED: SignedDuration = SignedDuration::from_mins(30);
/// The first delay after something was found lacking, and the longest.
const LACKING: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(30), DENIED);
/// The first delay after a quota answer, and the longest.
const QUOTA: (SignedDuration, SignedDuration) =
    (SignedDuration::from_mins(10), SignedDuration::from_hours(2));
/// The longest pause that a provider can ask for.
const LONGEST_WISH: SignedDuration = SignedDuration::from_hours(1);
/// The delay after a rate limit that names none.
const RATE_LIMITED: SignedDuration = SignedDuration::from_secs(30);
/// How many attempts fit between a failure and the expiry of what is published.
const ATTEMPTS_BEFORE_EXPIRY: i32 = 6;
/// The shortest delay, however near the expiry is.
const SHORTEST: SignedDuration = SignedDuration::from_millis(100);

/// Whether people have to act before anything can go on.
pub fn needs_people(reason: Reason) -> bool {
    matches!(
        class(reason),
        Class::Invalid | Class::Denied | Class::Lacking
    )
}

/// When a failed attempt is made again; never by itself when absent.
pub fn next_try(failure: &FailureRecord, seen: &Observed, now: Timestamp) -> Option<Timestamp> {
    let expires_at = seen.published().and_then(|published| published.expires_at);
    let delay = delay(failure, seen.request.spread, expires_at)?;
    // A time in the future is no time of an attempt: a clock was set back, or somebody wrote it.
    let last = failure.last_attempt_time.min(now);
    Some(last.checked_add(delay).unwrap_or(now))
}

/// When a read or a write that the API server refused is tried again. However near the expiry is, no
/// object is written more than once a second.
pub fn next_write(failure: &FailureRecord, seen: &Observed, now: Timestamp) -> Timestamp {
    let expires_at = seen.published().and_then(|published| published.expires_at);
    let delay = delay(failure, seen.request.spread, expires_at).unwrap_or(LONGEST);
    let last = failure.last_attempt_time.min(now);
    last.checked_add(delay.max(FIRST)).unwrap_or(now)
}

/// When a revocation that failed is tried again; never by itself when absent.
pub fn next_revocation(
    failure: &FailureRecord,
    seen: &Observed,
    now: Timestamp,
) -> Option<Timestamp> {
    let delay = delay(failure, seen.request.spread, None)?;
    let last = failure.last_attempt_time.min(now);
    Some(last.checked_add(delay).unwrap_or(now))
}

/// The delay after a failure, by its class, its attempts, and what there is to lose.
pub fn delay(
    failure: &FailureRecord,
    spread: u32,
    expires_at: Option<Timestamp>,
) -> Option<SignedDuration> {
    let by_class = by_class(failure, spread, expires_at)?;
    // A provider that named a time is asked a little after it, not by everybody at once.
    let by_wish = failure.not_before.map(|at| {
        let wish = at.duration_since(failure.last_attempt_time);
        schedule::spread_out(wish.min(LONGEST_WISH), spread, 10)
    });
    Some(match (class(failure.reason), by_wish) {
        // A wish for no pause at all is not taken at its word.
        (Class::RateLimited, Some(by_wish)) => {
            by_wish.max(doubled(FIRST, failure.attempts, LONGEST))
        }
        (_, by_wish) => by_class.max(by_wish.unwrap_or(by_class)),
    })
}

fn by_class(
    failure: &FailureRecord,
    spread: u32,
    expires_at: Option<Timestamp>,
) -> Option<SignedDuration> {
    Some(match class(failure.reason) {
        Class::Invalid => return None,
        Class::Denied => schedule::spread_out(DENIED, spread, 50),
        Class::Lacking => {
            schedule::spread_out(doubled(LACKING.0, failure.attempts, LACKING.1), spread, 20)
        }
        Class::Quota => {
            schedule::spread_out(doubled(QUOTA.0, failure.attempts, QUOTA.1), spread, 20)
        }
        Class::RateLimited => schedule::spread_out(RATE_LIMITED, spread, 50),
        Class::Transient => {
            let calm = schedule::spread_out(doubled(FIRST, failure.attempts, LONGEST), spread, 20);
            match expires_at {
                Some(at) if at > failure.last_attempt_time => {
                    let left = at.duration_since(failure.last_attempt_time);
                    calm.min((left / ATTEMPTS_BEFORE_EXPIRY).max(SHORTEST))
                }
                // The hurried attempts before the expiry are no reason to wait long after it: an
                // outage is over for the request when it has lasted twice as long at most.
                Some(at) => {
                    let over = failure.last_attempt_time.duration_since(at).max(FIRST);
                    calm.min(schedule::spread_out(over, spread, 20))
                }
                None => calm,
            }
        }
    })
}

fn doubled(first: SignedDuration, attempts: u32, longest: SignedDuration) -> SignedDuration {
    let factor = 1_i32
        .checked_shl(attempts.saturating_sub(1).min(30))
        .unwrap_or(i32::MAX);
    first.checked_mul(factor).unwrap_or(longest).min(longest)
}

/// How many replacements of damaged credentials are made without a pause.
const REPLACEMENTS: usize = 10;
/// Within which time.
const REPLACEMENT_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// How many repairs are made without a pause within that time. They cost the provider nothing, but
/// two controllers that undo each other's writes must come to rest.
const REPAIRS: usize = 60;

/// When the Secret may be repaired again, if that has to wait.
pub fn repair_contested_until(repairs: &[Timestamp], now: Timestamp) -> Option<Timestamp> {
    rest_until(repairs, REPAIRS, now)
}

/// When a damaged credential may be replaced again, if that has to wait: each replacement costs the
/// provider a credential, and whoever damages the Secret again and again would get one each time.
pub fn contested_until(replacements: &[Timestamp], now: Timestamp) -> Option<Timestamp> {
    rest_until(replacements, REPLACEMENTS, now)
}

/// How many additions of a finalizer are made without a pause within that time. Two controllers
/// that undo each other's writes must come to rest.
const ADDITIONS: usize = 5;

/// When the operator's finalizer may be put on an object, if that has to wait: the object has lost
/// it too often, or the last write did not leave it there.
pub fn next_addition(additions: &Additions, spread: u32, now: Timestamp) -> Option<Timestamp> {
    let contested = rest_until(&additions.at, ADDITIONS, now);
    let failed = additions.failed.as_ref().and_then(|failed| {
        let delay = doubled(FIRST, failed.attempts, LONGEST);
        let delay = schedule::spread_out(delay, spread, 20);
        // A time in the future was noted before a clock was set back.
        failed.at.min(now).checked_add(delay).ok()
    });
    contested.max(failed).filter(|at| *at > now)
}

/// For how long the credentials of a request that is gone are tried to be revoked.
pub const BEST_EFFORT: SignedDuration = SignedDuration::from_mins(5);

/// The delay before a provider that cannot be asked is looked at again for such a request.
pub fn best_effort(attempts: u32) -> SignedDuration {
    doubled(FIRST, attempts, LONGEST)
}

/// When one of so many within the window is old enough that another may follow.
fn rest_until(times: &[Timestamp], most: usize, now: Timestamp) -> Option<Timestamp> {
    let since = now.checked_sub(REPLACEMENT_WINDOW).ok()?;
    let recent: Vec<_> = times.iter().filter(|at| **at > since).collect();
    let oldest = recent.len().checked_sub(most)?;
    recent.get(oldest)?.checked_add(REPLACEMENT_WINDOW).ok()
}
