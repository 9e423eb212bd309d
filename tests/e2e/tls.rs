//! TLS to a provider: which certificates are trusted, what is said when they are not, and what is
//! not safe.

use credential_operator::api::ClusterCredentialProvider;
use futures::future::join_all;
use kube::Api;
use serde_json::{Value, json};
use testkit::{
    dce::{DceOptions, DceSimulator},
    tls::{Manner, Server, Subject, self_signed},
    wait::eventually,
};

use crate::stage::{SOON, Stage, in_conditions, message_of, status_of};

/// A way to reach a provider, and what comes of it.
struct Row {
    name: &'static str,
    /// `spec.dce.tls`; none when it is absent.
    tls: Option<Value>,
    endpoint: String,
    ready: (&'static str, &'static str),
    insecure: (&'static str, &'static str),
    words: &'static str,
}

async fn play(stage: &Stage, row: &Row) {
    let provider = format!("{}-{}", stage.team, row.name);
    stage
        .write_login_for(&stage.platform, &provider, &row.endpoint, &stage.login)
        .await;
    let mut declared = stage.provider_at(&provider, &stage.dce);
    declared["spec"]["dce"]["endpoint"] = json!(row.endpoint);
    if let Some(tls) = &row.tls {
        declared["spec"]["dce"]["tls"] = tls.clone();
    }
    stage.apply(&declared).await;
    stage
        .apply(&stage.request_of(row.name, "ClusterCredentialProvider", &provider))
        .await;
    let providers: Api<ClusterCredentialProvider> = Api::all(stage.client.clone());
    eventually(SOON, || async {
        let found = providers.get(&provider).await?;
        let conditions = found.status.unwrap_or_default().conditions;
        let verdict = in_conditions(&conditions, "Ready");
        let reason = if row.ready.0 == "True" {
            "LoginWorks"
        } else {
            row.ready.1
        };
        anyhow::ensure!(
            verdict == (row.ready.0, reason),
            "{}: {conditions:#?}",
            row.name
        );
        anyhow::ensure!(
            in_conditions(&conditions, "Insecure") == row.insecure,
            "{}: {conditions:#?}",
            row.name
        );
        Ok(())
    })
    .await
    .unwrap();
    let request = stage
        .until(row.name, row.ready.1, |request| {
            status_of(request, "Ready") == row.ready
        })
        .await;
    let words = message_of(&request, "Ready");
    assert!(words.contains(row.words), "{}: {words}", row.name);
}

async fn write_ca(stage: &Stage, name: &str, key: &str, pem: &str) {
    stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": stage.platform},
            "stringData": {key: pem},
        }))
        .await;
}

