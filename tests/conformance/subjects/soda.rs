//! SODA's kinds.

use std::sync::Arc;

use credential_operator::api::Reason::{
    Forbidden, ProviderUnavailable, QuotaExceeded, ScopeRefused, UnexpectedAnswer,
};
use serde_json::{Value, json};
use testkit::{
    keystone::{DEFAULT_DOMAIN, KeystoneOptions, KeystoneSimulator, LOGIN, Quota},
    server::SimServer,
    soda::{CREATE, DELETE, KeystoneAccount, Lie, READ, SodaOptions, SodaSimulator},
};

use super::{
    BY_ITS_NAME, Call, Expect, FOUND_AGAIN, NEVER_MADE_ANEW, ONLY_READ, Simulated, Subject, anew,
    at,
    keystone::{
        ASK, DELETE as DELETE_ONE, DELETE_PAIR, IS_ALIVE, LOG_IN, LOOK_AT_TOKEN, LOOK_UP,
        MAKE_PAIR, PAIR, another,
    },
    when_gone,
};
use crate::{
    lies::Answered,
    refusals::{
        Refusal,
        Told::{Fails, Refuted},
    },
    stages::Stage,
};

const ALL_OR_NONE: &str = "SODA deletes all keys of a user or none";
const LISTED_FIRST: &str = "all keys of the user are listed first, and then deleted at once";

/// The servers.
const KEYSTONE: usize = 0;
const SODA: usize = 1;

const PROJECTS: &str = "GET /v3/auth/projects";
/// Of the login's user, asked by the operator and, for what it shows, by SODA.
const LISTING: &str = "GET /v3/credentials";

/// What SODA asks its Keystone for.
const BY_SODA: &[(usize, &str)] = &[
    (KEYSTONE, LOGIN),
    (KEYSTONE, LOOK_AT_TOKEN),
    (KEYSTONE, LISTING),
    (KEYSTONE, "GET /v3/credentials/*"),
    (KEYSTONE, "POST /v3/credentials"),
    (KEYSTONE, "POST /v3/users/*/credentials/OS-EC2"),
];

