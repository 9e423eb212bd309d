//! Keystone's kinds.

use serde_json::{Value, json};
use testkit::{
    keystone::{DEFAULT_DOMAIN, KeystoneOptions, KeystoneSimulator},
    server::SimServer,
};

use super::{EXPIRES, Simulated, SomebodyElse, Subject, answers};
use crate::stages::Stage;

impl Simulated for KeystoneSimulator {
    fn server(&self) -> &SimServer {
        self.server()
    }

    fn alive(&self) -> usize {
        self.live_pairs().len() + self.live_application_credentials().len()
    }

    fn secrets(&self) -> Vec<String> {
        self.secret_values()
    }
}

/// A Keystone whose login has the role `member` in the project `payments`, and a request for `asked`.
fn keystone(
    kind: &str,
    asked: Value,
    calls: Vec<(Stage, Result<&'static str, &'static str>)>,
    somebody_else: SomebodyElse,
) -> Subject {
    let keystone = KeystoneSimulator::start(KeystoneOptions::default());
    let project = keystone.add_project("payments", DEFAULT_DOMAIN);
    let (user, password) = keystone.add_user("bot", DEFAULT_DOMAIN);
    keystone.assign_role(&user, &project, "member");
    let mut asked = asked;
    asked["project"] = json!({ "id": project });
    Subject {
        provider: json!({
            "keystone": {
                "endpoint": keystone.endpoint(), "allowHTTP": true,
                "auth": {"password": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{
                "namespaces": {},
                "keystone": {"kinds": [kind], "projects": [{"id": project}], "roles": ["member", "reader"]},
            }],
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "keystone"},
            "keystone": {kind: asked},
        }),
        login: vec![("user-id", user), ("password", password)],
        calls,
        somebody_else,
        system: Box::new(keystone),
    }
}

/// An id of Keystone's that is nobody's here.
const ELSE: &str = "0123456789abcdef0123456789abcdef";

pub fn access_key() -> Subject {
    let calls = vec![
        (Stage::Login, Ok("POST /v3/auth/tokens")),
        (Stage::Issue, Ok("POST /v3/credentials")),
        (Stage::Prove, Ok("GET /v3/users/*/credentials/OS-EC2/*")),
        (Stage::Revoke, Ok("GET /v3/users/*/credentials/OS-EC2/*")),
        (Stage::Confirm, Ok("GET /v3/users/*/credentials/OS-EC2/*")),
    ];
    let credential = json!({
        "id": ELSE, "user_id": ELSE, "project_id": ELSE, "type": "ec2", "blob": "{}",
    });
    let else_s = answers(Stage::Issue, 201, &json!({ "credential": credential }));
    keystone("accessKey", json!({}), calls, else_s)
}

pub fn application_credential() -> Subject {
    let calls = vec![
        (Stage::Login, Ok("POST /v3/auth/tokens")),
        (Stage::Issue, Ok("POST /v3/users/*/application_credentials")),
        (Stage::Prove, Ok("POST /v3/auth/tokens")),
        (Stage::Revoke, Ok("GET /v3/users/*/application_credentials")),
        (
            Stage::Confirm,
            Ok("GET /v3/users/*/application_credentials"),
        ),
    ];
    let credential = json!({
        "id": ELSE, "name": "another", "secret": "s3cr3t-of-another", "user_id": ELSE, "project_id": ELSE,
        "roles": [{"id": ELSE, "name": "member"}], "expires_at": null, "unrestricted": false,
    });
    let body = json!({"application_credential": credential});
    let else_s = answers(Stage::Issue, 201, &body);
    keystone("applicationCredential", json!({}), calls, else_s)
}

pub fn token() -> Subject {
    let calls = vec![
        (Stage::Login, Ok("POST /v3/auth/tokens")),
        (Stage::Issue, Ok("POST /v3/auth/tokens")),
        (Stage::Prove, Ok("GET /v3/auth/tokens")),
        (Stage::Revoke, Err(EXPIRES)),
        (Stage::Confirm, Err(EXPIRES)),
    ];
    let token = json!({
        "user": {"id": ELSE, "name": "another", "domain": {"id": "default", "name": "Default"}},
        "expires_at": "2099-01-01T00:00:00.000000Z", "issued_at": "2026-01-01T00:00:00.000000Z",
        "methods": ["password"], "roles": [{"id": ELSE, "name": "member"}],
    });
    let else_s = answers(Stage::Prove, 200, &json!({ "token": token }));
    keystone("token", json!({}), calls, else_s)
}
