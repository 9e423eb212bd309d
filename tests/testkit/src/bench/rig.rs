//! What is measured on: the control plane, the simulator, the provider, and many requests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams,
};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use testkit::control_plane::{ControlPlane, Options, write_kubeconfig};

use super::operator::Operator;
use super::simulator::Simulator;
use super::usage;

/// Where the operator's requests live.
pub const NAMESPACE: &str = "bench-operator";
/// Where the floor program's requests live: as long as the other, so that bodies have equal sizes.
pub const FLOOR: &str = "bench-flooring";
/// Where the login lives.
const PLATFORM: &str = "platform";

/// The ServiceAccount of `deploy/`, by its namespace and its name.
const ACCOUNT: (&str, &str) = ("credential-operator", "credential-operator");

/// How many requests are created and deleted at the same time.
const AT_ONCE: usize = 32;

/// What is measured on.
pub struct Rig {
    /// The simulated provider.
    pub simulator: Simulator,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// An administrator, to arrange things and to watch.
    pub admin: Client,
    /// The token of the floor program's account, which has the operator's rules.
    pub floor_token: String,
    operator_token: String,
    kubeconfig: PathBuf,
    directory: tempfile::TempDir,
}

/// The CPU time of those who serve, in seconds.
#[derive(Clone, Copy)]
pub struct Servers {
    /// The API server.
    pub api_server: f64,
    /// etcd.
    pub etcd: f64,
    /// The simulated provider.
    pub provider: f64,
}

impl Rig {
    /// Puts everything up.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn start() -> Result<Self> {
        Operator::binary()?;
        let directory = tempfile::tempdir()?;
        let simulator = Simulator::start(directory.path())?;
        let options = Options {
            fsync: true,
            controller_manager: false,
            audit: false,
            admission_plugins: Vec::new(),
            manifests: [
                "crds/credentialrequests.yaml",
                "crds/credentialproviders.yaml",
                "crds/clustercredentialproviders.yaml",
                "deploy/base/namespace.yaml",
                "deploy/base/service-account.yaml",
                "deploy/base/rbac.yaml",
            ]
            .map(|path| {
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("../..")
                    .join(path)
            })
            .to_vec(),
        };
        let control_plane = tokio::task::spawn_blocking(|| ControlPlane::start(options)).await??;
        control_plane.apply(&manifests(&simulator)?)?;
        let operator_token = control_plane
            .service_account_token(ACCOUNT.0, ACCOUNT.1)
            .await?;
        let kubeconfig = directory.path().join("operator.kubeconfig");
        write_kubeconfig(
            &kubeconfig,
            control_plane.url(),
            Some(control_plane.ca_pem()),
            &operator_token,
        )?;
        Ok(Self {
            admin: control_plane.admin_client().await,
            floor_token: control_plane.service_account_token(FLOOR, "floor").await?,
            operator_token,
            simulator,
            control_plane,
            kubeconfig,
            directory,
        })
    }

    /// Starts the operator, as its ServiceAccount, with the settings that it has by default.
    ///
    /// # Errors
    /// When it does not start.
    pub fn operator(&self, flags: &[&str]) -> Result<Operator> {
        Operator::start(self.directory.path(), "operator", &self.kubeconfig, flags)
    }

    /// The same, with something between it and the API server.
    ///
    /// # Errors
    /// When it does not start.
    pub fn operator_through(&self, url: &str) -> Result<Operator> {
        let kubeconfig = self.directory.path().join("proxied.kubeconfig");
        write_kubeconfig(&kubeconfig, url, None, &self.operator_token)?;
        Operator::start(self.directory.path(), "proxied", &kubeconfig, &[])
    }

    /// The requests of a namespace.
    pub fn requests(&self, namespace: &str) -> Api<DynamicObject> {
        let gvk = GroupVersionKind::gvk("credential-operator.dev", "v1alpha1", "CredentialRequest");
        Api::namespaced_with(self.admin.clone(), namespace, &ApiResource::from_gvk(&gvk))
    }

    /// Creates a request.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create(&self, namespace: &str, name: &str) -> Result<DynamicObject> {
        let request = serde_json::from_value(json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "CredentialRequest",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "providerRef": {"kind": "ClusterCredentialProvider", "name": "dce"},
                "dce": {"token": {}},
            },
        }))?;
        let requests = self.requests(namespace);
        requests
            .create(&PostParams::default(), &request)
            .await
            .with_context(|| format!("creating {name}"))
    }

    /// Creates many requests.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub async fn create_many(&self, namespace: &str, count: usize) -> Result<Vec<DynamicObject>> {
        let creations = (0..count).map(|number| async move {
            let name = format!("request-{number:05}");
            self.create(namespace, &name).await
        });
        stream::iter(creations)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    /// Removes all requests and Secrets of a namespace: there is nobody here who collects garbage.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn clear(&self, namespace: &str) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.admin.clone(), namespace);
        let requests = self.requests(namespace);
        delete_all(
            &requests,
            requests.list(&ListParams::default()).await?.items,
        )
        .await?;
        delete_all(&secrets, secrets.list(&ListParams::default()).await?.items).await
    }

    /// What those who serve have used so far.
    ///
    /// # Errors
    /// When one of them has ended.
    pub fn servers(&self) -> Result<Servers> {
        let processes = self.control_plane.process_ids();
        let of = |name: &str| -> Result<f64> {
            let process = processes.iter().find(|(its, _)| *its == name);
            Ok(usage::cpu(process.with_context(|| format!("no {name}"))?.1)?.as_secs_f64())
        };
        Ok(Servers {
            api_server: of("kube-apiserver")?,
            etcd: of("etcd")?,
            provider: usage::cpu(self.simulator.id())?.as_secs_f64(),
        })
    }
}

