//! Stories of CloudMC, at a simulator: keys are read and never made, somebody changes them, and a
//! membership ends.

mod clients;
mod grants;
mod large;
mod odd;

use std::collections::BTreeMap;

use credential_operator::api::{CredentialRequest, annotations};
use kube::ResourceExt;
use serde_json::{Value, json};
use testkit::{
    cloudmc::{CloudMcOptions, CloudMcSimulator, Lie, Person, Service, SingleShape, Stranger},
    wait::eventually,
};

use crate::stage::{SOON, Stage, message_of, only_serial, readings, status_of};

/// The keys of a Secret for OpenStack clients, and the fields that they come from.
const FROM_FIELDS: &[(&str, &str)] = &[
    ("OS_AUTH_URL", "auth_url"),
    ("OS_USERNAME", "username"),
    ("OS_PASSWORD", "password"),
    ("OS_PROJECT_NAME", "project_name"),
    ("OS_USER_DOMAIN_ID", "domain_id"),
    ("OS_PROJECT_DOMAIN_ID", "domain_id"),
];

/// The operator, a CloudMC with an object storage, and a provider for it.
struct Rig {
    stage: Stage,
    cloudmc: CloudMcSimulator,
    organization: String,
    /// The login's user, who is a member of the environment `prod`.
    bot: Person,
    connection: String,
    environment: String,
}

impl Rig {
    async fn new(name: &str) -> Rig {
        let stage = Stage::new(name).await;
        let cloudmc = CloudMcSimulator::start(CloudMcOptions::default());
        let organization = cloudmc.add_organization("acme");
        let bot = cloudmc.add_user(&organization, "bot");
        let storage = Service::ObjectStorage;
        let connection = cloudmc.add_connection(&organization, "Objects", "objects-qc", storage);
        let environment = cloudmc.add_environment(&organization, &connection, "prod");
        cloudmc.add_member(&environment, &bot.id);
        let rig = Rig {
            stage,
            cloudmc,
            organization,
            bot,
            connection,
            environment,
        };
        rig.write_login("").await;
        rig.stage.apply(&rig.provider()).await;
        rig
    }

