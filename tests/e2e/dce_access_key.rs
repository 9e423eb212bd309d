//! Stories of DCE's access keys, at a simulator: keys are made under a derived name, shown once, rotated
//! with an overlap and deleted by id; other keys of the same user stay, the login's own among them.

mod damage;
mod finalizer;
mod life;
mod login;

use credential_operator::api::{ClusterCredentialProvider, CredentialRequest};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use testkit::{
    dce::{AccessKey, DceOptions, Generation},
    wait::eventually,
    wire::{CallHead, WireProxy},
};

use crate::stage::{SOON, Stage, in_conditions, value};

/// The user whose access keys they are.
const USER: &str = "bot";

/// The operator, a DCE with access keys, and a provider for it.
pub struct Rig {
    /// The rest of the stage, with DCE.
    pub stage: Stage,
    /// Between the operator and DCE.
    pub wire: WireProxy,
    /// What the provider logs in with.
    pub login: AccessKey,
    /// Keys that nobody may touch: one more of the same user, and one of another user.
    others: Vec<AccessKey>,
}

impl Rig {
    /// A stage with a user who has two access keys, and a cluster provider that logs in with one of them
    /// and lets the team ask for more. No operator yet.
    pub async fn new(name: &str) -> Rig {
        let options = DceOptions {
            generation: Generation::From014,
            ..DceOptions::default()
        };
        let stage = Stage::with(name, options).await;
        // The stage's own provider is for tokens, which this DCE does not have.
        Api::<ClusterCredentialProvider>::all(stage.client.clone())
            .delete(&stage.team, &Default::default())
            .await
            .unwrap();
        let login = stage.dce.add_access_key(USER, "login", None);
        let others = vec![
            stage.dce.add_access_key(USER, "by hand", None),
            stage.dce.add_access_key("somebody", "login", None),
        ];
        let rig = Rig {
            wire: WireProxy::start(&stage.dce.endpoint(), None).unwrap(),
            stage,
            login,
            others,
        };
        rig.write_login("dce-bot", &rig.login).await;
        rig.stage.apply(&rig.provider()).await;
        rig
    }

    /// Writes a login Secret with consent.
    pub async fn write_login(&self, name: &str, key: &AccessKey) {
        self.stage
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": name, "namespace": self.stage.platform,
                    "annotations": {"credential-operator.dev/login-for": self.wire.url()},
                },
                "stringData": {"token": key.token},
            }))
            .await;
    }

    /// The provider's name.
    pub fn name(&self) -> String {
        format!("{}-dce", self.stage.team)
    }

    /// The provider, to be changed and applied.
    pub fn provider(&self) -> Value {
        let secret = json!({"namespace": self.stage.platform, "name": "dce-bot"});
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
            "metadata": {"name": self.name(), "labels": {"stage": self.stage.team}},
            "spec": {
                "dce": {
                    "endpoint": self.wire.url(), "allowHTTP": true,
                    "auth": {"accessKey": {"secretRef": secret}},
                },
                "allow": [{
                    "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": self.stage.team}},
                    "dce": {"kinds": ["accessKey"]},
                }],
                "budget": {"requestsPerSecond": 1000, "concurrency": 8},
            },
        })
    }

    /// A request for an access key with an overlap in milliseconds, to be changed and applied.
    pub fn request(&self, name: &str, overlap: u64) -> Value {
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
            "metadata": {"name": name, "namespace": self.stage.team},
            "spec": {
                "providerRef": {"kind": "ClusterCredentialProvider", "name": self.name()},
                "dce": {"accessKey": {}},
                "renewal": {"overlap": format!("{overlap}ms")},
            },
        })
    }

    /// The keys that the operator has made and that are alive.
    pub fn made(&self) -> Vec<AccessKey> {
        let ours = |key: &AccessKey| key.name.starts_with("credential-operator-");
        let keys = self.stage.dce.live_access_keys().into_iter();
        keys.filter(ours).collect()
    }

    /// The key that a Secret holds.
    pub async fn key(&self, name: &str) -> AccessKey {
        let token = value(&self.stage.secret(name).await, "token");
        let mut keys = self.stage.dce.access_keys().into_iter();
        keys.find(|key| key.token == token).unwrap()
    }

    /// Whether a key works at DCE.
    pub fn works(&self, key: &AccessKey) -> bool {
        self.stage.dce.is_live(&key.token)
    }

    /// Those that nobody may touch and that do not work any more.
    pub fn lost(&self) -> Vec<&AccessKey> {
        let mut keys = vec![&self.login];
        keys.extend(&self.others);
        keys.retain(|key| !self.works(key));
        keys
    }

    /// Sets an annotation that asks for a new key.
    pub async fn rotate(&self, name: &str, why: &str) {
        self.stage
            .annotate(name, "credential-operator.dev/rotate", why)
            .await;
    }

    /// Waits until so many credentials of a request are in its ledger, the newest with this serial.
    pub async fn until(&self, name: &str, serial: u64, alive: usize) -> CredentialRequest {
        let what = format!("serial {serial}, {alive} alive");
        let holds = |request: &CredentialRequest| {
            let status = request.status.as_ref();
            let credentials = status.map_or(&[][..], |status| &status.credentials);
            credentials.len() == alive && credentials.first().is_some_and(|it| it.serial == serial)
        };
        self.stage.until(name, &what, holds).await
    }

    /// Waits until the provider can be used.
    pub async fn provider_ready(&self) {
        let providers: Api<ClusterCredentialProvider> = Api::all(self.stage.client.clone());
        let name = self.name();
        eventually(SOON, || async {
            let conditions = providers.get(&name).await?.status.unwrap_or_default();
            let ready = in_conditions(&conditions.conditions, "Ready");
            anyhow::ensure!(ready == ("True", "LoginWorks"), "{conditions:?}");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Deletes a request, without waiting for it to go.
    pub async fn delete(&self, name: &str) {
        let requests = self.stage.requests();
        requests.delete(name, &Default::default()).await.unwrap();
    }

    /// Deletes a request and waits until it and its Secret are gone.
    pub async fn remove(&self, name: &str) {
        self.delete(name).await;
        self.stage.gone::<CredentialRequest>(name).await;
        self.stage.gone::<Secret>(name).await;
    }

    /// What every story ends with: the keys of others work, and nothing secret is anywhere but in
    /// Secrets.
    pub async fn finish(self) {
        assert_eq!(self.lost(), Vec::<&AccessKey>::new());
        self.stage.finish().await;
    }
}

/// A call to DCE in a few words, ids left out.
pub fn dce_label(call: &CallHead) -> String {
    let path = call.path.trim_start_matches("/apis/ghippo.io/v1alpha1/");
    let path = match path.rsplit_once('/') {
        Some((collection, _)) if collection.ends_with("accesstokens") => {
            format!("{collection}/{{id}}")
        }
        _ => path.to_owned(),
    };
    format!("{} {path}", call.method)
}

/// The name by which DCE knows a key of a request.
fn derived(request: &CredentialRequest, serial: u64) -> String {
    let uid = request.uid().unwrap();
    format!("credential-operator-{uid}-{serial}")
}
