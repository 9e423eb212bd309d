//! What the program prints, and what it says when it cannot begin.

use super::{ended, program, said};
use crate::stage::repository;

#[test]
fn crds_prints_what_is_shipped() {
    let output = ended(program().arg("crds"));
    assert!(output.status.success(), "{}", said(&output));
    let printed = String::from_utf8(output.stdout).expect("text");
    let documents: Vec<_> = printed
        .split("---\n")
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .collect();
    assert_eq!(documents.len(), 3);
    for plural in [
        "credentialrequests",
        "credentialproviders",
        "clustercredentialproviders",
    ] {
        let shipped =
            std::fs::read_to_string(repository(&format!("crds/{plural}.yaml"))).expect("the file");
        assert!(
            documents.contains(&shipped.trim()),
            "crds/{plural}.yaml is not what is printed"
        );
        // What kubectl apply keeps of it in an annotation is at most 256 KiB.
        assert!(
            shipped.len() < 100_000,
            "{plural} has {} bytes",
            shipped.len()
        );
    }
}

#[test]
fn every_flag_of_the_help_names_its_variable() {
    let output = ended(program().args(["run", "--help"]));
    assert!(output.status.success(), "{}", said(&output));
    let help = String::from_utf8(output.stdout).expect("text");
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in help.lines().map(str::trim) {
        if let Some(flag) = line
            .strip_prefix("--")
            .or_else(|| line.strip_prefix("-h, --"))
        {
            flags.push((
                flag.split([' ', '=', '['])
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                String::new(),
            ));
        }
        if let Some((_, text)) = flags.last_mut() {
            text.push_str(line);
        }
    }
    assert!(flags.len() >= 8, "{help}");
    for (flag, text) in flags.iter().filter(|(flag, _)| flag != "help") {
        let variable = format!(
            "CREDENTIAL_OPERATOR_{}",
            flag.to_uppercase().replace('-', "_")
        );
        assert!(
            text.contains(&format!("[env: {variable}=")),
            "--{flag} does not name {variable}: {text}"
        );
    }
}

#[test]
fn a_flag_that_makes_no_sense_is_named_also_when_it_is_a_variable() {
    for (flag, value) in [
        ("concurrency", "0"),
        ("concurrency", "many"),
        ("pass-deadline-seconds", "0"),
        ("listen", "everywhere"),
        ("tenant-endpoints", "10.0.0.0/99"),
        ("log-format", "xml"),
        ("leader-election", "perhaps"),
        ("lease-duration-seconds", "1"),
        ("give-up-after", "soon"),
        ("log", "a=b=c"),
    ] {
        let variable = format!(
            "CREDENTIAL_OPERATOR_{}",
            flag.to_uppercase().replace('-', "_")
        );
        for command in [
            program().args(["run", &format!("--{flag}={value}")]),
            program().arg("run").env(&variable, value),
        ] {
            let output = ended(command);
            assert!(!output.status.success(), "--{flag} {value} was accepted");
            let words = said(&output);
            assert!(
                words.contains(&format!("--{flag}")) && words.contains(value),
                "--{flag} {value}: {words}"
            );
            assert!(!words.contains("panicked"), "{words}");
        }
    }
}

#[test]
fn without_a_cluster_it_says_where_it_looked() {
    let home = tempfile::tempdir().expect("a directory");
    let output = ended(program().arg("run").env("HOME", home.path()));
    assert!(!output.status.success());
    let words = said(&output);
    for part in [
        "credential-operator: no cluster",
        "KUBECONFIG",
        "~/.kube/config",
        "ServiceAccount",
    ] {
        assert!(words.contains(part), "{part} is not in: {words}");
    }
    let nowhere = home.path().join("nowhere");
    let output = ended(program().arg("run").env("KUBECONFIG", &nowhere));
    assert!(!output.status.success());
    assert!(said(&output).contains("no cluster"), "{}", said(&output));
    let nonsense = home.path().join("nonsense");
    std::fs::write(&nonsense, "clusters: [").expect("a file");
    let output = ended(program().arg("run").env("KUBECONFIG", &nonsense));
    assert!(!output.status.success());
    assert!(!said(&output).contains("panicked"), "{}", said(&output));
}
