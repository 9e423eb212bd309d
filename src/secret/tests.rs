//! What a Secret says and how it is written, case by case.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::*;
use crate::plan::{Credential, Damage, Target};

fn owner() -> Owner {
    Owner {
        namespace: "team".into(),
        name: "s3".into(),
        uid: "uid-1".into(),
        provider: "ClusterCredentialProvider/acme".into(),
        credential: "acme.token".into(),
        secret_name: "s3".into(),
        retain: false,
        is_login: false,
    }
}

fn credential() -> Credential {
    Credential {
        serial: 7,
        id: None,
        owner: Some("alice".into()),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        asked: "acme.token/3".into(),
        rotation: Some("now".into()),
        leak: None,
    }
}

fn data() -> SecretData {
    SecretData::default()
        .with("token", "the-token-itself")
        .with("endpoint", "https://acme")
}

/// The keys from the token alone.
fn recover(found: &SecretData, _: &Credential) -> Vec<SecretData> {
    found
        .text("token")
        .map(|token| {
            SecretData::default()
                .with("token", token)
                .with("endpoint", "https://acme")
        })
        .into_iter()
        .collect()
}

fn written() -> Secret {
    let (owner, credential, data) = (owner(), credential(), data());
    let mut secret = create(&Write {
        owner: &owner,
        credential: &credential,
        unverified: false,
        layout: None,
        data: &data,
        unowned: false,
    });
    secret.metadata.uid = Some("secret-1".into());
    secret.metadata.resource_version = Some("10".into());
    secret
}

fn classified(secret: &Secret) -> (Target, Option<Known>, Option<SecretData>) {
    classify(secret, &owner(), None, Some(&None), recover)
}

fn damage(secret: &Secret) -> Damage {
    match classified(secret).0 {
        Target::Ours(published) => published.damage,
        other => panic!("{other:?}"),
    }
}

fn changed(change: impl FnOnce(&mut Secret)) -> Secret {
    let mut secret = written();
    change(&mut secret);
    secret
}

fn set(secret: &mut Secret, key: &str, value: &str) {
    let data = secret.data.get_or_insert_default();
    data.insert(key.into(), k8s_openapi::ByteString(value.into()));
}

#[test]
fn what_was_written_is_read_back_whole() {
    let (target, known, _) = classified(&written());
    let Target::Ours(published) = target else {
        panic!("{target:?}")
    };
    assert_eq!((published.serial, published.damage), (7, Damage::None));
    assert_eq!(published.owner.as_deref(), Some("alice"));
    assert_eq!(published.expires_at, credential().expires_at);
    assert_eq!(known.unwrap().credential, credential());
}

#[test]
fn other_people_s_keys_labels_and_annotations_do_not_matter() {
    let secret = changed(|secret| {
        set(secret, "theirs", "1");
        secret.labels_mut().insert("theirs".into(), "1".into());
        secret.annotations_mut().insert("theirs".into(), "1".into());
    });
    assert_eq!(damage(&secret), Damage::None);
}

#[test]
fn damage_is_noticed_and_what_is_left_is_used() {
    for (name, secret, expected) in [
        (
            "another value",
            changed(|secret| set(secret, "endpoint", "https://evil")),
            Damage::Repairable,
        ),
        (
            "a key gone",
            changed(|secret| drop(secret.data.as_mut().unwrap().remove("endpoint"))),
            Damage::Repairable,
        ),
        (
            "an annotation gone",
            changed(|secret| drop(secret.annotations_mut().remove(annotations::PROVIDER))),
            Damage::Metadata,
        ),
        (
            "a label gone",
            changed(|secret| drop(secret.labels_mut().remove(annotations::MANAGED_BY.0))),
            Damage::Metadata,
        ),
        (
            "the token changed",
            changed(|secret| set(secret, "token", "another-token")),
            Damage::Lost,
        ),
        (
            "the token gone",
            changed(|secret| drop(secret.data.as_mut().unwrap().remove("token"))),
            Damage::Lost,
        ),
        (
            "all data gone",
            changed(|secret| secret.data = None),
            Damage::Lost,
        ),
        (
            "all annotations gone",
            changed(|secret| secret.metadata.annotations = None),
            Damage::Lost,
        ),
        (
            "a serial that is none",
            changed(|secret| {
                drop(
                    secret
                        .annotations_mut()
                        .insert(annotations::SERIAL.into(), "x".into()),
                )
            }),
            Damage::Lost,
        ),
    ] {
        assert_eq!(damage(&secret), expected, "{name}");
    }
}

