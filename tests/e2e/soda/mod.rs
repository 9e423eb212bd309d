//! Stories of SODA: a simulator of it, in front of a real Keystone or of a simulated one. Each ends by
//! making sure that its `DELETE`, which destroys all credentials of a user, was not called. Those in
//! `ending.rs` are about that call, and alone end otherwise, by `finish_after_deleting_all`.

mod adopt;
mod answers;
mod clients;
mod ending;
mod killed;
mod life;
mod reach;
mod through;

use credential_operator::api::{ClusterCredentialProvider, CredentialRequest};
use kube::Api;
use serde_json::{Value, json};
use testkit::{
    openstack::Keystone,
    soda::{CREATE, KeystoneAccount, SodaOptions, SodaSimulator},
    wait::eventually,
    wire::WireProxy,
};

use crate::{
    keystone::{self, DOMAIN, cloud::Cloud},
    stage::{SOON, Stage, in_conditions, status_of},
};

/// The operator, a Keystone, and a SODA in front of it with a provider.
pub struct Rig {
    /// The stage, and Keystone with a user who is a member of a project.
    pub keystone: keystone::Rig,
    /// Between the operator and SODA.
    pub wire: WireProxy,
    /// SODA.
    pub soda: SodaSimulator,
}

impl Rig {
    /// A stage with a provider that lets the team ask for everything in its project. No operator yet.
    pub async fn new(name: &str) -> Rig {
        Rig::with(name, Cloud::real(), SodaOptions::default()).await
    }

    /// The same with a simulated Keystone, and another SODA.
    pub async fn simulated(name: &str, options: SodaOptions) -> Rig {
        Rig::with(name, Cloud::simulated(), options).await
    }

    async fn with(name: &str, cloud: (Cloud, String), options: SodaOptions) -> Rig {
        let keystone = keystone::Rig::on(Stage::new(name).await, cloud).await;
        let account = match &keystone.cloud {
            Cloud::Real(_) => KeystoneAccount::of(Keystone::shared()),
            Cloud::Simulated(simulator) => KeystoneAccount::of_simulator(simulator, "soda"),
        };
        let soda = SodaSimulator::start(options, account);
        let rig = Rig {
            wire: WireProxy::start(&soda.url(), None).unwrap(),
            soda,
            keystone,
        };
        rig.write_login(&[rig.wire.url(), rig.keystone.wire.url()])
            .await;
        rig.stage().apply(&rig.provider()).await;
        rig
    }

    /// The stage.
    pub fn stage(&self) -> &Stage {
        &self.keystone.stage
    }

    /// The endpoint as the provider states it.
    pub fn endpoint(&self) -> String {
        format!("{}/v1", self.wire.url())
    }

