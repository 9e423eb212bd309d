//! The header `Retry-After`.

use jiff::{SignedDuration, Timestamp};

/// The longest pause that a provider can ask for.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);
/// The longest pause that `Retry-After` and `Date` of one answer can tell together. If they are
/// further apart, one of them is wrong.
const PLAUSIBLE: SignedDuration = SignedDuration::from_hours(24);

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
///
/// A date is held against `date`, the answer's own `Date`, so that it does not matter whether the
/// clocks of provider and operator agree. Without a `Date`, or with one that does not fit, it is
/// held against `now`.
pub(super) fn read(value: &str, date: Option<&str>, now: Timestamp) -> Option<SignedDuration> {
    let wait = match value.trim().parse::<u32>() {
        Ok(seconds) => SignedDuration::from_secs(i64::from(seconds)),
        Err(_) => {
            let until = moment(value)?;
            date.and_then(moment)
                .map(|sent| until.duration_since(sent))
                .filter(|wait| (SignedDuration::ZERO..=PLAUSIBLE).contains(wait))
                .unwrap_or_else(|| until.duration_since(now))
        }
    };
    Some(wait.clamp(SignedDuration::ZERO, LONGEST))
}

/// An HTTP date, in the form that RFC 9110 has servers send. The obsolete forms are not read.
fn moment(value: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    Some(zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The operator's clock in all rows.
    const NOW: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        for (value, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999999", Some(3600)),
            ("Thu, 01 Jan 2026 00:01:30 GMT", Some(90)),
            ("Wed, 31 Dec 2025 00:00:00 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
        ] {
            let wait = read(value, None, NOW.parse().unwrap());
            assert_eq!(wait.map(|wait| wait.as_secs()), expected, "{value}");
        }
    }

    #[test]
    fn a_date_is_held_against_the_answer_s_own_date_where_that_fits() {
        let at_two = "Thu, 01 Jan 2026 02:00:30 GMT";
        for (what, value, date, expected) in [
            (
                "the provider's clock is two hours ahead",
                at_two,
                Some("Thu, 01 Jan 2026 02:00:00 GMT"),
                30,
            ),
            (
                "the provider's clock is a day behind",
                "Wed, 31 Dec 2025 00:00:30 GMT",
                Some("Wed, 31 Dec 2025 00:00:00 GMT"),
                30,
            ),
            (
                "the clocks agree",
                "Thu, 01 Jan 2026 00:00:30 GMT",
                Some("Thu, 01 Jan 2026 00:00:00 GMT"),
                30,
            ),
            ("no date", "Thu, 01 Jan 2026 00:00:30 GMT", None, 30),
            ("no date, bounded", at_two, None, 3600),
            (
                "a date that is none",
                "Thu, 01 Jan 2026 00:00:30 GMT",
                Some("now"),
                30,
            ),
            (
                "a gateway that starts in 1970",
                "Thu, 01 Jan 2026 00:00:30 GMT",
                Some("Thu, 01 Jan 1970 00:00:00 GMT"),
                30,
            ),
            (
                "a date after the end of the pause",
                "Thu, 01 Jan 2026 00:00:30 GMT",
                Some("Fri, 02 Jan 2026 00:00:00 GMT"),
                30,
            ),
            (
                "seconds need no date",
                "30",
                Some("Thu, 01 Jan 1970 00:00:00 GMT"),
                30,
            ),
        ] {
            let wait = read(value, date, NOW.parse().unwrap());
            assert_eq!(wait.map(|wait| wait.as_secs()), Some(expected), "{what}");
        }
    }
}
