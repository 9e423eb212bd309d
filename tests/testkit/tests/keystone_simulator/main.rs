//! The Keystone simulator answers as Keystone 30 does, row by row, and every control of it works.

mod application_credential_rights;
mod application_credentials;
mod controls;
mod credential_rights;
mod credentials;
mod directory;
mod ends;
mod key_pairs;
mod login;
mod second_login;
mod sessions;

use std::time::Duration;

use anyhow::ensure;
use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use testkit::keystone::{DEFAULT_DOMAIN, KeystoneOptions, KeystoneSimulator};
use testkit::wait::eventually;

const DEADLINE: Duration = Duration::from_secs(20);
const NOBODY: &str = "ffffffffffffffffffffffffffffffff";
const REFUSED: &str = "The request you have made requires authentication.";

/// A user as tests know one.
#[derive(Clone)]
struct Person {
    id: String,
    password: String,
}

/// A simulator with two members of one project, an admin, and a client.
struct Site {
    keystone: KeystoneSimulator,
    client: Client,
    project: String,
    alice: Person,
    bob: Person,
    admin: Person,
}

/// An answer, read completely.
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
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn message(&self) -> String {
        let message = self.json()["error"]["message"].clone();
        message.as_str().unwrap_or_default().to_owned()
    }
}

impl Site {
    fn new() -> Self {
        Self::with(KeystoneOptions::default())
    }

    fn with(options: KeystoneOptions) -> Self {
        let keystone = KeystoneSimulator::start(options);
        let project = keystone.add_project("tenant-a", DEFAULT_DOMAIN);
        let person = |(id, password)| Person { id, password };
        let [alice, bob] = ["alice", "bob"].map(|name| {
            let person = person(keystone.add_user(name, DEFAULT_DOMAIN));
            keystone.assign_role(&person.id, &project, "member");
            person
        });
        let admin = person(keystone.add_admin("admin"));
        let client = Client::builder().no_proxy();
        let client = match keystone.ca_pem() {
            Some(pem) => client.tls_certs_only([Certificate::from_pem(pem.as_bytes()).unwrap()]),
            None => client,
        };
        let client = client
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Site {
            keystone,
            client,
            project,
            alice,
            bob,
            admin,
        }
    }

    /// Sends a request, `"GET /v3/credentials"` for example. A body that is null is none.
    async fn call(&self, line: &str, token: Option<&str>, body: Value) -> Got {
        self.send(line, token, None, body).await
    }

    async fn send(
        &self,
        line: &str,
        token: Option<&str>,
        subject: Option<&str>,
        body: Value,
    ) -> Got {
        let (method, path) = line.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let mut request = self.client.request(method, self.keystone.url() + path);
        if let Some(token) = token {
            request = request.header("X-Auth-Token", token);
        }
        if let Some(subject) = subject {
            request = request.header("X-Subject-Token", subject);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        Got {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    /// Sends each request and compares status and words. The body of a row may be null.
    async fn rows(&self, rows: &[Row<'_>]) {
        for (line, token, body, status, words) in rows {
            let got = self.call(line, *token, body.clone()).await;
            let row = format!("{line} {body}: {} {}", got.status, got.text);
            assert_eq!(got.status, *status, "{row}");
            assert!(got.text.contains(words), "no {words:?}: {row}");
            let json = got.header("content-type") == "application/json";
            if json && *status >= 400 && *status != 405 {
                let error = &got.json()["error"];
                let code = reqwest::StatusCode::from_u16(*status).unwrap();
                assert_eq!(error["code"], *status, "{row}");
                assert_eq!(error["title"], code.canonical_reason().unwrap(), "{row}");
            }
            let challenge = format!("Keystone uri=\"{}\"", self.keystone.endpoint());
            let challenge = if *status == 401 {
                challenge.as_str()
            } else {
                ""
            };
            assert_eq!(got.header("www-authenticate"), challenge, "{row}");
            assert!(
                got.header("x-openstack-request-id").starts_with("req-"),
                "{row}"
            );
            assert_eq!(got.header("vary"), "X-Auth-Token", "{row}");
        }
    }

    /// [`Site::rows`] for one request line and one token: body, status, words.
    async fn bodies(&self, line: &str, token: Option<&str>, rows: &[(Value, u16, &str)]) {
        let rows = rows.iter().cloned();
        let rows = rows.map(|(body, status, words)| (line, token, body, status, words));
        let rows: Vec<Row<'_>> = rows.collect();
        self.rows(&rows).await;
    }

    /// [`Site::rows`] for requests without a body: request line, token, status, words.
    async fn lines(&self, rows: &[(&str, Option<&str>, u16, &str)]) {
        let rows = rows.iter();
        let rows =
            rows.map(|(line, token, status, words)| (*line, *token, Value::Null, *status, *words));
        let rows: Vec<Row<'_>> = rows.collect();
        self.rows(&rows).await;
    }

    async fn log_in(&self, auth: Value) -> Got {
        let body = json!({"auth": auth});
        self.call("POST /v3/auth/tokens?nocatalog", None, body)
            .await
    }

    /// The token of a login, which must succeed.
    async fn token_of(&self, auth: Value) -> String {
        let got = self.log_in(auth).await;
        assert_eq!(got.status, 201, "{}", got.text);
        got.header("x-subject-token").to_owned()
    }

    /// A token of a person for the project.
    async fn token(&self, person: &Person) -> String {
        self.token_of(by_password(person, on_project(&self.project)))
            .await
    }

    async fn unscoped(&self, person: &Person) -> String {
        self.token_of(by_password(person, json!("unscoped"))).await
    }

    async fn admin_token(&self) -> String {
        let scope = on_project(&self.keystone.admin_project());
        self.token_of(by_password(&self.admin, scope)).await
    }

    /// The token of an application credential.
    async fn delegated(&self, id: &str, secret: &str) -> String {
        self.token_of(by_credential(json!({"id": id, "secret": secret})))
            .await
    }

    /// Waits until tokens that are issued now outlive the last revocation of all tokens of their user: Keystone
    /// compares whole seconds.
    async fn next_second(&self) {
        let second = || jiff::Timestamp::now().as_second();
        let this = second();
        let passed = eventually(DEADLINE, async || {
            ensure!(second() > this, "the same second");
            Ok(())
        });
        passed.await.unwrap();
    }
}

/// Request line, token, body, status, and words of the answer.
type Row<'a> = (&'a str, Option<&'a str>, Value, u16, &'a str);

fn on_project(id: &str) -> Value {
    json!({"project": {"id": id}})
}

/// A login by password; a null scope is none.
fn by_password(person: &Person, scope: Value) -> Value {
    let user = json!({"id": person.id, "password": person.password});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let mut auth = json!({"identity": identity});
    if !scope.is_null() {
        auth["scope"] = scope;
    }
    auth
}

/// A login by a token; a null scope is none.
fn by_token(token: &str, scope: Value) -> Value {
    let mut auth = json!({"identity": {"methods": ["token"], "token": {"id": token}}});
    if !scope.is_null() {
        auth["scope"] = scope;
    }
    auth
}

fn by_credential(credential: Value) -> Value {
    json!({"identity": {"methods": ["application_credential"], "application_credential": credential}})
}

/// The body that makes a key pair.
fn pair(user: &str, project: &str, access: &str) -> Value {
    let blob = json!({"access": access, "secret": "SK"}).to_string();
    json!({"credential": {"type": "ec2", "user_id": user, "project_id": project, "blob": blob}})
}
