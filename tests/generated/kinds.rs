//! The reference of kinds, from the rows in `src/providers/kinds.rs`.

use std::{collections::BTreeSet, fmt::Write as _};

use credential_operator::{
    api::crd,
    providers::{
        Kind,
        kinds::{Deletion, Expiry, Making},
    },
};

use crate::{NOTE, must_be, path};

#[test]
fn the_list_of_kinds_is_that_of_the_code() {
    let mut text = format!(
        "# Kinds\n\n{NOTE}What each kind of credential can do at its provider, what the plan makes of that, and what becomes of a \
         credential. Which one to choose is in [docs/kinds.md](../kinds.md).\n"
    );
    capabilities(&mut text);
    traits(&mut text);
    text.push_str("\n## What becomes of one\n");
    for kind in Kind::ALL {
        let life = kind.life();
        writeln!(
            text,
            "\n### {}\n\n[README](../../src/providers/{}/README.md)\n\n| | |\n|---|---|\n| created | {} |\n| proven | {} |\n\
             | a rotation | {} |\n| a deletion | {} |",
            kind.name(),
            kind.folder(),
            life.created,
            life.proven,
            life.rotation,
            life.deletion,
        )
        .unwrap();
    }
    must_be("docs/reference/kinds.md", &text);
}

fn capabilities(text: &mut String) {
    text.push_str(
        "\n## What it can do at its provider\n\n\
         - **re-readable**: the provider shows one again, with what is secret in it.\n\
         - **additive create**: a new one is made beside those that are there.\n\
         - **single delete**: one can be deleted and no other goes with it: by a name that follows from the request, or with the \
         credential itself.\n\
         - **expiry**: one ends by itself.\n\
         - **regenerate kills the old**: there is one alone, and a new one takes its place.\n\n\
         | kind | re-readable | additive create | single delete | expiry | regenerate kills the old |\n\
         |---|---|---|---|---|---|\n",
    );
    for kind in Kind::ALL {
        let can = kind.capabilities();
        let (additive, kills) = match can.making {
            Making::Additive => ("yes", "–"),
            Making::AdditiveElsewhere => ("by somebody else", "–"),
            Making::KillsTheOldElsewhere => (
                "–",
                "yes; somebody else does, and the operator reads what comes of it",
            ),
            Making::KillsTheOldOnRotation => (
                "–",
                "yes; somebody else does, or a rotation where the request says so",
            ),
        };
        let deletion = match can.deletion {
            Deletion::ByName => "by its name",
            Deletion::ByItself => "with the credential itself",
            Deletion::WithAllOthers => "no: with all others of its user",
            Deletion::Never => "–",
        };
        let expiry = match can.expiry {
            Expiry::Always => "always",
            Expiry::OnRequest => "when the request says so",
            Expiry::Never => "–",
        };
        writeln!(
            text,
            "| `{}` | {} | {additive} | {deletion} | {expiry} | {kills} |",
            kind.name(),
            yes(can.rereadable),
        )
        .unwrap();
    }
}

fn traits(text: &mut String) {
    text.push_str(
        "\n## What the plan makes of it\n\n\
         - **`revocable`**: there is an overlap and then a revocation, and a deletion waits until nothing is left. Where one can be \
         deleted by its name; where it goes with all others of its user, it ends with its request alone.\n\
         - **`parting`**: a deletion does not wait; what is in the Secret is revoked where that can still be read. Where one can be \
         deleted with itself.\n\
         - **`fetched`**: it is read again every `renewal.verifyEvery`, 15 minutes when absent, and published where it is another \
         one by then. Where it can be read again and is not made.\n\
         - **`regenerable`**: the annotation `credential-operator.dev/rotate` can have a new one made, once for each value, and \
         without an overlap. Where a new one kills the old, the operator knows the call, and the request says so.\n\n\
         | kind | `revocable` | `parting` | `fetched` | `regenerable` |\n|---|---|---|---|---|\n",
    );
    for kind in Kind::ALL {
        let traits = kind.traits();
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            kind.name(),
            yes(traits.revocable),
            yes(traits.parting),
            yes(traits.fetched),
            yes(traits.regenerable),
        )
        .unwrap();
    }
}

fn yes(it: bool) -> &'static str {
    if it { "yes" } else { "–" }
}

/// The schema has a field for each kind, and each kind is in the list that all tables go through.
#[test]
fn every_kind_that_a_request_can_ask_for_has_its_rows() {
    let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len(), "{names:?}");
    // A further word tells ways to have the same thing apart.
    let thing = |name: &str| name.split('.').take(2).collect::<Vec<_>>().join(".");
    let listed: BTreeSet<_> = names.iter().map(|name| thing(name)).collect();
    let crds = crd::all();
    let requests = crds
        .iter()
        .find(|crd| crd.spec.names.kind == "CredentialRequest");
    let schema = serde_json::to_value(&requests.unwrap().spec.versions[0].schema).unwrap();
    let spec = &schema["openAPIV3Schema"]["properties"]["spec"]["properties"];
    // What is said of every request, and not of a system.
    let common = ["providerRef", "renewal", "secret"];
    let asked: BTreeSet<_> = spec
        .as_object()
        .unwrap()
        .iter()
        .filter(|(field, _)| !common.contains(&field.as_str()))
        .flat_map(|(system, schema)| {
            let kinds = schema["properties"].as_object().into_iter().flatten();
            kinds.map(move |(kind, _)| format!("{system}.{kind}"))
        })
        .collect();
    assert_eq!(listed, asked);
    for kind in Kind::ALL {
        let readme = format!("src/providers/{}/README.md", kind.folder());
        assert!(path(&readme).exists(), "{readme}");
    }
}
