//! The story of a DaoCloud Enterprise token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::Value;
use testkit::dce::{DceOptions, DceSimulator};
use testkit::wait::eventually;

use super::consumer::Consumer;
use super::example::{Encore, Example};
use super::follow::{Follow, Seen, value};
use super::narrator::{Narrator, seconds};
use super::opening;
use super::scene::{SOON, Scene};

/// How long the simulator lets a token live, whatever is asked for.
const LIFE: Duration = Duration::from_secs(5);

/// How many renewals have to be seen.
const RENEWALS: u32 = 3;

/// What workloads call with their token.
const SELF_TEST: &str = "/apis/ghippo.io/v1alpha1/current-user";

const LOGIN: &str = "docs/examples/dce-token/login.yaml";
const PROVIDER: &str = "docs/examples/dce-token/provider.yaml";
const REQUEST: &str = "docs/examples/dce-token/request.yaml";

/// The endpoint of the examples.
const PLACEHOLDER: &str = "https://dce.example.com";

/// How long the workload waits between two calls.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells the story.
///
/// # Errors
/// When a step cannot be verified.
pub async fn tell(narrator: &mut Narrator, scene: &mut Scene) -> Result<Encore> {
    opening::announce(
        narrator,
        "A token of DaoCloud Enterprise (DCE) as a Kubernetes Secret, from the first request to the last renewal",
        "and a simulator of DCE inside this program",
    );
    opening::put_up(narrator, scene).await?;
    let dce = Arc::new(start_dce(narrator));
    // Whoever looks around afterwards needs it as long as everything else is up.
    scene.keep(Arc::clone(&dce));
    let story = Telling {
        http: trusting(&dce)?,
        dce,
    };
    story.declare_provider(narrator, scene).await?;
    let mut follow = Follow::begin(
        scene.control_plane()?.admin_client().await,
        "payments",
        "dce-token",
    );
    story.ask(narrator, scene, &mut follow).await?;
    story.renew(narrator, scene, &mut follow).await?;
    story.repair(narrator, scene, &mut follow).await?;
    story.delete(narrator, scene, &mut follow).await?;
    Ok(Encore {
        examples: vec![Example::read(REQUEST)?],
        looks: vec![String::from(
            "kubectl describe secret dce-token -n payments",
        )],
    })
}

fn start_dce(narrator: &mut Narrator) -> DceSimulator {
    narrator.step("A DCE: a simulator that speaks its protocol over TLS, with a certificate authority of its own");
    let dce = DceSimulator::start(DceOptions {
        tls: true,
        ..DceOptions::default()
    });
    dce.grant_at_most(Some(LIFE));
    narrator.verified(format!(
        "it serves at {}; its tokens live {} s, so that there is something to see",
        dce.endpoint(),
        LIFE.as_secs()
    ));
    dce
}

/// A client that trusts the simulator's authority.
fn trusting(dce: &DceSimulator) -> Result<reqwest::Client> {
    let pem = dce.ca_pem().context("the simulator has no authority")?;
    let authority = reqwest::Certificate::from_pem(pem.as_bytes())?;
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .timeout(SOON)
        .build()?)
}

struct Telling {
    dce: Arc<DceSimulator>,
    http: reqwest::Client,
}

impl Telling {
    async fn declare_provider(&self, narrator: &mut Narrator, scene: &Scene) -> Result<()> {
        narrator.step(
            "The platform team declares the provider, its login, and who may ask it for what",
        );
        let (ak, sk) = self.dce.add_user("payments-bot");
        let endpoint = self.dce.endpoint();
        let ca = scene.directory()?.join("ca.crt");
        std::fs::write(&ca, self.dce.ca_pem().unwrap_or_default())?;

        scene
            .show_kubectl(narrator, "create namespace platform")
            .await?;
        scene
            .show_kubectl(narrator, "create namespace payments")
            .await?;
        let create = format!(
            "create secret generic dce-ca -n platform --from-file={}",
            ca.display()
        );
        scene.show_kubectl(narrator, &create).await?;
        narrator.says("(the examples, with the simulator's address and key pair in them:)");
        let login = Example::read(LOGIN)?
            .with(PLACEHOLDER, &endpoint)?
            .with("put-the-access-key-here", &ak)?
            .with("put-the-secret-key-here", &sk)?;
        scene.show_apply(narrator, &login).await?;
        let provider = Example::read(PROVIDER)?.with(PLACEHOLDER, &endpoint)?;
        scene.show_apply(narrator, &provider).await?;
        let wait = "wait --for=condition=Ready --timeout=20s ccredprov/dce";
        scene.show_kubectl(narrator, wait).await?;
        scene.show_kubectl(narrator, "get ccredprov dce").await?;
        ensure!(
            self.dce.token_requests() == 1,
            "the login was tried {} times, not once",
            self.dce.token_requests()
        );
        narrator.verified("the provider is ready: its login was tried, once");
        Ok(())
    }

