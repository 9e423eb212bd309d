//! What a provider and a request may say, and what a grant makes of it.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    super::{
        client::{Sort, Trouble},
        names::{Entity, Named},
        permit,
    },
    ask, asking, is_invalid,
};
use crate::{
    api::{ProviderSpec, Reason, provider::Grant},
    plan::{Failure, Refusal},
    providers::{
        Connection, Layout, LoginValues, Permission, System,
        driver::Ask as _,
        http::{HttpClient, HttpSettings},
    },
};

fn provider(change: impl FnOnce(&mut Value)) -> ProviderSpec {
    let mut provider = json!({
        "endpoint": "https://cloudmc.example.com/api/v1",
        "auth": {"apiKey": {"secretRef": {"namespace": "platform", "name": "login"}}},
    });
    change(&mut provider);
    ProviderSpec {
        cloud_mc: Some(serde_json::from_value(provider).unwrap()),
        ..ProviderSpec::default()
    }
}

/// The grants for a namespace, each with its connections and environments.
fn permission(grants: &[(Value, Value)]) -> Permission {
    let grants = grants.iter().map(|(connections, environments)| {
        let grant = json!({"cloudMC": {
            "kinds": ["serviceKeys"], "connections": connections, "environments": environments,
        }});
        serde_json::from_value(grant).unwrap()
    });
    Permission {
        grants: grants.collect(),
        refusal: Refusal::new(Reason::NotAllowed, "generic"),
        is_login: false,
        renews_login: false,
    }
}

fn entity(id: &str, name: &str) -> Entity {
    Entity {
        id: id.to_owned(),
        name: (!name.is_empty()).then(|| name.to_owned()),
        connection: None,
        organization: None,
    }
}

#[test]
fn a_provider_is_read_and_its_login_tried_for_what_it_can_be() {
    let (system, reach) = System::read(&provider(|_| {})).unwrap();
    assert_eq!(
        reach.endpoint.as_str(),
        "https://cloudmc.example.com/api/v1"
    );
    assert_eq!(reach.login.name, "login");
    let layout = system.layout(&reach, Some(b"certificates"));
    assert_eq!(
        (&layout, layout.digest()),
        (&Layout::CloudMc(super::super::Layout), None)
    );
    let keys = |system: &System| {
        system
            .login_keys()
            .into_iter()
            .map(|key| (key.key, key.required))
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(&system), [("api-key".to_owned(), true)]);
    let (other, _) =
        System::read(&provider(|it| it["auth"]["apiKey"]["key"] = json!("token"))).unwrap();
    assert_eq!(keys(&other), [("token".to_owned(), true)]);

    let connect = |key: &str| {
        let mut login = LoginValues::default();
        login.insert("api-key".into(), SecretString::from(key));
        let http = HttpClient::new(&reach.endpoint, HttpSettings::default()).unwrap();
        system.connect(http, &login, layout.clone())
    };
    assert!(matches!(
        connect("MCKEY-1_2/+="),
        Ok(Connection::CloudMc(_))
    ));
    for key in ["", "two words", "line\nbreak", "clé", &"k".repeat(1025)] {
        let refusal = connect(key).err().unwrap();
        assert_eq!(refusal.reason, Reason::LoginInvalid, "{key}");
        assert!(
            refusal
                .message
                .contains("key api-key (spec.cloudMC.auth.apiKey.key)")
        );
        assert!(key.is_empty() || !refusal.message.contains(key), "{key}");
    }
}

