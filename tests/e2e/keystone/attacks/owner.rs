//! Who may write a Secret may write there whose credential it holds. That is a hint about where to look,
//! and no reason to believe that there is nothing.

use kube::api::ListParams;

use super::{forged::forge_annotations, *};

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_owner_keeps_nothing_alive_and_no_request_from_going() {
    let mut rig = Rig::new("ks-owner").await;
    let victim = rig
        .cloud
        .create_user(&format!("victim-{}", rig.project))
        .await;
    rig.stage.start().await;
    let owners = [
        ("unknown", "ffffffffffffffffffffffffffffffff"),
        ("dots", ".."),
        ("dot", "."),
        ("empty", ""),
        ("slashes", "../../users"),
        ("victim", &*victim.id),
    ];
    let mut requests = Vec::new();
    for (name, owner) in owners {
        let app = format!("{name}-app");
        requests.push((rig.access_key(name), name.to_owned(), owner));
        requests.push((rig.application_credential(&app), app, owner));
    }
    for (request, ..) in &requests {
        rig.stage.apply(request).await;
    }
    rig.stage.all_ready().await;
    // While it is suspended nobody puts the Secret right, and after a restart nobody knows better.
    for (request, name, _) in &mut requests {
        request["spec"]["suspend"] = json!(true);
        rig.stage.apply(request).await;
        rig.stage
            .until(name, "suspended", |request| {
                crate::stage::status_of(request, "Ready") == ("True", "Suspended")
            })
            .await;
    }
    rig.stage.kill();
    for (_, name, owner) in &requests {
        let annotations = json!({"credential-operator.dev/owner": owner});
        forge_annotations(&rig, name, annotations).await;
    }
    rig.stage.start().await;
    for (_, name, _) in &requests {
        rig.delete(name).await;
    }
    // All that is wrong is told at once.
    let end = eventually(SOON, || async {
        let left = rig.stage.requests().list(&ListParams::default()).await?;
        let left: Vec<_> = left.into_iter().map(|one| one.name_any()).collect();
        anyhow::ensure!(left.is_empty(), "these requests do not go: {left:?}");
        Ok(())
    })
    .await;
    let gone = end.err().map(|error| format!("{error:#}"));
    let described = |blob: &Value| blob["managed_by"].as_str().map(str::to_owned);
    let pairs = rig.pairs().await;
    let pairs: Vec<_> = pairs.iter().map(|pair| described(&pair.blob)).collect();
    let apps = rig.application_credentials().await;
    let apps: Vec<_> = apps.into_iter().map(|app| app.description).collect();
    assert!(
        (&gone, pairs.len(), apps.len()) == (&None, 0, 0),
        "{gone:?}; still alive: {pairs:?}, {apps:?}"
    );
    rig.stage.more_secret_values.push(victim.password);
    rig.finish().await;
}
