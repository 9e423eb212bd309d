//! What a request may ask for, and what a grant makes of it.

use super::*;
use crate::providers::driver::Ask as _;

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
            keystone: Some(keystone),
            ..Grant::default()
        }],
        refusal: Refusal::new(Reason::NotAllowed, "generic"),
        is_login: false,
        renews_login: false,
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
        ask.may_be_allowed_by(&permission.grants[0])
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
            keystone: Some(keystone),
            ..ProviderSpec::default()
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
    assert!(layout.recovered(ask.what.kind(), &own, &credential) == Some(whole));
    let lost = SecretData::default().with("OS_APPLICATION_CREDENTIAL_ID", "i");
    assert!(
        layout
            .recovered(ask.what.kind(), &lost, &credential)
            .is_none()
    );
}