#[test]
fn a_bad_provider_is_refused_with_the_field() {
    type Change = fn(&mut Value);
    let rows: &[(&str, Change, &str)] = &[
        (
            "no URL",
            |it| it["endpoint"] = json!("cloudmc"),
            "spec.cloudMC.endpoint: must be an absolute URL",
        ),
        (
            "plain HTTP",
            |it| it["endpoint"] = json!("http://cloudmc.example.com/v1"),
            "allowHTTP",
        ),
        (
            "a login of no name",
            |it| it["auth"]["apiKey"]["secretRef"]["name"] = json!("A"),
            "spec.cloudMC.auth.apiKey.secretRef.name",
        ),
        (
            "no namespace",
            |it| it["auth"]["apiKey"]["secretRef"]["namespace"] = json!("a.b"),
            "spec.cloudMC.auth.apiKey.secretRef.namespace",
        ),
        (
            "no key",
            |it| it["auth"]["apiKey"]["key"] = json!("a/b"),
            "spec.cloudMC.auth.apiKey.key",
        ),
        (
            "two ways of checking",
            |it| {
                it["tls"] = json!({"insecureSkipVerify": true, "caBundleSecretRef": {"name": "ca"}})
            },
            "spec.cloudMC.tls",
        ),
    ];
    for (what, change, words) in rows {
        is_invalid(what, &System::read(&provider(*change)).unwrap_err(), words);
    }
    let two = ProviderSpec {
        keystone: serde_json::from_value(json!({
            "endpoint": "https://keystone.example.com",
            "auth": {"password": {"secretRef": {"name": "login"}}},
        }))
        .unwrap(),
        ..provider(|_| {})
    };
    is_invalid(
        "two systems",
        &System::read(&two).unwrap_err(),
        "exactly one of: dce, keystone, cloudMC",
    );

    let granting = |grant: Value| ProviderSpec {
        allow: vec![serde_json::from_value(json!({"cloudMC": grant})).unwrap()],
        ..provider(|_| {})
    };
    let (kinds, any) = (json!(["serviceKeys"]), json!([{"name": "*"}]));
    assert!(
        System::read(&granting(
            json!({"kinds": kinds, "connections": any, "environments": [{"id": "e1"}]})
        ))
        .is_ok()
    );
    for (grant, words) in [
        (
            json!({"kinds": [], "connections": any, "environments": any}),
            "spec.allow[0].cloudMC.kinds: must have",
        ),
        (
            json!({"kinds": kinds, "connections": [], "environments": any}),
            "spec.allow[0].cloudMC.connections: must have",
        ),
        (
            json!({"kinds": kinds, "connections": any, "environments": []}),
            "spec.allow[0].cloudMC.environments: must have",
        ),
        (
            json!({"kinds": kinds, "connections": any, "environments": any, "organizations": []}),
            "spec.allow[0].cloudMC.organizations: must have",
        ),
        (
            json!({"kinds": kinds, "connections": any, "environments": any, "organizations": [{}]}),
            "spec.allow[0].cloudMC.organizations: state either",
        ),
        (
            json!({"kinds": kinds, "connections": [{}], "environments": any}),
            "spec.allow[0].cloudMC.connections: state either",
        ),
        (
            json!({"kinds": kinds, "connections": any, "environments": [{"id": "e1", "name": "prod"}]}),
            "spec.allow[0].cloudMC.environments: state either",
        ),
    ] {
        is_invalid(words, &System::read(&granting(grant)).unwrap_err(), words);
    }
    let nothing = ProviderSpec {
        allow: vec![Grant::default()],
        ..provider(|_| {})
    };
    is_invalid(
        "nothing",
        &System::read(&nothing).unwrap_err(),
        "one of: dce, keystone, cloudMC",
    );
}

#[test]
fn what_a_request_names_is_read_or_refused_with_the_field() {
    const EITHER: &str = ": state either id or name";
    const NO_ID: &str = ".id: must be an id: at most 64 letters";
    const NO_NAME: &str = ".name: must be a name: not empty, of at most 255 characters";
    for (field, named, words) in [
        ("connection", json!({}), EITHER),
        ("connection", json!({"id": "c1", "name": "objects"}), EITHER),
        ("connection", json!({"id": "a/b"}), NO_ID),
        ("environment", json!({"id": ""}), NO_ID),
        ("environment", json!({"id": "../environments"}), NO_ID),
        ("environment", json!({"id": ".."}), NO_ID),
        ("environment", json!({"id": "a b"}), NO_ID),
        ("environment", json!({"id": "é"}), NO_ID),
        ("environment", json!({"id": "i".repeat(65)}), NO_ID),
        ("environment", json!({"name": ""}), NO_NAME),
        ("environment", json!({"name": "line\nbreak"}), NO_NAME),
        ("environment", json!({"name": "line\u{85}break"}), NO_NAME),
        ("environment", json!({"name": "n".repeat(256)}), NO_NAME),
    ] {
        let refusal = asking(&json!({field: named})).unwrap_err();
        is_invalid(
            &named.to_string(),
            &refusal,
            &format!("spec.cloudMC.serviceKeys.{field}{words}"),
        );
    }
    for named in [
        json!({"id": "079bdead-61b5-4b38-86ed-dbbf963808ec"}),
        json!({"name": "../a b/é*"}),
        // As many characters as the schema lets through, and more than that in bytes.
        json!({"name": "é".repeat(255)}),
    ] {
        assert!(asking(&json!({"environment": named})).is_ok(), "{named}");
    }
}

