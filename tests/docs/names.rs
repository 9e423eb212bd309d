//! Names of flags, variables, metrics, annotations and reasons.

use std::{collections::BTreeSet, fs};

use clap::CommandFactory;
use credential_operator::{
    api::{Reason, crd},
    args::Cli,
    metrics,
};

use crate::markdown::{documents, files, in_identifier, root, words};

#[test]
fn every_flag_and_variable_that_is_named_exists() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let flags: BTreeSet<_> = run
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .collect();
    let variables: BTreeSet<_> = run
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str())
        .collect();
    let sources: String = [files(".sh"), files(".rs"), vec![root().join("Makefile")]]
        .concat()
        .iter()
        .filter(|path| !path.starts_with(root().join("tests/docs")))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for document in documents() {
        // A flag on its own is ours; other tools' flags stand together with the tool.
        for code in document.code.iter().filter(|code| code.starts_with("--")) {
            let flag = code
                .trim_start_matches('-')
                .split(['=', ' '])
                .next()
                .unwrap();
            assert!(
                flags.contains(flag),
                "{}: there is no flag --{flag}",
                document.name()
            );
        }
        for variable in document
            .all_code()
            .flat_map(|code| words(code, in_identifier))
        {
            let ours = variable.starts_with("CREDENTIAL_OPERATOR_");
            let exists = !ours || variables.contains(variable);
            assert!(
                exists,
                "{}: there is no variable {variable}",
                document.name()
            );
        }
        let shouted = |word: &&str| {
            word.contains('_')
                && word
                    .chars()
                    .all(|char| char.is_ascii_uppercase() || char == '_')
        };
        for variable in document
            .code
            .iter()
            .flat_map(|code| words(code, in_identifier))
            .filter(shouted)
        {
            assert!(
                sources.contains(variable),
                "{}: nothing reads {variable}",
                document.name()
            );
        }
    }
}

#[test]
fn every_metric_and_label_that_is_named_exists() {
    let outcomes = [
        "Success",
        "settled",
        "conflict",
        "error",
        "timeout",
        "panic",
        "undecodable",
    ];
    let known = |value: &str| {
        outcomes.contains(&value) || Reason::ALL.iter().any(|reason| reason.as_str() == value)
    };
    let mut named = BTreeSet::new();
    for document in documents() {
        for code in document.all_code() {
            for metric in
                words(code, in_identifier).filter(|word| word.starts_with("credential_operator_"))
            {
                let exists = metrics::REFERENCE.iter().any(|(name, type_, _)| {
                    let series =
                        ["_count", "_sum", "_bucket"].map(|ending| format!("{name}{ending}"));
                    *name == metric
                        || (*type_ == "histogram" && series.contains(&metric.to_owned()))
                });
                assert!(exists, "{}: there is no metric {metric}", document.name());
                named.insert(metric.to_owned());
            }
            for label in ["reason", "outcome"] {
                for operator in ["=~", "!=", "="] {
                    for rest in code.split(&format!("{label}{operator}\"")).skip(1) {
                        for value in rest.split('"').next().unwrap().split('|') {
                            assert!(known(value), "{}: no {label} is {value}", document.name());
                        }
                    }
                }
            }
        }
    }
    assert!(
        named.len() >= metrics::REFERENCE.len(),
        "the metrics are not documented: {named:?}"
    );
}

#[test]
fn every_annotation_that_is_named_exists() {
    // The second has the finalizers.
    let known = ["src/api/annotations.rs", "src/api/mod.rs"]
        .map(|path| fs::read_to_string(root().join(path)).unwrap())
        .concat();
    for document in documents() {
        let code = document
            .all_code()
            .flat_map(|code| words(code, |char| in_identifier(char) || ".-/".contains(char)));
        for annotation in code.filter(|word| {
            word.starts_with("credential-operator.dev/") && !word.ends_with("/v1alpha1")
        }) {
            assert!(
                known.contains(&format!("\"{annotation}\"")),
                "{}: there is no {annotation}",
                document.name()
            );
        }
    }
}

/// In what people read who run the operator, a word such as `NoConsent` is a reason, a condition, a
/// kind, or one of Kubernetes' own few that are named.
#[test]
fn every_reason_that_is_named_exists() {
    let kinds: Vec<_> = crd::all()
        .into_iter()
        .map(|crd| crd.spec.names.kind)
        .collect();
    let conditions = [
        "Ready",
        "Reconciling",
        "Stalled",
        "RenewalFailing",
        "RevocationFailing",
        "Insecure",
    ];
    let others = [
        "Recreate",
        "Opaque",
        "NotIn",
        "DoesNotExist",
        "True",
        "False",
        "Authorization",
        "Basic",
        "Bearer",
        // Events.
        "GivenUp",
        "Remark",
        // An admission plug-in of Kubernetes.
        "OwnerReferencesPermissionEnforcement",
    ];
    let for_operators =
        ["docs/operating.md", "SECURITY.md", "README.md"].map(|path| root().join(path));
    let mut reasons = 0;
    for document in documents() {
        let is_meant = for_operators.contains(&document.path)
            || document.path.starts_with(root().join("src/providers"));
        for word in document
            .code
            .iter()
            .filter(|_| is_meant)
            .filter_map(|code| code.split('=').next())
        {
            let begins = word.starts_with(|char: char| char.is_ascii_uppercase());
            let is_name = begins
                && word.contains(|char: char| char.is_ascii_lowercase())
                && word.chars().all(|char| char.is_ascii_alphanumeric());
            let is_reason = Reason::ALL.iter().any(|reason| reason.as_str() == word);
            let known = is_reason
                || kinds.iter().any(|kind| kind == word)
                || conditions.contains(&word)
                || others.contains(&word);
            assert!(!is_name || known, "{}: there is no {word}", document.name());
            reasons += usize::from(is_reason);
        }
    }
    assert!(reasons > 30, "only {reasons} reasons were found");
}
