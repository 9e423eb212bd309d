//! The examples of the documentation work as they stand there: in the namespaces that they name, with
//! nothing but an address, a login and a certificate in place of their placeholders.

use std::collections::BTreeSet;

use credential_operator::{
    api::{ClusterCredentialProvider, CredentialRequest},
    providers::Kind,
};
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
/// The pair of the user of SODA's example that is there already, and that nobody revokes.
const ADOPTED: &str = "AKTHERE";
/// The request that would destroy all credentials of its user with its own.
const DESTROYS_MORE: &str = "soda-scratch";

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

    /// Makes a user who is a member of further projects, by these names; returns id and password, and the
    /// ids of the projects.
    fn member_of<const N: usize>(
        &self,
        name: &str,
        projects: [&str; N],
    ) -> (String, String, [String; N]) {
        let (user, password) = self.keystone.add_user(name, DEFAULT_DOMAIN);
        let projects = projects.map(|project| {
            let project = self.keystone.add_project(project, DEFAULT_DOMAIN);
            self.keystone.assign_role(&user, &project, "member");
            project
        });
        (user, password, projects)
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
            self.soda_ending(),
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
        for user in ["deployer", "ci"] {
            let email = format!("{user}@payments.example.com");
            self.cloudcenter.add_user(&email, "1");
        }
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
        let behind = &self.behind_soda;
        let (bot, password, [_, legacy]) = behind.member_of("soda-bot", ["reports", "legacy"]);
        behind.keystone.assign_role(&bot, &behind.project, "member");
        // What somebody has made by hand.
        let secret = "made-by-hand";
        behind.keystone.add_pair(&bot, &legacy, ADOPTED, secret);
        self.with_soda("soda-access-key", password)
    }

    fn soda_ending(&self) -> Row {
        let (_, password, _) = self.behind_soda.member_of("soda-scratch", ["scratch"]);
        self.with_soda("soda-access-key-ending", password)
    }

    fn with_soda(&self, folder: &'static str, password: String) -> Row {
        Row {
            folder,
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

    /// What of all that was made for requests is alive, but for what lives on when they go.
    async fn alive(&self) -> usize {
        let keys = self.keys.live_access_keys();
        let live_on = self.live_on().await;
        let behind_soda = self.behind_soda.keystone.live_pairs();
        keys.iter().filter(|key| key.name != "login").count()
            + self.keystone.keystone.live_pairs().len()
            + self.keystone.keystone.live_application_credentials().len()
            + behind_soda
                .iter()
                .filter(|pair| !live_on.contains(&pair.access))
                .count()
    }

    /// The pairs of SODA that are shared: those that it has made, and the one that was there. All are alive.
    async fn live_on(&self) -> Vec<String> {
        let mut shared = vec![ADOPTED.to_owned()];
        assert!(self.soda.is_live(ADOPTED).await.unwrap());
        for key in self.soda.issued() {
            assert!(self.soda.is_live(&key.access).await.unwrap());
            shared.push(key.access);
        }
        shared
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
    let mut kinds = BTreeSet::new();
    for (folder, name) in &requests {
        eprintln!("{folder}: {name}");
        let ready = stage.ready(name).await;
        kinds.extend(ready.status.and_then(|status| status.credential));
        let secret = stage.secret(name).await;
        assert!(secret.data.is_some_and(|data| data.len() > 1), "{folder}");
    }
    let all: BTreeSet<_> = Kind::ALL
        .iter()
        .map(|kind| kind.name().to_owned())
        .collect();
    assert_eq!(kinds, all, "each kind has an example");
    assert_eq!(systems.alive().await, 4, "each that is revoked one day");
    assert_eq!(systems.live_on().await.len(), 3);
    // As its comment says: who does not want that to happen.
    stage
        .annotate(DESTROYS_MORE, "credential-operator.dev/abandon", "all")
        .await;
    for (_, name) in &requests {
        let requests = stage.requests();
        requests.delete(name, &Default::default()).await.unwrap();
    }
    for (_, name) in &requests {
        stage.gone::<CredentialRequest>(name).await;
    }
    assert_eq!(systems.alive().await, 0);
    assert_eq!(systems.live_on().await.len(), 3);
    assert_eq!(systems.soda.delete_calls(), 0);
    assert_eq!(systems.cloudcenter.counts().generate_asked, 0);
    for name in providers {
        Api::<ClusterCredentialProvider>::all(stage.client.clone())
            .delete(&name, &Default::default())
            .await
            .unwrap();
    }
    stage.more_secret_values.extend(systems.secret_values());
    stage.finish().await;
}
