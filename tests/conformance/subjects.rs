//! The kinds, each with a system of its own to get one from.

use serde_json::{Value, json};
use testkit::{
    cloudcenter::{CloudCenterOptions, CloudCenterSimulator},
    cloudmc::{CloudMcOptions, CloudMcSimulator, Service},
    dce::{DceOptions, DceSimulator, Generation},
    keystone::{DEFAULT_DOMAIN, KeystoneOptions, KeystoneSimulator},
    server::{Fault, SimServer},
    soda::{KeystoneAccount, SodaOptions, SodaSimulator},
};

use crate::stages::Stage;

/// A kind of credential, and where it comes from.
pub struct Subject {
    /// The simulator.
    pub system: Box<dyn Simulated>,
    /// The provider's spec.
    pub provider: Value,
    /// The request's spec.
    pub request: Value,
    /// The login Secret.
    pub login: Vec<(&'static str, String)>,
    /// The call of each stage; why there is none otherwise.
    calls: Vec<(Stage, Result<&'static str, &'static str>)>,
    /// How the system comes to answer for somebody else.
    pub somebody_else: SomebodyElse,
}

/// How a system comes to speak of somebody else, or of something else, than it was asked about.
pub enum SomebodyElse {
    /// The simulator is told to, and does it at this stage.
    Lie(Stage),
    /// The call of this stage gets this answer.
    Answer(Stage, Fault),
}

/// A good answer with this body.
fn answers(stage: Stage, status: u16, body: &Value) -> SomebodyElse {
    let fault = Fault::status(status, "application/json", body.to_string());
    SomebodyElse::Answer(stage, fault)
}

/// A simulator.
pub trait Simulated: Send + Sync {
    /// Its server.
    fn server(&self) -> &SimServer;
    /// The server that the call of a stage goes to, where there are several.
    fn server_of(&self, _: Stage) -> &SimServer {
        self.server()
    }
    /// How many credentials that can be revoked are alive, beside logins.
    fn alive(&self) -> usize;
    /// Every secret value that it knows or ever gave out.
    fn secrets(&self) -> Vec<String>;
    /// From now on it speaks of somebody else.
    fn lie_about_somebody_else(&self) {
        panic!("there is no such lie");
    }
}

impl Subject {
    /// Why a stage does not apply, if it does not.
    pub fn gap(&self, stage: Stage) -> Option<&'static str> {
        self.call(stage).err()
    }

    /// The call that a stage is about.
    pub fn route(&self, stage: Stage) -> &'static str {
        self.call(stage).unwrap()
    }

    fn call(&self, stage: Stage) -> Result<&'static str, &'static str> {
        let mut calls = self.calls.iter();
        calls.find(|(of, _)| *of == stage).unwrap().1
    }
}

/// A kind by its name, and how a subject of it is made.
pub type Entry = (&'static str, fn() -> Subject);

/// All kinds.
pub fn all() -> Vec<Entry> {
    vec![
        ("dce.token", dce_token),
        ("dce.accessKey", dce_access_key),
        ("cloudMC.serviceKeys", cloudmc_service_keys),
        ("cloudCenter.apiKey", cloudcenter_api_key),
        (
            "cloudCenter.apiKey by e-mail address",
            cloudcenter_api_key_by_email,
        ),
        ("keystone.accessKey", keystone_access_key),
        (
            "keystone.applicationCredential",
            keystone_application_credential,
        ),
        ("keystone.token", keystone_token),
        ("soda.accessKey", soda_access_key),
        ("soda.accessKey.issueThrough", soda_issued_access_key),
        ("soda.accessKey.onDelete", soda_ending_access_key),
        ("soda.accessKey.adopt", soda_adopted_access_key),
    ]
}

impl Simulated for DceSimulator {
    fn server(&self) -> &SimServer {
        self.server()
    }

    fn alive(&self) -> usize {
        let keys = self.live_access_keys();
        keys.iter().filter(|key| key.name != LOGIN).count()
    }

    fn secrets(&self) -> Vec<String> {
        self.secret_values()
    }

    fn lie_about_somebody_else(&self) {
        self.lie(testkit::dce::Lie::SelfTestOtherUser);
    }
}

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

const ONLY_READ: &str = "it is only read";
const ALL_OR_NONE: &str = "SODA deletes all keys of a user or none";
const LISTED_FIRST: &str = "all keys of the user are listed first, and then deleted at once";
const EXPIRES: &str = "tokens expire by themselves";

fn dce_token() -> Subject {
    let dce = DceSimulator::start(DceOptions::default());
    let (ak, sk) = dce.add_user("bot");
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
            (Stage::Login, Ok(testkit::dce::TOKEN)),
            (Stage::Issue, Ok(testkit::dce::TOKEN)),
            (Stage::Prove, Ok(testkit::dce::CURRENT_USER)),
            (Stage::Revoke, Err(EXPIRES)),
            (Stage::Confirm, Err(EXPIRES)),
        ],
        somebody_else: SomebodyElse::Lie(Stage::Prove),
        system: Box::new(dce),
    }
}

