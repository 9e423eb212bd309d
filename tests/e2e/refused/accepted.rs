//! Good objects: they are stored as they were sent. A field that the API server added to a spec
//! would be a difference that a GitOps tool shows for ever.

use serde_json::{Value, json};

use super::{Sender, cluster_provider, provider, request, with, without};

pub(super) async fn come_back_unchanged(namespace: &str, objects: Vec<Value>) {
    let sender = Sender::new(namespace).await;
    for (number, object) in objects.into_iter().enumerate() {
        let object = with(
            object,
            "metadata/name",
            json!(format!("{namespace}-{number}")),
        );
        let stored = sender
            .create(&object)
            .await
            .unwrap_or_else(|words| panic!("{object}: {words}"));
        assert_eq!(stored["spec"], object["spec"]);
        assert_eq!(
            stored["status"],
            json!({"observedGeneration": -1}),
            "no tool takes it for finished"
        );
    }
}

#[tokio::test]
async fn good_requests_come_back_as_they_were_sent() {
    let minimal = without(without(request(), "spec/secret"), "spec/renewal");
    let mut objects = vec![
        request(),
        with(minimal.clone(), "spec/dce", json!({"token": {}})),
        with(minimal.clone(), "spec/secret", json!({})),
        with(minimal.clone(), "spec/renewal", json!({})),
        with(minimal.clone(), "spec/suspend", json!(false)),
        with(minimal.clone(), "spec/suspend", json!(true)),
        with(
            minimal.clone(),
            "spec/providerRef",
            json!({"kind": "CredentialProvider", "name": "dce.prod-1"}),
        ),
        minimal,
    ];
    for days in [1, 365] {
        objects.push(with(request(), "spec/dce/token/cycle", json!(days)));
    }
    let longest = format!("{}.{}", "a".repeat(126), "b".repeat(126));
    for name in ["a", "0", "a-b.c-d", "1.2.3", &longest] {
        objects.push(with(request(), "spec/secret/name", json!(name)));
    }
    for text in [
        "250ms",
        "90s",
        "15m",
        "720h",
        "1h30m",
        "1h30m15s",
        "1.5h",
        "0.5s",
        "0h5m",
        "1m0s",
        "999999999h",
    ] {
        objects.push(with(
            request(),
            "spec/renewal",
            json!({"renewBefore": text, "rotateEvery": text}),
        ));
    }
    come_back_unchanged("accepted-requests", objects).await;
}

#[tokio::test]
async fn good_providers_come_back_as_they_were_sent() {
    let mut objects = vec![
        provider(),
        without(provider(), "spec/allow"),
        with(provider(), "spec/allow", json!([])),
        with(provider(), "spec/dce/tls", json!({})),
        with(
            provider(),
            "spec/dce/tls",
            json!({"insecureSkipVerify": true}),
        ),
        with(provider(), "spec/dce/tls/insecureSkipVerify", json!(false)),
        with(provider(), "spec/budget", json!({})),
        with(
            with(
                provider(),
                "spec/dce/endpoint",
                json!("http://dce.example.com"),
            ),
            "spec/dce/allowHTTP",
            json!(true),
        ),
        cluster_provider(),
        without(cluster_provider(), "spec/dce/tls"),
        with(cluster_provider(), "spec/allow/0/namespaces", json!({})),
        with(
            cluster_provider(),
            "spec/allow",
            json!(vec![cluster_provider()["spec"]["allow"][0].clone(); 64]),
        ),
        with(
            cluster_provider(),
            "spec/budget",
            json!({"requestsPerSecond": 1, "concurrency": 1}),
        ),
        with(
            cluster_provider(),
            "spec/budget",
            json!({"requestsPerSecond": 10_000, "concurrency": 256}),
        ),
    ];
    for expression in [
        json!({"key": "team", "operator": "In", "values": ["a", "b"]}),
        json!({"key": "team", "operator": "NotIn", "values": ["a"]}),
        json!({"key": "example.com/team", "operator": "Exists"}),
        json!({"key": "team", "operator": "DoesNotExist", "values": []}),
    ] {
        objects.push(with(
            cluster_provider(),
            "spec/allow/0/namespaces",
            json!({"matchExpressions": [expression]}),
        ));
    }
    let longest = format!("https://dce.example.com/{}", "a".repeat(1000));
    for endpoint in [
        "https://dce.example.com/",
        "https://dce.example.com:8443/dce/",
        "https://10.0.0.1",
        "https://[2001:db8::1]:443/x",
        "https://dce",
        "https://DCE.example.com",
        "https://dce.example.com:65535",
        "https://dce.example.com./a-b_c.d~e/f",
        "https://xn--dc-dja.example.com",
        "https://dce_1.internal",
        &longest,
    ] {
        objects.push(with(provider(), "spec/dce/endpoint", json!(endpoint)));
    }
    come_back_unchanged("accepted-providers", objects).await;
}

#[tokio::test]
async fn null_is_the_same_as_nothing() {
    let sender = Sender::new("accepted-null").await;
    for (sent, expected) in [
        (
            with(request(), "spec/dce/token/cycle", Value::Null),
            with(request(), "spec/dce/token", json!({})),
        ),
        (with(request(), "spec/suspend", Value::Null), request()),
        (
            with(request(), "spec/secret/name", Value::Null),
            with(request(), "spec/secret", json!({})),
        ),
        (
            with(request(), "spec/renewal", Value::Null),
            without(request(), "spec/renewal"),
        ),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, (sent, expected))| {
        (
            with(sent, "metadata/name", json!(format!("null-{number}"))),
            expected,
        )
    }) {
        let stored = sender
            .create(&sent)
            .await
            .unwrap_or_else(|words| panic!("{sent}: {words}"));
        assert_eq!(stored["spec"], expected["spec"]);
    }
}
