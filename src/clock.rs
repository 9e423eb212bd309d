//! The only place that reads a clock. Everything else is told the time, so that it can be tested
//! at any.

use std::time::Instant;

use jiff::Timestamp;

/// The time of day.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A time that never goes backwards, for measuring lengths.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn monotonic() -> Instant {
    Instant::now()
}