/// The name of the access key that the operator logs in with.
const LOGIN: &str = "login";

fn dce_access_key() -> Subject {
    let dce = DceSimulator::start(DceOptions {
        generation: Generation::From014,
        ..DceOptions::default()
    });
    let login = dce.add_access_key("bot", LOGIN, None);
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
            (Stage::Login, Ok(testkit::dce::CURRENT_USER)),
            (Stage::Issue, Ok(testkit::dce::ACCESS_KEY_CREATE)),
            (Stage::Prove, Ok(testkit::dce::CURRENT_USER)),
            (Stage::Revoke, Ok(testkit::dce::ACCESS_KEY_LIST)),
            (Stage::Confirm, Ok(testkit::dce::ACCESS_KEY_LIST)),
        ],
        somebody_else: SomebodyElse::Lie(Stage::Prove),
        system: Box::new(dce),
    }
}

fn cloudmc_service_keys() -> Subject {
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

fn cloudcenter_api_key() -> Subject {
    let calls = [
        (Stage::Issue, testkit::cloudcenter::USER_KEYS),
        (Stage::Prove, testkit::cloudcenter::USER_KEYS),
    ];
    cloudcenter(|id| json!({ "id": id }), calls)
}

/// Users are listed for it, and from then on it is known where the address leads.
fn cloudcenter_api_key_by_email() -> Subject {
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

fn keystone_access_key() -> Subject {
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

fn keystone_application_credential() -> Subject {
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

fn keystone_token() -> Subject {
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

fn soda_access_key() -> Subject {
    let calls = [
        (Stage::Issue, Ok("POST /v3/credentials")),
        (Stage::Prove, Ok(testkit::soda::READ)),
        (Stage::Revoke, Ok("GET /v3/users/*/credentials/OS-EC2/*")),
        (Stage::Confirm, Ok("GET /v3/users/*/credentials/OS-EC2/*")),
    ];
    soda(json!({}), &[Stage::Prove], calls)
}

fn soda_issued_access_key() -> Subject {
    let calls = [
        (Stage::Issue, Ok(testkit::soda::CREATE)),
        (Stage::Prove, Ok(testkit::soda::READ)),
        (Stage::Revoke, Err(ALL_OR_NONE)),
        (Stage::Confirm, Err(ALL_OR_NONE)),
    ];
    let fields = json!({"issueThrough": "Soda"});
    soda(fields, &[Stage::Issue, Stage::Prove], calls)
}

fn soda_ending_access_key() -> Subject {
    let calls = [
        (Stage::Issue, Ok(testkit::soda::CREATE)),
        (Stage::Prove, Ok(testkit::soda::READ)),
        (Stage::Revoke, Err(LISTED_FIRST)),
        (Stage::Confirm, Err(LISTED_FIRST)),
    ];
    let fields = json!({"issueThrough": "Soda", "onDelete": "DeleteAllKeysOfUser"});
    soda(fields, &[Stage::Issue, Stage::Prove], calls)
}

fn soda_adopted_access_key() -> Subject {
    let calls = [
        (Stage::Issue, Ok(testkit::soda::READ)),
        (Stage::Prove, Ok(testkit::soda::READ)),
        (Stage::Revoke, Err(ONLY_READ)),
        (Stage::Confirm, Err(ONLY_READ)),
    ];
    let fields = json!({"adopt": true});
    soda(fields, &[Stage::Issue, Stage::Prove], calls)
}
