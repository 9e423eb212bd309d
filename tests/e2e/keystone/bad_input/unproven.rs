//! What Keystone issues and then does not stand by is not published, and does not stay.

use testkit::wire::{Fault, ResponseParts, RuleHandle};

use super::*;

/// Keystone shows pairs with another secret than they were made with.
fn pairs_of_another_secret(rig: &Rig) -> RuleHandle {
    let other = |mut answer: ResponseParts| {
        if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body)
            && body["credential"]["secret"].is_string()
        {
            body["credential"]["secret"] = json!("another-secret-than-was-sent");
            answer.body = body.to_string().into();
        }
        answer
    };
    let shows =
        |call: &CallHead| call.method == "GET" && call.path.contains("/credentials/OS-EC2/");
    rig.wire.rule(shows, Fault::rewrite(other), None)
}

/// Keystone refuses logins with application credentials, in its own words.
fn application_credentials_refused(rig: &Rig) -> RuleHandle {
    let words = json!({"error": {
        "code": 401, "title": "Unauthorized",
        "message": "The request you have made requires authentication.",
    }});
    let refusal = Fault::Reply(ResponseParts::json(401, &words));
    rig.wire.rule(proves, refusal, None)
}

/// Whether a call is a login with an application credential; the operator's own is with a password.
fn proves(call: &CallHead) -> bool {
    let login = call.method == "POST" && call.path == "/v3/auth/tokens";
    login && String::from_utf8_lossy(&call.request_body).contains("application_credential")
}

/// How many credentials were asked for since a mark.
fn issues_since(rig: &Rig, mark: testkit::wire::Mark) -> usize {
    let mut calls = rig.wire.since(mark);
    calls.retain(|call| {
        let last = call.path.rsplit('/').next().unwrap_or_default();
        call.method == "POST" && ["credentials", "application_credentials"].contains(&last)
    });
    calls.len()
}

/// The ids of what is alive, of either kind.
async fn alive(rig: &Rig) -> Vec<String> {
    let pairs = rig.pairs().await.into_iter().map(|one| one.id);
    let apps = rig.application_credentials().await;
    pairs.chain(apps.into_iter().map(|one| one.id)).collect()
}

