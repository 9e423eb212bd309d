//! What CloudMC's answers say (CloudMC API documentation, "Getting started"): a successful one has `data`;
//! one with `errors` is a failure, whatever its status. Nothing of their text is ever shown.

use std::{fmt, marker::PhantomData};

use reqwest::StatusCode;
use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer,
    },
};
use serde_json::Value;

use crate::{
    api::Reason,
    plan::Failure,
    providers::http::{Answer, Size, by_status, failed},
};

/// How the system is called in messages.
pub const NAME: &str = "CloudMC";

/// The part of an answer that tells whether it is a failure. What else there is may be anything.
#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    errors: Value,
}

/// The same part of an answer that is longer than any failure: whether there are errors, and no
/// copy of them.
#[derive(Deserialize)]
struct LongOutcome {
    #[serde(default)]
    errors: Option<Vec<IgnoredAny>>,
}

/// The part of a successful answer that matters.
#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

/// What an answer says about its list.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    record_count: Option<u64>,
}

/// An answer that makes no sense.
pub fn unexpected(what: &str) -> Failure {
    failed(Reason::UnexpectedAnswer, format!("{NAME} {what}"))
}

/// What an answer says about the call.
pub enum Said {
    /// It was successful.
    Done,
    /// The login is not accepted.
    Unauthorized,
    /// The login may not do it.
    Forbidden,
    /// There is no such thing, or it is not shown to the login.
    NotFound,
    /// It has failed in another way.
    Failed(Failure),
}

/// What an answer says about the call.
pub fn said(answer: &Answer) -> Said {
    let errors = match errors(answer) {
        Ok(errors) => errors,
        // Whether there are errors is not known: what can be read of the rest is no success.
        Err(_) if answer.status.is_success() => return Said::Failed(nonsense()),
        Err(_) => Value::Null,
    };
    let has_errors = match &errors {
        Value::Null => false,
        // There are none.
        Value::Array(errors) => !errors.is_empty(),
        _ => true,
    };
    let code = code(&errors);
    let status = match (answer.status.is_success(), has_errors) {
        (true, false) => return Said::Done,
        // Of the codes only those are known that are the same as HTTP's.
        (true, true) => code
            .filter(|code| (400..600).contains(code))
            .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok()),
        (false, _) => Some(answer.status),
    };
    match status {
        Some(StatusCode::UNAUTHORIZED) => Said::Unauthorized,
        Some(StatusCode::FORBIDDEN) => Said::Forbidden,
        // A page of the portal, or of something else, speaks of no connection and no environment.
        Some(StatusCode::NOT_FOUND) if has_errors || answer.is_json => Said::NotFound,
        Some(StatusCode::NOT_FOUND) => Said::Failed(unexpected(
            "has no API at this endpoint (HTTP 404); it is the base URL with the version, such as \
             https://cloudmc.example.com/api/v1",
        )),
        Some(status) => {
            let failure = by_status(status, answer.retry_after, NAME);
            Said::Failed(match code {
                Some(code) if has_errors => Failure {
                    message: format!("{}; its code is {code}", failure.message),
                    ..failure
                },
                _ => failure,
            })
        }
        None => Said::Failed(unexpected(&match code {
            Some(code) => format!(
                "reports a failure in an answer that is none by its status (HTTP {}); its code is {code}",
                answer.status.as_u16()
            ),
            None => format!(
                "reports a failure in an answer that is none by its status (HTTP {})",
                answer.status.as_u16()
            ),
        })),
    }
}

/// The errors that an answer tells of, or that it is nothing of CloudMC's.
fn errors(answer: &Answer) -> Result<Value, serde_json::Error> {
    if answer.body.len() <= Size::USUAL.bytes() {
        serde_json::from_slice::<Outcome>(&answer.body).map(|outcome| outcome.errors)
    } else {
        let outcome: LongOutcome = serde_json::from_slice(&answer.body)?;
        let any = outcome.errors.is_some_and(|errors| !errors.is_empty());
        Ok(if any { Value::Bool(true) } else { Value::Null })
    }
}

/// The number of the first error that has one: `code`, or `errorCode` as cloud.ca's first client reads it
/// (go-cloudca, `api/response.go`), as a number or as a text. Words are not shown.
fn code(errors: &Value) -> Option<u32> {
    let number = |value: &Value| match value {
        Value::Number(number) => u32::try_from(number.as_u64()?).ok(),
        Value::String(text) if text.len() <= 6 => text.parse().ok(),
        _ => None,
    };
    let errors = match errors {
        Value::Array(errors) => errors.as_slice(),
        error => std::slice::from_ref(error),
    };
    errors
        .iter()
        .flat_map(|error| [error.get("code"), error.get("errorCode")])
        .flatten()
        .find_map(number)
}

