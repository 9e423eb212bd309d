//! The examples of the documentation work as they stand there: in the namespaces that they name, with
//! nothing but an address, a login and a certificate in place of their placeholders.

use std::collections::BTreeSet;

use credential_operator::api::{ClusterCredentialProvider, CredentialRequest};
use kube::Api;
use serde_json::{Value, json};
use testkit::{
    cloudcenter::{CloudCenterOptions, CloudCenterSimulator},
    cloudmc::{CloudMcOptions, CloudMcSimulator, Service},
    dce::{DceOptions, DceSimulator, Generation},
    keystone::{DEFAULT_DOMAIN, KeystoneOptions, KeystoneSimulator},
    soda::{KeystoneAccount, SodaOptions, SodaSimulator},
};

use crate::stage::{Stage, repository};

/// The namespaces of the examples.
const TEAM: &str = "payments";
const PLATFORM: &str = "platform";
/// Their project, and their environment at CloudMC.
const PROJECT: &str = "payments-prod";

/// A folder of examples, and what its placeholders stand for.
struct Row {
    folder: &'static str,
    /// Each stands somewhere in the folder.
    placeholders: Vec<(&'static str, String)>,
    /// The Secret with certificates that a comment has people create, and the certificates.
    ca: Option<(&'static str, String)>,
}

/// A Keystone with the project of the examples.
struct Cloud {
    keystone: KeystoneSimulator,
    project: String,
}

impl Cloud {
    fn start(tls: bool) -> Cloud {
        let keystone = KeystoneSimulator::start(KeystoneOptions {
            tls,
            ..KeystoneOptions::default()
        });
        let project = keystone.add_project(PROJECT, DEFAULT_DOMAIN);
        Cloud { keystone, project }
    }

    /// Makes a user with roles in the project; returns the password.
    fn member(&self, name: &str, roles: &[&str]) -> String {
        let (user, password) = self.keystone.add_user(name, DEFAULT_DOMAIN);
        for role in roles {
            self.keystone.assign_role(&user, &self.project, role);
        }
        password
    }
}

/// The systems that the examples are for. Where an example has certificates, the system speaks HTTPS.
struct Systems {
    tokens: DceSimulator,
    keys: DceSimulator,
    cloudcenter: CloudCenterSimulator,
    cloudmc: CloudMcSimulator,
    keystone: Cloud,
    behind_soda: Cloud,
    soda: SodaSimulator,
}

impl Systems {
    fn start() -> Systems {
        let dce = |generation| {
            DceSimulator::start(DceOptions {
                tls: true,
                generation,
                ..DceOptions::default()
            })
        };
        let behind_soda = Cloud::start(false);
        let account = KeystoneAccount::of_simulator(&behind_soda.keystone, "soda");
        Systems {
            tokens: dce(Generation::Before014),
            keys: dce(Generation::From014),
            cloudcenter: CloudCenterSimulator::start(CloudCenterOptions { tls: true }),
            cloudmc: CloudMcSimulator::start(CloudMcOptions {
                tls: true,
                ..CloudMcOptions::default()
            }),
            keystone: Cloud::start(true),
            soda: SodaSimulator::start(SodaOptions::default(), account),
            behind_soda,
        }
    }

    /// All folders. One that uses what is in another one comes after it.
    fn rows(&self) -> Vec<Row> {
        vec![
            self.dce_token(),
            self.dce_access_key(),
            self.cloudcenter(),
            self.cloudmc(),
            self.keystone_access_key(),
            Row {
                folder: "keystone-application-credential",
                placeholders: Vec::new(),
                ca: None,
            },
            self.keystone_token(),
            self.soda(),
        ]
    }

    /// Both generations have certificates by the same name.
    fn dce_ca(&self) -> (&'static str, String) {
        let all = [&self.tokens, &self.keys].map(|dce| dce.ca_pem().unwrap());
        ("dce-ca", all.join("\n"))
    }

    fn dce_token(&self) -> Row {
        let (ak, sk) = self.tokens.add_user("bot");
        Row {
            folder: "dce-token",
            placeholders: vec![
                ("https://dce.example.com", self.tokens.endpoint()),
                ("put-the-access-key-here", ak),
                ("put-the-secret-key-here", sk),
            ],
            ca: Some(self.dce_ca()),
        }
    }

    fn dce_access_key(&self) -> Row {
        let login = self.keys.add_access_key("bot", "login", None);
        Row {
            folder: "dce-access-key",
            placeholders: vec![
                ("https://dce.example.com", self.keys.endpoint()),
                ("put-the-access-key-here", login.token),
            ],
            ca: Some(self.dce_ca()),
        }
    }

    fn cloudcenter(&self) -> Row {
        let admin = self.cloudcenter.add_admin("operator@example.com");
        self.cloudcenter
            .add_user("deployer@payments.example.com", "1");
        Row {
            folder: "cloudcenter-api-key",
            placeholders: vec![
                ("https://ccm.example.com", self.cloudcenter.endpoint()),
                ("operator_17", admin.username),
                ("put-the-api-key-here", admin.key),
            ],
            ca: Some(("ccm-ca", pem(self.cloudcenter.ca_pem()))),
        }
    }

    fn cloudmc(&self) -> Row {
        let cloudmc = &self.cloudmc;
        let organization = cloudmc.add_organization("payments");
        let bot = cloudmc.add_user(&organization, "bot");
        let storage = Service::ObjectStorage;
        let connection =
            cloudmc.add_connection(&organization, "Object Storage", "objects", storage);
        let environment = cloudmc.add_environment(&organization, &connection, PROJECT);
        cloudmc.add_member(&environment, &bot.id);
        Row {
            folder: "cloudmc-service-keys",
            placeholders: vec![
                ("https://cloudmc.example.com/api/v1", cloudmc.endpoint()),
                ("put-the-api-key-here", bot.api_key),
                commented_ca("cloudmc-ca"),
            ],
            ca: Some(("cloudmc-ca", pem(cloudmc.ca_pem()))),
        }
    }

    fn keystone_access_key(&self) -> Row {
        self.with_keystone("keystone-access-key", "payments-bot")
    }

    fn keystone_token(&self) -> Row {
        self.with_keystone("keystone-token", "payments-reader")
    }

    fn with_keystone(&self, folder: &'static str, user: &str) -> Row {
        // What the comments say about the users: a role in the project, and no more than workloads need.
        let roles: &[&str] = match folder {
            "keystone-token" => &["reader"],
            _ => &["member", "reader"],
        };
        Row {
            folder,
            placeholders: vec![
                (
                    "https://keystone.example.com/v3",
                    self.keystone.keystone.endpoint(),
                ),
                ("put-the-password-here", self.keystone.member(user, roles)),
                commented_ca("keystone-ca"),
            ],
            ca: Some(("keystone-ca", pem(self.keystone.keystone.ca_pem()))),
        }
    }

    fn soda(&self) -> Row {
        let password = self.behind_soda.member("soda-bot", &["member"]);
        Row {
            folder: "soda-access-key",
            placeholders: vec![
                ("https://soda.example.com:8089", self.soda.url()),
                (
                    "https://keystone.example.com/identity",
                    self.behind_soda.keystone.url(),
                ),
                ("put-the-password-here", password),
                ("# allowHTTP: true", "allowHTTP: true".to_owned()),
            ],
            ca: None,
        }
    }

    /// What of all that was made for requests is alive.
    async fn alive(&self) -> usize {
        let keys = self.keys.live_access_keys();
        keys.iter().filter(|key| key.name != "login").count()
            + self.keystone.keystone.live_pairs().len()
            + self.keystone.keystone.live_application_credentials().len()
            + self.behind_soda.keystone.live_pairs().len()
            + self.soda.live().await.unwrap().len()
    }

    fn secret_values(&self) -> Vec<String> {
        [
            self.tokens.secret_values(),
            self.keys.secret_values(),
            self.cloudcenter.secret_values(),
            self.cloudmc.secret_values(),
            self.keystone.keystone.secret_values(),
            self.behind_soda.keystone.secret_values(),
            self.soda.secret_values(),
        ]
        .concat()
    }
}

fn pem(ca: Option<&str>) -> String {
    ca.unwrap().to_owned()
}

/// What an example has as a comment for those whose certificates are no public ones.
fn commented_ca(name: &'static str) -> (&'static str, String) {
    let comment = match name {
        "cloudmc-ca" => {
            "# tls:\n    #   caBundleSecretRef: {namespace: platform, name: cloudmc-ca}"
        }
        _ => "# tls:\n    #   caBundleSecretRef: {namespace: platform, name: keystone-ca}",
    };
    (comment, comment.replace("# ", "").replace("#   ", "  "))
}

/// The files of a folder, in the order in which people apply them.
fn files_of(folder: &str) -> Vec<String> {
    let folder = repository("docs/examples").join(folder);
    let files = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let known = |file: &str| {
        file == "login.yaml"
            || file == "provider.yaml"
            || (file.starts_with("request") && file.ends_with(".yaml"))
    };
    let unknown: Vec<_> = files.iter().filter(|file| !known(file)).collect();
    assert!(unknown.is_empty(), "who applies {unknown:?}?");
    files
}

/// The objects of a folder with something real in place of its placeholders.
fn objects(row: &Row) -> Vec<Value> {
    let mut used = BTreeSet::new();
    let mut objects = Vec::new();
    for file in files_of(row.folder) {
        let path = repository("docs/examples").join(row.folder).join(&file);
        let mut text = std::fs::read_to_string(path).unwrap();
        for (placeholder, real) in &row.placeholders {
            if text.contains(placeholder) {
                used.insert(*placeholder);
                text = text.replace(placeholder, real);
            }
        }
        let place = format!("{}/{file}", row.folder);
        assert!(
            !text.contains("put-the-"),
            "{place} has another placeholder"
        );
        for part in text.split("\n---\n") {
            let object: Value =
                serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{place}: {error}"));
            objects.push(object);
        }
    }
    for (placeholder, _) in &row.placeholders {
        assert!(
            used.contains(placeholder),
            "{} nowhere says {placeholder}",
            row.folder
        );
    }
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_applied_as_it_stands_and_every_request_in_it_becomes_ready() {
    let systems = Systems::start();
    let rows = systems.rows();
    let folders = std::fs::read_dir(repository("docs/examples")).unwrap();
    let folders: BTreeSet<_> = folders
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<_> = rows.iter().map(|row| row.folder.to_owned()).collect();
    assert_eq!(folders, known, "each folder of examples has its row here");

    let mut stage = Stage::new("examples").await;
    // Nobody else has these namespaces.
    stage.team = TEAM.to_owned();
    for namespace in [TEAM, PLATFORM] {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
        });
        stage.apply(&namespace).await;
    }
    stage.start().await;
    let (mut providers, mut requests) = (Vec::new(), Vec::new());
    for row in &rows {
        if let Some((name, pem)) = &row.ca {
            stage
                .apply(&json!({
                    "apiVersion": "v1", "kind": "Secret",
                    "metadata": {"name": name, "namespace": PLATFORM},
                    "stringData": {"ca.crt": pem},
                }))
                .await;
        }
        let mut asked = 0;
        for mut object in objects(row) {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            match object["kind"].as_str().unwrap() {
                "ClusterCredentialProvider" => {
                    // By which the operator of this test knows its own.
                    object["metadata"]["labels"] = json!({"stage": TEAM});
                    providers.push(name);
                }
                "CredentialRequest" => {
                    asked += 1;
                    requests.push((row.folder, name));
                }
                kind => assert_eq!(kind, "Secret"),
            }
            stage.apply(&object).await;
        }
        assert!(asked > 0, "{} asks for nothing", row.folder);
    }
    for (folder, name) in &requests {
        eprintln!("{folder}: {name}");
        stage.ready(name).await;
        let secret = stage.secret(name).await;
        assert!(secret.data.is_some_and(|data| data.len() > 1), "{folder}");
    }
    assert_eq!(systems.alive().await, 4, "each that is revoked one day");
    for (_, name) in &requests {
        let requests = stage.requests();
        requests.delete(name, &Default::default()).await.unwrap();
    }
    for (_, name) in &requests {
        stage.gone::<CredentialRequest>(name).await;
    }
    assert_eq!(systems.alive().await, 0);
    for name in providers {
        Api::<ClusterCredentialProvider>::all(stage.client.clone())
            .delete(&name, &Default::default())
            .await
            .unwrap();
    }
    stage.more_secret_values.extend(systems.secret_values());
    stage.finish().await;
}
