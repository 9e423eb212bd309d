//! Bad input, and what the API server says to whoever sends it: each row is an object as kubectl
//! would send it, the field that the answer has to name, and the words that tell what to do. No
//! operator runs here; what is refused by the schema never reaches one.

mod accepted;
mod changes;
mod cloudcenter;
mod cloudmc;
mod endpoints;
mod keystone;
mod providers;
mod references;
mod requests;
mod soda;

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::stage::{control_plane, create};

/// An object that is refused.
pub struct Row {
    /// What is wrong with it.
    pub what: String,
    /// The object.
    pub object: Value,
    /// The field that the answer names, and what it says about it.
    pub says: Vec<String>,
}

/// A row of a table.
pub fn row(what: &str, object: Value, says: &[&str]) -> Row {
    Row {
        what: what.to_owned(),
        object,
        says: says.iter().map(|&words| words.to_owned()).collect(),
    }
}

/// A value with one field set. `path` is separated by slashes; what is missing on the way is made.
pub fn with(mut value: Value, path: &str, field: Value) -> Value {
    let mut at = &mut value;
    for part in path.split('/') {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part],
        };
    }
    *at = field;
    value
}

/// A value with one field taken out.
pub fn without(mut value: Value, path: &str) -> Value {
    let (parent, field) = path.rsplit_once('/').expect("a path with a slash");
    let parent = value
        .pointer_mut(&format!("/{parent}"))
        .expect("the parent is there");
    parent
        .as_object_mut()
        .expect("an object")
        .remove(field)
        .expect("the field was there");
    value
}

/// An object that says nothing.
pub fn nothing(kind: &str) -> Value {
    json!({"apiVersion": "credential-operator.dev/v1alpha1", "kind": kind, "metadata": {"name": "nothing"}})
}

/// A good request.
pub fn request() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
        "metadata": {"name": "api"},
        "spec": {
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "dce"},
            "dce": {"token": {"cycle": 7}},
            "secret": {"name": "api"},
            "renewal": {"renewBefore": "24h", "rotateEvery": "720h"},
        },
    })
}

/// A good provider for several namespaces.
pub fn cluster_provider() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
        "metadata": {"name": "refused"},
        "spec": {
            "dce": {
                "endpoint": "https://dce.example.com",
                "tls": {"caBundleSecretRef": {"namespace": "platform", "name": "ca", "key": "ca.crt"}},
                "auth": {"keyPair": {"secretRef": {"namespace": "platform", "name": "login"}, "akKey": "ak", "skKey": "sk"}},
            },
            "allow": [{
                "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": "team"}},
                "dce": {"kinds": ["token"], "maxCycle": 30},
            }],
            "budget": {"requestsPerSecond": 20, "concurrency": 8},
        },
    })
}

/// A good provider for one namespace.
pub fn provider() -> Value {
    json!({
        "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialProvider",
        "metadata": {"name": "refused"},
        "spec": {
            "dce": {
                "endpoint": "https://dce.example.com",
                "tls": {"caBundleSecretRef": {"name": "ca"}},
                "auth": {"keyPair": {"secretRef": {"name": "login"}}},
            },
            "allow": [{"dce": {"kinds": ["token"]}}],
        },
    })
}

/// A namespace of a test's own, and the way to send objects to it.
pub struct Sender {
    client: Client,
    namespace: String,
}

impl Sender {
    /// Makes the namespace.
    pub async fn new(namespace: &str) -> Sender {
        let client = control_plane().admin_client().await;
        let body = json!({"metadata": {"name": namespace}});
        create::<k8s_openapi::api::core::v1::Namespace>(&kube::Api::all(client.clone()), body)
            .await;
        Sender {
            client,
            namespace: namespace.to_owned(),
        }
    }

    /// Creates an object as kubectl does: with strict field validation. The answer is the object as
    /// it was stored, or the words that the user sees.
    pub async fn create(&self, object: &Value) -> Result<Value, String> {
        self.send(Method::POST, &self.path(object, None), object)
            .await
    }

