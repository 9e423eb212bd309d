//! What Keystone's answers mean, case by case, and what a grant makes of them. That the calls are
//! right is proven against a real Keystone, end to end.

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    answer,
    config::{self, Ask, Method, What},
    login::{self, Login, Scope},
    names::{Domain, Named},
    permit::{self, Bearer},
    session::{self, Session},
};
use crate::{
    api::{
        ProviderSpec, Reason,
        keystone::{KeystoneGrant, KeystoneKind, NamePattern},
        provider::{Budget, Grant},
        request::CredentialRequestSpec,
    },
    plan::Refusal,
    providers::{LoginValues, Permission, System, http::Answer},
};

const RECEIVED: &str = "2026-11-20T09:16:20Z";

fn received() -> Timestamp {
    RECEIVED.parse().unwrap()
}

/// The answer to a login, as Keystone 30 gave it.
fn token(change: impl FnOnce(&mut Value)) -> Answer {
    let mut body = json!({"token": {
        "methods": ["password"],
        "user": {
            "domain": {"id": "default", "name": "Default"}, "id": "0d87d5d224c244ae9acb80849329c716",
            "name": "bot", "password_expires_at": null,
        },
        "audit_ids": ["gkj09MxMSl29M55aReXGMg"],
        "expires_at": "2026-11-20T10:16:20.000000Z", "issued_at": "2026-11-20T09:16:20.000000Z",
        "project": {
            "domain": {"id": "default", "name": "Default"}, "id": "4c4f9239c9b342f39447371bf53c94b1",
            "name": "payments-prod",
        },
        "is_domain": false,
        "roles": [{"id": "1", "name": "member"}, {"id": "2", "name": "reader"}],
    }});
    change(&mut body["token"]);
    let headers = [
        ("content-type", "application/json"),
        ("x-subject-token", "gAAAAABrAA"),
    ];
    Answer::of(201, &headers, &body.to_string())
}

fn read(answer: &Answer) -> Result<Session, Reason> {
    Session::read(answer, &Scope::None, received()).map_err(|failure| failure.reason)
}

fn error(status: u16, message: &str) -> Answer {
    let body = json!({"error": {"code": status, "message": message, "title": "x"}});
    Answer::of(
        status,
        &[("content-type", "application/json")],
        &body.to_string(),
    )
}

#[test]
fn a_session_lives_as_long_as_keystone_says_by_our_own_clock() {
    let life = |answer: &Answer| {
        let session = read(answer).unwrap();
        session.expires_at.duration_since(received()).as_secs()
    };
    let times = |issued: &'static str, expires: &'static str| {
        token(move |token| {
            token["issued_at"] = json!(issued);
            token["expires_at"] = json!(expires);
        })
    };
    assert_eq!(life(&token(|_| {})), 3600);
    // Its clock is an hour ahead, then an hour behind.
    let ahead = times("2026-11-20T10:16:20.000000Z", "2026-11-20T11:16:20.000000Z");
    assert_eq!(life(&ahead), 3600);
    let behind = times("2026-11-20T08:46:20.000000Z", "2026-11-20T09:46:20.000000Z");
    assert_eq!(life(&behind), 1800);
    let over = times("2026-11-20T08:16:20.000000Z", "2026-11-20T09:16:20.000000Z");
    assert_eq!(read(&over).err(), Some(Reason::UnexpectedAnswer));

    let session = read(&token(|_| {})).unwrap();
    let at = |seconds| received() + SignedDuration::from_secs(seconds);
    assert!(session.is_living(at(0)) && session.is_living(at(3539)));
    assert!(
        !session.is_living(at(3540)),
        "shortly before its end it is replaced"
    );
}

#[test]
fn times_are_utc_with_and_without_saying_so() {
    let expected: Timestamp = "2026-11-20T10:51:26Z".parse().unwrap();
    for text in [
        "2026-11-20T10:51:26Z",
        "2026-11-20T10:51:26.000000Z",
        "2026-11-20T10:51:26.000000",
    ] {
        assert_eq!(session::time(text), Some(expected), "{text}");
    }
    assert_eq!(session::time("tomorrow"), None);
}

