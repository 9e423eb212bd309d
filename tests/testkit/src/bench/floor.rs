//! The floor program: the least that can be done for a number of requests. For each it makes the
//! operator's two calls to the provider and the operator's two writes, and nothing else: it watches
//! nothing, reads nothing, decides nothing. What it writes is what the operator was seen to write.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::cost::Templates;
use super::ready::ReadyWatch;
use super::rig::{DEADLINE, FLOOR, Rig};
use super::simulator::{fetch_token, prove_token};
use super::usage;

/// How many connections it keeps to each server, and how many requests it works on at a time.
const WORKERS: usize = 32;

/// What the floor program is told.
#[derive(Serialize, Deserialize)]
struct Orders {
    api_server: Server,
    api_token: String,
    provider: Server,
    ak: String,
    sk: String,
    templates: Templates,
    requests: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Server {
    url: String,
    ca_pem: String,
}

/// One request.
#[derive(Serialize, Deserialize)]
struct Item {
    name: String,
    uid: String,
    version: String,
}

/// What it says about itself in the end.
#[derive(Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in seconds.
    pub cpu: f64,
    /// The most memory that it has had, in KiB.
    pub peak: u64,
}

/// Runs the floor program for requests that exist. Returns how long it took from the start of the
/// process until the first and the last request was Ready, in seconds.
///
/// # Errors
/// When a call of it fails.
pub async fn measure(
    rig: &Rig,
    requests: &[DynamicObject],
    templates: &Templates,
) -> Result<([f64; 2], Usage)> {
    let login = &rig.simulator.login;
    let item = |request: &DynamicObject| Item {
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        version: request.resource_version().unwrap_or_default(),
    };
    let orders = serde_json::to_vec(&Orders {
        api_server: Server {
            url: rig.control_plane.url().to_owned(),
            ca_pem: rig.control_plane.ca_pem().to_owned(),
        },
        api_token: rig.floor_token.clone(),
        provider: Server {
            url: login.endpoint.clone(),
            ca_pem: rig.simulator.ca_pem.clone(),
        },
        ak: login.ak.clone(),
        sk: login.sk.clone(),
        templates: templates.clone(),
        requests: requests.iter().map(item).collect(),
    })?;
    let mut watch = ReadyWatch::begin(&rig.requests(FLOOR)).await?;
    let started = Instant::now();
    let mut process = tokio::process::Command::new(std::env::current_exe()?)
        .arg("floor")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = process.stdin.take().context("no standard input")?;
    input.write_all(&orders).await?;
    drop(input);
    let ready = watch.until(requests.len(), DEADLINE).await;
    let output = process.wait_with_output().await?;
    ensure!(output.status.success(), "the floor program failed");
    let usage = serde_json::from_slice(&output.stdout).context("the floor program says nothing")?;
    let (first, last) = ready?;
    let seconds = [first, last].map(|at| at.duration_since(started).as_secs_f64());
    Ok((seconds, usage))
}

/// The program itself.
///
/// # Errors
/// When a call fails.
pub async fn run() -> Result<()> {
    let mut input = Vec::new();
    tokio::io::stdin().read_to_end(&mut input).await?;
    let orders: Orders = serde_json::from_slice(&input).context("the orders")?;
    let floor = Arc::new(Floor {
        api_server: client(&orders.api_server)?,
        provider: client(&orders.provider)?,
        next: AtomicUsize::new(0),
        orders,
    });
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let floor = Arc::clone(&floor);
        workers.spawn(async move {
            while let Some(item) = floor
                .orders
                .requests
                .get(floor.next.fetch_add(1, Ordering::Relaxed))
            {
                floor.serve(item).await.with_context(|| item.name.clone())?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let own = std::process::id();
    println!(
        "{}",
        serde_json::to_string(&Usage {
            cpu: usage::cpu(own)?.as_secs_f64(),
            peak: usage::peak_memory(own)?
        })?
    );
    Ok(())
}

struct Floor {
    api_server: reqwest::Client,
    provider: reqwest::Client,
    next: AtomicUsize,
    orders: Orders,
}

fn client(server: &Server) -> Result<reqwest::Client> {
    let authority = reqwest::Certificate::from_pem(server.ca_pem.as_bytes())?;
    let builder = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(WORKERS);
    Ok(builder.tls_certs_only([authority]).build()?)
}

impl Floor {
    async fn serve(&self, item: &Item) -> Result<()> {
        let orders = &self.orders;
        let token =
            fetch_token(&self.provider, &orders.provider.url, &orders.ak, &orders.sk).await?;
        prove_token(&self.provider, &orders.provider.url, &token).await?;
        self.write(item, &orders.templates.secret, |body| {
            body["data"]["token"] = json!(BASE64_STANDARD.encode(&token));
            body["data"]["authorization"] =
                json!(BASE64_STANDARD.encode(format!("Bearer {token}")));
        })
        .await?;
        self.write(item, &orders.templates.status, |body| {
            body["metadata"]["resourceVersion"] = json!(item.version);
        })
        .await
    }

    /// Makes a write that the operator was seen to make, for another request.
    async fn write(
        &self,
        item: &Item,
        seen: &super::cost::Write,
        change: impl FnOnce(&mut Value),
    ) -> Result<()> {
        let templates = &self.orders.templates;
        let adapted = |text: &str| {
            text.replace(&templates.name, &item.name)
                .replace(&templates.uid, &item.uid)
                .replace(&templates.namespace, FLOOR)
        };
        let mut body: Value = serde_json::from_str(&adapted(&seen.body))?;
        change(&mut body);
        let url = format!(
            "{}{}",
            self.orders.api_server.url,
            adapted(&seen.path_and_query)
        );
        let request = self.api_server.request(seen.method.parse()?, url);
        let request = request
            .bearer_auth(&self.orders.api_token)
            .header("content-type", &seen.content_type);
        let answer = request.body(serde_json::to_vec(&body)?).send().await?;
        let (status, body) = (answer.status(), answer.bytes().await?);
        ensure!(
            status.is_success(),
            "{} {status}: {}",
            seen.method,
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }
}
