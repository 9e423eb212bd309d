//! What becomes of a Secret when its request, or the whole namespace, is deleted.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PropagationPolicy},
};
use serde_json::{Value, json};
use testkit::{
    dce::TOKEN,
    server::Fault as ProviderFault,
    wait::eventually,
    wire::{Fault, Mark},
};

use crate::stage::{SOON, Stage, create, is_about_secret, status_of, value};

async fn delete(stage: &Stage, name: &str) {
    stage
        .requests()
        .delete(name, &DeleteParams::background())
        .await
        .expect("it is there");
}

/// The operator's writes of a Secret since then.
fn writes(stage: &Stage, since: Mark, name: &str) -> Vec<String> {
    let calls = stage.wire.since(since);
    let writes = calls
        .iter()
        .filter(|call| call.is_changing() && is_about_secret(call, name));
    writes.map(|call| call.label()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_with_its_request_whether_the_provider_is_up_or_down() {
    let mut stage = Stage::new("delete").await;
    stage.start().await;
    for name in ["up", "down", "other"] {
        stage.apply(&stage.request(name)).await;
        stage.ready(name).await;
    }
    let (mark, asked) = (stage.wire.mark(), stage.dce.token_requests());
    delete(&stage, "up").await;
    stage.gone::<Secret>("up").await;
    stage.dce.down(true);
    delete(&stage, "down").await;
    stage.gone::<Secret>("down").await;
    stage.dce.down(false);

    stage.apply(&stage.request("meanwhile")).await;
    stage.ready("meanwhile").await;
    for name in ["up", "down"] {
        assert_eq!(writes(&stage, mark, name), Vec::<String>::new(), "{name}");
        assert!(
            stage.requests().get_opt(name).await.unwrap().is_none(),
            "{name}: nothing holds it"
        );
    }
    assert_eq!(
        stage.dce.token_requests(),
        asked + 1,
        "a token for the new request alone"
    );
    assert!(stage.dce.is_live(&stage.token("other").await));
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_deleted_while_the_provider_thinks_leaves_no_secret_behind() {
    const PASSES: &str = "credential_operator_passes_total{outcome=\"settled\"}";
    let mut stage = Stage::new("delete-thinking").await;
    stage.start().await;
    stage.apply(&stage.request("warm-up")).await;
    stage.ready("warm-up").await;
    for patient in [false, true] {
        let (asked, passes) = (
            stage.dce.token_requests(),
            stage.metric(PASSES).await.unwrap(),
        );
        stage.dce.faults().set(TOKEN, ProviderFault::Hang);
        stage.apply(&stage.request("api")).await;
        eventually(SOON, || async {
            anyhow::ensure!(stage.dce.token_requests() > asked, "no call yet");
            // A pass waits for a call a short while, then it ends and the call goes on without it.
            anyhow::ensure!(
                !patient || stage.metric(PASSES).await > Some(passes),
                "the pass has not ended yet"
            );
            Ok(())
        })
        .await
        .unwrap();
        let mark = stage.wire.mark();
        delete(&stage, "api").await;
        stage
            .gone::<credential_operator::api::CredentialRequest>("api")
            .await;
        stage.dce.faults().clear();

        stage.apply(&stage.request("meanwhile")).await;
        stage.ready("meanwhile").await;
        if patient {
            assert_eq!(writes(&stage, mark, "api"), Vec::<String>::new());
        }
        // A pass that was nearly done may have created it; its owner is gone, so it goes, too.
        stage.gone::<Secret>("api").await;

        // One of the same name begins anew: what came back was for another one.
        stage.apply(&stage.request("api")).await;
        let request = stage.ready("api").await;
        assert_eq!(
            stage.secret("api").await.owner_references()[0].uid,
            request.uid().unwrap()
        );
        for name in ["api", "meanwhile"] {
            delete(&stage, name).await;
            stage.gone::<Secret>(name).await;
        }
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_created_anew_gets_a_secret_of_its_own() {
    let mut stage = Stage::new("anew").await;
    stage.start().await;
    stage.apply(&stage.request("api")).await;
    let mut uid = stage.ready("api").await.uid().unwrap();
    for round in 0..6 {
        let old = stage.secret("api").await;
        // The Secret of the old one may still be there when the new one comes.
        delete(&stage, "api").await;
        if round % 3 == 2 {
            stage.stop().await;
        }
        stage.apply(&stage.request("api")).await;
        if round % 3 == 2 {
            stage.start().await;
        }
        let request = stage
            .until("api", "Ready under a new UID", |request| {
                request.uid().as_ref() != Some(&uid)
                    && status_of(request, "Ready") == ("True", "Synced")
            })
            .await;
        uid = request.uid().unwrap();
        let secret = stage.secret("api").await;
        assert_eq!(secret.owner_references()[0].uid, uid, "round {round}");
        assert_eq!(
            secret.labels()["credential-operator.dev/request-uid"],
            uid,
            "round {round}"
        );
        assert_ne!(
            secret.uid(),
            old.uid(),
            "round {round}: it is another Secret, and garbage collection leaves it"
        );
        assert_eq!(
            secret.annotations()["credential-operator.dev/serial"],
            "1",
            "round {round}"
        );
        assert!(stage.dce.is_live(&value(&secret, "token")), "round {round}");
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_foreground_deletion_removes_first_is_not_repaired() {
    let mut stage = Stage::new("foreground").await;
    stage.start().await;
    for round in 0..4 {
        let name = format!("api-{round}");
        let mut request = stage.request(&name);
        // So that the request outlives its Secret for as long as we look.
        request["metadata"]["finalizers"] = json!(["example.com/held"]);
        stage.apply(&request).await;
        stage.ready(&name).await;
        let (mark, asked) = (stage.wire.mark(), stage.dce.token_requests());
        let foreground = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            ..Default::default()
        };
        stage.requests().delete(&name, &foreground).await.unwrap();
        stage.gone::<Secret>(&name).await;
        let meanwhile = format!("meanwhile-{round}");
        stage.apply(&stage.request(&meanwhile)).await;
        stage.ready(&meanwhile).await;
        assert_eq!(
            writes(&stage, mark, &name),
            Vec::<String>::new(),
            "round {round}"
        );
        assert_eq!(
            stage.dce.token_requests(),
            asked + 1,
            "round {round}: a token for the other request alone"
        );
        assert!(
            stage
                .requests()
                .get(&name)
                .await
                .unwrap()
                .metadata
                .deletion_timestamp
                .is_some()
        );

        stage
            .change(&name, json!({"metadata": {"finalizers": null}}))
            .await;
        stage
            .gone::<credential_operator::api::CredentialRequest>(&name)
            .await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_with_its_requests_and_what_is_refused_then_is_no_failure() {
    let mut stage = Stage::new("namespace").await;
    stage.start().await;
    stage.apply_crowd(6).await;
    stage.all_ready().await;
    // One more, whose Secret is on its way when the namespace goes.
    let held = stage.wire.rule(
        |call| call.is_changing() && is_about_secret(call, "late"),
        Fault::HoldBefore,
        Some(1),
    );
    stage.apply(&stage.request("late")).await;
    held.hit(SOON)
        .await
        .expect("the operator creates the Secret");
    stage.dce.down(true);
    let (mark, logged) = (stage.wire.mark(), stage.logs().len());
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    // The request stays for as long as the refusal takes.
    stage
        .change(
            "late",
            json!({"metadata": {"finalizers": ["example.com/held"]}}),
        )
        .await;
    namespaces
        .delete(&stage.team, &DeleteParams::default())
        .await
        .unwrap();
    eventually(SOON, || async {
        let phase = namespaces
            .get(&stage.team)
            .await?
            .status
            .and_then(|status| status.phase);
        anyhow::ensure!(phase.as_deref() == Some("Terminating"), "{phase:?}");
        Ok(())
    })
    .await
    .unwrap();
    held.release();
    let refused = |stage: &Stage| {
        stage
            .wire
            .calls_where(|call| call.label() == "create secrets" && is_about_secret(call, "late"))
            .iter()
            .any(|call| call.status == Some(403) && call.finished.is_some())
    };
    eventually(SOON, || async {
        anyhow::ensure!(refused(&stage), "the create was not refused yet");
        Ok(())
    })
    .await
    .unwrap();
    let late = stage.requests().get("late").await.unwrap();
    assert!(
        late.status.unwrap_or_default().failure.is_none(),
        "it is no failure"
    );
    let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    stage
        .requests()
        .patch("late", &PatchParams::default(), &patch)
        .await
        .unwrap();

    // Namespace deletion looks again and again, at growing intervals, until nothing is left.
    eventually(Duration::from_secs(60), || async {
        anyhow::ensure!(
            namespaces.get_opt(&stage.team).await?.is_none(),
            "the namespace is still there"
        );
        Ok(())
    })
    .await
    .unwrap();
    let recorded: Vec<Value> = stage
        .wire
        .since(mark)
        .iter()
        .filter(|call| {
            call.kubernetes()
                .is_some_and(|call| call.name.as_deref() == Some("late"))
        })
        .filter(|call| call.is_changing())
        .filter_map(|call| call.json()?.pointer("/status/failure").cloned())
        .collect();
    assert_eq!(recorded, Vec::<Value>::new());
    let logs = stage.logs();
    let complaints: Vec<&str> = logs[logged..]
        .lines()
        .filter(|line| line.contains(r#""level":"WARN""#) || line.contains(r#""level":"ERROR""#))
        .collect();
    assert!(
        complaints.len() < 10,
        "{} complaints:\n{}",
        complaints.len(),
        complaints.join("\n")
    );

    // The operator serves a namespace of the same name as if nothing had happened.
    stage.dce.down(false);
    create::<Namespace>(&namespaces, json!({"metadata": {"name": stage.team}})).await;
    stage.apply(&stage.request("api")).await;
    stage.ready("api").await;
    stage.finish().await;
}