    /// Replaces an object.
    pub async fn replace(&self, object: &Value) -> Result<Value, String> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        self.send(Method::PUT, &self.path(object, name), object)
            .await
    }

    async fn send(&self, method: Method, path: &str, object: &Value) -> Result<Value, String> {
        let request = Request::builder()
            .method(method)
            .uri(format!(
                "{path}?fieldValidation=Strict&fieldManager=kubectl"
            ))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(object).expect("JSON"))
            .expect("a request");
        match self.client.request::<Value>(request).await {
            Ok(stored) => Ok(stored),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("the API server gave no answer: {error}"),
        }
    }

    fn path(&self, object: &Value, name: Option<&str>) -> String {
        let group = "/apis/credential-operator.dev/v1alpha1";
        let namespace = &self.namespace;
        let collection = match object["kind"].as_str() {
            Some("CredentialRequest") => {
                format!("{group}/namespaces/{namespace}/credentialrequests")
            }
            Some("CredentialProvider") => {
                format!("{group}/namespaces/{namespace}/credentialproviders")
            }
            Some("ClusterCredentialProvider") => format!("{group}/clustercredentialproviders"),
            other => panic!("{other:?} is none of ours"),
        };
        name.map_or(collection.clone(), |name| format!("{collection}/{name}"))
    }
}

/// What a rule that fails to run leaves behind in an answer; nobody could act on it.
const NOT_FOR_PEOPLE: &[&str] = &[
    "no such overload",
    "no such key",
    "evaluating rule",
    "failed rule",
    "url parse",
    "CEL",
    "rule compilation",
    "error occurred",
];

/// Sends each row, and says of all rows together what was not as it should be.
async fn all_are_refused(namespace: &str, rows: Vec<Row>) {
    let sender = Sender::new(namespace).await;
    let mut wrong = Vec::new();
    for (number, row) in rows.into_iter().enumerate() {
        // A name for each: one that is accepted must not be what keeps the next from being so.
        let object = with(
            row.object.clone(),
            "metadata/name",
            json!(format!("{namespace}-{number}")),
        );
        match sender.create(&object).await {
            Ok(_) => wrong.push(format!("{}: accepted", row.what)),
            Err(words) => wrong.extend(misleading(&row, &words)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} rows are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What is wrong with an answer.
fn misleading(row: &Row, words: &str) -> Vec<String> {
    let lacks = row
        .says
        .iter()
        .filter(|part| !words.contains(part.as_str()));
    let lacks = lacks.map(|part| format!("{}: {part:?} is not in: {words}", row.what));
    let internals = NOT_FOR_PEOPLE.iter().filter(|part| words.contains(**part));
    let internals =
        internals.map(|part| format!("{}: {part:?} tells nobody anything: {words}", row.what));
    lacks.chain(internals).collect()
}

#[tokio::test]
async fn a_bad_request_is_refused_with_the_field_and_the_way_out() {
    all_are_refused("refused-requests", requests::rows()).await;
}

#[tokio::test]
async fn a_bad_endpoint_is_refused_whatever_is_wrong_with_it() {
    all_are_refused("refused-endpoints", endpoints::rows()).await;
}

#[tokio::test]
async fn a_bad_provider_is_refused_with_the_field_and_the_way_out() {
    all_are_refused("refused-providers", providers::rows()).await;
}

#[tokio::test]
async fn kubectl_shows_these_words_and_applies_nothing() {
    let sender = Sender::new("refused-kubectl").await;
    let kubectl = |object: &Value| {
        let path = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(path.path(), object.to_string()).expect("the file is written");
        let mut command = control_plane().kubectl();
        command
            .args(["apply", "-n", &sender.namespace, "-f"])
            .arg(path.path());
        command.output().expect("kubectl runs")
    };
    let refused = kubectl(&with(request(), "spec/dce/token/cycle", json!(0)));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{words}");
    assert!(
        words.contains(
            "spec.dce.token.cycle: Invalid value: 0: must be a number of days from 1 to 365"
        ),
        "{words}"
    );

    let slip = kubectl(&with(request(), "spec/dce/token/cycles", json!(1)));
    let words = String::from_utf8_lossy(&slip.stderr).into_owned();
    assert!(!slip.status.success(), "{words}");
    assert!(
        words.contains("unknown field \"spec.dce.token.cycles\""),
        "{words}"
    );
    let path = sender.path(&request(), Some("api"));
    let found = sender
        .client
        .request_text(Request::get(path).body(Vec::new()).expect("a request"))
        .await;
    assert!(
        matches!(found, Err(kube::Error::Api(status)) if status.code == 404),
        "nothing was stored"
    );
}
