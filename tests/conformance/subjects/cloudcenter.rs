//! CloudCenter's kind: for a user by id and by address, and the login's own.

use std::sync::Arc;

use credential_operator::api::Reason::{
    Forbidden, LoginRefused, NotAllowed, NotRegenerated, UnexpectedAnswer,
};
use serde_json::{Value, json};
use testkit::{
    cloudcenter::{Account, CloudCenterOptions, CloudCenterSimulator, OWN_KEY, Rank, USERS},
    server::SimServer,
};

use super::{Call, Expect, ONLY_READ, READS, Simulated, Subject, call, reads};
use crate::{
    lies::Answered,
    refusals::{Refusal, Told::Fails},
    stages::Stage,
};

/// The id of the user.
const ALICE: &str = "4711";
const USER: &str = "GET /v1/users/4711";
const USER_KEYS: &str = "GET /v1/users/*/keys";
const MAKE: &str = "POST /v1/users/*/keys";

const SHUT_OUT: &str = "a new key would shut the operator out, and is refused before";

/// Who is not there is told like one whom no grant is about.
const FOR_A_NEW_ONE: &[(&str, Expect)] =
    &reads(Expect::Fails(Forbidden), Expect::Fails(NotAllowed));

/// Who is not there may only be hidden.
const FOR_A_PROOF: &[(&str, Expect)] = &reads(Expect::Fails(Forbidden), Expect::Fails(Forbidden));

/// The list is walked instead.
const BY_A_HINT: &[(&str, Expect)] = &reads(Expect::Fails(Forbidden), Expect::GoesOn);

/// There is a new key already, whatever is answered here. All names fit.
const WHEN_MADE: &[(&str, Expect)] = &[("", Expect::ProvesNothing)];

/// Whatever the reason is, it is not tried again.
const MADE: &[(&str, Expect)] = &[
    ("401", Expect::Fails(NotRegenerated)),
    ("402", Expect::Fails(NotRegenerated)),
    ("403", Expect::Fails(NotRegenerated)),
    ("404", Expect::Fails(NotRegenerated)),
    ("405", Expect::Fails(NotRegenerated)),
];

impl Simulated for CloudCenterSimulator {
    fn servers(&self) -> Vec<&SimServer> {
        vec![self.server()]
    }

    /// None of them was made by the operator.
    fn alive(&self) -> usize {
        0
    }

    fn secrets(&self) -> Vec<String> {
        self.secret_values()
    }
}

pub fn api_key() -> Subject {
    cloudcenter(
        |id| json!({"user": {"id": id}, "onRotate": "Regenerate"}),
        |id| json!({ "id": id }),
        vec![call(USER, FOR_A_NEW_ONE), call(USER_KEYS, READS)],
        vec![call(USER, FOR_A_PROOF), call(USER_KEYS, READS)],
        Ok(vec![
            call(USER, FOR_A_NEW_ONE),
            call(MAKE, MADE),
            call(USER_KEYS, WHEN_MADE),
        ]),
    )
}

/// Users are listed for it, and from then on it is known where the address leads.
pub fn api_key_by_email() -> Subject {
    cloudcenter(
        |_| json!({"user": {"email": "alice@example.com"}, "onRotate": "Regenerate"}),
        |_| json!({"email": "alice@example.com"}),
        vec![call(USERS, READS), call(USER_KEYS, READS)],
        vec![call(USER, BY_A_HINT), call(USER_KEYS, READS)],
        Ok(vec![call(MAKE, MADE), call(USER_KEYS, WHEN_MADE)]),
    )
}

pub fn own_api_key() -> Subject {
    let calls = || vec![call(OWN_KEY, READS)];
    let (mut subject, cloudcenter, admin) = of_simulator(
        |_| json!({}),
        |_| json!({"self": true}),
        calls(),
        calls(),
        Err(SHUT_OUT),
    );
    // There is no other user.
    let shown = json!({"apiKey": {"username": admin.username, "key": admin.key}});
    subject.answered = vec![Answered {
        stage: Stage::Prove,
        server: 0,
        route: format!("GET {OWN_KEY}"),
        status: 200,
        truth: Box::new(move |_| shown.clone()),
        fields: vec![
            (
                "/apiKey/username",
                json!("another_1"),
                Fails(UnexpectedAnswer),
            ),
            (
                "/apiKey/key",
                json!("AKEYOFANOTHER000"),
                Fails(UnexpectedAnswer),
            ),
        ],
    }];
    subject.refusals = vec![Refusal {
        name: "a new key was made",
        stage: Stage::Prove,
        make: Box::new(move || drop(cloudcenter.change_key(&admin.id))),
        told: Fails(LoginRefused),
    }];
    subject
}

