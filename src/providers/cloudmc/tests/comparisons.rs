//! What a further reading says about what is published.

use serde_json::{Value, json};

use super::{
    super::service_keys,
    MARK, ask,
    forms::{storage, without},
    with_fields,
};
use crate::{api::Reason, plan::Proof, secret::SecretData};

#[test]
fn a_text_in_place_of_a_field_is_not_for_who_has_the_field_already() {
    let v3 = ask(&json!({"preset": "OpenStackV3"}));
    let read = |fields: &Value| service_keys::read(&v3, &with_fields(fields)).unwrap();
    let compare = |fields: &Value, before: &SecretData| {
        service_keys::compare(&v3, &with_fields(fields), before)
            .map_err(|failure| (failure.reason, failure.message))
    };
    let with_domain = |domain: Value| {
        let mut fields = without(storage(), "domain_id");
        let domain = json!({"key": "domain_id", "value": domain});
        fields.as_array_mut().unwrap().push(domain);
        fields
    };
    let (published, hidden) = (read(&storage()), without(storage(), "domain_id"));
    let new_password = without(hidden.clone(), "password");
    let new_password = {
        let mut fields = new_password;
        let password = json!({"key": "password", "value": "another"});
        fields.as_array_mut().unwrap().push(password);
        fields
    };
    for (what, fields) in [
        ("hidden", hidden.clone()),
        ("empty", with_domain(json!(""))),
        ("null", with_domain(Value::Null)),
        ("hidden, and another password", new_password),
    ] {
        let (reason, message) = compare(&fields, &published).unwrap_err();
        assert_eq!(reason, Reason::UnexpectedAnswer, "{what}");
        let words = "no value any more for OS_PROJECT_DOMAIN_ID, OS_USER_DOMAIN_ID, which";
        assert!(message.contains(words), "{what}: {message}");
        assert!(message.contains("credential-operator.dev/rotate"), "{what}");
        assert!(!message.contains(MARK), "{what}: {message}");
    }
    assert_eq!(compare(&storage(), &published), Ok(Proof::Given));
    let moved = with_domain(json!("default"));
    assert_eq!(compare(&moved, &published), Ok(Proof::Refused));
    // Who never had it gets it, and who has the same as a field keeps it.
    assert_eq!(compare(&hidden, &read(&hidden)), Ok(Proof::Given));
    assert_eq!(compare(&hidden, &read(&moved)), Ok(Proof::Given));
    assert_eq!(compare(&storage(), &read(&hidden)), Ok(Proof::Refused));
}

#[test]
fn of_fields_that_nobody_chose_none_is_named() {
    let all = ask(&json!({}));
    let before = service_keys::read(&all, &with_fields(&storage())).unwrap();
    let left = without(without(storage(), "password"), "username");
    let failure = service_keys::compare(&all, &with_fields(&left), &before).unwrap_err();
    assert_eq!(failure.reason, Reason::UnexpectedAnswer);
    let words = "no value any more for 2 of the fields that were read before, which";
    assert!(failure.message.contains(words), "{}", failure.message);
    for name in ["password", "username"] {
        assert!(!failure.message.contains(name), "{}", failure.message);
    }
}
