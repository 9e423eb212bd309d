//! The fields of a user's service keys, as CloudMC shows them (CloudMC API documentation, "Retrieve API
//! credentials"). Any of them can be secret, whatever its `sensitive` says: they go into the Secret and
//! nowhere else.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use zeroize::Zeroizing;

use super::{
    answer::{self, unexpected},
    layout::KEYS,
};
use crate::{plan::Failure, providers::http::Answer};

/// How many fields are believed. A real answer has about ten.
const MOST_FIELDS: usize = 256;
/// How many bytes of names and values together. Not more than a quarter of what a Secret holds.
const MOST_BYTES: usize = 256 * 1024;

/// The part of the answer that matters.
#[derive(Deserialize)]
struct ApiInfo {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    key: String,
    #[serde(default)]
    value: FieldValue,
}

/// The value of a field.
#[derive(Default)]
enum FieldValue {
    /// There is none.
    #[default]
    None,
    /// A text, or a number or truth value as one.
    Text(Zeroizing<String>),
    /// Something that no Secret can hold.
    Other,
}

/// All fields of an answer.
pub struct Fields(Vec<Field>);

impl Fields {
    /// Reads an answer.
    ///
    /// # Errors
    /// `UnexpectedAnswer` when it is not what CloudMC answers, or too much.
    pub fn read(answer: &Answer) -> Result<Fields, Failure> {
        let ApiInfo { fields } = answer::one(answer)?;
        if fields.len() > MOST_FIELDS {
            return Err(unexpected(&format!(
                "shows more than {MOST_FIELDS} fields, which no service has; what is in the Secret stays as it is"
            )));
        }
        let bytes: usize = fields
            .iter()
            .map(|field| {
                let value = match &field.value {
                    FieldValue::Text(text) => text.len(),
                    FieldValue::None | FieldValue::Other => 0,
                };
                field.key.len() + value
            })
            .sum();
        if bytes > MOST_BYTES {
            return Err(unexpected(&format!(
                "shows fields of more than {} KiB together, which no service has; what is in the Secret stays as it is",
                MOST_BYTES / 1024
            )));
        }
        Ok(Fields(fields))
    }

    /// The value of a field; none where it is missing, `null` or empty. The name is the request's own, so that
    /// it may be shown.
    ///
    /// # Errors
    /// `UnexpectedAnswer` when two of that name have a value, or it is no text.
    pub fn value(&self, name: &str) -> Result<Option<&str>, Failure> {
        let named = |field: &&Field| field.key == name && field.has_value();
        let mut named = self.0.iter().filter(named);
        let what = match (named.next(), named.next()) {
            (None, _) => return Ok(None),
            (Some(field), None) => match field.text() {
                Some(text) => return Ok(Some(text)),
                None => "a value that is no text",
            },
            (Some(_), Some(_)) => "two fields of the same name",
        };
        Err(unexpected(&format!(
            "shows {what} for the field {name}; name another field in {KEYS}, or state a value there"
        )))
    }

    /// The names of all fields that have a value, with these.
    ///
    /// # Errors
    /// `UnexpectedAnswer` when a value is no text.
    pub fn with_values(&self) -> Result<Vec<(&str, &str)>, Failure> {
        let mut found = Vec::new();
        for field in self.0.iter().filter(|field| field.has_value()) {
            let text = field.text().ok_or_else(|| {
                unexpected(&format!(
                    "shows a field with a value that is no text; choose fields in {KEYS}"
                ))
            })?;
            found.push((field.key.as_str(), text));
        }
        Ok(found)
    }
}

impl Field {
    fn has_value(&self) -> bool {
        match &self.value {
            FieldValue::None => false,
            FieldValue::Text(text) => !text.is_empty(),
            FieldValue::Other => true,
        }
    }

    fn text(&self) -> Option<&str> {
        match &self.value {
            FieldValue::Text(text) => Some(text.as_str()),
            FieldValue::None | FieldValue::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Reads any value, without keeping a copy.
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = FieldValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<FieldValue, E> {
                Ok(FieldValue::Text(Zeroizing::new(text.to_owned())))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<FieldValue, E> {
                self.visit_str(if value { "true" } else { "false" })
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<FieldValue, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<FieldValue, E> {
                self.visit_str(&value.to_string())
            }

            // How it was written is not known any more.
            fn visit_f64<E: Error>(self, _: f64) -> Result<FieldValue, E> {
                Ok(FieldValue::Other)
            }

            fn visit_unit<E: Error>(self) -> Result<FieldValue, E> {
                Ok(FieldValue::None)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<FieldValue, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(FieldValue::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(FieldValue::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}
