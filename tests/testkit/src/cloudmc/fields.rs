//! The values of a user in an environment, as `apiInfo` shows them.

use serde_json::{Value, json};

/// One field. Its value is any JSON, because an answer may hold any; real ones are texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The name. Nothing keeps two fields of one environment from having the same.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Whether the portal hides it behind an eye (knowledge base).
    pub sensitive: bool,
    /// Whether it belongs to this environment alone; else to all environments of the user at this connection.
    pub environment_specific: bool,
}

impl Field {
    /// A value that anybody may see, and that all environments share.
    pub fn open(key: &str, value: impl Into<Value>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
            sensitive: false,
            environment_specific: false,
        }
    }

    /// A value that nobody else may see, and that all environments share.
    pub fn secret(key: &str, value: impl Into<Value>) -> Self {
        Self {
            sensitive: true,
            ..Self::open(key, value)
        }
    }

    /// The same field, for one environment alone.
    pub fn specific(mut self) -> Self {
        self.environment_specific = true;
        self
    }

    /// The value as text; empty when it is none.
    pub fn text(&self) -> &str {
        self.value.as_str().unwrap_or_default()
    }

    /// As it stands in an answer (service connections). `environmentSpecific` came later than the others.
    pub(super) fn describe(&self, with_sensitive: bool, with_specific: bool) -> Value {
        let mut field = json!({"key": self.key, "value": self.value});
        if with_sensitive {
            field["sensitive"] = json!(self.sensitive);
        }
        if with_specific {
            field["environmentSpecific"] = json!(self.environment_specific);
        }
        field
    }
}
