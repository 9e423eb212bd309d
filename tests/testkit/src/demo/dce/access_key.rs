//! The access key of a DCE from ghippo 0.14 on: it is made, rotated with an overlap, and deleted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::Value;
use testkit::dce::{AccessKey, DceOptions, DceSimulator, Generation};
use testkit::wait::eventually;

use super::super::consumer::Consumer;
use super::super::declaring;
use super::super::example::Example;
use super::super::follow::{Follow, Seen};
use super::super::narrator::{Narrator, seconds};
use super::super::scene::{SOON, Scene};
use super::{CA, PLACEHOLDER, call};

/// How long the old key works on, instead of the example's.
const OVERLAP: Duration = Duration::from_secs(5);

/// How much shorter than told the overlap may be seen to be: its beginning is seen a little late.
const SLACK: Duration = Duration::from_secs(1);

const LOGIN: &str = "docs/examples/dce-access-key/login.yaml";
const PROVIDER: &str = "docs/examples/dce-access-key/provider.yaml";
const REQUEST: &str = "docs/examples/dce-access-key/request.yaml";

/// The name of the request in the examples, and of its Secret.
const NAME: &str = "dce-key";

/// Another name for the Secret with the certificate: the first DCE has one of the example's name.
const NEWER_CA: &str = "dce-newer-ca";

/// The operator's user, and the name of the key that it logs in with.
const USER: &str = "payments-bot";

/// How long the workload waits between two calls.
const PAUSE: Duration = Duration::from_millis(50);

/// The request, with an overlap that can be waited for.
///
/// # Errors
/// When the example is not there, or another one.
pub fn request() -> Result<Example> {
    let overlap = format!("overlap: {}s", OVERLAP.as_secs());
    Example::read(REQUEST)?.with("overlap: 1h", &overlap)
}

/// Tells the second part of the story.
///
/// # Errors
/// When a step cannot be verified.
pub async fn tell(narrator: &mut Narrator, scene: &mut Scene) -> Result<()> {
    narrator.step(
        "A DCE with ghippo 0.14 or later, another simulator: there, an access key is the token",
    );
    let dce = Arc::new(DceSimulator::start(DceOptions {
        tls: true,
        generation: Generation::From014,
        ..DceOptions::default()
    }));
    scene.keep(Arc::clone(&dce));
    let login = dce.add_access_key(USER, "operator", None);
    narrator.verified(format!(
        "it serves at {}; the user {USER} has made a key by hand, with which the operator will log in",
        dce.endpoint()
    ));
    let story = Telling {
        http: declaring::trusting(dce.ca_pem())?,
        dce,
        login,
    };
    story.declare_provider(narrator, scene).await?;
    let client = scene.control_plane()?.admin_client().await;
    let mut follow = Follow::begin(client, "payments", NAME);
    let first = story.ask(narrator, scene, &mut follow).await?;
    story.rotate(narrator, scene, &mut follow, first).await?;
    story.delete(narrator, scene, &mut follow).await
}

struct Telling {
    dce: Arc<DceSimulator>,
    http: reqwest::Client,
    login: AccessKey,
}

impl Telling {
    async fn declare_provider(&self, narrator: &mut Narrator, scene: &Scene) -> Result<()> {
        narrator.step("The platform team declares a second provider, for this one");
        let endpoint = self.dce.endpoint();
        declaring::authority(narrator, scene, NEWER_CA, self.dce.ca_pem()).await?;
        let login = Example::read(LOGIN)?
            .with(PLACEHOLDER, &endpoint)?
            .with("put-the-access-key-here", &self.login.token)?;
        let provider = Example::read(PROVIDER)?
            .with(PLACEHOLDER, &endpoint)?
            .with(
                &format!("platform, name: {CA}"),
                &format!("platform, name: {NEWER_CA}"),
            )?;
        declaring::provider(narrator, scene, "dce-keys", &login, &provider).await?;
        let made = self.made();
        ensure!(made.is_empty(), "keys were made for a test: {made:?}");
        narrator
            .verified("the provider is ready: its login was tried, and nothing was made for that");
        Ok(())
    }