fn trusting(stage: &Stage, name: &str, key: Option<&str>) -> Option<Value> {
    let mut reference = json!({"namespace": stage.platform, "name": name});
    if let Some(key) = key {
        reference["key"] = json!(key);
    }
    Some(json!({"caBundleSecretRef": reference}))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_named_is_trusted_and_what_is_not_safe_is_said() {
    let mut stage = Stage::with(
        "tls",
        DceOptions {
            tls: true,
            ..DceOptions::default()
        },
    )
    .await;
    let stranger = DceSimulator::start(DceOptions {
        tls: true,
        ..DceOptions::default()
    });
    let plain = DceSimulator::start(DceOptions::default());
    let expired = self_signed(&Subject {
        is_authority: true,
        not_after: (2020, 1, 2),
        ..Subject::loopback()
    });
    let elsewhere = self_signed(&Subject {
        is_authority: true,
        ..Subject::named(&["dce.example.com"])
    });
    let pem = stage.dce.ca_pem().expect("a certificate").to_owned();
    let wrong = stranger.ca_pem().expect("a certificate").to_owned();
    write_ca(&stage, "right", "ca.crt", &pem).await;
    write_ca(
        &stage,
        "bundle",
        "all.pem",
        &format!("# ours\n{wrong}\n# theirs\n{pem}"),
    )
    .await;
    write_ca(&stage, "wrong", "ca.crt", &wrong).await;
    let own = stage.dce.server().certificate_pem().expect("a certificate");
    write_ca(&stage, "own", "ca.crt", own).await;
    let marked = format!("\u{feff}{wrong}\u{feff}{pem}");
    write_ca(&stage, "marked", "ca.crt", &marked).await;
    write_ca(&stage, "expired", "ca.crt", &expired.pem()).await;
    write_ca(&stage, "elsewhere", "ca.crt", &elsewhere.pem()).await;
    write_ca(
        &stage,
        "garbage",
        "ca.crt",
        "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
    )
    .await;
    write_ca(&stage, "empty", "ca.crt", "").await;
    stage.start().await;

    let endpoint = stage.dce.endpoint();
    let by_name = endpoint.replace("127.0.0.1", "localhost");
    let good = |name, tls| Row {
        name,
        tls,
        endpoint: endpoint.clone(),
        ready: ("True", "Synced"),
        insecure: ("", ""),
        words: "was proven to work",
    };
    let bad = |name, tls, reason, words| Row {
        name,
        tls,
        endpoint: endpoint.clone(),
        ready: ("False", reason),
        insecure: ("", ""),
        words,
    };
    let expired = Server::start(Manner::Shows(expired)).await;
    let elsewhere = Server::start(Manner::Shows(elsewhere)).await;
    let at = |server: &Server| format!("https://localhost:{}", server.port());
    let untrusted = "the server's certificate comes from an authority that is not trusted; put the authority's certificate, or the server's own, into the Secret of tls.caBundleSecretRef";
    let no_pem = "(tls.caBundleSecretRef.key) of Secret";
    let rows = [
        good("right", trusting(&stage, "right", None)),
        good("bundle", trusting(&stage, "bundle", Some("all.pem"))),
        Row {
            endpoint: by_name,
            ..good("by-name", trusting(&stage, "right", None))
        },
        good("own", trusting(&stage, "own", None)),
        good("marked", trusting(&stage, "marked", None)),
        Row {
            endpoint: at(&expired),
            ..bad(
                "expired",
                trusting(&stage, "expired", None),
                "TLSFailed",
                "expired at 2020-01-02T00:00:00Z; renew it",
            )
        },
        Row {
            endpoint: at(&elsewhere),
            ..bad(
                "elsewhere",
                trusting(&stage, "elsewhere", None),
                "TLSFailed",
                "is not for localhost, but for dce.example.com; use one of these",
            )
        },
        bad("none", None, "TLSFailed", untrusted),
        bad(
            "checked",
            Some(json!({"insecureSkipVerify": false})),
            "TLSFailed",
            untrusted,
        ),
        // All simulators' authorities have the same name.
        bad(
            "wrong",
            trusting(&stage, "wrong", None),
            "TLSFailed",
            "names a trusted authority as its issuer, but another key has signed it",
        ),
        bad(
            "missing",
            trusting(&stage, "missing", None),
            "LoginSecretNotFound",
            "missing with the certificates to trust is not there",
        ),
        bad(
            "no-key",
            trusting(&stage, "bundle", None),
            "LoginKeyNotFound",
            "has no key ca.crt (tls.caBundleSecretRef.key)",
        ),
        bad(
            "garbage",
            trusting(&stage, "garbage", None),
            "CABundleInvalid",
            no_pem,
        ),
        bad(
            "empty",
            trusting(&stage, "empty", None),
            "CABundleInvalid",
            no_pem,
        ),
        Row {
            endpoint: plain.endpoint().replace("http:", "https:"),
            ..bad(
                "no-tls-there",
                None,
                "TLSFailed",
                "does not answer with TLS; perhaps it speaks plain HTTP",
            )
        },
        Row {
            insecure: ("True", "SkipsVerification"),
            ..good("skip", Some(json!({"insecureSkipVerify": true})))
        },
        // The stage's login is none of this simulator's: that it is refused shows that it was reached.
        Row {
            endpoint: plain.endpoint(),
            insecure: ("True", "PlainHTTP"),
            ..bad("plain", None, "LoginRefused", "it is wrong or disabled")
        },
    ];
    join_all(rows.iter().map(|row| play(&stage, row))).await;
    assert_eq!(stranger.calls().len(), 0);

    // What was wrong is mended in the Secret alone.
    write_ca(&stage, "wrong", "ca.crt", &pem).await;
    write_ca(&stage, "missing", "ca.crt", &pem).await;
    write_ca(&stage, "garbage", "ca.crt", &pem).await;
    write_ca(&stage, "bundle", "ca.crt", &pem).await;
    for name in ["wrong", "missing", "garbage", "no-key"] {
        stage.ready(name).await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_exchanged_spares_the_secret_until_its_authority_is_trusted() {
    let mut stage = Stage::with(
        "tls-exchange",
        DceOptions {
            tls: true,
            ..DceOptions::default()
        },
    )
    .await;
    let pem = stage.dce.ca_pem().expect("a certificate").to_owned();
    write_ca(&stage, "ca", "ca.crt", &pem).await;
    let mut provider = stage.provider();
    provider["spec"]["dce"]["tls"] = trusting(&stage, "ca", None).expect("a reference");
    stage.apply(&provider).await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let good = stage.secret("api").await;

    let stranger = DceSimulator::start(DceOptions {
        tls: true,
        ..DceOptions::default()
    });
    write_ca(
        &stage,
        "ca",
        "ca.crt",
        stranger.ca_pem().expect("a certificate"),
    )
    .await;
    eventually(SOON, || async {
        let conditions = stage
            .live_provider()
            .await
            .status
            .unwrap_or_default()
            .conditions;
        let verdict = in_conditions(&conditions, "Ready");
        anyhow::ensure!(verdict == ("False", "TLSFailed"), "{conditions:#?}");
        Ok(())
    })
    .await
    .unwrap();
    stage
        .annotate("api", "credential-operator.dev/rotate", "1")
        .await;
    let failing = stage
        .until("api", "TLSFailed", |request| {
            status_of(request, "RenewalFailing") == ("True", "TLSFailed")
        })
        .await;
    assert_eq!(status_of(&failing, "Ready"), ("True", "Synced"));
    assert_eq!(
        stage.secret("api").await.metadata.resource_version,
        good.metadata.resource_version
    );

    write_ca(&stage, "ca", "ca.crt", &pem).await;
    stage
        .until("api", "renewed", |request| {
            status_of(request, "RenewalFailing").0 == "False"
                && request
                    .status
                    .as_ref()
                    .is_some_and(|status| status.rotated.as_deref() == Some("1"))
        })
        .await;
    assert!(stage.dce.is_live(&stage.token("api").await));
    stage.finish().await;
}
