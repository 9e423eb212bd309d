//! Keystone's kinds.

use std::sync::Arc;

use credential_operator::api::Reason::{
    Forbidden, LoginRefused, ProviderUnavailable, QuotaExceeded, ScopeRefused, Timeout,
    UnexpectedAnswer,
};
use serde_json::{Value, json};
use testkit::{
    keystone::{DEFAULT_DOMAIN, KeystoneOptions, KeystoneSimulator, LOGIN, Quota},
    server::SimServer,
};

use super::{
    BY_ITS_NAME, Call, Expect, NEVER_MADE_ANEW, Simulated, Subject, anew, call, when_gone,
};
use crate::{
    lies::Answered,
    refusals::{
        Refusal,
        Told::{Fails, Refuted},
    },
    stages::Stage,
};

pub const PAIR: &str = "GET /v3/users/*/credentials/OS-EC2/*";
pub const MAKE_PAIR: &str = "POST /v3/credentials";
pub const DELETE_PAIR: &str = "DELETE /v3/credentials/*";
const SIGNATURE: &str = "POST /v3/s3tokens";
const CREDENTIALS: &str = "GET /v3/users/*/application_credentials";
const MAKE_CREDENTIAL: &str = "POST /v3/users/*/application_credentials";
const DELETE_CREDENTIAL: &str = "DELETE /v3/users/*/application_credentials/*";
pub const LOOK_AT_TOKEN: &str = "GET /v3/auth/tokens";
const END_TOKEN: &str = "DELETE /v3/auth/tokens";

const WITH_ITSELF: &str = "it is revoked with itself, and no deletion waits for it";