#[test]
fn a_login_that_somebody_corrects_is_not_put_back_and_what_is_around_it_is() {
    let login = Owner {
        is_login: true,
        ..owner()
    };
    let damage = |secret: &Secret| {
        let (target, ..) = classify(secret, &login, None, Some(&None), recover);
        match target {
            Target::Ours(published) => published.damage,
            other => panic!("{other:?}"),
        }
    };
    let corrected = changed(|secret| set(secret, "endpoint", "https://other"));
    assert_eq!(damage(&corrected), Damage::Lost);
    let unlabelled = changed(|secret| drop(secret.labels_mut().remove(annotations::MANAGED_BY.0)));
    assert_eq!(damage(&unlabelled), Damage::Metadata);
    assert_eq!(damage(&written()), Damage::None);
}

#[test]
fn what_is_remembered_counts_more_than_annotations() {
    let known = classified(&written()).1.unwrap();
    let secret = changed(|secret| {
        secret.annotations_mut().insert(
            annotations::EXPIRES_AT.into(),
            "2099-01-01T00:00:00Z".into(),
        );
        secret.annotations_mut().remove(annotations::CONTENT);
    });
    let (target, _, recovered) = classify(&secret, &owner(), Some(&known), Some(&None), recover);
    let Target::Ours(published) = target else {
        panic!("{target:?}")
    };
    assert_eq!(
        (published.damage, published.expires_at),
        (Damage::Metadata, credential().expires_at)
    );
    assert!(recovered.is_some());
    // What is remembered is about another Secret of that name.
    let other = changed(|secret| secret.metadata.uid = Some("secret-2".into()));
    assert_eq!(
        classify(&other, &owner(), Some(&known), Some(&None), recover)
            .1
            .unwrap()
            .uid,
        "secret-2"
    );
}

#[test]
fn a_copy_tells_which_credential_it_holds_as_long_as_it_is_whole() {
    let id = |secret: &Secret| held_id(secret);
    let named = |secret: &mut Secret| {
        let annotations = secret.annotations_mut();
        annotations.insert(annotations::CREDENTIAL_ID.to_owned(), "key-1".to_owned());
    };
    assert_eq!(id(&written()), None, "it has none");
    let mut copy = changed(named);
    copy.metadata.name = Some("elsewhere".to_owned());
    copy.metadata.owner_references = None;
    copy.metadata.labels = None;
    assert_eq!(id(&copy).as_deref(), Some("key-1"));
    set(&mut copy, "note", "more of somebody else's");
    assert_eq!(id(&copy).as_deref(), Some("key-1"));
    set(&mut copy, "token", "another one");
    assert_eq!(id(&copy), None);
    copy.metadata.annotations = None;
    assert_eq!(id(&copy), None);
}

#[test]
fn only_our_own_secret_is_ours() {
    let with_owner = |owner: Value| {
        changed(|secret| {
            secret.metadata.owner_references = serde_json::from_value(json!([owner])).unwrap()
        })
    };
    let request = |name: &str, uid: &str, controller: bool| json!({"apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest", "name": name, "uid": uid, "controller": controller});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "x", "controller": true});
    for (name, secret, words) in [
        (
            "no owner",
            changed(|secret| secret.metadata.owner_references = None),
            "does not belong to this request",
        ),
        (
            "another controller",
            with_owner(deployment),
            "belongs to Deployment web",
        ),
        (
            "another request",
            with_owner(request("other", "uid-2", true)),
            "belongs to CredentialRequest other",
        ),
        (
            "an earlier request of the same name",
            with_owner(request("s3", "uid-0", true)),
            "earlier CredentialRequest",
        ),
        (
            "owned, not controlled",
            with_owner(request("s3", "uid-1", false)),
            "does not belong to this request",
        ),
        (
            "without our label and with other data",
            changed(|secret| {
                secret.metadata.labels = None;
                set(secret, "token", "another-token");
            }),
            "lacks the label",
        ),
        (
            "adoptable but immutable",
            changed(|secret| {
                secret.metadata.owner_references = None;
                secret.immutable = Some(true);
                secret
                    .annotations_mut()
                    .insert(annotations::ADOPT_BY.into(), "s3".into());
            }),
            "marked immutable",
        ),
    ] {
        match classified(&secret) {
            (Target::Foreign(text), None, None) => assert!(text.contains(words), "{name}: {text}"),
            (target, ..) => panic!("{name}: {target:?}"),
        }
    }
    let deleted = changed(|secret| {
        secret.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH),
        );
    });
    assert_eq!(classified(&deleted).0, Target::Terminating);
}

