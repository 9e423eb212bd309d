//! What the control plane of the testkit can do. All tests share one; the first run on a machine
//! builds it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, Role, RoleBinding};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams, WatchParams};
use kube::core::{NamespaceResourceScope, WatchEvent};
use serde::de::DeserializeOwned;
use serde_json::json;
use testkit::control_plane::{ControlPlane, client, service_account_user, write_kubeconfig};
use testkit::wait::eventually;
use testkit::wire::{Fault, WireProxy};

/// Longer than anything takes here, so that a test that waits for it has failed.
const DEADLINE: Duration = Duration::from_secs(60);

fn object<T: DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..Default::default()
    }
}

async fn create<T>(client: &kube::Client, namespace: &str, value: serde_json::Value) -> T
where
    T: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    Api::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &object(value))
        .await
        .unwrap()
}

/// A namespace with an account in it that has no rights; returns the account's user name and token.
async fn namespace_with_account(control_plane: &ControlPlane, namespace: &str) -> (String, String) {
    let admin = control_plane.admin_client().await;
    let object = Namespace {
        metadata: named(namespace),
        ..Default::default()
    };
    Api::all(admin.clone())
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    create::<ServiceAccount>(&admin, namespace, json!({"metadata": {"name": "tester"}})).await;
    let token = control_plane
        .service_account_token(namespace, "tester")
        .await
        .unwrap();
    (service_account_user(namespace, "tester"), token)
}

/// Lets the account read and write Secrets and ConfigMaps in its namespace. Not by the built-in
/// role `edit`, which a controller has to fill first.
async fn let_edit(control_plane: &ControlPlane, namespace: &str) {
    let admin = control_plane.admin_client().await;
    let role = json!({
        "metadata": {"name": "editor"},
        "rules": [{"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["*"]}],
    });
    create::<Role>(&admin, namespace, role).await;
    let binding = json!({
        "metadata": {"name": "tester"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "editor"},
        "subjects": [{"kind": "ServiceAccount", "name": "tester", "namespace": namespace}],
    });
    create::<RoleBinding>(&admin, namespace, binding).await;
}

fn status(result: kube::Result<impl std::fmt::Debug>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("not an answer with a status: {other:?}"),
    }
}

#[tokio::test]
async fn an_account_without_rights_is_forbidden() {
    let control_plane = ControlPlane::shared();
    let (_, token) = namespace_with_account(control_plane, "forbidden").await;
    let secrets: Api<Secret> =
        Api::namespaced(control_plane.client_with(&token).unwrap(), "forbidden");
    assert_eq!(status(secrets.list(&ListParams::default()).await), 403);

    let_edit(control_plane, "forbidden").await;
    let allowed = eventually(DEADLINE, async || {
        Ok(secrets.list(&ListParams::default()).await?)
    });
    allowed.await.unwrap();
}

#[tokio::test]
async fn the_built_in_roles_are_filled() {
    let control_plane = ControlPlane::shared();
    control_plane.require_controller_manager().unwrap();
    let edit = Api::<ClusterRole>::all(control_plane.admin_client().await)
        .get("edit")
        .await
        .unwrap();
    assert!(edit.rules.is_some_and(|rules| !rules.is_empty()));
}

#[tokio::test]
async fn a_token_that_nobody_issued_is_refused() {
    let client = ControlPlane::shared().client_with("made-up").unwrap();
    assert_eq!(status(client.apiserver_version().await), 401);
}

async fn gone<T>(client: &kube::Client, namespace: &str, name: &str)
where
    T: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<T> = Api::namespaced(client.clone(), namespace);
    let gone = eventually(DEADLINE, async || {
        ensure!(
            api.get_opt(name).await?.is_none(),
            "{namespace}/{name} is still there"
        );
        Ok(())
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn a_secret_goes_with_its_owner() {
    let control_plane = ControlPlane::shared();
    control_plane.require_controller_manager().unwrap();
    let admin = control_plane.admin_client().await;
    let owner: ConfigMap = create(&admin, "default", json!({"metadata": {"name": "owner"}})).await;
    create::<Secret>(
        &admin,
        "default",
        json!({"metadata": {"name": "owned", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid},
        ]}}),
    )
    .await;
    let started = Instant::now();
    let owners: Api<ConfigMap> = Api::namespaced(admin.clone(), "default");
    owners
        .delete("owner", &DeleteParams::default())
        .await
        .unwrap();
    gone::<Secret>(&admin, "default", "owned").await;
    eprintln!("a Secret went {:?} after its owner", started.elapsed());
}

#[tokio::test]
async fn a_namespace_that_is_deleted_goes() {
    let control_plane = ControlPlane::shared();
    control_plane.require_controller_manager().unwrap();
    namespace_with_account(control_plane, "deleted").await;
    let admin = control_plane.admin_client().await;
    create::<Secret>(&admin, "deleted", json!({"metadata": {"name": "inside"}})).await;
    let namespaces: Api<Namespace> = Api::all(admin);
    let started = Instant::now();
    namespaces
        .delete("deleted", &DeleteParams::default())
        .await
        .unwrap();
    let gone = eventually(DEADLINE, async || {
        ensure!(
            namespaces.get_opt("deleted").await?.is_none(),
            "the namespace is still there"
        );
        Ok(())
    });
    gone.await.unwrap();
    eprintln!(
        "a namespace went {:?} after its deletion",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_deployment_gets_its_replica_set_and_pods() {
    let control_plane = ControlPlane::shared();
    control_plane.require_controller_manager().unwrap();
    let admin = control_plane.admin_client().await;
    let labels = json!({"app": "web"});
    let containers = json!([{"name": "c", "image": "i"}]);
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    });
    create::<Deployment>(&admin, "default", deployment).await;
    let sets: Api<ReplicaSet> = Api::namespaced(admin, "default");
    let made = eventually(DEADLINE, async || {
        let sets = sets.list(&ListParams::default().labels("app=web")).await?;
        let pods = sets
            .items
            .first()
            .and_then(|set| set.status.as_ref())
            .map(|status| status.replicas);
        ensure!(pods == Some(1), "no pod yet");
        Ok(())
    });
    made.await.unwrap();
}

#[tokio::test]
async fn the_audit_log_tells_who_did_what() {
    let control_plane = ControlPlane::shared();
    let (user, token) = namespace_with_account(control_plane, "audited").await;
    let_edit(control_plane, "audited").await;
    let client = control_plane.client_with(&token).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "audited");
    eventually(DEADLINE, async || {
        Ok(maps.list(&ListParams::default()).await?)
    })
    .await
    .unwrap();
    let audit = control_plane.audit();
    audit.settle(&user, DEADLINE).await.unwrap();
    let since_then = audit.since(audit.mark().unwrap());
    assert!(!audit.events(&user).unwrap().is_empty());

    maps.create(
        &PostParams::default(),
        &object(json!({"metadata": {"name": "a"}})),
    )
    .await
    .unwrap();
    let twice = maps
        .create(
            &PostParams::default(),
            &object(json!({"metadata": {"name": "a"}})),
        )
        .await;
    assert_eq!(status(twice), 409);
    maps.get("a").await.unwrap();
    let watching = maps.watch(&WatchParams::default(), "0").await.unwrap();
    std::pin::pin!(watching).try_next().await.unwrap();

    since_then.settle(&user, DEADLINE).await.unwrap();
    let seen: Vec<_> = since_then
        .mutating(&user)
        .unwrap()
        .into_iter()
        .map(|event| {
            (
                event.verb,
                event.resource,
                event.name.unwrap_or_default(),
                event.code,
            )
        })
        .collect();
    let create = |code| {
        (
            "create".to_owned(),
            "configmaps".to_owned(),
            "a".to_owned(),
            Some(code),
        )
    };
    assert_eq!(seen, [create(201), create(409)]);
    let verbs: Vec<_> = since_then
        .events(&user)
        .unwrap()
        .into_iter()
        .map(|event| event.verb)
        .collect();
    assert_eq!(verbs, ["create", "create", "get"]);
    assert_eq!(since_then.watches(&user).unwrap().len(), 1);
    assert!(since_then.events("nobody").unwrap().is_empty());
}

