//! How the servers end.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{bail, ensure};
use testkit::openstack::{Keystone, Options, Swift};
use testkit::wait::eventually_blocking;

use super::DEADLINE;

/// Set in a child process of this test binary; see [`all_servers_die_with_a_killed_parent`].
const CHILD: &str = "TESTKIT_OPENSTACK_CHILD";

/// Whether a process runs; one that has ended and that nobody has waited for does not.
fn runs(process_id: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process_id}/stat")) else {
        return false;
    };
    let state = stat.rsplit(')').next().unwrap_or_default();
    !state.trim_start().starts_with('Z')
}

#[test]
fn all_servers_die_with_a_killed_parent() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lifecycle::child_that_is_killed", "--nocapture"])
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
    let all = |name: &str| -> Vec<String> { facts[name].split(' ').map(String::from).collect() };
    let addresses = all("addresses");
    let processes: Vec<u32> = all("processes")
        .iter()
        .map(|id| id.parse().unwrap())
        .collect();
    let connects = |address: &String| TcpStream::connect(address).is_ok();
    assert!(addresses.iter().all(connects));
    assert!(processes.iter().all(|id| runs(*id)));

    child.kill().unwrap(); // SIGKILL: nothing of the child's own can run any more.
    child.wait().unwrap();

    eventually_blocking(DEADLINE, || {
        ensure!(!addresses.iter().any(connects), "somebody still listens");
        match processes.iter().find(|id| runs(**id)) {
            Some(id) => bail!("process {id} still runs"),
            None => Ok(()),
        }
    })
    .unwrap();

    // What it left on the disk goes when the next one starts.
    let directories = all("directories");
    assert!(directories.iter().all(|path| Path::new(path).exists()));
    let keystone = Keystone::start(Options::default()).unwrap();
    assert!(!Path::new(&directories[0]).exists());
    let (directory, process) = (keystone.dir().to_owned(), keystone.process_id());
    let address = keystone.url().strip_prefix("http://").unwrap().to_owned();
    assert!(directory.exists() && connects(&address));
    drop(keystone);
    assert!(!connects(&address) && !runs(process) && !directory.exists());
}

/// Not a test: the process that [`all_servers_die_with_a_killed_parent`] kills.
#[test]
fn child_that_is_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let keystone = Keystone::start(Options::default()).unwrap();
    let swift = Swift::start(&keystone).unwrap();
    let addresses = [keystone.url(), swift.s3_endpoint()]
        .map(|url| url.strip_prefix("http://").unwrap())
        .join(" ");
    println!("\nchild: addresses={addresses}");
    let processes = [keystone.process_id(), swift.process_id()].map(|id| id.to_string());
    println!("child: processes={}", processes.join(" "));
    let directories = [keystone.dir(), swift.dir()].map(|path| path.display().to_string());
    println!("child: directories={}", directories.join(" "));
    println!("child: ready");
    loop {
        std::thread::park();
    }
}
