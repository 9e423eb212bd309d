//! What the stories about simulators have in common: what the platform team declares, how a workload
//! calls, what a request says, and what the operator asked the API server to change meanwhile.

use anyhow::{Context as _, Result};
use testkit::control_plane::{Mark, service_account_user};

use super::example::Example;
use super::narrator::Narrator;
use super::scene::{ACCOUNT, SOON, Scene};

/// Makes the namespaces of the examples: `platform` for logins, `payments` for a team.
///
/// # Errors
/// When kubectl fails.
pub async fn namespaces(narrator: &Narrator, scene: &Scene) -> Result<()> {
    for name in ["platform", "payments"] {
        let create = format!("create namespace {name}");
        scene.show_kubectl(narrator, &create).await?;
    }
    Ok(())
}

/// Puts the certificate of a simulator's authority into the Secret that the example names.
///
/// # Errors
/// When kubectl fails, or there is no certificate.
pub async fn authority(
    narrator: &Narrator,
    scene: &Scene,
    name: &str,
    ca_pem: Option<&str>,
) -> Result<()> {
    let directory = scene.directory()?.join(name);
    std::fs::create_dir_all(&directory)?;
    let file = directory.join("ca.crt");
    let ca_pem = ca_pem.context("the simulator has no authority")?;
    std::fs::write(&file, ca_pem)?;
    let create = format!(
        "create secret generic {name} -n platform --from-file={}",
        file.display()
    );
    scene.show_kubectl(narrator, &create).await?;
    Ok(())
}

/// Applies a login and a provider, and waits until that is ready.
///
/// # Errors
/// When kubectl fails, or the provider does not become ready.
pub async fn provider(
    narrator: &Narrator,
    scene: &Scene,
    name: &str,
    login: &Example,
    provider: &Example,
) -> Result<()> {
    narrator.says("(the examples, with the simulator's address and login in them:)");
    scene.show_apply(narrator, login).await?;
    scene.show_apply(narrator, provider).await?;
    let wait = format!("wait --for=condition=Ready --timeout=20s ccredprov/{name}");
    scene.show_kubectl(narrator, &wait).await?;
    let get = format!("get ccredprov {name}");
    scene.show_kubectl(narrator, &get).await?;
    Ok(())
}

/// Waits until a request is ready, and shows it.
///
/// # Errors
/// When it does not become ready.
pub async fn ready(narrator: &Narrator, scene: &Scene, request: &str) -> Result<()> {
    let wait = format!("wait --for=condition=Ready --timeout=20s credreq/{request} -n payments");
    scene.show_kubectl(narrator, &wait).await?;
    let get = format!("get credreq {request} -n payments");
    scene.show_kubectl(narrator, &get).await?;
    Ok(())
}

/// Waits until a request has a condition, and shows what that says; returns it.
///
/// # Errors
/// When it does not come.
pub async fn condition(
    narrator: &Narrator,
    scene: &Scene,
    request: &str,
    condition: &str,
) -> Result<String> {
    let wait =
        format!("wait --for=condition={condition} --timeout=30s credreq/{request} -n payments");
    scene.show_kubectl(narrator, &wait).await?;
    let of = format!("{{.status.conditions[?(@.type==\"{condition}\")]");
    let get =
        format!("get credreq {request} -n payments -o jsonpath='{of}.reason}}: {of}.message}}'");
    scene.show_kubectl(narrator, &get).await
}

/// A client as a workload has one, which trusts the simulator's authority.
///
/// # Errors
/// When there is no certificate.
pub fn trusting(ca_pem: Option<&str>) -> Result<reqwest::Client> {
    let pem = ca_pem.context("the simulator has no authority")?;
    let authority = reqwest::Certificate::from_pem(pem.as_bytes())?;
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .timeout(SOON)
        .build()?)
}

/// A place in the API server's audit log.
///
/// # Errors
/// When there is no log.
pub async fn mark(scene: &Scene) -> Result<Mark> {
    let audit = scene.control_plane()?.audit();
    audit.settle(&operator(), SOON).await?;
    audit.mark()
}

/// What the operator has asked the API server to change since then, but for the Lease, which it renews
/// as long as it runs.
///
/// # Errors
/// When the log cannot be read.
pub async fn changes_since(scene: &Scene, mark: Mark) -> Result<Vec<String>> {
    let audit = scene.control_plane()?.audit();
    audit.settle(&operator(), SOON).await?;
    let events = audit.since(mark).mutating(&operator())?;
    let changes = events
        .into_iter()
        .filter(|event| event.resource != "leases")
        .map(|event| format!("{} {}", event.verb, event.request_uri));
    Ok(changes.collect())
}

fn operator() -> String {
    service_account_user(ACCOUNT.0, ACCOUNT.1)
}
