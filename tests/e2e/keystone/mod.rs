//! Stories of OpenStack Keystone, on a real one: each has a project and a user of its own, and a wire
//! proxy between the operator and Keystone.

mod attacks;
mod bad_input;
mod budget;
mod clients;
pub mod cloud;
mod consumers;
mod copies;
mod farewell;
mod life;
mod pauses;
mod queue;
mod rotation;
mod sessions;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use testkit::{
    openstack::{Admin, ApplicationCredential, Ec2Credential, User},
    wait::eventually,
    wire::{Call, CallHead, Mark, WireProxy, summarize},
};

use crate::{
    journal::{self, Revocation, SecretWrite},
    stage::{SOON, Stage, value},
};
use cloud::Cloud;

/// The domain that every Keystone has.
pub const DOMAIN: &str = "default";

/// The operator, a real Keystone, and a provider for it.
pub struct Rig {
    /// The rest of the stage.
    pub stage: Stage,
    /// Between the operator and Keystone.
    pub wire: WireProxy,
    /// Keystone itself.
    pub cloud: Cloud,
    /// The provider's login.
    pub user: User,
    /// The name of the project that the team may ask for.
    pub project: String,
    /// Its id.
    pub project_id: String,
}

impl Rig {
    /// A stage with a user who is a member of a project, and a cluster provider that lets the team ask
    /// for everything in it. No operator yet.
    pub async fn new(name: &str) -> Rig {
        Rig::on(Stage::new(name).await, Cloud::real()).await
    }

    /// The same with a simulator.
    pub async fn simulated(name: &str) -> Rig {
        Rig::on(Stage::new(name).await, Cloud::simulated()).await
    }

    /// The same on a stage that exists, with a Keystone at a URL.
    pub async fn on(stage: Stage, (cloud, url): (Cloud, String)) -> Rig {
        let project = stage.team.clone();
        let project_id = cloud.create_project(&project).await;
        let user = cloud.create_user(&format!("bot-{project}")).await;
        cloud.assign_role(&user, &project_id, "member").await;
        let wire = WireProxy::start(&url, None).unwrap();
        let rig = Rig {
            stage,
            wire,
            cloud,
            user,
            project,
            project_id,
        };
        rig.write_login(&rig.user).await;
        rig.stage.apply(&rig.provider()).await;
        rig
    }

    /// The administrator of the real Keystone.
    pub fn admin(&self) -> &Admin {
        self.cloud.admin()
    }

    /// The provider's name.
    pub fn name(&self) -> String {
        format!("{}-keystone", self.stage.team)
    }

    /// The endpoint as the provider states it.
    pub fn endpoint(&self) -> String {
        format!("{}/v3", self.wire.url())
    }

    /// Writes the login Secret, with consent.
    pub async fn write_login(&self, user: &User) {
        let values = json!({"username": user.name, "password": user.password});
        self.write_login_values(values).await;
    }

