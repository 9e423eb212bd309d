//! Providers that are refused.

use serde_json::{Value, json};

use super::{Row, cluster_provider, nothing, provider, row, with, without};

const LOGIN: &str = "spec.dce.auth.keyPair.secretRef.name: ";
const LOGIN_NAMESPACE: &str = "spec.dce.auth.keyPair.secretRef.namespace: ";
const CA: &str = "spec.dce.tls.caBundleSecretRef.name: ";
const CA_NAMESPACE: &str = "spec.dce.tls.caBundleSecretRef.namespace: ";
const NAMES: &str = "must be the name of a Secret: lower case letters, digits, '-' and '.'";
const KEYS: &str = "must be the key of a Secret: letters, digits, '-', '_' and '.'";

/// The table.
pub fn rows() -> Vec<Row> {
    let cluster = |path: &str, value: Value| with(cluster_provider(), path, value);
    let local = |path: &str, value: Value| with(provider(), path, value);
    let mut rows = vec![
        row(
            "no spec",
            nothing("CredentialProvider"),
            &["spec: Required value"],
        ),
        row(
            "no spec for the cluster",
            nothing("ClusterCredentialProvider"),
            &["spec: Required value"],
        ),
        row(
            "an empty spec",
            with(nothing("CredentialProvider"), "spec", json!({})),
            &["spec: ", "name the system, exactly one of: dce, keystone"],
        ),
        row(
            "no system for the cluster",
            without(cluster_provider(), "spec/dce"),
            &["spec: ", "name the system, exactly one of: dce, keystone"],
        ),
        row(
            "two systems",
            cluster(
                "spec/keystone",
                json!({
                    "endpoint": "https://keystone.example.com",
                    "auth": {"password": {"secretRef": {"namespace": "platform", "name": "login"}}},
                }),
            ),
            &["spec: ", "name the system, exactly one of: dce, keystone"],
        ),
        row(
            "no login",
            without(cluster_provider(), "spec/dce/auth"),
            &["spec.dce.auth: Required value"],
        ),
        row(
            "no login",
            without(cluster_provider(), "spec/dce/auth/keyPair"),
            &["spec.dce.auth: ", "state either keyPair"],
        ),
        row(
            "two logins",
            with(
                cluster_provider(),
                "spec/dce/auth/accessKey",
                json!({"secretRef": {"namespace": "platform", "name": "key"}}),
            ),
            &["spec.dce.auth: ", "state either keyPair"],
        ),
        row(
            "no login Secret",
            without(cluster_provider(), "spec/dce/auth/keyPair/secretRef"),
            &["spec.dce.auth.keyPair.secretRef: Required value"],
        ),
        row(
            "a login Secret without a name",
            without(cluster_provider(), "spec/dce/auth/keyPair/secretRef/name"),
            &["spec.dce.auth.keyPair.secretRef.name: Required value"],
        ),
        row(
            "a CA without a name",
            without(cluster_provider(), "spec/dce/tls/caBundleSecretRef/name"),
            &["spec.dce.tls.caBundleSecretRef.name: Required value"],
        ),
        row(
            "a login Secret of another namespace",
            local(
                "spec/dce/auth/keyPair/secretRef/namespace",
                json!("kube-system"),
            ),
            &[
                LOGIN_NAMESPACE,
                "not accepted in a CredentialProvider, which reads Secrets of its own namespace alone",
            ],
        ),
        row(
            "a CA of another namespace",
            local(
                "spec/dce/tls/caBundleSecretRef/namespace",
                json!("kube-system"),
            ),
            &[
                CA_NAMESPACE,
                "not accepted in a CredentialProvider, which reads Secrets of its own namespace alone",
            ],
        ),
        row(
            "a login Secret without a namespace",
            without(
                cluster_provider(),
                "spec/dce/auth/keyPair/secretRef/namespace",
            ),
            &[LOGIN_NAMESPACE, "required in a ClusterCredentialProvider"],
        ),
        row(
            "a CA without a namespace",
            without(
                cluster_provider(),
                "spec/dce/tls/caBundleSecretRef/namespace",
            ),
            &[CA_NAMESPACE, "required in a ClusterCredentialProvider"],
        ),
        row(
            "a namespace that is none",
            cluster(
                "spec/dce/auth/keyPair/secretRef/namespace",
                json!("Platform_1"),
            ),
            &[LOGIN_NAMESPACE, "must be the name of a namespace"],
        ),
        row(
            "a namespace that is too long",
            cluster(
                "spec/dce/auth/keyPair/secretRef/namespace",
                json!("a".repeat(64)),
            ),
            &[LOGIN_NAMESPACE, "may not be more than 63"],
        ),
        row(
            "a CA, and no check of it",
            cluster("spec/dce/tls/insecureSkipVerify", json!(true)),
            &[
                "spec.dce.tls: ",
                "set either caBundleSecretRef or insecureSkipVerify, not both",
            ],
        ),
        row(
            "a login Secret whose name is too long",
            cluster(
                "spec/dce/auth/keyPair/secretRef/name",
                json!("a".repeat(254)),
            ),
            &[LOGIN, "may not be more than 253"],
        ),
        row(
            "an AK under a key that is none",
            cluster("spec/dce/auth/keyPair/akKey", json!("a/k")),
            &["spec.dce.auth.keyPair.akKey: ", KEYS],
        ),
        row(
            "an SK under no key",
            cluster("spec/dce/auth/keyPair/skKey", json!("")),
            &["spec.dce.auth.keyPair.skKey: ", KEYS],
        ),
        row(
            "a CA under a key that is none",
            cluster("spec/dce/tls/caBundleSecretRef/key", json!("ca crt")),
            &["spec.dce.tls.caBundleSecretRef.key: ", KEYS],
        ),
        row(
            "allowHTTP as a word",
            cluster("spec/dce/allowHTTP", json!("true")),
            &["spec.dce.allowHTTP: ", "must be of type boolean"],
        ),
        row(
            "more grants than are looked through",
            cluster(
                "spec/allow",
                json!(vec![cluster_provider()["spec"]["allow"][0].clone(); 65]),
            ),
            &["spec.allow: ", "must have at most 64 items"],
        ),
    ];
    rows.extend(unknown_keys());
    rows.extend(grants());
    for (bad, field) in [
        (0, "requestsPerSecond"),
        (-1, "requestsPerSecond"),
        (100_000, "requestsPerSecond"),
    ] {
        rows.push(row(
            &format!("{bad} calls a second"),
            cluster(&format!("spec/budget/{field}"), json!(bad)),
            &["spec.budget.requestsPerSecond: ", "must be from 1 to 10000"],
        ));
    }
    for bad in [0, -1, 257, 100_000] {
        rows.push(row(
            &format!("{bad} calls at a time"),
            cluster("spec/budget/concurrency", json!(bad)),
            &["spec.budget.concurrency: ", "must be from 1 to 256"],
        ));
    }
    for name in [
        "", "Login", "log_in", "-login", "login-", "a..b", "a.-b", "lo gin",
    ] {
        rows.push(row(
            &format!("the login Secret {name:?}"),
            cluster("spec/dce/auth/keyPair/secretRef/name", json!(name)),
            &[LOGIN, NAMES],
        ));
        rows.push(row(
            &format!("the CA {name:?}"),
            cluster("spec/dce/tls/caBundleSecretRef/name", json!(name)),
            &[CA, NAMES],
        ));
    }
    rows
}

