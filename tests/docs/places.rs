//! Links, paths, tests and make targets.

use std::fs;

use crate::markdown::{Document, documents, in_identifier, root, words};

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    for document in documents() {
        for link in document.links() {
            if ["https://", "http://"]
                .iter()
                .any(|scheme| link.starts_with(scheme))
            {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                document.path.clone()
            } else {
                document.path.parent().unwrap().join(file)
            };
            assert!(target.exists(), "{}: {link} leads nowhere", document.name());
            let there = heading.is_empty() || Document::read(&target).headings.contains(heading);
            assert!(
                there,
                "{}: {link}: there is no such heading",
                document.name()
            );
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} links were found");
}

#[test]
fn every_path_that_is_named_exists() {
    let folders = [
        "src/", "tests/", "docs/", "deploy/", "crds/", "scripts/", ".ci/",
    ];
    let mut checked = 0;
    for document in documents() {
        for code in document
            .code
            .iter()
            .filter(|code| folders.iter().any(|folder| code.starts_with(folder)))
        {
            let path = code.split(['*', ' ']).next().unwrap();
            let beside = document.path.parent().unwrap().join(path);
            let exists = root().join(path).exists() || beside.exists();
            assert!(exists, "{}: there is no {code}", document.name());
            checked += 1;
        }
        for text in document.all_code() {
            for test in text
                .split("--test ")
                .skip(1)
                .filter_map(|rest| words(rest, in_identifier).next())
            {
                let exists = ["tests/{}.rs", "tests/{}/main.rs"]
                    .iter()
                    .any(|form| root().join(form.replace("{}", test)).exists());
                assert!(exists, "{}: there is no test {test}", document.name());
            }
        }
    }
    assert!(checked > 30, "only {checked} paths were found");
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for document in documents() {
        for text in document.all_code() {
            let lines = text.lines().map(str::trim_start);
            let calls = lines.filter_map(|line| {
                line.split("make ")
                    .nth(1)
                    .filter(|_| line.starts_with("make ") || line.contains("=12 make "))
            });
            for target in calls.filter_map(|rest| words(rest, in_identifier).next()) {
                let exists = makefile
                    .lines()
                    .any(|line| line.starts_with(&format!("{target}:")));
                assert!(exists, "{}: make {target} does nothing", document.name());
            }
        }
    }
}
