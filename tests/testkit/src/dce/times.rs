//! The forms in which moments are written in requests and answers about access keys.
//!
//! The OpenAPI says "string" and no more. Samples of other answers have milliseconds since the epoch, with "0" for
//! never; an example of the vendor's command line sends RFC 3339. So clients must read all of them.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// How moments are written in answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeForm {
    /// Milliseconds since the epoch, as text: `"1660632794800"`.
    #[default]
    EpochMillis,
    /// In UTC: `"2022-08-16T06:53:14.8Z"`.
    Rfc3339,
}

/// How answers say that there is no such moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NeverForm {
    /// `"0"`.
    #[default]
    Zero,
    /// `""`.
    Empty,
    /// The field is left out.
    Missing,
}

/// Writes a moment, in milliseconds since the epoch, into an answer.
pub(super) fn write(
    into: &mut Map<String, Value>,
    field: &str,
    at_ms: Option<i64>,
    times: TimeForm,
    never: NeverForm,
) {
    let text = match (at_ms, times, never) {
        (Some(ms), TimeForm::EpochMillis, _) => ms.to_string(),
        (Some(ms), TimeForm::Rfc3339, _) => match Timestamp::from_millisecond(ms) {
            Ok(at) => at.to_string(),
            // Past the year 9999, of which RFC 3339 knows nothing.
            Err(_) => ms.to_string(),
        },
        (None, _, NeverForm::Zero) => "0".to_owned(),
        (None, _, NeverForm::Empty) => String::new(),
        (None, _, NeverForm::Missing) => return,
    };
    into.insert(field.to_owned(), text.into());
}

/// The moment that a request names, in milliseconds since the epoch: any of the forms above. `Err` when it is none of
/// them.
pub(super) fn read(text: &str) -> Result<Option<i64>, ()> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    if let Ok(ms) = text.parse() {
        return Ok(Some(ms));
    }
    let at: Timestamp = text.parse().map_err(|_| ())?;
    Ok(Some(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_nothing_else() {
        let cases = [
            ("", Ok(None)),
            ("0", Ok(None)),
            ("1660632794800", Ok(Some(1_660_632_794_800))),
            ("2022-08-16T06:53:14Z", Ok(Some(1_660_632_794_000))),
            ("2022-08-16T06:53:14.8Z", Ok(Some(1_660_632_794_800))),
            ("2022-08-16T14:53:14+08:00", Ok(Some(1_660_632_794_000))),
            ("2022-08-16", Err(())),
            ("2022-08-16T06:53:14", Err(())),
            ("never", Err(())),
            (" 0", Err(())),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for times in [TimeForm::EpochMillis, TimeForm::Rfc3339] {
            for never in [NeverForm::Zero, NeverForm::Empty, NeverForm::Missing] {
                for at in [None, Some(1_660_632_794_800)] {
                    let mut answer = Map::new();
                    write(&mut answer, "at", at, times, never);
                    let text = answer.get("at").map_or("", |at| at.as_str().unwrap());
                    assert_eq!(read(text), Ok(at), "{times:?} {never:?}");
                    let missing = at.is_none() && never == NeverForm::Missing;
                    assert_eq!(answer.is_empty(), missing);
                }
            }
        }
    }
}
