//! What a grant is about can change while a request is served: the grant, the name of an environment, or the
//! environment that a name leads to.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use testkit::{cloudmc::API_INFO, server::Fault};

use super::*;

/// A rig with two requests, by names and by ids.
async fn served(name: &str) -> Rig {
    let mut rig = Rig::new(name).await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("by-name", "300ms")).await;
    rig.stage.apply(&rig.request_by_ids("by-id", "300ms")).await;
    for name in ["by-name", "by-id"] {
        rig.stage.ready(name).await;
    }
    rig
}

impl Rig {
    /// Puts other grants in the place of the provider's.
    async fn grant(&self, grants: &[Value]) {
        let mut provider = self.provider();
        let allow: Vec<_> = grants
            .iter()
            .map(|grant| {
                let mut entry = provider["spec"]["allow"][0].clone();
                for (field, patterns) in grant.as_object().unwrap() {
                    entry["cloudMC"][field] = patterns.clone();
                }
                entry
            })
            .collect();
        provider["spec"]["allow"] = json!(allow);
        self.stage.apply(&provider).await;
    }

    /// Waits until a request is told that no grant is about it, by a grant's words alone or by what CloudMC
    /// says; what is published stays.
    async fn not_allowed(&self, name: &str) {
        let told = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
        self.stage.until(name, "NotAllowed", told).await;
        assert_eq!(self.stage.published(name).await, self.expected());
    }

    /// The same for one that was never served.
    async fn not_allowed_yet(&self, name: &str) {
        let told = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
        self.stage.until(name, "NotAllowed", told).await;
        let secrets = self.stage.api::<Secret>();
        assert!(secrets.get_opt(name).await.unwrap().is_none());
    }

    async fn well(&self, name: &str) {
        let well = |it: &CredentialRequest| {
            status_of(it, "Ready") == ("True", "Synced")
                && status_of(it, "RenewalFailing").0 == "False"
        };
        self.stage.until(name, "Ready, and no failure", well).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_narrowed_stops_the_readings_in_whatever_words_it_was_asked() {
    let rig = served("cmc-narrow").await;
    for narrowed in [
        json!({"environments": [{"name": "dev*"}]}),
        json!({"environments": [{"id": "00000000-0000-4000-8000-000000000000"}]}),
        json!({"connections": [{"name": "Other"}]}),
    ] {
        rig.grant(&[narrowed]).await;
        for name in ["by-name", "by-id"] {
            rig.not_allowed(name).await;
        }
        // It counts at once that they are allowed again.
        rig.grant(&[json!({})]).await;
        for name in ["by-name", "by-id"] {
            rig.well(name).await;
        }
    }
    // Where a grant has the ids, nothing is looked up for who asks by them.
    rig.stage
        .requests()
        .delete("by-name", &Default::default())
        .await
        .unwrap();
    rig.stage.gone::<CredentialRequest>("by-name").await;
    rig.grant(&[json!({
        "connections": [{"id": rig.connection}], "environments": [{"id": rig.environment}],
    })])
    .await;
    rig.well("by-id").await;
    rig.readings(rig.cloudmc.counts().api_info, 2).await;
    let (asked, since) = (rig.cloudmc.calls().len(), rig.cloudmc.counts().api_info);
    rig.readings(since, 5).await;
    let calls = rig.cloudmc.calls().split_off(asked);
    let others: Vec<_> = calls
        .iter()
        .filter(|call| !call.path.ends_with("/apiInfo"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_does_not_lead_into_another_organization_where_the_grant_names_one() {
    let rig = served("cmc-orgs").await;
    let expected = rig.expected();
    rig.grant(&[json!({"organizations": [{"name": "acme"}]})])
        .await;
    for name in ["by-name", "by-id"] {
        rig.well(name).await;
    }
    // The environment goes, and another organization that shares the connection has one of the same name.
    let other = rig.cloudmc.add_organization("globex");
    rig.cloudmc.assign_connection(&rig.connection, &other);
    let theirs = rig.cloudmc.add_environment(&other, &rig.connection, "prod");
    rig.cloudmc.add_member(&theirs, &rig.bot.id);
    rig.cloudmc.delete_environment(&rig.environment);
    let told = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
    rig.stage.until("by-name", "NotAllowed", told).await;
    assert_eq!(rig.stage.published("by-name").await, expected);
    let reads = rig.cloudmc.reads();
    assert!(reads.iter().all(|read| read.environment_id != theirs));
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_read_once_and_not_again_is_not_published_under_other_grants() {
    let mut rig = Rig::new("cmc-once").await;
    let (user, environment) = (&rig.bot.id, &rig.environment);
    rig.cloudmc.set_value(user, environment, "domain_id", "d1");
    rig.stage.start().await;
    let faults = rig.cloudmc.faults();
    // The first reading succeeds, and those that follow do not.
    let read_once = || {
        faults.push_n(API_INFO, Fault::Delay(Duration::ZERO), 1);
        faults.set(API_INFO, Fault::Html(503));
    };
    read_once();
    let names = json!({"connections": [{"name": "*"}], "environments": [{"name": "prod"}]});
    rig.grant(std::slice::from_ref(&names)).await;
    rig.stage.apply(&rig.request_by_ids("it", "1h")).await;
    let down = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "ProviderUnavailable");
    rig.stage.until("it", "ProviderUnavailable", down).await;
    assert_eq!(faults.pending(), 0, "it was read once");
    rig.grant(&[json!({"environments": [{"name": "dev"}]})])
        .await;
    faults.remove(API_INFO);
    rig.not_allowed_yet("it").await;

    // Nor is it held against what can be read by then.
    read_once();
    rig.grant(&[names]).await;
    rig.stage.until("it", "ProviderUnavailable", down).await;
    assert_eq!(faults.pending(), 0, "it was read once more");
    rig.cloudmc.hide_field(&rig.connection, "domain_id");
    faults.remove(API_INFO);
    rig.stage.ready("it").await;
    let published = rig.stage.published("it").await;
    assert_eq!(published["OS_USER_DOMAIN_ID"], "default");
    rig.finish().await;
}