#[test]
fn what_is_no_token_is_no_session() {
    let without_header = Answer::of(201, &[], std::str::from_utf8(&token(|_| {}).body).unwrap());
    for (name, answer) in [
        ("no header", without_header),
        ("no user", token(|token| token["user"] = json!(null))),
        (
            "no expiry",
            token(|token| token["expires_at"] = json!("soon")),
        ),
        (
            "HTML",
            Answer::of(201, &[("x-subject-token", "t")], "<html>"),
        ),
        ("null", Answer::of(201, &[("x-subject-token", "t")], "null")),
    ] {
        assert_eq!(
            read(&answer).err(),
            Some(Reason::UnexpectedAnswer),
            "{name}"
        );
    }
    let read = read(&token(|_| {})).unwrap();
    assert_eq!(read.token.expose_secret(), "gAAAAABrAA");
    assert_eq!(read.roles, ["member", "reader"]);
    assert!(!read.delegated);
}

fn password() -> Login {
    Login::Password {
        user: Named::Name("bot".into(), Domain::Name("Default".into())),
        password: SecretString::from("s3cret"),
    }
}

fn application_credential() -> Login {
    Login::ApplicationCredential {
        id: "1d810ae6".into(),
        secret: SecretString::from("s3cret"),
    }
}

#[test]
fn a_refused_login_says_what_it_can_be() {
    let plain = "The request you have made requires authentication.";
    let receipt = || {
        let body = error(401, plain).body;
        let headers = [("openstack-auth-receipt", "gAAAA")];
        Answer::of(401, &headers, std::str::from_utf8(&body).unwrap())
    };
    let html = |status| Answer::of(status, &[("content-type", "text/html")], "<html>no</html>");
    let cases = [
        (
            password(),
            error(401, plain),
            Reason::LoginRefused,
            "wrong, or the user or domain",
        ),
        (
            application_credential(),
            error(401, plain),
            Reason::LoginRefused,
            "has expired",
        ),
        (
            password(),
            error(
                401,
                "The password is expired and needs to be changed for user: 0d87d5.",
            ),
            Reason::LoginRefused,
            "the password of the login's user has expired",
        ),
        (password(), receipt(), Reason::LoginRefused, "MFA"),
        (
            application_credential(),
            error(404, "Could not find Application Credential: 1d810ae6."),
            Reason::LoginRefused,
            "no application credential with this id",
        ),
        (
            password(),
            html(401),
            Reason::LoginRefused,
            "something before Keystone",
        ),
        (
            password(),
            html(404),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            application_credential(),
            html(404),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            error(404, "Not Found"),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            html(300),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            html(200),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            error(400, "Expecting"),
            Reason::UnexpectedAnswer,
            "not at this endpoint",
        ),
        (
            password(),
            html(502),
            Reason::ProviderUnavailable,
            "has failed",
        ),
        (password(), html(429), Reason::RateLimited, "fewer calls"),
    ];
    for (login, answer, reason, words) in cases {
        let failure = login::refused(&login, &answer);
        assert_eq!(failure.reason, reason, "{words}");
        assert!(
            failure.message.contains(words),
            "{}: {words}",
            failure.message
        );
        assert!(
            !failure.message.contains("0d87d5"),
            "nothing of Keystone's text is shown"
        );
    }
}

#[test]
fn a_login_is_asked_for_as_keystone_wants_it() {
    let project = Scope::Project(Named::Name("prod".into(), Domain::Id("d1".into())));
    let body = password().body(&project);
    assert_eq!(
        body["auth"]["scope"],
        json!({"project": {"name": "prod", "domain": {"id": "d1"}}})
    );
    let user = &body["auth"]["identity"]["password"]["user"];
    assert_eq!(
        *user,
        json!({"name": "bot", "domain": {"name": "Default"}, "password": "s3cret"})
    );
    assert_eq!(password().body(&Scope::None)["auth"]["scope"], "unscoped");
    let body = application_credential().body(&project);
    assert!(
        body["auth"].get("scope").is_none(),
        "it has a scope of its own"
    );
    let sent = &body["auth"]["identity"]["application_credential"];
    assert_eq!(*sent, json!({"id": "1d810ae6", "secret": "s3cret"}));
}

