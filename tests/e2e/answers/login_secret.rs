//! What can be wrong with what a provider refers to, and with what a request does: each is told with
//! the name of the Secret, the key and the field, and nobody is called meanwhile.

use credential_operator::api::ClusterCredentialProvider;
use futures::future::join_all;
use kube::Api;
use serde_json::{Value, json};

use super::story::{ready, until};
use crate::stage::{Stage, control_plane, message_of, status_of};

/// Something wrong with a login Secret.
struct Row {
    name: &'static str,
    /// The Secret without its name; none when it is missing.
    secret: Option<Value>,
    reason: &'static str,
    words: &'static str,
}

fn secret(annotation: &str, data: Value) -> Value {
    json!({"metadata": {"annotations": {"credential-operator.dev/login-for": annotation}}, "stringData": data})
}

fn rows(endpoint: &str, ak: &str, sk: &str) -> Vec<Row> {
    let good = json!({"ak": ak, "sk": sk});
    let with = |data: Value| Some(secret(endpoint, data));
    let consenting = |annotation: &str| Some(secret(annotation, good.clone()));
    let binary = json!({"metadata": {"annotations": {"credential-operator.dev/login-for": endpoint}}, "data": {"ak": "/wD+", "sk": "c2s="}});
    // As large as a Secret can be, with the other value.
    let large = "a".repeat(1024 * 1024 - sk.len());
    let invalid = "is empty, longer than 16384 bytes, or not text";
    let consent = "does not say that it may be used for this endpoint; who owns it can: kubectl annotate secret";
    let row = |name, secret, reason, words| Row {
        name,
        secret,
        reason,
        words,
    };
    vec![
        row(
            "missing",
            None,
            "LoginSecretNotFound",
            "with the login is not there",
        ),
        row(
            "no-sk",
            with(json!({"ak": ak})),
            "LoginKeyNotFound",
            "has no key sk (spec.dce.auth.keyPair.skKey)",
        ),
        row(
            "no-ak",
            with(json!({"AK": ak, "sk": sk})),
            "LoginKeyNotFound",
            "has no key ak (spec.dce.auth.keyPair.akKey)",
        ),
        row(
            "empty",
            with(json!({"ak": ak, "sk": ""})),
            "LoginInvalid",
            invalid,
        ),
        row(
            "newline",
            with(json!({"ak": ak, "sk": "\n"})),
            "LoginInvalid",
            invalid,
        ),
        row(
            "large",
            with(json!({"ak": large, "sk": sk})),
            "LoginInvalid",
            invalid,
        ),
        row("binary", Some(binary), "LoginInvalid", invalid),
        row(
            "two-lines",
            with(json!({"ak": ak, "sk": format!("{sk}\n{sk}")})),
            "LoginInvalid",
            "has a line break (U+000A) as character",
        ),
        row(
            "byte-order-mark",
            with(json!({"ak": format!("\u{feff}{ak}"), "sk": sk})),
            "LoginInvalid",
            "has a byte order mark (U+FEFF) as character 1 of",
        ),
        row(
            "no-break-space",
            with(json!({"ak": ak, "sk": format!("{sk}\u{a0}")})),
            "LoginInvalid",
            "has a space at the end or the beginning (U+00A0) as character",
        ),
        row(
            "beyond-ascii",
            with(json!({"ak": format!("{ak}\u{e9}"), "sk": sk})),
            "LoginInvalid",
            "has characters that no key has",
        ),
        row(
            "no-consent",
            Some(json!({"stringData": good})),
            "NoConsent",
            consent,
        ),
        row("no-one", consenting(""), "NoConsent", consent),
        row(
            "other-host",
            consenting("https://dce.example.com"),
            "NoConsent",
            consent,
        ),
        row(
            "other-port",
            consenting(&format!("{endpoint}0")),
            "NoConsent",
            consent,
        ),
        row(
            "other-path",
            consenting(&format!("{endpoint}/dce")),
            "NoConsent",
            consent,
        ),
        row(
            "other-scheme",
            consenting(&endpoint.replace("http:", "https:")),
            "NoConsent",
            consent,
        ),
    ]
}

async fn play(stage: &Stage, row: Row) {
    let provider = format!("{}-{}", stage.team, row.name);
    if let Some(mut secret) = row.secret {
        secret["apiVersion"] = "v1".into();
        secret["kind"] = "Secret".into();
        secret["metadata"]["name"] = json!(provider);
        secret["metadata"]["namespace"] = json!(stage.platform);
        stage.apply(&secret).await;
    }
    stage.apply(&stage.provider_at(&provider, &stage.dce)).await;
    stage
        .apply(&stage.request_of(row.name, "ClusterCredentialProvider", &provider))
        .await;
    let providers: Api<ClusterCredentialProvider> = Api::all(stage.client.clone());
    until(&providers, &provider, "not Ready", |provider| {
        ready(provider) == ("False", row.reason)
    })
    .await;
    let request = until(&stage.requests(), row.name, "not Ready", |request| {
        status_of(request, "Ready") == ("False", row.reason)
    })
    .await;
    let message = message_of(&request, "Ready").to_owned();
    assert!(message.contains(row.words), "{}: {message}", row.name);
    assert!(
        message.contains(&format!("Secret {}/{provider}", stage.platform)),
        "{}: {message}",
        row.name
    );
    assert_eq!(
        status_of(&request, "Stalled").0,
        "True",
        "{}: somebody has to do something",
        row.name
    );
    assert!(
        request
            .status
            .is_some_and(|status| status.next_action_time.is_none()),
        "{}: no time will mend it",
        row.name
    );

    if row.reason == "NoConsent" {
        run(&message);
    } else {
        stage
            .write_login_for(
                &stage.platform,
                &provider,
                &stage.dce.endpoint(),
                &stage.login,
            )
            .await;
    }
    until(&stage.requests(), row.name, "Synced", |request| {
        status_of(request, "Ready") == ("True", "Synced")
    })
    .await;
}

