//! What a provider and a request may say, and what a grant makes of it.

use secrecy::SecretString;

use super::*;
use crate::{
    api::{
        cloudcenter::{CloudCenterGrant, is_email},
        provider::{Grant, ProviderSpec},
        request::CredentialRequestSpec,
    },
    plan::Refusal,
    providers::{
        Ask, Kind, LoginValues, Permission, System,
        cloudcenter::{self, permit},
        driver::Config as _,
        http::{HttpClient, HttpSettings},
    },
};

fn provider(cloud_center: Value, allow: Value) -> Result<ProviderSpec, serde_json::Error> {
    let spec = json!({"cloudCenter": cloud_center, "allow": allow});
    let spec: crate::api::provider::ClusterCredentialProviderSpec = serde_json::from_value(spec)?;
    Ok(spec.into())
}

fn reading(change: impl FnOnce(&mut Value), allow: Value) -> Result<(System, String), Refusal> {
    let mut spec = json!({
        "endpoint": "https://ccm.example.com/prefix",
        "auth": {"apiKey": {"secretRef": {"namespace": "platform", "name": "login"}}},
    });
    change(&mut spec);
    let (system, reach) = System::read(&provider(spec, allow).unwrap())?;
    Ok((system, reach.login.name))
}

#[test]
fn a_provider_is_read_with_its_defaults() {
    let keys = |change: fn(&mut Value)| {
        let (system, login) = reading(change, json!([])).unwrap();
        assert_eq!(login, "login");
        let keys: Vec<_> = system.login_keys().into_iter().map(|key| key.key).collect();
        keys
    };
    assert_eq!(keys(|_| {}), ["username", "key"]);
    let named = keys(|spec| {
        spec["auth"]["apiKey"]["usernameKey"] = json!("user");
        spec["auth"]["apiKey"]["keyKey"] = json!("api-key");
    });
    assert_eq!(named, ["user", "api-key"]);
}

#[test]
fn a_bad_provider_is_refused_with_the_field() {
    type Change = fn(&mut Value);
    let rows: [(Change, &str); 9] = [
        (
            |spec| spec["endpoint"] = json!("ccm.example.com"),
            "spec.cloudCenter.endpoint",
        ),
        (
            |spec| spec["endpoint"] = json!("http://ccm.example.com"),
            "spec.cloudCenter.endpoint",
        ),
        (
            |spec| spec["endpoint"] = json!("https://a:b@ccm.example.com"),
            "spec.cloudCenter.endpoint",
        ),
        (
            |spec| spec["auth"]["apiKey"]["secretRef"]["name"] = json!("Log in"),
            "spec.cloudCenter.auth.apiKey.secretRef.name",
        ),
        (
            |spec| spec["auth"]["apiKey"]["secretRef"]["namespace"] = json!("a.b"),
            "spec.cloudCenter.auth.apiKey.secretRef.namespace",
        ),
        (
            |spec| spec["auth"]["apiKey"]["usernameKey"] = json!("a/b"),
            "spec.cloudCenter.auth.apiKey.usernameKey",
        ),
        (
            |spec| spec["auth"]["apiKey"]["keyKey"] = json!(""),
            "spec.cloudCenter.auth.apiKey.keyKey",
        ),
        (
            |spec| {
                spec["tls"] =
                    json!({"insecureSkipVerify": true, "caBundleSecretRef": {"name": "ca"}})
            },
            "spec.cloudCenter.tls",
        ),
        (
            |spec| spec["tls"] = json!({"caBundleSecretRef": {"name": "CA"}}),
            "spec.cloudCenter.tls.caBundleSecretRef.name",
        ),
    ];
    for (change, field) in rows {
        let refusal = reading(change, json!([])).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidSpec, "{field}");
        let message = &refusal.message;
        assert!(message.starts_with(&format!("{field}: ")), "{message}");
    }
    let plain = reading(
        |spec| {
            spec["endpoint"] = json!("http://10.0.0.1:8080");
            spec["allowHTTP"] = json!(true);
        },
        json!([]),
    );
    assert!(plain.is_ok());
}