#[test]
fn a_login_secret_holds_a_user_by_name_or_id() {
    let read = |pairs: &[(&str, &str)]| {
        let mut values = LoginValues::default();
        for (key, value) in pairs {
            values.insert((*key).to_owned(), SecretString::from(*value));
        }
        Login::read(Method::Password, &values)
    };
    let user = |pairs: &[(&str, &str)]| match read(pairs).unwrap_or_else(|_| panic!("{pairs:?}")) {
        Login::Password { user, .. } => user,
        Login::ApplicationCredential { .. } => panic!("{pairs:?}"),
    };
    let named = |domain| Named::Name("bot".into(), domain);
    let secret = ("password", "p");
    assert_eq!(
        user(&[("user-id", "0d87"), secret]),
        Named::Id("0d87".into())
    );
    assert_eq!(
        user(&[("username", "bot"), secret]),
        named(Domain::Name("Default".into()))
    );
    let by_name = [("username", "bot"), ("domain", "Staff"), secret];
    assert_eq!(user(&by_name), named(Domain::Name("Staff".into())));
    let by_id = [("username", "bot"), ("domain-id", "d1"), secret];
    assert_eq!(user(&by_id), named(Domain::Id("d1".into())));
    for (pairs, reason) in [
        (vec![secret], Reason::LoginKeyNotFound),
        (
            vec![("username", "bot"), ("user-id", "0d87"), secret],
            Reason::LoginInvalid,
        ),
        (
            vec![
                ("username", "bot"),
                ("domain", "a"),
                ("domain-id", "b"),
                secret,
            ],
            Reason::LoginInvalid,
        ),
        (vec![("user-id", "../users"), secret], Reason::LoginInvalid),
    ] {
        assert_eq!(
            read(&pairs).err().map(|refusal| refusal.reason),
            Some(reason),
            "{pairs:?}"
        );
    }
}

#[test]
fn failures_of_calls_have_their_reasons() {
    for (answer, expected) in [
        (
            error(
                403,
                "You are not authorized to perform the requested action.",
            ),
            Reason::Forbidden,
        ),
        (
            error(
                403,
                "Unable to create additional credentials, maximum of 3 already exceeded for user.",
            ),
            Reason::QuotaExceeded,
        ),
        (
            error(
                403,
                "Unable to create additional application credentials, maximum of 3 already exceeded for user.",
            ),
            Reason::QuotaExceeded,
        ),
        (Answer::of(502, &[], "<html>"), Reason::ProviderUnavailable),
        (Answer::of(500, &[], "<html>"), Reason::ProviderUnavailable),
        (Answer::of(504, &[], ""), Reason::Timeout),
        (
            Answer::of(302, &[("location", "https://evil.example.com")], ""),
            Reason::UnexpectedAnswer,
        ),
        (error(413, "too large"), Reason::UnexpectedAnswer),
    ] {
        assert_eq!(answer::failure(&answer).reason, expected);
    }
}

fn pattern(name: &str) -> NamePattern {
    NamePattern {
        name: Some(name.into()),
        domain: Some("Default".into()),
        ..NamePattern::default()
    }
}

fn grant() -> KeystoneGrant {
    KeystoneGrant {
        kinds: vec![
            KeystoneKind::AccessKey,
            KeystoneKind::ApplicationCredential,
            KeystoneKind::Token,
        ],
        projects: vec![pattern("payments-*")],
        roles: vec!["member".into(), "reader".into()],
        users: None,
        max_lifetime: None,
        unrestricted: None,
    }
}

fn granting(change: impl FnOnce(&mut KeystoneGrant)) -> Permission {
    let mut keystone = grant();
    change(&mut keystone);
    Permission {
        grants: vec![Grant {
            namespaces: None,
            dce: None,
            keystone: Some(keystone),
        }],
        refusal: Refusal::new(Reason::NotAllowed, "generic"),
    }
}

fn asking(keystone: Value) -> Result<Ask, Refusal> {
    let spec: CredentialRequestSpec = serde_json::from_value(json!({
        "providerRef": {"kind": "CredentialProvider", "name": "keystone"},
        "keystone": keystone,
    }))
    .unwrap();
    config::read_ask(spec.keystone.as_ref().unwrap(), &spec)
}

