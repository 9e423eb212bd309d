//! What is installed: the kustomize base, the standard that its pods pass, and who may do what.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Output, Stdio},
};

use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    core::v1::Namespace,
    rbac::v1::ClusterRole,
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use testkit::{control_plane::service_account_user, wait::eventually};

use crate::{
    keystone::{Rig, cloud::Cloud},
    stage::{SOON, Stage, control_plane, create, repository, status_of, value},
};

/// Runs kubectl as the administrator.
fn kubectl(arguments: &[&str], input: &str) -> Output {
    let mut child = control_plane()
        .kubectl()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        // Beside the reading: a kubectl that answers before it has read everything would wait for us
        // as we for it. One that fails early does not read: what it says is told by the caller.
        scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
        child.wait_with_output().expect("kubectl ends")
    })
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The base as kustomize renders it.
fn rendered() -> String {
    let base = repository("deploy/base");
    let output = kubectl(&["kustomize", base.to_str().expect("a path")], "");
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// The objects of the base.
fn objects() -> Vec<Value> {
    let output = kubectl(
        &["create", "--dry-run=client", "-o", "json", "-f", "-"],
        &rendered(),
    );
    assert!(output.status.success(), "{}", said(&output));
    let objects: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("JSON");
    match objects.as_slice() {
        [list] if list["kind"] == "List" => list["items"].as_array().expect("items").clone(),
        _ => objects,
    }
}

/// The object of a kind and name.
fn object(kind: &str, name: &str) -> Value {
    let found = objects()
        .into_iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("{kind} {name} is not in the base"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_renders_and_the_api_server_takes_all_of_it() {
    let mut kinds: Vec<_> = objects()
        .iter()
        .map(|object| object["kind"].as_str().unwrap_or_default().to_owned())
        .collect();
    kinds.sort_unstable();
    let expected = [
        "ClusterRole",
        "ClusterRole",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "CustomResourceDefinition",
        "CustomResourceDefinition",
        "Deployment",
        "Namespace",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    ];
    assert_eq!(kinds, expected);
    let output = kubectl(
        &[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "-f",
            "-",
        ],
        &rendered(),
    );
    assert!(output.status.success(), "{}", said(&output));
    let deployment = object("Deployment", "credential-operator");
    assert_eq!(
        deployment["spec"]["replicas"], 2,
        "one acts, the other stands by"
    );
    assert_eq!(deployment["metadata"]["namespace"], "credential-operator");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pod_passes_the_strictest_standard_and_each_setting_counts() {
    let namespace = object("Namespace", "credential-operator");
    assert_eq!(
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    let deployment = object("Deployment", "credential-operator");
    let template = &deployment["spec"]["template"];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "try", "namespace": "credential-operator", "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    });
    let send = |pod: &Value| kubectl(&["create", "--dry-run=server", "-f", "-"], &pod.to_string());
    let good = send(&pod);
    assert!(good.status.success(), "{}", said(&good));
    assert!(!said(&good).contains("Warning"), "{}", said(&good));

    for (path, field) in [
        ("/spec/securityContext", "runAsNonRoot"),
        ("/spec/securityContext", "seccompProfile"),
        (
            "/spec/containers/0/securityContext",
            "allowPrivilegeEscalation",
        ),
        ("/spec/containers/0/securityContext", "capabilities"),
    ] {
        let mut broken = pod.clone();
        let context = broken
            .pointer_mut(path)
            .and_then(Value::as_object_mut)
            .expect("a security context");
        context
            .remove(field)
            .unwrap_or_else(|| panic!("{field} is not set"));
        let refused = send(&broken);
        assert!(
            !refused.status.success(),
            "without {field} it should be refused"
        );
        assert!(
            said(&refused).contains("violates PodSecurity \"restricted"),
            "{}",
            said(&refused)
        );
    }
}

/// Whether a user may do something in a namespace.
async fn may(user: &str, namespace: &str, verb: &str, resource: &str) -> anyhow::Result<bool> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(ResourceAttributes {
                group: Some("credential-operator.dev".to_owned()),
                namespace: Some(namespace.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(control_plane().admin_client().await);
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_s_own_roles_reach_requests_and_neither_providers_nor_status() {
    control_plane()
        .require_controller_manager()
        .expect("it is what adds rules to these roles");
    let client = control_plane().admin_client().await;
    let namespace = "install-roles";
    create::<Namespace>(
        &Api::all(client.clone()),
        json!({"metadata": {"name": namespace}}),
    )
    .await;
    for role in ["view", "edit", "admin"] {
        let binding = json!({
            "metadata": {"name": role, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": role, "namespace": namespace}],
        });
        create::<k8s_openapi::api::rbac::v1::RoleBinding>(
            &Api::namespaced(client.clone(), namespace),
            binding,
        )
        .await;
    }
    let user = |role: &str| service_account_user(namespace, role);
    let expect = async |role: &str, verb: &str, resource: &str, expected: bool| {
        let user = user(role);
        eventually(SOON, || async {
            let allowed = may(&user, namespace, verb, resource).await?;
            anyhow::ensure!(allowed == expected, "{role}: {verb} {resource}: {allowed}");
            Ok(())
        })
        .await
        .unwrap();
    };
    for role in ["view", "edit", "admin"] {
        for verb in READ {
            expect(role, verb, "credentialrequests", true).await;
        }
        for verb in WRITE {
            expect(role, verb, "credentialrequests", role != "view").await;
        }
        for verb in READ.iter().chain(&WRITE) {
            for resource in [
                "credentialproviders",
                "clustercredentialproviders",
                "credentialrequests/status",
                "credentialproviders/status",
                "credentialrequests/finalizers",
            ] {
                expect(role, verb, resource, false).await;
            }
        }
    }
}

/// A verb and a resource with its group, as in `patch credential-operator.dev/credentialrequests/status`.
fn right(verb: &str, group: &str, resource: &str, subresource: Option<&str>) -> String {
    let subresource = subresource
        .map(|subresource| format!("/{subresource}"))
        .unwrap_or_default();
    format!("{verb} {group}/{resource}{subresource}")
}

async fn shipped_rights() -> BTreeSet<String> {
    let roles: Api<ClusterRole> = Api::all(control_plane().admin_client().await);
    let rules = roles
        .get("credential-operator")
        .await
        .expect("the role is there")
        .rules
        .expect("rules");
    let mut rights = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(
                    rule.verbs
                        .iter()
                        .map(|verb| right(verb, group, resource, None)),
                );
            }
        }
    }
    rights
}

/// Finalizers are written where something has to be revoked, at providers of either kind.
async fn a_life_that_ends_with_a_revocation(stage: Stage) -> Stage {
    let rig = Rig::on(stage, Cloud::simulated()).await;
    let endpoint = rig.endpoint();
    let values = json!({"username": rig.user.name, "password": rig.user.password});
    rig.stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "keystone", "namespace": rig.stage.team,
                "annotations": {"credential-operator.dev/login-for": endpoint},
            },
            "stringData": values,
        }))
        .await;
    let mut local = rig.provider();
    local["kind"] = json!("CredentialProvider");
    local["metadata"] = json!({"name": "keystone", "namespace": rig.stage.team});
    local["spec"]["keystone"]["auth"]["password"]["secretRef"] = json!({"name": "keystone"});
    local["spec"]["allow"][0]
        .as_object_mut()
        .unwrap()
        .remove("namespaces");
    rig.stage.apply(&local).await;
    let mut request = rig.access_key("of-local");
    request["spec"]["providerRef"] = json!({"kind": "CredentialProvider", "name": "keystone"});
    for request in [rig.access_key("of-cluster"), request] {
        let name = request["metadata"]["name"].as_str().unwrap().to_owned();
        rig.stage.apply(&request).await;
        rig.stage.ready(&name).await;
        rig.delete(&name).await;
        rig.gone(&name).await;
    }
    rig.into_stage()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_has_the_rights_that_it_uses_and_no_others() {
    let mut stage = Stage::new("rights").await;
    stage
        .flags
        .push("--tenant-endpoints=127.0.0.0/8".to_owned());
    stage.start().await;
    // A whole life: both kinds of provider, a first sync, a rotation, damage, a failure that comes
    // again, a restart, the end.
    stage
        .write_login_for(&stage.team, "login", &stage.dce.endpoint(), &stage.login)
        .await;
    let mut local = stage.provider();
    local["kind"] = json!("CredentialProvider");
    local["metadata"] = json!({"name": "local", "namespace": stage.team});
    local["spec"]["dce"]["auth"]["keyPair"]["secretRef"] = json!({"name": "login"});
    local["spec"]["allow"] = json!([{"dce": {"kinds": ["token"]}}]);
    stage.apply(&local).await;
    stage
        .apply(&stage.request_of("local", "CredentialProvider", "local"))
        .await;
    stage.apply(&stage.request("api")).await;
    stage.ready("local").await;
    stage.ready("api").await;
    stage
        .annotate("api", "credential-operator.dev/rotate", "1")
        .await;
    stage
        .until("api", "rotated", |request| {
            request
                .status
                .as_ref()
                .is_some_and(|status| status.rotated.as_deref() == Some("1"))
        })
        .await;
    for _ in 0..2 {
        // Twice, so that the same is told again.
        stage
            .apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api", "namespace": stage.team}, "stringData": {"token": "damaged"}}))
            .await;
        eventually(SOON, || async {
            anyhow::ensure!(stage.token("api").await != "damaged", "still damaged");
            Ok(())
        })
        .await
        .unwrap();
    }
    let repaired = stage.secret("api").await;
    assert!(stage.dce.is_live(&value(&repaired, "token")));
    eventually(SOON, || async {
        let told = stage.wire.summary();
        anyhow::ensure!(told.contains_key("patch events"), "{told:?}");
        Ok(())
    })
    .await
    .unwrap();
    stage.stop().await;
    stage.start().await;
    stage
        .until("api", "Synced", |request| {
            status_of(request, "Ready") == ("True", "Synced")
        })
        .await;
    stage
        .requests()
        .delete("local", &kube::api::DeleteParams::default())
        .await
        .expect("it is deleted");
    stage
        .gone::<k8s_openapi::api::core::v1::Secret>("local")
        .await;

    let stage = a_life_that_ends_with_a_revocation(stage).await;
    let calls = stage.wire.calls();
    let refused: Vec<_> = calls
        .iter()
        .filter(|call| call.status == Some(403))
        .map(|call| call.label())
        .collect();
    assert!(
        refused.is_empty(),
        "the operator asked for what it may not: {refused:?}"
    );
    let used: BTreeSet<_> = calls
        .iter()
        .filter_map(|call| call.kubernetes())
        .map(|call| {
            right(
                call.verb,
                &call.group,
                &call.resource,
                call.subresource.as_deref(),
            )
        })
        .collect();
    let unused: BTreeSet<_> = shipped_rights().await.difference(&used).cloned().collect();
    let needed_elsewhere = BTreeSet::from([
        // A stored object that cannot be read is read in another way, to tell it so.
        "get credential-operator.dev/credentialrequests".to_owned(),
        // Asked for by an admission plugin that is not on here (OpenShift has it).
        "update credential-operator.dev/credentialrequests/finalizers".to_owned(),
    ]);
    assert_eq!(unused, needed_elsewhere);
    stage.finish().await;
}
