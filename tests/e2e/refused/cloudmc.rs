//! The fields for CloudMC: what is refused, and what is stored as it was sent.

use serde_json::{Value, json};

use super::{Row, accepted::come_back_unchanged, all_are_refused, references, row, with, without};

const KEYS: &str = "spec.cloudMC.serviceKeys.keys[0]: ";

const SYSTEM: &str = "cloudMC";
/// Where a provider names its login Secret.
const LOGIN: &str = "auth/apiKey/secretRef";

fn request() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
        "metadata": {"name": "objects"},
        "spec": {
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "cloudmc"},
            "cloudMC": {"serviceKeys": {
                "connection": {"name": "Object Storage"},
                "environment": {"id": "079bdead-61b5-4b38-86ed-dbbf963808ec"},
                "preset": "S3",
                "keys": [{"as": "AWS_REGION", "value": "east"}, {"as": "user", "field": "User name"}],
            }},
        },
    })
}

fn provider() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
        "metadata": {"name": "refused"},
        "spec": {
            "cloudMC": {
                "endpoint": "https://cloudmc.example.com/api/v1",
                "tls": {"caBundleSecretRef": {"namespace": "platform", "name": "ca"}},
                "auth": {"apiKey": {"secretRef": {"namespace": "platform", "name": "login"}, "key": "k"}},
            },
            "allow": [{
                "namespaces": {"matchLabels": {"team": "payments"}},
                "cloudMC": {
                    "kinds": ["serviceKeys"], "connections": [{"name": "Object*"}],
                    "environments": [{"id": "e1"}, {"name": "*"}],
                },
            }],
        },
    })
}

fn local() -> Value {
    references::local(provider(), SYSTEM, LOGIN)
}

fn requests() -> Vec<Row> {
    let at = |path: &str, value: Value| {
        with(
            request(),
            &format!("spec/cloudMC/serviceKeys/{path}"),
            value,
        )
    };
    vec![
        row(
            "no kind",
            with(request(), "spec/cloudMC", json!({})),
            &["spec.cloudMC.serviceKeys: Required value"],
        ),
        row(
            "another system as well",
            with(request(), "spec/dce", json!({"token": {}})),
            &[
                "spec: ",
                "name what to ask for, exactly one of: dce, keystone, cloudMC",
            ],
        ),
        row(
            "no environment",
            without(request(), "spec/cloudMC/serviceKeys/environment"),
            &["spec.cloudMC.serviceKeys.environment: Required value"],
        ),
        row(
            "id and name",
            at("connection/id", json!("c1")),
            &[
                "spec.cloudMC.serviceKeys.connection: ",
                "state either id or name",
            ],
        ),
        row(
            "neither",
            at("connection", json!({})),
            &[
                "spec.cloudMC.serviceKeys.connection: ",
                "state either id or name",
            ],
        ),
        row(
            "dots for an id",
            at("environment/id", json!("..")),
            &["spec.cloudMC.serviceKeys.environment.id: ", "must be an id"],
        ),
        row(
            "a path for an id",
            at("environment/id", json!("a/b")),
            &["spec.cloudMC.serviceKeys.environment.id: ", "must be an id"],
        ),
        row(
            "an empty name",
            at("connection/name", json!("")),
            &[
                "spec.cloudMC.serviceKeys.connection.name: ",
                "must be a name",
            ],
        ),
        row(
            "a name with a line break",
            at("connection/name", json!("a\nb")),
            &[
                "spec.cloudMC.serviceKeys.connection.name: ",
                "must be a name",
            ],
        ),
        row(
            "a field with a line break of Unicode",
            at("keys/1/field", json!("a\u{85}b")),
            &["spec.cloudMC.serviceKeys.keys[1].field: ", "must be a name"],
        ),
        row(
            "no such preset",
            at("preset", json!("OpenStackV4")),
            &["spec.cloudMC.serviceKeys.preset: ", "OpenStackV3"],
        ),
        row(
            "no keys",
            at("keys", json!([])),
            &["spec.cloudMC.serviceKeys.keys", "at least 1"],
        ),
        row(
            "two under one key",
            at(
                "keys",
                json!([{"as": "a", "field": "f"}, {"as": "a", "value": "v"}]),
            ),
            &[
                "spec.cloudMC.serviceKeys.keys[1]: Duplicate value",
                "\"as\":\"a\"",
            ],
        ),
        row(
            "field and value",
            at("keys/0/field", json!("f")),
            &[KEYS, "state either field or value"],
        ),
        row(
            "neither field nor value",
            at("keys", json!([{"as": "a"}])),
            &[KEYS, "state either field or value"],
        ),
        row(
            "no key",
            at("keys", json!([{"field": "f"}])),
            &["spec.cloudMC.serviceKeys.keys[0].as: Required value"],
        ),
        row(
            "a key with a blank",
            at("keys/0/as", json!("a b")),
            &[
                "spec.cloudMC.serviceKeys.keys[0].as: ",
                "must be the key of a Secret",
            ],
        ),
    ]
}

fn providers() -> Vec<Row> {
    let at = |path: &str, value: Value| with(provider(), &format!("spec/{path}"), value);
    vec![
        row(
            "no login",
            without(provider(), "spec/cloudMC/auth/apiKey"),
            &["spec.cloudMC.auth.apiKey: Required value"],
        ),
        row(
            "plain HTTP",
            at("cloudMC/endpoint", json!("http://cloudmc.example.com/v1")),
            &["spec.cloudMC.endpoint: ", "allowHTTP"],
        ),
        row(
            "no URL",
            at("cloudMC/endpoint", json!("cloudmc")),
            &["spec.cloudMC.endpoint: ", "must be an absolute URL"],
        ),
        row(
            "a grant without connections",
            at("allow/0/cloudMC/connections", json!([])),
            &["spec.allow[0].cloudMC.connections", "at least 1"],
        ),
        row(
            "a grant without environments",
            without(provider(), "spec/allow/0/cloudMC/environments"),
            &["spec.allow[0].cloudMC.environments: Required value"],
        ),
        row(
            "a pattern of both",
            at("allow/0/cloudMC/environments/0/name", json!("e")),
            &[
                "spec.allow[0].cloudMC.environments[0]: ",
                "state either id or name",
            ],
        ),
        row(
            "a grant of nothing",
            without(provider(), "spec/allow/0/cloudMC"),
            &[
                "spec.allow[0]: ",
                "name what is allowed, one of: dce, keystone, cloudMC",
            ],
        ),
    ]
}

#[tokio::test]
async fn a_bad_object_for_cloudmc_is_refused_with_the_field_and_the_way_out() {
    let mut rows = requests();
    rows.extend(providers());
    rows.extend(references::rows(&provider(), SYSTEM, LOGIN));
    all_are_refused("refused-cloudmc", rows).await;
}

#[tokio::test]
async fn good_objects_for_cloudmc_come_back_as_they_were_sent() {
    let plain = without(
        without(request(), "spec/cloudMC/serviceKeys/preset"),
        "spec/cloudMC/serviceKeys/keys",
    );
    let name = with(
        plain.clone(),
        "spec/cloudMC/serviceKeys/environment",
        json!({"name": "../a b/é*"}),
    );
    // Characters count, and not bytes.
    let long = with(
        plain.clone(),
        "spec/cloudMC/serviceKeys/environment",
        json!({"name": "é".repeat(255)}),
    );
    come_back_unchanged(
        "accepted-cloudmc",
        vec![request(), plain, name, long, provider(), local()],
    )
    .await;
}
