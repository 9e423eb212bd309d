//! The CloudMC simulator does what CloudMC does, as far as its protocol is known, and every control of it works.

mod api_info;
mod behind_the_back;
mod controls;
mod directory;
mod envelope;

use std::time::Duration;

use reqwest::{Certificate, Client, Method};
use serde_json::Value;
use testkit::cloudmc::{CloudMcOptions, CloudMcSimulator, Person, Service};

const DEADLINE: Duration = Duration::from_secs(20);
const NOBODY: &str = "ffffffff-ffff-4fff-bfff-ffffffffffff";

/// A simulator with two organizations. The first has a connection of each service and two environments at the object
/// storage, `prod` with both of its users and `test` with the first one; the second has a user and an environment.
struct Site {
    cloudmc: CloudMcSimulator,
    client: Client,
    acme: String,
    other: String,
    alice: Person,
    bob: Person,
    zoe: Person,
    compute: String,
    storage: String,
    machines: String,
    prod: String,
    test: String,
    theirs: String,
}

/// An answer, read completely.
struct Got {
    status: u16,
    text: String,
}

impl Got {
    /// Panics when the body is no JSON.
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// What stands in `data`. An answer must not hold both data and errors.
    fn data(&self) -> Value {
        let body = self.json();
        assert!(self.status == 200 && body.get("errors").is_none(), "{body}");
        body["data"].clone()
    }

    /// A member of each object in `data`, as text.
    fn column(&self, name: &str) -> Vec<String> {
        let data = self.data();
        let items = data.as_array().expect("a list").iter();
        items
            .map(|item| item[name].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The value of a field of an answer of `apiInfo`, as text.
    fn value(&self, key: &str) -> String {
        let data = self.data();
        let mut fields = data["fields"].as_array().expect("fields").iter();
        let field = fields.find(|field| field["key"] == key).expect("a field");
        field["value"].as_str().expect("a text").to_owned()
    }

    /// The status and the message of the only error.
    fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert!(body.get("data").is_none(), "{body}");
        let errors = body["errors"].as_array().expect("errors");
        assert_eq!(errors.len(), 1, "{body}");
        assert!(errors[0]["context"].is_object(), "{body}");
        let message = errors[0]["message"].as_str().expect("a message");
        (self.status, message.to_owned())
    }
}

impl Site {
    fn new() -> Self {
        Self::with(CloudMcOptions::default())
    }

    fn with(options: CloudMcOptions) -> Self {
        let cloudmc = CloudMcSimulator::start(options);
        let client = Client::builder().no_proxy().timeout(DEADLINE);
        let client = match cloudmc.ca_pem() {
            Some(pem) => client.tls_certs_only([Certificate::from_pem(pem.as_bytes()).unwrap()]),
            None => client,
        };
        let [acme, other] = ["acme", "other"].map(|name| cloudmc.add_organization(name));
        let [alice, bob] = ["alice", "bob"].map(|name| cloudmc.add_user(&acme, name));
        let zoe = cloudmc.add_user(&other, "zoe");
        let compute =
            cloudmc.add_connection(&acme, "Compute - Québec", "compute-qc", Service::Compute);
        let storage = cloudmc.add_connection(&acme, "Objects", "objects", Service::ObjectStorage);
        let machines = cloudmc.add_environment(&acme, &compute, "machines");
        let prod = cloudmc.add_environment(&acme, &storage, "prod");
        let test = cloudmc.add_environment(&acme, &storage, "test");
        let theirs = cloudmc.add_environment(&other, &storage, "prod");
        for (environment, member) in [
            (&machines, &alice),
            (&prod, &alice),
            (&prod, &bob),
            (&test, &alice),
            (&theirs, &zoe),
        ] {
            cloudmc.add_member(environment, &member.id);
        }
        Site {
            client: client.build().unwrap(),
            cloudmc,
            acme,
            other,
            alice,
            bob,
            zoe,
            compute,
            storage,
            machines,
            prod,
            test,
            theirs,
        }
    }

    /// Sends a request, `"GET /users"` for example, with an API key.
    async fn call(&self, line: &str, api_key: Option<&str>) -> Got {
        let (method, path) = line.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let url = self.cloudmc.endpoint() + path;
        let mut request = self.client.request(method, url);
        if let Some(api_key) = api_key {
            request = request.header("MC-Api-Key", api_key);
        }
        let response = request.send().await.unwrap();
        Got {
            status: response.status().as_u16(),
            text: response.text().await.unwrap(),
        }
    }

    async fn get(&self, path: &str, caller: &Person) -> Got {
        self.call(&format!("GET {path}"), Some(&caller.api_key))
            .await
    }

    /// The caller's values in an environment.
    async fn values(&self, connection: &str, environment: &str, caller: &Person) -> Got {
        let path =
            format!("/services/connections/{connection}/apiInfo?environmentId={environment}");
        self.get(&path, caller).await
    }
}