#[test]
fn grants_are_held_against_what_cloudmc_says() {
    let (any, none) = (json!([{"name": "*"}]), json!([{"name": "nothing"}]));
    let by_id = || ask(&json!({"connection": {"id": "c1"}, "environment": {"id": "e1"}}));
    let by_name = || {
        ask(&json!({"connection": {"name": "objects"}, "environment": {"name": "payments-prod"}}))
    };
    let (objects, prod) = (entity("c1", "objects"), entity("e1", "payments-prod"));
    for (what, grants, expected) in [
        (
            "names",
            vec![(
                json!([{"name": "objects"}]),
                json!([{"name": "payments-*"}]),
            )],
            true,
        ),
        (
            "ids",
            vec![(json!([{"id": "c1"}]), json!([{"id": "e1"}]))],
            true,
        ),
        (
            "one of several",
            vec![
                (none.clone(), any.clone()),
                (any.clone(), json!([{"id": "e2"}, {"id": "e1"}])),
            ],
            true,
        ),
        (
            "an id and a name",
            vec![(json!([{"id": "c1"}]), json!([{"name": "*-prod"}]))],
            true,
        ),
        ("no grant", vec![], false),
        (
            "another connection",
            vec![(json!([{"id": "c2"}]), any.clone())],
            false,
        ),
        (
            "another environment",
            vec![(any.clone(), json!([{"name": "payments"}]))],
            false,
        ),
        (
            "an id that is a name",
            vec![(any.clone(), json!([{"name": "e1"}]))],
            false,
        ),
        (
            "a name that is an id",
            vec![(json!([{"id": "objects"}]), any.clone())],
            false,
        ),
        (
            "one half in each of two",
            vec![
                (json!([{"id": "c1"}]), none.clone()),
                (none.clone(), json!([{"id": "e1"}])),
            ],
            false,
        ),
    ] {
        let permission = permission(&grants);
        for ask in [by_id(), by_name()] {
            let said = permit::check(&permission, &ask, &objects, &prod);
            assert_eq!(said.is_ok(), expected, "{what}");
            if let Err(failure) = said {
                assert_eq!(
                    (failure.reason, failure.message.as_str()),
                    (Reason::NotAllowed, "generic")
                );
            }
            // What the words alone exclude is refused without asking CloudMC, and nothing else is.
            let may = permission
                .grants
                .iter()
                .any(|grant| ask.may_be_allowed_by(grant).is_ok());
            assert!(may || !expected, "{what}");
        }
    }
    let nameless = permit::check(
        &permission(&[(any.clone(), any.clone())]),
        &by_id(),
        &objects,
        &entity("e1", ""),
    );
    assert!(
        nameless.is_err(),
        "a pattern for names is about no environment that has none"
    );
    let other_kind: Grant = serde_json::from_value(json!({"keystone": {
        "kinds": ["token"], "projects": [{"id": "p"}], "roles": ["member"],
    }}))
    .unwrap();
    assert_eq!(by_id().may_be_allowed_by(&other_kind), Err(None));
}