impl Said {
    /// The same as a failure, where it is the same for all calls.
    ///
    /// # Errors
    /// Unless it was successful.
    pub fn done(self, answer: &Answer) -> Result<(), Failure> {
        let refused = |reason, what: &str| Failure {
            reason,
            message: format!("{NAME} {what}"),
            retry_after: answer.retry_after,
            rest: None,
        };
        Err(match self {
            Said::Done => return Ok(()),
            Said::Unauthorized => refused(
                Reason::LoginRefused,
                "refuses the API key: it is wrong, or was deleted",
            ),
            Said::Forbidden => refused(
                Reason::Forbidden,
                "accepts the API key but does not let its user do this",
            ),
            Said::NotFound => refused(
                Reason::UnexpectedAnswer,
                "does not know what it was asked for (HTTP 404); the endpoint is the base URL with the version, such as \
                 https://cloudmc.example.com/api/v1",
            ),
            Said::Failed(failure) => failure,
        })
    }
}

/// A single object, which the documentation shows as itself in one place and as a list of one in another
/// ("Retrieve a service connection").
///
/// # Errors
/// `UnexpectedAnswer`.
pub fn one<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    let envelope: Envelope<One<T>> = parse(answer)?;
    let data = envelope
        .data
        .ok_or_else(|| unexpected("answers without data"))?;
    Ok(data.0)
}

/// The name of the field that a success has.
const DATA: &[u8] = b"\"data\"";

/// Whether a list of `T` begins in an answer that was cut off ([`Size::BEGINNING`]). CloudMC tells
/// a failure in a few hundred bytes, so an answer that goes on beyond that is a success.
///
/// # Errors
/// Those of a call, also where the answer was not cut off; `UnexpectedAnswer`.
pub fn begins<T: DeserializeOwned>(answer: &Answer) -> Result<(), Failure> {
    if answer.is_whole || !answer.status.is_success() {
        said(answer).done(answer)?;
        return list::<T>(answer).map(drop);
    }
    let body = answer.body.trim_ascii_start();
    let has_data = body.windows(DATA.len()).any(|part| part == DATA);
    match serde_json::from_slice::<Envelope<Many<T>>>(body) {
        // All is well up to where it was cut off.
        Err(error) if error.is_eof() && body.starts_with(b"{") && has_data => Ok(()),
        _ => Err(nonsense()),
    }
}

/// A list, and whether it is all of it. It has no pages that one could rely on, but may say how many
/// entries there are.
///
/// # Errors
/// `UnexpectedAnswer`.
pub fn list<T: DeserializeOwned>(answer: &Answer) -> Result<(Vec<T>, bool), Failure> {
    let envelope: Envelope<Many<T>> = parse(answer)?;
    let Many(data) = envelope
        .data
        .ok_or_else(|| unexpected("answers without data"))?;
    let stated = envelope.metadata.and_then(|metadata| metadata.record_count);
    let whole = stated.is_none_or(|count| u64::try_from(data.len()).is_ok_and(|len| len >= count));
    Ok((data, whole))
}

/// The library's error is dropped: it quotes the text that it stumbles upon.
fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<Envelope<T>, Failure> {
    serde_json::from_slice(&answer.body).map_err(|_| nonsense())
}

fn nonsense() -> Failure {
    unexpected(
        "answers with something that it never says; check the endpoint, which is the base URL with the version",
    )
}

/// An object, or a list of one. Read without keeping a copy of what is in it, which may be secret.
struct One<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object, or a list of one")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
                let other = || serde::de::Error::custom("not exactly one");
                let first = seq.next_element()?.ok_or_else(other)?;
                match seq.next_element::<serde::de::IgnoredAny>()? {
                    None => Ok(first),
                    Some(_) => Err(other()),
                }
            }
        }

        deserializer.deserialize_any(Either(PhantomData)).map(One)
    }
}

/// How many entries of a list are read: in a few bytes each, a long answer could hold millions.
const MOST_ENTRIES: usize = 50_000;

/// A list that is not longer than [`MOST_ENTRIES`].
struct Many<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    if entries.len() == MOST_ENTRIES {
                        return Err(serde::de::Error::custom("too many entries"));
                    }
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_seq(Entries(PhantomData)).map(Many)
    }
}