    async fn ask(&self, narrator: &mut Narrator, scene: &Scene, follow: &mut Follow) -> Result<()> {
        narrator.step("An application team asks for a token, and has a Secret");
        let asked = Instant::now();
        scene.show_apply(narrator, &Example::read(REQUEST)?).await?;
        let first = follow.until("the Secret", SOON, |_| true).await?;
        scene
            .show_kubectl(
                narrator,
                "wait --for=condition=Ready --timeout=20s credreq/dce-token -n payments",
            )
            .await?;
        scene
            .show_kubectl(narrator, "get credreq dce-token -n payments")
            .await?;
        scene
            .show_kubectl(narrator, "get secret dce-token -n payments")
            .await?;
        narrator.says(&format!("In it: {}", first.keys()));
        narrator.verified(format!(
            "the Secret was there {} after kubectl had been started",
            seconds(first.at.duration_since(asked))
        ));
        let user = call(&self.secrets(scene).await?, &self.http).await?;
        let user: Value = serde_json::from_str(&user)?;
        let name = user["username"].as_str().unwrap_or_default();
        ensure!(
            name == "payments-bot",
            "DCE takes the token for one of {name:?}"
        );
        narrator.verified(format!(
            "with what is in it, DCE answers to a call as user {name}"
        ));
        Ok(())
    }

    async fn renew(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
    ) -> Result<()> {
        narrator.step("The token is renewed before it expires, while a workload calls DCE 20 times a second with what is in the Secret");
        let (secrets, http) = (self.secrets(scene).await?, self.http.clone());
        let consumer = Consumer::begin(PAUSE, move || {
            let (secrets, http) = (secrets.clone(), http.clone());
            async move { call(&secrets, &http).await.map(drop) }
        });
        // What is there now may already be a renewed one: those are counted that come from here on.
        let secret = self.secrets(scene).await?.get("dce-token").await?;
        let mut last = Seen::now(secret);
        for _ in 0..RENEWALS {
            let next = follow
                .until("a renewal", SOON, |seen| seen.serial > last.serial)
                .await?;
            let left = jiff::Timestamp::now()
                .until(last.expiry()?)?
                .total(jiff::Unit::Second)?;
            ensure!(
                left > 0.0,
                "token {} came {:.1} s after its predecessor had expired",
                next.serial,
                -left
            );
            ensure!(
                self.dce.is_live(&next.value("token")?),
                "token {} does not work at DCE",
                next.serial
            );
            narrator.verified(format!(
                "token {} is published, {left:.1} s before token {} expires",
                next.serial, last.serial
            ));
            last = next;
        }
        let calls = consumer.end().await?.flawless()?;
        narrator.verified(format!(
            "of the workload's {calls} calls meanwhile, none failed"
        ));
        Ok(())
    }

    async fn repair(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
    ) -> Result<()> {
        narrator.step("Somebody changes the Secret by hand");
        let nonsense = "changed-by-hand";
        let patch = r#"patch secret dce-token -n payments -p '{"stringData": {"token": "changed-by-hand"}}'"#;
        scene.show_kubectl(narrator, patch).await?;
        let is_damaged = |seen: &Seen| seen.value("token").is_ok_and(|token| token == nonsense);
        let damaged = follow.until("the change", SOON, is_damaged).await?;
        let repaired = follow
            .until("the repair", SOON, |seen| !is_damaged(seen))
            .await?;
        ensure!(
            self.dce.is_live(&repaired.value("token")?),
            "the repaired token does not work at DCE"
        );
        narrator.verified(format!(
            "it was repaired {} ms after the change, and the token in it works",
            repaired.at.duration_since(damaged.at).as_millis()
        ));
        Ok(())
    }

    async fn delete(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
    ) -> Result<()> {
        narrator.step("The request is deleted");
        let deleted = Instant::now();
        scene
            .show_kubectl(narrator, "delete credreq dce-token -n payments")
            .await?;
        let gone = follow.gone(SOON).await?;
        narrator.verified(format!(
            "the Secret went with it, {} after kubectl had been started",
            seconds(gone.duration_since(deleted))
        ));
        eventually(LIFE + SOON, || async {
            let live = self.dce.live().len();
            ensure!(live == 0, "{live} tokens still work at DCE");
            Ok(())
        })
        .await?;
        let issued = self.dce.issued().len();
        narrator.verified(format!(
            "DCE issued {issued} tokens; now that the last one has expired, none works"
        ));
        Ok(())
    }

    async fn secrets(&self, scene: &Scene) -> Result<Api<Secret>> {
        Ok(Api::namespaced(
            scene.control_plane()?.admin_client().await,
            "payments",
        ))
    }
}

/// Reads the Secret and calls DCE with what is in it.
///
/// # Errors
/// When the Secret cannot be read, or DCE does not answer 200.
async fn call(secrets: &Api<Secret>, http: &reqwest::Client) -> Result<String> {
    let secret = secrets.get("dce-token").await?;
    let url = value(&secret, "endpoint")? + SELF_TEST;
    let request = http
        .get(url)
        .header("authorization", value(&secret, "authorization")?);
    let answer = request.send().await?.error_for_status()?;
    Ok(answer.text().await?)
}
