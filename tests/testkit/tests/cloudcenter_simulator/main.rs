//! The CloudCenter simulator does what CloudCenter does, as far as its protocol is known, and every control of it works.

mod controls;
mod keys;
mod logins;
mod users;

use std::time::Duration;

use reqwest::{Certificate, Client, Method};
use serde_json::{Value, json};
use testkit::cloudcenter::{Account, CloudCenterOptions, CloudCenterSimulator};

const DEADLINE: Duration = Duration::from_secs(20);
const MARK: &str = "X-CLIQR-API-KEY-AUTH";

/// A simulator with an admin, two tenants of which one has an admin, and a client.
struct Site {
    cloudcenter: CloudCenterSimulator,
    client: Client,
    root: Account,
    boss: Account,
    alice: Account,
    foreign: Account,
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

    /// The key in an answer of the usual form.
    fn key(&self) -> String {
        let key = self.json()["apiKey"]["key"].clone();
        key.as_str().expect("a key").to_owned()
    }

    /// The status, and the code of the error in CloudCenter's envelope.
    fn refusal(&self) -> (u16, String) {
        let body = self.json();
        let error = &body["errors"][0];
        assert!(error["message"].is_string(), "{body}");
        let code = error["code"].as_str().expect("a code");
        (self.status, code.to_owned())
    }
}

impl Site {
    fn new() -> Self {
        Self::with(CloudCenterOptions::default())
    }

    fn with(options: CloudCenterOptions) -> Self {
        let cloudcenter = CloudCenterSimulator::start(options);
        let client = Client::builder().no_proxy().timeout(DEADLINE);
        let client = match cloudcenter.ca_pem() {
            Some(pem) => client.tls_certs_only([Certificate::from_pem(pem.as_bytes()).unwrap()]),
            None => client,
        };
        Site {
            root: cloudcenter.add_admin("admin@example.com"),
            boss: cloudcenter.add_tenant_admin("boss@a.example.com", "7"),
            alice: cloudcenter.add_user("alice@a.example.com", "7"),
            foreign: cloudcenter.add_user("zoe@b.example.com", "8"),
            client: client.build().unwrap(),
            cloudcenter,
        }
    }

    /// Sends a request, `"GET /v1/users"` for example, with a user's key. A body that is null is none.
    async fn call(&self, line: &str, caller: &Account, body: Value) -> Got {
        let (name, key) = (&caller.username, &caller.key);
        self.send(line, Some((name, key)), &[], body).await
    }

    async fn get(&self, path: &str, caller: &Account) -> Got {
        self.call(&format!("GET {path}"), caller, Value::Null).await
    }

    /// The keys of a user, asked by the id.
    async fn read(&self, owner: &Account, caller: &Account) -> Got {
        self.get(&format!("/v1/users/{}/keys", owner.id), caller)
            .await
    }

    /// The request that replaces a user's key.
    async fn generate(&self, owner: &Account, caller: &Account) -> Got {
        let line = format!("POST /v1/users/{}/keys", owner.id);
        let body = json!({"apiKey": {"generate": true}});
        self.call(&line, caller, body).await
    }

    async fn send(
        &self,
        line: &str,
        login: Option<(&str, &str)>,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Got {
        let (method, path) = line.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let url = self.cloudcenter.endpoint() + path;
        let mut request = self.client.request(method, url);
        if let Some((name, password)) = login {
            request = request.basic_auth(name, Some(password));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
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
}
