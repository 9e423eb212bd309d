//! What SODA's answers mean, case by case, and what is read from specs. That the calls are right is shown
//! end to end, against a simulator in front of a real Keystone or of a simulated one.

use serde_json::{Value, json};

mod grants;

use super::{answer, config, config::Way};
use crate::{
    api::{ProviderSpec, Reason, request::CredentialRequestSpec},
    plan::Refusal,
    providers::{Reach, System, http::Answer, keystone::names::Named},
};

const USER: &str = "555557c4256555bd8a307c374644444a";

fn text(status: u16, body: &str) -> Answer {
    Answer::of(status, &[("content-type", "text/plain")], body)
}

#[test]
fn a_401_says_nothing_about_the_login_unless_it_speaks_of_the_token() {
    for (words, of_the_token) in [
        ("get token failed,Resource not found", true),
        ("token not found in header\n", true),
        ("get token failed,Authentication failed", false),
        (
            "get token failed,Get \"http://10.0.0.1/identity\": EOF",
            false,
        ),
        ("Resource not found", false),
        ("Jwt is expired", false),
        ("", false),
    ] {
        let answer = text(401, words);
        assert_eq!(answer::refuses_token(&answer), of_the_token, "{words}");
        let failure = answer::failure(&answer);
        assert_eq!(failure.reason, Reason::ProviderUnavailable, "{words}");
        assert!(!failure.message.contains("10.0.0.1"), "{}", failure.message);
    }
    let other = text(403, "get token failed,Resource not found");
    assert!(!answer::refuses_token(&other));
}

#[test]
fn go_micros_own_status_stands_inside() {
    let micro = |code: u16| {
        let body = json!({
            "id": "go.micro.client", "code": code, "detail": "dial tcp 10.0.0.1: EOF", "status": "x",
        });
        answer::failure(&text(500, &body.to_string()))
    };
    assert_eq!(micro(408).reason, Reason::Timeout);
    assert_eq!(micro(500).reason, Reason::ProviderUnavailable);
    assert!(!micro(500).message.contains("10.0.0.1"));
    let policy = answer::failure(&text(403, "operation is not permitted"));
    assert_eq!(policy.reason, Reason::Forbidden);
}

fn rows(body: &Value) -> Result<Option<usize>, Reason> {
    let answer = Answer::of(200, &[], &body.to_string());
    answer::rows(&answer, USER)
        .map(|rows| rows.map(|rows| rows.len()))
        .map_err(|failure| failure.reason)
}

#[test]
fn null_is_not_an_empty_list_and_another_users_answer_is_refused() {
    let own = json!({
        "project_id": "p1", "user_id": USER, "type": "ec2",
        "blob": {"access_key": "l4ayVHYQ4TKFTLPW", "secret_key": "s"},
    });
    // Of a type whose blob has neither access nor secret, and that belongs to no project.
    let other_type = json!({"user_id": USER, "type": "cert", "blob": {}});
    let stranger = json!({"user_id": "somebody", "type": "ec2", "blob": {}});
    assert_eq!(rows(&json!(null)), Ok(None));
    assert_eq!(rows(&json!([])), Ok(Some(0)));
    assert_eq!(rows(&json!([own, other_type])), Ok(Some(2)));
    for wrong in [
        json!([own, stranger]),
        json!([{"type": "ec2", "blob": {}}]),
        json!({}),
        json!({"credentials": []}),
        json!([7]),
        json!([{"user_id": USER, "blob": "text"}]),
        json!("yes"),
    ] {
        assert_eq!(rows(&wrong), Err(Reason::UnexpectedAnswer), "{wrong}");
    }
}

