//! The fields for Keystone: what is refused, and what is stored as it was sent.

use serde_json::{Value, json};

use super::{Row, Sender, all_are_refused, row, with, without};

const NAMED: &str = "state either id, or name with domain or domainID";
const DOMAIN: &str = "a name goes with either domain or domainID";

fn request() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
        "metadata": {"name": "s3"},
        "spec": {
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "openstack"},
            "keystone": {"accessKey": {"project": {"name": "payments-prod", "domain": "Default"}}},
            "renewal": {"rotateEvery": "720h", "overlap": "15m", "verifyEvery": "1h"},
            "deletionPolicy": "Revoke",
        },
    })
}

fn application_credential() -> Value {
    with(
        without(request(), "spec/keystone"),
        "spec/keystone",
        json!({"applicationCredential": {
            "project": {"id": "4c4f9239c9b342f39447371bf53c94b1"},
            "roles": ["member"], "lifetime": "720h", "expiresAt": "2030-01-01T00:00:00Z",
            "accessRules": [{"service": "object-store", "method": "GET", "path": "/v1/AUTH_*/**"}],
            "unrestricted": false,
        }}),
    )
}

fn provider() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
        "metadata": {"name": "refused"},
        "spec": {
            "keystone": {
                "endpoint": "https://keystone.example.com/v3",
                "tls": {"caBundleSecretRef": {"namespace": "platform", "name": "ca", "key": "ca.crt"}},
                "auth": {"password": {"secretRef": {"namespace": "platform", "name": "login"}}},
                "s3": {"endpoint": "https://s3.example.com", "region": "RegionOne"},
                "region": "RegionOne",
            },
            "allow": [{
                "namespaces": {"matchLabels": {"team": "payments"}},
                "keystone": {
                    "kinds": ["accessKey", "applicationCredential", "token"],
                    "projects": [{"name": "payments-*", "domain": "Default"}, {"id": "4c4f"}],
                    "roles": ["member", "reader"],
                    "users": [{"name": "*", "domainID": "default"}],
                    "maxLifetime": "720h", "unrestricted": true,
                },
            }],
        },
    })
}

fn local() -> Value {
    let mut local = provider();
    local["kind"] = json!("CredentialProvider");
    let spec = &mut local["spec"];
    spec["keystone"]["tls"]["caBundleSecretRef"] = json!({"name": "ca"});
    spec["keystone"]["auth"]["password"]["secretRef"] = json!({"name": "login"});
    spec["allow"][0]
        .as_object_mut()
        .unwrap()
        .remove("namespaces");
    local
}

