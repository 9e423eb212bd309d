//! The fields for CloudCenter: what is refused, and what is stored as it was sent.

use serde_json::{Value, json};

use super::{Row, accepted::come_back_unchanged, all_are_refused, references, row, with, without};

const USER: &str = "spec.cloudCenter.apiKey.user";
const ID: &[&str] = &["spec.cloudCenter.apiKey.user.id: ", "must be an id"];
const EMAIL: &[&str] = &[
    "spec.cloudCenter.apiKey.user.email: ",
    "must be an e-mail address",
];

const SYSTEM: &str = "cloudCenter";
/// Where a provider names its login Secret.
const LOGIN: &str = "auth/apiKey/secretRef";

fn request() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
        "metadata": {"name": "ccm"},
        "spec": {
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "cloudcenter"},
            "cloudCenter": {"apiKey": {"user": {"email": "alice@example.com"}, "onRotate": "Regenerate"}},
            "renewal": {"verifyEvery": "5m"},
        },
    })
}

fn provider() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
        "metadata": {"name": "refused"},
        "spec": {
            "cloudCenter": {
                "endpoint": "https://ccm.example.com",
                "tls": {"caBundleSecretRef": {"namespace": "platform", "name": "ca"}},
                "auth": {"apiKey": {
                    "secretRef": {"namespace": "platform", "name": "login"}, "usernameKey": "u", "keyKey": "k",
                }},
            },
            "allow": [{
                "namespaces": {"matchLabels": {"team": "payments"}},
                "cloudCenter": {
                    "kinds": ["apiKey"], "regenerate": true,
                    "users": [{"id": "4"}, {"email": "*@payments.example.com"}, {"self": true}],
                },
            }],
        },
    })
}

fn local() -> Value {
    references::local(provider(), SYSTEM, LOGIN)
}

fn requests() -> Vec<Row> {
    let user = |user: Value| with(request(), "spec/cloudCenter/apiKey/user", user);
    let id = |id: &str| user(json!({ "id": id }));
    let email = |email: &str| user(json!({ "email": email }));
    vec![
        row(
            "no kind",
            with(request(), "spec/cloudCenter", json!({})),
            &["spec.cloudCenter.apiKey: Required value"],
        ),
        row(
            "another system as well",
            with(request(), "spec/dce", json!({"token": {}})),
            &["spec: ", "name what to ask for, exactly one of: "],
        ),
        row(
            "a user without anything",
            user(json!({})),
            &[USER, "state either id or email"],
        ),
        row(
            "id and email",
            user(json!({"id": "4", "email": "a@b.example"})),
            &[USER, "state either id or email"],
        ),
        row("an empty id", id(""), ID),
        row("dots for an id", id(".."), ID),
        row("a path for an id", id("4/../5"), ID),
        row("an encoded path for an id", id("4%2f5"), ID),
        row("a blank in an id", id("4 5"), ID),
        row("a digit that is none of ASCII", id("٤"), ID),
        row(
            "an id that is too long",
            id(&"4".repeat(65)),
            &["spec.cloudCenter.apiKey.user.id: Too long"],
        ),
        row("no address", email("alice"), EMAIL),
        row("an address with a blank", email("a b@c.example"), EMAIL),
        row("a pattern for an address", email("*@example.com"), EMAIL),
        row("a line break in an address", email("a@b\n.example"), EMAIL),
        row(
            "what a rotation does, in other words",
            with(
                request(),
                "spec/cloudCenter/apiKey/onRotate",
                json!("Destroy"),
            ),
            &[
                "spec.cloudCenter.apiKey.onRotate: Unsupported value",
                "\"Regenerate\"",
            ],
        ),
        row(
            "a new key for whoever it is",
            without(request(), "spec/cloudCenter/apiKey/user"),
            &[
                "spec.cloudCenter.apiKey.onRotate: ",
                "takes the id or the email of a user",
            ],
        ),
    ]
}

fn providers() -> Vec<Row> {
    let at = |path: &str, value: Value| with(provider(), &format!("spec/{path}"), value);
    let users = |users: Value| at("allow/0/cloudCenter/users", users);
    let one_of: &[&str] = &[
        "spec.allow[0].cloudCenter.users[0]: ",
        "state exactly one of: id, email, self",
    ];
    vec![
        row(
            "no login",
            without(provider(), "spec/cloudCenter/auth/apiKey"),
            &["spec.cloudCenter.auth.apiKey: Required value"],
        ),
        row(
            "plain HTTP",
            at("cloudCenter/endpoint", json!("http://ccm.example.com")),
            &["spec.cloudCenter.endpoint: ", "allowHTTP"],
        ),
        row(
            "a login in the URL",
            at(
                "cloudCenter/endpoint",
                json!("https://admin_3:key@ccm.example.com"),
            ),
            &["spec.cloudCenter.endpoint: "],
        ),
        row(
            "no URL",
            at("cloudCenter/endpoint", json!("ccm")),
            &["spec.cloudCenter.endpoint: ", "must be an absolute URL"],
        ),
        row(
            "a grant without users",
            without(provider(), "spec/allow/0/cloudCenter/users"),
            &["spec.allow[0].cloudCenter.users: Required value"],
        ),
        row(
            "a grant for no user",
            users(json!([])),
            &["spec.allow[0].cloudCenter.users", "at least 1"],
        ),
        row("a user without anything", users(json!([{}])), one_of),
        row(
            "a user by two words",
            users(json!([{"id": "4", "self": true}])),
            one_of,
        ),
        row(
            "a user who is not oneself",
            users(json!([{"self": false}])),
            &[
                "spec.allow[0].cloudCenter.users[0].self: ",
                "can only be true",
            ],
        ),
        row(
            "a path for an id",
            users(json!([{"id": "4/keys"}])),
            &["spec.allow[0].cloudCenter.users[0].id: ", "must be an id"],
        ),
        row(
            "a grant of nothing",
            without(provider(), "spec/allow/0/cloudCenter"),
            &["spec.allow[0]: ", "name what is allowed, one of: "],
        ),
    ]
}

#[tokio::test]
async fn a_bad_object_for_cloudcenter_is_refused_with_the_field_and_the_way_out() {
    let mut rows = requests();
    rows.extend(providers());
    rows.extend(references::rows(&provider(), SYSTEM, LOGIN));
    all_are_refused("refused-cloudcenter", rows).await;
}

#[tokio::test]
async fn good_objects_for_cloudcenter_come_back_as_they_were_sent() {
    let own = with(request(), "spec/cloudCenter", json!({"apiKey": {}}));
    let by_id = with(
        request(),
        "spec/cloudCenter",
        json!({"apiKey": {"user": {"id": "4"}}}),
    );
    let odd = with(
        request(),
        "spec/cloudCenter/apiKey/user",
        json!({"email": "../jürgen/x@bücher.example"}),
    );
    come_back_unchanged(
        "accepted-cloudcenter",
        vec![request(), own, by_id, odd, provider(), local()],
    )
    .await;
}