    /// Writes a login Secret of another form, with consent. As data: a key that is not applied again
    /// goes, which under stringData it would not.
    pub async fn write_login_values(&self, values: Value) {
        let bytes = |value: &Value| ByteString(value.as_str().unwrap().into());
        let values = values.as_object().unwrap().iter();
        let data: BTreeMap<_, _> = values.map(|(key, value)| (key, bytes(value))).collect();
        self.stage
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "keystone-login", "namespace": self.stage.platform,
                    "annotations": {"credential-operator.dev/login-for": self.wire.url()},
                },
                "data": data,
            }))
            .await;
    }

    /// Writes the login Secret with consent for several endpoints.
    pub async fn write_login_values_for(&self, endpoints: &[&str]) {
        self.stage
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "keystone-login", "namespace": self.stage.platform,
                    "annotations": {"credential-operator.dev/login-for": endpoints.join(" ")},
                },
                "stringData": {"username": self.user.name, "password": self.user.password},
            }))
            .await;
    }

    /// The provider, to be changed and applied.
    pub fn provider(&self) -> Value {
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
            "metadata": {"name": self.name(), "labels": {"stage": self.stage.team}},
            "spec": {
                "keystone": {
                    "endpoint": self.endpoint(), "allowHTTP": true,
                    "auth": {"password": {"secretRef": {"namespace": self.stage.platform, "name": "keystone-login"}}},
                    "s3": {"endpoint": "https://s3.example.com", "region": "RegionOne"},
                },
                "allow": [{
                    "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": self.stage.team}},
                    "keystone": {
                        "kinds": ["accessKey", "applicationCredential", "token"],
                        "projects": [{"name": format!("{}*", self.project), "domainID": DOMAIN}],
                        "roles": ["member", "reader"],
                    },
                }],
                "budget": {"requestsPerSecond": 1000, "concurrency": 8},
            },
        })
    }

    /// The project as requests name it.
    pub fn project_ref(&self) -> Value {
        json!({"name": self.project, "domainID": DOMAIN})
    }

    /// A request for a credential of Keystone, to be changed and applied.
    pub fn request(&self, name: &str, credential: Value) -> Value {
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
            "metadata": {"name": name, "namespace": self.stage.team},
            "spec": {
                "providerRef": {"kind": "ClusterCredentialProvider", "name": self.name()},
                "keystone": credential,
            },
        })
    }

    /// A request for an access key.
    pub fn access_key(&self, name: &str) -> Value {
        self.request(name, json!({"accessKey": {"project": self.project_ref()}}))
    }

    /// A request for an application credential.
    pub fn application_credential(&self, name: &str) -> Value {
        let credential = json!({"project": self.project_ref(), "roles": ["member"]});
        self.request(name, json!({"applicationCredential": credential}))
    }

    /// A request for a token.
    pub fn token(&self, name: &str) -> Value {
        self.request(name, json!({"token": {"project": self.project_ref()}}))
    }

    /// The pairs of the login's user that are alive.
    pub async fn pairs(&self) -> Vec<Ec2Credential> {
        self.cloud.pairs(&self.user).await
    }

    /// The application credentials of the login's user that are there.
    pub async fn application_credentials(&self) -> Vec<ApplicationCredential> {
        self.cloud.application_credentials(&self.user).await
    }

    /// Access key and secret key in a Secret.
    pub async fn pair(&self, name: &str) -> (String, String) {
        pair_in(&self.stage.secret(name).await)
    }

    /// Whether Keystone accepts the pair in a Secret.
    pub async fn accepts(&self, pair: &(String, String)) -> bool {
        self.cloud.accepts(pair).await
    }

    /// Whether Keystone lets the application credential in a Secret log in.
    pub async fn logs_in(&self, secret: &Secret) -> bool {
        let id = value(secret, "OS_APPLICATION_CREDENTIAL_ID");
        let secret = value(secret, "OS_APPLICATION_CREDENTIAL_SECRET");
        self.cloud.logs_in(&id, &secret).await
    }

    /// Waits until the provider can be used.
    pub async fn provider_ready(&self) {
        let providers: Api<credential_operator::api::ClusterCredentialProvider> =
            Api::all(self.stage.client.clone());
        let name = self.name();
        eventually(SOON, || async {
            let provider = providers.get(&name).await?;
            let conditions = provider.status.unwrap_or_default().conditions;
            let ready = crate::stage::in_conditions(&conditions, "Ready");
            anyhow::ensure!(ready == ("True", "LoginWorks"), "{conditions:?}");
            Ok(())
        })
        .await
        .unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }

    /// How many requests wait for the provider's budget.
    pub async fn waiting(&self) -> f64 {
        let label = format!("provider=\"ClusterCredentialProvider {}\"", self.name());
        let metric = format!("credential_operator_provider_queue{{{label}}}");
        self.stage.metric(&metric).await.unwrap_or_default()
    }

    /// Waits until a request is gone.
    pub async fn gone(&self, name: &str) {
        self.stage
            .gone::<credential_operator::api::CredentialRequest>(name)
            .await;
    }

    /// Deletes a request, without waiting for it to go.
    pub async fn delete(&self, name: &str) {
        self.stage
            .requests()
            .delete(name, &Default::default())
            .await
            .unwrap();
    }

    /// What was called at the API server since a mark that changes something, by kind: everything but
    /// the Lease, which is about no provider and no request.
    pub fn all_changes_since(&self, mark: Mark) -> BTreeMap<String, usize> {
        let mut calls = self.stage.wire.since(mark);
        calls.retain(|call| call.is_changing() && !call.label().ends_with(" leases"));
        summarize(&calls)
    }

    /// The same for the life of a request alone: without events, and without the status of a provider,
    /// which follows in its own time.
    pub fn changes_since(&self, mark: Mark) -> BTreeMap<String, usize> {
        let calls: Vec<Call> = self
            .stage
            .wire
            .since(mark)
            .into_iter()
            .filter(|call| call.is_changing() && concerns_a_request(call))
            .collect();
        summarize(&calls)
    }

    /// What was called at Keystone since a mark, by kind, ids left out.
    pub fn keystone_calls_since(&self, mark: Mark) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.wire.since(mark) {
            *counts.entry(keystone_label(&call)).or_default() += 1;
        }
        counts
    }

    /// The writes of the Secret of this name that the API server has accepted, in their order.
    ///
    /// # Errors
    /// When it is not known what one of them was.
    pub fn writes_of(&self, name: &str) -> Result<Vec<SecretWrite>, String> {
        journal::writes_of(&self.stage, name)
    }

    /// The pairs and application credentials that Keystone was told to revoke, in their order.
    pub fn revocations(&self) -> Vec<Revocation> {
        journal::revocations(&self.wire)
    }

    /// See [`journal::was_always_good`].
    ///
    /// # Errors
    /// What was wrong.
    pub fn was_always_good(&self, name: &str) -> Result<(), String> {
        journal::was_always_good(&self.stage, &self.wire, name)
    }

    /// How many credentials were alive at once since a mark, at the most, if none was before.
    pub fn most_alive(&self, mark: Mark) -> usize {
        journal::most_alive(&self.wire, mark)
    }

    /// What every story ends with; see [`Stage::finish`].
    pub async fn finish(self) {
        self.into_stage().finish().await;
    }

    /// The stage, for a story that goes on without Keystone; it knows all that must not be found
    /// anywhere.
    pub fn into_stage(mut self) -> Stage {
        let mut secrets = vec![self.user.password.clone()];
        if let Cloud::Simulated(simulator) = &self.cloud {
            secrets.extend(simulator.secret_values());
        }
        for call in self.wire.calls() {
            for header in ["x-auth-token", "x-subject-token"] {
                if let Some(token) = call.headers.get(header) {
                    secrets.push(token.to_str().unwrap().to_owned());
                }
            }
            // Pairs, also those that were never published.
            let blob = blob_of(&call);
            secrets.extend(blob["secret"].as_str().map(str::to_owned));
        }
        secrets.retain(|value| !value.is_empty());
        self.stage.more_secret_values.append(&mut secrets);
        self.stage
    }
}

