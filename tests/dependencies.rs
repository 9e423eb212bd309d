//! What depends on what. Into the program come only licences that `deny.toml` allows, and nothing that it
//! bans; and what decides and acts knows no system by name.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The quoted words of a list in `deny.toml`, from the line that begins with `start` to its end.
fn listed(start: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deny.toml")).unwrap();
    let words: BTreeSet<_> = text
        .lines()
        .skip_while(|line| !line.starts_with(start))
        .skip(1)
        .take_while(|line| *line != "]")
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect();
    assert!(!words.is_empty(), "deny.toml has no {start}");
    words
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--filter-platform=x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let used: BTreeSet<_> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap().to_owned())
        .collect();
    let all = metadata["packages"].as_array().unwrap();
    all.iter()
        .filter(|package| used.contains(package["id"].as_str().unwrap()))
        .cloned()
        .collect()
}

/// Whether a licence expression is fulfilled by what is allowed: one of the alternatives of each
/// part that is required.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], "");
    expression.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|licence| allowed.contains(licence.trim()))
    })
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let allowed = listed("allow = [");
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(
            is_allowed(licence, &allowed),
            "{}: {licence}",
            package["name"]
        );
    }
    assert!(!is_allowed("GPL-3.0", &allowed) && !is_allowed("MIT AND GPL-3.0", &allowed));
}

#[test]
fn nothing_that_is_banned_comes_in() {
    let banned = listed("deny = [");
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        assert!(!banned.contains(name), "{name}");
    }
}

/// The folders below `src/` that may name systems.
const KNOW_SYSTEMS: [&str; 2] = ["providers", "api"];

/// What systems, their parts and their makers are called, beside the names of their folders.
const OTHER_NAMES: &[&str] = &[
    "soda",
    "strato",
    "openstack",
    "swift",
    "daocloud",
    "ghippo",
    "cloudops",
    "cloudca",
    "cisco",
    "cliqr",
];

/// The names of all systems: each has a folder.
fn names_of_systems() -> BTreeSet<String> {
    let folders = fs::read_dir(source().join("providers")).unwrap();
    let names: BTreeSet<_> = folders
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(names.len() >= 4, "the systems have moved: {names:?}");
    let others = OTHER_NAMES.iter().map(|name| (*name).to_owned());
    names.into_iter().chain(others).collect()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files below a folder, but for those that may name systems.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let exempt = KNOW_SYSTEMS.map(|name| source().join(name));
        if path.is_dir() && !exempt.contains(&path) {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The words of a line in small letters; a capital within an identifier begins a word as well.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for char in line.chars() {
        if !char.is_alphanumeric() || (char.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| char.is_alphanumeric()) {
            word.extend(char.to_lowercase());
        }
        before = char;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The name of a system in a line, however it is written: `CloudMc`, `cloud_mc` and "Cloud MC" alike.
fn named<'a>(line: &str, names: &'a BTreeSet<String>) -> Option<&'a String> {
    let words = words(line);
    names.iter().find(|name| {
        (0..words.len()).any(|at| {
            let two = words[at..].iter().take(2).cloned().collect::<String>();
            two.starts_with(*name)
        })
    })
}

/// Comments and tests count, too: an example with a system's name is where a special case begins.
#[test]
fn nothing_but_providers_and_the_api_names_a_system() {
    let names = names_of_systems();
    for (line, name) in [
        ("use keystone;", Some("keystone")),
        ("spec.cloud_mc", Some("cloudmc")),
        ("// as at Cloud Center", Some("cloudcenter")),
        ("Kind::DceToken", Some("dce")),
        ("OpenStack's", Some("openstack")),
        ("read_certificate(), and certain", None),
    ] {
        assert_eq!(named(line, &names).map(String::as_str), name, "{line}");
    }
    let mut found = Vec::new();
    files(&source(), &mut found);
    assert!(found.len() >= 50, "only {} files were found", found.len());
    let mut told = Vec::new();
    for path in found {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if let Some(name) = named(line, &names) {
                let line = line.trim();
                told.push(format!("{}:{}: {name}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}