/// Runs the command that a message ends with.
fn run(message: &str) {
    let command = &message[message.find("kubectl ").expect("a command")..];
    let output = control_plane()
        .kubectl()
        .args(command.split_whitespace().skip(1))
        .output()
        .expect("kubectl runs");
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_login_secret_is_told_and_mending_it_is_enough() {
    let mut stage = Stage::new("login-secret").await;
    stage.start().await;
    // The stage's own provider has logged in by then, so that every further call is a row's.
    stage.apply(&stage.request("first")).await;
    stage.ready("first").await;
    let mark = stage.dce.token_requests();
    let rows = rows(&stage.dce.endpoint(), &stage.login.0, &stage.login.1);
    let count = rows.len() as u64;
    join_all(rows.into_iter().map(|row| play(&stage, row))).await;
    assert_eq!(
        stage.dce.token_requests() - mark,
        2 * count,
        "a login and a token each, all of them after it was mended"
    );
    assert_eq!(
        stage.dce.logins_refused(),
        0,
        "nobody was called with something that is no login"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_is_taken_as_they_mean_it() {
    let mut stage = Stage::new("login-meant").await;
    stage.start().await;
    let (ak, sk) = stage.login.clone();
    let endpoint = stage.dce.endpoint();
    let host = endpoint.trim_start_matches("http://");
    let rows = [
        (
            "newline",
            endpoint.clone(),
            (format!("{ak}\n"), format!("{sk}\r\n")),
        ),
        (
            "several",
            format!("https://dce.example.com  {endpoint}/\nhttps://other"),
            (ak.clone(), sk.clone()),
        ),
        ("upper-case", format!("HTTP://{host}/"), (ak, sk)),
    ];
    for (name, consent, login) in &rows {
        let provider = format!("{}-{name}", stage.team);
        stage
            .write_login_for(&stage.platform, &provider, consent, login)
            .await;
        stage.apply(&stage.provider_at(&provider, &stage.dce)).await;
        stage
            .apply(&stage.request_of(name, "ClusterCredentialProvider", &provider))
            .await;
    }
    for (name, ..) in &rows {
        stage.ready(name).await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_cluster_provider_is_missing_or_closed_is_not_told_and_a_limit_is() {
    let mut stage = Stage::new("not-allowed").await;
    stage
        .flags
        .push("--tenant-endpoints=127.0.0.0/8".to_owned());
    stage.start().await;
    let (closed, missing) = (
        format!("{}-closed", stage.team),
        format!("{}-absent", stage.team),
    );
    let mut provider = stage.provider_at(&closed, &stage.dce);
    provider["spec"]["dce"]["auth"]["keyPair"]["secretRef"]["name"] = json!("login");
    provider["spec"]["allow"][0]["namespaces"] =
        json!({"matchLabels": {"kubernetes.io/metadata.name": "somebody-else"}});
    stage.apply(&provider).await;
    stage
        .apply(&stage.request_of("closed", "ClusterCredentialProvider", &closed))
        .await;
    stage
        .apply(&stage.request_of("absent", "ClusterCredentialProvider", &missing))
        .await;
    stage
        .apply(&stage.request_of("local", "CredentialProvider", "local"))
        .await;
    let mut long = stage.request("long");
    long["spec"]["dce"]["token"] = json!({"cycle": 31});
    let mut limited = stage.provider();
    limited["spec"]["allow"][0]["dce"]["maxCycle"] = json!(30);
    stage.apply(&limited).await;
    stage.apply(&long).await;

    let refused = async |name: &str, reason: &str| {
        let request = stage
            .until(name, reason, |request| {
                status_of(request, "Ready") == ("False", reason)
            })
            .await;
        assert_eq!(status_of(&request, "Stalled").0, "True", "{name}");
        message_of(&request, "Ready").to_owned()
    };
    let words = refused("closed", "NotAllowed").await;
    assert!(
        words.contains("is not there, or none of its grants (spec.allow) lets namespace"),
        "{words}"
    );
    let others = refused("absent", "NotAllowed").await;
    assert_eq!(
        words.replace(&closed, ""),
        others.replace(&missing, ""),
        "the same answer whether or not it exists"
    );
    let words = refused("local", "ProviderNotFound").await;
    assert_eq!(
        words,
        format!(
            "spec.providerRef: there is no CredentialProvider local in namespace {}",
            stage.team
        )
    );
    let words = refused("long", "NotAllowed").await;
    assert!(
        words.contains("spec.dce.token.cycle may be at most 30 days, not 31"),
        "{words}"
    );

    // All of it is mended by what was missing.
    provider["spec"]["allow"] = stage.provider()["spec"]["allow"].clone();
    stage.apply(&provider).await;
    provider["metadata"]["name"] = json!(missing);
    stage.apply(&provider).await;
    stage.apply(&stage.provider()).await;
    stage
        .write_login_for(
            &stage.team,
            "local-login",
            &stage.dce.endpoint(),
            &stage.login,
        )
        .await;
    stage
        .apply(&json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialProvider",
            "metadata": {"name": "local", "namespace": stage.team},
            "spec": {
                "dce": {"endpoint": stage.dce.endpoint(), "allowHTTP": true, "auth": {"keyPair": {"secretRef": {"name": "local-login"}}}},
                "allow": [{"dce": {"kinds": ["token"]}}],
            },
        }))
        .await;
    for name in ["closed", "absent", "local", "long"] {
        stage.ready(name).await;
    }
    stage.finish().await;
}