#[test]
fn only_a_whole_pair_is_one() {
    let made = |body: &str| {
        let answer = Answer::of(200, &[], body);
        answer::made(&answer).map(|pair| pair.access_key)
    };
    let good = r#"{"access_key": "l4ayVHYQ4TKFTLPW", "secret_key": "RymTqjJUyBZJq6Lz"}"#;
    assert_eq!(made(good).unwrap(), "l4ayVHYQ4TKFTLPW");
    for wrong in [
        "{}",
        "null",
        "",
        r#"{"access_key": "a"}"#,
        r#"{"access_key": "a", "secret_key": ""}"#,
        r#"{"access_key": "a b", "secret_key": "s"}"#,
        r#"{"access_key": "l4ayVHYQ4TKFTLPW", "secret_key": "s\n"}"#,
        r#"{"access_key": "l4ayVHYQ4TKFTLPWl4ayV", "secret_key": "s"}"#,
        r#"{"access_key": "a", "secret_key": 7}"#,
        r#"[{"access_key": "a", "secret_key": "s"}]"#,
    ] {
        let failure = made(wrong).expect_err(wrong);
        assert_eq!(failure.reason, Reason::UnexpectedAnswer, "{wrong}");
    }
}

#[test]
fn a_pair_that_sodas_s3_refuses_is_none_that_can_be_published() {
    let pair = |access: &str, secret: &str| answer::Pair {
        access_key: access.to_owned(),
        secret_key: secret.to_owned().into(),
    };
    for (access, secret) in [
        ("AKONE", "s"),
        ("IXHO7RUAZSE2XWU5Z467", "a/b+c="),
        ("a-b.c_d~e", "~!@#$%^&*()"),
    ] {
        assert_eq!(pair(access, secret).defect(), None, "{access} {secret}");
    }
    for access in [
        "",
        "AKON",
        "IXHO7RUAZSE2XWU5Z467A",
        "45ceefc680cc89abda9dcf3df0188161",
        "with space",
        "with/slash",
        "with\"quote",
        "façade",
    ] {
        let defect = pair(access, "s").defect();
        assert!(defect.unwrap().contains("access key"), "{access}");
    }
    let long = "x".repeat(513);
    for secret in ["", "line\nbreak", "é", "two words", "a\\b", "a\"b", &long] {
        let defect = pair("AKONE", secret).defect();
        assert!(defect.unwrap().contains("secret key"), "{secret:?}");
    }
}

#[test]
fn keystone_and_soda_at_odds_is_told_by_what_soda_shows() {
    let nothing = answer::at_odds(false).message;
    assert!(nothing.contains("shows no credentials"), "{nothing}");
    let others = answer::at_odds(true).message;
    assert!(others.contains("as Keystone has it"), "{others}");
    assert!(!others.contains("shows no credentials"), "{others}");
}

fn provider(change: impl FnOnce(&mut Value)) -> Result<(System, Reach), Refusal> {
    let mut spec = json!({
        "endpoint": "https://soda.example.com:8089",
        "keystone": {"endpoint": "https://keystone.example.com/identity"},
        "auth": {"password": {"secretRef": {"namespace": "platform", "name": "login"}}},
    });
    change(&mut spec);
    System::read(&ProviderSpec {
        soda: Some(serde_json::from_value(spec).unwrap()),
        ..ProviderSpec::default()
    })
}

#[test]
fn a_provider_leads_to_two_servers_with_and_without_versions_in_their_paths() {
    let (_, reach) = provider(|_| ()).unwrap();
    let endpoints: Vec<_> = reach.endpoints().map(ToString::to_string).collect();
    assert_eq!(
        endpoints,
        [
            "https://soda.example.com:8089/",
            "https://keystone.example.com/identity",
        ]
    );
    for (endpoint, base) in [
        ("http://soda:8089", "http://soda:8089/"),
        ("http://soda:8089/", "http://soda:8089/"),
        ("http://soda:8089/v1", "http://soda:8089/"),
        ("http://soda:8089/v1/", "http://soda:8089/"),
        ("http://soda/prefix/v1", "http://soda/prefix"),
        ("http://soda/v10", "http://soda/v10"),
    ] {
        let endpoint = url::Url::parse(endpoint).unwrap();
        assert_eq!(config::base(&endpoint).as_str(), base, "{endpoint}");
    }
}

