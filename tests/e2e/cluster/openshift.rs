//! A cluster whose API server lets only who may delete an object change its owners, as OpenShift's
//! does.

use std::sync::OnceLock;

use k8s_openapi::api::core::v1::Secret;
use kube::{ResourceExt, api::DeleteParams};
use serde_json::json;
use testkit::{
    control_plane::{ControlPlane, Options},
    dce::DceOptions,
    wait::eventually,
};

use crate::stage::{SOON, Stage, create, message_of, options, repository, status_of, value};

/// The control plane of the stories of this file.
fn enforcing() -> &'static ControlPlane {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    PLANE.get_or_init(|| {
        let options = Options {
            admission_plugins: vec!["OwnerReferencesPermissionEnforcement".into()],
            ..options()
        };
        ControlPlane::start(options).expect("a control plane")
    })
}

async fn stage(name: &str) -> Stage {
    Stage::on(enforcing(), name, DceOptions::default()).await
}

/// Gives the story's operator what the overlay for OpenShift gives.
async fn give_overlay(stage: &Stage) {
    let path = repository("deploy/overlays/openshift/rbac.yaml");
    let yaml = std::fs::read_to_string(path).expect("the overlay");
    for document in yaml.split("\n---\n") {
        let mut object: serde_json::Value = serde_saphyr::from_str(document).expect("YAML");
        object["metadata"]["name"] = json!(format!("{}-owners", stage.team));
        if object["subjects"].is_array() {
            object["roleRef"]["name"] = object["metadata"]["name"].clone();
            object["subjects"] = json!([
                {"kind": "ServiceAccount", "name": "operator", "namespace": stage.platform},
            ]);
        }
        stage.apply(&object).await;
    }
}

async fn adoptable(stage: &Stage, name: &str) {
    let consent = json!({"credential-operator.dev/adopt-by": name});
    create::<Secret>(
        &stage.api(),
        json!({"metadata": {"name": name, "annotations": consent}, "stringData": {"theirs": "kept"}}),
    )
    .await;
}

/// What each of both ways to install begins with: a Secret is made, renewed and goes with its request.
async fn creating_works(stage: &Stage) {
    stage.apply(&stage.request("made")).await;
    stage.ready("made").await;
    let version = stage.secret("made").await.resource_version();
    stage
        .annotate("made", "credential-operator.dev/rotate", "now")
        .await;
    eventually(SOON, || async {
        let now = stage.secret("made").await.resource_version();
        anyhow::ensure!(now != version, "not rotated");
        Ok(())
    })
    .await
    .unwrap();
    stage
        .requests()
        .delete("made", &DeleteParams::default())
        .await
        .unwrap();
    stage.gone::<Secret>("made").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_delete_a_secret_is_taken_over_without_an_owner_and_that_is_said() {
    let mut stage = stage("openshift-base").await;
    stage.start().await;
    creating_works(&stage).await;

    adoptable(&stage, "old").await;
    stage.apply(&stage.request("old")).await;
    let request = stage.ready("old").await;
    let words = message_of(&request, "Ready");
    assert!(
        words.contains("stays when the request is deleted"),
        "{words}"
    );
    let secret = stage.secret("old").await;
    assert!(secret.owner_references().is_empty());
    assert_eq!(value(&secret, "theirs"), "kept");

    // The same after a restart, without a further write.
    stage.kill();
    let version = secret.resource_version();
    stage.start().await;
    stage.apply(&stage.request("other")).await;
    stage.ready("other").await;
    let request = stage.requests().get("old").await.unwrap();
    assert!(message_of(&request, "Ready").contains("stays when the request is deleted"));
    assert_eq!(stage.secret("old").await.resource_version(), version);
    stage
        .annotate("old", "credential-operator.dev/rotate", "now")
        .await;
    eventually(SOON, || async {
        let secret = stage.secret("old").await;
        anyhow::ensure!(secret.resource_version() != version, "not rotated");
        anyhow::ensure!(stage.dce.is_live(&value(&secret, "token")), "it works");
        Ok(())
    })
    .await
    .unwrap();

    // An owner reference that was made cannot be taken away: the message says what is missing.
    stage
        .change("other", json!({"spec": {"deletionPolicy": "Retain"}}))
        .await;
    let request = stage
        .until("other", "SecretRefused", |request| {
            status_of(request, "RenewalFailing") == ("True", "SecretRefused")
        })
        .await;
    let words = message_of(&request, "RenewalFailing");
    assert!(words.contains("deploy/overlays/openshift"), "{words}");
    assert_eq!(status_of(&request, "Ready").0, "True");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_overlay_a_secret_is_taken_over_with_its_owner_and_can_be_retained() {
    let mut stage = stage("openshift-overlay").await;
    give_overlay(&stage).await;
    stage.start().await;
    creating_works(&stage).await;

    adoptable(&stage, "old").await;
    stage.apply(&stage.request("old")).await;
    let request = stage.ready("old").await;
    let secret = stage.secret("old").await;
    assert_eq!(secret.owner_references()[0].uid, request.uid().unwrap());

    stage
        .change("old", json!({"spec": {"deletionPolicy": "Retain"}}))
        .await;
    eventually(SOON, || async {
        let secret = stage.secret("old").await;
        anyhow::ensure!(secret.owner_references().is_empty(), "still owned");
        Ok(())
    })
    .await
    .unwrap();
    stage
        .requests()
        .delete("old", &DeleteParams::default())
        .await
        .unwrap();
    stage
        .gone::<credential_operator::api::CredentialRequest>("old")
        .await;
    assert!(stage.dce.is_live(&stage.token("old").await));
    stage.finish().await;
}

#[test]
fn the_overlay_is_the_base_and_the_right_to_delete_secrets() {
    let rendered = |path: &str| {
        let output = enforcing()
            .kubectl()
            .args(["kustomize", repository(path).to_str().expect("a path")])
            .output()
            .expect("kubectl runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).expect("text");
        let mut documents: Vec<String> = text.split("\n---\n").map(|it| it.trim().into()).collect();
        documents.sort();
        documents
    };
    let (base, overlay) = (
        rendered("deploy/base"),
        rendered("deploy/overlays/openshift"),
    );
    let more: Vec<_> = overlay.iter().filter(|it| !base.contains(it)).collect();
    assert_eq!(more.len(), 2, "{more:?}");
    assert_eq!(overlay.len(), base.len() + 2);
    assert!(
        more.iter()
            .any(|it| it.contains("- delete") && it.contains("- secrets"))
    );
}