#[test]
fn what_no_grant_is_about_gets_the_same_words_whether_or_not_it_exists() {
    let any = json!([{"name": "*"}]);
    let objects = entity("c1", "objects");
    let told = |grants: &[(Value, Value)], ask: &super::Ask, known: Option<&Entity>| {
        let asked = Named::Name("prod".into());
        let failure: Failure = Trouble::NotShown.failure(Sort::Environment, &asked, false);
        permit::told(&permission(grants), ask, known, failure).reason
    };
    let by_name = ask(&json!({}));
    let by_id = ask(&json!({"connection": {"id": "c1"}, "environment": {"id": "e1"}}));
    for (what, grants, ask, known, expected) in [
        (
            "a connection by a granted name",
            (any.clone(), any.clone()),
            &by_name,
            None,
            Reason::ScopeRefused,
        ),
        (
            "a connection by an id, granted by name",
            (any.clone(), any.clone()),
            &by_id,
            None,
            Reason::NotAllowed,
        ),
        (
            "a connection by a granted id",
            (json!([{"id": "c1"}]), any.clone()),
            &by_id,
            None,
            Reason::ScopeRefused,
        ),
        (
            "an environment by a granted name",
            (any.clone(), json!([{"name": "pro*"}])),
            &by_name,
            Some(&objects),
            Reason::ScopeRefused,
        ),
        (
            "an environment by a name, granted by id",
            (any.clone(), json!([{"id": "e1"}])),
            &by_name,
            Some(&objects),
            Reason::NotAllowed,
        ),
        (
            "an environment of another connection's grant",
            (json!([{"id": "c2"}]), any.clone()),
            &by_name,
            Some(&objects),
            Reason::NotAllowed,
        ),
    ] {
        assert_eq!(told(&[grants], ask, known), expected, "{what}");
    }
    assert_eq!(
        told(&[], &by_name, None),
        Reason::NotAllowed,
        "no grant at all"
    );
}

#[test]
fn ids_that_one_grant_names_need_no_looking_up() {
    let any = json!([{"name": "*"}]);
    let (c1, e1) = (json!([{"name": "x"}, {"id": "c1"}]), json!([{"id": "e1"}]));
    let by_id = ask(&json!({"connection": {"id": "c1"}, "environment": {"id": "e1"}}));
    let half = ask(&json!({"connection": {"id": "c1"}}));
    let names = ask(&json!({}));
    for (grants, ask, expected) in [
        (vec![(c1.clone(), e1.clone())], &by_id, true),
        (vec![(c1.clone(), any.clone())], &by_id, false),
        (
            vec![(c1.clone(), any.clone()), (any.clone(), e1.clone())],
            &by_id,
            false,
        ),
        (vec![(c1.clone(), any.clone())], &half, false),
        (vec![(any.clone(), any.clone())], &names, false),
    ] {
        assert_eq!(
            permit::by_ids(&permission(&grants), ask),
            expected,
            "{grants:?}"
        );
    }
}

#[test]
fn a_grant_for_organizations_is_about_the_environments_in_them() {
    let within = |patterns: Value| {
        let grant = json!({"cloudMC": {
            "kinds": ["serviceKeys"], "connections": [{"id": "c1"}], "environments": [{"id": "e1"}],
            "organizations": patterns,
        }});
        Permission {
            grants: vec![serde_json::from_value(grant).unwrap()],
            ..permission(&[])
        }
    };
    let by_id = ask(&json!({"connection": {"id": "c1"}, "environment": {"id": "e1"}}));
    let of = |organization: Option<Entity>| Entity {
        organization: organization.map(Box::new),
        ..entity("e1", "prod")
    };
    let acme = || Some(entity("o1", "acme"));
    for (what, patterns, organization, expected) in [
        ("its id", json!([{"id": "o1"}]), acme(), true),
        (
            "its name",
            json!([{"id": "o9"}, {"name": "ac*"}]),
            acme(),
            true,
        ),
        ("another", json!([{"name": "other"}]), acme(), false),
        ("a name for an id", json!([{"id": "acme"}]), acme(), false),
        ("none is told", json!([{"name": "*"}]), None, false),
    ] {
        let permission = within(patterns);
        let said = permit::check(&permission, &by_id, &entity("c1", ""), &of(organization));
        assert_eq!(said.is_ok(), expected, "{what}");
        // Only CloudMC knows, so it has to be asked, and its words are for nobody else.
        assert!(!permit::by_ids(&permission, &by_id), "{what}");
        let failure = Trouble::NotShown.failure(Sort::Environment, &by_id.environment, false);
        let told = permit::told(&permission, &by_id, Some(&entity("c1", "")), failure);
        assert_eq!(told.reason, Reason::NotAllowed, "{what}");
    }
}