/// Waits until nothing is alive but this.
async fn alone_is_alive(rig: &Rig, ids: &[String]) {
    eventually(SOON, || async {
        let alive = alive(rig).await;
        anyhow::ensure!(alive == ids, "alive: {alive:?}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn is_not_published(mut rig: Rig, mut request: Value, fault: impl Fn(&Rig) -> RuleHandle) {
    request["metadata"]["name"] = json!("it");
    request["spec"]["renewal"] = json!({"overlap": "1s"});
    rig.stage.start().await;
    rig.stage.apply(&request).await;
    rig.stage.ready("it").await;
    let good = rig.stage.secret("it").await;
    let held = vec![good.annotations()["credential-operator.dev/credential-id"].clone()];
    assert_eq!(alive(&rig).await, held);

    let fault = fault(&rig);
    let mark = rig.wire.mark();
    rig.stage
        .annotate("it", "credential-operator.dev/rotate", "1")
        .await;
    let failing = rig
        .stage
        .until("it", "VerificationFailed", |request| {
            status_of(request, "RenewalFailing") == ("True", "VerificationFailed")
        })
        .await;
    assert_eq!(status_of(&failing, "Ready"), ("True", "Synced"));
    let said = message_of(&failing, "RenewalFailing");
    assert!(said.contains("it is not published"), "{said}");
    Again::Soon.check("it", &failing, "VerificationFailed");
    alone_is_alive(&rig, &held).await;
    // Each attempt is made later than the one before, and leaves nothing behind.
    let failure = |request: &CredentialRequest| request.status.as_ref()?.failure.clone();
    let third = rig
        .stage
        .until("it", "a third attempt", |request| {
            failure(request).is_some_and(|failure| failure.attempts >= 3)
        })
        .await;
    let attempts = failure(&third).unwrap().attempts as usize;
    let issues = issues_since(&rig, mark);
    assert!(
        (attempts..=attempts + 1).contains(&issues),
        "{issues} in {attempts} attempts"
    );
    Again::Soon.check("it", &third, "VerificationFailed");
    alone_is_alive(&rig, &held).await;
    let kept = rig.stage.secret("it").await;
    assert_eq!(
        (&kept.data, &kept.metadata.resource_version),
        (&good.data, &good.metadata.resource_version)
    );

    // Where there was nothing before, there is nothing.
    request["metadata"]["name"] = json!("fresh");
    rig.stage.apply(&request).await;
    refused(&rig, "fresh", "VerificationFailed").await;
    let fresh = rig.stage.api::<Secret>().get_opt("fresh").await.unwrap();
    assert!(fresh.is_none(), "nothing is published");
    alone_is_alive(&rig, &held).await;

    fault.remove();
    rig.stage
        .annotate("it", "credential-operator.dev/rotate", "2")
        .await;
    rig.stage
        .until("it", "rotated and tidied up", |request| {
            let status = request.status.as_ref().unwrap();
            status.rotated.as_deref() == Some("2") && status.credentials.len() == 1
        })
        .await;
    rig.stage.ready("fresh").await;
    for name in ["it", "fresh"] {
        rig.delete(name).await;
        rig.gone(name).await;
    }
    assert!(alive(&rig).await.is_empty());
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_is_shown_with_another_secret_is_not_published() {
    let rig = Rig::simulated("ks-unproven").await;
    let request = rig.access_key("it");
    is_not_published(rig, request, pairs_of_another_secret).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_credential_that_keystone_refuses_is_not_published() {
    let rig = Rig::simulated("ks-unproven-app").await;
    let request = rig.application_credential("it");
    is_not_published(rig, request, application_credentials_refused).await;
}

/// The proof of an application credential is a login with it, and not with the provider's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_refuses_the_proof_says_nothing_about_the_provider_s_login() {
    let mut rig = Rig::new("ks-gateway-proof").await;
    rig.stage.start().await;
    let mut request = rig.application_credential("it");
    request["spec"]["renewal"] = json!({"overlap": "1s"});
    rig.stage.apply(&request).await;
    rig.stage.ready("it").await;
    let page = ResponseParts::text(401, "<html>401 Authorization Required</html>")
        .with_header("content-type", "text/html");
    let gateway = rig.wire.rule(proves, Fault::Reply(page), None);
    rig.stage
        .annotate("it", "credential-operator.dev/rotate", "1")
        .await;
    gateway.hit_times(2, SOON).await.unwrap();
    let failing = rig
        .stage
        .until("it", "RenewalFailing", |request| {
            status_of(request, "RenewalFailing").0 == "True"
        })
        .await;
    assert_ne!(status_of(&failing, "RenewalFailing").1, "LoginRefused");
    rig.provider_ready().await;
    assert!(rig.application_credentials().await.len() <= 2);
    // Nobody has to do anything for it to go on.
    gateway.remove();
    rig.stage
        .until("it", "rotated and tidied up", |request| {
            let status = request.status.as_ref().unwrap();
            status.rotated.as_deref() == Some("1") && status.credentials.len() == 1
        })
        .await;
    assert_eq!(rig.application_credentials().await.len(), 1);
    rig.finish().await;
}

/// At a Keystone that takes longer for a revocation than a pass waits for it.
async fn slow(name: &str) -> Rig {
    let rig = Rig::new(name).await;
    let revokes = |call: &CallHead| call.method == "DELETE";
    let slowly = Fault::Delay(Duration::from_millis(400));
    rig.wire.rule(revokes, slowly, None);
    rig
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_slow_keystone_neither_is_a_pair_of_another_secret() {
    let rig = slow("ks-slow-unproven").await;
    let request = rig.access_key("it");
    is_not_published(rig, request, pairs_of_another_secret).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_slow_keystone_neither_is_an_application_credential_that_is_refused() {
    let rig = slow("ks-slow-unproven-app").await;
    let request = rig.application_credential("it");
    is_not_published(rig, request, application_credentials_refused).await;
}
