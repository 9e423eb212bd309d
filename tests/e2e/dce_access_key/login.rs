//! A key that is itself what the provider logs in with.

use testkit::wire::Fault;

use super::*;
use crate::stage::{message_of, status_of};

impl Rig {
    /// Has the provider log in with the Secret of a request of the team's.
    async fn log_in_with(&self, name: &str) {
        let mut provider = self.provider();
        provider["spec"]["dce"]["auth"]["accessKey"]["secretRef"] =
            json!({"namespace": self.stage.team, "name": name});
        self.stage.apply(&provider).await;
        eventually(SOON, || async {
            let providers: Api<ClusterCredentialProvider> = Api::all(self.stage.client.clone());
            let provider = providers.get(&self.name()).await?;
            let status = provider.status.clone().unwrap_or_default();
            anyhow::ensure!(status.observed_generation == provider.metadata.generation);
            let ready = in_conditions(&status.conditions, "Ready");
            anyhow::ensure!(ready == ("True", "LoginWorks"), "{status:?}");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// What the calls to DCE that delete something were made with, by the ids of the keys: who deleted
    /// whom.
    fn deleted(&self) -> Vec<(String, String)> {
        let keys = self.stage.dce.access_keys();
        let calls = self.wire.calls_where(|call| call.method == "DELETE");
        let deleted = calls.into_iter().map(|call| {
            let bearer = call.headers["authorization"].to_str().unwrap();
            let token = bearer.strip_prefix("Bearer ").unwrap();
            let by = keys.iter().find(|key| key.token == token).unwrap();
            let (_, id) = call.path.rsplit_once('/').unwrap();
            (by.id.clone(), id.to_owned())
        });
        deleted.collect()
    }
}

/// A request whose Secret is the login, and outlives it.
fn keeper(rig: &Rig, name: &str, overlap: u64) -> Value {
    let mut request = rig.request(name, overlap);
    request["spec"]["deletionPolicy"] = json!("Retain");
    request
}

/// Has the login go with the request that keeps it.
async fn let_go(rig: &Rig, name: &str) {
    rig.stage.apply(&rig.request(name, 1)).await;
    eventually(SOON, || async {
        let secret = rig.stage.secret(name).await;
        anyhow::ensure!(!secret.owner_references().is_empty());
        Ok(())
    })
    .await
    .unwrap();
}

/// A Secret that the team has made ready to be the provider's login and a request's target at once.
async fn bootstrap(rig: &Rig) {
    rig.stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "bot", "namespace": rig.stage.team,
                "annotations": {
                    "credential-operator.dev/login-for": rig.wire.url(),
                    "credential-operator.dev/adopt-by": "bot",
                },
            },
            "stringData": {"token": rig.login.token},
        }))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_a_request_keeps_follows_its_rotations() {
    let mut rig = Rig::new("dce-own").await;
    bootstrap(&rig).await;
    rig.stage.start().await;
    rig.log_in_with("bot").await;
    // The login would go with the request.
    rig.stage.apply(&rig.request("bot", 2000)).await;
    let refused = |it: &CredentialRequest| status_of(it, "Ready") == ("False", "WouldBreakLogin");
    rig.stage.until("bot", "WouldBreakLogin", refused).await;
    assert_eq!(
        value(&rig.stage.secret("bot").await, "token"),
        rig.login.token
    );
    rig.stage.apply(&keeper(&rig, "bot", 2000)).await;
    rig.stage.apply(&rig.request("other", 1)).await;
    rig.stage.ready("bot").await;
    rig.stage.ready("other").await;
    let mut before = rig.key("bot").await;
    assert!(before.name.starts_with("credential-operator-"));
    for (round, overlap) in [(2, 2000), (3, 1)] {
        rig.stage.apply(&keeper(&rig, "bot", overlap)).await;
        rig.rotate("bot", &round.to_string()).await;
        rig.until("bot", round, 1).await;
        let after = rig.key("bot").await;
        assert!(!rig.works(&before) && rig.works(&after));
        // The old one was deleted with the new one, which had logged in before.
        assert_eq!(
            rig.deleted().last(),
            Some(&(after.id.clone(), before.id.clone()))
        );
        rig.rotate("other", &round.to_string()).await;
        rig.until("other", round, 1).await;
        before = after;
    }
    // After a leak there is no overlap at all, and all the same the login is first.
    rig.stage
        .annotate("bot", "credential-operator.dev/revoke-retiring", "1")
        .await;
    rig.until("bot", 4, 1).await;
    let after = rig.key("bot").await;
    assert!(!rig.works(&before) && rig.works(&after));
    for (by, whom) in rig.deleted() {
        assert_ne!(by, whom, "a key deleted itself");
    }
    let refused = rig.wire.calls_where(|call| call.status == Some(401));
    assert_eq!(refused.len(), 0, "no call was made with a key that is gone");

    // It is not deleted as long as the provider logs in with it, and the others go.
    rig.remove("other").await;
    let_go(&rig, "bot").await;
    rig.delete("bot").await;
    let waits = |it: &CredentialRequest| message_of(it, "Ready").contains("logs in with");
    rig.stage.until("bot", "it waits", waits).await;
    assert!(rig.works(&after));
    rig.stage.apply(&rig.provider()).await;
    rig.stage.gone::<CredentialRequest>("bot").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_key_outlives_a_login_with_the_new_one_that_fails() {
    let mut rig = Rig::new("dce-own-bad").await;
    bootstrap(&rig).await;
    rig.stage.start().await;
    rig.log_in_with("bot").await;
    rig.stage.apply(&keeper(&rig, "bot", 1)).await;
    rig.stage.ready("bot").await;
    let old = rig.key("bot").await;
    // DCE's gateway does not take the new key yet, once it has been proven and published.
    let bearer = format!("Bearer {}", old.token);
    let proofs = std::sync::atomic::AtomicUsize::new(0);
    let unavailable = rig.wire.rule(
        move |call| {
            let is_new = call
                .headers
                .get("authorization")
                .is_some_and(|it| *it != *bearer);
            is_new && proofs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0
        },
        Fault::Reply(testkit::wire::ResponseParts::text(
            401,
            "Jwt verification fails",
        )),
        None,
    );
    rig.rotate("bot", "1").await;
    rig.until("bot", 2, 2).await;
    unavailable.hit(SOON).await.unwrap();
    let providers: Api<ClusterCredentialProvider> = Api::all(rig.stage.client.clone());
    eventually(SOON, || async {
        let provider = providers.get(&rig.name()).await?;
        let conditions = provider.status.unwrap_or_default().conditions;
        anyhow::ensure!(in_conditions(&conditions, "Ready").1 == "LoginRefused");
        Ok(())
    })
    .await
    .unwrap();
    assert!(rig.works(&old), "nobody has logged in with the new one");
    assert_eq!(rig.deleted(), []);
    unavailable.remove();
    // Whoever touches the Secret has it tried again at once.
    let touch = json!({"metadata": {"annotations": {"touched": "yes"}}});
    let secrets = rig.stage.api::<Secret>();
    let patch = kube::api::Patch::Merge(&touch);
    secrets
        .patch("bot", &Default::default(), &patch)
        .await
        .unwrap();
    rig.until("bot", 2, 1).await;
    assert!(!rig.works(&old));
    rig.stage.apply(&rig.provider()).await;
    let_go(&rig, "bot").await;
    rig.remove("bot").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}

/// Waits until what is made now is told apart from what is made next: a mere token says to the second when
/// it was made, and may be off by one.
async fn seconds_later() {
    let now = || credential_operator::clock::now().as_second();
    let begun = now();
    eventually(SOON, || async {
        anyhow::ensure!(now() > begun + 3);
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_somebody_has_copied_into_the_login_is_not_deleted() {
    let mut rig = Rig::new("dce-copied").await;
    rig.stage.start().await;
    seconds_later().await;
    rig.stage.apply(&rig.request("key", 1)).await;
    rig.stage.ready("key").await;
    let copied = rig.key("key").await;
    seconds_later().await;
    rig.write_login("dce-bot", &copied).await;
    rig.provider_ready().await;
    rig.rotate("key", "1").await;
    let told = |it: &CredentialRequest| {
        let words = message_of(it, "RevocationFailing");
        status_of(it, "RevocationFailing") == ("True", "Forbidden")
            && words.contains("logs in with")
    };
    let rotated = rig.stage.until("key", "told", told).await;
    assert_eq!(status_of(&rotated, "Ready").0, "True");
    let new = rig.key("key").await;
    assert_ne!(new.id, copied.id);
    assert!(rig.works(&new) && rig.works(&copied));
    // All that the provider is for goes on.
    rig.stage.apply(&rig.request("other", 1)).await;
    rig.stage.ready("other").await;
    rig.remove("other").await;
    rig.write_login("dce-bot", &rig.login).await;
    rig.until("key", 2, 1).await;
    assert!(!rig.works(&copied) && rig.works(&new));
    rig.remove("key").await;
    assert_eq!(rig.made(), []);
    rig.finish().await;
}
