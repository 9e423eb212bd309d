//! The fields for SODA: what is refused, and what is stored as it was sent.

use serde_json::{Value, json};

use super::{
    Row, accepted::come_back_unchanged, all_are_refused, changes::are_refused, references, row,
    with, without,
};

const SYSTEM: &str = "soda";
/// Where a provider names its login Secret.
const LOGIN: &str = "auth/password/secretRef";

fn request() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
        "metadata": {"name": "s3"},
        "spec": {
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "soda"},
            "soda": {"accessKey": {"project": {"name": "payments", "domain": "Default"}}},
        },
    })
}

fn asking(fields: Value) -> Value {
    let mut request = request();
    for (field, value) in fields.as_object().expect("fields") {
        request["spec"]["soda"]["accessKey"][field] = value.clone();
    }
    request
}

fn provider() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
        "metadata": {"name": "refused"},
        "spec": {
            "soda": {
                "endpoint": "https://soda.example.com:8089/v1",
                "keystone": {"endpoint": "https://keystone.example.com/identity/v3"},
                "tls": {"caBundleSecretRef": {"namespace": "platform", "name": "ca"}},
                "auth": {"password": {"secretRef": {"namespace": "platform", "name": "login"}}},
                "s3": {"endpoint": "http://s3.example.com:8090", "region": "us-east-1"},
            },
            "allow": [{
                "namespaces": {"matchLabels": {"team": "payments"}},
                "soda": {
                    "kinds": ["accessKey"], "projects": [{"id": "p1"}, {"name": "pay*", "domain": "Default"}],
                    "roles": ["member"], "maxLifetime": "720h", "issueThroughSoda": true, "adopt": false,
                },
            }],
        },
    })
}

fn local() -> Value {
    references::local(provider(), SYSTEM, LOGIN)
}

fn requests() -> Vec<Row> {
    const PROJECT: &str = "spec.soda.accessKey.project";
    let at =
        |path: &str, value: Value| with(request(), &format!("spec/soda/accessKey/{path}"), value);
    vec![
        row(
            "no kind",
            with(request(), "spec/soda", json!({})),
            &["spec.soda.accessKey: Required value"],
        ),
        row(
            "Keystone as well",
            with(
                request(),
                "spec/keystone",
                json!({"token": {"project": {"id": "p1"}}}),
            ),
            &["spec: ", "name what to ask for, exactly one of: ", "soda"],
        ),
        row(
            "no project",
            without(request(), "spec/soda/accessKey/project"),
            &["spec.soda.accessKey.project: Required value"],
        ),
        row(
            "a name without a domain",
            without(request(), "spec/soda/accessKey/project/domain"),
            &[PROJECT, "a name goes with either domain or domainID"],
        ),
        row(
            "a path for an id",
            at("project", json!({"id": "../admin"})),
            &["spec.soda.accessKey.project.id: ", "must be an id"],
        ),
        row(
            "an id that would be two",
            at("project", json!({"id": "a b"})),
            &["spec.soda.accessKey.project.id: ", "must be an id"],
        ),
        row(
            "no such way",
            at("issueThrough", json!("Portal")),
            &["spec.soda.accessKey.issueThrough: ", "Keystone", "Soda"],
        ),
        row(
            "issued and adopted",
            asking(json!({"adopt": true, "issueThrough": "Keystone"})),
            &["spec.soda.accessKey: ", "what is adopted is not issued"],
        ),
        row(
            "an access key for what is issued",
            asking(json!({"accessKeyID": "AK1"})),
            &[
                "spec.soda.accessKey.accessKeyID: ",
                "goes with adopt: true alone",
            ],
        ),
        row(
            "an end of all for what is revoked alone",
            asking(json!({"onDelete": "DeleteAllKeysOfUser"})),
            &[
                "spec.soda.accessKey.onDelete: ",
                "goes with issueThrough: Soda alone",
            ],
        ),
        row(
            "no such end",
            asking(json!({"issueThrough": "Soda", "onDelete": "Revoke"})),
            &["spec.soda.accessKey.onDelete: ", "DeleteAllKeysOfUser"],
        ),
        row(
            "an access key that is a query",
            asking(json!({"adopt": true, "accessKeyID": "AK1&user_id=x"})),
            &["spec.soda.accessKey.accessKeyID: ", "must be an id"],
        ),
    ]
}