fn project() -> Value {
    json!({"name": "payments-prod", "domain": "Default"})
}

fn ask(keystone: Value) -> Ask {
    asking(keystone).unwrap()
}

/// What the grants say to something that is asked for, under a login as it is recorded above.
fn verdict(permission: &Permission, ask: &Ask) -> Result<(), String> {
    let session = read(&token(|_| {})).unwrap();
    let bearer = Bearer {
        other_user: None,
        roles: &session.roles,
    };
    permit::check(permission, ask, &session, &bearer).map_err(|failure| {
        assert_eq!(failure.reason, Reason::NotAllowed);
        failure.message
    })
}

#[test]
fn grants_are_held_against_what_keystone_says() {
    let pair = || ask(json!({"accessKey": {"project": project()}}));
    let by_id = |id: &str| ask(json!({"accessKey": {"project": {"id": id}}}));
    let app = |fields: Value| {
        let mut credential = json!({"project": project()});
        for (key, value) in fields.as_object().unwrap() {
            credential[key] = value.clone();
        }
        ask(json!({"applicationCredential": credential}))
    };
    let roles = |roles: &[&str]| {
        let roles: Vec<_> = roles.iter().map(|role| (*role).to_owned()).collect();
        granting(|grant| grant.roles = roles)
    };
    assert_eq!(verdict(&granting(|_| {}), &pair()), Ok(()));
    assert_eq!(
        verdict(
            &granting(|_| {}),
            &by_id("4c4f9239c9b342f39447371bf53c94b1")
        ),
        Ok(()),
        "asked for by id, granted by name"
    );
    let granted_by_id = granting(|grant| {
        grant.projects = vec![NamePattern {
            id: Some("4c4f9239c9b342f39447371bf53c94b1".into()),
            ..NamePattern::default()
        }];
    });
    assert_eq!(verdict(&granted_by_id, &pair()), Ok(()));
    // The login carries a role that the grant does not name: no credential of it may be issued.
    let words = verdict(&roles(&["member"]), &pair()).unwrap_err();
    assert!(words.contains("role reader"), "{words}");
    assert_eq!(
        verdict(&roles(&["member"]), &app(json!({"roles": ["member"]}))),
        Ok(()),
        "an application credential carries what is asked for"
    );
    assert!(verdict(&roles(&["member"]), &app(json!({}))).is_err());
    let other = granting(|grant| grant.projects = vec![pattern("other-*")]);
    assert_eq!(verdict(&other, &pair()), Err("generic".into()));
    let token_only = granting(|grant| grant.kinds = vec![KeystoneKind::Token]);
    assert_eq!(verdict(&token_only, &pair()), Err("generic".into()));
    let short = granting(|grant| grant.max_lifetime = Some("30m".into()));
    let token = ask(json!({"token": {"project": project()}}));
    assert!(verdict(&short, &token).unwrap_err().contains("live 1h"));
    assert_eq!(
        verdict(
            &granting(|grant| grant.max_lifetime = Some("1h".into())),
            &token
        ),
        Ok(())
    );
    let session = read(&self::token(|token| token["project"] = json!(null))).unwrap();
    let bearer = Bearer {
        other_user: None,
        roles: &[],
    };
    assert!(
        permit::check(&granting(|_| {}), &pair(), &session, &bearer).is_err(),
        "a session without a project allows nothing"
    );
}