#[tokio::test]
async fn the_audit_log_holds_no_contents() {
    let control_plane = ControlPlane::shared();
    let admin = control_plane.admin_client().await;
    let secret =
        json!({"metadata": {"name": "unaudited"}, "stringData": {"key": "not-for-the-audit-log"}});
    create::<Secret>(&admin, "default", secret).await;
    control_plane
        .audit()
        .settle("admin", DEADLINE)
        .await
        .unwrap();
    let log = std::fs::read_to_string(control_plane.dir().join("audit.log")).unwrap();
    assert!(log.contains("unaudited"));
    assert!(
        !log.contains("not-for-the-audit-log") && !log.contains("bm90LWZvci10aGUtYXVkaXQtbG9n")
    );
}

#[tokio::test]
async fn the_wire_proxy_stands_between_a_client_and_the_api_server() {
    let control_plane = ControlPlane::shared();
    let (_, token) = namespace_with_account(control_plane, "proxied").await;
    let_edit(control_plane, "proxied").await;
    let proxy = WireProxy::start(control_plane.url(), Some(control_plane.ca_pem())).unwrap();
    let client = client(proxy.url(), None, &token).unwrap();
    let secrets: Api<Secret> = Api::namespaced(client, "proxied");
    eventually(DEADLINE, async || {
        Ok(secrets.list(&ListParams::default()).await?)
    })
    .await
    .unwrap();
    proxy.clear();

    let watching = secrets
        .watch_metadata(&WatchParams::default().disable_bookmarks(), "0")
        .await
        .unwrap();
    let mut watching = std::pin::pin!(watching);
    let held = proxy.rule(
        |call| call.label() == "create secrets",
        Fault::HoldAfter,
        Some(1),
    );
    let secret: Secret = object(json!({"metadata": {"name": "s"}}));
    let parameters = PostParams::default();
    let creating = secrets.create(&parameters, &secret);
    let looking = async {
        held.hit(DEADLINE).await.unwrap();
        // Committed, and the watch tells, while the client that did it does not know.
        let event = tokio::time::timeout(DEADLINE, watching.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert!(matches!(event, WatchEvent::Added(_)), "{event:?}");
        held.release();
    };
    let (created, ()) = tokio::join!(creating, looking);
    created.unwrap();
    let counted = |label: &str| (label.to_owned(), 1);
    assert_eq!(
        proxy.summary(),
        BTreeMap::from([counted("watch secrets"), counted("create secrets")])
    );
    assert!(proxy.calls_where(|call| call.label() == "watch secrets")[0].is_metadata_only());
    assert!(!proxy.changing()[0].is_metadata_only());
}

#[tokio::test]
async fn a_kubeconfig_file_serves_kubectl() {
    let control_plane = ControlPlane::shared();
    let (user, token) = namespace_with_account(control_plane, "configured").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let proxy = WireProxy::start_tls(control_plane.url(), Some(control_plane.ca_pem())).unwrap();
    write_kubeconfig(&path, proxy.url(), proxy.ca_pem(), &token).unwrap();
    let output = control_plane
        .kubectl()
        .args([
            "auth",
            "whoami",
            "-o",
            "jsonpath={.status.userInfo.username}",
        ])
        .env("KUBECONFIG", &path)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        user,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(proxy.summary()["create selfsubjectreviews"], 1);
}
