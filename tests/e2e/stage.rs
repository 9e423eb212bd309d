//! A test's stage: namespaces, an identity, a provider, and an operator of its own.

mod crowd;
mod leaks;
mod process;
mod readings;

pub use readings::{only_serial, readings};

use std::{
    collections::BTreeSet,
    fmt::Debug,
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use credential_operator::api::{ClusterCredentialProvider, CredentialProvider, CredentialRequest};
use k8s_openapi::{
    api::{
        core::v1::{Namespace, Secret},
        events::v1::Event,
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::{
    control_plane::{ControlPlane, Options, service_account_user, write_kubeconfig},
    dce::{DceOptions, DceSimulator},
    wait::eventually,
    wire::{CallHead, TcpProxy, WireProxy},
};

/// Long enough for a busy machine; a test that is well ends long before.
pub const SOON: Duration = Duration::from_secs(60);

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The control plane that all tests share, with the CRDs and the shipped roles.
pub fn control_plane() -> &'static ControlPlane {
    ControlPlane::shared_with(options)
}

/// What a control plane for stages has.
pub fn options() -> Options {
    Options {
        manifests: [
            "crds/credentialrequests.yaml",
            "crds/credentialproviders.yaml",
            "crds/clustercredentialproviders.yaml",
            "deploy/base/namespace.yaml",
            "deploy/base/service-account.yaml",
            "deploy/base/rbac.yaml",
            "deploy/base/aggregated-roles.yaml",
        ]
        .map(repository)
        .to_vec(),
        ..Options::default()
    }
}

/// A test's stage.
pub struct Stage {
    /// Where requests live; the operator serves it.
    pub team: String,
    /// Where login Secrets live; the operator does not serve it.
    pub platform: String,
    /// The provider.
    pub dce: DceSimulator,
    /// AK and SK of the provider's login.
    pub login: (String, String),
    /// Between the operator and the API server.
    pub wire: WireProxy,
    /// In front of `wire`, for stories about broken connections.
    pub tcp: Option<TcpProxy>,
    /// The API server, as an administrator who arranges things.
    pub client: Client,
    /// More flags for the operator.
    pub flags: Vec<String>,
    /// For how long the Lease is held: so long that no renewal stands among the calls that a story
    /// counts, unless it is about that.
    pub lease_seconds: u64,
    /// Variables of the operator's environment.
    pub environment: Vec<(String, String)>,
    /// More values that may stand nowhere but in Secrets: those of further simulators, for example.
    pub more_secret_values: Vec<String>,
    /// What was secret in Secrets that a story has read.
    read_secrets: Mutex<BTreeSet<String>>,
    token: String,
    directory: tempfile::TempDir,
    operator: Option<Operator>,
    starts: u32,
}

/// A running operator.
pub struct Operator {
    process: Child,
    address: String,
}

static STAGES: AtomicU32 = AtomicU32::new(0);

impl Stage {
    /// A stage with an empty team namespace, a platform namespace with the login Secret `login`
    /// that consents, and the cluster provider named as the team, which allows the team to ask for
    /// tokens. No operator yet.
    pub async fn new(name: &str) -> Stage {
        Stage::with(name, DceOptions::default()).await
    }

    /// The same with another kind of DCE.
    pub async fn with(name: &str, options: DceOptions) -> Stage {
        Stage::on(control_plane(), name, options).await
    }

    /// The same on a control plane of its own.
    pub async fn on(plane: &ControlPlane, name: &str, options: DceOptions) -> Stage {
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let team = format!("{name}-{number}");
        let platform = format!("{team}-platform");
        let client = plane.admin_client().await;
        let dce = DceSimulator::start(options);
        let login = dce.add_user("operator");
        let stage = Stage {
            wire: WireProxy::start(plane.url(), Some(plane.ca_pem())).expect("the proxy starts"),
            tcp: None,
            token: String::new(),
            directory: tempfile::tempdir().expect("a temporary directory"),
            team,
            platform,
            dce,
            login,
            client,
            flags: Vec::new(),
            lease_seconds: 600,
            environment: Vec::new(),
            more_secret_values: Vec::new(),
            read_secrets: Mutex::default(),
            operator: None,
            starts: 0,
        };
        stage.arrange(plane).await
    }

    async fn arrange(mut self, plane: &ControlPlane) -> Stage {
        for namespace in [&self.team, &self.platform] {
            let body = json!({"metadata": {"name": namespace, "labels": {"stage": self.team}}});
            create::<Namespace>(&Api::all(self.client.clone()), body).await;
        }
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "operator", "namespace": self.platform},
        });
        // The same rules as shipped, for an account of the stage's own.
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": self.platform},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "credential-operator"},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": self.platform}],
        });
        self.apply(&account).await;
        self.apply(&binding).await;
        for object in self.shipped_leader_rules() {
            self.apply(&object).await;
        }
        self.token = plane
            .service_account_token(&self.platform, "operator")
            .await
            .expect("a token for the operator");
        self.write_login(&self.login.clone()).await;
        let provider = self.provider();
        self.apply(&provider).await;
        self
    }

    /// The shipped Role for the Lease and its binding, for the stage's account and namespace.
    fn shipped_leader_rules(&self) -> Vec<Value> {
        let yaml = std::fs::read_to_string(repository("deploy/base/rbac.yaml")).expect("the rules");
        yaml.split("\n---\n")
            .map(|document| serde_saphyr::from_str::<Value>(document).expect("YAML"))
            .filter(|object| object["metadata"]["namespace"].is_string())
            .map(|mut object| {
                object["metadata"]["namespace"] = json!(self.platform);
                if object["subjects"].is_array() {
                    object["subjects"] = json!([
                        {"kind": "ServiceAccount", "name": "operator", "namespace": self.platform},
                    ]);
                }
                object
            })
            .collect()
    }

    /// Writes the login Secret, with consent.
    pub async fn write_login(&self, (ak, sk): &(String, String)) {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "login", "namespace": self.platform,
                "annotations": {"credential-operator.dev/login-for": self.dce.endpoint()},
            },
            "stringData": {"ak": ak, "sk": sk},
        }))
        .await;
    }

    /// The cluster provider, to be changed and applied.
    pub fn provider(&self) -> Value {
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
            "metadata": {"name": self.team, "labels": {"stage": self.team}},
            "spec": {
                "dce": {
                    "endpoint": self.dce.endpoint(), "allowHTTP": true,
                    "auth": {"keyPair": {"secretRef": {"namespace": self.platform, "name": "login"}}},
                },
                "allow": [{
                    "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": self.team}},
                    "dce": {"kinds": ["token"]},
                }],
                "budget": {"requestsPerSecond": 1000, "concurrency": 8},
            },
        })
    }

    /// A further cluster provider of the team, at another simulator. Its login is the Secret of the
    /// same name in the platform namespace; see [`Self::write_login_for`].
    pub fn provider_at(&self, name: &str, dce: &DceSimulator) -> Value {
        let mut provider = self.provider();
        provider["metadata"]["name"] = json!(name);
        provider["spec"]["dce"]["endpoint"] = json!(dce.endpoint());
        provider["spec"]["dce"]["auth"]["keyPair"]["secretRef"]["name"] = json!(name);
        provider
    }

    /// Writes a login Secret that consents to the endpoints in `consent`.
    pub async fn write_login_for(
        &self,
        namespace: &str,
        name: &str,
        consent: &str,
        (ak, sk): &(String, String),
    ) {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": name, "namespace": namespace,
                "annotations": {"credential-operator.dev/login-for": consent},
            },
            "stringData": {"ak": ak, "sk": sk},
        }))
        .await;
    }

    /// A request for a token of another provider than the stage's own.
    pub fn request_of(&self, name: &str, kind: &str, provider: &str) -> Value {
        let mut request = self.request(name);
        request["spec"]["providerRef"] = json!({"kind": kind, "name": provider});
        request
    }

    /// Waits until an object of the team's namespace is gone.
    pub async fn gone<K>(&self, name: &str)
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        eventually(SOON, || async {
            match self.api::<K>().get_metadata_opt(name).await? {
                None => Ok(()),
                Some(_) => bail!("{name} is still there"),
            }
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// A request for a token, to be changed and applied.
    pub fn request(&self, name: &str) -> Value {
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
            "metadata": {"name": name, "namespace": self.team},
            "spec": {
                "providerRef": {"kind": "ClusterCredentialProvider", "name": self.team},
                "dce": {"token": {}},
            },
        })
    }

    /// Creates or changes an object as an administrator.
    pub async fn apply(&self, object: &Value) {
        let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
        self.api_of(&object)
            .patch(
                &object.name_any(),
                &PatchParams::apply("test").force(),
                &Patch::Apply(&object),
            )
            .await
            .unwrap_or_else(|error| panic!("applying {}: {error}", object.name_any()));
    }

    fn api_of(&self, object: &DynamicObject) -> Api<DynamicObject> {
        let types = object.types.clone().expect("apiVersion and kind");
        let gvk = kube::core::GroupVersionKind::try_from(&types).expect("a kind");
        let resource = kube::core::ApiResource::from_gvk(&gvk);
        match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// An API of the team's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.team)
    }

    /// The requests of the team.
    pub fn requests(&self) -> Api<CredentialRequest> {
        self.api()
    }

    /// The cluster provider, live.
    pub async fn live_provider(&self) -> ClusterCredentialProvider {
        Api::all(self.client.clone())
            .get(&self.team)
            .await
            .expect("the provider is there")
    }

    /// Waits until a request fulfils a condition, and returns it.
    pub async fn until(
        &self,
        name: &str,
        what: &str,
        check: impl Fn(&CredentialRequest) -> bool,
    ) -> CredentialRequest {
        self.within(SOON, name, what, check).await
    }

    /// The same with a deadline of its own.
    pub async fn within(
        &self,
        deadline: Duration,
        name: &str,
        what: &str,
        check: impl Fn(&CredentialRequest) -> bool,
    ) -> CredentialRequest {
        let result = eventually(deadline, || async {
            let request = self.requests().get(name).await?;
            if check(&request) {
                Ok(request)
            } else {
                Err(anyhow!(
                    "{what} does not hold for\n{}",
                    serde_json::to_string_pretty(&request.status)?
                ))
            }
        })
        .await;
        result.unwrap_or_else(|error| panic!("{name}: {error:#}"))
    }

    /// Waits until a request is ready.
    pub async fn ready(&self, name: &str) -> CredentialRequest {
        self.until(name, "Ready=True", |request| {
            status_of(request, "Ready") == ("True", "Synced")
        })
        .await
    }

    /// The token in a Secret.
    pub async fn token(&self, name: &str) -> String {
        value(&self.secret(name).await, "token")
    }

    /// Sets an annotation of a request.
    pub async fn annotate(&self, name: &str, annotation: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        self.requests()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .expect("the annotation is set");
    }

    /// The name under which the API server knows the operator.
    pub fn user(&self) -> String {
        service_account_user(&self.platform, "operator")
    }

    /// The events about objects of the team, as `reason: note`.
    pub async fn events(&self) -> Vec<String> {
        let events: Api<Event> = self.api();
        let list = events
            .list(&ListParams::default())
            .await
            .expect("events can be listed");
        list.into_iter()
            .map(|event| {
                format!(
                    "{}: {}",
                    event.reason.unwrap_or_default(),
                    event.note.unwrap_or_default()
                )
            })
            .collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.operator.take());
        if std::thread::panicking() {
            drop(writeln!(std::io::stderr().lock(), "{}", self.logs_tail()));
        }
    }
}

