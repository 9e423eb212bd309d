//! What a request asks for and cannot have.

use testkit::wire::Call;

use super::*;

/// A request that asks for something that it cannot have.
struct Row {
    request: Value,
    reason: &'static str,
    words: &'static str,
    again: Again,
    /// Which calls to Keystone are about it.
    about: About,
}

/// Which calls to Keystone are about a request.
enum About {
    /// None: what it says is enough to refuse it.
    None,
    /// Those with a text in them, one for each attempt.
    Calls(String),
    /// Those that would make a credential for it, one for each attempt.
    Issues,
}

impl About {
    fn is(&self, call: &Call, request: &CredentialRequest) -> bool {
        let body = String::from_utf8_lossy(&call.request_body);
        let query = call.query.as_deref().unwrap_or_default();
        match self {
            About::None => body.contains(&request.uid().unwrap()),
            About::Calls(text) => body.contains(text) || query.contains(text),
            // Its name is derived from the UID.
            About::Issues => call.method == "POST" && body.contains(&request.uid().unwrap()),
        }
    }
}

fn row(
    request: Value,
    (reason, words): (&'static str, &'static str),
    again: Again,
    about: About,
) -> Row {
    Row {
        request,
        reason,
        words,
        again,
        about,
    }
}

/// What the words of the request alone forbid.
fn forbidden(request: Value, words: &'static str) -> Row {
    row(request, ("NotAllowed", words), Again::OnChange, About::None)
}

/// What Keystone says about the login's way into a project.
fn scope_refused(request: Value, project: &str) -> Row {
    row(
        request,
        ("ScopeRefused", "does not exist, is disabled"),
        Again::Patiently,
        About::Calls(project.to_owned()),
    )
}

fn in_project(rig: &Rig, name: &str, kind: &str, project: &str) -> Value {
    let project = json!({"project": {"name": project, "domainID": DOMAIN}});
    asking(rig, name, kind, project)
}

/// One whose grant is about other words, or about another domain, than Keystone knows.
fn not_granted(request: Value, text: &str) -> Row {
    row(
        request,
        ("NotAllowed", "none of its grants"),
        Again::SomeTime,
        About::Calls(text.to_owned()),
    )
}

/// By the provider that grants a project.
fn rows_of_the_first(rig: &Rig) -> Vec<Row> {
    let name = |what: &str| format!("{}-{what}", rig.project);
    let app = |request: &str, fields: Value| asking(rig, request, "applicationCredential", fields);
    let nowhere = json!({"project": {"name": rig.project, "domain": "Nowhere"}});
    let unknown_id = "ffffffffffffffffffffffffffffffff";
    vec![
        scope_refused(
            in_project(rig, "unknown", "accessKey", &name("typo")),
            &name("typo"),
        ),
        scope_refused(
            in_project(rig, "no-role", "accessKey", &name("no-role")),
            &name("no-role"),
        ),
        scope_refused(
            in_project(
                rig,
                "no-role-app",
                "applicationCredential",
                &name("not-app"),
            ),
            &name("not-app"),
        ),
        scope_refused(
            in_project(rig, "no-role-token", "token", &name("not-token")),
            &name("not-token"),
        ),
        not_granted(asking(rig, "domain", "token", nowhere), "Nowhere"),
        not_granted(
            asking(rig, "id", "token", json!({"project": {"id": unknown_id}})),
            unknown_id,
        ),
        forbidden(
            app("role", json!({"roles": ["admin"]})),
            "roles: admin is not among the roles that are allowed",
        ),
        row(
            app("not-held", json!({"roles": ["auditor"]})),
            ("Forbidden", "does not have the role auditor"),
            Again::Patiently,
            About::None,
        ),
        forbidden(
            app(
                "unrestricted",
                json!({"roles": ["member"], "unrestricted": true}),
            ),
            "unrestricted: true is not allowed",
        ),
        row(
            app("past", json!({"expiresAt": "2020-01-01T00:00:00Z"})),
            (
                "InvalidSpec",
                "spec.keystone.applicationCredential.expiresAt is over",
            ),
            Again::OnChange,
            About::None,
        ),
        row(
            asking(
                rig,
                "other-user",
                "accessKey",
                json!({"user": {"name": "admin", "domainID": DOMAIN}}),
            ),
            ("Forbidden", "a login with the role admin"),
            Again::Patiently,
            About::Calls("name=admin".to_owned()),
        ),
        row(
            app(
                "rules",
                json!({"accessRules": [{"service": "no such service", "method": "GET", "path": "/v1"}]}),
            ),
            ("UnexpectedAnswer", "its accessRules above all"),
            Again::Soon,
            About::Issues,
        ),
    ]
}

/// By a provider that grants an hour and no longer.
fn rows_of_the_short(rig: &Rig, provider: &str) -> Vec<Row> {
    let in_a_year = credential_operator::clock::now() + jiff::SignedDuration::from_hours(365 * 24);
    let app = |name: &str, fields: Value| {
        let request = asking(rig, name, "applicationCredential", fields);
        of(request, provider)
    };
    let to_be_set = "spec.keystone.applicationCredential.lifetime has to be set, to at most 1h";
    vec![
        forbidden(
            app("two-hours", json!({"lifetime": "2h"})),
            "spec.keystone.applicationCredential.lifetime may be at most 1h, not 2h",
        ),
        forbidden(
            app("in-a-year", json!({"expiresAt": in_a_year.to_string()})),
            to_be_set,
        ),
        forbidden(app("endless", json!({})), to_be_set),
        forbidden(
            of(rig.access_key("kept-for-ever"), provider),
            "spec.renewal.rotateEvery has to be set, to at most 1h",
        ),
    ]
}

