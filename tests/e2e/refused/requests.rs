//! Requests that are refused.

use serde_json::{Value, json};

use super::{Row, nothing, request, row, with, without};

fn named(name: &str) -> Value {
    with(request(), "spec/secret/name", json!(name))
}

fn cycle(cycle: Value) -> Value {
    with(request(), "spec/dce/token/cycle", cycle)
}

fn renew_before(text: &str) -> Value {
    with(request(), "spec/renewal/renewBefore", json!(text))
}

fn rotate_every(text: &str) -> Value {
    with(request(), "spec/renewal/rotateEvery", json!(text))
}

const CYCLE: &str = "spec.dce.token.cycle: ";
const DAYS: &str = "must be a number of days from 1 to 365";
const NAME: &str = "spec.secret.name: ";
const NAMES: &str = "must be the name of a Secret: lower case letters, digits, '-' and '.'";
const RENEW: &str = "spec.renewal.renewBefore: ";
const ROTATE: &str = "spec.renewal.rotateEvery: ";
const DURATION: &str = "must be a duration such as 90s, 15m or 720h";

/// The table.
pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        row(
            "no spec",
            nothing("CredentialRequest"),
            &["spec: Required value"],
        ),
        row(
            "a key beside the spec",
            with(request(), "data", json!({})),
            &["unknown field \"data\""],
        ),
        row(
            "nothing to ask for",
            without(request(), "spec/dce"),
            &[
                "spec: ",
                "name what to ask for, exactly one of: dce, keystone",
            ],
        ),
        row(
            "a system without a kind",
            with(request(), "spec/dce", json!({})),
            &[
                "spec.dce: ",
                "name the kind of credential, exactly one of: token, accessKey",
            ],
        ),
        row(
            "two systems",
            with(
                request(),
                "spec/keystone",
                json!({"token": {"project": {"id": "p"}}}),
            ),
            &[
                "spec: ",
                "name what to ask for, exactly one of: dce, keystone",
            ],
        ),
        row(
            "two kinds",
            with(request(), "spec/dce/accessKey", json!({})),
            &[
                "spec.dce: ",
                "name the kind of credential, exactly one of: token, accessKey",
            ],
        ),
        row(
            "a key that no request has",
            with(request(), "spec/secretName", json!("x")),
            &["unknown field \"spec.secretName\""],
        ),
        row(
            "a key that no token has",
            with(request(), "spec/dce/token/days", json!(3)),
            &["unknown field \"spec.dce.token.days\""],
        ),
        row(
            "a key that no reference has",
            with(request(), "spec/providerRef/namespace", json!("x")),
            &["unknown field \"spec.providerRef.namespace\""],
        ),
        row(
            "a key that no Secret has",
            with(request(), "spec/secret/namespace", json!("x")),
            &["unknown field \"spec.secret.namespace\""],
        ),
        row(
            "a key that no renewal has",
            with(request(), "spec/renewal/every", json!("1h")),
            &["unknown field \"spec.renewal.every\""],
        ),
        row(
            "a key that no metadata has",
            with(request(), "metadata/labelz", json!({})),
            &["unknown field \"metadata.labelz\""],
        ),
        row(
            "no provider",
            without(request(), "spec/providerRef"),
            &["spec.providerRef: Required value"],
        ),
        row(
            "a provider without a kind",
            without(request(), "spec/providerRef/kind"),
            &["spec.providerRef.kind: Required value"],
        ),
        row(
            "a provider without a name",
            without(request(), "spec/providerRef/name"),
            &["spec.providerRef.name: Required value"],
        ),
        row(
            "a kind that is no provider",
            with(request(), "spec/providerRef/kind", json!("Secret")),
            &[
                "spec.providerRef.kind: Unsupported value: \"Secret\"",
                "\"ClusterCredentialProvider\", \"CredentialProvider\"",
            ],
        ),
        row(
            "suspend as a word",
            with(request(), "spec/suspend", json!("yes")),
            &["spec.suspend: ", "must be of type boolean"],
        ),
        row(
            "a Secret that is no object",
            with(request(), "spec/secret", json!("api")),
            &["spec.secret: ", "must be of type object"],
        ),
        row(
            "half a day",
            cycle(json!(1.5)),
            &[CYCLE, "must be of type integer"],
        ),
        row(
            "days as text",
            cycle(json!("3")),
            &[CYCLE, "must be of type integer"],
        ),
        row(
            "days as a list",
            cycle(json!([3])),
            &[CYCLE, "must be of type integer"],
        ),
        row(
            "more days than a number holds",
            cycle(json!(5_000_000_000_u64)),
            &[CYCLE],
        ),
        row(
            "a Secret's name that is too long",
            named(&"a".repeat(254)),
            &[NAME, "may not be more than 253"],
        ),
        row(
            "a length of time that is too long",
            renew_before(&"1".repeat(40)),
            &[RENEW, "may not be more than 32"],
        ),
        row(
            "a length of time as a number",
            with(request(), "spec/renewal/renewBefore", json!(3600)),
            &[RENEW, "must be of type string"],
        ),
    ];
    for name in ["UPPER", "a b"] {
        let object = with(request(), "spec/providerRef/name", json!(name));
        rows.push(row(
            &format!("the provider {name:?}"),
            object,
            &["spec.providerRef.name: ", "must be the name of a provider"],
        ));
    }
    for days in [0, -1, 366, 100_000] {
        rows.push(row(
            &format!("{days} days"),
            cycle(json!(days)),
            &[CYCLE, DAYS],
        ));
    }
    for name in [
        "",
        "Upper",
        "under_score",
        "-leading",
        "trailing-",
        ".leading",
        "a..b",
        "a.-b",
        "with space",
        "a/b",
        "ünï",
        "a\n",
    ] {
        rows.push(row(
            &format!("the Secret {name:?}"),
            named(name),
            &[NAME, NAMES],
        ));
    }
    for text in [
        "",
        "nonsense",
        "1 day",
        "1d",
        "12",
        "1.5",
        "-5m",
        "+5m",
        "5 m",
        "5M",
        "PT5M",
        "1h 30m",
        "30m1h",
        "1h1h",
        "1.5h30m",
        ".5h",
        "5.h",
        "h",
        "10000000000h",
    ] {
        rows.push(row(
            &format!("renewBefore: {text:?}"),
            renew_before(text),
            &[RENEW, DURATION],
        ));
    }
    for text in ["0s", "0h0m", "0ms", "0.0h", "00m"] {
        rows.push(row(
            &format!("rotateEvery: {text:?}"),
            rotate_every(text),
            &[ROTATE, "must be longer than zero"],
        ));
    }
    rows.push(row(
        "rotateEvery: \"1w\"",
        rotate_every("1w"),
        &[ROTATE, DURATION],
    ));
    rows
}
