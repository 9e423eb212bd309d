//! A tenant chooses where his provider leads and what it answers: it leads nowhere that only the
//! operator can reach, and its words come up nowhere. And what is not his, he cannot find out about.

use credential_operator::api::{ClusterCredentialProvider, CredentialProvider};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use testkit::{
    dce::{CURRENT_USER, DceOptions, DceSimulator, Lie, TOKEN},
    server::Fault,
    wait::eventually,
};

use crate::{
    stage::{SOON, Stage, control_plane, in_conditions, message_of, status_of},
    tenant::{LOOPBACK, ask, declare, provider, provider_says, request_says, tenant},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_only_the_operator_can_reach_is_refused_unconnected() {
    let mut stage = Stage::new("guard").await;
    // An address like any other, but for being the API server's, as pods know it.
    stage.environment.push((
        "KUBERNETES_SERVICE_HOST".to_owned(),
        "203.0.113.7".to_owned(),
    ));
    stage.start().await;
    let tenant = tenant(&stage).await;
    let inside = DceSimulator::start(DceOptions::default());
    let pair = inside.add_user("operator");
    let port = inside.server().port();
    let api_server = control_plane().url();
    let endpoints = [
        ("loopback", format!("http://127.0.0.1:{port}")),
        ("other-loopback", format!("http://127.1.2.3:{port}")),
        ("short", format!("http://127.1:{port}")),
        ("decimal", format!("http://2130706433:{port}")),
        ("hexadecimal", format!("http://0x7f000001:{port}")),
        ("octal", format!("http://0177.0.0.1:{port}")),
        ("unspecified", format!("http://0.0.0.0:{port}")),
        ("loopback6", format!("http://[::1]:{port}")),
        ("mapped", format!("http://[::ffff:127.0.0.1]:{port}")),
        ("unspecified6", format!("http://[::]:{port}")),
        // A name, which is known to lead there only once it is resolved.
        ("name", format!("http://localhost:{port}")),
        (
            "metadata",
            "http://169.254.169.254/latest/meta-data".to_owned(),
        ),
        ("metadata6", "http://[fd00:ec2::254]".to_owned()),
        ("api-server", api_server.to_owned()),
        ("api-server-of-pods", "https://203.0.113.7".to_owned()),
    ];
    for (name, endpoint) in &endpoints {
        // With consent, so that nothing else is in the way.
        stage
            .write_login_for(&stage.team, name, endpoint, &pair)
            .await;
        declare(&stage, &tenant, &provider(name, endpoint, name))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        ask(&stage, &tenant, &format!("of-{name}"), name).await;
    }
    for (name, _) in &endpoints {
        let words = provider_says(&stage, name, "False", "EndpointRefused").await;
        assert!(words.contains("--tenant-endpoints"), "{words}");
        request_says(&stage, &format!("of-{name}"), "EndpointRefused").await;
    }
    assert_eq!(inside.server().connections(), 0);

    // The flag opens what it names, for names as for addresses, and nothing else.
    stage.stop().await;
    stage
        .flags
        .push("--tenant-endpoints=127.0.0.0/8,::1/128".to_owned());
    stage.start().await;
    for name in ["loopback", "short", "decimal", "mapped", "name"] {
        provider_says(&stage, name, "True", "LoginWorks").await;
        stage.ready(&format!("of-{name}")).await;
    }
    for name in [
        "metadata",
        "metadata6",
        "api-server-of-pods",
        "unspecified6",
    ] {
        provider_says(&stage, name, "False", "EndpointRefused").await;
    }
    stage.more_secret_values = inside.secret_values();
    stage.finish().await;
}

/// What comes up if a server's words are passed on. The blanks and brackets keep it from being a
/// name, which DCE's users have: those are told, as the owner of a token.
const MARK: &str = "WORDS of the <b>tenant's</b> server; kubectl delete everything";

fn answers() -> Vec<(&'static str, Fault)> {
    let html = format!("<html><title>{MARK}</title></html>");
    vec![
        ("error-500", Fault::status(500, "text/plain", MARK)),
        (
            "error-json",
            Fault::status(
                502,
                "application/json",
                json!({"message": MARK}).to_string(),
            ),
        ),
        ("refused", Fault::status(401, "text/plain", MARK)),
        (
            "refused-json",
            Fault::status(
                401,
                "application/json",
                json!({"message": MARK, "code": 16}).to_string(),
            ),
        ),
        ("forbidden", Fault::status(403, "text/html", html.clone())),
        ("not-found", Fault::status(404, "text/plain", MARK)),
        ("teapot", Fault::status(418, MARK.replace(';', "/"), MARK)),
        ("html", Fault::Body(html.into_bytes())),
        ("text", Fault::Body(MARK.as_bytes().to_vec())),
        (
            "no-jwt",
            Fault::Body(json!({"token": MARK}).to_string().into_bytes()),
        ),
        (
            "other-type",
            Fault::Body(json!({"token": {MARK: MARK}}).to_string().into_bytes()),
        ),
        (
            "user",
            Fault::Body(
                json!({"username": MARK, "token": 7})
                    .to_string()
                    .into_bytes(),
            ),
        ),
        (
            "redirect",
            Fault::Redirect(format!("http://example.com/{}", MARK.replace(' ', "-"))),
        ),
        (
            "later",
            Fault::RetryAfter {
                status: 429,
                header_value: Some(MARK.to_owned()),
            },
        ),
        ("truncated", Fault::Truncate),
    ]
}

/// Waits until the operator has come to an end with a provider and a request of it.
async fn settled(stage: &Stage, provider: &str, request: &str) {
    let said = |status: (&str, &str)| !matches!(status, ("", _) | (_, "Progressing"));
    eventually(SOON, || async {
        let provider = stage.api::<CredentialProvider>().get(provider).await?;
        let known = provider.status.unwrap_or_default();
        anyhow::ensure!(
            said(in_conditions(&known.conditions, "Ready")),
            "{known:#?}"
        );
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{provider}: {error:#}"));
    stage
        .until(request, "an end", |request| {
            said(status_of(request, "Ready"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenants_endpoint_says_is_repeated_nowhere() {
    let mut stage = Stage::new("words").await;
    stage.flags.push(LOOPBACK.to_owned());
    stage.start().await;
    let tenant = tenant(&stage).await;
    let theirs = DceSimulator::start(DceOptions::default());
    stage
        .write_login_for(
            &stage.team,
            "login",
            &theirs.endpoint(),
            &theirs.add_user("operator"),
        )
        .await;
    stage
        .write_login_for(
            &stage.team,
            "odd-user",
            &theirs.endpoint(),
            &theirs.add_user(MARK),
        )
        .await;

    for (name, secret) in [("dce", "login"), ("odd", "odd-user")] {
        declare(&stage, &tenant, &provider(name, &theirs.endpoint(), secret))
            .await
            .unwrap();
        provider_says(&stage, name, "True", "LoginWorks").await;
    }
    // A token whose user is called like that, and then whatever else.
    ask(&stage, &tenant, "odd", "odd").await;
    settled(&stage, "odd", "odd").await;
    for (name, fault) in answers() {
        // As the answer to the test of a login, and then to the proof of a token.
        theirs.faults().set(TOKEN, fault.clone());
        declare(
            &stage,
            &tenant,
            &provider(name, &theirs.endpoint(), "login"),
        )
        .await
        .unwrap();
        ask(&stage, &tenant, name, name).await;
        settled(&stage, name, name).await;
        theirs.faults().clear();
        theirs.faults().set(CURRENT_USER, fault);
        let proof = format!("proof-{name}");
        ask(&stage, &tenant, &proof, "dce").await;
        settled(&stage, "dce", &proof).await;
        theirs.faults().clear();
    }
    for (number, lie) in [Lie::OtherUser, Lie::SelfTestHtml, Lie::Opaque]
        .into_iter()
        .enumerate()
    {
        theirs.lie(lie);
        let name = format!("lie-{number}");
        ask(&stage, &tenant, &name, "dce").await;
        settled(&stage, "dce", &name).await;
        theirs.stop_lying();
    }

    let list = ListParams::default();
    let providers = stage
        .api::<CredentialProvider>()
        .list(&list)
        .await
        .unwrap()
        .items;
    let requests = stage.requests().list(&list).await.unwrap().items;
    let events = stage.api::<Event>().list(&list).await.unwrap().items;
    assert!(events.len() > 5, "{} events", events.len());
    let written = [
        serde_json::to_string(&providers).unwrap(),
        serde_json::to_string(&requests).unwrap(),
        serde_json::to_string(&events).unwrap(),
        stage.get("/metrics").await.unwrap(),
    ];
    for text in written {
        for part in MARK
            .split(['<', '>', ';', ' '])
            .filter(|part| part.len() > 4)
        {
            assert!(!text.contains(part), "{part:?} is in {text}");
        }
    }
    stage.more_secret_values = theirs.secret_values();
    stage.more_secret_values.retain(|value| value.len() > 12);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_for_a_namespace_looks_like_one_that_is_not_there() {
    let mut stage = Stage::new("hidden").await;
    // All of these are there, in whatever state, and none of them is for this namespace.
    let (works, broken, unused) = (
        "hidden-that-works",
        "hidden-that-lacks-its-login",
        "hidden-that-allows-nobody",
    );
    let for_others = json!([{
        "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "somebody-else"}},
        "dce": {"kinds": ["token"], "maxCycle": 2},
    }]);
    let mut providers = Vec::new();
    for (suffix, login, allow) in [
        (works, "login", for_others.clone()),
        (broken, "missing", for_others),
        (unused, "login", json!([])),
    ] {
        let mut body = stage.provider();
        body["metadata"]["name"] = json!(format!("{}-{suffix}", stage.team));
        body["spec"]["dce"]["auth"]["keyPair"]["secretRef"]["name"] = json!(login);
        body["spec"]["allow"] = allow;
        stage.apply(&body).await;
        providers.push(body["metadata"]["name"].as_str().unwrap().to_owned());
    }
    providers.push(format!("{}-that-is-not-there", stage.team));
    stage.start().await;
    // The logins of those that have one are tested, and that is all.
    let all: Api<ClusterCredentialProvider> = Api::all(stage.client.clone());
    eventually(SOON, || async {
        for name in [&stage.team, &providers[0], &providers[2]] {
            let known = all.get(name).await?.status.unwrap_or_default();
            anyhow::ensure!(
                in_conditions(&known.conditions, "Ready").0 == "True",
                "{name}: {known:?}"
            );
        }
        Ok(())
    })
    .await
    .unwrap();
    let calls = stage.dce.calls().len();

    let mut answers: Vec<(String, Value)> = Vec::new();
    for (number, name) in providers.iter().enumerate() {
        let request = format!("r-{number}");
        stage
            .apply(&stage.request_of(&request, "ClusterCredentialProvider", name))
            .await;
        let said = stage
            .until(&request, "NotAllowed", |request| {
                status_of(request, "Stalled") == ("True", "NotAllowed")
            })
            .await;
        assert!(
            message_of(&said, "Ready").contains(name.as_str()),
            "{}",
            message_of(&said, "Ready")
        );
        // All of the status but for names and times.
        let mut status = serde_json::to_value(&said.status).unwrap();
        for condition in status["conditions"].as_array_mut().unwrap() {
            condition["lastTransitionTime"].take();
            let message = condition["message"]
                .as_str()
                .unwrap()
                .replace(name.as_str(), "PROVIDER");
            condition["message"] = json!(message);
        }
        answers.push((name.clone(), status));
    }
    let not_there = answers.pop().unwrap().1;
    for (name, status) in &answers {
        assert_eq!(*status, not_there, "{name} gives itself away");
    }
    let told: Vec<_> = stage.events().await;
    for (number, name) in providers.iter().enumerate().take(3) {
        assert!(
            told.iter()
                .filter(|event| event.contains(name.as_str()))
                .all(|event| event.starts_with("NotAllowed: ")),
            "{number}: {told:?}"
        );
    }
    assert_eq!(
        stage.dce.calls().len(),
        calls,
        "nobody was asked for anything"
    );

    // Nor does a grant for others tell by its limits.
    let mut long = stage.request_of("long", "ClusterCredentialProvider", &providers[0]);
    long["spec"]["dce"]["token"]["cycle"] = json!(300);
    stage.apply(&long).await;
    let said = stage
        .until("long", "NotAllowed", |request| {
            status_of(request, "Ready") == ("False", "NotAllowed")
        })
        .await;
    let expected = not_there["conditions"][0]["message"]
        .as_str()
        .unwrap()
        .replace("PROVIDER", &providers[0]);
    assert_eq!(message_of(&said, "Ready"), expected);
    for name in &providers[..3] {
        all.delete(name, &Default::default()).await.unwrap();
    }
    stage.finish().await;
}
