//! How control planes of the testkit start and end. Each test starts its own.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde_json::json;
use testkit::control_plane::{ControlPlane, Options};
use testkit::wait::eventually_blocking;

/// Set in a child process of this test binary; see [`servers_die_with_a_killed_parent`].
const CHILD: &str = "TESTKIT_CONTROL_PLANE_CHILD";

#[tokio::test]
async fn it_starts_serves_and_ends() {
    let started = Instant::now();
    let control_plane = ControlPlane::start(Options {
        fsync: true,
        ..Options::default()
    })
    .unwrap();
    eprintln!(
        "a control plane with a controller manager started in {:?}",
        started.elapsed()
    );
    let version = control_plane
        .admin_client()
        .await
        .apiserver_version()
        .await
        .unwrap();
    assert_eq!(version.major, "1");
    assert!(control_plane.ca_path().is_file());
    let servers: Vec<_> = control_plane
        .process_ids()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(
        servers.starts_with(&["etcd", "kube-apiserver"]),
        "{servers:?}"
    );

    let directory = control_plane.dir().to_owned();
    let address = control_plane
        .url()
        .strip_prefix("https://")
        .unwrap()
        .to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    drop(control_plane);
    assert!(
        TcpStream::connect(&address).is_err(),
        "the API server still listens"
    );
    assert!(!directory.exists(), "the directory is still there");
}

#[tokio::test]
async fn without_a_controller_manager_it_says_so() {
    let started = Instant::now();
    let options = Options {
        controller_manager: false,
        audit: false,
        ..Options::default()
    };
    let control_plane = ControlPlane::start(options).unwrap();
    eprintln!(
        "a control plane without a controller manager started in {:?}",
        started.elapsed()
    );
    assert!(control_plane.require_controller_manager().is_err());
    let error = control_plane.audit().all().unwrap_err().to_string();
    assert!(error.contains("without an audit log"), "{error}");
    // No admission plugin waits for the account `default`, which nobody makes.
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    control_plane.apply(&pod.to_string()).unwrap();
}

#[test]
fn manifests_are_applied_before_the_controllers_start() {
    let directory = tempfile::tempdir().unwrap();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "owners.example.dev"},
        "spec": {
            "group": "example.dev",
            "scope": "Namespaced",
            "names": {"kind": "Owner", "plural": "owners"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    });
    std::fs::write(directory.path().join("owners.yaml"), definition.to_string()).unwrap();
    let manifests = vec![directory.path().to_owned()];
    let options = Options {
        manifests,
        ..Options::default()
    };
    let control_plane = ControlPlane::start(options).unwrap();
    control_plane.require_controller_manager().unwrap();
    let kubectl = |arguments: &str| {
        let output = control_plane
            .kubectl()
            .args(arguments.split(' '))
            .output()
            .unwrap();
        assert!(output.status.success(), "kubectl {arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };

    let mut owner = json!({"apiVersion": "example.dev/v1", "kind": "Owner"});
    owner["metadata"] = json!({"name": "owner", "namespace": "default"});
    control_plane.apply(&owner.to_string()).unwrap();
    let uid = kubectl("get owner owner -o jsonpath={.metadata.uid}");
    let reference =
        json!({"apiVersion": "example.dev/v1", "kind": "Owner", "name": "owner", "uid": uid});
    let mut owned = json!({"apiVersion": "v1", "kind": "Secret"});
    owned["metadata"] =
        json!({"name": "owned", "namespace": "default", "ownerReferences": [reference]});
    control_plane.apply(&owned.to_string()).unwrap();

    kubectl("delete owner owner");
    let started = Instant::now();
    // Shorter than the 30 seconds after which the garbage collector looks for new kinds.
    kubectl("wait --for=delete secret/owned --timeout=15s");
    eprintln!(
        "a Secret went {:?} after its custom owner",
        started.elapsed()
    );
}

/// Whether a process runs; one that has ended and that nobody has waited for does not.
fn runs(process_id: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process_id}/stat")) else {
        return false;
    };
    !stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .trim_start()
        .starts_with('Z')
}

#[test]
fn servers_die_with_a_killed_parent() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_is_killed", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let facts: BTreeMap<String, String> = lines
        .filter_map(|line| Some(line.strip_prefix("child: ")?.to_owned()))
        .take_while(|line| line != "ready")
        .filter_map(|line| {
            line.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        })
        .collect();
    let address = facts["address"].clone();
    let processes: Vec<u32> = facts["processes"]
        .split(' ')
        .map(|id| id.parse().unwrap())
        .collect();
    assert!(TcpStream::connect(&address).is_ok());
    assert!(processes.iter().all(|id| runs(*id)));

    child.kill().unwrap(); // SIGKILL: nothing of the child's own can run any more.
    child.wait().unwrap();

    let started = Instant::now();
    eventually_blocking(Duration::from_secs(10), || {
        ensure!(
            TcpStream::connect(&address).is_err(),
            "the API server still listens"
        );
        match processes.iter().find(|id| runs(**id)) {
            Some(id) => bail!("process {id} still runs"),
            None => Ok(()),
        }
    })
    .unwrap();
    eprintln!(
        "all servers were gone {:?} after their parent",
        started.elapsed()
    );

    // What it left on the disk goes when the next one starts.
    assert!(std::fs::exists(&facts["directory"]).unwrap());
    let next = ControlPlane::start(Options {
        controller_manager: false,
        ..Options::default()
    })
    .unwrap();
    assert!(!std::fs::exists(&facts["directory"]).unwrap());
    drop(next);
}

/// Not a test: the process that [`servers_die_with_a_killed_parent`] kills.
#[test]
fn child_that_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let control_plane = ControlPlane::start(Options::default()).unwrap();
    let processes: Vec<_> = control_plane
        .process_ids()
        .iter()
        .map(|(_, id)| id.to_string())
        .collect();
    println!(
        "\nchild: address={}",
        control_plane.url().strip_prefix("https://").unwrap()
    );
    println!("child: processes={}", processes.join(" "));
    println!("child: directory={}", control_plane.dir().display());
    println!("child: ready");
    loop {
        std::thread::park();
    }
}