#[test]
fn what_is_wrong_with_a_provider_is_told_with_its_field() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 6] = [
        ("spec.soda.endpoint", |spec| {
            spec["endpoint"] = json!("http://soda:8089");
        }),
        ("spec.soda.keystone.endpoint", |spec| {
            spec["keystone"]["endpoint"] = json!("http://keystone/identity");
        }),
        ("spec.soda.keystone.endpoint", |spec| {
            spec["keystone"]["endpoint"] = json!("https://user:pw@keystone");
        }),
        ("spec.soda.s3.endpoint", |spec| {
            spec["s3"] = json!({"endpoint": "s3"});
        }),
        ("spec.soda.auth.password.secretRef.name", |spec| {
            spec["auth"]["password"]["secretRef"]["name"] = json!("../login");
        }),
        ("spec.soda.tls", |spec| {
            let ca = json!({"namespace": "platform", "name": "ca"});
            spec["tls"] = json!({"caBundleSecretRef": ca, "insecureSkipVerify": true});
        }),
    ];
    for (field, change) in cases {
        let refusal = provider(change).expect_err(field);
        assert_eq!(refusal.reason, Reason::InvalidSpec);
        assert!(refusal.message.starts_with(field), "{}", refusal.message);
    }
}

fn ask(fields: Value) -> Result<super::Ask, Refusal> {
    let mut fields = fields;
    if fields["project"].is_null() {
        fields["project"] = json!({"id": "p1"});
    }
    let spec: CredentialRequestSpec = serde_json::from_value(json!({
        "providerRef": {"kind": "ClusterCredentialProvider", "name": "soda"},
        "soda": {"accessKey": fields},
    }))
    .unwrap();
    config::read_ask(spec.soda.as_ref().unwrap(), &spec)
}

#[test]
fn a_request_has_one_of_three_ways() {
    for (fields, way) in [
        (json!({}), Way::Keystone),
        (json!({"issueThrough": "Keystone"}), Way::Keystone),
        (json!({"adopt": false}), Way::Keystone),
        (
            json!({"issueThrough": "Soda"}),
            Way::Soda { ends_all: false },
        ),
        (
            json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"}),
            Way::Soda { ends_all: true },
        ),
        (json!({"adopt": true}), Way::Adopt { access: None }),
        (
            json!({"adopt": true, "accessKeyID": "AK1"}),
            Way::Adopt {
                access: Some("AK1".into()),
            },
        ),
    ] {
        let ask = ask(fields.clone()).unwrap();
        assert_eq!(ask.way, way, "{fields}");
        assert_eq!(ask.pair.project, Named::Id("p1".into()));
    }
    for (fields, field) in [
        (
            json!({"adopt": true, "issueThrough": "Soda"}),
            "spec.soda.accessKey: ",
        ),
        (
            json!({"accessKeyID": "AK1"}),
            "spec.soda.accessKey.accessKeyID",
        ),
        (
            json!({"adopt": true, "accessKeyID": "a/../b"}),
            "spec.soda.accessKey.accessKeyID",
        ),
        (
            json!({"onDelete": "DeleteAllKeysOfUser"}),
            "spec.soda.accessKey.onDelete",
        ),
        (
            json!({"project": {"id": "a/b"}}),
            "spec.soda.accessKey.project",
        ),
        (
            json!({"project": {"name": "a"}}),
            "spec.soda.accessKey.project",
        ),
    ] {
        let refusal = ask(fields.clone()).expect_err(field);
        assert_eq!(refusal.reason, Reason::InvalidSpec);
        assert!(
            refusal.message.starts_with(field),
            "{fields}: {}",
            refusal.message
        );
    }
}
