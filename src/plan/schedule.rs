//! When a published credential is replaced.

use jiff::{SignedDuration, Timestamp};

use super::{Observed, Published};
use crate::api::request::NextAction;

/// A new request that stands in a budget's queue for longer than this says so.
pub const LONG_QUEUE: SignedDuration = SignedDuration::from_secs(10);

/// A request that waits for its provider to be checked looks again after this.
pub const LONG_CHECK: SignedDuration = SignedDuration::from_secs(10);

/// Whether a credential is past its expiry. One without an expiry never is.
pub fn is_expired(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|at| at <= now)
}

/// When a credential is renewed because it expires: `renewBefore` ahead of the expiry, or after two
/// thirds of its life and up to a tenth of it later, spread by the request's UID.
pub fn renew_at(seen: &Observed, published: &Published) -> Option<Timestamp> {
    let expires_at = published.expires_at?;
    let life = expires_at.duration_since(published.issued_at);
    let half = life / 2;
    let before = seen.request.spec.as_ref().ok()?.renew_before;
    let due = match before {
        Some(before) if before <= half => expires_at.checked_sub(before).ok()?,
        _ => {
            let late = life.checked_mul(i32::try_from(seen.request.spread).ok()?)? / 10_000;
            published
                .issued_at
                .checked_add(life * 2 / 3)
                .ok()?
                .checked_add(late)
                .ok()?
        }
    };
    Some(due.min(expires_at))
}

/// When a credential is replaced because `rotateEvery` says so: at that age or up to a tenth of it
/// earlier, spread by the request's UID, so that requests which were created together are not all
/// replaced together. Never later, because `rotateEvery` may be what a policy demands.
pub fn rotate_at(seen: &Observed, published: &Published) -> Option<Timestamp> {
    let every = seen.request.spec.as_ref().ok()?.rotate_every?;
    let spread = i32::try_from(seen.request.spread).ok()?;
    let early = every / 10_000 * spread;
    published
        .issued_at
        .checked_add(every.checked_sub(early)?)
        .ok()
}

/// When a credential that has to be renewed has so little life left that it goes ahead of everything
/// else: half of what was left when its renewal was due.
pub fn urgent_at(seen: &Observed, published: &Published) -> Option<Timestamp> {
    let due = renew_at(seen, published)?;
    let left = published.expires_at?.duration_since(due);
    due.checked_add(left / 2).ok()
}

/// Whether no successor would live longer, because the request itself says when all of it ends.
pub fn is_last(seen: &Observed, published: &Published) -> bool {
    let wanted = seen.request.spec.as_ref().ok();
    let ends = wanted.and_then(|wanted| wanted.ends);
    ends.is_some_and(|(ends, _)| published.expires_at.is_some_and(|at| at >= ends))
}

/// When the published credential is proven again: at whole multiples of `verifyEvery` after it was
/// issued, the first one after the last proof. So a restart neither causes nor prevents one.
pub fn verify_at(seen: &Observed, published: &Published) -> Option<Timestamp> {
    let every = seen.request.spec.as_ref().ok()?.verify_every?;
    let age = seen.probe.at?.duration_since(published.issued_at);
    let nanoseconds = every.as_nanos().max(1);
    let times = age.as_nanos().max(0) / nanoseconds + 1;
    let times = i32::try_from(times).ok()?;
    published
        .issued_at
        .checked_add(every.checked_mul(times)?)
        .ok()
}

/// What happens to a published credential in which nothing is wrong, and when.
pub fn next_replacements(
    seen: &Observed,
    published: &Published,
) -> impl Iterator<Item = (Timestamp, NextAction)> {
    let renewal = renew_at(seen, published)
        .filter(|_| !is_last(seen, published))
        .map(|at| (at, NextAction::Renew));
    let rotation = rotate_at(seen, published).map(|at| (at, NextAction::Rotate));
    [renewal, rotation].into_iter().flatten()
}

/// People read these times.
pub(super) fn whole_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// The spread of a request, 0 to 999, from its UID. Stable over restarts, and different for
/// requests that were created together.
pub fn spread(uid: &str) -> u32 {
    // FNV-1a: any even distribution does, and it must never change between versions.
    let hash = uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u32::try_from((hash >> 32) % 1000).unwrap_or_default()
}

/// A length of time and up to a fraction of it more, by the request's spread.
pub fn spread_out(base: SignedDuration, spread: u32, percent: i32) -> SignedDuration {
    let spread = i32::try_from(spread).unwrap_or_default();
    base + base / 100 * percent / 1000 * spread
}
