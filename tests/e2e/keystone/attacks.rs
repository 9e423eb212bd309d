//! Attacks by tenants who may write more than they should, and what they gain: nothing.

use credential_operator::{api::CredentialRequestStatus, providers::keystone::identity};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};

use super::{bad_input::derived, *};

async fn forge_status(rig: &Rig, name: &str, status: Value) {
    let patch = json!({"status": status});
    rig.stage
        .requests()
        .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

fn status(request: &credential_operator::api::CredentialRequest) -> CredentialRequestStatus {
    request.status.clone().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_victim_s_credential_is_not_revoked_on_the_word_of_status_or_annotation() {
    let mut rig = Rig::new("ks-forged").await;
    rig.stage.start().await;
    let mut attacker = rig.access_key("attacker");
    attacker["spec"]["renewal"] = json!({"overlap": "1s"});
    let mut app = rig.application_credential("attacker-app");
    app["spec"]["renewal"] = json!({"overlap": "1s"});
    for request in [
        rig.access_key("victim"),
        rig.application_credential("victim-app"),
        attacker,
        app,
    ] {
        rig.stage.apply(&request).await;
    }
    for name in ["victim", "victim-app", "attacker", "attacker-app"] {
        rig.stage.ready(name).await;
    }
    let victim = rig.pair("victim").await;
    let victims = [
        status(&rig.stage.requests().get("victim").await.unwrap()).credentials,
        status(&rig.stage.requests().get("victim-app").await.unwrap()).credentials,
    ];
    for (name, victim) in [("attacker", &victims[0]), ("attacker-app", &victims[1])] {
        let own = status(&rig.stage.requests().get(name).await.unwrap()).credentials;
        let mut forged = serde_json::to_value(&victim[0]).unwrap();
        forged["serial"] = json!(1);
        forged["state"] = json!("Retiring");
        forged["revokeAfter"] = json!("2020-01-01T00:00:00Z");
        let mut own = serde_json::to_value(&own[0]).unwrap();
        own["serial"] = json!(2);
        forge_status(&rig, name, json!({"credentials": [own, forged]})).await;
        // And in the Secret, beside what it holds.
        let annotations = json!({
            "credential-operator.dev/credential-id": victim[0].id,
            "credential-operator.dev/owner": victim[0].owner,
        });
        rig.stage
            .api::<Secret>()
            .patch(
                name,
                &PatchParams::default(),
                &Patch::Merge(&json!({"metadata": {"annotations": annotations}})),
            )
            .await
            .unwrap();
        rig.stage
            .annotate(name, "credential-operator.dev/rotate", "1")
            .await;
        rig.stage
            .until(name, "rotated and tidied up", |request| {
                let status = status(request);
                status.rotated.as_deref() == Some("1") && status.credentials.len() == 1
            })
            .await;
        rig.delete(name).await;
        rig.gone(name).await;
    }
    assert!(rig.accepts(&victim).await);
    let left = rig.pairs().await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(Some(&left[0].id), victims[0][0].id.as_ref());
    let left = rig.application_credentials().await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(Some(&left[0].id), victims[1][0].id.as_ref());
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_somebody_made_beforehand_under_the_next_name_is_never_published() {
    let mut rig = Rig::new("ks-beforehand").await;
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["renewal"] = json!({"overlap": "1s"});
    rig.stage.apply(&request).await;
    let created = rig.stage.ready("s3").await;
    // As somebody could who has another credential of the same user.
    let next = identity::access_key(&derived(&rig, &created, 2));
    rig.admin()
        .create_credential(
            &rig.user.id,
            &rig.project_id,
            &next,
            "known-to-the-attacker",
        )
        .await
        .unwrap();
    let known = (next.clone(), "known-to-the-attacker".to_owned());
    assert!(rig.accepts(&known).await);
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "1")
        .await;
    rig.stage
        .until("s3", "rotated and tidied up", |request| {
            let status = status(request);
            status.rotated.as_deref() == Some("1") && status.credentials.len() == 1
        })
        .await;
    let published = rig.pair("s3").await;
    assert_ne!(published.0, next);
    assert!(rig.accepts(&published).await);
    assert!(!rig.accepts(&known).await, "what was left there is gone");
    assert_eq!(rig.pairs().await.len(), 1);
    rig.delete("s3").await;
    rig.gone("s3").await;
    rig.stage.more_secret_values.push(known.1);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_of_the_same_name_in_another_domain_is_another_project() {
    let mut rig = Rig::new("ks-domains").await;
    let domain = rig
        .admin()
        .create_domain(&format!("{}-other", rig.project))
        .await
        .unwrap();
    let twin = rig
        .admin()
        .create_project(&rig.project, &domain)
        .await
        .unwrap();
    rig.cloud.assign_role(&rig.user, &twin, "member").await;
    rig.stage.start().await;
    let ask =
        |name: &str, project: Value| rig.request(name, json!({"accessKey": {"project": project}}));
    let other_name = format!("{}-other", rig.project);
    for (name, project) in [
        (
            "by-domain-id",
            json!({"name": rig.project, "domainID": domain}),
        ),
        (
            "by-domain",
            json!({"name": rig.project, "domain": other_name}),
        ),
        ("by-id", json!({"id": twin})),
    ] {
        rig.stage.apply(&ask(name, project)).await;
        let said = super::bad_input::refused(&rig, name, "NotAllowed").await;
        assert!(said.contains("none of its grants"), "{name}: {said}");
    }
    assert_eq!(rig.pairs().await, []);
    rig.stage
        .apply(&ask(
            "right",
            json!({"name": rig.project, "domain": "Default"}),
        ))
        .await;
    rig.stage.ready("right").await;
    let pairs = rig.pairs().await;
    assert_eq!(pairs[0].project_id, rig.project_id);
    let uid = rig.stage.requests().get("right").await.unwrap().uid();
    assert!(uid.is_some());
    rig.finish().await;
}
