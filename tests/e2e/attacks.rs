//! A tenant who may declare providers and requests in his namespace, but not read Secrets, tries to
//! get at what is in one. His provider leads to a simulator of his own, which sees what is sent.

use credential_operator::api::{CredentialProvider, CredentialRequest};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use testkit::dce::{DceOptions, DceSimulator};

use crate::{
    stage::{Stage, create, status_of},
    tenant::{LOOPBACK, ask, declare, forbidden, provider, provider_says, request_says, tenant},
};

/// A Secret of the team that is none of the tenant's business.
async fn victim(stage: &mut Stage, name: &str) -> Secret {
    let (ak, sk) = (
        format!("AKMARK-victim-{name}-7c41"),
        format!("SKMARK-victim-{name}-91d0"),
    );
    let body = json!({"metadata": {"name": name}, "stringData": {"ak": ak, "sk": sk}});
    stage.more_secret_values.extend([ak, sk]);
    create::<Secret>(&stage.api(), body).await
}

fn nothing_reached(simulator: &DceSimulator, whose: &str) {
    assert_eq!(
        simulator.server().connections(),
        0,
        "connections to {whose}"
    );
    assert!(simulator.calls().is_empty(), "calls to {whose}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_consents_to_nobody_is_sent_nowhere() {
    let mut stage = Stage::new("no-consent").await;
    stage.flags.push(LOOPBACK.to_owned());
    let tenant = tenant(&stage).await;
    let theirs = DceSimulator::start(DceOptions::default());
    let secret = victim(&mut stage, "victim").await;
    // What the operator itself has published is a Secret like any other.
    stage.start().await;
    stage.apply(&stage.request("published")).await;
    stage.ready("published").await;

    let mut of_the_published = provider("published", &theirs.endpoint(), "published");
    of_the_published["spec"]["dce"]["auth"]["keyPair"]["akKey"] = json!("token");
    of_the_published["spec"]["dce"]["auth"]["keyPair"]["skKey"] = json!("authorization");
    let mut pretends = provider("pretends", &theirs.endpoint(), "victim");
    // Consent is the Secret's to give.
    pretends["metadata"]["annotations"] =
        json!({"credential-operator.dev/login-for": theirs.endpoint()});
    for body in [
        provider("plain", &theirs.endpoint(), "victim"),
        pretends,
        of_the_published,
    ] {
        let name = body["metadata"]["name"].as_str().unwrap();
        let named = body["spec"]["dce"]["auth"]["keyPair"]["secretRef"]["name"]
            .as_str()
            .unwrap();
        declare(&stage, &tenant, &body).await.unwrap();
        let words = provider_says(&stage, name, "False", "NoConsent").await;
        let command = format!(
            "kubectl annotate secret {named} -n {} --overwrite credential-operator.dev/login-for={}",
            stage.team,
            theirs.endpoint()
        );
        assert!(words.contains(&command), "{words}");
        ask(&stage, &tenant, &format!("of-{name}"), name).await;
        request_says(&stage, &format!("of-{name}"), "NoConsent").await;
    }
    nothing_reached(&theirs, "the tenant's endpoint");
    assert_eq!(stage.secret("victim").await, secret);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_is_for_one_endpoint_and_what_is_below_it() {
    let mut stage = Stage::new("other-endpoint").await;
    stage.flags.push(LOOPBACK.to_owned());
    stage.start().await;
    let tenant = tenant(&stage).await;
    let options = DceOptions {
        prefix: "/dce".to_owned(),
        ..DceOptions::default()
    };
    let (honest, theirs) = (
        DceSimulator::start(options.clone()),
        DceSimulator::start(options),
    );
    let pair = honest.add_user("operator");
    stage
        .write_login_for(&stage.team, "login", &honest.endpoint(), &pair)
        .await;
    let (port, own) = (honest.server().port(), theirs.server().port());

    let endpoints = [
        ("other-port", format!("http://127.0.0.1:{own}/dce")),
        ("other-host", format!("http://localhost:{port}/dce")),
        ("other-scheme", format!("https://127.0.0.1:{port}/dce")),
        ("sibling", format!("http://127.0.0.1:{port}/dce-evil")),
        ("parent", format!("http://127.0.0.1:{port}")),
        ("capitals", format!("http://127.0.0.1:{port}/DCE")),
        (
            "prefix-of-host",
            format!("http://127.0.0.1.evil.example.com:{port}/dce"),
        ),
        (
            "digits-of-port",
            format!("http://127.0.0.1:{}/dce", port / 10),
        ),
    ];
    for (name, endpoint) in &endpoints {
        let body = provider(name, endpoint, "login");
        declare(&stage, &tenant, &body)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        provider_says(&stage, name, "False", "NoConsent").await;
    }
    let refused = [
        ("dots", format!("http://127.0.0.1:{port}/dce/../evil")),
        (
            "encoded-dots",
            format!("http://127.0.0.1:{port}/dce/%2e%2e/evil"),
        ),
        (
            "encoded-slash",
            format!("http://127.0.0.1:{port}/dce/..%2Fevil"),
        ),
        (
            "parameters",
            format!("http://127.0.0.1:{port}/dce/..;/evil"),
        ),
        (
            "shell",
            format!("http://127.0.0.1:{port}/dce/;curl$IFS-o-;x"),
        ),
        (
            "userinfo",
            format!("http://127.0.0.1:{port}@127.0.0.1:{own}/dce"),
        ),
        ("user", format!("http://{port}@127.0.0.1:{own}/dce")),
        (
            "backslash",
            format!("http://127.0.0.1:{own}\\@127.0.0.1:{port}/dce"),
        ),
        (
            "query",
            format!("http://127.0.0.1:{own}/?http://127.0.0.1:{port}/dce"),
        ),
        (
            "fragment",
            format!("http://127.0.0.1:{own}/#@127.0.0.1:{port}/dce"),
        ),
        (
            "space",
            format!("http://127.0.0.1:{own}/dce http://127.0.0.1:{port}/dce"),
        ),
    ];
    for (name, endpoint) in &refused {
        let answer = declare(&stage, &tenant, &provider(name, endpoint, "login")).await;
        assert!(
            matches!(answer, Err(kube::Error::Api(status)) if status.code == 422),
            "{endpoint}"
        );
    }
    nothing_reached(&theirs, "the tenant's endpoint");
    nothing_reached(&honest, "other paths of the endpoint that was consented to");

    // That all of this says something: the endpoint itself, and one below it, are let through.
    for (name, endpoint) in [
        ("same", honest.endpoint()),
        ("same-with-slash", honest.endpoint() + "/"),
    ] {
        declare(&stage, &tenant, &provider(name, &endpoint, "login"))
            .await
            .unwrap();
        provider_says(&stage, name, "True", "LoginWorks").await;
    }
    declare(
        &stage,
        &tenant,
        &provider("below", &(honest.endpoint() + "/below"), "login"),
    )
    .await
    .unwrap();
    provider_says(&stage, "below", "False", "NotOffered").await;
    stage.more_secret_values.extend(honest.secret_values());
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_cannot_be_moved_once_it_has_consent() {
    let mut stage = Stage::new("moved").await;
    stage.flags.push(LOOPBACK.to_owned());
    stage.start().await;
    let tenant = tenant(&stage).await;
    let (honest, theirs) = (
        DceSimulator::start(DceOptions::default()),
        DceSimulator::start(DceOptions::default()),
    );
    stage
        .write_login_for(
            &stage.team,
            "login",
            &honest.endpoint(),
            &honest.add_user("operator"),
        )
        .await;
    let (ak, sk) = victim(&mut stage, "victim")
        .await
        .data
        .map(|data| (data["ak"].clone(), data["sk"].clone()))
        .unwrap();
    declare(
        &stage,
        &tenant,
        &provider("dce", &honest.endpoint(), "login"),
    )
    .await
    .unwrap();
    ask(&stage, &tenant, "api", "dce").await;
    stage.ready("api").await;
    let published = stage.secret("api").await;

    let providers: Api<CredentialProvider> = Api::namespaced(tenant.clone(), &stage.team);
    let moved = json!({"spec": {"dce": {"endpoint": theirs.endpoint()}}});
    let answer = providers
        .patch("dce", &PatchParams::default(), &Patch::Merge(&moved))
        .await;
    let Err(kube::Error::Api(refusal)) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(refusal.code, 422);
    assert!(
        refusal.message.contains("spec.dce.endpoint")
            && refusal.message.contains("cannot be changed"),
        "{}",
        refusal.message
    );

    // Another Secret for the endpoint that has consent, and another endpoint for the Secret that gave it.
    let calls = honest.calls().len();
    let other = json!({"spec": {"dce": {"auth": {"keyPair": {"secretRef": {"name": "victim"}}}}}});
    providers
        .patch("dce", &PatchParams::default(), &Patch::Merge(&other))
        .await
        .unwrap();
    provider_says(&stage, "dce", "False", "NoConsent").await;
    providers
        .delete("dce", &DeleteParams::default())
        .await
        .unwrap();
    declare(
        &stage,
        &tenant,
        &provider("dce", &theirs.endpoint(), "login"),
    )
    .await
    .unwrap();
    provider_says(&stage, "dce", "False", "NoConsent").await;
    stage
        .annotate("api", "credential-operator.dev/rotate", "now")
        .await;
    // The request's token works until it has to be replaced, and then nobody is asked.
    let failing =
        |request: &CredentialRequest| status_of(request, "RenewalFailing") == ("True", "NoConsent");
    stage.until("api", "NoConsent", failing).await;
    nothing_reached(&theirs, "the tenant's endpoint");
    assert_eq!(
        honest.calls().len(),
        calls,
        "nothing more was sent to where it was allowed"
    );
    assert_eq!(stage.secret("api").await, published);
    for value in [ak.0, sk.0] {
        let value = String::from_utf8(value).unwrap();
        assert!(
            honest
                .calls()
                .iter()
                .all(|call| !call.query.contains(&value))
        );
    }
    stage.more_secret_values.extend(honest.secret_values());
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_named_as_certificates_tells_nothing_of_itself() {
    let mut stage = Stage::new("as-ca").await;
    stage.flags.push(LOOPBACK.to_owned());
    stage.start().await;
    let tenant = tenant(&stage).await;
    let theirs = DceSimulator::start(DceOptions {
        tls: true,
        ..DceOptions::default()
    });
    stage
        .write_login_for(
            &stage.team,
            "login",
            &theirs.endpoint(),
            &theirs.add_user("operator"),
        )
        .await;
    victim(&mut stage, "victim").await;
    let pem = "-----BEGIN CERTIFICATE-----\nTUFSS0VELVZJQ1RJTS1QRU0tM2Y4MQ==\n-----END CERTIFICATE-----\n";
    create::<Secret>(
        &stage.api(),
        json!({"metadata": {"name": "pem"}, "stringData": {"key.pem": pem}}),
    )
    .await;
    stage
        .more_secret_values
        .push("TUFSS0VELVZJQ1RJTS1QRU0tM2Y4MQ==".to_owned());
    for (name, secret, key) in [("text", "victim", "sk"), ("nonsense", "pem", "key.pem")] {
        let mut body = provider(name, &theirs.endpoint(), "login");
        body["spec"]["dce"]["tls"] = json!({"caBundleSecretRef": {"name": secret, "key": key}});
        declare(&stage, &tenant, &body).await.unwrap();
        provider_says(&stage, name, "False", "CABundleInvalid").await;
        ask(&stage, &tenant, &format!("of-{name}"), name).await;
        request_says(&stage, &format!("of-{name}"), "CABundleInvalid").await;
    }
    nothing_reached(&theirs, "the tenant's endpoint");
    // What the Secrets hold is looked for in conditions, events, metrics and the log.
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_neither_overwrites_nor_takes_over_the_secret_that_it_names() {
    let mut stage = Stage::new("by-name").await;
    stage.start().await;
    let tenant = tenant(&stage).await;
    let secret = victim(&mut stage, "victim").await;
    let requests: Api<CredentialRequest> = Api::namespaced(tenant.clone(), &stage.team);
    let mut body = stage.request("thief");
    body["spec"]["secret"] = json!({"name": "victim"});
    body["metadata"]["annotations"] = json!({"credential-operator.dev/adopt-by": "thief"});
    body["metadata"]["labels"] = json!({"credential-operator.dev/request-uid": secret.uid()});
    requests
        .create(
            &PostParams::default(),
            &serde_json::from_value(body).unwrap(),
        )
        .await
        .unwrap();
    request_says(&stage, "thief", "TargetNotOwned").await;
    requests
        .delete("thief", &DeleteParams::default())
        .await
        .unwrap();
    stage.gone::<CredentialRequest>("thief").await;

    let secrets: Api<Secret> = Api::namespaced(tenant.clone(), &stage.team);
    let consent =
        json!({"metadata": {"annotations": {"credential-operator.dev/adopt-by": "thief"}}});
    assert!(forbidden(
        secrets
            .patch("victim", &PatchParams::default(), &Patch::Merge(&consent))
            .await
    ));
    stage.apply(&stage.request("meanwhile")).await;
    stage.ready("meanwhile").await;
    assert_eq!(stage.secret("victim").await, secret);
    stage.finish().await;
}