#[test]
fn a_secret_is_adopted_only_with_its_owner_s_consent() {
    let free = |by: Option<&str>| {
        changed(|secret| {
            secret.metadata.owner_references = None;
            secret.metadata.annotations =
                by.map(|by| [(annotations::ADOPT_BY.to_owned(), by.to_owned())].into());
        })
    };
    assert_eq!(classified(&free(Some("s3"))).0, Target::Adoptable);
    assert!(matches!(
        classified(&free(Some("other"))).0,
        Target::Foreign(_)
    ));
    assert!(matches!(classified(&free(None)).0, Target::Foreign(_)));
    let (owner, credential, data) = (owner(), credential(), data());
    let write = Write {
        owner: &owner,
        credential: &credential,
        unverified: false,
        layout: None,
        data: &data,
        unowned: false,
    };
    let patch = adopt(&write, &free(Some("s3")));
    assert_eq!(patch["metadata"]["ownerReferences"][0]["uid"], "uid-1");
    assert_eq!(patch["metadata"]["resourceVersion"], "10");
}

#[test]
fn an_immutable_secret_is_good_until_it_has_to_be_written() {
    assert_eq!(
        damage(&changed(|secret| secret.immutable = Some(true))),
        Damage::None
    );
    let broken = changed(|secret| {
        secret.immutable = Some(true);
        set(secret, "token", "another");
    });
    assert!(matches!(classified(&broken).0, Target::Immutable(_)));
}

#[test]
fn a_patch_carries_what_was_read_and_removes_only_our_own() {
    let known = Known {
        keys: vec!["token".into(), "dropped".into()],
        ..classified(&written()).1.unwrap()
    };
    let (owner, data) = (owner(), data());
    let never = Credential {
        expires_at: None,
        ..credential()
    };
    let patch = publish(
        &Write {
            owner: &owner,
            credential: &never,
            unverified: true,
            layout: None,
            data: &data,
            unowned: false,
        },
        &known,
    );
    assert_eq!(patch["metadata"]["uid"], "secret-1");
    assert_eq!(patch["metadata"]["resourceVersion"], "10");
    assert_eq!(patch["data"]["dropped"], Value::Null);
    assert!(patch["data"]["token"].is_string());
    let notes = patch["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(
        notes[annotations::EXPIRES_AT],
        Value::Null,
        "an annotation that no longer holds is removed"
    );
    assert_eq!(notes[annotations::UNVERIFIED], "true");
    assert!(patch.get("type").is_none() && patch["metadata"].get("ownerReferences").is_none());
}

#[test]
fn a_digest_tells_keys_and_values_apart() {
    let digest = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .fold(SecretData::default(), |data, (key, value)| {
                data.with(key, *value)
            })
            .digest()
    };
    assert_ne!(digest(&[("a", "bc")]), digest(&[("ab", "c")]));
    assert_ne!(
        digest(&[("a", "b"), ("c", "")]),
        digest(&[("a", ""), ("c", "b")])
    );
    assert_eq!(
        digest(&[("a", "1"), ("b", "2")]),
        digest(&[("b", "2"), ("a", "1")])
    );
}

