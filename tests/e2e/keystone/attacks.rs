//! Attacks by tenants who may write more than they should, and what they gain: nothing.

mod forged;
mod owner;

use credential_operator::{api::CredentialRequestStatus, providers::keystone::identity};
use kube::ResourceExt;

use super::{bad_input::derived, *};

fn status(request: &credential_operator::api::CredentialRequest) -> CredentialRequestStatus {
    request.status.clone().unwrap_or_default()
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
    let closed = rig.admin().create_project("closed", &domain).await.unwrap();
    rig.stage.start().await;
    let ask =
        |name: &str, project: Value| rig.request(name, json!({"accessKey": {"project": project}}));
    let other_name = format!("{}-other", rig.project);
    let mut words = Vec::new();
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
        ("no-role-there", json!({"id": closed})),
        ("nowhere", json!({"id": "ffffffffffffffffffffffffffffffff"})),
        (
            "no-such-name",
            json!({"name": "no-such-project", "domainID": domain}),
        ),
        (
            "no-such-domain",
            json!({"name": rig.project, "domainID": "ffffffffffffffffffffffffffffffff"}),
        ),
    ] {
        rig.stage.apply(&ask(name, project)).await;
        words.push(super::bad_input::refused(&rig, name, "NotAllowed").await);
    }
    // What exists and what does not, what can be entered and what cannot: all the same to the team.
    assert!(words[0].contains("none of its grants"), "{words:?}");
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
    assert_eq!(rig.pairs().await, []);
    rig.stage
        .apply(&ask(
            "right",
            json!({"name": rig.project, "domain": "Default"}),
        ))
        .await;
    rig.stage.ready("right").await;
    let pairs = rig.pairs().await;
    assert_eq!(pairs.len(), 1, "{pairs:?}");
    assert_eq!(pairs[0].project_id, rig.project_id);
    rig.finish().await;
}
