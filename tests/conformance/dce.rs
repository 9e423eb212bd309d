//! What an access key of DCE has to stand besides: answers that say little by themselves, and mean something by
//! what was answered before.

use std::time::Duration;

use credential_operator::{
    api::{CredentialRequestSpec, ProviderSpec, Reason, provider::ClusterCredentialProviderSpec},
    plan::{Failure, Proof, Refusal},
    providers::{
        Ask, Connection, Holder, Identity, Issuance, Issued, Kind, LoginValues, Permission, System,
        http::{HttpClient, HttpSettings},
    },
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{
    dce::{
        ACCESS_KEY_CREATE, ACCESS_KEY_DELETE, ACCESS_KEY_LIST, AccessKey, CURRENT_USER, DceOptions,
        DceSimulator, Generation, Lie, NeverForm, TimeForm,
    },
    server::Fault,
};

use crate::bench::{Free, identity};

/// A DCE, and a login at it.
struct Desk {
    dce: DceSimulator,
    login: AccessKey,
    connection: Connection,
    permission: Permission,
}

impl Desk {
    /// `kept` says that a request has put the login into its Secret.
    fn new(kept: bool) -> Desk {
        let dce = DceSimulator::start(DceOptions {
            generation: Generation::From014,
            ..DceOptions::default()
        });
        let login = dce.add_access_key("bot", "login", None);
        let declared: ClusterCredentialProviderSpec = serde_json::from_value(json!({
            "dce": {
                "endpoint": dce.endpoint(), "allowHTTP": true,
                "auth": {"accessKey": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{"namespaces": {}, "dce": {"kinds": ["accessKey"]}}],
        }))
        .unwrap();
        let spec = ProviderSpec::from(declared);
        let (system, reach) = System::read(&spec).unwrap();
        let mut values = LoginValues::default();
        values.insert("token".into(), SecretString::from(login.token.as_str()));
        values.id = kept.then(|| login.id.clone());
        let http = HttpClient::new(&reach.endpoint, HttpSettings::default()).unwrap();
        let layout = system.layout(&reach, None);
        Desk {
            connection: system.connect(http, &values, layout).unwrap(),
            permission: Permission {
                grants: spec.allow,
                refusal: Refusal::new(Reason::NotAllowed, "no grant is about it"),
                is_login: false,
                renews_login: false,
            },
            dce,
            login,
        }
    }

    async fn issue(&self, key: Value, identity: &Identity) -> Result<Issuance, Failure> {
        let request: CredentialRequestSpec = serde_json::from_value(json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "dce"},
            "dce": {"accessKey": key},
        }))
        .unwrap();
        let ask = Ask::read(&request).unwrap();
        self.connection
            .issue(&Free, &ask, &self.permission, identity)
            .await
    }

    async fn issued(&self, key: Value, identity: &Identity) -> Issued {
        match self.issue(key, identity).await {
            Ok(Issuance::Issued(issued)) => issued,
            other => panic!("it should have been issued: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_login_secret_is_taken_over_only_by_a_request_that_leaves_it_there() {
    for kept in [false, true] {
        let mut desk = Desk::new(kept);
        let keeper = Identity {
            held: Some(desk.login.id.clone()),
            ..identity(1)
        };
        desk.permission.is_login = true;
        for (identity, serves) in [(identity(1), false), (keeper, kept)] {
            if serves {
                // It is the login already, and would end with the key that is in it.
                let issued = desk.issued(json!({}), &identity).await;
                let told = issued.remark.unwrap();
                assert!(told.contains("spec.deletionPolicy to Retain"), "{told}");
            } else {
                let before = desk.dce.server().calls().len();
                let failure = desk.issue(json!({}), &identity).await.unwrap_err();
                assert_eq!(failure.reason, Reason::WouldBreakLogin);
                let told = failure.message;
                assert!(told.contains("spec.deletionPolicy to Retain"), "{told}");
                assert_eq!(desk.dce.server().calls().len(), before);
            }
        }
        desk.permission.renews_login = true;
        let issued = desk.issued(json!({}), &identity(2)).await;
        assert_eq!(issued.remark, None);
    }
}

#[tokio::test]
async fn a_call_that_is_shut_says_nothing_about_the_login() {
    let refusals = [
        (401, "text/plain", "Jwt is missing"),
        (403, "text/plain", "RBAC: access denied"),
        (401, "application/json", r#"{"code":16,"message":"no"}"#),
        (403, "application/json", r#"{"code":7,"message":"no"}"#),
    ];
    for (status, content_type, body) in refusals {
        let refusal = || Fault::status(status, content_type, body);
        let desk = Desk::new(false);
        let name = identity(2);
        let holder = Holder {
            identity: &name,
            owner: Some("bot"),
            is_last: false,
            permission: None,
        };
        let kind = Kind::DceAccessKey;
        desk.issued(json!({}), &name).await;
        for shut in [ACCESS_KEY_LIST, ACCESS_KEY_CREATE, ACCESS_KEY_DELETE] {
            desk.dce.faults().set(shut, refusal());
            let failure = if shut == ACCESS_KEY_DELETE {
                let revoked = desk.connection.revoke(&Free, kind, None, &holder).await;
                revoked.unwrap_err()
            } else {
                desk.issue(json!({}), &identity(1)).await.unwrap_err()
            };
            assert_eq!(
                failure.reason,
                Reason::Forbidden,
                "{shut} {status} {content_type}"
            );
            desk.dce.faults().clear();
        }
        let revoked = desk.connection.revoke(&Free, kind, None, &holder).await;
        revoked.unwrap();
    }
    let desk = Desk::new(false);
    let refusal = Fault::status(401, "text/plain", "Jwt verification fails");
    desk.dce.faults().set(CURRENT_USER, refusal);
    let failure = desk.issue(json!({}), &identity(1)).await.unwrap_err();
    assert_eq!(failure.reason, Reason::LoginRefused);
}

#[tokio::test]
async fn a_refusal_of_the_gateway_counts_when_it_is_given_twice() {
    let refusal = || {
        Fault::status(
            401,
            "text/plain",
            "Jwks doesn't have key to match kid or alg from Jwt",
        )
    };
    let desk = Desk::new(false);
    let issued = desk.issued(json!({}), &identity(1)).await;
    let ask: CredentialRequestSpec = serde_json::from_value(json!({
        "providerRef": {"kind": "ClusterCredentialProvider", "name": "dce"},
        "dce": {"accessKey": {}},
    }))
    .unwrap();
    let ask = Ask::read(&ask).unwrap();
    for (times, expected) in [(1, Proof::Given), (2, Proof::Refused)] {
        desk.dce.faults().push_n(CURRENT_USER, refusal(), times);
        let before = desk.dce.server().calls_to(CURRENT_USER).len();
        let proof = desk
            .connection
            .verify(&Free, &ask, None, Some("bot"), &issued.data);
        assert_eq!(proof.await.unwrap(), expected);
        let login = {
            desk.dce.faults().push_n(CURRENT_USER, refusal(), times);
            desk.connection.test_login(&Free).await
        };
        let told = login.err().map(|failure| failure.reason);
        let refused = (expected == Proof::Refused).then_some(Reason::LoginRefused);
        assert_eq!(told, refused);
        let calls = desk.dce.server().calls_to(CURRENT_USER).len() - before;
        assert_eq!(calls, 4, "two each");
    }
}

#[tokio::test]
async fn a_request_waits_for_a_key_that_may_still_appear() {
    let desk = Desk::new(false);
    let refused = Fault::status(400, "application/json", r#"{"code":3,"message":"no"}"#);
    for (fault, waits) in [
        (Fault::LoseAnswer, true),
        (Fault::Html(502), true),
        (Fault::Html(504), true),
        (refused, false),
    ] {
        desk.dce.faults().set(ACCESS_KEY_CREATE, fault.clone());
        let name = identity(if waits { 1 } else { 2 });
        let failure = desk.issue(json!({}), &name).await.unwrap_err();
        assert_eq!(failure.rest.is_some(), waits, "{fault:?}");
        assert_eq!(failure.retry_after, None, "others need not wait");
        desk.dce.faults().clear();
        // What was made is found afterwards, and gone for the next row.
        for key in desk.dce.live_access_keys() {
            if key.name == name.label() {
                let found = desk.issue(json!({}), &name).await.unwrap();
                assert!(matches!(found, Issuance::Taken));
                assert!(desk.dce.delete_access_key(&key.id));
            }
        }
    }
    // It is only the call that makes a key.
    desk.dce.faults().set(ACCESS_KEY_LIST, Fault::Html(502));
    let failure = desk.issue(json!({}), &identity(3)).await.unwrap_err();
    assert_eq!(failure.rest, None);
}

#[tokio::test]
async fn an_end_that_only_the_list_knows_counts() {
    let day = Some(Duration::from_secs(24 * 60 * 60));
    for times in [TimeForm::EpochMillis, TimeForm::Rfc3339] {
        for (limit, asked, in_token, ends) in [
            (day, json!({}), false, true),
            (day, json!({}), true, true),
            (day, json!({"lifetime": "48h"}), false, true),
            (None, json!({}), false, false),
            (None, json!({"lifetime": "48h"}), false, true),
        ] {
            let desk = Desk::new(false);
            desk.dce.write_times(times);
            desk.dce.write_never(NeverForm::Zero);
            desk.dce.grant_at_most(limit);
            if !in_token {
                desk.dce.lie(Lie::ExpMissing);
            }
            let issued = desk.issued(asked.clone(), &identity(1)).await;
            let id = issued.credential.id.unwrap();
            let ends_at = desk.dce.access_key(&id).unwrap().expires_ms;
            let ends_at = ends_at.map(|at| Timestamp::from_millisecond(at).unwrap());
            assert_eq!(ends_at.is_some(), ends);
            // To the second; a token rounds up.
            let off = match (issued.credential.expires_at, ends_at) {
                (Some(stated), Some(at)) => stated.duration_since(at).as_secs().abs(),
                (stated, at) => {
                    assert_eq!(stated, at, "{limit:?} {asked} {times:?}");
                    0
                }
            };
            assert!(off <= 1, "{off} seconds: {limit:?} {asked} {times:?}");
            let lists = |desk: &Desk| desk.dce.server().calls_to(ACCESS_KEY_LIST).len();
            assert_eq!(lists(&desk), if in_token { 1 } else { 2 });
        }
    }
    // A list that is not to be had costs nobody the key.
    let desk = Desk::new(false);
    let faults = desk.dce.faults();
    faults.set(ACCESS_KEY_LIST, Fault::Html(502));
    faults.push_n(ACCESS_KEY_LIST, Fault::Delay(Duration::ZERO), 1);
    let issued = desk.issued(json!({}), &identity(1)).await;
    assert_eq!(issued.credential.expires_at, None);
    assert_eq!(desk.dce.server().calls_to(ACCESS_KEY_LIST).len(), 2);
}
