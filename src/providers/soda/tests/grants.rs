//! What grants for SODA allow, as far as their words tell, and in the words of Keystone.

use serde_json::{Value, json};

use super::{super::permit, ask};
use crate::{
    api::{Reason, keystone::KeystoneKind, provider::Grant, soda::SodaGrant},
    plan::Refusal,
    providers::{Permission, driver::Ask as _},
};

fn grant(change: Value) -> SodaGrant {
    let mut grant = json!({
        "kinds": ["accessKey"], "projects": [{"id": "p1"}], "roles": ["member"],
    });
    for (field, value) in change.as_object().unwrap() {
        grant[field] = value.clone();
    }
    serde_json::from_value(grant).unwrap()
}

fn of(grant: SodaGrant) -> Grant {
    Grant {
        soda: Some(grant),
        ..Grant::default()
    }
}

#[test]
fn each_way_has_to_be_opened_and_a_limited_life_shuts_those_without_an_end() {
    let both = json!({"issueThroughSoda": true, "adopt": true});
    let limited = json!({"issueThroughSoda": true, "adopt": true, "maxLifetime": "24h"});
    for (change, fields, said) in [
        (json!({}), json!({}), None),
        (
            json!({}),
            json!({"adopt": true}),
            Some("adopt: true is not allowed"),
        ),
        (
            json!({"adopt": true}),
            json!({"issueThrough": "Soda"}),
            Some("issueThrough: Soda is not allowed"),
        ),
        (
            json!({"issueThroughSoda": true}),
            json!({"adopt": true}),
            Some("adopt: true is not allowed"),
        ),
        (both.clone(), json!({"adopt": true}), None),
        (both.clone(), json!({"issueThrough": "Soda"}), None),
        (
            both,
            json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"}),
            Some("onDelete: DeleteAllKeysOfUser is not allowed"),
        ),
        (
            json!({"issueThroughSoda": true, "deleteAll": true}),
            json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"}),
            None,
        ),
        (
            limited.clone(),
            json!({"adopt": true}),
            Some("a pair has no end"),
        ),
        (
            limited.clone(),
            json!({"issueThrough": "Soda"}),
            Some("a pair has no end"),
        ),
        (
            limited,
            json!({}),
            Some("spec.renewal.rotateEvery has to be set"),
        ),
    ] {
        let asked = ask(fields.clone()).unwrap();
        let answer = asked.may_be_allowed_by(&of(grant(change.clone())));
        match (answer, said) {
            (Ok(()), None) => {}
            (Err(Some(words)), Some(said)) => {
                assert!(words.contains(said), "{change} {fields}: {words}");
            }
            (answer, _) => panic!("{change} {fields}: {answer:?}"),
        }
    }
}

#[test]
fn what_a_grant_is_not_about_gets_no_words() {
    let elsewhere = ask(json!({"project": {"id": "p2"}, "adopt": true})).unwrap();
    let answer = elsewhere.may_be_allowed_by(&of(grant(json!({}))));
    assert_eq!(answer, Err(None));
    // Not even one for the Keystone behind it.
    let keystone = json!({
        "kinds": ["accessKey"], "projects": [{"id": "p1"}], "roles": ["member"],
    });
    let other = Grant {
        keystone: Some(serde_json::from_value(keystone).unwrap()),
        ..Grant::default()
    };
    let answer = ask(json!({})).unwrap().may_be_allowed_by(&other);
    assert_eq!(answer, Err(None));
}

#[test]
fn keystone_is_asked_with_the_grants_that_are_about_it_and_no_others() {
    let adopting = grant(json!({"adopt": true, "roles": ["reader"]}));
    let permission = Permission {
        grants: vec![of(grant(json!({}))), of(adopting), Grant::default()],
        refusal: Refusal::new(Reason::NotAllowed, "no grant is about it"),
        is_login: false,
        renews_login: false,
    };
    let roles = |fields: Value| {
        let asked = ask(fields).unwrap();
        let at_keystone = permit::at_keystone(&permission, &asked);
        assert_eq!(at_keystone.refusal, permission.refusal);
        let grants = at_keystone.grants.into_iter();
        grants
            .map(|grant| {
                let keystone = grant.keystone.unwrap();
                assert_eq!(keystone.kinds, [KeystoneKind::AccessKey]);
                assert_eq!((grant.soda, keystone.users), (None, None));
                keystone.roles.concat()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(roles(json!({})), ["member", "reader"]);
    assert_eq!(roles(json!({"adopt": true})), ["reader"]);
    assert_eq!(roles(json!({"issueThrough": "Soda"})), [""; 0]);
}