/// That the login is refused is Keystone's to say.
const SHOWS: &[(&str, Expect)] = &[
    ("401", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
    // So it says that there is nothing, and that its Keystone has failed it.
    ("null", Expect::Fails(ProviderUnavailable)),
    ("an empty list", Expect::Fails(ProviderUnavailable)),
];

/// There is nothing yet, so that is the truth.
const SHOWS_NOTHING: &[(&str, Expect)] = &[
    ("401", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
    ("null", Expect::GoesOn),
    ("an empty list", Expect::GoesOn),
];

/// Who may not list has SODA's word alone.
const LISTS: &[(&str, Expect)] = &[
    ("401", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::GoesOn),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::GoesOn),
];

/// Then there is SODA's word, which its Keystone keeps from it by the same answer: nothing is adopted by that.
const LISTS_NOTHING: &[(&str, Expect)] = &[
    ("401", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::Fails(ProviderUnavailable)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(ProviderUnavailable)),
];

const MAKES: &[(&str, Expect)] = &[
    ("401", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

/// A SODA in front of a Keystone, which the login is at.
struct SodaAndKeystone {
    soda: SodaSimulator,
    keystone: KeystoneSimulator,
}

impl Simulated for SodaAndKeystone {
    fn servers(&self) -> Vec<&SimServer> {
        vec![self.keystone.server(), self.soda.server()]
    }

    fn alive(&self) -> usize {
        self.keystone.live_pairs().len()
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.keystone.secret_values();
        secrets.extend(self.soda.secret_values());
        secrets
    }

    /// The grants allow it, and no request of these asks for it in a way that counts.
    fn check(&self) {
        assert_eq!(self.soda.delete_calls(), 0, "SODA was told to delete all");
        let calls = self.soda.server().calls_to(DELETE);
        assert_eq!(calls.len(), 0, "SODA was asked to delete all");
        assert!(self.soda.deletions().is_empty());
    }
}

/// A SODA in front of a Keystone whose login has the role `member` in the project `payments`, and a
/// request with further fields.
fn soda(fields: Value, calls: Vec<(Stage, Result<Vec<Call>, &'static str>)>) -> Subject {
    let keystone = KeystoneSimulator::start(KeystoneOptions::default());
    let account = KeystoneAccount::of_simulator(&keystone, "soda");
    let soda = SodaSimulator::start(SodaOptions::default(), account);
    let project = keystone.add_project("payments", DEFAULT_DOMAIN);
    let (user, password) = keystone.add_user("bot", DEFAULT_DOMAIN);
    keystone.assign_role(&user, &project, "member");
    if fields["adopt"] == true {
        keystone.add_pair(&user, &project, "AKTHATISTHERE", "the-secret-that-is-there");
    }
    let mut asked = fields;
    asked["project"] = json!({ "id": project });
    let login = vec![
        at(KEYSTONE, LOGIN, LOG_IN),
        at(KEYSTONE, PROJECTS, ASK),
        at(SODA, READ, SHOWS_OR_NONE),
    ];
    let provider = json!({
        "soda": {
            "endpoint": soda.endpoint(), "keystone": {"endpoint": keystone.endpoint()},
            "allowHTTP": true,
            "auth": {"password": {"secretRef": {"namespace": "platform", "name": "login"}}},
        },
        "allow": [{
            "namespaces": {},
            "soda": {
                "kinds": ["accessKey"], "projects": [{"id": project}], "roles": ["member", "reader"],
                "issueThroughSoda": true, "adopt": true, "deleteAll": true,
            },
        }],
    });
    let system = Arc::new(SodaAndKeystone { soda, keystone });
    let (first, second, third) = (
        Arc::clone(&system),
        Arc::clone(&system),
        Arc::clone(&system),
    );
    let is_plain = asked.get("adopt").is_none() && asked.get("issueThrough").is_none();
    let quota = is_plain.then(|| full(&system, user.clone()));
    let of = user.clone();
    let (no_role, of_project) = (Arc::clone(&system), project.clone());
    let (who, owner) = (user.clone(), user.clone());
    Subject {
        provider,
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "soda"},
            "soda": {"accessKey": asked},
        }),
        login: vec![("user-id", user), ("password", password)],
        calls: std::iter::once((Stage::Login, Ok(login)))
            .chain(calls)
            .collect(),
        beside: BY_SODA,
        creating: &[],
        shared: 0,
        waits: false,
        lies: vec![
            Refusal {
                name: "it shows credentials of another user",
                stage: Stage::Prove,
                make: Box::new(move || first.soda.lie(Lie::OtherUser)),
                told: Fails(UnexpectedAnswer),
            },
            Refusal {
                name: "it shows other secrets",
                stage: Stage::Prove,
                make: Box::new(move || second.soda.lie(Lie::OtherSecret)),
                told: Fails(ProviderUnavailable),
            },
        ],
        answered: vec![Answered {
            stage: Stage::Prove,
            server: SODA,
            route: READ.to_owned(),
            status: 200,
            truth: Box::new(move |issued| {
                json!([{
                    "project_id": project, "user_id": of, "type": "ec2",
                    "blob": {
                        "access_key": issued.data.text("AWS_ACCESS_KEY_ID"),
                        "secret_key": issued.data.text("AWS_SECRET_ACCESS_KEY"),
                    },
                }])
            }),
            fields: vec![
                ("/0/user_id", another(), Fails(UnexpectedAnswer)),
                ("/0/project_id", another(), Fails(ProviderUnavailable)),
                ("/0/blob/access_key", another(), Fails(ProviderUnavailable)),
                ("/0/blob/secret_key", another(), Fails(ProviderUnavailable)),
            ],
        }],
        refusals: vec![
            Refusal {
                name: "SODA's policy",
                stage: Stage::Prove,
                make: Box::new(move || third.soda.forbid(true)),
                told: Fails(Forbidden),
            },
            Refusal {
                name: "a user without a role in the project",
                stage: Stage::Issue,
                make: Box::new(move || {
                    no_role.keystone.remove_role(&who, &of_project, "member");
                }),
                told: Fails(ScopeRefused),
            },
            revoked(&system, owner),
        ]
        .into_iter()
        .chain(quota)
        .collect(),
        system,
    }
}

/// What Keystone says to whoever has too many.
fn full(system: &Arc<SodaAndKeystone>, owner: String) -> Refusal {
    let system = Arc::clone(system);
    let none = Quota {
        pairs: Some(0),
        ..Quota::default()
    };
    Refusal {
        name: "a full quota",
        stage: Stage::Issue,
        make: Box::new(move || system.keystone.set_quota(&owner, none)),
        told: Fails(QuotaExceeded),
    }
}

/// What Keystone alone can say.
fn revoked(system: &Arc<SodaAndKeystone>, owner: String) -> Refusal {
    let system = Arc::clone(system);
    Refusal {
        name: "a pair that was revoked",
        stage: Stage::Prove,
        make: Box::new(move || {
            for pair in system.keystone.live_pairs() {
                assert_eq!(pair.user_id, owner);
                assert!(system.keystone.revoke_pair(&pair.access));
            }
        }),
        told: Refuted,
    }
}

/// The test of a login asks for what there is, and nothing is an answer.
const SHOWS_OR_NONE: &[(&str, Expect)] = SHOWS_NOTHING;

pub fn access_key() -> Subject {
    let calls = vec![
        (
            Stage::Issue,
            Ok(vec![
                at(KEYSTONE, LOGIN, LOG_IN),
                at(KEYSTONE, MAKE_PAIR, ASK),
            ]),
        ),
        (
            Stage::Prove,
            Ok(vec![
                anew(at(KEYSTONE, LOGIN, LOG_IN)),
                at(SODA, READ, SHOWS),
            ]),
        ),
        (
            Stage::Revoke,
            Ok(vec![
                anew(at(KEYSTONE, LOGIN, LOG_IN)),
                at(KEYSTONE, PAIR, LOOK_UP),
                at(KEYSTONE, DELETE_PAIR, DELETE_ONE),
            ]),
        ),
        (
            Stage::Confirm,
            Ok(vec![
                anew(at(KEYSTONE, LOGIN, LOG_IN)),
                at(KEYSTONE, PAIR, ASK),
                when_gone(at(KEYSTONE, LOOK_AT_TOKEN, IS_ALIVE)),
            ]),
        ),
        (Stage::Part, Err(BY_ITS_NAME)),
        (Stage::Regenerate, Err(NEVER_MADE_ANEW)),
    ];
    let mut subject = soda(json!({}), calls);
    subject.creating = &[(KEYSTONE, MAKE_PAIR)];
    subject
}

/// One that SODA makes.
fn made_by_soda(fields: Value, why: &'static str) -> Subject {
    let calls = vec![
        (
            Stage::Issue,
            Ok(vec![
                at(KEYSTONE, LOGIN, LOG_IN),
                at(SODA, READ, SHOWS_NOTHING),
                at(KEYSTONE, LISTING, LISTS),
                at(SODA, CREATE, MAKES),
            ]),
        ),
        (
            Stage::Prove,
            Ok(vec![
                anew(at(KEYSTONE, LOGIN, LOG_IN)),
                at(SODA, READ, SHOWS),
            ]),
        ),
        (Stage::Revoke, Err(why)),
        (Stage::Confirm, Err(why)),
        (Stage::Part, Err(why)),
        (Stage::Regenerate, Err(FOUND_AGAIN)),
    ];
    let mut subject = soda(fields, calls);
    subject.creating = &[(SODA, CREATE)];
    subject.shared = 1;
    subject.waits = true;
    subject
}

pub fn issued_access_key() -> Subject {
    made_by_soda(json!({"issueThrough": "Soda"}), ALL_OR_NONE)
}

pub fn ending_access_key() -> Subject {
    let fields = json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"});
    made_by_soda(fields, LISTED_FIRST)
}

pub fn adopted_access_key() -> Subject {
    let calls = vec![
        (
            Stage::Issue,
            Ok(vec![
                at(KEYSTONE, LOGIN, LOG_IN),
                at(SODA, READ, SHOWS),
                at(KEYSTONE, LISTING, LISTS_NOTHING),
            ]),
        ),
        (
            Stage::Prove,
            Ok(vec![
                anew(at(KEYSTONE, LOGIN, LOG_IN)),
                at(SODA, READ, SHOWS),
            ]),
        ),
        (Stage::Revoke, Err(ONLY_READ)),
        (Stage::Confirm, Err(ONLY_READ)),
        (Stage::Part, Err(ONLY_READ)),
        (Stage::Regenerate, Err(ONLY_READ)),
    ];
    let mut subject = soda(json!({"adopt": true}), calls);
    subject.shared = 1;
    subject
}
