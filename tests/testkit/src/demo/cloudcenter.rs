//! The story of a user's API key at Cisco CloudCenter: found on the third page, read, followed when somebody
//! has a new one made, and made anew where the request and a grant say so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use serde_json::Value;
use testkit::cloudcenter::{
    Account, CloudCenterOptions, CloudCenterSimulator, PAGE, ROOT_TENANT, USERS,
};
use testkit::wait::eventually;

use super::declaring;
use super::example::{Encore, Example};
use super::follow::{Follow, Seen};
use super::narrator::{Narrator, seconds};
use super::opening;
use super::scene::{SOON, Scene};

const LOGIN: &str = "docs/examples/cloudcenter-api-key/login.yaml";
const PROVIDER: &str = "docs/examples/cloudcenter-api-key/provider.yaml";
const REQUEST: &str = "docs/examples/cloudcenter-api-key/request.yaml";

/// The endpoint of the examples.
const PLACEHOLDER: &str = "https://ccm.example.com";

/// The name of the request in the examples, and of its Secret.
const NAME: &str = "deployer";

/// The user whose key the example asks for.
const EMAIL: &str = "deployer@payments.example.com";

/// How many users come before that one in CloudCenter's list: two pages and a half.
const CROWD: usize = PAGE * 5 / 2;

/// How often the key is read again, instead of the example's. A reading takes two of the twenty calls a
/// second that the provider's budget allows.
const VERIFY_EVERY: Duration = Duration::from_millis(150);

/// How many readings have to find the same.
const READINGS: u64 = 100;

/// Tells the story.
///
/// # Errors
/// When a step cannot be verified.
pub async fn tell(narrator: &mut Narrator, scene: &mut Scene) -> Result<Encore> {
    opening::announce(
        narrator,
        "The API key of a CloudCenter user as a Kubernetes Secret: read, watched, and made anew only where everybody agrees",
        "and a simulator of CloudCenter 4.x inside this program",
    );
    opening::put_up(narrator, scene).await?;
    let story = Telling::begin(narrator, scene)?;
    story.declare_provider(narrator, scene).await?;
    let client = scene.control_plane()?.admin_client().await;
    let mut follow = Follow::begin(client.clone(), "payments", NAME);
    let secrets: Api<Secret> = Api::namespaced(client, "payments");
    let first = story.ask(narrator, scene, &mut follow).await?;
    story.read_again(narrator, scene, &secrets).await?;
    story.change(narrator, scene, &mut follow, first).await?;
    story.make_anew(narrator, scene, &mut follow).await?;
    story.hide(narrator, scene, &secrets).await?;
    story.delete(narrator, scene, &mut follow).await?;
    Ok(Encore {
        examples: vec![request()?],
        looks: vec![format!("kubectl describe secret {NAME} -n payments")],
    })
}

/// The request, with readings that can be waited for.
fn request() -> Result<Example> {
    let every = format!("verifyEvery: {}ms", VERIFY_EVERY.as_millis());
    Example::read(REQUEST)?.with("verifyEvery: 5m", &every)
}

struct Telling {
    cloudcenter: Arc<CloudCenterSimulator>,
    http: reqwest::Client,
    /// The operator's user.
    admin: Account,
    /// The user whose key is asked for.
    deployer: Account,
}

impl Telling {
    fn begin(narrator: &mut Narrator, scene: &mut Scene) -> Result<Self> {
        narrator.step("A CloudCenter: a simulator that speaks its manager's REST API over TLS, with a certificate authority of its own");
        let cloudcenter = Arc::new(CloudCenterSimulator::start(CloudCenterOptions {
            tls: true,
        }));
        // Whoever looks around afterwards needs it as long as everything else is up.
        scene.keep(Arc::clone(&cloudcenter));
        let admin = cloudcenter.add_tenant_admin("operator@platform.example.com", ROOT_TENANT);
        for number in 1..=CROWD {
            cloudcenter.add_user(&format!("user-{number}@crowd.example.com"), ROOT_TENANT);
        }
        let deployer = cloudcenter.add_user(EMAIL, ROOT_TENANT);
        narrator.verified(format!(
            "it serves at {}; its list of users has {} of them in pages of {PAGE}, each with one key",
            cloudcenter.endpoint(),
            CROWD + 2
        ));
        Ok(Self {
            http: declaring::trusting(cloudcenter.ca_pem())?,
            cloudcenter,
            admin,
            deployer,
        })
    }

