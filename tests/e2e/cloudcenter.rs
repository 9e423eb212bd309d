//! Stories of CloudCenter, at a simulator: keys are read and not made, somebody changes them, users are
//! on later pages, and answers lie.

mod regenerate;

use std::collections::BTreeMap;

use credential_operator::api::{CredentialRequest, annotations};
use kube::ResourceExt;
use serde_json::{Value, json};
use testkit::{
    cloudcenter::{
        Account, CloudCenterOptions, CloudCenterSimulator, IdShape, KeyShape, Lie, LoginRefusal,
        USERS,
    },
    wait::eventually,
};

use crate::stage::{SOON, Stage, message_of, only_serial, readings, status_of};

/// How many users come before those whose keys are asked for: two pages of 20 and a half.
const CROWD: usize = 50;

/// The operator, a CloudCenter with many users, and a provider for it.
struct Rig {
    stage: Stage,
    cloudcenter: CloudCenterSimulator,
    /// The login's user.
    admin: Account,
    /// A user on the third page.
    alice: Account,
}

impl Rig {
    async fn new(name: &str) -> Rig {
        let stage = Stage::new(name).await;
        let cloudcenter = CloudCenterSimulator::start(CloudCenterOptions::default());
        let admin = cloudcenter.add_admin("admin@example.com");
        for number in 0..CROWD {
            cloudcenter.add_user(&format!("user-{number}@crowd.example.com"), "1");
        }
        let alice = cloudcenter.add_user("alice@example.com", "1");
        // What the server takes itself for is nobody's business.
        cloudcenter.advertise(Some("https://127.0.0.1:9"));
        let rig = Rig {
            stage,
            cloudcenter,
            admin,
            alice,
        };
        rig.write_login().await;
        rig.stage
            .apply(&rig.provider(json!([
                {"id": rig.alice.id}, {"email": "*@example.com"}, {"self": true},
            ])))
            .await;
        rig
    }