#[test]
fn a_bad_grant_is_refused_with_its_place() {
    let allow = |users: Value| {
        let grant = json!({"namespaces": {}, "cloudCenter": {"kinds": ["apiKey"], "users": users}});
        reading(|_| {}, json!([grant]))
    };
    for good in [
        json!([{"id": "4"}, {"email": "*@example.com"}, {"self": true}]),
        json!([{"email": "*"}]),
        json!([{"email": "jürgen@bücher.example"}]),
    ] {
        assert!(allow(good.clone()).is_ok(), "{good}");
    }
    for bad in [
        json!([]),
        json!([{}]),
        json!([{"id": "4", "email": "a@b"}]),
        json!([{"id": "4", "self": true}]),
        json!([{"self": false}]),
        json!([{"id": "../4"}]),
        json!([{"id": ""}]),
        json!([{"id": "4 5"}]),
        json!([{"id": "vier₄"}]),
        json!([{"email": ""}]),
        json!([{"email": "a b@c"}]),
        json!([{"email": "a@b\n"}]),
        json!([{"email": "a@b"}, {}]),
    ] {
        let refusal = allow(bad.clone()).unwrap_err();
        let message = &refusal.message;
        assert!(
            message.starts_with("spec.allow[0].cloudCenter.users: "),
            "{bad}: {message}"
        );
    }
    let kinds = json!([{"namespaces": {}, "cloudCenter": {"kinds": [], "users": [{"id": "4"}]}}]);
    let refusal = reading(|_| {}, kinds).unwrap_err();
    assert!(
        refusal
            .message
            .starts_with("spec.allow[0].cloudCenter.kinds: ")
    );
}

fn asking(key: Value, renewal: Value) -> Result<Ask, Refusal> {
    let spec: CredentialRequestSpec = serde_json::from_value(json!({
        "providerRef": {"kind": "CredentialProvider", "name": "cloudcenter"},
        "cloudCenter": {"apiKey": key}, "renewal": renewal,
    }))
    .unwrap();
    assert_eq!(Kind::of(&spec).map(Kind::name), Some("cloudCenter.apiKey"));
    Ask::read(&spec)
}

