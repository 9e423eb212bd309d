//! Walking the schema of a kind.

use std::fmt::Write as _;

use serde_json::Value;

/// Text on one line, fit for a table.
pub fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// Visits every field below one; items of a list are named with `[]`.
pub fn each(schema: &Value, name: &str, visit: &mut impl FnMut(&str, &Value)) {
    if let Some(properties) = schema["properties"].as_object() {
        for (key, field) in properties {
            let name = format!("{name}.{key}");
            visit(&name, field);
            each(field, &name, visit);
        }
    }
    if schema["items"].is_object() {
        each(&schema["items"], &format!("{name}[]"), visit);
    }
}

/// The rows of a table of fields.
pub fn table(schema: &Value, name: &str, text: &mut String) {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let Some(properties) = schema["properties"].as_object() else {
        if schema["items"].is_object() {
            table(&schema["items"], &format!("{name}[]"), text);
        }
        return;
    };
    for (key, field) in properties {
        let full = format!("{name}.{key}");
        let must = if name.starts_with("spec") && required.iter().any(|item| item == key) {
            ", required"
        } else {
            ""
        };
        let meaning = one_line(field["description"].as_str().unwrap_or_default());
        writeln!(text, "| `{full}` | {}{must} | {meaning} |", type_of(field)).expect("text");
        table(field, &full, text);
    }
}

fn type_of(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        // The reasons have a page of their own.
        return if values.len() > 12 {
            "[reason](reasons.md)".into()
        } else {
            format!("`{}`", values.join("` or `"))
        };
    }
    match field["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&field["items"])),
        Some("string") if field["format"] == "date-time" => "time".into(),
        Some(other) => other.into(),
        None => "any".into(),
    }
}

/// The rules with their messages, by field.
pub fn rules(schema: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut collect = |name: &str, field: &Value| {
        for rule in field["x-kubernetes-validations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            if let Some(message) = rule["message"].as_str() {
                found.push((name.to_owned(), one_line(message)));
            }
        }
    };
    collect("(the object)", schema);
    collect("spec", &schema["properties"]["spec"]);
    each(&schema["properties"]["spec"], "spec", &mut collect);
    found
}
