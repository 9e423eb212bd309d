//! The only place that reads a clock. Everything else is told the time, so that it can be tested
//! at any.

use std::time::Instant;

use jiff::Timestamp;

/// The time of day, to the millisecond: it ends up in objects that people read.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// A time that never goes backwards, for measuring lengths.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn monotonic() -> Instant {
    Instant::now()
}
