//! CloudCenter's kind, for a user by id and by address.

use serde_json::{Value, json};
use testkit::{
    cloudcenter::{CloudCenterOptions, CloudCenterSimulator},
    server::SimServer,
};

use super::{ONLY_READ, Simulated, SomebodyElse, Subject};
use crate::stages::Stage;

impl Simulated for CloudCenterSimulator {
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
        self.lie(testkit::cloudcenter::Lie::SomebodyElse);
    }
}

pub fn api_key() -> Subject {
    let calls = [
        (Stage::Issue, testkit::cloudcenter::USER_KEYS),
        (Stage::Prove, testkit::cloudcenter::USER_KEYS),
    ];
    cloudcenter(|id| json!({ "id": id }), calls)
}

/// Users are listed for it, and from then on it is known where the address leads.
pub fn api_key_by_email() -> Subject {
    let calls = [
        (Stage::Issue, testkit::cloudcenter::USERS),
        (Stage::Prove, testkit::cloudcenter::USER),
    ];
    cloudcenter(|_| json!({"email": "alice@example.com"}), calls)
}

fn cloudcenter(user: fn(&str) -> Value, calls: [(Stage, &'static str); 2]) -> Subject {
    let cloudcenter = CloudCenterSimulator::start(CloudCenterOptions::default());
    let admin = cloudcenter.add_admin("admin@example.com");
    let alice = cloudcenter.add_user("alice@example.com", "1");
    let user = user(&alice.id);
    Subject {
        provider: json!({
            "cloudCenter": {
                "endpoint": cloudcenter.endpoint(), "allowHTTP": true,
                "auth": {"apiKey": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{"namespaces": {}, "cloudCenter": {"kinds": ["apiKey"], "users": [user]}}],
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "cloudcenter"},
            "cloudCenter": {"apiKey": {"user": user}},
        }),
        login: vec![("username", admin.username), ("key", admin.key)],
        calls: calls
            .map(|(stage, route)| (stage, Ok(route)))
            .into_iter()
            .chain([
                (Stage::Login, Ok(testkit::cloudcenter::OWN_KEY)),
                (Stage::Revoke, Err(ONLY_READ)),
                (Stage::Confirm, Err(ONLY_READ)),
            ])
            .collect(),
        somebody_else: SomebodyElse::Lie(Stage::Issue),
        system: Box::new(cloudcenter),
    }
}
