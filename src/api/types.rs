//! Small types that several fields share.

use std::{fmt, str::FromStr};

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A positive length of time as Kubernetes writes it: `90s`, `15m`, `720h`, `1h30m`.
///
/// The text is kept as it was written, so that reading and writing an object changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(String);

impl Duration {
    /// The length, or why the text is none.
    ///
    /// # Errors
    /// When the text is no duration, or not longer than zero.
    pub fn to_signed(&self) -> Result<SignedDuration, String> {
        // The library reads more than the schema accepts: `1 day`, `PT5M`, `5 minutes ago`.
        let plain = self.0.bytes().all(|byte| b"0123456789.hms".contains(&byte));
        let parsed = SignedDuration::from_str(&self.0)
            .ok()
            .filter(|_| plain)
            .ok_or_else(|| format!("{:?} is not a duration such as 90s, 15m or 720h", self.0))?;
        if parsed.is_positive() {
            Ok(parsed)
        } else {
            Err(format!("{:?} must be longer than zero", self.0))
        }
    }
}

impl From<&str> for Duration {
    fn from(text: &str) -> Self {
        Duration(text.to_owned())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Narrower than Go's parser, which `duration()` in CEL is: that one takes `1h1h`, which is
        // a slip rather than a wish, and its own errors help nobody.
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "x-kubernetes-validations": [
                {
                    "rule": format!("self.matches('{FORM}')"),
                    "message": "must be a duration such as 90s, 15m or 720h (units h, m, s, ms, in this order, each once)",
                },
                {
                    "rule": format!("!self.matches('{FORM}') || self.matches('[1-9]')"),
                    "message": "must be longer than zero",
                },
            ],
        })
    }
}

/// `1h30m15s250ms` with at least one of the units, or one number with a fraction.
const FORM: &str = "^([0-9]{1,9}h([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?|[0-9]{1,9}m([0-9]{1,9}s)?([0-9]{1,9}ms)?|[0-9]{1,9}s([0-9]{1,9}ms)?|[0-9]{1,9}ms|[0-9]{1,9}[.][0-9]{1,9}(h|m|s|ms))$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_kubernetes_writes_them() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("720h", 2_592_000),
            ("1h30m", 5400),
        ] {
            assert_eq!(
                Duration::from(text).to_signed().unwrap().as_secs(),
                seconds,
                "{text}"
            );
        }
        assert_eq!(Duration::from("1.5h").to_signed().unwrap().as_secs(), 5400);
        assert_eq!(
            Duration::from("250ms").to_signed().unwrap().as_millis(),
            250
        );
    }

    #[test]
    fn what_is_no_positive_duration_is_refused() {
        for text in ["", "0s", "-5m", "tomorrow", "12"] {
            assert!(Duration::from(text).to_signed().is_err(), "{text}");
        }
    }
}
