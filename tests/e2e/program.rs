//! The program: what it prints, how it begins and ends, and what it says of itself.

mod command_line;

use std::{
    process::{Command, Output, Stdio},
    time::Duration,
};

use credential_operator::metrics::REFERENCE;
use serde_json::json;
use testkit::{control_plane::write_kubeconfig, dce::TOKEN, server, wait::eventually, wire};

use crate::stage::{SOON, Stage, status_of, value};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_credential-operator"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs the program to its end, which must come by itself.
fn ended(command: &mut Command) -> Output {
    command.output().expect("the program runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An answer of the operator's own server: its status, its type, its body.
async fn ask(stage: &Stage, path: &str) -> anyhow::Result<(u16, String, String)> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client
        .get(format!("http://{}{path}", stage.address()))
        .send()
        .await?;
    let kind = answer
        .headers()
        .get("content-type")
        .map(|value| value.to_str().map(str::to_owned))
        .transpose()?;
    Ok((
        answer.status().as_u16(),
        kind.unwrap_or_default(),
        answer.text().await?,
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_operator_at_the_same_port_says_so_and_leaves_the_first_alone() {
    let mut stage = Stage::new("same-port").await;
    stage.start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let kubeconfig = directory.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig, stage.wire.url(), None, "none").expect("a kubeconfig");
    let listen = format!("--listen={}", stage.address());
    let output = ended(
        program()
            .args(["run", &listen])
            .env("KUBECONFIG", &kubeconfig),
    );
    assert!(!output.status.success());
    let words = said(&output);
    assert!(
        words.contains(&format!("--listen {}: cannot be bound", stage.address())),
        "{words}"
    );
    assert!(words.contains("in use"), "{words}");
    assert_eq!(ask(&stage, "/readyz").await.expect("an answer").0, 200);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_says_what_is_pending_and_livez_does_not_care() {
    let mut stage = Stage::new("pending").await;
    let held = stage.wire.rule(
        |call| call.label() == "list credentialrequests",
        wire::Fault::HoldBefore,
        None,
    );
    stage.start_unready().await;
    held.hit(SOON).await.expect("the requests are listed");
    eventually(SOON, || async {
        let (status, _, words) = ask(&stage, "/readyz").await?;
        anyhow::ensure!(status == 503, "{status} {words}");
        anyhow::ensure!(
            words
                == format!(
                    "waiting for the first list of: credentialrequests in {}\n",
                    stage.team
                ),
            "{words}"
        );
        Ok(())
    })
    .await
    .unwrap();
    let (status, _, words) = ask(&stage, "/livez").await.expect("an answer");
    assert_eq!((status, words.as_str()), (200, "ok\n"));
    held.release();
    stage.wire.clear_rules();
    eventually(SOON, || async {
        let (status, _, words) = ask(&stage, "/readyz").await?;
        anyhow::ensure!(
            (status, words.as_str()) == (200, "ok\n"),
            "{status} {words}"
        );
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(ask(&stage, "/nothing").await.expect("an answer").0, 404);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_before_the_login_for_the_api_server_is_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let kubeconfig = directory.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig, "http://127.0.0.1:9", None, "none").expect("a kubeconfig");
    let text = std::fs::read_to_string(&kubeconfig).expect("a kubeconfig");
    let mut config: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
    // A login by a command that takes longer than any probe.
    config["users"][0]["user"] = json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sleep", "args": ["600"],
        "interactiveMode": "Never",
    }});
    std::fs::write(&kubeconfig, config.to_string()).expect("a kubeconfig");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let mut operator = program()
        .args(["run", &format!("--listen={address}")])
        .env("KUBECONFIG", &kubeconfig)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stderr(Stdio::null())
        .spawn()
        .expect("the operator starts");
    let asked = eventually(Duration::from_secs(30), || async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(format!("http://{address}/livez")).send().await?;
        anyhow::ensure!(answer.status() == 200, "{}", answer.status());
        let answer = client
            .get(format!("http://{address}/readyz"))
            .send()
            .await?;
        anyhow::ensure!(answer.status() == 503, "{}", answer.status());
        Ok(())
    });
    let asked = asked.await;
    operator.kill().expect("it still runs");
    operator.wait().expect("it ends");
    asked.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_not_there_yet_is_waited_for() {
    let mut stage = Stage::new("no-api").await;
    stage.apply(&stage.request("api")).await;
    stage.wire.set_down(true);
    stage.start_unready().await;
    eventually(SOON, || async {
        let (status, _, words) = ask(&stage, "/readyz").await?;
        anyhow::ensure!(status == 503 && words.contains("lease"), "{status} {words}");
        anyhow::ensure!(
            stage.logs().contains("it is tried again"),
            "it has not tried yet"
        );
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(
        ask(&stage, "/livez").await.expect("an answer").0,
        200,
        "a restart would not help"
    );
    stage.wire.set_down(false);
    eventually(Duration::from_secs(40), || async {
        let (status, _, words) = ask(&stage, "/readyz").await?;
        anyhow::ensure!(status == 200, "{status} {words}");
        Ok(())
    })
    .await
    .unwrap();
    stage.ready("api").await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_metric_is_there_after_a_success_and_a_failure() {
    let mut stage = Stage::new("metrics").await;
    // Events are refused, so that some are lost.
    let refused = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403});
    stage.wire.rule(
        |call| call.is_changing() && call.label().ends_with("events"),
        wire::Fault::Reply(wire::ResponseParts::json(403, &refused)),
        None,
    );
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let lost = "credential_operator_lost_events_total";
    eventually(SOON, || async {
        anyhow::ensure!(stage.metric(lost).await.is_some(), "no event is counted");
        Ok(())
    })
    .await
    .unwrap();
    stage
        .dce
        .faults()
        .set(TOKEN, server::Fault::status(500, "text/plain", "no"));
    stage
        .annotate("api", "credential-operator.dev/rotate", "1")
        .await;
    stage
        .until("api", "RenewalFailing", |request| {
            status_of(request, "RenewalFailing").0 == "True"
        })
        .await;
    let (status, kind, text) = ask(&stage, "/metrics").await.expect("an answer");
    assert_eq!(
        (status, kind.as_str()),
        (
            200,
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        )
    );
    assert!(text.ends_with("# EOF\n"), "OpenMetrics ends with EOF");
    for (name, kind, help) in REFERENCE {
        let family = if *kind == "counter" {
            name.trim_end_matches("_total")
        } else {
            name
        };
        assert!(
            text.contains(&format!("# TYPE {family} {kind}\n")),
            "{name} in\n{text}"
        );
        assert!(
            text.contains(&format!("# HELP {family} {}", help.trim_end_matches('.'))),
            "{name} in\n{text}"
        );
        let sample = text
            .lines()
            .any(|line| line.starts_with(name) && !line.starts_with('#'));
        assert!(sample, "{name} has no value in\n{text}");
    }
    let provider = format!("provider=\"ClusterCredentialProvider {}\"", stage.team);
    let count = async |prefix: &str| {
        stage
            .metric(prefix)
            .await
            .unwrap_or_else(|| panic!("{prefix} in\n{text}"))
    };
    let calls = "credential_operator_provider_calls_total";
    assert_eq!(
        count(&format!(
            "{calls}{{{provider},operation=\"login\",outcome=\"Success\"}}"
        ))
        .await,
        1.0
    );
    assert_eq!(
        count(&format!(
            "{calls}{{{provider},operation=\"issue\",outcome=\"Success\"}}"
        ))
        .await,
        1.0
    );
    assert_eq!(
        count(&format!(
            "{calls}{{{provider},operation=\"verify\",outcome=\"Success\"}}"
        ))
        .await,
        1.0
    );
    assert!(
        count(&format!(
            "{calls}{{{provider},operation=\"issue\",outcome=\"ProviderUnavailable\"}}"
        ))
        .await
            >= 1.0
    );
    assert!(
        count("credential_operator_failures_total{reason=\"ProviderUnavailable\"}").await >= 1.0
    );
    assert_eq!(
        count(&format!(
            "credential_operator_provider_requests{{{provider}}}"
        ))
        .await,
        1.0
    );
    let left = count(&format!(
        "credential_operator_seconds_to_expiry{{{provider}}}"
    ))
    .await;
    assert!(
        (3.0 * 86_400.0 - 120.0..=3.0 * 86_400.0).contains(&left),
        "{left}"
    );
    stage.finish().await;
}

/// The operator, while its provider hangs in a call.
async fn hanging(name: &str) -> Stage {
    let mut stage = Stage::new(name).await;
    stage.start().await;
    stage.apply(&stage.request("first")).await;
    stage.ready("first").await;
    stage.dce.faults().set(TOKEN, server::Fault::Hang);
    let before = stage.dce.token_requests();
    stage.apply(&stage.request("hanging")).await;
    eventually(SOON, || async {
        anyhow::ensure!(
            stage.dce.token_requests() > before,
            "the provider was not asked yet"
        );
        Ok(())
    })
    .await
    .unwrap();
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_within_ten_seconds_while_provider_and_api_server_hang() {
    let mut stage = hanging("sigterm").await;
    let held = stage.wire.rule(
        |call| call.label() == "patch secrets",
        wire::Fault::HoldBefore,
        None,
    );
    let damage = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "first", "namespace": stage.team},
        "stringData": {"endpoint": "elsewhere"},
    });
    stage.apply(&damage).await;
    held.hit(SOON)
        .await
        .expect("the Secret is about to be repaired");
    let took = stage.end_by("-TERM").await;
    assert!(took < Duration::from_secs(10), "it took {took:?}");

    // What was given up is taken up.
    stage.wire.clear_rules();
    stage.dce.faults().clear();
    stage.start().await;
    stage.ready("hanging").await;
    eventually(SOON, || async {
        let secret = stage.secret("first").await;
        anyhow::ensure!(
            value(&secret, "endpoint") == stage.dce.endpoint(),
            "not repaired yet"
        );
        Ok(())
    })
    .await
    .unwrap();
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_ends_it_as_well_and_a_provider_that_hangs_is_not_waited_for() {
    let mut stage = hanging("sigint").await;
    let took = stage.end_by("-INT").await;
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    stage.dce.faults().clear();
    stage.start().await;
    stage.ready("hanging").await;
    stage.finish().await;
}