fn requests() -> Vec<Row> {
    let project = "spec/keystone/accessKey/project";
    let says = |words: &'static str| vec!["spec.keystone.accessKey.project: ", words];
    let app = "spec/keystone/applicationCredential";
    let mut rows = vec![
        row(
            "no kind",
            with(request(), "spec/keystone", json!({})),
            &["spec.keystone: ", "name exactly one kind of credential"],
        ),
        row(
            "two kinds",
            with(
                request(),
                "spec/keystone/token",
                json!({"project": {"id": "p"}}),
            ),
            &["spec.keystone: ", "name exactly one kind of credential"],
        ),
        row(
            "no project",
            with(request(), "spec/keystone/accessKey", json!({})),
            &["spec.keystone.accessKey.project: Required value"],
        ),
        row(
            "an empty project",
            with(request(), project, json!({})),
            &says(NAMED),
        ),
        row(
            "id and name",
            with(
                request(),
                project,
                json!({"id": "a", "name": "b", "domain": "c"}),
            ),
            &says(NAMED),
        ),
        row(
            "a name without a domain",
            with(request(), project, json!({"name": "prod"})),
            &says(DOMAIN),
        ),
        row(
            "a name in two domains",
            with(
                request(),
                project,
                json!({"name": "a", "domain": "b", "domainID": "c"}),
            ),
            &says(DOMAIN),
        ),
        row(
            "an id in a domain",
            with(request(), project, json!({"id": "a", "domain": "b"})),
            &says(DOMAIN),
        ),
        row(
            "a name of nothing",
            with(request(), project, json!({"name": "", "domain": "Default"})),
            &["spec.keystone.accessKey.project.name: ", "must be a name"],
        ),
        row(
            "a name with a line break",
            with(
                request(),
                project,
                json!({"name": "a\nb", "domain": "Default"}),
            ),
            &["spec.keystone.accessKey.project.name: ", "must be a name"],
        ),
        row(
            "a user without a domain",
            with(
                request(),
                "spec/keystone/accessKey/user",
                json!({"name": "bot"}),
            ),
            &["spec.keystone.accessKey.user: ", DOMAIN],
        ),
        row(
            "a policy that is none",
            with(request(), "spec/deletionPolicy", json!("Keep")),
            &["spec.deletionPolicy: Unsupported value", "Retain"],
        ),
        row(
            "an expiry that is no time",
            with(
                application_credential(),
                &format!("{app}/expiresAt"),
                json!("tomorrow"),
            ),
            &[
                "spec.keystone.applicationCredential.expiresAt: ",
                "date-time",
            ],
        ),
        row(
            "no roles at all",
            with(application_credential(), &format!("{app}/roles"), json!([])),
            &["spec.keystone.applicationCredential.roles: "],
        ),
        row(
            "a rule with a method that is none",
            with(
                application_credential(),
                &format!("{app}/accessRules/0/method"),
                json!("get"),
            ),
            &[
                "spec.keystone.applicationCredential.accessRules[0].method: ",
                "must be GET, HEAD, POST, PUT, PATCH or DELETE",
            ],
        ),
        row(
            "a rule for a path that is none",
            with(
                application_credential(),
                &format!("{app}/accessRules/0/path"),
                json!("v1"),
            ),
            &[
                "spec.keystone.applicationCredential.accessRules[0].path: ",
                "it begins with /",
            ],
        ),
        row(
            "a key that no pair has",
            with(request(), "spec/keystone/accessKey/lifetime", json!("1h")),
            &["unknown field \"spec.keystone.accessKey.lifetime\""],
        ),
    ];
    for id in ["a/b", "../a", ".", "-a", "a b", "ä"] {
        rows.push(row(
            &format!("the id {id}"),
            with(request(), project, json!({"id": id})),
            &["spec.keystone.accessKey.project.id: ", "must be an id"],
        ));
    }
    for (field, name) in [
        ("spec/renewal/overlap", "spec.renewal.overlap: "),
        ("spec/renewal/verifyEvery", "spec.renewal.verifyEvery: "),
    ] {
        for text in ["soon", "0s", "-5m", "1h1h"] {
            rows.push(row(
                &format!("{field} {text}"),
                with(request(), field, json!(text)),
                &[name],
            ));
        }
    }
    for text in ["forever", "0h"] {
        rows.push(row(
            &format!("a lifetime of {text}"),
            with(
                application_credential(),
                &format!("{app}/lifetime"),
                json!(text),
            ),
            &["spec.keystone.applicationCredential.lifetime: "],
        ));
    }
    rows
}