#[test]
fn limits_are_told_by_the_words_of_a_request() {
    let may = |permission: &Permission, keystone: Value, renewal: Value| {
        let spec: CredentialRequestSpec = serde_json::from_value(json!({
            "providerRef": {"kind": "CredentialProvider", "name": "keystone"},
            "keystone": keystone, "renewal": renewal,
        }))
        .unwrap();
        let ask = crate::providers::Ask::read(&spec).unwrap();
        System::may_allow(&permission.grants[0], &ask)
    };
    let none = json!({});
    let day = granting(|grant| grant.max_lifetime = Some("24h".into()));
    let app = |fields: &[(&str, Value)]| {
        let mut credential = json!({"project": project()});
        for (key, value) in fields {
            credential[*key] = value.clone();
        }
        json!({"applicationCredential": credential})
    };
    let pair = json!({"accessKey": {"project": project()}});
    let words = |result: Result<(), Option<String>>| result.unwrap_err().unwrap_or_default();
    for (result, expected) in [
        (may(&day, app(&[]), none.clone()), "lifetime has to be set"),
        (
            may(&day, app(&[("lifetime", json!("25h"))]), none.clone()),
            "lifetime may be at most",
        ),
        (
            may(&day, pair.clone(), none.clone()),
            "spec.renewal.rotateEvery has to be set",
        ),
        (
            may(
                &day,
                pair.clone(),
                json!({"rotateEvery": "24h", "overlap": "1h"}),
            ),
            "rotateEvery and the overlap may be at most 24h together, not 25h",
        ),
        (
            may(
                &day,
                pair.clone(),
                json!({"rotateEvery": "23h", "overlap": "1000h"}),
            ),
            "together",
        ),
        (
            may(
                &granting(|_| {}),
                app(&[("unrestricted", json!(true))]),
                none.clone(),
            ),
            "unrestricted: true is not allowed",
        ),
        (
            may(
                &granting(|_| {}),
                app(&[("roles", json!(["admin"]))]),
                none.clone(),
            ),
            "roles: admin is not among",
        ),
    ] {
        let words = words(result);
        assert!(words.contains(expected), "{words}: {expected}");
    }
    assert_eq!(
        may(&day, app(&[("lifetime", json!("24h"))]), none.clone()),
        Ok(())
    );
    let day_in_all = json!({"rotateEvery": "23h", "overlap": "1h"});
    assert_eq!(may(&day, pair, day_in_all), Ok(()));
    let unrestricted = granting(|grant| grant.unrestricted = Some(true));
    assert_eq!(
        may(
            &unrestricted,
            app(&[("unrestricted", json!(true))]),
            none.clone()
        ),
        Ok(())
    );
    // What no grant is about gets no words, so that all of it is told the same.
    let elsewhere = json!({"accessKey": {"project": {"name": "payments-prod", "domain": "Other"}}});
    assert_eq!(may(&granting(|_| {}), elsewhere, none.clone()), Err(None));
    let somebody = json!({"accessKey": {"project": project(), "user": {"id": "0d87"}}});
    assert_eq!(may(&granting(|_| {}), somebody, none), Err(None));
}

#[test]
fn a_refused_project_is_told_apart_only_where_a_grant_is_about_it() {
    let failure = || crate::providers::http::failed(Reason::ScopeRefused, "no such project");
    let told = |asked: &Named| permit::scope_refused(&granting(|_| {}), asked, failure()).reason;
    let granted = Named::Name("payments-typo".into(), Domain::Name("Default".into()));
    assert_eq!(told(&granted), Reason::ScopeRefused);
    assert_eq!(told(&Named::Id("4c4f".into())), Reason::NotAllowed);
    let elsewhere = Named::Name("payments-typo".into(), Domain::Id("default".into()));
    assert_eq!(told(&elsewhere), Reason::NotAllowed);
}

#[test]
fn what_is_asked_of_keystone_is_told_apart_and_what_is_local_is_not() {
    let pair = |project: Value| ask(json!({"accessKey": {"project": project}}));
    let first = pair(project());
    assert_eq!(first.digest(), pair(project()).digest());
    let mut rotating = first.clone();
    rotating.what = What::AccessKey {
        user: None,
        rotate_every: Some(SignedDuration::from_hours(1)),
        overlap: SignedDuration::from_mins(15),
    };
    assert_eq!(
        first.digest(),
        rotating.digest(),
        "how often it is rotated is our own business"
    );
    let other = pair(json!({"name": "payments-prod", "domainID": "Default"}));
    assert_ne!(first.digest(), other.digest());
}