fn unknown_keys() -> Vec<Row> {
    [
        ("spec/endpoint", "spec.endpoint"),
        ("spec/dce/url", "spec.dce.url"),
        ("spec/dce/tls/ca", "spec.dce.tls.ca"),
        (
            "spec/dce/tls/caBundleSecretRef/keys",
            "spec.dce.tls.caBundleSecretRef.keys",
        ),
        ("spec/dce/auth/password", "spec.dce.auth.password"),
        ("spec/dce/auth/keyPair/ak", "spec.dce.auth.keyPair.ak"),
        (
            "spec/dce/auth/keyPair/secretRef/key",
            "spec.dce.auth.keyPair.secretRef.key",
        ),
        ("spec/allow/0/vault", "spec.allow[0].vault"),
        ("spec/allow/0/dce/maxDays", "spec.allow[0].dce.maxDays"),
        (
            "spec/allow/0/namespaces/matchLabel",
            "spec.allow[0].namespaces.matchLabel",
        ),
        ("spec/budget/burst", "spec.budget.burst"),
    ]
    .into_iter()
    .map(|(path, field)| Row {
        what: format!("the unknown key {field}"),
        object: with(cluster_provider(), path, json!({})),
        // As the API server prints it.
        says: vec![
            "strict decoding error: unknown field ".to_owned(),
            format!("{field:?}"),
        ],
    })
    .collect()
}