/// By a provider whose grant names a domain that does not exist.
fn rows_of_the_lost(rig: &Rig, provider: &str) -> Vec<Row> {
    let project = format!("{}-lost", rig.project);
    let lost = |name: &str, project: Value| {
        let request = asking(rig, name, "token", json!({ "project": project }));
        of(request, provider)
    };
    vec![
        scope_refused(
            lost("lost", json!({"name": rig.project, "domain": "Nirvana"})),
            "Nirvana",
        ),
        // It could be the domain that the grant names, and Keystone says that it is not.
        not_granted(
            lost("not-lost", json!({"name": project, "domainID": DOMAIN})),
            &project,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_asks_for_and_cannot_have_is_told_with_the_reason() {
    const PASSES: &str = "credential_operator_passes_total{outcome=\"settled\"}";
    let mut rig = Rig::new("ks-refused").await;
    for name in ["no-role", "not-app", "not-token"] {
        let name = format!("{}-{name}", rig.project);
        rig.cloud.create_project(&name).await;
    }
    let lost = format!("{}-lost", rig.project);
    let lost_id = rig.cloud.create_project(&lost).await;
    rig.cloud.assign_role(&rig.user, &lost_id, "member").await;
    let mut provider = rig.provider();
    let grant = &mut provider["spec"]["allow"][0]["keystone"];
    grant["roles"] = json!(["member", "reader", "auditor"]);
    grant["users"] = json!([{"name": "*", "domainID": DOMAIN}]);
    rig.stage.apply(&provider).await;
    let further = async |name: &str, grant: Value| {
        let mut provider = rig.provider();
        let name = format!("{}-{name}", rig.stage.team);
        provider["metadata"]["name"] = json!(name);
        for (key, value) in grant.as_object().unwrap() {
            provider["spec"]["allow"][0]["keystone"][key] = value.clone();
        }
        rig.stage.apply(&provider).await;
        name
    };
    let short = further("short", json!({"maxLifetime": "1h"})).await;
    let nirvana = json!([{"name": "*", "domain": "Nirvana"}]);
    let unknown = further("lost", json!({"projects": nirvana})).await;
    rig.stage.start().await;

    let mut rows = rows_of_the_first(&rig);
    rows.extend(rows_of_the_short(&rig, &short));
    rows.extend(rows_of_the_lost(&rig, &unknown));
    for row in &rows {
        rig.stage.apply(&row.request).await;
    }
    for row in &rows {
        let name = row.request["metadata"]["name"].as_str().unwrap();
        let request = refused_request(&rig, name, row.reason).await;
        let said = message_of(&request, "Ready");
        assert!(said.contains(row.words), "{name}: {said}");
        row.again.check(name, &request, row.reason);
    }
    // Whether it exists or not is told in the same words, but for the name.
    let unknown = refused(&rig, "unknown", "ScopeRefused").await;
    for project in ["no-role", "not-app", "not-token"] {
        let request = project.replace("not-", "no-role-");
        let no_role = refused(&rig, &request, "ScopeRefused").await;
        assert_eq!(
            unknown.replace("-typo", ""),
            no_role.replace(&format!("-{project}"), "")
        );
    }
    assert_eq!(rig.pairs().await, []);
    assert_eq!(rig.application_credentials().await, []);

    // No storm: that something happens to a request is no reason to try again what has failed.
    let passes = rig.stage.metric(PASSES).await.unwrap();
    for row in &rows {
        let name = row.request["metadata"]["name"].as_str().unwrap();
        rig.stage.annotate(name, "example.com/touched", "1").await;
    }
    eventually(SOON, || async {
        let now = rig.stage.metric(PASSES).await.unwrap();
        anyhow::ensure!(now >= passes + rows.len() as f64, "{passes} to {now}");
        Ok(())
    })
    .await
    .unwrap();
    let mut refusals = 0;
    for row in &rows {
        let name = row.request["metadata"]["name"].as_str().unwrap();
        let calls = rig.wire.calls();
        let request = rig.stage.requests().get(name).await.unwrap();
        let calls = calls.iter().filter(|call| row.about.is(call, &request));
        let failure = request.status.as_ref().and_then(|it| it.failure.as_ref());
        let attempts = match row.about {
            About::None => 0,
            About::Calls(_) | About::Issues => failure.map_or(0, |it| it.attempts as usize),
        };
        // One that is tried often can have been tried again since it was written down.
        let most = attempts + usize::from(row.again == Again::Soon);
        let calls = calls.count();
        assert!(
            (attempts.min(1)..=most).contains(&calls),
            "{name}: {calls} calls in {attempts} attempts"
        );
        refusals += attempts;
    }
    // Whether it is the project that is refused or the login is tried once for each attempt, and
    // the login of each provider once.
    let unscoped = rig.wire.calls_where(|call| {
        let body = String::from_utf8_lossy(&call.request_body);
        call.path == "/v3/auth/tokens" && body.contains("unscoped")
    });
    assert!(unscoped.len() <= 3 + refusals, "{} logins", unscoped.len());

    // What others ask for and can have they get, and it costs what it always does.
    let mark = rig.wire.mark();
    rig.stage.apply(&rig.access_key("good")).await;
    rig.stage.ready("good").await;
    for row in &rows {
        // Nothing was issued, so nothing keeps it.
        let name = row.request["metadata"]["name"].as_str().unwrap();
        rig.delete(name).await;
        rig.gone(name).await;
    }
    let made = rig.wire.since(mark);
    let made = made.iter().filter(|call| call.method == "POST");
    let made: Vec<_> = made.filter(|call| call.path == "/v3/credentials").collect();
    assert_eq!(made.len(), 1, "{made:?}");
    rig.finish().await;
}