/// What a call to make a pair puts into it; null for other calls.
pub fn blob_of(call: &CallHead) -> Value {
    if call.method != "POST" || call.path != "/v3/credentials" {
        return Value::Null;
    }
    let body = call.json().unwrap_or_default();
    let blob = body["credential"]["blob"].as_str().unwrap_or_default();
    serde_json::from_str(blob).unwrap_or_default()
}

/// Whether a call to the API server is about the life of a request.
pub fn concerns_a_request(call: &CallHead) -> bool {
    call.kubernetes().is_some_and(|meant| {
        let resource = meant.resource.as_str();
        let of_a_provider =
            resource.ends_with("credentialproviders") && meant.subresource.is_some();
        !of_a_provider && resource != "leases" && resource != "events"
    })
}

/// Access key and secret key in a Secret.
pub fn pair_in(secret: &Secret) -> (String, String) {
    (
        value(secret, "AWS_ACCESS_KEY_ID"),
        value(secret, "AWS_SECRET_ACCESS_KEY"),
    )
}

/// A call to Keystone in a few words: ids and names are left out.
pub fn keystone_label(call: &CallHead) -> String {
    let path: Vec<_> = call
        .path
        .split('/')
        .map(|segment| {
            let id = segment.len() >= 32 && segment.bytes().all(|byte| byte.is_ascii_hexdigit());
            let access = segment.len() == 20
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            if id || access { "{id}" } else { segment }
        })
        .collect();
    format!("{} {}", call.method, path.join("/"))
}

/// Long enough for an overlap to be seen on a busy machine.
pub const OVERLAP: Duration = Duration::from_secs(3);
