//! What Keystone answers and what is there already: not now, no more, taken.

use testkit::{
    keystone::Quota,
    wire::{Fault, ResponseParts},
};

use super::*;

/// Waits until a renewal fails, which keeps what is published.
async fn renewal_fails(rig: &Rig, name: &str, reason: &str) -> CredentialRequest {
    let failing =
        |request: &CredentialRequest| status_of(request, "RenewalFailing") == ("True", reason);
    let request = rig.stage.until(name, reason, failing).await;
    assert_eq!(status_of(&request, "Ready"), ("True", "Synced"), "{reason}");
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_keystone_that_mean_not_now_keep_what_is_published() {
    let mut rig = Rig::new("ks-answers").await;
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["renewal"] = json!({"overlap": "1s"});
    rig.stage.apply(&request).await;
    rig.stage.ready("s3").await;
    let published = rig.pair("s3").await;
    let quota = json!({"error": {
        "code": 403, "title": "Forbidden",
        "message": "Unable to create additional credentials, maximum of 1 already exceeded for user.",
    }});
    let html = |status| {
        ResponseParts::text(status, "<html>no</html>").with_header("content-type", "text/html")
    };
    for (number, (reply, reason, again)) in [
        (
            ResponseParts::json(403, &quota),
            "QuotaExceeded",
            Again::InTenMinutes,
        ),
        (html(502), "ProviderUnavailable", Again::Soon),
        (
            html(429).with_header("retry-after", "7"),
            "RateLimited",
            Again::SomeTime,
        ),
        (
            ResponseParts::json(201, &json!({})),
            "UnexpectedAnswer",
            Again::Soon,
        ),
        (
            ResponseParts::text(201, "null"),
            "UnexpectedAnswer",
            Again::Soon,
        ),
        (
            html(302).with_header("location", "https://evil.example.com"),
            "UnexpectedAnswer",
            Again::Soon,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = rig.wire.rule(
            |call| call.method == "POST" && call.path == "/v3/credentials",
            Fault::Reply(reply),
            None,
        );
        rig.stage
            .annotate("s3", "credential-operator.dev/rotate", &number.to_string())
            .await;
        let request = renewal_fails(&rig, "s3", reason).await;
        again.check("s3", &request, reason);
        assert_eq!(
            rig.pair("s3").await,
            published,
            "{reason}: the last good Secret stays"
        );
        rule.remove();
    }
    assert!(rig.accepts(&published).await);
    // Somebody asks again, and it works.
    rig.stage
        .annotate("s3", "credential-operator.dev/rotate", "now")
        .await;
    rig.stage
        .until("s3", "rotated", |request| {
            request.status.as_ref().unwrap().rotated.as_deref() == Some("now")
        })
        .await;
    rig.finish().await;
}

/// The quota of either kind is full, and has room again.
async fn full_quota(mut rig: Rig) {
    let Cloud::Simulated(simulator) = &rig.cloud else {
        panic!("a simulator");
    };
    rig.stage.start().await;
    for mut request in [rig.access_key("s3"), rig.application_credential("app")] {
        request["spec"]["renewal"] = json!({"overlap": "1s"});
        rig.stage.apply(&request).await;
    }
    let good = [("s3", "credentials"), ("app", "application_credentials")];
    let mut secrets = Vec::new();
    for (name, _) in good {
        rig.stage.ready(name).await;
        secrets.push(rig.stage.secret(name).await);
    }
    let quota = |most| Quota {
        pairs: most,
        application_credentials: most,
    };
    simulator.set_quota(&rig.user.id, quota(Some(1)));
    let mark = rig.wire.mark();
    for (name, _) in good {
        rig.stage
            .annotate(name, "credential-operator.dev/rotate", "1")
            .await;
    }
    for request in [
        rig.access_key("more"),
        rig.application_credential("more-app"),
    ] {
        rig.stage.apply(&request).await;
    }
    for ((name, _), secret) in good.into_iter().zip(&secrets) {
        let request = renewal_fails(&rig, name, "QuotaExceeded").await;
        Again::InTenMinutes.check(name, &request, "QuotaExceeded");
        assert_eq!(&rig.stage.secret(name).await, secret, "{name}");
    }
    for name in ["more", "more-app"] {
        let request = refused_request(&rig, name, "QuotaExceeded").await;
        Again::InTenMinutes.check(name, &request, "QuotaExceeded");
        let said = message_of(&request, "Ready");
        assert!(said.contains("no more credentials of this kind"), "{said}");
    }
    for (_, path) in good {
        let asked = |call: &testkit::wire::Call| {
            call.method == "POST" && call.path.ends_with(&format!("/{path}"))
        };
        let asked = rig.wire.since(mark).into_iter().filter(asked);
        assert_eq!(asked.count(), 2, "each was asked for once: {path}");
    }
    assert_eq!(rig.pairs().await.len(), 1);
    assert_eq!(rig.application_credentials().await.len(), 1);

    // Somebody makes room and asks again.
    simulator.set_quota(&rig.user.id, quota(None));
    for name in ["s3", "app", "more", "more-app"] {
        rig.stage
            .annotate(name, "credential-operator.dev/rotate", "2")
            .await;
    }
    for name in ["s3", "app", "more", "more-app"] {
        rig.stage
            .until(name, "issued, and tidied up", |request| {
                let status = request.status.as_ref().unwrap();
                status_of(request, "Ready") == ("True", "Synced")
                    && status.rotated.as_deref() == Some("2")
                    && status.credentials.len() == 1
            })
            .await;
    }
    assert_eq!(rig.pairs().await.len(), 2);
    assert_eq!(rig.application_credentials().await.len(), 2);
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_of_either_kind_keeps_what_is_published_and_is_asked_again_rarely() {
    full_quota(Rig::simulated("ks-quota").await).await;
}

/// What an attempt may have left behind is looked for, and that takes longer than a pass waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn at_a_slow_keystone_a_full_quota_is_asked_again_as_rarely() {
    let rig = Rig::simulated("ks-slow-quota").await;
    let looks = |call: &CallHead| {
        let listed = call.path.ends_with("/application_credentials");
        call.method == "GET" && (listed || call.path.contains("/credentials/OS-EC2/"))
    };
    let slowly = Fault::Delay(Duration::from_millis(400));
    rig.wire.rule(looks, slowly, None);
    full_quota(rig).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_name_that_is_taken_by_somebody_else_is_skipped() {
    let mut rig = Rig::new("ks-taken").await;
    let squatter = rig
        .cloud
        .create_user(&format!("squatter-{}", rig.project))
        .await;
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["suspend"] = json!(true);
    rig.stage.apply(&request).await;
    let created = rig.stage.requests().get("s3").await.unwrap();
    let access = identity::access_key(&derived(&rig, &created, 1));
    let theirs = rig
        .admin()
        .create_credential(&squatter.id, &rig.project_id, &access, "known-to-them")
        .await
        .unwrap();
    request["spec"]["suspend"] = json!(false);
    rig.stage.apply(&request).await;
    let ready = rig.stage.ready("s3").await;
    let status = ready.status.unwrap();
    assert_eq!(status.credentials[0].serial, 2);
    let mine = rig.pair("s3").await;
    assert_ne!(mine.0, access);
    assert!(rig.accepts(&mine).await);
    rig.delete("s3").await;
    rig.gone("s3").await;
    assert_eq!(rig.pairs().await, []);
    let left = rig.admin().ec2_credentials(&squatter.id).await.unwrap();
    assert_eq!(left.len(), 1, "what is somebody else's is left alone");
    assert_eq!(left[0].id, theirs);
    rig.stage.more_secret_values.push("known-to-them".into());
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_takes_all_the_next_names_is_told_of_and_not_run_after() {
    let mut rig = Rig::new("ks-all-taken").await;
    let squatter = rig
        .cloud
        .create_user(&format!("squatter-{}", rig.project))
        .await;
    rig.stage.start().await;
    let mut request = rig.access_key("s3");
    request["spec"]["suspend"] = json!(true);
    rig.stage.apply(&request).await;
    let created = rig.stage.requests().get("s3").await.unwrap();
    for serial in 1..=12 {
        let access = identity::access_key(&derived(&rig, &created, serial));
        rig.admin()
            .create_credential(&squatter.id, &rig.project_id, &access, "known-to-them")
            .await
            .unwrap();
    }
    request["spec"]["suspend"] = json!(false);
    rig.stage.apply(&request).await;
    let request = refused_request(&rig, "s3", "IdentityTaken").await;
    Again::Patiently.check("s3", &request, "IdentityTaken");
    let tries = rig
        .wire
        .calls_where(|call| call.method == "POST" && call.path == "/v3/credentials");
    assert!(tries.len() <= 9, "{} tries", tries.len());
    assert_eq!(rig.pairs().await, []);
    rig.delete("s3").await;
    rig.gone("s3").await;
    let left = rig.admin().ec2_credentials(&squatter.id).await.unwrap();
    assert_eq!(left.len(), 12, "what is somebody else's is left alone");
    rig.stage.more_secret_values.push("known-to-them".into());
    rig.finish().await;
}