#[test]
fn values_cannot_be_printed() {
    let text = format!("{:?}", data());
    assert_eq!(text, r#"{"endpoint", "token"}"#);
    assert!(data().appears_in("it was the-token-itself that failed"));
    assert!(data().appears_in("dGhlLXRva2VuLWl0c2VsZg=="));
    assert!(!data().appears_in("nothing of it"));
}

#[test]
fn what_was_stored_is_compared_with_what_was_sent() {
    let (owner, credential, data) = (owner(), credential(), data());
    let write = Write {
        owner: &owner,
        credential: &credential,
        unverified: false,
        layout: None,
        data: &data,
        unowned: false,
    };
    let label = format!("metadata.labels[{}]", annotations::REQUEST_UID);
    let serial = format!("metadata.annotations[{}]", annotations::SERIAL);
    type Change = fn(&mut Secret);
    let cases: [(&str, Change, &[&str], &[&str]); 8] = [
        ("nothing", |_| {}, &[], &[]),
        (
            "additions",
            |secret| {
                set(secret, "more", "by others");
                let labels = secret.metadata.labels.get_or_insert_default();
                labels.insert("more".into(), "by others".into());
            },
            &[],
            &[],
        ),
        (
            "another value",
            |secret| set(secret, "token", "x"),
            &["token"],
            &[],
        ),
        (
            "a key less",
            |secret| {
                secret.data.as_mut().unwrap().remove("token");
            },
            &["token"],
            &[],
        ),
        (
            "no data",
            |secret| secret.data = None,
            &["endpoint", "token"],
            &[],
        ),
        (
            "a label less",
            |secret| {
                let labels = secret.metadata.labels.as_mut().unwrap();
                labels.remove(annotations::REQUEST_UID);
            },
            &[],
            &[&label],
        ),
        (
            "another annotation",
            |secret| {
                let notes = secret.metadata.annotations.as_mut().unwrap();
                notes.insert(annotations::SERIAL.into(), "9".into());
            },
            &[],
            &[&serial],
        ),
        (
            "no owner",
            |secret| secret.metadata.owner_references = None,
            &[],
            &["metadata.ownerReferences"],
        ),
    ];
    for (name, change, data, metadata) in cases {
        let differences = compare(&write, &changed(change));
        assert_eq!(differences.data, data, "{name}");
        assert_eq!(differences.metadata, metadata, "{name}");
    }
}

#[test]
fn a_label_that_the_cluster_strips_makes_a_whole_secret_no_foreign_one() {
    let unlabelled = changed(|secret| {
        let labels = secret.metadata.labels.as_mut().unwrap();
        labels.remove(annotations::REQUEST_UID);
    });
    assert_eq!(damage(&unlabelled), Damage::Metadata);
    let emptied = changed(|secret| {
        let labels = secret.metadata.labels.as_mut().unwrap();
        labels.remove(annotations::REQUEST_UID);
        set(secret, "token", "x");
    });
    assert!(matches!(classified(&emptied).0, Target::Foreign(_)));
}

#[test]
fn a_later_expiry_than_the_status_knows_is_not_believed() {
    let recorded = credential().expires_at.unwrap();
    let status = |serial| (serial == credential().serial).then_some(recorded);
    assert_eq!(
        known_by_status(&written(), status),
        None,
        "it says the same"
    );
    let later = changed(|secret| {
        let notes = secret.metadata.annotations.as_mut().unwrap();
        notes.insert(
            annotations::EXPIRES_AT.into(),
            "2099-01-01T00:00:00Z".into(),
        );
    });
    let known = known_by_status(&later, status).unwrap();
    assert_eq!(known.credential.expires_at, Some(recorded));
    let (target, ..) = classify(&later, &owner(), Some(&known), Some(&None), recover);
    let Target::Ours(published) = target else {
        panic!("{target:?}");
    };
    assert_eq!(published.expires_at, Some(recorded));
    assert_eq!(
        published.damage,
        Damage::Metadata,
        "the annotation is put right"
    );
}

#[test]
fn a_retained_secret_without_its_label_is_ours_only_where_this_run_wrote_it() {
    let retained = Owner {
        retain: true,
        ..owner()
    };
    let (credential, data) = (credential(), data());
    let write = Write {
        owner: &retained,
        credential: &credential,
        unverified: false,
        layout: None,
        data: &data,
        unowned: false,
    };
    let mut secret = create(&write);
    secret.metadata.uid = Some("secret-1".into());
    secret.metadata.resource_version = Some("10".into());
    let known = write.known(&secret);
    let labels = secret.metadata.labels.as_mut().unwrap();
    labels.remove(annotations::REQUEST_UID);
    let target = |before| classify(&secret, &retained, before, Some(&None), recover).0;
    assert!(matches!(target(Some(&known)), Target::Ours(it) if it.damage == Damage::Metadata));
    assert!(matches!(target(None), Target::Foreign(_)));
}

#[test]
fn a_secret_without_an_owner_for_want_of_a_right_is_whole_and_says_so() {
    let (owner, credential, data) = (owner(), credential(), data());
    let write = Write {
        owner: &owner,
        credential: &credential,
        unverified: false,
        layout: None,
        data: &data,
        unowned: true,
    };
    let mut secret = create(&write);
    secret.metadata.uid = Some("secret-1".into());
    secret.metadata.resource_version = Some("10".into());
    assert_eq!(secret.metadata.owner_references, None);
    let Target::Ours(published) = classified(&secret).0 else {
        panic!("it is the request's own");
    };
    assert_eq!(published.damage, Damage::None);
    let words = published.deviation.unwrap();
    assert!(
        words.contains("stays when the request is deleted"),
        "{words}"
    );
}

#[test]
fn the_type_and_that_it_is_immutable_are_told() {
    let odd = changed(|secret| {
        secret.type_ = Some("kubernetes.io/tls".into());
        secret.immutable = Some(true);
    });
    let (target, ..) = classified(&odd);
    let Target::Ours(published) = target else {
        panic!("{target:?}");
    };
    let words = published.deviation.unwrap();
    assert!(words.contains("type kubernetes.io/tls"), "{words}");
    assert!(words.contains("immutable"), "{words}");
}

#[test]
fn a_value_is_found_in_a_text_however_it_is_written() {
    let data = SecretData::default().with("key", "a\"b/c d+é=1234");
    for text in [
        "plain a\"b/c d+é=1234.",
        r#"json a\"b/c d+é=1234"#,
        r#"json with escapes a\"b\/c d+\u00e9=1234"#,
        "url a%22b%2Fc%20d%2B%C3%A9%3D1234",
        "form a%22b%2Fc+d%2B%c3%a9%3D1234",
        "base64 YSJiL2MgZCvDqT0xMjM0",
        "base64 for urls YSJiL2MgZCvDqT0xMjM0",
    ] {
        assert!(data.appears_in(text), "{text}");
    }
    assert!(!data.appears_in("nothing of it"));
}
