//! What CloudMC's answers mean, case by case, what becomes of them in a Secret, and what a grant makes
//! of what is asked for. That the calls are right is proven against the simulator, end to end.

mod answers;
mod comparisons;
mod failures;
mod forms;
mod grants;
mod lookups;

use serde_json::{Value, json};

use super::config::{self, Ask};
use crate::{
    api::{Reason, request::CredentialRequestSpec},
    plan::Refusal,
    providers::http::Answer,
    secret::SecretData,
};

/// Stands in every answer that could hold something secret.
const MARK: &str = "hunter2-MARK";

/// Service keys as a request asks for them, with further fields.
fn asking(more: &Value) -> Result<Ask, Refusal> {
    let mut keys = json!({"connection": {"name": "objects"}, "environment": {"name": "prod"}});
    for (key, value) in more.as_object().unwrap() {
        keys[key] = value.clone();
    }
    let spec = json!({
        "providerRef": {"kind": "CredentialProvider", "name": "cloudmc"},
        "cloudMC": {"serviceKeys": keys},
    });
    read_spec(spec)
}

fn read_spec(spec: Value) -> Result<Ask, Refusal> {
    let spec: CredentialRequestSpec = serde_json::from_value(spec).unwrap();
    config::read_ask(spec.cloud_mc.as_ref().unwrap(), &spec)
}

fn ask(more: &Value) -> Ask {
    asking(more).unwrap()
}

fn answer(status: u16, body: &str) -> Answer {
    Answer::of(status, &[("content-type", "application/json")], body)
}

fn page(status: u16, body: &str) -> Answer {
    Answer::of(status, &[("content-type", "text/html")], body)
}

/// An answer with these fields, the way the documentation shows it.
fn with_fields(fields: &Value) -> Answer {
    let data = json!({"data": {"canRegenerateCredentials": true, "fields": fields}});
    answer(200, &data.to_string())
}

/// What is in a Secret, for comparison.
fn pairs(data: &SecretData) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    data.iter()
        .map(|(key, value)| (key.to_owned(), text(value)))
        .collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// A refusal of the spec names the field.
fn is_invalid(what: &str, refusal: &Refusal, words: &str) {
    assert_eq!(refusal.reason, Reason::InvalidSpec, "{what}");
    assert!(
        refusal.message.contains(words),
        "{what}: {}",
        refusal.message
    );
}
