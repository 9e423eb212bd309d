//! Under which keys fields are published, and what is said of a form that makes no sense.

use serde_json::{Value, json};

use super::{super::service_keys, MARK, ask, asking, is_invalid, owned, pairs, with_fields};
use crate::{
    api::Reason,
    providers::driver::{Ask as _, Layout as _},
    secret::SecretData,
};

/// The fields of object storage, by the portal's labels.
pub(super) fn storage() -> Value {
    let fields = [
        ("auth_endpoint", "https://auth.example.com/v2.0"),
        ("project_name", "system-prod"),
        ("username", "system-bot-2925"),
        ("password", MARK),
        ("auth_url", "https://auth.example.com"),
        ("identity_api_version", "3"),
        ("domain_id", "d1"),
        ("s3_access_key", "076d7a25"),
        ("s3_secret_key", MARK),
    ];
    let fields = fields.map(|(key, value)| json!({"key": key, "value": value}));
    json!(fields)
}

pub(super) fn without(mut fields: Value, key: &str) -> Value {
    fields
        .as_array_mut()
        .unwrap()
        .retain(|field| field["key"] != key);
    fields
}

fn published(more: &Value, fields: &Value) -> Result<Vec<(String, String)>, (Reason, String)> {
    service_keys::read(&ask(more), &with_fields(fields))
        .map(|data| pairs(&data))
        .map_err(|failure| (failure.reason, failure.message))
}

#[test]
fn presets_have_the_keys_that_clients_look_for() {
    let s3 = json!([
        {"as": "AWS_ENDPOINT_URL_S3", "value": "https://objects.example.com"},
        {"as": "AWS_REGION", "value": "cloud.ca"},
    ]);
    let profile = format!(
        "[default]\nregion = cloud.ca\naws_access_key_id = 076d7a25\naws_secret_access_key = {MARK}\n\
         endpoint_url = https://objects.example.com\ns3 =\n  endpoint_url = https://objects.example.com\n"
    );
    for (what, more, expected) in [
        (
            "v3",
            json!({"preset": "OpenStackV3"}),
            &[
                ("OS_AUTH_URL", "https://auth.example.com"),
                ("OS_IDENTITY_API_VERSION", "3"),
                ("OS_PASSWORD", MARK),
                ("OS_PROJECT_DOMAIN_ID", "d1"),
                ("OS_PROJECT_NAME", "system-prod"),
                ("OS_USERNAME", "system-bot-2925"),
                ("OS_USER_DOMAIN_ID", "d1"),
            ][..],
        ),
        (
            "v2.0",
            json!({"preset": "OpenStackV2"}),
            &[
                ("OS_AUTH_URL", "https://auth.example.com/v2.0"),
                ("OS_PASSWORD", MARK),
                ("OS_PROJECT_NAME", "system-prod"),
                ("OS_TENANT_NAME", "system-prod"),
                ("OS_USERNAME", "system-bot-2925"),
            ],
        ),
        (
            "S3, with what CloudMC does not tell",
            json!({"preset": "S3", "keys": s3}),
            &[
                ("AWS_ACCESS_KEY_ID", "076d7a25"),
                ("AWS_DEFAULT_REGION", "cloud.ca"),
                ("AWS_ENDPOINT_URL_S3", "https://objects.example.com"),
                ("AWS_REGION", "cloud.ca"),
                ("AWS_SECRET_ACCESS_KEY", MARK),
                ("credentials", &profile),
            ],
        ),
        (
            "other names of fields, one more key, and one that two others follow",
            json!({"preset": "OpenStackV2", "keys": [
                {"as": "OS_PROJECT_NAME", "field": "domain_id"},
                {"as": "OS_REGION_NAME", "value": "east"},
            ]}),
            &[
                ("OS_AUTH_URL", "https://auth.example.com/v2.0"),
                ("OS_PASSWORD", MARK),
                ("OS_PROJECT_NAME", "d1"),
                ("OS_REGION_NAME", "east"),
                ("OS_TENANT_NAME", "d1"),
                ("OS_USERNAME", "system-bot-2925"),
            ],
        ),
        (
            "selected and renamed",
            json!({"keys": [
                {"as": "user", "field": "username"}, {"as": "same-user", "field": "username"},
            ]}),
            &[
                ("same-user", "system-bot-2925"),
                ("user", "system-bot-2925"),
            ],
        ),
    ] {
        assert_eq!(published(&more, &storage()), Ok(owned(expected)), "{what}");
    }
    let domainless = published(
        &json!({"preset": "OpenStackV3"}),
        &without(storage(), "domain_id"),
    )
    .unwrap();
    for key in ["OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID"] {
        assert!(domainless.contains(&(key.to_owned(), "default".to_owned())));
    }
}