pub(super) fn ask(user: Value) -> cloudcenter::Ask {
    match asking(json!({"user": user}), Value::Null).unwrap() {
        Ask::CloudCenter(ask) => ask,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_names_a_user_who_can_be_asked_for() {
    for (key, digest) in [
        (json!({}), "cloudCenter.apiKey/self"),
        (json!({"user": {"id": "4"}}), "cloudCenter.apiKey/id/4"),
        (
            json!({"user": {"email": "Alice@Example.com"}}),
            "cloudCenter.apiKey/email/alice@example.com",
        ),
        // It is compared, and never part of a path.
        (
            json!({"user": {"email": "../a/b@c"}}),
            "cloudCenter.apiKey/email/../a/b@c",
        ),
        (
            json!({"user": {"email": "jürgen@bücher.example"}}),
            "cloudCenter.apiKey/email/jürgen@bücher.example",
        ),
    ] {
        let asked = asking(key.clone(), json!({"verifyEvery": "5m"}));
        assert_eq!(asked.unwrap().digest(), digest, "{key}");
    }
    for bad in [
        json!({}),
        json!({"id": "4", "email": "a@b"}),
        json!({"id": ""}),
        json!({"id": ".."}),
        json!({"id": "4/../5"}),
        json!({"id": "4/keys"}),
        json!({"id": "4%2f5"}),
        json!({"id": "4 5"}),
        json!({"id": "4?detail=true"}),
        json!({"id": "٤"}),
        json!({"id": "-4"}),
        json!({"id": "4".repeat(65)}),
        json!({"email": ""}),
        json!({"email": "alice"}),
        json!({"email": "@example.com"}),
        json!({"email": "alice@"}),
        json!({"email": "a@b@c"}),
        json!({"email": "a b@c"}),
        json!({"email": "a\n@c"}),
        json!({"email": "*@example.com"}),
        json!({"email": format!("a@{}", "b".repeat(254))}),
    ] {
        let refusal = asking(json!({"user": bad}), Value::Null).unwrap_err();
        let message = &refusal.message;
        assert_eq!(refusal.reason, Reason::InvalidSpec, "{bad}");
        assert!(
            message.starts_with("spec.cloudCenter.apiKey.user: "),
            "{message}"
        );
    }
    let rotating = asking(json!({}), json!({"rotateEvery": "24h"})).unwrap_err();
    assert!(rotating.message.starts_with("spec.renewal.rotateEvery: "));
    assert!(is_email("a@b") && !is_email("a@b "));
}

pub(super) fn grants(users: Value) -> Permission {
    let cloud_center: CloudCenterGrant =
        serde_json::from_value(json!({"kinds": ["apiKey"], "users": users})).unwrap();
    Permission {
        grants: vec![Grant {
            cloud_center: Some(cloud_center),
            ..Grant::default()
        }],
        refusal: Refusal::new(Reason::NotAllowed, "generic"),
        is_login: false,
        renews_login: false,
    }
}

#[test]
fn what_is_certainly_not_granted_is_refused_by_its_words() {
    let mine = || Value::Null;
    let id = || json!({"id": "4"});
    let email = || json!({"email": "alice@example.com"});
    for (users, asked, expected) in [
        (json!([{"self": true}]), mine(), true),
        (json!([{"id": "4"}, {"email": "*"}]), mine(), false),
        (json!([{"id": "4"}]), id(), true),
        (json!([{"id": "44"}]), id(), false),
        // Only CloudCenter knows whether these are the same.
        (json!([{"email": "alice@example.com"}]), id(), true),
        (json!([{"self": true}]), id(), true),
        (json!([{"id": "4"}]), email(), true),
        (json!([{"self": true}]), email(), true),
        (json!([{"email": "alice@example.com"}]), email(), true),
        (json!([{"email": "*@Example.COM"}]), email(), true),
        (json!([{"email": "bob@example.com"}]), email(), false),
        (json!([{"email": "*@example.co"}]), email(), false),
        (
            json!([{"email": "bob@example.com"}, {"id": "5"}]),
            email(),
            true,
        ),
    ] {
        let permission = grants(users.clone());
        let asked = Ask::CloudCenter(ask(asked));
        let may = asked.may_be_allowed_by(&permission.grants[0]);
        assert_eq!(
            may,
            if expected { Ok(()) } else { Err(None) },
            "{users} {asked:?}"
        );
    }
    let other: Grant = serde_json::from_value(json!({"dce": {"kinds": ["token"]}})).unwrap();
    let asked = Ask::CloudCenter(ask(Value::Null));
    assert_eq!(asked.may_be_allowed_by(&other), Err(None));
}

#[test]
fn grants_are_held_against_what_cloudcenter_says() {
    let alice = || Bearer::Other(user());
    let renamed = || {
        let email = Some("alice@elsewhere.example".into());
        Bearer::Other(User { email, ..user() })
    };
    let silent = || {
        Bearer::Other(User {
            email: None,
            ..user()
        })
    };
    for (users, bearer, expected) in [
        (json!([{"id": "4"}]), alice(), true),
        (json!([{"id": "5"}]), alice(), false),
        (json!([{"email": "*@example.com"}]), alice(), true),
        (json!([{"email": "ALICE@example.com"}]), alice(), true),
        (json!([{"email": "*@example.com"}]), renamed(), false),
        (json!([{"email": "*@example.com"}]), silent(), false),
        (json!([{"email": "*"}]), silent(), false),
        (json!([{"id": "4"}]), silent(), true),
        (json!([{"self": true}]), alice(), false),
        (json!([{"self": true}]), Bearer::Own, true),
        // The admin's own address fits as well as anybody's.
        (json!([{"email": "*"}]), Bearer::Own, false),
        (json!([{"id": "2"}]), Bearer::Own, false),
        (json!([{"id": "2"}, {"self": true}]), Bearer::Own, true),
    ] {
        let verdict = permit::check(&grants(users.clone()), &bearer, false);
        let said = verdict.map_err(|failure| (failure.reason, failure.message));
        let refused = Err((Reason::NotAllowed, "generic".to_owned()));
        assert_eq!(
            said,
            if expected { Ok(()) } else { refused },
            "{users} {bearer:?}"
        );
    }
}

#[test]
fn what_is_hidden_from_the_login_is_told_only_where_the_grant_names_it() {
    for (users, asked, expected) in [
        (json!([{"id": "4"}]), json!({"id": "4"}), true),
        (json!([{"email": "*"}]), json!({"id": "4"}), false),
        (json!([{"id": "4"}]), json!({"email": "a@b"}), false),
        (json!([{"email": "*@b"}]), json!({"email": "a@b"}), true),
    ] {
        let surely = permit::is_surely_granted(&grants(users.clone()), &ask(asked));
        assert_eq!(surely, expected, "{users}");
    }
}

#[test]
fn a_login_secret_holds_a_name_and_a_key() {
    let config = cloudcenter::Config {
        username_key: "username".into(),
        key_key: "key".into(),
    };
    let nobody = url::Url::parse("http://127.0.0.1:1/").unwrap();
    let connect = |username: &str, key: &str| {
        let mut values = LoginValues::default();
        values.insert("username".into(), SecretString::from(username));
        values.insert("key".into(), SecretString::from(key));
        let http = HttpClient::new(&nobody, HttpSettings::default()).unwrap();
        let layout = cloudcenter::Layout {
            endpoint: "http://127.0.0.1:1".into(),
        };
        config.connect(http, &values, layout)
    };
    assert!(connect("admin_3", KEY).is_ok());
    assert!(connect("admin@example.com,1", "p4ssw:rd").is_ok());
    for (username, key, words) in [
        ("", KEY, "under key username"),
        ("admin:3", KEY, "under key username"),
        ("admin 3", KEY, "under key username"),
        ("admin_3", "", "under key key"),
        ("admin_3", "line\nbreak", "under key key"),
        ("admin_3", "schlüssel", "under key key"),
    ] {
        let refusal = connect(username, key).err().unwrap();
        assert_eq!(refusal.reason, Reason::LoginInvalid);
        assert!(refusal.message.contains(words), "{}", refusal.message);
        assert!(key.is_empty() || !refusal.message.contains(key));
    }
}
