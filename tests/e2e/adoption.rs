//! A Secret that was there before is taken over when its owner consents, by an annotation on it.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::json;
use testkit::wait::eventually;

use crate::{
    foreign::{controller, merge, secret, stalled, with},
    stage::{SOON, Stage, create, is_about_secret, message_of, value},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_taken_over_when_it_says_so_itself() {
    let mut stage = Stage::new("adoption").await;
    stage.start().await;
    create::<Secret>(&stage.api(), secret("api")).await;
    stage.apply(&stage.request("api")).await;
    stalled(&stage, "api", "TargetNotOwned").await;
    let asked = stage.dce.token_requests();

    // Consent to somebody else is none.
    let consent = |name: &str| json!({"metadata": {"annotations": {"credential-operator.dev/adopt-by": name}}});
    let theirs = merge(&stage, "api", consent("other")).await.unwrap();
    looked_at(&stage, "api", &theirs).await;
    stalled(&stage, "api", "TargetNotOwned").await;
    assert_eq!(stage.secret("api").await, theirs);

    merge(&stage, "api", consent("api")).await.unwrap();
    let request = stage.ready("api").await;
    let adopted = stage.secret("api").await;
    assert!(stage.dce.is_live(&value(&adopted, "token")));
    assert_eq!(
        value(&adopted, "other"),
        "value",
        "a key that the operator does not write"
    );
    assert_eq!(
        (
            adopted.labels()["theirs"].as_str(),
            adopted.annotations()["theirs"].as_str()
        ),
        ("yes", "too")
    );
    assert_eq!(adopted.owner_references()[0].uid, request.uid().unwrap());
    assert_eq!(adopted.uid(), theirs.uid(), "it is the same object");
    assert_eq!(
        stage.dce.token_requests(),
        asked,
        "the token that waited was published"
    );

    stage
        .requests()
        .delete("api", &DeleteParams::default())
        .await
        .unwrap();
    stage.gone::<Secret>("api").await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_takes_nothing_from_another_controller_and_writes_nothing_immutable() {
    let mut stage = Stage::new("no-adoption").await;
    stage.start().await;
    let keeper: ConfigMap = create(&stage.api(), json!({"metadata": {"name": "keeper"}})).await;
    let consenting = |name: &str| {
        with(
            secret(name),
            "/metadata/annotations",
            json!({"credential-operator.dev/adopt-by": name}),
        )
    };
    let owned = with(
        consenting("owned"),
        "/metadata/ownerReferences",
        controller("v1", "ConfigMap", "keeper", &keeper.uid().unwrap()),
    );
    let immutable = with(consenting("immutable"), "/immutable", json!(true));
    for (name, body, words) in [
        ("owned", owned, "belongs to ConfigMap keeper"),
        ("immutable", immutable, "marked immutable; delete it"),
    ] {
        let before = create::<Secret>(&stage.api(), body).await;
        stage.apply(&stage.request(name)).await;
        stalled(&stage, name, "TargetNotOwned").await;
        let request = stage.requests().get(name).await.unwrap();
        assert!(
            message_of(&request, "Ready").contains(words),
            "{}",
            message_of(&request, "Ready")
        );
        assert_eq!(stage.secret(name).await.data, before.data);
        assert_eq!(
            stage.secret(name).await.resource_version(),
            before.resource_version(),
            "{name}"
        );
    }
    stage.finish().await;
}

/// Waits until the operator has looked at a Secret in this version or a later one.
async fn looked_at(stage: &Stage, name: &str, secret: &Secret) {
    let mark = stage.wire.mark();
    // Touching the request makes sure that there is a look after the mark, too.
    stage
        .annotate(
            name,
            "example.com/nudge",
            &secret.resource_version().unwrap(),
        )
        .await;
    eventually(SOON, || async {
        let looks = stage.wire.since(mark).iter().any(|call| {
            call.label() == "get secrets" && is_about_secret(call, name) && call.finished.is_some()
        });
        anyhow::ensure!(looks, "no look at {name} yet");
        Ok(())
    })
    .await
    .unwrap();
}