#[test]
fn what_breaks_a_profile_of_s3_is_refused() {
    let told = |region: &str| {
        json!({"preset": "S3", "keys": [
            {"as": "AWS_ENDPOINT_URL_S3", "value": "https://objects.example.com"},
            {"as": "AWS_REGION", "value": region},
        ]})
    };
    let broken = "east\n[other]";
    let refusal = asking(&told(broken)).unwrap_err();
    is_invalid("region", &refusal, "the value of AWS_REGION");
    // Without a profile, a text is a text.
    let alone = json!({"keys": [{"as": "AWS_REGION", "value": broken}]});
    assert!(published(&alone, &storage()).is_ok());
    let mut own = told(broken);
    let as_file = json!({"as": "credentials", "field": "password"});
    own["keys"].as_array_mut().unwrap().push(as_file);
    let file = ("credentials".to_owned(), MARK.to_owned());
    assert!(published(&own, &storage()).unwrap().contains(&file));

    let mut fields = without(storage(), "s3_secret_key");
    let secret = format!("{MARK}\nregion = west");
    let broken = json!({"key": "s3_secret_key", "value": secret});
    fields.as_array_mut().unwrap().push(broken);
    let (reason, message) = published(&told("east"), &fields).unwrap_err();
    assert_eq!(reason, Reason::UnexpectedAnswer);
    assert!(
        message.contains("for AWS_SECRET_ACCESS_KEY something"),
        "{message}"
    );
    assert!(
        message.contains("keys an entry as: AWS_SECRET_ACCESS_KEY with another field")
            && message.contains("one as: credentials, which takes the place of the file"),
        "{message}"
    );
    assert!(!message.contains(MARK), "{message}");
    let mut way_out = told("east");
    let no_file = json!({"as": "credentials", "value": "none"});
    way_out["keys"].as_array_mut().unwrap().push(no_file);
    assert!(published(&way_out, &fields).is_ok());
}

