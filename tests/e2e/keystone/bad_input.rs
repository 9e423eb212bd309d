//! Bad input, and what it gets: a reason from the list, the object at fault, the way out, and no storm
//! of attempts.

mod answers;
mod last_good;
mod logins;
mod requests;
mod unproven;

use credential_operator::{
    api::{ClusterCredentialProvider, CredentialRequest, ProviderStatus, request::NextAction},
    providers::{Identity, keystone::identity},
};
use kube::ResourceExt;
use testkit::{dce::DceOptions, dce::DceSimulator};

use super::*;
use crate::stage::{in_conditions, message_of, status_of};

/// Waits until a request says why it cannot be served, and returns it.
pub async fn refused_request(rig: &Rig, name: &str, reason: &str) -> CredentialRequest {
    let refused = |request: &CredentialRequest| status_of(request, "Ready") == ("False", reason);
    rig.stage.until(name, reason, refused).await
}

/// Waits until a request says why it cannot be served, and returns the words.
pub async fn refused(rig: &Rig, name: &str, reason: &str) -> String {
    message_of(&refused_request(rig, name, reason).await, "Ready").to_owned()
}

/// Waits until a provider says why it cannot be used, and returns its status.
async fn refused_provider(rig: &Rig, name: &str, reason: &str) -> ProviderStatus {
    let api: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    let status = eventually(SOON, || async {
        let status = api.get(name).await?.status.unwrap_or_default();
        let found = in_conditions(&status.conditions, "Ready");
        anyhow::ensure!(found == ("False", reason), "{found:?}");
        Ok(status)
    });
    status
        .await
        .unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// Waits until a provider says why it cannot be used, and returns the words.
pub async fn provider_refused(rig: &Rig, name: &str, reason: &str) -> String {
    let conditions = refused_provider(rig, name, reason).await.conditions;
    let ready = conditions.into_iter().find(|one| one.type_ == "Ready");
    ready.map(|one| one.message).unwrap_or_default()
}

/// When it is tried again what has failed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// When somebody has changed something; nothing was tried at all.
    OnChange,
    /// After a second, then twice as late each time.
    Soon,
    /// After half a minute, then ever more rarely: somebody has to mend something at Keystone.
    Patiently,
    /// After ten minutes.
    InTenMinutes,
    /// Once in a while; when, is not said here.
    SomeTime,
}

impl Again {
    /// The failure on record is the first one, and the next attempt is made when its class says.
    pub fn check(self, name: &str, request: &CredentialRequest, reason: &str) {
        let status = request.status.as_ref().expect("a status");
        let next = (status.next_action, status.next_action_time);
        let Some(failure) = &status.failure else {
            assert_eq!((self, next), (Again::OnChange, (None, None)), "{name}");
            return;
        };
        assert_eq!(failure.reason.as_str(), reason, "{name}");
        let first = match self {
            Again::OnChange => panic!("{name}: it was tried: {failure:?}"),
            Again::Soon => f64::from(1 << (failure.attempts - 1).min(8)),
            Again::Patiently => 30.0,
            Again::InTenMinutes => 600.0,
            Again::SomeTime => {
                assert_eq!(failure.attempts, 1, "{name}");
                return;
            }
        };
        assert!(
            failure.attempts == 1 || self == Again::Soon,
            "{name}: {failure:?}"
        );
        assert_eq!(next.0, Some(NextAction::Retry), "{name}");
        let pause = next
            .1
            .map(|at| at.duration_since(failure.last_attempt_time));
        let pause = pause.expect("a time").as_secs_f64();
        // Written down to the millisecond, and spread so that not all come at once.
        let bounds = first - 0.001..=first * 1.2;
        assert!(
            bounds.contains(&pause),
            "{name}: {pause} is not in {bounds:?}"
        );
    }
}

/// What the operator would call the credential of a request.
pub fn derived(rig: &Rig, request: &CredentialRequest, serial: u64) -> Identity {
    Identity {
        uid: request.uid().unwrap(),
        serial,
        cluster: String::new(),
        namespace: rig.stage.team.clone(),
        name: request.name_any(),
        held: None,
    }
}

/// A further provider with a login of its own.
async fn provider_with(rig: &Rig, name: &str, method: &str, login: Value) -> String {
    let name = format!("{}-{name}", rig.stage.team);
    rig.stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name, "namespace": rig.stage.platform,
                "annotations": {"credential-operator.dev/login-for": rig.wire.url()},
            },
            "stringData": login,
        }))
        .await;
    let mut provider = rig.provider();
    provider["metadata"]["name"] = json!(name);
    let secret = json!({"secretRef": {"namespace": rig.stage.platform, "name": name}});
    provider["spec"]["keystone"]["auth"] = json!({method: secret});
    rig.stage.apply(&provider).await;
    name
}

fn of(mut request: Value, provider: &str) -> Value {
    request["spec"]["providerRef"]["name"] = json!(provider);
    request
}

fn asking(rig: &Rig, name: &str, kind: &str, fields: Value) -> Value {
    let mut credential = json!({"project": rig.project_ref()});
    for (key, value) in fields.as_object().unwrap() {
        credential[key] = value.clone();
    }
    rig.request(name, json!({kind: credential}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_keystone_is_told_from_one_that_is() {
    let mut rig = Rig::new("ks-none").await;
    let dce = DceSimulator::start(DceOptions::default());
    rig.stage.start().await;
    let mut provider = rig.provider();
    provider["metadata"]["name"] = json!(format!("{}-none", rig.stage.team));
    provider["spec"]["keystone"]["endpoint"] = json!(dce.endpoint());
    rig.write_login_values_for(&[&rig.endpoint(), &dce.endpoint()])
        .await;
    rig.stage.apply(&provider).await;
    let name = provider["metadata"]["name"].as_str().unwrap().to_owned();
    let said = provider_refused(&rig, &name, "UnexpectedAnswer").await;
    assert!(said.contains("v3 is not at this endpoint"), "{said}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_for_the_same_thing_are_served_separately() {
    let mut rig = Rig::new("ks-twins").await;
    rig.stage.start().await;
    for name in ["one", "two"] {
        rig.stage.apply(&rig.access_key(name)).await;
        rig.stage
            .apply(&rig.application_credential(&format!("{name}-app")))
            .await;
    }
    for name in ["one", "two", "one-app", "two-app"] {
        rig.stage.ready(name).await;
    }
    let (one, two) = (rig.pair("one").await, rig.pair("two").await);
    assert_ne!(one, two);
    assert_eq!(rig.pairs().await.len(), 2);
    assert_eq!(rig.application_credentials().await.len(), 2);
    for name in ["one", "one-app"] {
        rig.delete(name).await;
        rig.gone(name).await;
    }
    assert!(
        !rig.accepts(&one).await && rig.accepts(&two).await,
        "the other one is left alone"
    );
    assert_eq!(rig.application_credentials().await.len(), 1);
    rig.finish().await;
}