    /// Writes the login Secret with the key that its user has now, with consent.
    async fn write_login(&self) {
        let admin = self.cloudcenter.account(&self.admin.id);
        self.stage
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "cloudcenter-login", "namespace": self.stage.platform,
                    "annotations": {"credential-operator.dev/login-for": self.cloudcenter.endpoint()},
                },
                "stringData": {"username": admin.username, "key": admin.key},
            }))
            .await;
    }

    fn name(&self) -> String {
        format!("{}-cloudcenter", self.stage.team)
    }

    fn provider(&self, users: Value) -> Value {
        let secret = json!({"namespace": self.stage.platform, "name": "cloudcenter-login"});
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
            "metadata": {"name": self.name(), "labels": {"stage": self.stage.team}},
            "spec": {
                "cloudCenter": {
                    "endpoint": self.cloudcenter.endpoint(), "allowHTTP": true,
                    "auth": {"apiKey": {"secretRef": secret}},
                },
                "allow": [{
                    "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": self.stage.team}},
                    "cloudCenter": {"kinds": ["apiKey"], "users": users},
                }],
                "budget": {"requestsPerSecond": 1000, "concurrency": 8},
            },
        })
    }

    fn request(&self, name: &str, key: Value, verify_every: &str) -> Value {
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
            "metadata": {"name": name, "namespace": self.stage.team},
            "spec": {
                "providerRef": {"kind": "ClusterCredentialProvider", "name": self.name()},
                "cloudCenter": {"apiKey": key},
                "renewal": {"verifyEvery": verify_every},
            },
        })
    }

    /// What a Secret holds where it has what CloudCenter knows now.
    fn expected(&self, id: &str) -> BTreeMap<String, String> {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let Account { username, key, .. } = self.cloudcenter.account(id);
        let basic = BASE64_STANDARD.encode(format!("{username}:{key}"));
        [
            ("authorization", format!("Basic {basic}")),
            ("endpoint", self.cloudcenter.endpoint()),
            ("key", key),
            ("username", username),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Waits until a Secret holds what CloudCenter knows about a user.
    async fn holds(&self, name: &str, id: &str) {
        eventually(SOON, || async {
            anyhow::ensure!(self.stage.published(name).await == self.expected(id));
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until so many more keys have been read than at some time.
    async fn readings(&self, since: u64, more: u64) {
        readings(|| self.cloudcenter.counts().key_reads, since, more).await;
    }

    /// How often the list of users was asked for.
    fn listed(&self) -> usize {
        let calls = self.cloudcenter.calls();
        calls.iter().filter(|call| call.path == USERS).count()
    }

    /// What every story ends with: nothing was changed at CloudCenter, each call was marked as one with a
    /// key, and nothing secret is anywhere but in Secrets.
    async fn finish(self) {
        let counts = self.cloudcenter.counts();
        assert_eq!((counts.changing, counts.generated), (0, 0), "{counts:?}");
        self.finish_after(0).await;
    }

    /// The same where so many keys were made anew.
    async fn finish_after(mut self, generated: u64) {
        let counts = self.cloudcenter.counts();
        assert_eq!(counts.generated, generated, "{counts:?}");
        assert_eq!(counts.changing, counts.generate_asked, "{counts:?}");
        assert_eq!(counts.logins_by_password, 0, "{counts:?}");
        assert!(counts.marked >= counts.logins_by_key, "{counts:?}");
        let secrets = self.cloudcenter.secret_values();
        self.stage.more_secret_values.extend(secrets);
        self.stage.finish().await;
    }
}

fn by_email() -> Value {
    json!({"user": {"email": "Alice@Example.com"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_published_and_a_hundred_readings_of_the_same_write_nothing() {
    let mut rig = Rig::new("cc-life").await;
    rig.stage.start().await;
    rig.stage
        .apply(&rig.request("alice", by_email(), "100ms"))
        .await;
    let request = rig.stage.ready("alice").await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    assert_eq!(rig.listed(), 3, "all pages, once");
    let status = request.status.as_ref().unwrap();
    assert_eq!(status.credential.as_deref(), Some("cloudCenter.apiKey"));
    assert_eq!(status.expires_at, None);
    assert_eq!(
        status.credentials[0].owner.as_ref(),
        Some(&rig.alice.username)
    );
    assert!(
        request.finalizers().is_empty(),
        "there is nothing to revoke"
    );

    let version = rig.stage.secret("alice").await.resource_version();
    let (mark, since) = (rig.stage.wire.mark(), rig.cloudcenter.counts().key_reads);
    rig.readings(since, 100).await;
    assert_eq!(rig.stage.changes_since(mark), BTreeMap::new());
    assert_eq!(rig.stage.secret("alice").await.resource_version(), version);
    assert_eq!(
        rig.listed(),
        3,
        "it is known by now where the address leads"
    );

    // Somebody presses "Generate new key".
    rig.cloudcenter.change_key(&rig.alice.id);
    let changed = rig
        .stage
        .until("alice", "a second credential", |it| only_serial(it) == 2)
        .await;
    assert_eq!(status_of(&changed, "Ready"), ("True", "Synced"));
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );

    // The answers may have other forms.
    for (keys, ids) in [
        (KeyShape::Text, IdShape::Number),
        (KeyShape::TopLevel, IdShape::Text),
    ] {
        rig.cloudcenter.show_keys_as(keys);
        rig.cloudcenter.show_ids_as(ids);
        rig.cloudcenter.change_key(&rig.alice.id);
        rig.holds("alice", &rig.alice.id).await;
    }

    // What somebody damages is written from what is left.
    let patch = json!({"data": {"key": "eA==", "endpoint": null}});
    let secrets = rig.stage.api::<k8s_openapi::api::core::v1::Secret>();
    let merge = kube::api::Patch::Merge(&patch);
    secrets
        .patch("alice", &Default::default(), &merge)
        .await
        .unwrap();
    rig.holds("alice", &rig.alice.id).await;

    rig.stage
        .requests()
        .delete("alice", &Default::default())
        .await
        .unwrap();
    rig.stage.gone::<CredentialRequest>("alice").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logins_own_key_follows_the_login_secret() {
    let mut rig = Rig::new("cc-own").await;
    rig.cloudcenter.require_mark(true);
    rig.stage.start().await;
    rig.stage
        .apply(&rig.request("own", json!({}), "300ms"))
        .await;
    rig.stage
        .apply(&rig.request("alice", by_email(), "300ms"))
        .await;
    rig.stage.ready("own").await;
    rig.stage.ready("alice").await;
    assert_eq!(
        rig.stage.published("own").await,
        rig.expected(&rig.admin.id)
    );
    let versions = [
        rig.stage.secret("own").await.resource_version(),
        rig.stage.secret("alice").await.resource_version(),
    ];
    for style in [LoginRefusal::Html, LoginRefusal::Empty] {
        rig.cloudcenter.refuse_with(style);
        // The login dies with its key, and with it all that is read with it.
        let since = rig.cloudcenter.counts().logins_refused;
        rig.cloudcenter.change_key(&rig.admin.id);
        for name in ["own", "alice"] {
            let failing = rig
                .stage
                .until(name, "LoginRefused", |it| {
                    status_of(it, "RenewalFailing") == ("True", "LoginRefused")
                })
                .await;
            assert_eq!(status_of(&failing, "Ready").0, "True");
        }
        let tried = rig.cloudcenter.counts().logins_refused - since;
        assert!(tried <= 4, "{tried} attempts with one wrong key");
        rig.write_login().await;
        rig.holds("own", &rig.admin.id).await;
        for name in ["own", "alice"] {
            let well = |it: &CredentialRequest| status_of(it, "RenewalFailing").0 == "False";
            rig.stage.until(name, "no failure", well).await;
        }
    }
    assert_ne!(
        rig.stage.secret("own").await.resource_version(),
        versions[0]
    );
    assert_eq!(
        rig.stage.secret("alice").await.resource_version(),
        versions[1]
    );
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cloudcenter_answers_the_last_good_secret_stays() {
    let mut rig = Rig::new("cc-lies").await;
    rig.stage.start().await;
    let by_id = json!({"user": {"id": rig.alice.id}});
    rig.stage.apply(&rig.request("alice", by_id, "300ms")).await;
    rig.stage.ready("alice").await;
    let published = rig.stage.published("alice").await;
    let well = |it: &CredentialRequest| status_of(it, "RenewalFailing").0 == "False";
    let failing = |it: &CredentialRequest| status_of(it, "RenewalFailing").0 == "True";
    for lie in [
        Lie::SomebodyElse,
        Lie::NoKey,
        Lie::NullKey,
        Lie::EmptyKey,
        Lie::HugeKey,
        Lie::OddKey,
    ] {
        rig.cloudcenter.lie(lie);
        let request = rig.stage.until("alice", &format!("{lie:?}"), failing).await;
        let reason = status_of(&request, "RenewalFailing").1;
        assert_eq!(reason, "UnexpectedAnswer", "{lie:?}");
        assert_eq!(status_of(&request, "Ready").0, "True", "{lie:?}");
        assert_eq!(rig.stage.published("alice").await, published, "{lie:?}");
        rig.cloudcenter.stop_lying();
        rig.stage.until("alice", "no failure", well).await;
    }
    // Who is hidden, or has gone, is not proven to have no key any more.
    rig.cloudcenter.delete_user(&rig.alice.id);
    let request = rig.stage.until("alice", "the user is gone", failing).await;
    assert_eq!(status_of(&request, "RenewalFailing").1, "Forbidden");
    assert_eq!(rig.stage.published("alice").await, published);

    // The list of users is walked to its end, and not believed when it has none.
    for (name, lie) in [
        ("again", Lie::FirstPageAgain),
        ("endless", Lie::EndlessPages),
    ] {
        // Each is another one: it is remembered where an address led.
        let email = format!("{name}@example.com");
        let user = rig.cloudcenter.add_user(&email, "1");
        rig.cloudcenter.lie(lie);
        let key = json!({"user": {"email": email}});
        rig.stage.apply(&rig.request(name, key, "1h")).await;
        let refused = |it: &CredentialRequest| status_of(it, "Ready").1 == "UnexpectedAnswer";
        rig.stage
            .until(name, "a list without an end", refused)
            .await;
        rig.cloudcenter.stop_lying();
        rig.stage.ready(name).await;
        assert_eq!(rig.stage.published(name).await, rig.expected(&user.id));
    }
    assert!(rig.listed() <= 2 * 510, "{} pages", rig.listed());
    rig.cloudcenter.lie(Lie::NoTotals);
    let carol = rig.cloudcenter.add_user("carol@example.com", "1");
    let key = json!({"user": {"email": "carol@example.com"}});
    rig.stage.apply(&rig.request("carol", key, "1h")).await;
    rig.stage.ready("carol").await;
    assert_eq!(rig.stage.published("carol").await, rig.expected(&carol.id));

    // An address that two users have is nobody's.
    rig.cloudcenter.add_user("dave@example.com", "1");
    rig.cloudcenter.add_user("Dave@example.com", "2");
    let key = json!({"user": {"email": "dave@example.com"}});
    rig.stage.apply(&rig.request("dave", key, "1h")).await;
    let twice = |it: &CredentialRequest| message_of(it, "Ready").contains("several users");
    rig.stage.until("dave", "found twice", twice).await;

    // A user who is disabled has no key that works.
    rig.cloudcenter.enable_user(&carol.id, false);
    rig.stage.annotate("carol", annotations::ROTATE, "1").await;
    let disabled = |it: &CredentialRequest| status_of(it, "RenewalFailing").1 == "Forbidden";
    rig.stage.until("carol", "disabled", disabled).await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_grant_is_about_is_not_read_and_gets_the_same_words_whether_or_not_it_exists() {
    let mut rig = Rig::new("cc-grants").await;
    let mallory = rig.cloudcenter.add_user("mallory@elsewhere.example", "1");
    let tenant = rig.cloudcenter.add_user("eve@example.com", "2");
    rig.stage
        .apply(&rig.provider(json!([{"email": "*@example.com"}])))
        .await;
    rig.stage.start().await;
    rig.stage
        .apply(&rig.request("alice", by_email(), "1h"))
        .await;
    rig.stage.ready("alice").await;
    let user = |user: Value| json!({ "user": user });
    let mut said = Vec::new();
    for (name, key) in [
        ("own", json!({})),
        // A pattern that fits the admin's own address is no grant for the admin's key.
        ("admin-by-id", user(json!({"id": rig.admin.id}))),
        (
            "admin-by-email",
            user(json!({"email": "admin@example.com"})),
        ),
        ("by-id", user(json!({"id": mallory.id}))),
        (
            "by-email",
            user(json!({"email": "mallory@elsewhere.example"})),
        ),
        ("not-there", user(json!({"email": "nobody@example.com"}))),
        ("no-such-id", user(json!({"id": "999999"}))),
    ] {
        rig.stage.apply(&rig.request(name, key, "1h")).await;
        let refused = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
        let request = rig.stage.until(name, "NotAllowed", refused).await;
        said.push(message_of(&request, "Ready").to_owned());
    }
    assert!(said.iter().all(|words| *words == said[0]), "{said:#?}");
    // A login that may not look at another tenant's users is told so only where a grant names them.
    rig.cloudcenter
        .set_rank(&rig.admin.id, testkit::cloudcenter::Rank::TenantAdmin);
    let hidden = user(json!({"id": tenant.id}));
    rig.stage.apply(&rig.request("hidden", hidden, "1h")).await;
    let refused = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
    let request = rig.stage.until("hidden", "NotAllowed", refused).await;
    assert_eq!(message_of(&request, "Ready"), said[0]);
    rig.stage
        .apply(&rig.provider(json!([{"email": "*@example.com"}, {"id": tenant.id}])))
        .await;
    let told = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "Forbidden");
    let request = rig.stage.until("hidden", "Forbidden", told).await;
    assert!(message_of(&request, "Ready").contains("tenant admin"));
    let keys = rig.cloudcenter.keys_of(&mallory.username);
    assert!(keys.iter().all(|key| key.shown == 0), "{keys:?}");
    let keys = rig.cloudcenter.keys_of(&tenant.username);
    assert!(keys.iter().all(|key| key.shown == 0), "{keys:?}");
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_narrowed_stops_the_readings_in_whatever_words_it_was_asked() {
    let mut rig = Rig::new("cc-narrow").await;
    rig.stage.start().await;
    let by_id = json!({"user": {"id": rig.alice.id}});
    for (name, key, other) in [
        ("by-email", by_email(), json!([{"id": "4711"}])),
        ("by-id", by_id, json!([{"email": "*@elsewhere.example"}])),
    ] {
        rig.stage.apply(&rig.request(name, key, "300ms")).await;
        rig.stage.ready(name).await;
        rig.stage.apply(&rig.provider(other)).await;
        let told = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
        rig.stage.until(name, "NotAllowed", told).await;
        rig.holds(name, &rig.alice.id).await;
        let again = json!([{"id": rig.alice.id}, {"email": "*@example.com"}]);
        rig.stage.apply(&rig.provider(again)).await;
        let well = |it: &CredentialRequest| status_of(it, "Ready") == ("True", "Synced");
        rig.stage.until(name, "Ready", well).await;
    }
    rig.finish().await;
}
