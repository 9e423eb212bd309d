//! A namespace that is as new as the request in it: what is not known of it grants nothing.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::json;
use testkit::{wait::eventually, wire::Fault};

use crate::stage::{SOON, Stage, create, status_of};

const PASSES: &str = "credential_operator_passes_total{outcome=\"settled\"}";

/// Requests and namespaces come by two watches, of which either may be late.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_for_namespaces_without_a_label_waits_until_the_labels_are_known() {
    let mut stage = Stage::new("new-namespace").await;
    let late = format!("{}-late", stage.team);
    stage.flags.push(format!("--namespaces={late}"));
    let mut provider = stage.provider();
    provider["spec"]["allow"][0]["namespaces"] =
        json!({"matchExpressions": [{"key": "restricted", "operator": "DoesNotExist"}]});
    stage.apply(&provider).await;
    stage.start().await;
    stage.apply(&stage.request("granted")).await;
    stage.ready("granted").await;
    // The status is there before its pass has ended, which must not meet what follows.
    eventually(SOON, || async {
        anyhow::ensure!(stage.metric(PASSES).await.is_some(), "no pass has ended");
        Ok(())
    })
    .await
    .unwrap();

    let held = stage.wire.rule(
        |call| call.label() == "watch namespaces",
        Fault::HoldBefore,
        None,
    );
    stage.wire.cut_connections();
    held.hit(SOON).await.unwrap();
    let (asked, passes) = (
        stage.dce.token_requests(),
        stage.metric(PASSES).await.unwrap(),
    );
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    let restricted = json!({"metadata": {"name": late, "labels": {"restricted": "true"}}});
    create(&namespaces, restricted).await;
    let mut request = stage.request("api");
    request["metadata"]["namespace"] = json!(late);
    stage.apply(&request).await;
    eventually(SOON, || async {
        let now = stage.metric(PASSES).await.unwrap_or_default();
        anyhow::ensure!(now > passes, "no pass has ended");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(stage.dce.token_requests(), asked);

    held.release();
    let requests = Api::namespaced(stage.client.clone(), &late);
    eventually(SOON, || async {
        let request = requests.get("api").await?;
        let verdict = status_of(&request, "Stalled");
        anyhow::ensure!(verdict == ("True", "NotAllowed"), "{verdict:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(stage.dce.token_requests(), asked);
    stage.finish().await;
}