#[test]
fn a_field_that_is_missing_is_named_and_no_value_is() {
    let empty = |key: &str| {
        let mut fields = without(storage(), key);
        fields
            .as_array_mut()
            .unwrap()
            .push(json!({"key": key, "value": ""}));
        fields
    };
    let selects = |field: &str| json!({"keys": [{"as": "it", "field": field}]});
    let many: Vec<_> = (1..=9)
        .map(|n| json!({"as": format!("k{n}"), "field": format!("f{n}")}))
        .collect();
    for (what, more, fields, words) in [
        (
            "gone",
            json!({"preset": "OpenStackV3"}),
            without(storage(), "password"),
            "empty: password. ",
        ),
        (
            "empty",
            json!({"preset": "OpenStackV3"}),
            empty("password"),
            "empty: password. ",
        ),
        (
            "another case",
            selects("Password"),
            storage(),
            "empty: Password. ",
        ),
        (
            "never heard of",
            selects("clé secrète"),
            storage(),
            "empty: clé secrète. ",
        ),
        (
            "not told",
            json!({"preset": "S3"}),
            storage(),
            "empty: s3_endpoint, s3_region. ",
        ),
        (
            "none at all",
            selects("username"),
            json!([]),
            "empty: username. ",
        ),
        (
            "many",
            json!({"keys": many}),
            storage(),
            "empty: f1, f2, f3, f4 and others. ",
        ),
    ] {
        let (reason, message) = published(&more, &fields).unwrap_err();
        assert_eq!(reason, Reason::ScopeRefused, "{what}: {message}");
        assert!(message.contains(words), "{what}: {message}");
        assert!(message.contains("stays as it is"), "{what}: {message}");
        assert!(!message.contains(MARK), "{what}: {message}");
    }
    let mut twice = storage();
    twice
        .as_array_mut()
        .unwrap()
        .push(json!({"key": "username", "value": "other"}));
    let (reason, message) = published(&selects("username"), &twice).unwrap_err();
    assert_eq!(reason, Reason::UnexpectedAnswer);
    let words = "two fields of the same name for the field username; name another field in";
    assert!(message.contains(words), "{message}");
    // What is not asked for may be anything.
    assert!(published(&selects("password"), &twice).is_ok());
    twice
        .as_array_mut()
        .unwrap()
        .push(json!({"key": "..", "value": {"a": [1.5]}}));
    assert!(published(&selects("password"), &twice).is_ok());
    let (reason, message) = published(&selects(".."), &twice).unwrap_err();
    assert_eq!(reason, Reason::UnexpectedAnswer);
    let words = "a value that is no text for the field ..; name another field in";
    assert!(message.contains(words), "{message}");
    // One without a value is none, before or after the one that has it.
    for value in [json!(""), Value::Null] {
        for at in [0, 9] {
            let mut twice = storage();
            let empty = json!({"key": "username", "value": value});
            twice.as_array_mut().unwrap().insert(at, empty);
            let user = vec![("it".to_owned(), "system-bot-2925".to_owned())];
            assert_eq!(published(&selects("username"), &twice), Ok(user));
        }
    }
}

#[test]
fn what_is_only_read_has_no_age() {
    let spec = |renewal: Value| {
        super::read_spec(json!({
            "providerRef": {"kind": "CredentialProvider", "name": "cloudmc"},
            "cloudMC": {"serviceKeys": {"connection": {"id": "c"}, "environment": {"id": "e"}}},
            "renewal": renewal,
        }))
    };
    let refusal = spec(json!({"rotateEvery": "720h"})).unwrap_err();
    is_invalid("an age", &refusal, "spec.renewal.rotateEvery: ");
    is_invalid("an age", &refusal, "leave the field out");
    assert!(spec(json!({"verifyEvery": "5m"})).is_ok());
}

#[test]
fn keys_that_make_no_sense_are_refused_with_the_field() {
    const KEYS: &str = "spec.cloudMC.serviceKeys.keys";
    let entry = |as_: &str| json!({"as": as_, "field": "f"});
    let long = "v".repeat(1025);
    for (what, keys, words) in [
        ("none", json!([]), "from 1 to 64 entries"),
        (
            "too many",
            Value::Array((0..65).map(|n| entry(&format!("k{n}"))).collect()),
            "from 1 to 64 entries",
        ),
        (
            "two under one key",
            json!([entry("a"), {"as": "a", "value": "v"}]),
            "under the key a",
        ),
        (
            "the same twice",
            json!([entry("a"), entry("a")]),
            "under the key a",
        ),
        (
            "field and value",
            json!([{"as": "a", "field": "f", "value": "v"}]),
            "either field or value",
        ),
        (
            "neither",
            json!([{"as": "a"}]),
            "keys[0]: state either field or value",
        ),
        (
            "an empty field",
            json!([{"as": "a", "field": ""}]),
            "keys[0].field: must be a name: not empty, of at most 255 characters",
        ),
        (
            "a long field",
            json!([{"as": "a", "field": "é".repeat(256)}]),
            "keys[0].field: must be a name",
        ),
        (
            "an empty value",
            json!([entry("a"), {"as": "b", "value": ""}]),
            "keys[1].value: must have from 1 to 1024 characters",
        ),
        (
            "a long value",
            json!([{"as": "a", "value": long}]),
            "keys[0].value: must have from 1 to 1024 characters",
        ),
        (
            "a field with a line break",
            json!([entry("a"), {"as": "b", "field": "f\n"}]),
            "keys[1].field: must be a name",
        ),
        (
            "a field with a line break of Unicode",
            json!([{"as": "a", "field": "f\u{85}"}]),
            "keys[0].field: must be a name",
        ),
        (
            "no key of a Secret",
            json!([entry("a b")]),
            "keys[0].as: must be the key of a Secret",
        ),
        (
            "an empty key",
            json!([entry("a"), entry("")]),
            "keys[1].as: must be the key of a Secret",
        ),
        (
            "a slash",
            json!([entry("a/b")]),
            "must be the key of a Secret",
        ),
        (
            "a long key",
            json!([entry(&"k".repeat(254))]),
            "must be the key of a Secret",
        ),
        (
            "dots",
            json!([entry("..")]),
            "cannot be '.' or begin with '..'",
        ),
        (
            "a dot",
            json!([entry(".")]),
            "cannot be '.' or begin with '..'",
        ),
        (
            "dots before a name",
            json!([entry("..data")]),
            "cannot be '.' or begin with '..'",
        ),
    ] {
        let refusal = asking(&json!({"keys": keys})).unwrap_err();
        assert!(
            refusal.message.starts_with(KEYS),
            "{what}: {}",
            refusal.message
        );
        is_invalid(what, &refusal, words);
    }
}