fn providers() -> Vec<Row> {
    let at = |path: &str, value: Value| with(provider(), &format!("spec/{path}"), value);
    vec![
        row(
            "no Keystone",
            without(provider(), "spec/soda/keystone"),
            &["spec.soda.keystone: Required value"],
        ),
        row(
            "no login",
            without(provider(), "spec/soda/auth/password"),
            &["spec.soda.auth.password: Required value"],
        ),
        row(
            "SODA by plain HTTP",
            at("soda/endpoint", json!("http://soda.example.com:8089")),
            &["spec.soda.endpoint: ", "allowHTTP"],
        ),
        row(
            "Keystone by plain HTTP",
            at("soda/keystone/endpoint", json!("http://keystone/identity")),
            &["spec.soda.keystone.endpoint: ", "allowHTTP"],
        ),
        row(
            "no URL of SODA",
            at("soda/endpoint", json!("soda:8089")),
            &["spec.soda.endpoint: ", "must be an absolute URL"],
        ),
        row(
            "a query in that of Keystone",
            at("soda/keystone/endpoint", json!("https://keystone/v3?x=y")),
            &["spec.soda.keystone.endpoint: ", "must not hold a query"],
        ),
        row(
            "a grant without projects",
            at("allow/0/soda/projects", json!([])),
            &["spec.allow[0].soda.projects", "at least 1"],
        ),
        row(
            "a grant without roles",
            without(provider(), "spec/allow/0/soda/roles"),
            &["spec.allow[0].soda.roles: Required value"],
        ),
        row(
            "a pattern without a domain",
            at("allow/0/soda/projects/0", json!({"name": "*"})),
            &[
                "spec.allow[0].soda.projects[0]: ",
                "a name goes with either domain or domainID",
            ],
        ),
        row(
            "a grant of another kind",
            at("allow/0/soda/kinds", json!(["token"])),
            &["spec.allow[0].soda.kinds[0]: ", "accessKey"],
        ),
        row(
            "a life of no time",
            at("allow/0/soda/maxLifetime", json!("0s")),
            &["spec.allow[0].soda.maxLifetime: ", "longer than zero"],
        ),
    ]
}

#[tokio::test]
async fn a_bad_object_for_soda_is_refused_with_the_field_and_the_way_out() {
    let mut rows = requests();
    rows.extend(providers());
    rows.extend(references::rows(&provider(), SYSTEM, LOGIN));
    all_are_refused("refused-soda", rows).await;
}

#[tokio::test]
async fn good_objects_for_soda_come_back_as_they_were_sent() {
    let adopt = asking(json!({"adopt": true, "accessKeyID": "l4ayVHYQ4TKFTLPW"}));
    let through = asking(json!({"issueThrough": "Soda", "adopt": false}));
    let ending = asking(json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"}));
    let named = with(
        request(),
        "spec/soda/accessKey/project",
        json!({"name": "../a b/é*", "domainID": "default"}),
    );
    let plain = with(
        with(
            with(provider(), "spec/soda/endpoint", json!("http://soda:8089")),
            "spec/soda/keystone/endpoint",
            json!("http://soda/identity"),
        ),
        "spec/soda/allowHTTP",
        json!(true),
    );
    come_back_unchanged(
        "accepted-soda",
        vec![
            request(),
            adopt,
            through,
            ending,
            named,
            provider(),
            local(),
            plain,
        ],
    )
    .await;
}

#[tokio::test]
async fn how_a_pair_of_soda_is_had_cannot_be_changed() {
    let another = "create another request";
    are_refused(
        "changes-soda",
        request(),
        vec![
            row(
                "issued by SODA from now on",
                asking(json!({"issueThrough": "Soda"})),
                &["spec.soda.accessKey.issueThrough: ", another],
            ),
            row(
                "adopted from now on",
                asking(json!({"adopt": true})),
                &["spec.soda.accessKey.adopt: ", another],
            ),
        ],
    )
    .await;
    are_refused(
        "changes-soda-adopted",
        asking(json!({"adopt": true})),
        vec![row(
            "issued from now on",
            request(),
            &["spec.soda.accessKey.adopt: ", another],
        )],
    )
    .await;
    let ending = json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"});
    are_refused(
        "changes-soda-ending",
        asking(json!({"issueThrough": "Soda"})),
        vec![row(
            "an end of all from now on",
            asking(ending),
            &["spec.soda.accessKey.onDelete: ", another],
        )],
    )
    .await;
    let moved = |field: &str| with(provider(), field, json!("https://elsewhere.example.com"));
    are_refused(
        "changes-soda-provider",
        provider(),
        vec![
            row(
                "another SODA",
                moved("spec/soda/endpoint"),
                &["spec.soda.endpoint: ", "cannot be changed"],
            ),
            row(
                "another Keystone",
                moved("spec/soda/keystone/endpoint"),
                &["spec.soda.keystone.endpoint: ", "cannot be changed"],
            ),
        ],
    )
    .await;
}
