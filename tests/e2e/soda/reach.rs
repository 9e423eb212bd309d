//! What it takes to reach a SODA: two servers that belong together, consent for both, and addresses that
//! a tenant may name.

use credential_operator::api::CredentialProvider;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use testkit::wire;

use super::*;
use crate::tenant::{self, LOOPBACK};

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_needed_for_both_servers_and_the_command_gives_it() {
    let mut rig = Rig::simulated("soda-consent", SodaOptions::default()).await;
    let (soda, keystone) = (rig.endpoint(), rig.keystone.endpoint());
    rig.write_login(&[&soda]).await;
    rig.keystone.stage.start().await;
    for only in [&soda, &keystone] {
        rig.write_login(&[only]).await;
        let words = rig.provider_says("False", "NoConsent").await;
        let command = format!("credential-operator.dev/login-for='{soda} {keystone}'");
        assert!(words.contains(&command), "{words}");
    }
    assert_eq!(rig.soda.calls().len(), 0);
    // Of the provider of the Keystone alone.
    rig.keystone.provider_ready().await;
    assert_eq!(rig.keystone.wire.calls().len(), 1);
    let secrets: Api<Secret> = Api::namespaced(rig.stage().client.clone(), &rig.stage().platform);
    let consent = format!("{soda} {keystone}");
    let patch =
        json!({"metadata": {"annotations": {"credential-operator.dev/login-for": consent}}});
    let params = PatchParams::default();
    secrets
        .patch("soda-login", &params, &Patch::Merge(&patch))
        .await
        .unwrap();
    rig.provider_says("True", "LoginWorks").await;
    let insecure = eventually(SOON, || async {
        let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage().client.clone());
        let known = providers.get(&rig.name()).await?.status.unwrap_or_default();
        let found = in_conditions(&known.conditions, "Insecure");
        anyhow::ensure!(found.0 == "True", "{known:#?}");
        Ok(found.1.to_owned())
    });
    assert_eq!(insecure.await.unwrap(), "PlainHTTP");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soda_that_is_none_or_of_another_keystone_shows_when_the_login_is_tested() {
    let mut rig = Rig::simulated("soda-wrong", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    rig.provider_says("True", "LoginWorks").await;

    // One that asks another Keystone.
    let (elsewhere, _) = Cloud::simulated();
    let Cloud::Simulated(elsewhere) = elsewhere else {
        unreachable!()
    };
    let account = KeystoneAccount::of_simulator(&elsewhere, "soda");
    let stranger = SodaSimulator::start(SodaOptions::default(), account);
    let other = |endpoint: &str| {
        let mut provider = rig.provider();
        provider["metadata"]["name"] = json!(format!("{}-other", rig.stage().team));
        provider["spec"]["soda"]["endpoint"] = json!(endpoint);
        provider
    };
    let says = |reason: &'static str| {
        let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage().client.clone());
        let name = format!("{}-other", rig.stage().team);
        async move {
            eventually(SOON, || async {
                let known = providers.get(&name).await?.status.unwrap_or_default();
                let mut conditions = known.conditions.iter();
                let ready = conditions.find(|condition| condition.type_ == "Ready");
                let ready = ready.ok_or_else(|| anyhow::anyhow!("no condition"))?;
                anyhow::ensure!(ready.reason == reason, "{known:#?}");
                Ok(ready.message.clone())
            })
            .await
            .unwrap()
        }
    };
    let remove = || {
        let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage().client.clone());
        let name = format!("{}-other", rig.stage().team);
        async move { providers.delete(&name, &Default::default()).await.unwrap() }
    };
    let (soda, dce) = (stranger.url(), rig.stage().dce.endpoint());
    rig.write_login(&[rig.wire.url(), rig.keystone.wire.url(), &soda, &dce])
        .await;
    rig.stage().apply(&other(&soda)).await;
    let words = says("ProviderUnavailable").await;
    assert!(words.contains("OS_AUTH_URL"), "{words}");
    remove().await;

    // Something else altogether.
    rig.stage().apply(&other(&dce)).await;
    let words = says("UnexpectedAnswer").await;
    assert!(words.contains("SODA"), "{words}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_says_which_of_the_two_servers_failed() {
    let mut rig = Rig::simulated("soda-which", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    let mut request = rig.request("it", json!({}));
    request["spec"]["renewal"] = json!({"overlap": "100ms"});
    rig.stage().apply(&request).await;
    rig.stage().ready("it").await;
    let pair = rig.keystone.pair("it").await;
    let (soda, keystone) = ("spec.soda.endpoint: ", "spec.soda.keystone.endpoint: ");
    for (number, (field, other)) in [(soda, keystone), (keystone, soda)].iter().enumerate() {
        let down = |down| match number {
            0 => rig.wire.set_down(down),
            _ => rig.keystone.wire.set_down(down),
        };
        down(true);
        let value = format!("down-{number}");
        rig.touch_login(&value).await;
        let words = rig.provider_says("False", "ProviderUnavailable").await;
        assert!(words.contains(field) && !words.contains(other), "{words}");
        down(false);
        rig.touch_login(&format!("up-{number}")).await;
        rig.provider_says("True", "LoginWorks").await;
        // The test of the login is over; a request fails where its own call does.
        let refuse = |call: &wire::CallHead| match call.path.as_str() {
            path if path.contains("/aksks") => true,
            path => path == "/v3/credentials",
        };
        let wire = [&rig.wire, &rig.keystone.wire][number];
        let cut = wire.rule(refuse, wire::Fault::CutBefore, None);
        rig.rotate("it", &value).await;
        let words = rig.failing("it", "ProviderUnavailable").await;
        assert!(words.contains(field) && !words.contains(other), "{words}");
        cut.remove();
        rig.touch_login(&format!("mended-{number}")).await;
        rig.rotated("it", &value).await;
    }
    assert_ne!(rig.keystone.pair("it").await, pair);
    rig.delete("it").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soda_without_authentication_is_told_as_such() {
    let options = SodaOptions {
        without_auth: true,
        ..SodaOptions::default()
    };
    let mut rig = Rig::simulated("soda-noauth", options).await;
    rig.keystone.stage.start().await;
    rig.stage().apply(&rig.request("it", json!({}))).await;
    let words = rig.not_ready("it", "ProviderUnavailable").await;
    assert!(words.contains("OS_AUTH_AUTHSTRATEGY=keystone"), "{words}");
    rig.delete("it").await;
    assert!(
        rig.keystone.pairs().await.is_empty(),
        "what was not published is revoked"
    );
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_name_neither_server_where_only_the_operator_can_reach() {
    let mut rig = Rig::simulated("soda-guard", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    rig.provider_says("True", "LoginWorks").await;
    let asked = rig.soda.calls().len();
    let client = tenant::tenant(rig.stage()).await;
    let outside = "http://192.0.2.1:8089";
    let (soda, keystone) = (rig.endpoint(), rig.keystone.endpoint());
    let user = &rig.keystone.user;
    rig.stage()
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "login", "namespace": rig.stage().team,
                "annotations": {
                    "credential-operator.dev/login-for": format!("{outside} {soda} {keystone}"),
                },
            },
            "stringData": {"username": user.name, "password": user.password},
        }))
        .await;
    for (name, at, behind) in [
        ("both", soda.as_str(), keystone.as_str()),
        ("soda", soda.as_str(), outside),
        ("keystone", outside, keystone.as_str()),
    ] {
        let provider = json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialProvider",
            "metadata": {"name": name},
            "spec": {
                "soda": {
                    "endpoint": at, "keystone": {"endpoint": behind}, "allowHTTP": true,
                    "auth": {"password": {"secretRef": {"name": "login"}}},
                },
            },
        });
        tenant::declare(rig.stage(), &client, &provider)
            .await
            .unwrap();
        tenant::provider_says(rig.stage(), name, "False", "EndpointRefused").await;
    }
    assert_eq!(rig.soda.calls().len(), asked);
    rig.keystone.stage.stop().await;
    rig.keystone.stage.flags.push(LOOPBACK.to_owned());
    rig.keystone.stage.start().await;
    tenant::provider_says(rig.stage(), "both", "True", "LoginWorks").await;
    for name in ["both", "soda", "keystone"] {
        let providers: Api<CredentialProvider> = rig.stage().api();
        providers.delete(name, &Default::default()).await.unwrap();
    }
    rig.finish().await;
}
