//! DCE's kinds.

use std::sync::Arc;

use credential_operator::api::Reason::{
    Forbidden, LoginRefused, NotOffered, QuotaExceeded, RateLimited, UnexpectedAnswer,
};
use serde_json::json;
use testkit::{
    dce::{
        ACCESS_KEY_CREATE, ACCESS_KEY_DELETE, ACCESS_KEY_LIST, CURRENT_USER, DceOptions,
        DceSimulator, Generation, Lie, QuotaRefusal, TOKEN,
    },
    server::SimServer,
};

use super::{BY_ITS_NAME, Expect, NEVER_MADE_ANEW, Simulated, Subject, call};
use crate::{
    lies::Lie as Told,
    refusals::{Refusal, Told::Fails},
    stages::Stage,
};

const EXPIRES: &str = "it cannot be revoked, and ends by itself";

/// A token asked for with a pair.
const FOR_A_TOKEN: &[(&str, Expect)] = &[
    ("401", Expect::Fails(LoginRefused)),
    ("403 in plain text", Expect::Fails(LoginRefused)),
    ("403 in JSON", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(NotOffered)),
    ("405", Expect::Fails(NotOffered)),
];

/// `current-user` with the login.
const WHOSE_LOGIN: &[(&str, Expect)] = FOR_A_TOKEN;

/// `current-user` with the credential. A 401 counts when it is given twice.
const WHOSE_CREDENTIAL: &[(&str, Expect)] = &[
    ("401", Expect::Refutes),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::ProvesNothing),
    ("405", Expect::Fails(UnexpectedAnswer)),
];

/// A call right after DCE has said whose the login is.
const KEYS: &[(&str, Expect)] = &[
    ("401", Expect::Fails(Forbidden)),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::Fails(NotOffered)),
    ("405", Expect::Fails(NotOffered)),
];

/// The same, where the answer has no body that counts.
const DELETES: &[(&str, Expect)] = &[
    ("401", Expect::Fails(Forbidden)),
    ("403", Expect::Fails(Forbidden)),
    ("404", Expect::GoesOn),
    ("405", Expect::Fails(NotOffered)),
    ("an empty body", Expect::GoesOn),
    ("null", Expect::GoesOn),
    ("an empty object", Expect::GoesOn),
    ("an empty list", Expect::GoesOn),
    ("a text", Expect::GoesOn),
    ("a page with 200", Expect::GoesOn),
    ("objects of other types", Expect::GoesOn),
];

impl Simulated for DceSimulator {
    fn servers(&self) -> Vec<&SimServer> {
        vec![self.server()]
    }

    fn alive(&self) -> usize {
        let keys = self.live_access_keys();
        keys.iter().filter(|key| key.name != LOGIN).count()
    }

    fn secrets(&self) -> Vec<String> {
        self.secret_values()
    }
}

fn another_user(dce: &Arc<DceSimulator>) -> Vec<Told> {
    let dce = Arc::clone(dce);
    vec![Told {
        name: "the self-test names another user",
        stage: Stage::Prove,
        make: Box::new(move || dce.lie(Lie::SelfTestOtherUser)),
        told: Fails(UnexpectedAnswer),
    }]
}

pub fn token() -> Subject {
    let dce = Arc::new(DceSimulator::start(DceOptions::default()));
    let (ak, sk) = dce.add_user("bot");
    let (pair, at_dce) = (ak.clone(), Arc::clone(&dce));
    Subject {
        provider: json!({
            "dce": {
                "endpoint": dce.endpoint(), "allowHTTP": true,
                "auth": {"keyPair": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{"namespaces": {}, "dce": {"kinds": ["token"]}}],
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "dce"},
            "dce": {"token": {}},
        }),
        login: vec![("ak", ak), ("sk", sk)],
        calls: vec![
            (Stage::Login, Ok(vec![call(TOKEN, FOR_A_TOKEN)])),
            (Stage::Issue, Ok(vec![call(TOKEN, FOR_A_TOKEN)])),
            (Stage::Prove, Ok(vec![call(CURRENT_USER, WHOSE_CREDENTIAL)])),
            (Stage::Revoke, Err(EXPIRES)),
            (Stage::Confirm, Err(EXPIRES)),
            (Stage::Part, Err(EXPIRES)),
            (Stage::Regenerate, Err(NEVER_MADE_ANEW)),
        ],
        beside: &[],
        creating: &[],
        shared: 0,
        waits: false,
        lies: another_user(&dce),
        answered: Vec::new(),
        refusals: vec![Refusal {
            name: "a pair that is disabled",
            stage: Stage::Issue,
            make: Box::new(move || at_dce.disable_pair(&pair)),
            told: Fails(LoginRefused),
        }],
        system: dce,
    }
}

/// The name of the access key that the operator logs in with.
const LOGIN: &str = "login";

pub fn access_key() -> Subject {
    let dce = Arc::new(DceSimulator::start(DceOptions {
        generation: Generation::From014,
        ..DceOptions::default()
    }));
    let login = dce.add_access_key("bot", LOGIN, None);
    let full = |name, refusal, told| {
        let dce = Arc::clone(&dce);
        Refusal {
            name,
            stage: Stage::Issue,
            make: Box::new(move || {
                dce.limit_access_keys(Some(1));
                dce.refuse_quota_with(refusal);
            }),
            told: Fails(told),
        }
    };
    let (id, at_dce) = (login.id.clone(), Arc::clone(&dce));
    let refusals = vec![
        full(
            "a full quota, as a precondition",
            QuotaRefusal::FailedPrecondition,
            QuotaExceeded,
        ),
        // So is answered who asks too often.
        full(
            "a full quota, as resources that are exhausted",
            QuotaRefusal::ResourceExhausted,
            RateLimited,
        ),
        // What is forbidden is not said.
        full(
            "a full quota, as a permission",
            QuotaRefusal::PermissionDenied,
            Forbidden,
        ),
        Refusal {
            name: "a login that was deleted",
            stage: Stage::Issue,
            make: Box::new(move || assert!(at_dce.delete_access_key(&id))),
            told: Fails(LoginRefused),
        },
    ];
    let whose = call(CURRENT_USER, WHOSE_LOGIN);
    let list = call(ACCESS_KEY_LIST, KEYS);
    Subject {
        provider: json!({
            "dce": {
                "endpoint": dce.endpoint(), "allowHTTP": true,
                "auth": {"accessKey": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{"namespaces": {}, "dce": {"kinds": ["accessKey"]}}],
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "dce"},
            "dce": {"accessKey": {"lifetime": "24h"}},
        }),
        login: vec![("token", login.token)],
        calls: vec![
            (Stage::Login, Ok(vec![whose])),
            (
                Stage::Issue,
                Ok(vec![whose, list, call(ACCESS_KEY_CREATE, KEYS)]),
            ),
            (Stage::Prove, Ok(vec![call(CURRENT_USER, WHOSE_CREDENTIAL)])),
            (
                Stage::Revoke,
                Ok(vec![whose, list, call(ACCESS_KEY_DELETE, DELETES)]),
            ),
            (Stage::Confirm, Ok(vec![whose, list])),
            (Stage::Part, Err(BY_ITS_NAME)),
            (Stage::Regenerate, Err(NEVER_MADE_ANEW)),
        ],
        beside: &[],
        creating: &[(0, ACCESS_KEY_CREATE)],
        shared: 0,
        waits: false,
        lies: another_user(&dce),
        answered: Vec::new(),
        refusals,
        system: dce,
    }
}
