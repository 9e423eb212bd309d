//! Keys that are made anew, which destroys the ones before: once for each value of the annotation, whatever
//! happens to the call.

use testkit::server::Fault;

use super::*;

/// The call that destroys a key.
const GENERATE: &str = "POST /v1/users/*/keys";

impl Rig {
    /// A grant that allows it for these users.
    fn regenerating(&self, users: Value) -> Value {
        let mut provider = self.provider(users);
        provider["spec"]["allow"][0]["cloudCenter"]["regenerate"] = json!(true);
        provider
    }

    fn generated(&self) -> u64 {
        self.cloudcenter.counts().generated
    }

    fn generate_asked(&self) -> u64 {
        self.cloudcenter.counts().generate_asked
    }

    async fn rotate(&self, name: &str, value: &str) {
        self.stage.annotate(name, annotations::ROTATE, value).await;
    }

    /// Waits until a value is carried out.
    async fn rotated(&self, name: &str, value: &str) -> CredentialRequest {
        let carried_out = |it: &CredentialRequest| {
            let status = it.status.as_ref().unwrap();
            status.rotated.as_deref() == Some(value) && status.regeneration.is_none()
        };
        self.stage
            .until(name, &format!("{value} carried out"), carried_out)
            .await
    }

    /// Waits until a value is used up in vain.
    async fn not_regenerated(&self, name: &str) -> CredentialRequest {
        let failed =
            |it: &CredentialRequest| status_of(it, "RenewalFailing") == ("True", "NotRegenerated");
        let request = self.stage.until(name, "NotRegenerated", failed).await;
        assert_eq!(status_of(&request, "Ready").0, "True");
        request
    }
}