impl Servers {
    /// What was used since an earlier moment.
    pub fn since(self, before: Servers) -> Servers {
        Servers {
            api_server: self.api_server - before.api_server,
            etcd: self.etcd - before.etcd,
            provider: self.provider - before.provider,
        }
    }
}

/// How long everything may take that has to happen for many requests, before it is given up.
pub const DEADLINE: Duration = Duration::from_secs(120);

async fn delete_all<K>(api: &Api<K>, objects: Vec<K>) -> Result<()>
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let deletions = objects.into_iter().map(|object| async move {
        api.delete(&object.name_any(), &DeleteParams::default())
            .await
            .map(drop)
    });
    stream::iter(deletions)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .context("clearing a namespace")
}

fn manifests(simulator: &Simulator) -> Result<String> {
    let namespace =
        |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let login = &simulator.login;
    let objects = [
        namespace(NAMESPACE),
        namespace(FLOOR),
        namespace(PLATFORM),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "floor", "namespace": FLOOR}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "bench-floor"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "credential-operator"},
            "subjects": [{"kind": "ServiceAccount", "name": "floor", "namespace": FLOOR}],
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": "login", "namespace": PLATFORM,
                "annotations": {"credential-operator.dev/login-for": login.endpoint},
            },
            "stringData": {"ak": login.ak, "sk": login.sk, "ca.crt": simulator.ca_pem},
        }),
        json!({
            "apiVersion": "credential-operator.dev/v1alpha1", "kind": "ClusterCredentialProvider",
            "metadata": {"name": "dce"},
            "spec": {
                "dce": {
                    "endpoint": login.endpoint,
                    "tls": {"caBundleSecretRef": {"namespace": PLATFORM, "name": "login"}},
                    "auth": {"keyPair": {"secretRef": {"namespace": PLATFORM, "name": "login"}}},
                },
                "allow": [{"namespaces": {}, "dce": {"kinds": ["token"]}}],
                // As much as the floor program takes: the budget is not what is measured.
                "budget": {"requestsPerSecond": 10000, "concurrency": 32},
            },
        }),
    ];
    let documents: Result<Vec<_>, _> = objects.iter().map(serde_json::to_string).collect();
    Ok(documents?.join("\n---\n"))
}