#[test]
fn constants_are_recovered_and_fields_are_not() {
    let openstack = json!({"preset": "OpenStackV3", "keys": [{"as": "region", "value": "east"}]});
    let s3 = json!({"preset": "S3", "keys": [
        {"as": "AWS_ENDPOINT_URL_S3", "value": "https://objects.example.com"},
        {"as": "AWS_REGION", "value": "east"},
    ]});
    let credential = crate::plan::Credential {
        serial: 1,
        id: None,
        owner: None,
        issued_at: jiff::Timestamp::UNIX_EPOCH,
        expires_at: None,
        asked: String::new(),
        rotation: None,
        leak: None,
    };
    let recover =
        |ask: &super::Ask, left: &SecretData| super::super::Layout.recover(ask, left, &credential);
    for (more, again, lost_for_good) in [
        (
            openstack,
            ["region", "OS_IDENTITY_API_VERSION"],
            ["OS_PASSWORD", "OS_USER_DOMAIN_ID"],
        ),
        (
            s3,
            ["AWS_REGION", "credentials"],
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        ),
    ] {
        let ask = ask(&more);
        let whole = service_keys::read(&ask, &with_fields(&storage())).unwrap();
        let left = |lost: &str| {
            let kept = whole.iter().filter(|(key, _)| *key != lost);
            kept.fold(SecretData::default(), |data, (key, value)| {
                data.with(key, value)
            })
        };
        for lost in again {
            assert_eq!(recover(&ask, &left(lost)), vec![whole.clone()], "{lost}");
        }
        for lost in lost_for_good {
            assert_eq!(recover(&ask, &left(lost)), [], "{lost}");
        }
        assert_eq!(recover(&super::ask(&json!({})), &whole), []);
    }
}

#[test]
fn whatever_changes_what_is_published_changes_the_digest() {
    let digests = [
        json!({}),
        json!({"connection": {"name": "other"}}),
        json!({"connection": {"id": "objects"}}),
        json!({"environment": {"name": "objects"}}),
        json!({"environment": {"id": "prod"}}),
        json!({"preset": "OpenStackV3"}),
        json!({"preset": "OpenStackV2"}),
        json!({"preset": "S3"}),
        json!({"preset": "S3", "keys": [{"as": "AWS_REGION", "value": "east"}]}),
        json!({"keys": [{"as": "a", "value": "f"}]}),
        json!({"keys": [{"as": "a", "field": "f"}]}),
        json!({"keys": [{"as": "f", "field": "a"}]}),
    ]
    .map(|more| ask(&more).digest());
    let different: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
    let order = |keys: Value| ask(&json!({"keys": keys})).digest();
    assert_eq!(
        order(json!([{"as": "a", "field": "f"}, {"as": "b", "field": "g"}])),
        order(json!([{"as": "b", "field": "g"}, {"as": "a", "field": "f"}])),
    );
}