/// Prints past what the test harness keeps of a test that passes.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()));
}

/// Creates an object as an administrator.
pub async fn create<K>(api: &Api<K>, body: Value) -> K
where
    K: Clone + DeserializeOwned + Debug + serde::Serialize,
{
    let object: K = serde_json::from_value(body).expect("an object");
    api.create(&PostParams::default(), &object)
        .await
        .expect("the object is created")
}

/// Status and reason of a condition.
pub fn status_of<'a>(request: &'a CredentialRequest, type_: &str) -> (&'a str, &'a str) {
    let conditions = request
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    in_conditions(conditions, type_)
}

/// Status and reason of a condition.
pub fn in_conditions<'a>(conditions: &'a [Condition], type_: &str) -> (&'a str, &'a str) {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .map_or(("", ""), |condition| {
            (condition.status.as_str(), condition.reason.as_str())
        })
}

/// The message of a condition.
pub fn message_of<'a>(request: &'a CredentialRequest, type_: &str) -> &'a str {
    let conditions = request
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .map_or("", |condition| condition.message.as_str())
}

/// Whether a call reads or writes the Secret of this name; a create has its name in the body.
pub fn is_about_secret(call: &CallHead, name: &str) -> bool {
    let Some(meant) = call
        .kubernetes()
        .filter(|meant| meant.resource == "secrets")
    else {
        return false;
    };
    match (meant.name, meant.verb) {
        (Some(named), _) => named == name,
        (None, "create") => call
            .json()
            .is_some_and(|body| body["metadata"]["name"] == name),
        (None, _) => false,
    }
}

/// A value of a Secret.
pub fn value(secret: &Secret, key: &str) -> String {
    let value = secret
        .data
        .as_ref()
        .and_then(|data| data.get(key))
        .map(|value| value.0.clone());
    String::from_utf8(value.unwrap_or_default()).expect("text")
}
