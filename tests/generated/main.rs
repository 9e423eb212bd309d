//! Files that are made from the code are committed, so that people can read them. A stale one fails
//! its test, which writes it anew: look at the change and commit it.

mod fields;
mod kinds;

use std::{fmt::Write as _, path::PathBuf};

use clap::CommandFactory;
use credential_operator::{
    api::{Reason, crd},
    args::Cli,
    metrics::Metrics,
};
use serde_json::Value;

fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

const STALE: &str = "a stale file has been written anew; look at the change and commit it";

/// Whether a file is what the code says; if not, it is made so.
fn is_fresh(relative: &str, expected: &str) -> bool {
    let path = path(relative);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    if found != expected {
        eprintln!("{relative} is stale");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    found == expected
}

/// Fails when a file is not what the code says, and makes it so.
fn must_be(relative: &str, expected: &str) {
    assert!(is_fresh(relative, expected), "{relative}: {STALE}");
}

const NOTE: &str = "<!-- Made from the code by tests/generated; `cargo test --test generated` writes it anew. -->\n\n";

#[test]
fn the_crds_are_those_of_the_code() {
    let crds = crd::all();
    let written = crds.iter().map(|crd| {
        let yaml = crd::to_yaml(crd).unwrap();
        assert!(
            yaml.len() < 100_000,
            "{} has {} bytes",
            crd.spec.names.plural,
            yaml.len()
        );
        is_fresh(&format!("crds/{}.yaml", crd.spec.names.plural), &yaml)
    });
    // Each of them is written before the test fails.
    assert!(written.fold(true, |all, fresh| all & fresh), "{STALE}");
}

#[test]
fn no_optional_field_of_a_spec_is_defaulted_and_every_field_is_explained() {
    for crd in crd::all() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let root = &schema["openAPIV3Schema"]["properties"];
        fields::each(&root["spec"], "spec", &mut |name, field| {
            assert!(field.get("default").is_none(), "{name} is defaulted");
        });
        fields::each(&root["spec"], "spec", &mut |name, field| {
            let text = field["description"].as_str().unwrap_or_default();
            let Some(words) = field["enum"].as_array().filter(|_| !name.ends_with("[]")) else {
                return;
            };
            for word in words.iter().filter_map(Value::as_str) {
                let named = text.contains(&format!("`{word}`"));
                assert!(
                    named,
                    "{name} does not explain {word}; see api::values::explained"
                );
            }
        });
        for part in ["spec", "status"] {
            fields::each(&root[part], part, &mut |name, field| {
                let explained = field
                    .get("description")
                    .is_some_and(|text| text.as_str().unwrap().len() > 5);
                assert!(
                    explained || name.ends_with("[]"),
                    "{} {name} is not explained",
                    crd.spec.names.kind
                );
            });
        }
        assert_eq!(root["status"]["default"]["observedGeneration"], -1);
    }
}

#[test]
fn the_api_reference_is_that_of_the_code() {
    let mut text = format!(
        "# API reference\n\n{NOTE}API group `credential-operator.dev`, version `v1alpha1`.\n"
    );
    for crd in crd::all() {
        let names = &crd.spec.names;
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let schema = &schema["openAPIV3Schema"];
        writeln!(
            text,
            "\n## {}\n\n{} Short name `{}`.\n",
            names.kind,
            fields::one_line(schema["description"].as_str().unwrap_or_default()),
            names.short_names.as_ref().unwrap().join("`, `"),
        )
        .unwrap();
        text.push_str("| field | type | meaning |\n|---|---|---|\n");
        for part in ["spec", "status"] {
            fields::table(&schema["properties"][part], part, &mut text);
        }
        let rules = fields::rules(schema);
        if !rules.is_empty() {
            text.push_str("\nThe API server also checks:\n\n");
            for (field, message) in rules {
                writeln!(text, "- `{field}`: {message}").unwrap();
            }
        }
    }
    must_be("docs/reference/api.md", &text);
}

#[test]
fn the_list_of_reasons_is_that_of_the_code() {
    let mut text = format!(
        "# Reasons\n\n{NOTE}Every condition, warning event and failure metric carries one of these and no other, but for the event `GivenUp`.\n\n\
         | reason | meaning | way out |\n|---|---|---|\n"
    );
    for reason in Reason::ALL {
        writeln!(
            text,
            "| `{reason}` | {} | {} |",
            reason.meaning(),
            reason.way_out()
        )
        .unwrap();
    }
    must_be("docs/reference/reasons.md", &text);
}

#[test]
fn the_list_of_metrics_is_that_of_the_code() {
    let text = format!(
        "# Metrics\n\n{NOTE}Served at `/metrics` in the OpenMetrics text format.\n\n{}",
        Metrics::reference()
    );
    must_be("docs/reference/metrics.md", &text);
}

#[test]
fn the_list_of_flags_is_that_of_the_code() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let mut text = format!(
        "# Flags\n\n{NOTE}Flags of `credential-operator run`; a flag counts more than its environment variable.\n\n\
         | flag | environment variable | default | meaning |\n|---|---|---|---|\n"
    );
    for argument in run
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
    {
        let Some(long) = argument.get_long().filter(|long| *long != "help") else {
            continue;
        };
        let variable = argument
            .get_env()
            .expect("each flag has an environment variable")
            .to_string_lossy();
        let default: Vec<_> = argument
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        let default = if default.is_empty() {
            String::new()
        } else {
            format!("`{}`", default.join(","))
        };
        let help = argument
            .get_long_help()
            .or(argument.get_help())
            .map(ToString::to_string)
            .unwrap_or_default();
        writeln!(
            text,
            "| `--{long}` | `{variable}` | {default} | {} |",
            fields::one_line(&help)
        )
        .unwrap();
    }
    must_be("docs/reference/flags.md", &text);
}

#[test]
fn the_list_of_rights_is_that_of_the_manifests() {
    let mut text = format!(
        "# Rights\n\n{NOTE}What `deploy/base` lets the operator and people do. The reasons stand beside the rules in \
         `deploy/base/rbac.yaml` and `deploy/base/aggregated-roles.yaml`.\n"
    );
    for file in ["deploy/base/rbac.yaml", "deploy/base/aggregated-roles.yaml"] {
        let yaml = std::fs::read_to_string(path(file)).unwrap();
        for document in yaml.split("\n---\n") {
            let role: Value = serde_saphyr::from_str(document).unwrap();
            let Some(rules) = role["rules"].as_array() else {
                continue;
            };
            writeln!(
                text,
                "\n## {} {}\n",
                role["kind"].as_str().unwrap(),
                role["metadata"]["name"].as_str().unwrap()
            )
            .unwrap();
            text.push_str("| API group | resources | verbs |\n|---|---|---|\n");
            for rule in rules {
                let list = |key: &str| {
                    let items: Vec<_> = rule[key]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|item| item.as_str().unwrap())
                        .collect();
                    items.join(", ")
                };
                let group = list("apiGroups");
                let group = if group.is_empty() {
                    "core".to_owned()
                } else {
                    group
                };
                writeln!(
                    text,
                    "| {group} | {} | {} |",
                    list("resources"),
                    list("verbs")
                )
                .unwrap();
                for dangerous in ["*", "delete", "escalate", "impersonate"] {
                    let operator = role["metadata"]["name"] == "credential-operator";
                    assert!(
                        !operator || !list("verbs").contains(dangerous),
                        "{dangerous} in {file}"
                    );
                }
            }
        }
    }
    must_be("docs/reference/rights.md", &text);
}
