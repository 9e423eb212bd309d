//! How the three servers are set up: their files and their arguments. Nothing is started here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Options;
use super::access::write_kubeconfig;
use crate::wire::Certificate;

/// Whom the tokens of the API server's own clients stand for.
pub(super) struct Tokens {
    /// A member of `system:masters`.
    pub(super) admin: String,
    /// The user that Kubernetes' own roles give the rights of a controller manager.
    pub(super) controller_manager: String,
}

/// Writes what the servers need into `directory`.
pub(super) fn write_files(directory: &Path, certificate: &Certificate) -> Result<Tokens> {
    fs::write(directory.join("ca.pem"), certificate.ca_pem())?;
    fs::write(directory.join("server.pem"), certificate.chain_pem())?;
    fs::write(directory.join("server.key"), certificate.key_pem())?;

    let signing = rcgen::KeyPair::generate()?;
    fs::write(
        directory.join("service-account.key"),
        signing.serialize_pem(),
    )?;
    // A file of its own: the API server does not find the public half in a PKCS #8 private key.
    fs::write(
        directory.join("service-account.pub"),
        signing.public_key_pem(),
    )?;

    let token = || uuid::Uuid::new_v4().simple().to_string();
    let tokens = Tokens {
        admin: token(),
        controller_manager: token(),
    };
    let table = format!(
        "{},admin,admin,\"system:masters\"\n{},system:kube-controller-manager,controller-manager\n",
        tokens.admin, tokens.controller_manager,
    );
    fs::write(directory.join("tokens.csv"), table)?;
    // Metadata: the level RequestResponse would write the contents of Secrets to the disk.
    let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n";
    fs::write(directory.join("audit-policy.yaml"), policy)?;
    Ok(tokens)
}

/// The socket by which the API server reaches etcd, relative to the directory in which both run.
///
/// No port, so nobody can take it, and a relative path, because an absolute one can exceed the 108
/// bytes of a socket's name. etcd insists on the form `host:port` and takes all of it for the name
/// of the file.
pub(super) const ETCD_SOCKET: &str = "etcd.sock:0";

/// Where etcd listens for other members, of which there are none.
pub(super) const ETCD_PEER: &str = "unix://peer.sock:0";

pub(super) fn etcd_socket(directory: &Path) -> PathBuf {
    directory.join(ETCD_SOCKET)
}

pub(super) fn etcd_arguments(options: &Options) -> Vec<String> {
    let client = format!("unix://{ETCD_SOCKET}");
    let peer = ETCD_PEER;
    let mut arguments = vec![
        "--name=tests".to_owned(),
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=tests={peer}"),
        "--log-level=warn".to_owned(),
    ];
    if !options.fsync {
        arguments.push("--unsafe-no-fsync".to_owned());
    }
    arguments
}

pub(super) fn api_server_arguments(options: &Options, port: u16) -> Vec<String> {
    let issuer = "https://kubernetes.default.svc.cluster.local";
    let mut arguments = vec![
        format!("--etcd-servers=unix://{ETCD_SOCKET}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        // Without these two it looks for an interface with a default route, and fails where there
        // is no network.
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        "--tls-cert-file=server.pem".to_owned(),
        "--tls-private-key-file=server.key".to_owned(),
        // For the certificates that it makes for itself: the default lies in /var/run.
        "--cert-dir=certificates".to_owned(),
        "--token-auth-file=tokens.csv".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-key-file=service-account.pub".to_owned(),
        "--service-account-signing-key-file=service-account.key".to_owned(),
        format!("--service-account-issuer={issuer}"),
        format!("--api-audiences={issuer}"),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    if options.audit {
        arguments.extend([
            "--audit-policy-file=audit-policy.yaml".to_owned(),
            "--audit-log-path=audit.log".to_owned(),
            // Each event is in the file before its request goes on: what reads the log relies on
            // it.
            "--audit-log-mode=blocking".to_owned(),
            // In megabytes; a log that is rotated after the default of 100 would lose what a reader
            // has marked.
            "--audit-log-maxsize=100000".to_owned(),
        ]);
    }
    if !options.admission_plugins.is_empty() {
        let plugins = options.admission_plugins.join(",");
        arguments.push(format!("--enable-admission-plugins={plugins}"));
    }
    if !options.controller_manager {
        // It refuses pods until a controller has made the account `default`.
        arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
    }
    arguments
}

/// The controllers that do what tests and users of the operator rely on, by their names in
/// Kubernetes 1.36.
const CONTROLLERS: [&str; 8] = [
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "deployment-controller",
    "replicaset-controller",
    // Fills the roles `view`, `edit` and `admin`, which are empty without it.
    "clusterrole-aggregation-controller",
    // A ResourceQuota forbids everything until its use has been counted.
    "resourcequota-controller",
];

pub(super) fn controller_manager_arguments(
    directory: &Path,
    url: &str,
    certificate: &Certificate,
    tokens: &Tokens,
) -> Result<Vec<String>> {
    let kubeconfig = directory.join("controller-manager.kubeconfig");
    write_kubeconfig(
        &kubeconfig,
        url,
        Some(certificate.ca_pem()),
        &tokens.controller_manager,
    )?;
    Ok(vec![
        "--kubeconfig=controller-manager.kubeconfig".to_owned(),
        format!("--controllers={}", CONTROLLERS.join(",")),
        "--use-service-account-credentials=true".to_owned(),
        "--service-account-private-key-file=service-account.key".to_owned(),
        "--root-ca-file=ca.pem".to_owned(),
        "--leader-elect=false".to_owned(),
        // Nobody asks it anything, so it needs no port.
        "--secure-port=0".to_owned(),
        // The default of 20 a second delays tests that remove a lot.
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ])
}
