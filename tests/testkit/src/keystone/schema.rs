//! What bodies must look like. Refusals quote the value as Python prints it, with whatever secret is in it.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::answer::{Refusal, bad_request};

/// The object below a body's only key, for example `{"credential": {…}}`.
pub(super) fn member<'a>(body: &'a Value, key: &str) -> Result<&'a Map<String, Value>, Refusal> {
    let value = body.get(key);
    let value = value.ok_or_else(|| bad_request(format!("'{key}' is a required property")))?;
    typed(key, value, &["object"])?;
    Ok(value.as_object().unwrap())
}

/// Every one of these names is a key of the object.
pub(super) fn require(
    key: &str,
    object: &Map<String, Value>,
    names: &[&str],
) -> Result<(), Refusal> {
    match names.iter().find(|name| !object.contains_key(**name)) {
        Some(name) => Err(invalid(
            key,
            &Value::Object(object.clone()),
            &format!("'{name}' is a required property"),
        )),
        None => Ok(()),
    }
}

/// No other name is a key of the object.
pub(super) fn only(key: &str, object: &Map<String, Value>, names: &[&str]) -> Result<(), Refusal> {
    match object.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(invalid(
            key,
            &Value::Object(object.clone()),
            &format!("Additional properties are not allowed ('{name}' was unexpected)"),
        )),
        None => Ok(()),
    }
}

/// The value has one of these JSON types.
pub(super) fn typed(key: &str, value: &Value, types: &[&str]) -> Result<(), Refusal> {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if types.contains(&found) {
        return Ok(());
    }
    let wanted = types.join("', '");
    let words = format!("{} is not of type '{wanted}'", printed(value));
    Err(invalid(key, value, &words))
}

/// Each of these members has one of the types, where it is there at all.
pub(super) fn members_typed(
    object: &Map<String, Value>,
    types: &[(&str, &[&str])],
) -> Result<(), Refusal> {
    for (name, types) in types {
        if let Some(value) = object.get(*name) {
            typed(name, value, types)?;
        }
    }
    Ok(())
}

pub(super) fn invalid(key: &str, value: &Value, words: &str) -> Refusal {
    // A text on its own is printed without quotes.
    let value = value.as_str().map_or_else(|| printed(value), str::to_owned);
    bad_request(format!(
        "Invalid input for field/attribute {key}. Value: {value}. {words}"
    ))
}

/// A value as Python prints it.
pub(super) fn printed(value: &Value) -> String {
    let mut text = String::new();
    print(value, &mut text);
    text
}

fn print(value: &Value, to: &mut String) {
    match value {
        Value::Null => to.push_str("None"),
        Value::Bool(true) => to.push_str("True"),
        Value::Bool(false) => to.push_str("False"),
        Value::Number(number) => write!(to, "{number}").unwrap(),
        Value::String(text) => print_text(text, to),
        Value::Array(items) => {
            to.push('[');
            for (index, item) in items.iter().enumerate() {
                to.push_str(if index > 0 { ", " } else { "" });
                print(item, to);
            }
            to.push(']');
        }
        Value::Object(members) => {
            to.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                to.push_str(if index > 0 { ", " } else { "" });
                print_text(name, to);
                to.push_str(": ");
                print(member, to);
            }
            to.push('}');
        }
    }
}

fn print_text(text: &str, to: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    to.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            letter if letter == quote => {
                to.push('\\');
                to.push(letter);
            }
            letter => to.push(letter),
        }
    }
    to.push(quote);
}
