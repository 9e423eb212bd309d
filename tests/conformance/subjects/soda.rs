//! SODA's kinds.

use serde_json::{Value, json};
use testkit::{
    keystone::{DEFAULT_DOMAIN, KeystoneOptions, KeystoneSimulator},
    server::SimServer,
    soda::{KeystoneAccount, SodaOptions, SodaSimulator},
};

use super::{ONLY_READ, Simulated, SomebodyElse, Subject};
use crate::stages::Stage;

const ALL_OR_NONE: &str = "SODA deletes all keys of a user or none";
const LISTED_FIRST: &str = "all keys of the user are listed first, and then deleted at once";

/// A SODA in front of a Keystone, which the login is at.
struct SodaAndKeystone {
    soda: SodaSimulator,
    keystone: KeystoneSimulator,
    /// The stages whose calls go to SODA.
    at_soda: &'static [Stage],
    /// Whether pairs are made to be revoked one by one.
    one_by_one: bool,
}

impl Simulated for SodaAndKeystone {
    fn server(&self) -> &SimServer {
        self.keystone.server()
    }

    fn server_of(&self, stage: Stage) -> &SimServer {
        if self.at_soda.contains(&stage) {
            self.soda.server()
        } else {
            self.server()
        }
    }

    fn alive(&self) -> usize {
        if self.one_by_one {
            self.keystone.alive()
        } else {
            0
        }
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.keystone.secret_values();
        secrets.extend(self.soda.secret_values());
        secrets
    }

    fn lie_about_somebody_else(&self) {
        self.soda.lie(testkit::soda::Lie::OtherUser);
    }
}

/// A SODA in front of a Keystone whose login has the role `member` in the project `payments`, and a
/// request with further fields.
fn soda(
    fields: Value,
    at_soda: &'static [Stage],
    calls: [(Stage, Result<&'static str, &'static str>); 4],
) -> Subject {
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
    let login = [(Stage::Login, Ok("POST /v3/auth/tokens"))];
    Subject {
        provider: json!({
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
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "soda"},
            "soda": {"accessKey": asked},
        }),
        login: vec![("user-id", user), ("password", password)],
        calls: login.into_iter().chain(calls).collect(),
        somebody_else: SomebodyElse::Lie(Stage::Prove),
        system: Box::new(SodaAndKeystone {
            soda,
            keystone,
            one_by_one: !at_soda.contains(&Stage::Issue),
            at_soda,
        }),
    }
}

pub fn access_key() -> Subject {
    let calls = [
        (Stage::Issue, Ok("POST /v3/credentials")),
        (Stage::Prove, Ok(testkit::soda::READ)),
        (Stage::Revoke, Ok("GET /v3/users/*/credentials/OS-EC2/*")),
        (Stage::Confirm, Ok("GET /v3/users/*/credentials/OS-EC2/*")),
    ];
    soda(json!({}), &[Stage::Prove], calls)
}

pub fn issued_access_key() -> Subject {
    let calls = [
        (Stage::Issue, Ok(testkit::soda::CREATE)),
        (Stage::Prove, Ok(testkit::soda::READ)),
        (Stage::Revoke, Err(ALL_OR_NONE)),
        (Stage::Confirm, Err(ALL_OR_NONE)),
    ];
    let fields = json!({"issueThrough": "Soda"});
    soda(fields, &[Stage::Issue, Stage::Prove], calls)
}

pub fn ending_access_key() -> Subject {
    let calls = [
        (Stage::Issue, Ok(testkit::soda::CREATE)),
        (Stage::Prove, Ok(testkit::soda::READ)),
        (Stage::Revoke, Err(LISTED_FIRST)),
        (Stage::Confirm, Err(LISTED_FIRST)),
    ];
    let fields = json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"});
    soda(fields, &[Stage::Issue, Stage::Prove], calls)
}

pub fn adopted_access_key() -> Subject {
    let calls = [
        (Stage::Issue, Ok(testkit::soda::READ)),
        (Stage::Prove, Ok(testkit::soda::READ)),
        (Stage::Revoke, Err(ONLY_READ)),
        (Stage::Confirm, Err(ONLY_READ)),
    ];
    let fields = json!({"adopt": true});
    soda(fields, &[Stage::Issue, Stage::Prove], calls)
}
