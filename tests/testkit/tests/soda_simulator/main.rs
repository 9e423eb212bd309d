//! The SODA simulator does what SODA does in front of a Keystone, and every control of it works.

mod controls;
mod creating;
mod deleting;
mod outages;
mod reading;
mod real;
mod routes;
mod s3;
mod tokens;

use std::time::Duration;

use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use testkit::keystone::{DEFAULT_DOMAIN, KeystoneOptions, KeystoneSimulator};
use testkit::openstack::Keystone;
use testkit::soda::{Generation, KeystoneAccount, SodaOptions, SodaSimulator};

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
const NOBODY: &str = "ffffffffffffffffffffffffffffffff";
const GENERATIONS: [Generation; 2] = [Generation::MultiCloud, Generation::Strato];

/// A user as tests know one.
#[derive(Clone)]
struct Person {
    id: String,
    password: String,
}

/// A SODA in front of a Keystone where two members of one project and an admin are, and a client of both.
struct Site {
    soda: SodaSimulator,
    account: KeystoneAccount,
    client: Client,
    project: String,
    admin_project: String,
    alice: Person,
    bob: Person,
    admin: Person,
}

/// An answer, read completely.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Got {
    /// Panics when the body is no JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Status and body.
    fn both(&self) -> (u16, &str) {
        (self.status, &self.text)
    }
}

/// Nothing but what a test is about takes so long.
fn options(generation: Generation) -> SodaOptions {
    SodaOptions {
        generation,
        deadline: DEADLINE,
        ..SodaOptions::default()
    }
}

impl Site {
    /// With a Keystone that is simulated, too.
    fn new(generation: Generation) -> (Self, KeystoneSimulator) {
        Self::with(options(generation))
    }

    fn with(options: SodaOptions) -> (Self, KeystoneSimulator) {
        let keystone = KeystoneSimulator::start(KeystoneOptions::default());
        let project = keystone.add_project("tenant-a", DEFAULT_DOMAIN);
        let person = |(id, password)| Person { id, password };
        let [alice, bob] = ["alice", "bob"].map(|name| {
            let person = person(keystone.add_user(name, DEFAULT_DOMAIN));
            keystone.assign_role(&person.id, &project, "member");
            person
        });
        let admin = person(keystone.add_admin("admin"));
        let account = KeystoneAccount::of_simulator(&keystone, "soda");
        let site = Self::start(options, account, client(), |soda, account, client| Site {
            soda,
            account,
            client,
            project,
            admin_project: keystone.admin_project(),
            alice,
            bob,
            admin,
        });
        (site, keystone)
    }

    /// With the real Keystone of this process.
    async fn real(options: SodaOptions) -> Self {
        let keystone = Keystone::shared();
        let there = keystone.admin();
        let name = uuid::Uuid::new_v4().simple().to_string();
        let domain = there.create_domain(&name).await.unwrap();
        let project = there.create_project(&name, &domain).await.unwrap();
        let mut people = Vec::new();
        for name in ["alice", "bob"] {
            let user = there.create_user(name, &domain).await.unwrap();
            let assigned = there.assign_role(&user.id, &project, "member").await;
            assigned.unwrap();
            people.push(Person {
                id: user.id,
                password: user.password,
            });
        }
        let name = keystone.admin_user();
        let admin = Person {
            id: there.user_id_by_name(name).await.unwrap(),
            password: keystone.admin_password().to_owned(),
        };
        let admin_project = there.project_id_by_name(name).await.unwrap();
        let account = KeystoneAccount::of(keystone);
        Self::start(options, account, client(), |soda, account, client| Site {
            soda,
            account,
            client,
            project,
            admin_project,
            bob: people.pop().unwrap(),
            alice: people.pop().unwrap(),
            admin,
        })
    }

    fn start(
        options: SodaOptions,
        account: KeystoneAccount,
        client: Client,
        site: impl FnOnce(SodaSimulator, KeystoneAccount, Client) -> Self,
    ) -> Self {
        let soda = SodaSimulator::start(options, account.clone());
        let client = match soda.ca_pem() {
            Some(pem) => {
                let pem = Certificate::from_pem(pem.as_bytes()).unwrap();
                let client = Client::builder().no_proxy().tls_certs_only([pem]);
                client.build().unwrap()
            }
            None => client,
        };
        site(soda, account, client)
    }

    /// Asks SODA, `"GET /v1/…"` for example. A body that is null is none. `None` when the connection is closed.
    async fn try_call(&self, line: &str, token: &str, body: Value) -> Option<Got> {
        let (method, path) = line.split_once(' ').unwrap();
        send(&self.client, method, self.soda.url() + path, token, body).await
    }

