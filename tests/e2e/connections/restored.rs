//! An etcd that is restored from a backup under the running operator.

use testkit::{
    control_plane::{ControlPlane, Options},
    dce::DceOptions,
};

use super::*;
use crate::stage::{options, status_of};

#[tokio::test(flavor = "multi_thread")]
async fn after_etcd_was_restored_everything_is_listed_again_and_only_what_is_in_hand_is_kept() {
    let mut plane = ControlPlane::start(Options {
        // Nothing is collected here.
        controller_manager: false,
        ..options()
    })
    .expect("a control plane");
    let mut stage = Stage::on(&plane, "restored", DceOptions::default()).await;
    stage.lease_seconds = 6;
    stage.start().await;
    let pid = stage.pid();
    stage.apply(&stage.request("kept")).await;
    stage.ready("kept").await;
    // A token is issued, and cannot be published.
    let held = stage.wire.rule(
        |call| crate::stage::is_about_secret(call, "in-hand") && call.is_changing(),
        Fault::CutBefore,
        None,
    );
    stage.apply(&stage.request("in-hand")).await;
    held.hit(SOON).await.unwrap();
    let backup = plane.back_up().expect("a backup");
    let renewed = renewals(&stage);

    stage
        .annotate("kept", "credential-operator.dev/rotate", "1")
        .await;
    let rotated = |value: &'static str| {
        move |request: &credential_operator::api::CredentialRequest| {
            let status = request.status.as_ref();
            status.and_then(|status| status.rotated.as_deref()) == Some(value)
                && status_of(request, "Ready") == ("True", "Synced")
        }
    };
    stage.until("kept", "rotated", rotated("1")).await;
    for number in 0..20 {
        stage
            .apply(&stage.request(&format!("later-{number}")))
            .await;
    }
    for number in 0..20 {
        stage.ready(&format!("later-{number}")).await;
    }
    let issued = stage.dce.issued().len();
    // A cluster goes on for longer than the API server's own writes at its start make up for.
    for round in 0..40 {
        let writes = (0..10).map(async |number| {
            let map = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("map-{number}"), "namespace": stage.team},
                "data": {"round": round.to_string()},
            });
            stage.apply(&map).await;
        });
        futures::future::join_all(writes).await;
    }
    // A backup is older than the last renewal of the Lease.
    eventually(SOON, || async {
        ensure!(renewals(&stage) > renewed + 1, "the lease is not renewed");
        Ok(())
    })
    .await
    .unwrap();

    plane.restore(&backup).expect("it is restored");
    held.remove();
    stage.ready("in-hand").await;
    assert_eq!(
        stage.dce.issued().len(),
        issued,
        "what is in hand is published"
    );
    stage
        .annotate("kept", "credential-operator.dev/rotate", "2")
        .await;
    stage.until("kept", "rotated again", rotated("2")).await;
    stage.apply(&stage.request("after")).await;
    stage.ready("after").await;
    stage.counted(&stage.team, 3).await;
    assert_eq!(stage.pid(), pid, "by the same process");
    let said = "etcd was restored from a backup";
    assert!(stage.logs().contains(said), "{}", stage.logs_tail());
    assert_eq!(stage.get("/readyz").await.unwrap(), "ok\n");
    stage.finish().await;
}
