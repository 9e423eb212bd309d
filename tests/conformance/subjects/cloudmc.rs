//! CloudMC's kind.

use serde_json::json;
use testkit::{
    cloudmc::{CloudMcOptions, CloudMcSimulator, Service},
    server::SimServer,
};

use super::{ONLY_READ, Simulated, SomebodyElse, Subject};
use crate::stages::Stage;

impl Simulated for CloudMcSimulator {
    fn server(&self) -> &SimServer {
        self.server()
    }

    /// None of them was made by the operator.
    fn alive(&self) -> usize {
        0
    }

    fn secrets(&self) -> Vec<String> {
        self.secret_values()
    }

    fn lie_about_somebody_else(&self) {
        self.lie(testkit::cloudmc::Lie::AnotherId);
    }
}

pub fn service_keys() -> Subject {
    let cloudmc = CloudMcSimulator::start(CloudMcOptions::default());
    let organization = cloudmc.add_organization("acme");
    let person = cloudmc.add_user(&organization, "bot");
    let connection = cloudmc.add_connection(&organization, "compute", "cloudca", Service::Compute);
    let environment = cloudmc.add_environment(&organization, &connection, "payments");
    cloudmc.add_member(&environment, &person.id);
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
            "cloudMC": {"serviceKeys": {
                "connection": {"id": connection}, "environment": {"id": environment},
            }},
        }),
        login: vec![("api-key", person.api_key)],
        calls: vec![
            (Stage::Login, Ok(testkit::cloudmc::ENVIRONMENTS)),
            (Stage::Issue, Ok(testkit::cloudmc::API_INFO)),
            (Stage::Prove, Ok(testkit::cloudmc::API_INFO)),
            (Stage::Revoke, Err(ONLY_READ)),
            (Stage::Confirm, Err(ONLY_READ)),
        ],
        somebody_else: SomebodyElse::Lie(Stage::Issue),
        system: Box::new(cloudmc),
    }
}