fn grants() -> Vec<Row> {
    let cluster =
        |path: &str, value: Value| with(cluster_provider(), &format!("spec/allow/0/{path}"), value);
    let expression =
        |expression: Value| cluster("namespaces", json!({"matchExpressions": [expression]}));
    let mut rows = vec![
        row(
            "a grant of nothing",
            without(cluster_provider(), "spec/allow/0/dce"),
            &[
                "spec.allow[0]: ",
                "name what is allowed, one of: dce, keystone",
            ],
        ),
        row(
            "a grant without kinds",
            without(cluster_provider(), "spec/allow/0/dce/kinds"),
            &["spec.allow[0].dce.kinds: Required value"],
        ),
        row(
            "a grant of no kind",
            cluster("dce/kinds", json!([])),
            &["spec.allow[0].dce.kinds: ", "should have at least 1 items"],
        ),
        row(
            "a grant of an unknown kind",
            cluster("dce/kinds", json!(["password"])),
            &[
                "spec.allow[0].dce.kinds[0]: Unsupported value: \"password\"",
                "\"token\"",
            ],
        ),
        row(
            "a grant without namespaces",
            without(cluster_provider(), "spec/allow/0/namespaces"),
            &[
                "spec.allow: ",
                "each grant of a ClusterCredentialProvider says for which namespaces it is (namespaces: {} for all)",
            ],
        ),
        row(
            "a grant for other namespaces",
            with(provider(), "spec/allow/0/namespaces", json!({})),
            &[
                "spec.allow: ",
                "the grants of a CredentialProvider are for its own namespace; leave out namespaces",
            ],
        ),
        row(
            "an operator that is none",
            expression(json!({"key": "team", "operator": "Is", "values": ["a"]})),
            &[
                "spec.allow[0].namespaces.matchExpressions[0].operator: Unsupported value: \"Is\"",
                "\"NotIn\"",
            ],
        ),
        row(
            "a selector without an operator",
            expression(json!({"key": "team"})),
            &["spec.allow[0].namespaces.matchExpressions[0].operator: Required value"],
        ),
        row(
            "In without values",
            expression(json!({"key": "team", "operator": "In"})),
            &[
                "spec.allow[0].namespaces.matchExpressions[0]: ",
                "In and NotIn need values, Exists and DoesNotExist have none",
            ],
        ),
        row(
            "NotIn of nothing, which would be everybody",
            expression(json!({"key": "team", "operator": "NotIn", "values": []})),
            &[
                "spec.allow[0].namespaces.matchExpressions[0]: ",
                "In and NotIn need values",
            ],
        ),
        row(
            "Exists with values",
            expression(json!({"key": "team", "operator": "Exists", "values": ["a"]})),
            &[
                "spec.allow[0].namespaces.matchExpressions[0]: ",
                "Exists and DoesNotExist have none",
            ],
        ),
        row(
            "a label that is no text",
            cluster("namespaces", json!({"matchLabels": {"team": 1}})),
            &[
                "spec.allow[0].namespaces.matchLabels.team: ",
                "must be of type string",
            ],
        ),
    ];
    for days in [0, -1, 366] {
        rows.push(row(
            &format!("a grant of {days} days"),
            cluster("dce/maxCycle", json!(days)),
            &[
                "spec.allow[0].dce.maxCycle: ",
                "must be a number of days from 1 to 365",
            ],
        ));
    }
    rows
}
