//! CloudMC's kind, by ids and by names.

use std::sync::Arc;

use credential_operator::api::Reason::{Forbidden, NotAllowed, ScopeRefused, UnexpectedAnswer};
use serde_json::{Value, json};
use testkit::{
    cloudmc::{
        API_INFO, CONNECTION, CONNECTIONS, CloudMcOptions, CloudMcSimulator, ENVIRONMENT,
        ENVIRONMENTS, Service,
    },
    server::SimServer,
};

use super::{Call, Expect, NO_CALL, ONLY_READ, READS, Simulated, Subject, call, reads};
use crate::{
    lies::Answered,
    refusals::{
        Refusal,
        Told::{Fails, Refuted},
    },
    stages::Stage,
};

/// By an id, what is not shown is as good as not there; which of the two grants say nothing about tells nobody.
const ONE: &[(&str, Expect)] = &reads(Expect::Fails(NotAllowed), Expect::Fails(UnexpectedAnswer));

impl Simulated for CloudMcSimulator {
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

    fn check(&self) {
        let counts = self.counts();
        assert_eq!(counts.parameters, 0, "the provider's own credentials");
        assert_eq!(counts.changing, 0, "it is only read");
    }
}

pub fn service_keys() -> Subject {
    cloudmc(
        |connection, environment| json!({"connection": {"id": connection}, "environment": {"id": environment}}),
        vec![
            call(CONNECTION, ONE),
            call(ENVIRONMENT, ONE),
            call(API_INFO, READS),
        ],
        vec![
            call(CONNECTION, READS),
            call(ENVIRONMENT, READS),
            call(API_INFO, READS),
        ],
    )
}

pub fn service_keys_by_name() -> Subject {
    let calls = vec![
        call(CONNECTIONS, READS),
        call(ENVIRONMENTS, READS),
        call(API_INFO, READS),
    ];
    cloudmc(
        |_, _| json!({"connection": {"name": "compute"}, "environment": {"name": "payments"}}),
        calls.clone(),
        calls,
    )
}

fn cloudmc(asked: fn(&str, &str) -> Value, issue: Vec<Call>, prove: Vec<Call>) -> Subject {
    let cloudmc = Arc::new(CloudMcSimulator::start(CloudMcOptions::default()));
    let organization = cloudmc.add_organization("acme");
    let person = cloudmc.add_user(&organization, "bot");
    let connection = cloudmc.add_connection(&organization, "compute", "cloudca", Service::Compute);
    let environment = cloudmc.add_environment(&organization, &connection, "payments");
    cloudmc.add_member(&environment, &person.id);
    let by_id = issue[0].route == CONNECTION;
    let (at_cloudmc, of, who) = (Arc::clone(&cloudmc), environment.clone(), person.id.clone());
    Subject {
        provider: json!({
            "cloudMC": {
                "endpoint": cloudmc.endpoint(), "allowHTTP": true,
                "auth": {"apiKey": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{
                "namespaces": {},
                "cloudMC": {
                    "kinds": ["serviceKeys"],
                    // By name, so that what is asked for by id is looked at.
                    "connections": [{"name": "compute"}],
                    "environments": [{"name": "payments"}],
                },
            }],
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "cloudmc"},
            "cloudMC": {"serviceKeys": asked(&connection, &environment)},
        }),
        login: vec![("api-key", person.api_key)],
        calls: vec![
            (Stage::Login, Ok(vec![call(ENVIRONMENTS, READS)])),
            (Stage::Issue, Ok(issue)),
            (Stage::Prove, Ok(prove)),
            (Stage::Revoke, Err(ONLY_READ)),
            (Stage::Confirm, Err(ONLY_READ)),
            (Stage::Part, Err(ONLY_READ)),
            (Stage::Regenerate, Err(NO_CALL)),
        ],
        beside: &[],
        creating: &[],
        shared: 0,
        waits: false,
        lies: Vec::new(),
        answered: if by_id {
            answered(&connection, &environment)
        } else {
            listed(&connection, &environment)
        },
        refusals: vec![Refusal {
            name: "who is no member any more",
            stage: Stage::Prove,
            make: Box::new(move || at_cloudmc.remove_member(&of, &who)),
            told: Fails(Forbidden),
        }],
        system: cloudmc,
    }
}

/// The same where names are looked up. Whoever the name belongs to now is another one than was published.
fn listed(connection: &str, environment: &str) -> Vec<Answered> {
    let (of, it) = (connection.to_owned(), environment.to_owned());
    vec![Answered {
        stage: Stage::Prove,
        server: 0,
        route: format!("GET {ENVIRONMENTS}"),
        status: 200,
        truth: Box::new(
            move |_| json!({"data": [{"id": it, "name": "payments", "serviceConnection": {"id": of}}]}),
        ),
        fields: vec![
            ("/data/0/id", another(), Refuted),
            ("/data/0/name", json!("another"), Fails(Forbidden)),
            (
                "/data/0/serviceConnection/id",
                another(),
                Fails(ScopeRefused),
            ),
        ],
    }]
}

/// An id of CloudMC's that is nobody's here.
fn another() -> Value {
    json!("0f8fad5b-d9cb-469f-a165-70867728950e")
}

fn answered(connection: &str, environment: &str) -> Vec<Answered> {
    let (of, whose) = (connection.to_owned(), connection.to_owned());
    let it = environment.to_owned();
    vec![
        Answered {
            stage: Stage::Issue,
            server: 0,
            route: format!("GET */services/connections/{connection}"),
            status: 200,
            truth: Box::new(
                move |_| json!({"data": {"id": of, "name": "compute", "serviceCode": "compute"}}),
            ),
            fields: vec![
                ("/data/id", another(), Fails(UnexpectedAnswer)),
                // Grants go by it.
                ("/data/name", json!("another"), Fails(NotAllowed)),
            ],
        },
        Answered {
            stage: Stage::Issue,
            server: 0,
            route: format!("GET */environments/{environment}"),
            status: 200,
            truth: Box::new(
                move |_| json!({"data": {"id": it, "name": "payments", "serviceConnection": {"id": whose}}}),
            ),
            fields: vec![
                ("/data/id", another(), Fails(UnexpectedAnswer)),
                ("/data/name", json!("another"), Fails(NotAllowed)),
                ("/data/serviceConnection/id", another(), Fails(NotAllowed)),
            ],
        },
    ]
}