#[test]
fn a_bad_request_is_refused_with_the_field() {
    for (keystone, field) in [
        (json!({}), "spec.keystone"),
        (
            json!({"accessKey": {"project": {}}}),
            "spec.keystone.accessKey.project",
        ),
        (
            json!({"accessKey": {"project": {"name": "prod"}}}),
            "spec.keystone.accessKey.project",
        ),
        (
            json!({"token": {"project": {"id": "a/../b"}}}),
            "spec.keystone.token.project",
        ),
        (
            json!({"token": {"project": {"id": "a", "domain": "b"}}}),
            "spec.keystone.token.project",
        ),
        (
            json!({"accessKey": {"project": project(), "user": {"name": "bot"}}}),
            "spec.keystone.accessKey.user",
        ),
        (
            json!({"applicationCredential": {"project": project(), "roles": []}}),
            "spec.keystone.applicationCredential.roles",
        ),
        (
            json!({"applicationCredential": {"project": project(), "lifetime": "soon"}}),
            "spec.keystone.applicationCredential.lifetime",
        ),
    ] {
        let refusal = asking(keystone.clone()).err();
        let refusal = refusal.unwrap_or_else(|| panic!("{keystone} was accepted"));
        assert_eq!(refusal.reason, Reason::InvalidSpec);
        assert!(
            refusal.message.starts_with(field),
            "{}: {field}",
            refusal.message
        );
    }
}

#[test]
fn an_endpoint_is_the_same_with_and_without_its_version() {
    for (endpoint, expected) in [
        (
            "https://keystone.example.com",
            "https://keystone.example.com/v3",
        ),
        (
            "https://keystone.example.com/v3",
            "https://keystone.example.com/v3",
        ),
        (
            "https://keystone.example.com:5000/v3/",
            "https://keystone.example.com:5000/v3",
        ),
        (
            "https://cloud.example.com/identity",
            "https://cloud.example.com/identity/v3",
        ),
        (
            "https://cloud.example.com/identity/v3",
            "https://cloud.example.com/identity/v3",
        ),
        (
            "https://cloud.example.com/v3x",
            "https://cloud.example.com/v3x/v3",
        ),
    ] {
        let keystone = serde_json::from_value(json!({
            "endpoint": endpoint,
            "auth": {"password": {"secretRef": {"name": "login"}}},
        }))
        .unwrap();
        let spec = ProviderSpec {
            dce: None,
            keystone: Some(keystone),
            allow: Vec::new(),
            budget: Budget::default(),
        };
        let (system, reach) = System::read(&spec).unwrap();
        let crate::providers::Layout::Keystone(layout) = system.layout(&reach, None) else {
            panic!("{endpoint}")
        };
        assert_eq!(layout.auth_url, expected);
    }
}

#[test]
fn a_damaged_secret_is_recovered_where_the_credential_itself_is_whole() {
    use crate::{plan::Credential, providers::keystone::Layout, secret::SecretData};
    let layout = Layout {
        auth_url: "https://keystone.example.com/v3".into(),
        region: Some("RegionOne".into()),
        s3: None,
        ca: Some("PEM".into()),
    };
    let credential = Credential {
        serial: 1,
        id: None,
        owner: None,
        issued_at: received(),
        expires_at: Some(received()),
        asked: String::new(),
        rotation: None,
        leak: None,
    };
    let ask = ask(json!({"applicationCredential": {"project": project()}}));
    let own = SecretData::default()
        .with("OS_APPLICATION_CREDENTIAL_ID", "i")
        .with("OS_APPLICATION_CREDENTIAL_SECRET", "s");
    let whole = layout.complete(ask.what.kind(), own.clone(), &credential);
    let keys: Vec<_> = whole.keys().collect();
    assert_eq!(
        keys,
        [
            "OS_APPLICATION_CREDENTIAL_ID",
            "OS_APPLICATION_CREDENTIAL_SECRET",
            "OS_AUTH_TYPE",
            "OS_AUTH_URL",
            "OS_IDENTITY_API_VERSION",
            "OS_REGION_NAME",
            "ca.crt",
            "expiry",
        ]
    );
    assert!(layout.recover(ask.what.kind(), &own, &credential) == Some(whole));
    let lost = SecretData::default().with("OS_APPLICATION_CREDENTIAL_ID", "i");
    assert!(
        layout
            .recover(ask.what.kind(), &lost, &credential)
            .is_none()
    );
}
