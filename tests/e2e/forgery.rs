//! Status and annotations are hints: whoever edits them gains nothing, and they are put right.

use credential_operator::api::{ClusterCredentialProvider, CredentialProvider, CredentialRequest};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use testkit::{
    dce::{DceOptions, DceSimulator},
    wait::eventually,
};

use crate::{
    stage::{SOON, Stage, create, in_conditions, status_of, value},
    tenant::{LOOPBACK, declare, provider, provider_says, tenant},
};

const FAR: &str = "2999-01-01T00:00:00Z";

fn ready_as(status: &str, reason: &str) -> Value {
    json!([{
        "type": "Ready", "status": status, "reason": reason, "message": "says who",
        "observedGeneration": 1, "lastTransitionTime": "2020-01-01T00:00:00Z",
    }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_status_of_a_request_is_put_right_and_changes_nothing() {
    let mut stage = Stage::new("forged-request").await;
    stage.start().await;
    let victim = create::<Secret>(
        &stage.api(),
        json!({"metadata": {"name": "victim"}, "stringData": {"token": "x"}}),
    )
    .await;
    stage.apply(&stage.request("api")).await;
    let good = stage.ready("api").await.status.unwrap();
    let (secret, calls) = (stage.secret("api").await, stage.dce.calls().len());
    let inputs = "dce.token/3//";
    for forged in [
        json!({"secretName": "victim"}),
        json!({"credentials": [{"serial": 77, "id": "somebody-else-s", "owner": "admin", "state": "Current", "issuedAt": FAR, "expiresAt": FAR}]}),
        json!({"credentials": null, "secretName": null, "expiresAt": null}),
        json!({"expiresAt": "2020-01-01T00:00:00Z", "nextAction": "Rotate", "nextActionTime": "2020-01-01T00:00:00Z"}),
        json!({"failure": {"reason": "LoginRefused", "attempts": 9, "lastAttemptTime": FAR, "notBefore": FAR, "inputs": inputs, "message": "m"}}),
        json!({"conditions": ready_as("False", "NotAllowed")}),
        json!({"conditions": null, "observedGeneration": -1, "credential": "keystone.accessKey"}),
        json!(null),
    ] {
        let patch = json!({"status": forged});
        let written = stage
            .requests()
            .patch_status("api", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        assert_ne!(written.status.as_ref(), Some(&good), "{forged}");
        stage
            .until("api", &format!("right again after {forged}"), |request| {
                let mut status = request.status.clone().unwrap_or_default();
                // A condition that was removed or turned over begins anew.
                for (condition, good) in status.conditions.iter_mut().zip(&good.conditions) {
                    condition.last_transition_time = good.last_transition_time.clone();
                }
                status == good
            })
            .await;
    }
    assert_eq!(stage.secret("api").await, secret);
    assert_eq!(stage.secret("victim").await, victim);
    assert_eq!(
        stage.dce.calls().len(),
        calls,
        "the provider was not asked for anything"
    );

    // Nor does a forgery that nobody was there to see.
    stage.stop().await;
    for forged in [
        json!({"status": {"secretName": "victim", "credentials": [{"serial": 77, "state": "Current", "issuedAt": FAR}]}}),
        json!({"status": null}),
    ] {
        stage
            .requests()
            .patch_status("api", &PatchParams::default(), &Patch::Merge(&forged))
            .await
            .unwrap();
        stage.start().await;
        stage.ready("api").await;
        stage.stop().await;
        assert_eq!(stage.secret("api").await, secret);
        assert_eq!(stage.secret("victim").await, victim);
    }
    stage.start().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_status_of_a_provider_opens_nothing_and_is_put_right() {
    let mut stage = Stage::new("forged-provider").await;
    stage.flags.push(LOOPBACK.to_owned());
    stage.start().await;
    let tenant = tenant(&stage).await;
    let theirs = DceSimulator::start(DceOptions::default());
    create::<Secret>(
        &stage.api(),
        json!({"metadata": {"name": "victim"}, "stringData": {"ak": "AK", "sk": "SK"}}),
    )
    .await;
    let thief = declare(
        &stage,
        &tenant,
        &provider("thief", &theirs.endpoint(), "victim"),
    )
    .await
    .unwrap();
    provider_says(&stage, "thief", "False", "NoConsent").await;

    // The tenant himself may not.
    let inputs = format!(
        "{}/{}",
        thief.uid().unwrap(),
        stage.secret("victim").await.resource_version().unwrap()
    );
    let forged = json!({"status": {
        "conditions": ready_as("True", "LoginWorks"),
        "login": {"reason": "LoginWorks", "inputs": inputs, "time": FAR, "attempts": 0},
        "requests": 900,
    }});
    let his: Api<CredentialProvider> = Api::namespaced(tenant.clone(), &stage.team);
    let answer = his
        .patch_status("thief", &PatchParams::default(), &Patch::Merge(&forged))
        .await;
    assert!(matches!(answer, Err(kube::Error::Api(status)) if status.code == 403));
    let mut body = stage.request_of("api", "CredentialProvider", "thief");
    body["metadata"]["annotations"] =
        json!({"credential-operator.dev/login-for": theirs.endpoint()});
    let requests: Api<CredentialRequest> = Api::namespaced(tenant.clone(), &stage.team);
    requests
        .create(
            &PostParams::default(),
            &serde_json::from_value(body).unwrap(),
        )
        .await
        .unwrap();
    stage
        .until("api", "NoConsent", |request| {
            status_of(request, "Ready") == ("False", "NoConsent")
        })
        .await;

    // Somebody may: it gets him nothing.
    stage
        .api::<CredentialProvider>()
        .patch_status("thief", &PatchParams::default(), &Patch::Merge(&forged))
        .await
        .unwrap();
    provider_says(&stage, "thief", "False", "NoConsent").await;
    stage.stop().await;
    stage
        .api::<CredentialProvider>()
        .patch_status("thief", &PatchParams::default(), &Patch::Merge(&forged))
        .await
        .unwrap();
    stage.start().await;
    provider_says(&stage, "thief", "False", "NoConsent").await;
    stage
        .until("api", "NoConsent", |request| {
            status_of(request, "Ready") == ("False", "NoConsent")
        })
        .await;
    assert_eq!(theirs.server().connections(), 0);

    // Of one that works, what people read is put right, too.
    let providers: Api<ClusterCredentialProvider> = Api::all(stage.client.clone());
    for forged in [
        json!({"endpoint": "https://elsewhere.example.com/"}),
        json!({"conditions": ready_as("False", "LoginRefused")}),
        json!({"requests": 900}),
        json!({"login": {"reason": "LoginRefused", "inputs": "x", "time": FAR, "attempts": 9}}),
    ] {
        let good = stage
            .provider_says(SOON, "Ready", ("True", "LoginWorks"))
            .await
            .status
            .unwrap();
        let patch = json!({"status": forged});
        providers
            .patch_status(&stage.team, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
        eventually(SOON, || async {
            let status = stage.live_provider().await.status.unwrap_or_default();
            anyhow::ensure!(
                in_conditions(&status.conditions, "Ready") == ("True", "LoginWorks"),
                "{status:#?}"
            );
            anyhow::ensure!(
                status.endpoint == good.endpoint,
                "{:?} after {forged}",
                status.endpoint
            );
            anyhow::ensure!(
                status.requests == good.requests,
                "{:?} after {forged}",
                status.requests
            );
            anyhow::ensure!(
                status.login == good.login,
                "{:#?} after {forged}",
                status.login
            );
            Ok(())
        })
        .await
        .unwrap();
    }
    assert_eq!(stage.dce.token_requests(), 1, "no login was tested again");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_notes_on_a_secret_are_not_believed_by_a_new_operator() {
    let mut stage = Stage::new("forged-secret").await;
    stage.start().await;
    let notes = |notes: Value| json!({"metadata": {"annotations": notes}});
    let forgeries = [
        // More than can be counted up from.
        (
            "serial",
            notes(json!({"credential-operator.dev/serial": u64::MAX.to_string()})),
        ),
        (
            "serial-signed",
            notes(json!({"credential-operator.dev/serial": i64::MAX.to_string()})),
        ),
        (
            "nonsense",
            notes(
                json!({"credential-operator.dev/serial": "-1", "credential-operator.dev/issued-at": "yesterday"}),
            ),
        ),
        (
            "issued",
            notes(json!({"credential-operator.dev/issued-at": FAR})),
        ),
        (
            "keys",
            notes(json!({"credential-operator.dev/keys": "token,theirs,,/"})),
        ),
        (
            "provider",
            notes(
                json!({"credential-operator.dev/provider": "CredentialProvider/other", "credential-operator.dev/asked": "dce.token/365"}),
            ),
        ),
        ("none", json!({"metadata": {"annotations": null}})),
    ];
    for (name, _) in &forgeries {
        stage.apply(&stage.request(name)).await;
        stage.ready(name).await;
    }
    stage.stop().await;
    for (name, forgery) in &forgeries {
        stage
            .api::<Secret>()
            .patch(name, &PatchParams::default(), &Patch::Merge(forgery))
            .await
            .unwrap();
    }
    stage.start().await;
    let asked = stage.dce.token_requests();
    for (name, _) in &forgeries {
        // Whatever was believed: asked for a new credential, there is one, with a serial as it should be.
        stage
            .annotate(name, "credential-operator.dev/rotate", "now")
            .await;
        stage
            .until(name, "rotated", |request| {
                let status = request.status.clone().unwrap_or_default();
                status.rotated.as_deref() == Some("now")
                    && status_of(request, "Ready") == ("True", "Synced")
            })
            .await;
        let secret = stage.secret(name).await;
        let serial: u64 = secret.annotations()["credential-operator.dev/serial"]
            .parse()
            .unwrap();
        assert!((2..=3).contains(&serial), "{name}: {serial}");
        assert!(stage.dce.is_live(&value(&secret, "token")), "{name}");
        assert_eq!(
            secret.annotations()["credential-operator.dev/keys"],
            "authorization,endpoint,expiry,token",
            "{name}"
        );
    }
    let tokens = stage.dce.token_requests() - asked;
    assert!(tokens <= 2 * forgeries.len() as u64, "{tokens} tokens");
    for (name, _) in &forgeries {
        stage
            .requests()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    stage.finish().await;
}