    async fn call(&self, line: &str, token: &str, body: Value) -> Got {
        let got = self.try_call(line, token, body).await;
        got.unwrap_or_else(|| panic!("no answer to {line}"))
    }

    /// Asks Keystone, `"GET /credentials"` for example.
    async fn at_keystone(&self, line: &str, token: &str, body: Value) -> Got {
        let (method, path) = line.split_once(' ').unwrap();
        let url = format!("{}{path}", self.account.url);
        let got = send(&self.client, method, url, token, body).await;
        got.expect("an answer of Keystone")
    }

    /// A token of a person for a project, or for nothing.
    async fn token_for(&self, person: &Person, project: Option<&str>) -> String {
        let user = json!({"id": person.id, "password": person.password});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let scope = project.map_or(json!("unscoped"), |id| json!({"project": {"id": id}}));
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        let got = self.at_keystone("POST /auth/tokens", "", body).await;
        assert_eq!(got.status, 201, "{}", got.text);
        got.header("x-subject-token").to_owned()
    }

    async fn token(&self, person: &Person) -> String {
        self.token_for(person, Some(&self.project)).await
    }

    async fn admin_token(&self) -> String {
        self.token_for(&self.admin, Some(&self.admin_project)).await
    }

    /// A token of an application credential of alice.
    async fn delegated(&self) -> String {
        let token = self.token(&self.alice).await;
        let line = format!("POST /users/{}/application_credentials", self.alice.id);
        let wanted = json!({"application_credential": {"name": "app", "unrestricted": true}});
        let made = self.at_keystone(&line, &token, wanted).await.json();
        let made = &made["application_credential"];
        let credential = json!({"id": made["id"], "secret": made["secret"]});
        let identity = json!({
            "methods": ["application_credential"], "application_credential": credential,
        });
        let body = json!({"auth": {"identity": identity}});
        let got = self.at_keystone("POST /auth/tokens", "", body).await;
        assert_eq!(got.status, 201, "{}", got.text);
        got.header("x-subject-token").to_owned()
    }

    /// The line that asks for a key.
    fn create(&self) -> String {
        format!("POST /v1/{}/aksks", self.project)
    }

    /// The line that asks for the keys of a person.
    fn read(&self, person: &Person) -> String {
        format!("GET /v1/{}/aksks/{}", self.project, person.id)
    }

    /// The line that destroys the keys of a person.
    fn delete(&self, person: &Person) -> String {
        format!("DELETE /v1/{}/aksks/{}", self.project, person.id)
    }

    /// The body that both generations understand.
    fn both(&self, person: &Person) -> Value {
        let (user, project) = (&person.id, &self.project);
        let ids = json!({"user_id": user, "project_id": project});
        json!({"user_id": user, "project_id": project, "credential": ids})
    }

    /// Has a key made for alice, which must succeed: access key and secret key.
    async fn make(&self, token: &str) -> (String, String) {
        let body = self.both(&self.alice);
        let got = self.call(&self.create(), token, body).await;
        assert_eq!(got.status, 200, "{}", got.text);
        let body = got.json();
        let word = |name: &str| body[name].as_str().unwrap().to_owned();
        (word("access_key"), word("secret_key"))
    }

    /// Stores a credential at Keystone, which must succeed, and returns its id.
    async fn store(&self, token: &str, kind: &str, blob: &str, owner: &Person) -> String {
        let row = json!({
            "type": kind, "blob": blob, "user_id": owner.id, "project_id": self.project,
        });
        let body = json!({"credential": row});
        let got = self.at_keystone("POST /credentials", token, body).await;
        assert_eq!(got.status, 201, "{}", got.text);
        got.json()["credential"]["id"].as_str().unwrap().to_owned()
    }

    /// The ids of all credentials that Keystone has of a person.
    async fn stored(&self, person: &Person) -> Vec<String> {
        let line = format!("GET /credentials?user_id={}", person.id);
        let admin = self.admin_token().await;
        let got = self.at_keystone(&line, &admin, Value::Null).await.json();
        let rows = got["credentials"].as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn send(client: &Client, method: &str, url: String, token: &str, body: Value) -> Option<Got> {
    let method: Method = method.parse().unwrap();
    let mut request = client.request(method, url);
    if !token.is_empty() {
        request = request.header("X-Auth-Token", token);
    }
    if !body.is_null() {
        request = request.json(&body);
    }
    let response = request.send().await.ok()?;
    Some(Got {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.ok()?,
    })
}