/// A login, without a project or for one.
pub const LOG_IN: &[(&str, Expect)] = &[
    ("401", Expect::Fails(LoginRefused)),
    ("402", Expect::Fails(UnexpectedAnswer)),
    ("403", Expect::Fails(UnexpectedAnswer)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

/// A call with a session, which is replaced once.
pub const ASK: &[(&str, Expect)] = &[
    ("401", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

/// What is hidden is listed instead.
pub const LOOK_UP: &[(&str, Expect)] = &[
    ("401", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::GoesOn),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

/// The owner is answered 403 where it is gone already.
pub const DELETE: &[(&str, Expect)] = LOOK_UP;

/// Whether a session is alive, which makes a 404 count.
pub const IS_ALIVE: &[(&str, Expect)] = &[
    ("401", Expect::Fails(UnexpectedAnswer)),
    ("401 in JSON", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

/// A pair that is hidden may be there.
const IS_PAIR: &[(&str, Expect)] = &[
    ("401", Expect::Fails(ProviderUnavailable)),
    ("403", Expect::ProvesNothing),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

/// What was read back has to do where there is no answer to it; a 401 in Keystone's words is one.
const IS_SIGNATURE: &[(&str, Expect)] = &[
    ("", Expect::GoesOn),
    ("401 in JSON", Expect::Refutes),
    ("no answer at all", Expect::FailsAsOne(&[Timeout])),
    ("a byte a second", Expect::FailsAsOne(&[Timeout])),
    (
        "a connection that is cut",
        Expect::Fails(ProviderUnavailable),
    ),
    ("an answer that is lost", Expect::Fails(ProviderUnavailable)),
    ("a truncated body", Expect::Fails(ProviderUnavailable)),
    ("2 MiB", Expect::Fails(UnexpectedAnswer)),
    (
        "1.6 MB of headers",
        Expect::FailsAsOne(&[ProviderUnavailable, UnexpectedAnswer]),
    ),
];

/// A login with the credential. Only Keystone's own words count.
const IS_CREDENTIAL: &[(&str, Expect)] = &[
    ("401", Expect::Fails(UnexpectedAnswer)),
    ("401 in JSON", Expect::Refutes),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

/// The same for a token.
const IS_TOKEN: &[(&str, Expect)] = IS_CREDENTIAL;

/// A token that Keystone does not know is as good as revoked.
const ENDS_TOKEN: &[(&str, Expect)] = &[
    ("401", Expect::Fails(UnexpectedAnswer)),
    ("401 in JSON", Expect::GoesOn),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(UnexpectedAnswer)),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

impl Simulated for KeystoneSimulator {
    fn servers(&self) -> Vec<&SimServer> {
        vec![self.server()]
    }

    fn alive(&self) -> usize {
        self.live_pairs().len() + self.live_application_credentials().len()
    }

    fn secrets(&self) -> Vec<String> {
        self.secret_values()
    }
}

/// Whose login it is, and for which project.
struct Site {
    keystone: Arc<KeystoneSimulator>,
    project: String,
    user: String,
    password: String,
}

impl Site {
    /// A Keystone whose login has the role `member` in the project `payments`.
    fn new() -> Site {
        let keystone = Arc::new(KeystoneSimulator::start(KeystoneOptions::default()));
        let project = keystone.add_project("payments", DEFAULT_DOMAIN);
        let (user, password) = keystone.add_user("bot", DEFAULT_DOMAIN);
        keystone.assign_role(&user, &project, "member");
        Site {
            keystone,
            project,
            user,
            password,
        }
    }

    fn subject(&self, kind: &str, calls: Vec<(Stage, Result<Vec<Call>, &'static str>)>) -> Subject {
        let project = &self.project;
        Subject {
            provider: json!({
                "keystone": {
                    "endpoint": self.keystone.endpoint(), "allowHTTP": true,
                    "auth": {"password": {"secretRef": {"namespace": "platform", "name": "login"}}},
                },
                "allow": [{
                    "namespaces": {},
                    "keystone": {"kinds": [kind], "projects": [{"id": project}], "roles": ["member", "reader"]},
                }],
            }),
            request: json!({
                "providerRef": {"kind": "ClusterCredentialProvider", "name": "keystone"},
                "keystone": {kind: {"project": {"id": project}}},
            }),
            login: vec![
                ("user-id", self.user.clone()),
                ("password", self.password.clone()),
            ],
            calls,
            beside: &[],
            creating: &[],
            shared: 0,
            waits: false,
            lies: Vec::new(),
            answered: Vec::new(),
            refusals: self.refusals(),
            system: Arc::clone(&self.keystone) as _,
        }
    }

    fn refusals(&self) -> Vec<Refusal> {
        let (first, second) = (Arc::clone(&self.keystone), Arc::clone(&self.keystone));
        let (one, two) = (self.user.clone(), self.user.clone());
        let project = self.project.clone();
        vec![
            Refusal {
                name: "a user who is disabled",
                stage: Stage::Issue,
                make: Box::new(move || first.enable_user(&one, false)),
                told: Fails(LoginRefused),
            },
            Refusal {
                name: "a user without a role in the project",
                stage: Stage::Issue,
                make: Box::new(move || second.remove_role(&two, &project, "member")),
                told: Fails(ScopeRefused),
            },
        ]
    }

    fn quota(&self, quota: Quota) -> Refusal {
        let (keystone, user) = (Arc::clone(&self.keystone), self.user.clone());
        Refusal {
            name: "a full quota",
            stage: Stage::Issue,
            make: Box::new(move || keystone.set_quota(&user, quota)),
            told: Fails(QuotaExceeded),
        }
    }
}

/// An id of Keystone's that is nobody's here.
pub fn another() -> Value {
    json!("0123456789abcdef0123456789abcdef")
}

pub fn access_key() -> Subject {
    let site = Site::new();
    let calls = vec![
        (Stage::Login, Ok(vec![call(LOGIN, LOG_IN)])),
        (
            Stage::Issue,
            Ok(vec![call(LOGIN, LOG_IN), call(MAKE_PAIR, ASK)]),
        ),
        (
            Stage::Prove,
            Ok(vec![
                anew(call(LOGIN, LOG_IN)),
                call(PAIR, IS_PAIR),
                call(SIGNATURE, IS_SIGNATURE),
                when_gone(call(LOOK_AT_TOKEN, IS_ALIVE)),
            ]),
        ),
        (
            Stage::Revoke,
            Ok(vec![
                anew(call(LOGIN, LOG_IN)),
                call(PAIR, LOOK_UP),
                call(DELETE_PAIR, DELETE),
                when_gone(call(LOOK_AT_TOKEN, IS_ALIVE)),
            ]),
        ),
        (
            Stage::Confirm,
            Ok(vec![
                anew(call(LOGIN, LOG_IN)),
                call(PAIR, ASK),
                when_gone(call(LOOK_AT_TOKEN, IS_ALIVE)),
            ]),
        ),
        (Stage::Part, Err(BY_ITS_NAME)),
        (Stage::Regenerate, Err(NEVER_MADE_ANEW)),
    ];
    let mut subject = site.subject("accessKey", calls);
    subject.creating = &[(0, MAKE_PAIR)];
    subject.refusals.push(site.quota(Quota {
        pairs: Some(0),
        ..Quota::default()
    }));
    let keystone = Arc::clone(&site.keystone);
    subject.refusals.push(Refusal {
        name: "a pair that was revoked",
        stage: Stage::Prove,
        make: Box::new(move || {
            for pair in keystone.live_pairs() {
                assert!(keystone.revoke_pair(&pair.access));
            }
        }),
        told: Refuted,
    });
    let (of, project) = (site.project.clone(), site.project);
    subject.answered = vec![
        Answered {
            stage: Stage::Issue,
            server: 0,
            route: MAKE_PAIR.to_owned(),
            status: 201,
            truth: Box::new(move |issued| {
                json!({"credential": {
                    "id": issued.credential.id, "user_id": issued.credential.owner, "project_id": of, "type": "ec2",
                    "blob": "{}",
                }})
            }),
            fields: vec![
                ("/credential/id", another(), Fails(UnexpectedAnswer)),
                ("/credential/user_id", another(), Fails(UnexpectedAnswer)),
                ("/credential/project_id", another(), Fails(UnexpectedAnswer)),
            ],
        },
        Answered {
            stage: Stage::Prove,
            server: 0,
            route: PAIR.to_owned(),
            status: 200,
            truth: Box::new(move |issued| {
                json!({"credential": {
                    "access": issued.data.text("AWS_ACCESS_KEY_ID"),
                    "secret": issued.data.text("AWS_SECRET_ACCESS_KEY"),
                    "user_id": issued.credential.owner, "tenant_id": project, "trust_id": null,
                }})
            }),
            fields: vec![
                ("/credential/user_id", another(), Refuted),
                ("/credential/tenant_id", another(), Refuted),
                ("/credential/secret", another(), Refuted),
            ],
        },
    ];
    subject
}

pub fn application_credential() -> Subject {
    let site = Site::new();
    let calls = vec![
        (Stage::Login, Ok(vec![call(LOGIN, LOG_IN)])),
        (
            Stage::Issue,
            Ok(vec![call(LOGIN, LOG_IN), call(MAKE_CREDENTIAL, ASK)]),
        ),
        (Stage::Prove, Ok(vec![call(LOGIN, IS_CREDENTIAL)])),
        (
            Stage::Revoke,
            Ok(vec![
                anew(call(LOGIN, LOG_IN)),
                call(CREDENTIALS, ASK),
                call(DELETE_CREDENTIAL, ASK),
            ]),
        ),
        (
            Stage::Confirm,
            Ok(vec![anew(call(LOGIN, LOG_IN)), call(CREDENTIALS, ASK)]),
        ),
        (Stage::Part, Err(BY_ITS_NAME)),
        (Stage::Regenerate, Err(NEVER_MADE_ANEW)),
    ];
    let mut subject = site.subject("applicationCredential", calls);
    subject.creating = &[(0, MAKE_CREDENTIAL)];
    subject.refusals.push(site.quota(Quota {
        application_credentials: Some(0),
        ..Quota::default()
    }));
    let project = site.project;
    subject.answered = vec![Answered {
        stage: Stage::Issue,
        server: 0,
        route: MAKE_CREDENTIAL.to_owned(),
        status: 201,
        truth: Box::new(move |issued| {
            json!({"application_credential": {
                "id": issued.credential.id, "user_id": issued.credential.owner, "project_id": project,
                "name": format!("credential-operator-{}-1", crate::bench::identity(1).uid),
                "secret": "s3cr3t-of-this-one", "roles": [{"id": "r", "name": "member"}], "expires_at": null,
                "unrestricted": false,
            }})
        }),
        fields: vec![
            (
                "/application_credential/name",
                json!("another"),
                Fails(UnexpectedAnswer),
            ),
            (
                "/application_credential/user_id",
                another(),
                Fails(UnexpectedAnswer),
            ),
            (
                "/application_credential/project_id",
                another(),
                Fails(UnexpectedAnswer),
            ),
            (
                "/application_credential/id",
                json!("../../users"),
                Fails(UnexpectedAnswer),
            ),
        ],
    }];
    subject
}

pub fn token() -> Subject {
    let site = Site::new();
    let calls = vec![
        (Stage::Login, Ok(vec![call(LOGIN, LOG_IN)])),
        (Stage::Issue, Ok(vec![call(LOGIN, LOG_IN)])),
        (Stage::Prove, Ok(vec![call(LOOK_AT_TOKEN, IS_TOKEN)])),
        (Stage::Revoke, Err(WITH_ITSELF)),
        (Stage::Confirm, Err(WITH_ITSELF)),
        (Stage::Part, Ok(vec![call(END_TOKEN, ENDS_TOKEN)])),
        (Stage::Regenerate, Err(NEVER_MADE_ANEW)),
    ];
    let mut subject = site.subject("token", calls);
    let (keystone, user) = (Arc::clone(&site.keystone), site.user.clone());
    subject.refusals.push(Refusal {
        name: "a token that was revoked",
        stage: Stage::Prove,
        make: Box::new(move || keystone.revoke_tokens_of(&user)),
        told: Refuted,
    });
    let (project, user) = (site.project, site.user);
    let domain = json!({"id": "default", "name": "Default"});
    subject.answered = vec![Answered {
        stage: Stage::Prove,
        server: 0,
        route: LOOK_AT_TOKEN.to_owned(),
        status: 200,
        truth: Box::new(move |_| {
            json!({"token": {
                "user": {"id": user, "name": "bot", "domain": domain},
                "project": {"id": project, "name": "payments", "domain": domain},
                "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z",
                "methods": ["password"], "roles": [{"id": "r", "name": "member"}],
            }})
        }),
        fields: vec![
            ("/token/user/id", another(), Refuted),
            ("/token/project/id", another(), Refuted),
            ("/token/project", Value::Null, Refuted),
        ],
    }];
    subject
}