    async fn declare_provider(&self, narrator: &mut Narrator, scene: &Scene) -> Result<()> {
        narrator.step(
            "The platform team declares the provider, its login, and whose key may be asked for",
        );
        let endpoint = self.cloudcenter.endpoint();
        declaring::namespaces(narrator, scene).await?;
        declaring::authority(narrator, scene, "ccm-ca", self.cloudcenter.ca_pem()).await?;
        let login = Example::read(LOGIN)?
            .with(PLACEHOLDER, &endpoint)?
            .with("operator_17", &self.admin.username)?
            .with("put-the-api-key-here", &self.admin.key)?;
        let provider = Example::read(PROVIDER)?.with(PLACEHOLDER, &endpoint)?;
        declaring::provider(narrator, scene, "cloudcenter", &login, &provider).await?;
        let read = self.cloudcenter.counts().key_reads;
        ensure!(read == 1, "keys were read {read} times to test the login");
        narrator.verified("the provider is ready: the login has read its own key, once");
        Ok(())
    }

    async fn ask(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
    ) -> Result<Seen> {
        narrator.step(
            "An application team asks for a user's key, by the e-mail address, and has a Secret",
        );
        narrator.says(&format!(
            "(the example, read again every {} ms, so that there is something to see:)",
            VERIFY_EVERY.as_millis()
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
        ensure!(
            first.value("key")? == self.deployer.key,
            "another key is published than the user has"
        );
        let pages = self.listed();
        ensure!(pages == 3, "{pages} pages were read");
        narrator.verified("the address was found on page 3 of the list of users");
        let name = self.call(&first).await?;
        ensure!(
            name == self.deployer.username,
            "CloudCenter takes the key for one of {name:?}"
        );
        narrator.verified(format!(
            "with what is in it, CloudCenter answers to a call as user {name}"
        ));
        Ok(first)
    }

    async fn read_again(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        secrets: &Api<Secret>,
    ) -> Result<()> {
        narrator.step(&format!("The key is read again, {READINGS} times"));
        narrator.says("(First the provider has to have counted the request: it writes that into its status, by and by.)");
        let counted =
            "wait --for=jsonpath='{.status.requests}'=1 --timeout=30s ccredprov/cloudcenter";
        scene.show_kubectl(narrator, counted).await?;
        let version = secrets.get(NAME).await?.resource_version();
        let mark = declaring::mark(scene).await?;
        let (since, started) = (self.cloudcenter.counts().key_reads, Instant::now());
        eventually(SOON * 3, || async {
            let read = self.cloudcenter.counts().key_reads - since;
            ensure!(read >= READINGS, "it was read {read} times");
            Ok(())
        })
        .await?;
        let took = seconds(started.elapsed());
        let changes = declaring::changes_since(scene, mark).await?;
        ensure!(changes.is_empty(), "the operator wrote: {changes:?}");
        ensure!(
            secrets.get(NAME).await?.resource_version() == version,
            "the Secret was written"
        );
        narrator.verified(format!(
            "{READINGS} readings in {took} have found the same; by the API server's audit log the operator wrote nothing meanwhile"
        ));
        self.has_made(0)?;
        let pages = self.listed();
        ensure!(pages == 3, "{pages} pages were read by now");
        narrator.verified("by CloudCenter's ledger no call was one that changes anything; and the list was not read again");
        Ok(())
    }

    async fn change(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
        old: Seen,
    ) -> Result<()> {
        narrator.step("Somebody opens CloudCenter and presses \"Generate new key\"");
        let pressed = Instant::now();
        let key = self.cloudcenter.change_key(&self.deployer.id);
        let refused = self.call(&old).await.err();
        let refused = refused.context("CloudCenter takes the old key")?;
        ensure!(format!("{refused:#}").contains("401"), "{refused:#}");
        narrator.verified("CloudCenter does not take the old key any more, from that moment on");
        let new = follow
            .until("the new key", SOON, |seen| {
                seen.value("key").is_ok_and(|seen| seen == key)
            })
            .await?;
        narrator.verified(format!(
            "the new one is in the Secret {} ms later, at the next reading",
            new.at.duration_since(pressed).as_millis()
        ));
        let name = self.call(&new).await?;
        ensure!(
            name == self.deployer.username,
            "CloudCenter takes the new key for one of {name:?}"
        );
        declaring::ready(narrator, scene, NAME).await?;
        narrator.verified("with what is in it, CloudCenter answers again");
        Ok(())
    }

    async fn make_anew(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
    ) -> Result<()> {
        narrator.step("The team wants to have new keys made by itself");
        narrator.says(
            "(That takes two words: `regenerate: true` in the provider's grant, and `onRotate: Regenerate` in the request.)",
        );
        let provider = Example::read(PROVIDER)?
            .with(PLACEHOLDER, &self.cloudcenter.endpoint())?
            .with("regenerate: false", "regenerate: true")?;
        scene.show_apply(narrator, &provider).await?;
        let request = request()?.with("onRotate: Read", "onRotate: Regenerate")?;
        scene.show_apply(narrator, &request).await?;
        self.has_made(0)?;
        let old = self.cloudcenter.account(&self.deployer.id);
        let rotate =
            format!("annotate credreq {NAME} -n payments credential-operator.dev/rotate=now");
        scene.show_kubectl(narrator, &rotate).await?;
        let new = follow
            .until("the new key", SOON, |seen| {
                seen.value("key").is_ok_and(|key| key != old.key)
            })
            .await?;
        self.has_made(1)?;
        ensure!(
            !self.cloudcenter.is_live(&old.username, &old.key),
            "the old key works"
        );
        let name = self.call(&new).await?;
        ensure!(
            name == self.deployer.username,
            "CloudCenter takes the new key for one of {name:?}"
        );
        let rotated = format!(
            "wait --for=jsonpath='{{.status.rotated}}'=now --timeout=20s credreq/{NAME} -n payments"
        );
        scene.show_kubectl(narrator, &rotated).await?;
        narrator.verified("CloudCenter was told once, and has made one key; it is in the Secret and works, and the old one is dead");
        Ok(())
    }

    async fn hide(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        secrets: &Api<Secret>,
    ) -> Result<()> {
        narrator
            .step("The user is moved to another tenant, where the operator's user may not look");
        let version = secrets.get(NAME).await?.resource_version();
        self.cloudcenter.move_user(&self.deployer.id, "2");
        let said = declaring::condition(narrator, scene, NAME, "RenewalFailing").await?;
        ensure!(said.starts_with("Forbidden"), "the request says {said}");
        declaring::ready(narrator, scene, NAME).await?;
        let secret = secrets.get(NAME).await?;
        ensure!(
            secret.resource_version() == version,
            "the Secret was written"
        );
        let name = self.call(&Seen::now(secret)).await?;
        ensure!(
            name == self.deployer.username,
            "the last good key does not work"
        );
        narrator.verified("the request says what is wrong, and is Ready all the same: the last good key is in the Secret, and works");

        self.cloudcenter.move_user(&self.deployer.id, ROOT_TENANT);
        narrator
            .says("The user is moved back. Any change of the login Secret has that tried at once:");
        let touch = "annotate secret cloudcenter-login -n platform checked=now";
        scene.show_kubectl(narrator, touch).await?;
        let wait = format!(
            "wait --for=condition=RenewalFailing=false --timeout=20s credreq/{NAME} -n payments"
        );
        scene.show_kubectl(narrator, &wait).await?;
        narrator.verified("the key is read again");
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
        let gone = follow.gone(SOON).await?;
        narrator.verified(format!(
            "the Secret went with it, {} after kubectl had been started",
            seconds(gone.duration_since(deleted))
        ));
        let account = self.cloudcenter.account(&self.deployer.id);
        ensure!(
            self.cloudcenter.is_live(&account.username, &account.key),
            "the user's key was destroyed"
        );
        self.has_made(1)?;
        narrator.verified("the user's key lives on; from the beginning to the end, one call has changed something: the one that was asked for");
        Ok(())
    }

    /// Makes a call with what is in a Secret, and returns whom CloudCenter takes the caller for.
    async fn call(&self, secret: &Seen) -> Result<String> {
        let path = format!("/v1/users/{}", self.deployer.id);
        let request = self
            .http
            .get(secret.value("endpoint")? + &path)
            .header("authorization", secret.value("authorization")?)
            .header("x-cliqr-api-key-auth", "true")
            .header("accept", "application/json");
        let answer = request.send().await?.error_for_status()?;
        let user: Value = serde_json::from_str(&answer.text().await?)?;
        Ok(user["username"].as_str().unwrap_or_default().to_owned())
    }

    /// How many pages of the list of users were read.
    fn listed(&self) -> usize {
        let calls = self.cloudcenter.calls();
        calls.iter().filter(|call| call.path == USERS).count()
    }

    /// Makes sure that so many keys were made by calls, and that nothing else was changed.
    fn has_made(&self, keys: u64) -> Result<()> {
        let counts = self.cloudcenter.counts();
        ensure!(
            (counts.changing, counts.generated) == (keys, keys),
            "not {keys} keys were made at CloudCenter: {counts:?}"
        );
        Ok(())
    }
}
