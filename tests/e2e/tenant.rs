//! A tenant: somebody who may declare providers and requests in the team's namespace, and nothing
//! else, with the words that his stories have in common.

use credential_operator::api::{CredentialProvider, CredentialRequest};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};
use testkit::wait::eventually;

use crate::stage::{SOON, Stage, control_plane, in_conditions, message_of, status_of};

/// Lets the endpoints of tenants lead to where all simulators are.
pub const LOOPBACK: &str = "--tenant-endpoints=127.0.0.0/8";

/// The tenant's client: an account of the team that may do with providers and requests what it
/// likes, and nothing else.
pub async fn tenant(stage: &Stage) -> Client {
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "tenant", "namespace": stage.team},
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "tenant", "namespace": stage.team},
        "rules": [{
            "apiGroups": ["credential-operator.dev"],
            "resources": ["credentialproviders", "credentialrequests"],
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
        }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "tenant", "namespace": stage.team},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": stage.team}],
    });
    for object in [account, role, binding] {
        stage.apply(&object).await;
    }
    let token = control_plane()
        .service_account_token(&stage.team, "tenant")
        .await
        .unwrap();
    let client = control_plane().client_with(&token).unwrap();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &stage.team);
    eventually(SOON, || async {
        Api::<CredentialRequest>::namespaced(client.clone(), &stage.team)
            .list(&ListParams::default())
            .await?;
        Ok(())
    })
    .await
    .expect("his rights are known");
    assert!(
        forbidden(secrets.get("victim").await),
        "he may not read Secrets"
    );
    assert!(
        forbidden(secrets.list(&ListParams::default()).await),
        "nor list them"
    );
    client
}

/// Whether the answer is 403.
pub fn forbidden<T>(result: kube::Result<T>) -> bool {
    matches!(result, Err(kube::Error::Api(status)) if status.code == 403)
}

/// A provider of the team's namespace.
pub fn provider(name: &str, endpoint: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialProvider",
        "metadata": {"name": name},
        "spec": {
            "dce": {"endpoint": endpoint, "allowHTTP": true, "auth": {"keyPair": {"secretRef": {"name": secret}}}},
            "allow": [{"dce": {"kinds": ["token"]}}],
        },
    })
}

/// Declares a provider as the tenant, as kubectl would.
pub async fn declare(
    stage: &Stage,
    tenant: &Client,
    body: &Value,
) -> kube::Result<CredentialProvider> {
    let api: Api<CredentialProvider> = Api::namespaced(tenant.clone(), &stage.team);
    let provider = serde_json::from_value(body.clone()).expect("a provider");
    api.create(&PostParams::default(), &provider).await
}

/// Asks for a token of a provider of the namespace, as the tenant.
pub async fn ask(stage: &Stage, tenant: &Client, name: &str, provider: &str) {
    let api: Api<CredentialRequest> = Api::namespaced(tenant.clone(), &stage.team);
    let request = stage.request_of(name, "CredentialProvider", provider);
    let request = serde_json::from_value(request).expect("a request");
    api.create(&PostParams::default(), &request)
        .await
        .expect("he may ask");
}

/// Waits until a provider of the team says this, and returns the words of its condition.
pub async fn provider_says(stage: &Stage, name: &str, status: &str, reason: &str) -> String {
    eventually(SOON, || async {
        let provider = stage.api::<CredentialProvider>().get(name).await?;
        let known = provider.status.unwrap_or_default();
        let found = in_conditions(&known.conditions, "Ready");
        anyhow::ensure!(found == (status, reason), "{found:?} in {known:#?}");
        let ready = known
            .conditions
            .into_iter()
            .find(|condition| condition.type_ == "Ready");
        Ok(ready.map(|condition| condition.message).unwrap_or_default())
    })
    .await
    .unwrap_or_else(|error| panic!("{name} does not say {status} {reason}: {error:#}"))
}

/// Waits until a request says this, and returns the words of its condition.
pub async fn request_says(stage: &Stage, name: &str, reason: &str) -> String {
    let request = stage
        .until(name, reason, |request| {
            status_of(request, "Ready") == ("False", reason)
        })
        .await;
    message_of(&request, "Ready").to_owned()
}