    /// Writes the login Secret, with consent. A new note makes it another version.
    async fn write_login(&self, note: &str) {
        self.stage
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "cloudmc-login", "namespace": self.stage.platform,
                    "annotations": {
                        "credential-operator.dev/login-for": self.cloudmc.endpoint(), "note": note,
                    },
                },
                "stringData": {"api-key": self.bot.api_key},
            }))
            .await;
    }

    fn name(&self) -> String {
        format!("{}-cloudmc", self.stage.team)
    }

    fn provider(&self) -> Value {
        let grant = |connection: Value, environment: Value| {
            json!({
                "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": self.stage.team}},
                "cloudMC": {
                    "kinds": ["serviceKeys"], "connections": [connection], "environments": [environment],
                },
            })
        };
        let secret = json!({"namespace": self.stage.platform, "name": "cloudmc-login"});
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
            "metadata": {"name": self.name(), "labels": {"stage": self.stage.team}},
            "spec": {
                "cloudMC": {
                    "endpoint": self.cloudmc.endpoint(), "allowHTTP": true,
                    "auth": {"apiKey": {"secretRef": secret}},
                },
                "allow": [
                    grant(json!({"name": "Objects"}), json!({"name": "prod*"})),
                    grant(json!({"id": self.connection}), json!({"id": self.environment})),
                ],
                "budget": {"requestsPerSecond": 1000, "concurrency": 8},
            },
        })
    }

    /// A request, by names, for OpenStack clients; to be changed and applied.
    fn request(&self, name: &str, verify_every: &str) -> Value {
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
            "metadata": {"name": name, "namespace": self.stage.team},
            "spec": {
                "providerRef": {"kind": "ClusterCredentialProvider", "name": self.name()},
                "cloudMC": {"serviceKeys": {
                    "connection": {"name": "Objects"}, "environment": {"name": "prod"},
                    "preset": "OpenStackV3",
                }},
                "renewal": {"verifyEvery": verify_every},
            },
        })
    }

    /// The same by ids.
    fn request_by_ids(&self, name: &str, verify_every: &str) -> Value {
        let mut request = self.request(name, verify_every);
        let keys = &mut request["spec"]["cloudMC"]["serviceKeys"];
        keys["connection"] = json!({"id": self.connection});
        keys["environment"] = json!({"id": self.environment});
        request
    }

    /// What a Secret holds where it has what CloudMC knows now.
    fn expected(&self) -> BTreeMap<String, String> {
        let fields = FROM_FIELDS.iter().map(|(key, field)| {
            let value = self.cloudmc.value(&self.bot.id, &self.environment, field);
            ((*key).to_owned(), value)
        });
        let version = ("OS_IDENTITY_API_VERSION".to_owned(), "3".to_owned());
        fields.chain([version]).collect()
    }

    /// Waits until so many more readings have been made than at some time.
    async fn readings(&self, since: u64, more: u64) {
        readings(|| self.cloudmc.counts().api_info, since, more).await;
    }

    /// What every story ends with: nothing was changed at CloudMC, nobody asked for the provider's own
    /// credentials, and nothing secret is anywhere but in Secrets.
    async fn finish(mut self) {
        let counts = self.cloudmc.counts();
        assert_eq!((counts.changing, counts.parameters), (0, 0), "{counts:?}");
        let secrets = self.cloudmc.secret_values();
        self.stage.more_secret_values.extend(secrets);
        self.stage.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn service_keys_are_published_and_a_hundred_readings_of_the_same_write_nothing() {
    let mut rig = Rig::new("cmc-life").await;
    rig.stage.start().await;
    rig.stage.apply(&rig.request("objects", "100ms")).await;
    let request = rig.stage.ready("objects").await;
    assert_eq!(rig.stage.published("objects").await, rig.expected());
    let status = request.status.as_ref().unwrap();
    assert_eq!(status.credential.as_deref(), Some("cloudMC.serviceKeys"));
    assert_eq!(status.expires_at, None);
    let record = &status.credentials[0];
    assert_eq!(record.id.as_ref(), Some(&rig.connection));
    assert_eq!(record.owner.as_ref(), Some(&rig.environment));
    assert!(
        request.finalizers().is_empty(),
        "there is nothing to revoke"
    );

    let version = rig.stage.secret("objects").await.resource_version();
    let (mark, since) = (rig.stage.wire.mark(), rig.cloudmc.counts().api_info);
    rig.readings(since, 100).await;
    assert_eq!(rig.stage.changes_since(mark), BTreeMap::new());
    assert_eq!(
        rig.stage.secret("objects").await.resource_version(),
        version
    );

    // Somebody presses "Regenerate" in the portal.
    rig.cloudmc.regenerate(&rig.bot.id, &rig.environment);
    let changed = rig
        .stage
        .until("objects", "a second credential", |it| only_serial(it) == 2)
        .await;
    assert_eq!(status_of(&changed, "Ready"), ("True", "Synced"));
    assert_eq!(rig.stage.published("objects").await, rig.expected());

    // A key that somebody damages is read again, or written from what is left.
    let patch = json!({"data": {"OS_PASSWORD": "eA==", "OS_IDENTITY_API_VERSION": null}});
    let secrets = rig.stage.api::<k8s_openapi::api::core::v1::Secret>();
    let merge = kube::api::Patch::Merge(&patch);
    secrets
        .patch("objects", &Default::default(), &merge)
        .await
        .unwrap();
    eventually(SOON, || async {
        anyhow::ensure!(rig.stage.published("objects").await == rig.expected());
        Ok(())
    })
    .await
    .unwrap();

    // A rotation regenerates nothing: what is there is read once more.
    let expected = rig.expected();
    rig.stage
        .annotate("objects", annotations::ROTATE, "1")
        .await;
    let rotated = |it: &CredentialRequest| it.status.as_ref().unwrap().rotated.is_some();
    rig.stage.until("objects", "rotated", rotated).await;
    assert_eq!(rig.stage.published("objects").await, expected);
    rig.stage
        .requests()
        .delete("objects", &Default::default())
        .await
        .unwrap();
    rig.stage.gone::<CredentialRequest>("objects").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_that_ends_leaves_the_secrets_and_says_so() {
    let mut rig = Rig::new("cmc-member").await;
    rig.stage.start().await;
    let names = ["by-name", "by-id"];
    rig.stage.apply(&rig.request(names[0], "500ms")).await;
    rig.stage
        .apply(&rig.request_by_ids(names[1], "500ms"))
        .await;
    let mut versions = Vec::new();
    for name in names {
        rig.stage.ready(name).await;
        versions.push(rig.stage.secret(name).await.resource_version());
    }
    let expected = rig.expected();
    for (round, stranger) in [Stranger::Forbidden, Stranger::NotFound]
        .into_iter()
        .enumerate()
    {
        rig.cloudmc.refuse_strangers_with(stranger);
        rig.cloudmc.remove_member(&rig.environment, &rig.bot.id);
        for (name, version) in names.into_iter().zip(&versions) {
            let failing = rig
                .stage
                .until(name, "RenewalFailing", |it| {
                    status_of(it, "RenewalFailing") == ("True", "Forbidden")
                })
                .await;
            assert_eq!(status_of(&failing, "Ready"), ("True", "Synced"));
            let words = message_of(&failing, "RenewalFailing");
            assert!(
                words.contains("not, or no longer, a member of it"),
                "{words}"
            );
            let secret = rig.stage.secret(name).await;
            assert_eq!(&secret.resource_version(), version, "{name}");
        }
        // Nobody tells that it was mended: a touched login Secret has it tried at once.
        rig.cloudmc.add_member(&rig.environment, &rig.bot.id);
        rig.write_login(&format!("mended {round}")).await;
        for name in names {
            let well = |it: &CredentialRequest| status_of(it, "RenewalFailing").0 == "False";
            rig.stage.until(name, "no failure", well).await;
            assert_eq!(rig.stage.published(name).await, expected);
        }
    }
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cloudmc_answers_the_last_good_secret_stays() {
    let mut rig = Rig::new("cmc-lies").await;
    rig.stage.start().await;
    let mut all = rig.request("all", "300ms");
    let keys = all["spec"]["cloudMC"]["serviceKeys"]
        .as_object_mut()
        .unwrap();
    keys.remove("preset");
    rig.stage.apply(&all).await;
    rig.stage.ready("all").await;
    let everything = rig.stage.published("all").await;
    assert_eq!(everything.len(), 9, "each field under its own name");
    for lie in [
        Lie::ManyFields(10_000),
        Lie::HugeValue(2 * 1024 * 1024),
        Lie::HugeValue(300 * 1024),
        Lie::EmptyFields,
        Lie::NoFields,
        Lie::NullData,
    ] {
        rig.cloudmc.lie(lie);
        let failing = |it: &CredentialRequest| status_of(it, "RenewalFailing").0 == "True";
        let request = rig.stage.until("all", &format!("{lie:?}"), failing).await;
        let reason = status_of(&request, "RenewalFailing").1;
        assert_eq!(reason, "UnexpectedAnswer", "{lie:?}");
        assert_eq!(status_of(&request, "Ready").0, "True", "{lie:?}");
        assert_eq!(rig.stage.published("all").await, everything, "{lie:?}");
        rig.cloudmc.stop_lying();
        let well = |it: &CredentialRequest| status_of(it, "RenewalFailing").0 == "False";
        rig.stage.until("all", "no failure", well).await;
    }
    // An administrator hides a field: who selects it is told, and so is who takes all.
    rig.stage.apply(&rig.request("openstack", "300ms")).await;
    rig.stage.ready("openstack").await;
    let openstack = rig.stage.published("openstack").await;
    assert_eq!(openstack, rig.expected());
    rig.cloudmc.hide_field(&rig.connection, "password");
    let named = |it: &CredentialRequest| {
        status_of(it, "RenewalFailing") == ("True", "ScopeRefused")
            && message_of(it, "RenewalFailing").contains("empty: password. ")
    };
    rig.stage
        .until("openstack", "the field is named", named)
        .await;
    assert_eq!(rig.stage.published("openstack").await, openstack);
    let missed = |it: &CredentialRequest| {
        message_of(it, "RenewalFailing").contains("no value any more for 1 of the fields")
    };
    rig.stage.until("all", "the field is missed", missed).await;
    assert_eq!(rig.stage.published("all").await, everything);
    // Who is sure has it taken away.
    rig.stage.annotate("all", annotations::ROTATE, "1").await;
    rig.stage
        .until("all", "a second credential", |it| only_serial(it) == 2)
        .await;
    assert_eq!(rig.stage.published("all").await.len(), 8);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_grant_is_about_is_not_read_and_gets_the_same_words_whether_or_not_it_exists() {
    let mut rig = Rig::new("cmc-grants").await;
    let other = rig
        .cloudmc
        .add_environment(&rig.organization, &rig.connection, "secret");
    rig.cloudmc.add_member(&other, &rig.bot.id);
    rig.stage.start().await;
    rig.stage.apply(&rig.request("warm-up", "1h")).await;
    rig.stage.ready("warm-up").await;
    let mut said = Vec::new();
    for (name, environment) in [
        ("by-name", json!({"name": "secret"})),
        ("by-id", json!({"id": other})),
        ("not-there", json!({"name": "nowhere"})),
        (
            "no-such-id",
            json!({"id": "00000000-0000-4000-8000-000000000000"}),
        ),
    ] {
        let mut request = rig.request(name, "1h");
        request["spec"]["cloudMC"]["serviceKeys"]["environment"] = environment;
        rig.stage.apply(&request).await;
        let refused = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
        let request = rig.stage.until(name, "NotAllowed", refused).await;
        said.push(message_of(&request, "Ready").to_owned());
    }
    assert!(said.iter().all(|words| *words == said[0]), "{said:#?}");
    // By ids, where a grant has patterns for names: CloudMC says what they are called.
    let (organization, connection) = (&rig.organization, &rig.connection);
    let second = rig
        .cloudmc
        .add_environment(organization, connection, "prod-b");
    rig.cloudmc.add_member(&second, &rig.bot.id);
    for (name, shape) in [
        ("in-a-list", SingleShape::Array),
        ("itself", SingleShape::Object),
    ] {
        rig.cloudmc.show_single_as(shape);
        let mut request = rig.request_by_ids(name, "1h");
        request["spec"]["cloudMC"]["serviceKeys"]["environment"] = json!({"id": second});
        rig.stage.apply(&request).await;
        rig.stage.ready(name).await;
    }
    // Of what a grant names as the request does, the request is told what is wrong.
    let mut request = rig.request("granted", "1h");
    request["spec"]["cloudMC"]["serviceKeys"]["environment"] = json!({"name": "prod-2"});
    rig.stage.apply(&request).await;
    let told = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "ScopeRefused");
    let request = rig.stage.until("granted", "ScopeRefused", told).await;
    let words = message_of(&request, "Ready");
    assert!(words.contains("no environment called prod-2"), "{words}");
    let reads = rig.cloudmc.reads();
    assert!(reads.iter().all(|read| read.environment_id != other));
    rig.finish().await;
}
