//! Admission webhooks and policies that refuse or change what the operator writes, for real.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use testkit::wait::eventually;

use crate::stage::{SOON, Stage, is_about_secret, message_of, status_of, value};

/// The namespaces of one story.
fn only_here(stage: &Stage) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": stage.team}})
}

/// A webhook that nobody answers, asked about each write of a Secret.
async fn dead_webhook(stage: &Stage) {
    stage
        .apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": stage.team},
            "webhooks": [{
                "name": "secrets.example.com", "failurePolicy": "Fail", "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "namespaceSelector": only_here(stage),
                "clientConfig": {"url": "https://127.0.0.1:9/x"},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"],
                    "operations": ["CREATE", "UPDATE"],
                }],
            }],
        }))
        .await;
    in_force(stage, |answer| {
        ensure!(answer.is_err(), "the webhook is not asked yet");
        Ok(())
    })
    .await;
}

/// A policy and its binding of the given kinds, for Secrets of the story's namespace.
async fn policy(stage: &Stage, kind: &str, version: &str, operations: &[&str], rules: Value) {
    let api = format!("admissionregistration.k8s.io/{version}");
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": only_here(stage),
            "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"],
                "operations": operations,
            }],
        },
    });
    let mut binding = json!({"policyName": stage.team});
    if kind == "MutatingAdmissionPolicy" {
        spec["reinvocationPolicy"] = json!("Never");
        spec["mutations"] = json!([{
            "patchType": "JSONPatch", "jsonPatch": {"expression": rules},
        }]);
    } else {
        spec["validations"] = rules;
        binding["validationActions"] = json!(["Deny"]);
    }
    let meta = json!({"name": stage.team});
    stage
        .apply(&json!({"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}))
        .await;
    let kind = format!("{kind}Binding");
    stage
        .apply(&json!({"apiVersion": api, "kind": kind, "metadata": meta, "spec": binding}))
        .await;
}

/// Waits until a dry run of an administrator's shows that the cluster acts in a certain way.
async fn in_force(stage: &Stage, check: impl Fn(kube::Result<Secret>) -> Result<()>) {
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let probe: Secret = serde_json::from_value(json!({
        "metadata": {"name": "probe", "labels": {"credential-operator.dev/request-uid": "x"}},
        "stringData": {"token": "probe", "dry-run": "probe"},
    }))
    .expect("a Secret");
    eventually(SOON, || async {
        check(stage.api::<Secret>().create(&params, &probe).await)
    })
    .await
    .expect("the cluster's rule is in force");
}

async fn remove(stage: &Stage, kinds: &[&str], version: &str) {
    for kind in kinds {
        let gvk = kube::core::GroupVersionKind::gvk("admissionregistration.k8s.io", version, kind);
        let resource = kube::core::ApiResource::from_gvk(&gvk);
        let api: kube::Api<kube::api::DynamicObject> =
            kube::Api::all_with(stage.client.clone(), &resource);
        api.delete(&stage.team, &DeleteParams::default())
            .await
            .expect("it is there");
    }
}

fn writes(stage: &Stage, name: &str) -> usize {
    stage
        .wire
        .calls_where(|call| is_about_secret(call, name) && call.is_changing())
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_down_is_named_and_no_expired_token_is_called_ready() {
    let mut stage = Stage::new("dead-webhook").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(45)));
    stage.start().await;
    stage.apply(&stage.request("old")).await;
    stage.ready("old").await;
    dead_webhook(&stage).await;

    stage.apply(&stage.request("new")).await;
    let request = stage
        .until("new", "SecretRefused", |request| {
            status_of(request, "Ready") == ("False", "SecretRefused")
        })
        .await;
    let words = message_of(&request, "Ready");
    assert!(
        words.contains("admission webhook secrets.example.com could not be called"),
        "{words}"
    );
    assert!(!words.contains("127.0.0.1"), "{words}");

    let request = stage
        .within(Duration::from_secs(90), "old", "expired", |request| {
            status_of(request, "Ready") == ("False", "Expired")
        })
        .await;
    let words = message_of(&request, "Ready");
    assert!(words.contains("secrets.example.com"), "{words}");

    // After a restart nothing is issued before a dry run has shown that it can be written.
    stage.kill();
    let issued = stage.dce.token_requests();
    let mark = stage.wire.mark();
    stage.start().await;
    eventually(SOON, || async {
        let calls = stage.wire.since(mark);
        for name in ["old", "new"] {
            let tried = calls.iter().any(|call| {
                is_about_secret(call, name)
                    && call.is_changing()
                    && call
                        .query
                        .as_deref()
                        .is_some_and(|query| query.contains("dryRun=All"))
            });
            ensure!(tried, "{name}: no dry run yet");
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(
        stage.dce.token_requests(),
        issued,
        "one login test at most, and no token for a request"
    );
    stage.dce.grant_at_most(None);
    remove(&stage, &["ValidatingWebhookConfiguration"], "v1").await;
    for name in ["old", "new"] {
        stage
            .annotate(name, "credential-operator.dev/rotate", "now")
            .await;
        stage.ready(name).await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_refuses_is_named_and_its_words_are_not_quoted() {
    let mut stage = Stage::new("deny-policy").await;
    stage.start().await;
    policy(
        &stage,
        "ValidatingAdmissionPolicy",
        "v1",
        &["CREATE", "UPDATE"],
        json!([{
            "expression": "!has(object.data) || !('token' in object.data)",
            "messageExpression": "'it holds ' + string(object.data.token)",
        }]),
    )
    .await;
    in_force(&stage, |answer| {
        ensure!(answer.is_err(), "the policy is not in force yet");
        Ok(())
    })
    .await;
    stage.apply(&stage.request("api")).await;
    let request = stage
        .until("api", "SecretRefused", |request| {
            status_of(request, "Ready") == ("False", "SecretRefused")
        })
        .await;
    let words = message_of(&request, "Ready");
    let named = format!(
        "admission policy {0} with binding {0} denied it",
        stage.team
    );
    assert!(words.contains(&named), "{words}");
    assert!(!words.contains("it holds"), "{words}");
    let kinds = [
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    remove(&stage, &kinds, "v1").await;
    stage
        .annotate("api", "credential-operator.dev/rotate", "now")
        .await;
    stage.ready("api").await;
    stage.finish().await;
}

/// The cluster's own way to change objects while they are written.
async fn mutate(stage: &Stage, operations: &[&str], expression: &str) {
    policy(
        stage,
        "MutatingAdmissionPolicy",
        "v1",
        operations,
        json!(expression),
    )
    .await;
}

async fn stop_mutating(stage: &Stage) {
    let kinds = ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"];
    remove(stage, &kinds, "v1").await;
    in_force(stage, |answer| {
        let token = value(&answer?, "token");
        ensure!(token == "probe", "the policy is still in force");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_cluster_replaces_is_never_called_proven_not_even_after_a_restart() {
    let mut stage = Stage::new("replaced-value").await;
    stage.start().await;
    mutate(
        &stage,
        &["CREATE", "UPDATE"],
        r#"has(object.data) && 'token' in object.data ? [JSONPatch{op: "replace", path: "/data/token", value: "b3RoZXI="}] : []"#,
    )
    .await;
    in_force(&stage, |answer| {
        ensure!(value(&answer?, "token") == "other", "not in force yet");
        Ok(())
    })
    .await;
    stage.apply(&stage.request("api")).await;
    let is_contested = |request: &_| status_of(request, "Ready") == ("False", "TargetContested");
    let request = stage.until("api", "TargetContested", is_contested).await;
    let words = message_of(&request, "Ready");
    assert!(words.contains("the value of token"), "{words}");
    assert!(
        words.contains("kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies"),
        "{words}"
    );
    let issued = stage.dce.token_requests();
    stage.kill();
    let before = writes(&stage, "api");
    let begun = credential_operator::clock::monotonic();
    stage.start().await;
    eventually(SOON, || async {
        let request = stage.requests().get("api").await?;
        ensure!(is_contested(&request), "not contested");
        let failure = request.status.unwrap().write_failure;
        ensure!(
            failure.is_some_and(|failure| failure.attempts >= 4),
            "fewer attempts"
        );
        Ok(())
    })
    .await
    .unwrap();
    let more = writes(&stage, "api") - before;
    assert!(
        more as u64 <= begun.elapsed().as_secs() + 1,
        "{more} writes in {:?}",
        begun.elapsed()
    );
    assert_eq!(stage.dce.token_requests(), issued, "a dry run comes first");

    stop_mutating(&stage).await;
    stage
        .annotate("api", "credential-operator.dev/rotate", "now")
        .await;
    stage.ready("api").await;
    assert!(stage.dce.is_live(&stage.token("api").await));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_the_cluster_removes_costs_no_readiness_and_one_repair_per_back_off() {
    let mut stage = Stage::new("removed-label").await;
    stage.start().await;
    mutate(
        &stage,
        &["CREATE", "UPDATE"],
        r#"has(object.metadata.labels) && 'credential-operator.dev/request-uid' in object.metadata.labels ? [JSONPatch{op: "remove", path: "/metadata/labels/credential-operator.dev~1request-uid"}] : []"#,
    )
    .await;
    in_force(&stage, |answer| {
        ensure!(answer?.labels().is_empty(), "not in force yet");
        Ok(())
    })
    .await;
    stage.apply(&stage.request("api")).await;
    let is_told = |request: &_| {
        status_of(request, "Ready") == ("True", "Synced")
            && status_of(request, "RenewalFailing") == ("True", "TargetAltered")
    };
    let request = stage.until("api", "TargetAltered", is_told).await;
    let words = message_of(&request, "RenewalFailing");
    assert!(
        words.contains("metadata.labels[credential-operator.dev/request-uid]"),
        "{words}"
    );
    let (issued, before) = (stage.dce.token_requests(), writes(&stage, "api"));
    stage.kill();
    let begun = credential_operator::clock::monotonic();
    stage.start().await;
    let request = stage
        .until("api", "attempts after the restart", |request| {
            let failure = request.status.as_ref().unwrap().write_failure.as_ref();
            is_told(request) && failure.is_some_and(|failure| failure.attempts >= 4)
        })
        .await;
    let attempts = request.status.unwrap().write_failure.unwrap().attempts as usize;
    let more = writes(&stage, "api") - before;
    assert!(more <= attempts, "{more} writes, {attempts} attempts");
    assert!(more as u64 <= begun.elapsed().as_secs() + 1);
    assert_eq!(stage.dce.token_requests(), issued);

    // A rotation is carried out all the same.
    let token = stage.token("api").await;
    stage
        .annotate("api", "credential-operator.dev/rotate", "now")
        .await;
    eventually(SOON, || async {
        ensure!(stage.token("api").await != token, "not rotated");
        Ok(())
    })
    .await
    .unwrap();

    stop_mutating(&stage).await;
    stage
        .annotate("api", "credential-operator.dev/rotate", "again")
        .await;
    stage
        .until("api", "well", |request| {
            status_of(request, "Ready") == ("True", "Synced")
                && status_of(request, "RenewalFailing").0 == "False"
        })
        .await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_that_the_cluster_changes_is_not_believed_after_a_restart() {
    let mut stage = Stage::new("later-expiry").await;
    stage.dce.grant_at_most(Some(Duration::from_secs(40)));
    stage.start().await;
    mutate(
        &stage,
        &["CREATE", "UPDATE"],
        r#"has(object.metadata.annotations) && 'credential-operator.dev/expires-at' in object.metadata.annotations ? [JSONPatch{op: "replace", path: "/metadata/annotations/credential-operator.dev~1expires-at", value: "2099-01-01T00:00:00Z"}] : [JSONPatch{op: "add", path: "/metadata/labels/probed", value: "yes"}]"#,
    )
    .await;
    in_force(&stage, |answer| {
        ensure!(answer?.labels().contains_key("probed"), "not in force yet");
        Ok(())
    })
    .await;
    stage.apply(&stage.request("api")).await;
    let is_told = |request: &_| {
        status_of(request, "Ready").0 == "True"
            && status_of(request, "RenewalFailing") == ("True", "TargetAltered")
    };
    let request = stage.until("api", "TargetAltered", is_told).await;
    let expires_at = request.status.unwrap().expires_at;
    stage.kill();
    stage.dce.down(true);
    stage.start().await;
    let request = stage
        .within(Duration::from_secs(90), "api", "expired", |request| {
            status_of(request, "Ready").0 == "False"
        })
        .await;
    assert_eq!(request.status.as_ref().unwrap().expires_at, expires_at);
    stage.dce.down(false);
    stop_mutating(&stage).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_cluster_marks_immutable_stays_ready_and_says_so() {
    let mut stage = Stage::new("made-immutable").await;
    stage.start().await;
    mutate(
        &stage,
        &["CREATE"],
        r#"[JSONPatch{op: "add", path: "/immutable", value: true}]"#,
    )
    .await;
    in_force(&stage, |answer| {
        ensure!(answer?.immutable == Some(true), "not in force yet");
        Ok(())
    })
    .await;
    stage.apply(&stage.request("api")).await;
    let request = stage.ready("api").await;
    let words = message_of(&request, "Ready");
    assert!(words.contains("is marked immutable"), "{words}");
    stage.kill();
    stage.start().await;
    stage.apply(&stage.request("other")).await;
    stage.ready("other").await;
    let request = stage.requests().get("api").await.unwrap();
    assert!(message_of(&request, "Ready").contains("is marked immutable"));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_by_others_is_no_difference() {
    let mut stage = Stage::new("added-label").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    let patch = json!({"metadata": {"labels": {"team": "a"}}, "stringData": {"more": "theirs"}});
    stage
        .api::<Secret>()
        .patch("api", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let before = writes(&stage, "api");
    stage
        .annotate("api", "credential-operator.dev/rotate", "now")
        .await;
    eventually(SOON, || async {
        ensure!(writes(&stage, "api") > before, "not rotated");
        Ok(())
    })
    .await
    .unwrap();
    let request = stage.ready("api").await;
    assert_eq!(status_of(&request, "RenewalFailing").0, "False");
    assert_eq!(writes(&stage, "api"), before + 1);
    stage.finish().await;
}

/// Refuses each change of the story's Secrets, and each further one, by a policy of the team's name.
pub(super) async fn deny_writes(stage: &Stage) {
    policy(
        stage,
        "ValidatingAdmissionPolicy",
        "v1",
        &["CREATE", "UPDATE"],
        json!([{"expression": "false"}]),
    )
    .await;
    in_force(stage, |answer| {
        ensure!(answer.is_err(), "the policy is not in force yet");
        Ok(())
    })
    .await;
}

/// Ends that.
pub(super) async fn stop_denying(stage: &Stage) {
    let kinds = [
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    remove(stage, &kinds, "v1").await;
    in_force(stage, |answer| answer.map(drop).map_err(Into::into)).await;
}