    async fn ask(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
    ) -> Result<Seen> {
        narrator.step("An application team asks for an access key, and has a Secret");
        narrator.says(&format!(
            "(the example, with an overlap of {} s, so that there is something to see:)",
            OVERLAP.as_secs()
        ));
        let asked = Instant::now();
        scene.show_apply(narrator, &request()?).await?;
        let first = follow.until("the Secret", SOON, |_| true).await?;
        declaring::ready(narrator, scene, NAME).await?;
        narrator.says(&format!("In the Secret: {}", first.keys()));
        narrator.verified(format!(
            "the Secret was there {} after kubectl had been started",
            seconds(first.at.duration_since(asked))
        ));
        let user = call(&secrets(scene).await?, NAME, &self.http).await?;
        let user: Value = serde_json::from_str(&user)?;
        let name = user["username"].as_str().unwrap_or_default();
        ensure!(name == USER, "DCE takes the key for one of {name:?}");
        let made = self.made();
        let [key] = &made[..] else {
            anyhow::bail!("{} keys were made, not one", made.len());
        };
        ensure!(
            key.token == first.value("token")?,
            "another key is published than was made"
        );
        ensure!(key.expires_ms.is_some(), "the key never expires");
        narrator.verified(format!(
            "with what is in it, DCE answers to a call as user {name}; the key is called {} there, and expires",
            key.name
        ));
        Ok(first)
    }

    async fn rotate(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
        old: Seen,
    ) -> Result<()> {
        narrator.step("Somebody asks for a rotation, while a workload calls DCE 20 times a second with what is in the Secret");
        let (secrets, http) = (secrets(scene).await?, self.http.clone());
        let consumer = Consumer::begin(PAUSE, move || {
            let (secrets, http) = (secrets.clone(), http.clone());
            async move { call(&secrets, NAME, &http).await.map(drop) }
        });
        let rotate =
            format!("annotate credreq {NAME} -n payments credential-operator.dev/rotate=now");
        scene.show_kubectl(narrator, &rotate).await?;
        let new = follow
            .until("a rotation", SOON, |seen| seen.serial > old.serial)
            .await?;
        let (old_key, new_key) = (old.value("token")?, new.value("token")?);
        ensure!(
            self.dce.is_live(&old_key) && self.dce.is_live(&new_key),
            "DCE does not take both keys during the overlap"
        );
        narrator.verified(format!(
            "key {} is in the Secret; DCE takes both, the old one and the new one",
            new.serial
        ));
        let records = format!(
            "get credreq {NAME} -n payments -o jsonpath='{{range .status.credentials[*]}}{{.serial}} {{.state}} {{.revokeAfter}}{{\"\\n\"}}{{end}}'"
        );
        scene.show_kubectl(narrator, &records).await?;
        eventually(OVERLAP + SOON, || async {
            ensure!(!self.dce.is_live(&old_key), "DCE takes the old key");
            Ok(())
        })
        .await?;
        let after = new.at.elapsed();
        ensure!(
            after + SLACK >= OVERLAP,
            "the old key was deleted after {}, before the overlap was over",
            seconds(after)
        );
        narrator.verified(format!(
            "{} after the new key, the old one is deleted",
            seconds(after)
        ));
        let calls = consumer.end().await?.flawless()?;
        narrator.verified(format!(
            "of the workload's {calls} calls meanwhile, none failed"
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
        let delete = format!("delete credreq {NAME} -n payments");
        scene.show_kubectl(narrator, &delete).await?;
        let alive = self.dce.live_access_keys();
        let [only] = &alive[..] else {
            anyhow::bail!("{} keys work at DCE, not the login alone", alive.len());
        };
        ensure!(only.id == self.login.id, "another key than the login works");
        narrator.verified(format!(
            "after {}, when kubectl returns, every key that was made for it is deleted at DCE; the login alone is left",
            seconds(deleted.elapsed())
        ));
        follow.gone(SOON).await?;
        narrator.verified("the Secret is gone");
        let made = self.made();
        let names: Vec<_> = made.iter().map(|key| key.name.as_str()).collect();
        ensure!(made.len() == 2, "the operator has made {names:?}");
        let last = made.last().context("no key was made")?;
        let answer = self.http.get(self.dce.endpoint() + super::SELF_TEST);
        let answer = answer.bearer_auth(&last.token).send().await?;
        ensure!(answer.status() == 401, "a copy of the last key works");
        narrator.verified("with a copy of what was last in it, DCE answers 401");
        Ok(())
    }

    /// The keys that the operator has made, whatever became of them.
    fn made(&self) -> Vec<AccessKey> {
        let mut keys = self.dce.access_keys();
        keys.retain(|key| key.id != self.login.id);
        keys
    }
}

async fn secrets(scene: &Scene) -> Result<Api<Secret>> {
    let client = scene.control_plane()?.admin_client().await;
    Ok(Api::namespaced(client, "payments"))
}