    /// Writes the login Secret, with consent for these endpoints.
    pub async fn write_login(&self, endpoints: &[&str]) {
        let user = &self.keystone.user;
        self.stage()
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "soda-login", "namespace": self.stage().platform,
                    "annotations": {"credential-operator.dev/login-for": endpoints.join(" ")},
                },
                "stringData": {"username": user.name, "password": user.password},
            }))
            .await;
    }

    /// Changes the login Secret, and nothing that matters in it; `word` was not used before.
    pub async fn touch_login(&self, word: &str) {
        self.write_login(&[self.wire.url(), self.keystone.wire.url(), word])
            .await;
    }

    /// The provider's name.
    pub fn name(&self) -> String {
        format!("{}-soda", self.stage().team)
    }

    /// The provider, to be changed and applied.
    pub fn provider(&self) -> Value {
        let secret = json!({"namespace": self.stage().platform, "name": "soda-login"});
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
            "metadata": {"name": self.name(), "labels": {"stage": self.stage().team}},
            "spec": {
                "soda": {
                    "endpoint": self.endpoint(), "allowHTTP": true,
                    "keystone": {"endpoint": self.keystone.endpoint()},
                    "auth": {"password": {"secretRef": secret}},
                    "s3": {"endpoint": self.soda.s3_endpoint(), "region": "us-east-1"},
                },
                "allow": [{
                    "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": self.stage().team}},
                    "soda": {
                        "kinds": ["accessKey"],
                        "projects": [{"name": format!("{}*", self.keystone.project), "domainID": DOMAIN}],
                        "roles": ["member", "reader"],
                        "issueThroughSoda": true, "adopt": true, "deleteAll": true,
                    },
                }],
                "budget": {"requestsPerSecond": 1000, "concurrency": 8},
            },
        })
    }

    /// A request for an access key with further fields, to be changed and applied.
    pub fn request(&self, name: &str, mut fields: Value) -> Value {
        fields["project"] = self.keystone.project_ref();
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
            "metadata": {"name": name, "namespace": self.stage().team},
            "spec": {
                "providerRef": {"kind": "ClusterCredentialProvider", "name": self.name()},
                "soda": {"accessKey": fields},
            },
        })
    }

    /// Applies such a request and waits until it is ready; returns the pair in its Secret.
    pub async fn ready(&self, name: &str, fields: Value) -> (String, String) {
        self.stage().apply(&self.request(name, fields)).await;
        self.stage().ready(name).await;
        self.keystone.pair(name).await
    }

    /// Asks for another pair; `value` is one that was not used before.
    pub async fn rotate(&self, name: &str, value: &str) {
        self.stage()
            .annotate(name, "credential-operator.dev/rotate", value)
            .await;
    }

    /// Waits until the last wish to rotate was fulfilled, and nothing fails.
    pub async fn rotated(&self, name: &str, value: &str) -> CredentialRequest {
        let well = |request: &CredentialRequest| {
            let status = request.status.as_ref();
            status.is_some_and(|status| status.rotated.as_deref() == Some(value))
                && status_of(request, "RenewalFailing").0 == "False"
        };
        self.stage().until(name, "rotated", well).await
    }

    /// Waits until a request fails for a reason, though what is published is good; returns the words.
    pub async fn failing(&self, name: &str, reason: &str) -> String {
        let failing =
            |request: &CredentialRequest| status_of(request, "RenewalFailing") == ("True", reason);
        let request = self.stage().until(name, reason, failing).await;
        assert_eq!(status_of(&request, "Ready").0, "True");
        crate::stage::message_of(&request, "RenewalFailing").to_owned()
    }

    /// Waits until a request that has no Secret yet fails for a reason; returns the words.
    pub async fn not_ready(&self, name: &str, reason: &str) -> String {
        crate::tenant::request_says(self.stage(), name, reason).await
    }

    /// Waits until the provider says this; returns the words.
    pub async fn provider_says(&self, status: &str, reason: &str) -> String {
        let providers: Api<ClusterCredentialProvider> = Api::all(self.stage().client.clone());
        let name = self.name();
        eventually(SOON, || async {
            let known = providers.get(&name).await?.status.unwrap_or_default();
            let found = in_conditions(&known.conditions, "Ready");
            anyhow::ensure!(found == (status, reason), "{known:#?}");
            let mut conditions = known.conditions.into_iter();
            let ready = conditions.find(|condition| condition.type_ == "Ready");
            Ok(ready.map(|ready| ready.message).unwrap_or_default())
        })
        .await
        .unwrap_or_else(|error| panic!("{name}: {error:#}"))
    }

    /// The answer of SODA's S3 to a request that is signed with a pair: the status, and the code of an error.
    pub async fn signed(&self, (access, secret): &(String, String)) -> (u16, String) {
        let (status, body) = self.soda.list_buckets(access, secret).await.unwrap();
        let code = body.split_once("<Code>").map(|(_, rest)| rest);
        let code = code.and_then(|rest| rest.split_once("</Code>"));
        (status, code.map_or("", |(code, _)| code).to_owned())
    }

    /// Sees that SODA's S3 takes a request that is signed with a pair.
    pub async fn is_taken_by_s3(&self, pair: &(String, String)) {
        assert_eq!(self.signed(pair).await, (200, String::new()), "{}", pair.0);
    }

    /// Sees that SODA's S3 does not know a pair.
    pub async fn is_unknown_to_s3(&self, pair: &(String, String)) {
        let unknown = (403, "InvalidAccessKeyId".to_owned());
        assert_eq!(self.signed(pair).await, unknown, "{}", pair.0);
    }

    /// Deletes a request and waits until it is gone.
    pub async fn delete(&self, name: &str) {
        self.keystone.delete(name).await;
        self.keystone.gone(name).await;
    }

    /// How often SODA was asked to make a pair.
    pub fn creates(&self) -> usize {
        self.soda.server().calls_to(CREATE).len()
    }

    /// What every story ends with: nothing secret is anywhere but in Secrets, and nothing was destroyed
    /// that was not the request's own.
    pub async fn finish(self) {
        self.finish_after_deleting_all(0).await;
    }

    /// The same for a story that means to destroy all credentials of its user: SODA's `DELETE` was called
    /// so often, and no more.
    pub async fn finish_after_deleting_all(self, times: u64) {
        assert_eq!(self.soda.delete_calls(), times, "SODA's DELETE");
        let Rig {
            mut keystone, soda, ..
        } = self;
        let secrets = soda.secret_values();
        keystone.stage.more_secret_values.extend(secrets);
        keystone.finish().await;
    }
}