fn providers() -> Vec<Row> {
    let auth = "spec/keystone/auth";
    let login = json!({"secretRef": {"namespace": "platform", "name": "login"}});
    let grant = "spec/allow/0/keystone";
    let mut rows = vec![
        row(
            "no login",
            with(provider(), auth, json!({})),
            &[
                "spec.keystone.auth: ",
                "exactly one of password and applicationCredential",
            ],
        ),
        row(
            "two logins",
            with(
                provider(),
                auth,
                json!({"password": login, "applicationCredential": login}),
            ),
            &[
                "spec.keystone.auth: ",
                "exactly one of password and applicationCredential",
            ],
        ),
        row(
            "a login of nowhere",
            with(
                provider(),
                auth,
                json!({"password": {"secretRef": {"name": "login"}}}),
            ),
            &[
                "spec.keystone.auth.password.secretRef.namespace: ",
                "required in a ClusterCredentialProvider",
            ],
        ),
        row(
            "an application credential of nowhere",
            with(
                provider(),
                auth,
                json!({"applicationCredential": {"secretRef": {"name": "login"}}}),
            ),
            &[
                "spec.keystone.auth.applicationCredential.secretRef.namespace: ",
                "required in a ClusterCredentialProvider",
            ],
        ),
        row(
            "certificates of nowhere",
            with(
                provider(),
                "spec/keystone/tls/caBundleSecretRef",
                json!({"name": "ca"}),
            ),
            &[
                "spec.keystone.tls.caBundleSecretRef.namespace: ",
                "required in a ClusterCredentialProvider",
            ],
        ),
        row(
            "a login of another namespace",
            with(local(), auth, json!({"password": login})),
            &[
                "spec.keystone.auth.password.secretRef.namespace: ",
                "not accepted in a CredentialProvider",
            ],
        ),
        row(
            "an application credential of another namespace",
            with(local(), auth, json!({"applicationCredential": login})),
            &[
                "spec.keystone.auth.applicationCredential.secretRef.namespace: ",
                "not accepted in a CredentialProvider",
            ],
        ),
        row(
            "plain http",
            with(
                provider(),
                "spec/keystone/endpoint",
                json!("http://keystone.example.com"),
            ),
            &["spec.keystone.endpoint: ", "plain http sends the login"],
        ),
        row(
            "an endpoint with a login in it",
            with(
                provider(),
                "spec/keystone/endpoint",
                json!("https://a:b@keystone.example.com"),
            ),
            &["spec.keystone.endpoint: ", "must not hold a user name"],
        ),
        row(
            "an S3 endpoint that is none",
            with(
                provider(),
                "spec/keystone/s3/endpoint",
                json!("s3.example.com"),
            ),
            &["spec.keystone.s3.endpoint: ", "must be an absolute URL"],
        ),
        row(
            "a region that is none",
            with(provider(), "spec/keystone/region", json!("Region One")),
            &["spec.keystone.region: ", "must be a region"],
        ),
        row(
            "a grant of nothing",
            with(provider(), &format!("{grant}/kinds"), json!([])),
            &["spec.allow[0].keystone.kinds: "],
        ),
        row(
            "a kind that is none",
            with(provider(), &format!("{grant}/kinds"), json!(["password"])),
            &["spec.allow[0].keystone.kinds[0]: Unsupported value"],
        ),
        row(
            "roles by default",
            without(provider(), &format!("{grant}/roles")),
            &["spec.allow[0].keystone.roles: Required value"],
        ),
        row(
            "projects by default",
            without(provider(), &format!("{grant}/projects")),
            &["spec.allow[0].keystone.projects: Required value"],
        ),
        row(
            "a name in any domain",
            with(
                provider(),
                &format!("{grant}/projects"),
                json!([{"name": "payments-*"}]),
            ),
            &["spec.allow[0].keystone.projects[0]: ", DOMAIN],
        ),
        row(
            "a life that is none",
            with(provider(), &format!("{grant}/maxLifetime"), json!("long")),
            &["spec.allow[0].keystone.maxLifetime: "],
        ),
    ];
    rows.push(row(
        "another system's login",
        with(provider(), "spec/keystone/auth/keyPair", login),
        &["unknown field \"spec.keystone.auth.keyPair\""],
    ));
    rows
}

#[tokio::test]
async fn a_bad_request_for_keystone_is_refused_with_the_field_and_the_way_out() {
    all_are_refused("refused-ks-requests", requests()).await;
}

#[tokio::test]
async fn a_bad_keystone_is_refused_with_the_field_and_the_way_out() {
    all_are_refused("refused-ks-providers", providers()).await;
}

#[tokio::test]
async fn good_objects_for_keystone_come_back_as_they_were_sent() {
    let with_login = |mut provider: Value, login: &str| {
        let secret = provider["spec"]["keystone"]["auth"]["password"].clone();
        provider["spec"]["keystone"]["auth"] = json!({login: secret});
        provider
    };
    let token = json!({"token": {"project": {"name": "Ünïcode prøject", "domainID": "default"}}});
    super::accepted::come_back_unchanged(
        "accepted-ks",
        vec![
            request(),
            application_credential(),
            with(without(request(), "spec/keystone"), "spec/keystone", token),
            with(request(), "spec/deletionPolicy", json!("Retain")),
            with(
                request(),
                "spec/keystone/accessKey/user",
                json!({"id": "0d87"}),
            ),
            with(provider(), "metadata/name", json!("refused-ks")),
            local(),
            with_login(provider(), "applicationCredential"),
            with_login(local(), "applicationCredential"),
            with(
                provider(),
                "spec/keystone/endpoint",
                json!("https://cloud.example.com/identity"),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_kind_of_credential_cannot_be_changed() {
    let sender = Sender::new("changed-ks").await;
    let stored = sender.create(&request()).await.expect("the object is good");
    for (what, keystone, words) in [
        (
            "another kind",
            json!({"token": {"project": {"id": "p"}}}),
            "the kind of credential cannot be changed",
        ),
        (
            "an application credential",
            json!({"applicationCredential": {"project": {"id": "p"}}}),
            "the kind of credential cannot be changed",
        ),
    ] {
        let mut changed = request();
        changed["metadata"] = stored["metadata"].clone();
        changed["spec"]["keystone"] = keystone;
        let said = sender.replace(&changed).await.expect_err(what);
        assert!(said.contains(words), "{what}: {said}");
    }
    let mut changed = request();
    changed["metadata"] = stored["metadata"].clone();
    changed["spec"]["keystone"]["accessKey"]["project"] = json!({"id": "other"});
    sender.replace(&changed).await.expect("another project");
}
