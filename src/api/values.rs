//! Fields that take one of several words.

use schemars::Schema;
use serde_json::{Value, json};

/// For an optional field that takes one of several words: what each of them means stands behind the
/// description of the field. Kubernetes has no descriptions of single values, and the derive would put that of
/// the type in the place of the field's.
pub fn explained(schema: &mut Schema) {
    let values = schema
        .get("anyOf")
        .and_then(|either| either.pointer("/0/oneOf"))
        .and_then(Value::as_array)
        .cloned();
    let Some(values) = values else { return };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut description = schema.get("description").map(text).unwrap_or_default();
    for value in &values {
        let (word, meaning) = (text(&value["const"]), text(&value["description"]));
        description.push_str(&format!("\n\n`{word}`: {meaning}"));
    }
    schema.remove("anyOf");
    let words: Vec<_> = values
        .into_iter()
        .map(|mut value| value["const"].take())
        .collect();
    for (keyword, content) in [
        ("description", json!(description)),
        ("type", json!("string")),
        ("enum", json!(words)),
    ] {
        schema.insert(keyword.to_owned(), content);
    }
}