fn cloudcenter(
    asked: fn(&str) -> Value,
    granted: fn(&str) -> Value,
    issue: Vec<Call>,
    prove: Vec<Call>,
    regenerate: Result<Vec<Call>, &'static str>,
) -> Subject {
    of_simulator(asked, granted, issue, prove, regenerate).0
}

/// With the simulator, and whose login it is.
fn of_simulator(
    asked: fn(&str) -> Value,
    granted: fn(&str) -> Value,
    issue: Vec<Call>,
    prove: Vec<Call>,
    regenerate: Result<Vec<Call>, &'static str>,
) -> (Subject, Arc<CloudCenterSimulator>, Account) {
    let cloudcenter = Arc::new(CloudCenterSimulator::start(CloudCenterOptions::default()));
    let admin = cloudcenter.add_admin("admin@example.com");
    let alice = cloudcenter.add_user("alice@example.com", "1");
    cloudcenter.set_id(&alice.id, ALICE);
    let alice = cloudcenter.account(ALICE);
    let refusals = {
        let (first, second, third) = (
            Arc::clone(&cloudcenter),
            Arc::clone(&cloudcenter),
            Arc::clone(&cloudcenter),
        );
        let (one, two, boss) = (alice.id.clone(), alice.id.clone(), admin.id.clone());
        vec![
            Refusal {
                name: "a user who is disabled",
                stage: Stage::Issue,
                make: Box::new(move || first.enable_user(&one, false)),
                told: Fails(Forbidden),
            },
            Refusal {
                name: "a user without a key",
                stage: Stage::Issue,
                make: Box::new(move || second.remove_key(&two)),
                told: Fails(UnexpectedAnswer),
            },
            Refusal {
                name: "a login that is no admin's any more",
                stage: Stage::Prove,
                make: Box::new(move || third.set_rank(&boss, Rank::User)),
                told: Fails(Forbidden),
            },
        ]
    };
    let answered = answered(&alice.id, &alice.username, &alice.key, &admin.key);
    let login = vec![
        ("username", admin.username.clone()),
        ("key", admin.key.clone()),
    ];
    let subject = Subject {
        provider: json!({
            "cloudCenter": {
                "endpoint": cloudcenter.endpoint(), "allowHTTP": true,
                "auth": {"apiKey": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{"namespaces": {}, "cloudCenter": {
                "kinds": ["apiKey"], "users": [granted(&alice.id)], "regenerate": true,
            }}],
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "cloudcenter"},
            "cloudCenter": {"apiKey": asked(&alice.id)},
        }),
        login,
        calls: vec![
            (Stage::Login, Ok(vec![call(OWN_KEY, READS)])),
            (Stage::Issue, Ok(issue)),
            (Stage::Prove, Ok(prove)),
            (Stage::Revoke, Err(ONLY_READ)),
            (Stage::Confirm, Err(ONLY_READ)),
            (Stage::Part, Err(ONLY_READ)),
            (Stage::Regenerate, regenerate),
        ],
        beside: &[],
        creating: &[],
        shared: 0,
        waits: false,
        lies: Vec::new(),
        answered,
        refusals,
        system: Arc::clone(&cloudcenter) as _,
    };
    (subject, cloudcenter, admin)
}

/// What CloudCenter says about a user and about a key.
fn answered(id: &str, username: &str, key: &str, own: &str) -> Vec<Answered> {
    let user =
        json!({"id": id, "username": username, "emailAddr": "alice@example.com", "enabled": true});
    let shown = json!({"apiKey": {
        "resource": format!("https://elsewhere.example.com/v1/users/{id}/keys"),
        "username": username, "key": key,
    }});
    let another = "https://elsewhere.example.com/v1/users/99/keys";
    vec![
        Answered {
            stage: Stage::Prove,
            server: 0,
            route: format!("GET /v1/users/{id}"),
            status: 200,
            truth: Box::new(move |_| user.clone()),
            fields: vec![
                ("/id", json!("99"), Fails(UnexpectedAnswer)),
                // The key is that of the name before.
                ("/username", json!("another_1"), Fails(UnexpectedAnswer)),
            ],
        },
        Answered {
            stage: Stage::Issue,
            server: 0,
            route: USER_KEYS.to_owned(),
            status: 200,
            truth: Box::new(move |_| shown.clone()),
            fields: vec![
                (
                    "/apiKey/username",
                    json!("another_1"),
                    Fails(UnexpectedAnswer),
                ),
                ("/apiKey/resource", json!(another), Fails(UnexpectedAnswer)),
                // The login's own is the one that opens everything.
                ("/apiKey/key", json!(own), Fails(UnexpectedAnswer)),
            ],
        },
    ]
}
