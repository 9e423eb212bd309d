//! The token of a DCE before ghippo 0.14: it appears, is renewed while a workload uses it, repaired, and
//! left to expire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::Value;
use testkit::dce::{DceOptions, DceSimulator};
use testkit::wait::eventually;

use super::super::consumer::Consumer;
use super::super::declaring;
use super::super::example::Example;
use super::super::follow::{Follow, Seen};
use super::super::narrator::{Narrator, seconds};
use super::super::scene::{SOON, Scene};
use super::{CA, PLACEHOLDER, call};

/// How long the simulator lets a token live, whatever is asked for.
const LIFE: Duration = Duration::from_secs(5);

/// How many renewals have to be seen.
const RENEWALS: u32 = 3;

const LOGIN: &str = "docs/examples/dce-token/login.yaml";
const PROVIDER: &str = "docs/examples/dce-token/provider.yaml";
pub const REQUEST: &str = "docs/examples/dce-token/request.yaml";

/// The name of the request in the examples, and of its Secret.
const NAME: &str = "dce-token";

/// How long the workload waits between two calls.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells the first part of the story.
///
/// # Errors
/// When a step cannot be verified.
pub async fn tell(narrator: &mut Narrator, scene: &mut Scene) -> Result<()> {
    let dce = Arc::new(start_dce(narrator));
    // Whoever looks around afterwards needs it as long as everything else is up.
    scene.keep(Arc::clone(&dce));
    let story = Telling {
        http: declaring::trusting(dce.ca_pem())?,
        dce,
    };
    story.declare_provider(narrator, scene).await?;
    let client = scene.control_plane()?.admin_client().await;
    let mut follow = Follow::begin(client, "payments", NAME);
    story.ask(narrator, scene, &mut follow).await?;
    story.renew(narrator, scene, &mut follow).await?;
    story.repair(narrator, scene, &mut follow).await?;
    story.delete(narrator, scene, &mut follow).await
}

fn start_dce(narrator: &mut Narrator) -> DceSimulator {
    narrator.step("A DCE before ghippo 0.14: a simulator that speaks its protocol over TLS, with a certificate authority of its own");
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
        declaring::namespaces(narrator, scene).await?;
        declaring::authority(narrator, scene, CA, self.dce.ca_pem()).await?;
        let login = Example::read(LOGIN)?
            .with(PLACEHOLDER, &endpoint)?
            .with("put-the-access-key-here", &ak)?
            .with("put-the-secret-key-here", &sk)?;
        let provider = Example::read(PROVIDER)?.with(PLACEHOLDER, &endpoint)?;
        declaring::provider(narrator, scene, "dce", &login, &provider).await?;
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
        declaring::ready(narrator, scene, NAME).await?;
        scene
            .show_kubectl(narrator, "get secret dce-token -n payments")
            .await?;
        narrator.says(&format!("In it: {}", first.keys()));
        narrator.verified(format!(
            "the Secret was there {} after kubectl had been started",
            seconds(first.at.duration_since(asked))
        ));
        let user = call(&self.secrets(scene).await?, NAME, &self.http).await?;
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
            async move { call(&secrets, NAME, &http).await.map(drop) }
        });
        // What is there now may already be a renewed one: those are counted that come from here on.
        let secret = self.secrets(scene).await?.get(NAME).await?;
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
