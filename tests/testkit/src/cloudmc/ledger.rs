//! What tests are told about calls, and everything that must not leak.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fields::Field;

/// One answer that held the values of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Whose values.
    pub user_id: String,
    /// At which connection.
    pub connection_id: String,
    /// In which environment.
    pub environment_id: String,
}

/// How often things happened. What "arrived" counts also if a fault answered it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests for values that arrived.
    pub api_info: u64,
    /// Requests that arrived for a connection's parameters: the provider's own admin credentials, which nobody may ask
    /// for whose job are the keys of users.
    pub parameters: u64,
    /// Requests of any kind that arrived with a method that may change something: all but GET and HEAD.
    pub changing: u64,
    /// Requests that an API key has opened.
    pub accepted: u64,
    /// Requests without an API key, or with one that is not, or no longer, known.
    pub refused: u64,
}

/// The calls of one simulator.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) counts: Counts,
    pub(super) reads: Vec<Read>,
    secrets: BTreeSet<String>,
}

impl Ledger {
    /// Notes something that must not leak.
    pub(super) fn secret(&mut self, value: &str) {
        if !value.is_empty() {
            self.secrets.insert(value.to_owned());
        }
    }

    /// Notes the sensitive values among these: all texts in them.
    pub(super) fn fields(&mut self, fields: &[Field]) {
        for field in fields.iter().filter(|field| field.sensitive) {
            self.texts(&field.value);
        }
    }

    fn texts(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.secret(text),
            Value::Array(values) => values.iter().for_each(|value| self.texts(value)),
            Value::Object(members) => members.values().for_each(|value| self.texts(value)),
            _ => {}
        }
    }

    pub(super) fn secrets(&self) -> &BTreeSet<String> {
        &self.secrets
    }
}