fn anew(user: Value) -> Value {
    json!({"user": user, "onRotate": "Regenerate"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_anew_once_for_each_value_of_the_annotation() {
    let mut rig = Rig::new("cc-anew").await;
    rig.stage
        .apply(&rig.regenerating(json!([{"id": rig.alice.id}])))
        .await;
    rig.stage.start().await;
    // What stands there from the beginning is no wish for another one.
    let mut request = rig.request("alice", anew(json!({"id": rig.alice.id})), "200ms");
    request["metadata"]["annotations"] = json!({annotations::ROTATE: "0"});
    rig.stage.apply(&request).await;
    rig.stage.ready("alice").await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    let since = rig.cloudcenter.counts().key_reads;
    rig.readings(since, 20).await;
    assert_eq!(rig.generate_asked(), 0);

    let mark = rig.stage.wire.mark();
    rig.rotate("alice", "1").await;
    rig.rotated("alice", "1").await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    assert_eq!(rig.generated(), 1);
    // Written down before, published, and acknowledged.
    let changes = rig.stage.changes_since(mark);
    assert_eq!(changes["patch credentialrequests/status"], 2, "{changes:?}");
    assert_eq!(changes["patch secrets"], 1, "{changes:?}");
    let events = rig.stage.events().await;
    assert!(
        events.iter().any(|event| event.contains("Regenerating")),
        "{events:?}"
    );

    // A restart, and many readings, make none.
    rig.stage.kill();
    rig.stage.start().await;
    let since = rig.cloudcenter.counts().key_reads;
    rig.readings(since, 20).await;
    assert_eq!(rig.generate_asked(), 1);

    // A key that somebody else makes is read, and costs none.
    rig.cloudcenter.change_key(&rig.alice.id);
    rig.holds("alice", &rig.alice.id).await;
    assert_eq!(rig.generate_asked(), 1);

    // Neither does a Secret that is deleted.
    let secrets = rig.stage.api::<k8s_openapi::api::core::v1::Secret>();
    secrets.delete("alice", &Default::default()).await.unwrap();
    eventually(SOON, || async {
        anyhow::ensure!(secrets.get_opt("alice").await?.is_some());
        Ok(())
    })
    .await
    .unwrap();
    rig.holds("alice", &rig.alice.id).await;
    rig.rotate("alice", "2").await;
    rig.rotated("alice", "2").await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    assert_eq!(rig.generated(), 2);
    // Neither does going back to an earlier value, nor an older Secret that was put back.
    rig.rotate("alice", "1").await;
    let since = rig.cloudcenter.counts().key_reads;
    rig.readings(since, 20).await;
    rig.rotate("alice", "2").await;
    rig.stage.kill();
    let older = json!({"metadata": {"annotations": {annotations::ROTATION: "1"}}});
    let patch = kube::api::Patch::Merge(&older);
    secrets
        .patch("alice", &Default::default(), &patch)
        .await
        .unwrap();
    rig.stage.start().await;
    let since = rig.cloudcenter.counts().key_reads;
    rig.readings(since, 20).await;
    rig.rotated("alice", "2").await;
    assert_eq!(rig.generate_asked(), 2);

    // What cannot be published is not made.
    let fixed = kube::api::Patch::Merge(json!({"immutable": true}));
    secrets
        .patch("alice", &Default::default(), &fixed)
        .await
        .unwrap();
    rig.rotate("alice", "3").await;
    let immutable =
        |it: &CredentialRequest| status_of(it, "Stalled") == ("True", "TargetImmutable");
    rig.stage.until("alice", "TargetImmutable", immutable).await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    assert_eq!(rig.generate_asked(), 2);
    secrets.delete("alice", &Default::default()).await.unwrap();
    rig.rotated("alice", "3").await;
    assert_eq!(rig.generated(), 3);
    rig.holds("alice", &rig.alice.id).await;
    rig.finish_after(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_call_it_is_not_made_twice() {
    let mut rig = Rig::new("cc-once").await;
    rig.stage
        .apply(&rig.regenerating(json!([{"email": "*@example.com"}])))
        .await;
    rig.stage.start().await;
    let request = rig.request("alice", anew(json!({"id": rig.alice.id})), "1h");
    rig.stage.apply(&request).await;
    rig.stage.ready("alice").await;
    let faults = || rig.cloudcenter.server().faults();

    // Done, and the answer is lost: the key is read.
    faults().push_n(GENERATE, Fault::LoseAnswer, 1);
    rig.rotate("alice", "lost").await;
    rig.rotated("alice", "lost").await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    assert_eq!((rig.generated(), rig.generate_asked()), (1, 1));

    // Done, and the answer makes no sense.
    rig.cloudcenter.lie(Lie::NoKey);
    rig.rotate("alice", "nonsense").await;
    eventually(SOON, || async {
        anyhow::ensure!(rig.generated() == 2);
        Ok(())
    })
    .await
    .unwrap();
    rig.cloudcenter.stop_lying();
    rig.rotated("alice", "nonsense").await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    assert_eq!((rig.generated(), rig.generate_asked()), (2, 2));

    // Perhaps not done: the key is read for a while, turns out to be the same, and that is said.
    let before = rig.stage.published("alice").await;
    let mut others = Vec::new();
    for (name, fault) in [
        ("cut", Fault::CutConnection),
        ("gateway", Fault::Html(502)),
        ("away", Fault::Redirect("http://127.0.0.1:9/".into())),
        ("late", Fault::CutConnection),
    ] {
        let user = rig
            .cloudcenter
            .add_user(&format!("{name}@example.com"), "1");
        let request = rig.request(name, anew(json!({"id": user.id})), "1h");
        rig.stage.apply(&request).await;
        rig.stage.ready(name).await;
        let asked = rig.generate_asked();
        faults().push_n(GENERATE, fault, 1);
        rig.rotate(name, "1").await;
        eventually(SOON, || async {
            anyhow::ensure!(rig.generate_asked() == asked + 1);
            Ok(())
        })
        .await
        .unwrap();
        others.push((name, user));
    }
    let asked = rig.generate_asked();
    // It is done after all, long after it was given up on.
    let (late, user) = others.pop().unwrap();
    rig.cloudcenter.change_key(&user.id);
    rig.rotated(late, "1").await;
    assert_eq!(rig.stage.published(late).await, rig.expected(&user.id));
    for (name, user) in others {
        let request = rig.not_regenerated(name).await;
        let message = message_of(&request, "RenewalFailing");
        assert!(message.contains("no other key has been seen"), "{message}");
        assert_eq!(rig.stage.published(name).await, rig.expected(&user.id));
    }
    assert_eq!(rig.generate_asked(), asked);

    // Refused: that is said, and what comes of another value is.
    rig.cloudcenter
        .set_rank(&rig.admin.id, testkit::cloudcenter::Rank::TenantAdmin);
    faults().push_n(
        GENERATE,
        Fault::status(403, "application/json", r#"{"errors": []}"#),
        1,
    );
    rig.rotate("alice", "refused").await;
    let refused = |it: &CredentialRequest| message_of(it, "RenewalFailing").contains("HTTP 403");
    rig.stage.until("alice", "refused", refused).await;
    assert_eq!(rig.stage.published("alice").await, before);

    // Not done for certain: told again when it is time to.
    let asked = rig.generate_asked();
    let later = Fault::RetryAfter {
        status: 429,
        header_value: Some("1".into()),
    };
    faults().push_n(GENERATE, later, 1);
    rig.rotate("alice", "later").await;
    rig.rotated("alice", "later").await;
    assert_eq!(rig.generate_asked(), asked + 2);
    assert_eq!(rig.generated(), 3);
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );

    // The operator dies while CloudCenter does it.
    faults().set(GENERATE, Fault::Hang);
    let asked = rig.generate_asked();
    rig.rotate("alice", "killed").await;
    eventually(SOON, || async {
        anyhow::ensure!(rig.generate_asked() == asked + 1);
        Ok(())
    })
    .await
    .unwrap();
    rig.stage.kill();
    faults().remove(GENERATE);
    rig.cloudcenter.change_key(&rig.alice.id);
    rig.stage.start().await;
    rig.rotated("alice", "killed").await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    assert_eq!(rig.generate_asked(), asked + 1);
    let generated = rig.generated();
    rig.finish_after(generated).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_a_grant_and_does_not_shut_the_operator_out() {
    let mut rig = Rig::new("cc-anew-own").await;
    rig.stage.start().await;
    let alice = || anew(json!({"id": rig.alice.id}));
    rig.stage
        .apply(&rig.request("alice", alice(), "300ms"))
        .await;
    let refused = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "NotAllowed");
    let request = rig.stage.until("alice", "NotAllowed", refused).await;
    assert!(
        message_of(&request, "Ready").contains("regenerate: true"),
        "{}",
        message_of(&request, "Ready")
    );
    rig.stage
        .apply(&rig.regenerating(json!([{"id": rig.alice.id}, {"self": true}])))
        .await;
    rig.stage.ready("alice").await;

    // The login's own user, by whatever name.
    for (name, user) in [
        ("by-id", json!({"id": rig.admin.id})),
        ("by-email", json!({"email": "admin@example.com"})),
    ] {
        rig.stage
            .apply(&rig.request(name, anew(user), "300ms"))
            .await;
        let would = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "WouldBreakLogin");
        rig.stage.until(name, "WouldBreakLogin", would).await;
        rig.rotate(name, "1").await;
    }
    // As its message says.
    let read = json!({"user": {"id": rig.admin.id}, "onRotate": "Read"});
    rig.stage.apply(&rig.request("by-id", read, "300ms")).await;
    rig.stage.ready("by-id").await;
    assert_eq!(
        rig.stage.published("by-id").await,
        rig.expected(&rig.admin.id)
    );
    // A grant that is withdrawn: nothing is made, and the key stays.
    rig.stage
        .apply(&rig.provider(json!([{"id": rig.alice.id}, {"self": true}])))
        .await;
    rig.stage.until("alice", "NotAllowed", refused).await;
    rig.rotate("alice", "1").await;
    rig.stage.until("alice", "NotAllowed", refused).await;
    assert_eq!(
        rig.stage.published("alice").await,
        rig.expected(&rig.alice.id)
    );
    assert_eq!(rig.generate_asked(), 0);

    // Where the request writes the login Secret itself, the login follows.
    let mut provider = rig.regenerating(json!([{"id": rig.alice.id}, {"self": true}]));
    let secret = json!({"namespace": rig.stage.team, "name": "own-login"});
    provider["spec"]["cloudCenter"]["auth"]["apiKey"]["secretRef"] = secret;
    let admin = rig.cloudcenter.account(&rig.admin.id);
    rig.stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "own-login", "namespace": rig.stage.team,
                "annotations": {
                    "credential-operator.dev/login-for": rig.cloudcenter.endpoint(),
                    "credential-operator.dev/adopt-by": "own",
                },
            },
            "stringData": {"username": admin.username, "key": admin.key},
        }))
        .await;
    rig.stage.apply(&provider).await;
    let mut own = rig.request("own", anew(json!({"id": rig.admin.id})), "300ms");
    own["spec"]["secret"] = json!({"name": "own-login"});
    // It would take the login along when it is deleted.
    rig.stage.apply(&own).await;
    let would = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "WouldBreakLogin");
    rig.stage.until("own", "WouldBreakLogin", would).await;
    own["spec"]["deletionPolicy"] = json!("Retain");
    rig.stage.apply(&own).await;
    rig.stage.ready("own").await;
    rig.rotate("own", "1").await;
    rig.rotated("own", "1").await;
    assert_eq!(
        rig.stage.published("own-login").await,
        rig.expected(&rig.admin.id)
    );
    // Alice's, which was asked for above, and the login's.
    rig.rotated("alice", "1").await;
    assert_eq!(rig.generated(), 2);
    // The operator goes on with the new one.
    rig.cloudcenter.change_key(&rig.alice.id);
    rig.holds("alice", &rig.alice.id).await;

    // Somebody has a new key made in the portal, and corrects the login by hand: that is not undone.
    rig.cloudcenter.change_key(&rig.admin.id);
    let dead = |it: &CredentialRequest| status_of(it, "RenewalFailing") == ("True", "LoginRefused");
    rig.stage.until("alice", "LoginRefused", dead).await;
    let corrected = json!({"stringData": {"key": rig.cloudcenter.account(&rig.admin.id).key}});
    let secrets = rig.stage.api::<k8s_openapi::api::core::v1::Secret>();
    let patch = kube::api::Patch::Merge(&corrected);
    secrets
        .patch("own-login", &Default::default(), &patch)
        .await
        .unwrap();
    rig.holds("own-login", &rig.admin.id).await;
    let well = |it: &CredentialRequest| status_of(it, "RenewalFailing").0 == "False";
    rig.stage.until("alice", "no failure", well).await;
    // The login outlives the request that wrote it.
    rig.stage
        .requests()
        .delete("own", &Default::default())
        .await
        .unwrap();
    rig.stage.gone::<CredentialRequest>("own").await;
    rig.cloudcenter.change_key(&rig.alice.id);
    rig.holds("alice", &rig.alice.id).await;
    rig.finish_after(2).await;
}
