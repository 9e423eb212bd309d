//! Changes of objects that were good: those that are refused, and those that pass.

use serde_json::{Value, json};

use super::{Row, Sender, cluster_provider, misleading, provider, request, row, with, without};

pub(super) async fn are_refused(namespace: &str, good: Value, rows: Vec<Row>) {
    let sender = Sender::new(namespace).await;
    let stored = sender.create(&good).await.expect("the object is good");
    for row in rows {
        let mut changed = row.object.clone();
        changed["metadata"] = stored["metadata"].clone();
        let words = sender.replace(&changed).await.expect_err(&row.what);
        let wrong = misleading(&row, &words);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

async fn pass(namespace: &str, good: Value, changes: Vec<(&str, Value)>) {
    let sender = Sender::new(namespace).await;
    let mut stored = sender.create(&good).await.expect("the object is good");
    for (what, mut changed) in changes {
        changed["metadata"] = stored["metadata"].clone();
        stored = sender
            .replace(&changed)
            .await
            .unwrap_or_else(|words| panic!("{what}: {words}"));
        assert_eq!(stored["spec"], changed["spec"], "{what}");
    }
}

#[tokio::test]
async fn what_a_request_is_about_cannot_be_changed() {
    let rows = vec![
        row(
            "another provider",
            with(request(), "spec/providerRef/name", json!("other")),
            &[
                "spec.providerRef: ",
                "cannot be changed; create another request",
            ],
        ),
        row(
            "another kind of provider",
            with(
                request(),
                "spec/providerRef/kind",
                json!("CredentialProvider"),
            ),
            &[
                "spec.providerRef: ",
                "cannot be changed; create another request",
            ],
        ),
        row(
            "no kind of credential any more",
            with(request(), "spec/dce", json!({})),
            &[
                "spec.dce: ",
                "name the kind of credential, exactly one of: token, accessKey",
            ],
        ),
        row(
            "no system any more",
            without(request(), "spec/dce"),
            &[
                "spec: ",
                "the kind of credential cannot be changed; create another request",
            ],
        ),
        row(
            "another Secret",
            with(request(), "spec/secret/name", json!("other")),
            &["spec.secret.name", "cannot be changed"],
        ),
    ];
    are_refused("refused-request-changes", request(), rows).await;
}

#[tokio::test]
async fn which_system_a_provider_is_cannot_be_changed() {
    let base = with(
        cluster_provider(),
        "metadata/name",
        json!("refused-changes"),
    );
    let rows = vec![
        row(
            "another host",
            with(
                base.clone(),
                "spec/dce/endpoint",
                json!("https://evil.example.com"),
            ),
            &[
                "spec.dce.endpoint: ",
                "cannot be changed; declare a new provider for another system",
            ],
        ),
        row(
            "a path more",
            with(
                base.clone(),
                "spec/dce/endpoint",
                json!("https://dce.example.com/dce"),
            ),
            &["spec.dce.endpoint: ", "cannot be changed"],
        ),
        row(
            "no encryption any more",
            with(
                with(
                    base.clone(),
                    "spec/dce/endpoint",
                    json!("http://dce.example.com"),
                ),
                "spec/dce/allowHTTP",
                json!(true),
            ),
            &["spec.dce.endpoint: ", "cannot be changed"],
        ),
        row(
            "no system any more",
            without(base.clone(), "spec/dce"),
            &[
                "spec: ",
                "the system cannot be changed; declare a new provider",
            ],
        ),
    ];
    are_refused("refused-cluster-changes", base, rows).await;
    let rows = vec![row(
        "another host",
        with(
            provider(),
            "spec/dce/endpoint",
            json!("https://evil.example.com"),
        ),
        &[
            "spec.dce.endpoint: ",
            "cannot be changed; declare a new provider for another system",
        ],
    )];
    are_refused("refused-local-changes", provider(), rows).await;
}

#[tokio::test]
async fn everything_else_can_be_changed() {
    let changes = vec![
        (
            "another life",
            with(request(), "spec/dce/token/cycle", json!(1)),
        ),
        (
            "no life named",
            with(request(), "spec/dce/token", json!({})),
        ),
        ("suspended", with(request(), "spec/suspend", json!(true))),
        (
            "the default name spelled out, and left out again",
            without(request(), "spec/secret"),
        ),
        ("no renewal named", without(request(), "spec/renewal")),
    ];
    pass("accepted-request-changes", request(), changes).await;
    let base = with(
        cluster_provider(),
        "metadata/name",
        json!("accepted-changes"),
    );
    let changes = vec![
        (
            "another login",
            with(
                base.clone(),
                "spec/dce/auth/keyPair/secretRef/name",
                json!("other"),
            ),
        ),
        (
            "another CA",
            with(
                base.clone(),
                "spec/dce/tls/caBundleSecretRef/name",
                json!("other"),
            ),
        ),
        ("no CA", without(base.clone(), "spec/dce/tls")),
        (
            "nobody is allowed anything",
            without(base.clone(), "spec/allow"),
        ),
        ("no budget named", without(base.clone(), "spec/budget")),
    ];
    pass("accepted-provider-changes", base, changes).await;
}
