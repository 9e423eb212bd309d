//! The story of an access key for SODA: made at its Keystone, proven by reading it back through SODA,
//! rotated, and revoked at Keystone, because SODA could only delete everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::Method;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use testkit::openstack::{Clients, DEFAULT_DOMAIN, Keystone, Options, User};
use testkit::soda::{KeystoneAccount, Lie, SodaOptions, SodaSimulator};
use testkit::wait::eventually;

use super::consumer::Consumer;
use super::declaring;
use super::example::{Encore, Example};
use super::follow::{Follow, Seen};
use super::narrator::{Narrator, seconds};
use super::opening;
use super::programs;
use super::scene::{SOON, Scene};

const LOGIN: &str = "docs/examples/soda-access-key/login.yaml";
const PROVIDER: &str = "docs/examples/soda-access-key/provider.yaml";
const REQUEST: &str = "docs/examples/soda-access-key/request.yaml";

/// The endpoints of the examples.
const SODA_PLACEHOLDER: &str = "https://soda.example.com:8089";
const KEYSTONE_PLACEHOLDER: &str = "https://keystone.example.com/identity";
const S3_PLACEHOLDER: &str = "https://s3.soda.example.com:8090";

/// The code of SODA's S3 for an access key that Keystone does not know.
const UNKNOWN: &str = "InvalidAccessKeyId";

/// The project and the user of the examples.
const PROJECT: &str = "payments-prod";
const BOT: &str = "soda-bot";

/// The name of the request in the examples, and of its Secret.
const NAME: &str = "soda-key";

/// How long the old pair works on, instead of the example's.
const OVERLAP: Duration = Duration::from_secs(5);

/// How much shorter than told the overlap may be seen to be: its beginning is seen a little late.
const SLACK: Duration = Duration::from_secs(1);

/// How long the workload waits between two calls.
const PAUSE: Duration = Duration::from_millis(300);

/// Tells the story.
///
/// # Errors
/// When a step cannot be verified.
pub async fn tell(narrator: &mut Narrator, scene: &mut Scene) -> Result<Encore> {
    opening::announce(
        narrator,
        "An access key for SODA's S3 API as a Kubernetes Secret, from the first request to the revocation",
        "Keystone, which is no simulator but the program from the Python Package Index, and a simulator of SODA in front of it",
    );
    // First: what it needs, a Python, is what may be missing.
    let story = Arc::new(Telling::begin(narrator, scene).await?);
    // Whoever looks around afterwards needs it as long as everything else is up.
    scene.keep(Arc::clone(&story));
    opening::put_up(narrator, scene).await?;
    story.declare_provider(narrator, scene).await?;
    let client = scene.control_plane()?.admin_client().await;
    let mut follow = Follow::begin(client.clone(), "payments", NAME);
    let secrets: Api<Secret> = Api::namespaced(client, "payments");
    let first = story.ask(narrator, scene, &mut follow).await?;
    story.sign(narrator, &first).await?;
    rotate(&story, narrator, scene, &mut follow, &secrets, first).await?;
    story.lie(narrator, scene, &mut follow, &secrets).await?;
    story.delete(narrator, scene, &mut follow, &secrets).await?;
    Ok(Encore {
        examples: vec![request()?],
        looks: vec![format!("kubectl get credreq {NAME} -n payments --watch")],
    })
}

/// The request, with an overlap that can be waited for.
fn request() -> Result<Example> {
    let overlap = format!("overlap: {}s", OVERLAP.as_secs());
    Example::read(REQUEST)?.with("overlap: 1h", &overlap)
}

struct Telling {
    // The order matters: SODA ends before the Keystone that it asks.
    soda: SodaSimulator,
    keystone: Arc<Keystone>,
    clients: Clients,
    /// The operator's user.
    bot: User,
}

impl Telling {
    async fn begin(narrator: &mut Narrator, scene: &mut Scene) -> Result<Self> {
        narrator.step("A SODA, and the Keystone that it keeps its keys in");
        let started = Instant::now();
        let (keystone, clients) = scene
            .start_apart("Keystone", || {
                Ok((Keystone::start(Options::default())?, Clients::find()?))
            })
            .await?;
        let keystone = Arc::new(keystone);
        let admin = keystone.admin();
        let project = admin.create_project(PROJECT, DEFAULT_DOMAIN).await?;
        let bot = admin.create_user(BOT, DEFAULT_DOMAIN).await?;
        admin.assign_role(&bot.id, &project, "member").await?;
        let soda = SodaSimulator::start(SodaOptions::default(), KeystoneAccount::of(&keystone));
        narrator.verified(format!(
            "Keystone serves at {}, SODA at {}, its S3 at {}, after {}",
            keystone.auth_url(),
            soda.endpoint(),
            soda.s3_endpoint(),
            seconds(started.elapsed())
        ));
        narrator.says(&format!(
            "Keystone's administrator has made a project {PROJECT} and a user {BOT}, who has the role member there."
        ));
        Ok(Self {
            soda,
            keystone,
            clients,
            bot,
        })
    }

    async fn declare_provider(&self, narrator: &mut Narrator, scene: &Scene) -> Result<()> {
        narrator.step(
            "The platform team declares the provider, its login, and who may ask it for what",
        );
        declaring::namespaces(narrator, scene).await?;
        let (soda, keystone) = (self.soda.url(), self.keystone.auth_url());
        let login = Example::read(LOGIN)?
            .with(KEYSTONE_PLACEHOLDER, keystone)?
            .with(SODA_PLACEHOLDER, &soda)?
            .with(BOT, &self.bot.name)?
            .with("put-the-password-here", &self.bot.password)?;
        let provider = Example::read(PROVIDER)?
            .with(KEYSTONE_PLACEHOLDER, keystone)?
            .with(SODA_PLACEHOLDER, &soda)?
            .with(S3_PLACEHOLDER, &self.soda.s3_endpoint())?
            // They listen on loopback.
            .with("# allowHTTP: true", "allowHTTP: true")?;
        declaring::provider(narrator, scene, "soda", &login, &provider).await?;
        let pairs = self.alive().await?;
        ensure!(pairs == 0, "{pairs} pairs were made to test the login");
        narrator.verified("the provider is ready: Keystone takes its login, and SODA takes the token that comes of it");
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
        let (asked, before) = (Instant::now(), self.calls(&Method::GET));
        scene.show_apply(narrator, &request()?).await?;
        let first = follow.until("the Secret", SOON, |_| true).await?;
        declaring::ready(narrator, scene, NAME).await?;
        narrator.says(&format!("In the Secret: {}", first.keys()));
        narrator.verified(format!(
            "the Secret was there {} after kubectl had been started",
            seconds(first.at.duration_since(asked))
        ));
        ensure!(self.accepts(&first).await?, "Keystone does not take it");
        ensure!(self.alive().await? == 1, "not one pair was made");
        narrator.verified("it was made at Keystone, which takes a signature that is made with it");
        ensure!(
            self.calls(&Method::GET) > before,
            "it was not read back through SODA"
        );
        self.only_read()?;
        narrator.verified(
            "it was read back through SODA before it was published; SODA was asked to make none",
        );
        Ok(first)
    }

    /// A client of S3 signs its requests with the pair.
    async fn sign(&self, narrator: &mut Narrator, first: &Seen) -> Result<()> {
        narrator.step("A program for S3 needs nothing but this Secret as its environment");
        programs::show(&self.clients, narrator, "aws s3 mb s3://reports", first).await?;
        let listed = programs::show(&self.clients, narrator, "aws s3 ls", first).await?;
        ensure!(listed.contains("reports"), "aws lists {listed}");
        let access = first.value("AWS_ACCESS_KEY_ID")?;
        narrator.verified(format!(
            "SODA's S3 takes the access key, which has {} characters (it refuses more than 20), and each signature",
            access.len()
        ));
        Ok(())
    }

    async fn lie(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
        secrets: &Api<Secret>,
    ) -> Result<()> {
        narrator.step("SODA says `null`, as it does when it knows no key and also when its Keystone fails it, while somebody asks for a rotation");
        let old = Seen::now(secrets.get(NAME).await?);
        self.soda.lie(Lie::Hidden);
        let rotate = format!(
            "annotate credreq {NAME} -n payments --overwrite credential-operator.dev/rotate=again"
        );
        scene.show_kubectl(narrator, &rotate).await?;
        let said = declaring::condition(narrator, scene, NAME, "RenewalFailing").await?;
        ensure!(
            said.starts_with("ProviderUnavailable"),
            "the request says {said}"
        );
        let now = secrets.get(NAME).await?;
        ensure!(
            Seen::now(now).serial == old.serial,
            "what SODA does not show was published"
        );
        ensure!(self.accepts(&old).await?, "the old pair does not work");
        narrator.verified(
            "the new pair is not published before SODA has shown it; the old one stays, and works",
        );
        self.soda.stop_lying();
        let new = follow
            .until("the rotation", SOON, |seen| seen.serial > old.serial)
            .await?;
        ensure!(self.accepts(&new).await?, "the new pair does not work");
        narrator.verified("SODA speaks again: the new pair is in the Secret, and works");
        Ok(())
    }

    async fn delete(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
        secrets: &Api<Secret>,
    ) -> Result<()> {
        narrator.step("The team deletes its request, in the middle of the overlap");
        let alive = self.alive().await?;
        let last = Seen::now(secrets.get(NAME).await?);
        let started = Instant::now();
        let delete = format!("delete credreq {NAME} -n payments");
        scene.show_kubectl(narrator, &delete).await?;
        let left = self.alive().await?;
        ensure!(left == 0, "{left} pairs are left at Keystone");
        narrator.verified(format!(
            "after {}, when kubectl returns, Keystone knows none of its pairs any more ({alive} were alive)",
            seconds(started.elapsed())
        ));
        follow.gone(SOON).await?;
        narrator.verified("the Secret is gone");
        narrator.says("With the last pair:");
        programs::show_refusal(&self.clients, narrator, "aws s3 ls", &last, UNKNOWN).await?;
        narrator.verified("SODA's S3 does not know it any more");
        self.only_read()?;
        narrator.verified("from the beginning to the end SODA's own DELETE, which destroys all keys of the user, was never called");
        Ok(())
    }

    /// Whether Keystone and SODA's S3 take the pair in a Secret, which they have to agree about.
    async fn accepts(&self, secret: &Seen) -> Result<bool> {
        let access = secret.value("AWS_ACCESS_KEY_ID")?;
        let key = secret.value("AWS_SECRET_ACCESS_KEY")?;
        let at_keystone = self.keystone.admin().accepts_pair(&access, &key).await?;
        let (status, _) = self.soda.list_buckets(&access, &key).await?;
        Ok(at_keystone && status == 200)
    }

    /// How many pairs of the operator's user Keystone knows.
    async fn alive(&self) -> Result<usize> {
        let pairs = self.keystone.admin().ec2_credentials(&self.bot.id).await?;
        Ok(pairs.len())
    }

    /// How often SODA was called with a method.
    fn calls(&self, method: &Method) -> usize {
        let calls = self.soda.calls();
        calls.iter().filter(|call| call.method == *method).count()
    }

    /// Makes sure that SODA was asked for nothing but to show keys.
    fn only_read(&self) -> Result<()> {
        let (all, read) = (self.soda.calls().len(), self.calls(&Method::GET));
        ensure!(
            all == read,
            "{} calls of SODA did not only read",
            all - read
        );
        ensure!(self.soda.delete_calls() == 0, "SODA's DELETE was called");
        Ok(())
    }
}

/// The pair is replaced, while a workload uses it.
async fn rotate(
    story: &Arc<Telling>,
    narrator: &mut Narrator,
    scene: &Scene,
    follow: &mut Follow,
    secrets: &Api<Secret>,
    old: Seen,
) -> Result<()> {
    narrator.step("Somebody asks for a rotation, while a workload signs again and again with what is in the Secret");
    let consumer = {
        let (story, secrets) = (Arc::clone(story), secrets.clone());
        Consumer::begin(PAUSE, move || {
            let (story, secrets) = (Arc::clone(&story), secrets.clone());
            async move {
                let secret = Seen::now(secrets.get(NAME).await?);
                ensure!(story.accepts(&secret).await?, "the signature is refused");
                Ok(())
            }
        })
    };
    let rotate = format!("annotate credreq {NAME} -n payments credential-operator.dev/rotate=now");
    scene.show_kubectl(narrator, &rotate).await?;
    let new = follow
        .until("a rotation", SOON, |seen| seen.serial > old.serial)
        .await?;
    for (seen, which) in [(&old, "old"), (&new, "new")] {
        ensure!(
            story.accepts(seen).await?,
            "Keystone does not take the {which} pair during the overlap"
        );
    }
    narrator.verified(format!(
        "pair {} is in the Secret; Keystone takes both, the old one and the new one",
        new.serial
    ));
    let records = format!(
        "get credreq {NAME} -n payments -o jsonpath='{{range .status.credentials[*]}}{{.serial}} {{.state}} {{.revokeAfter}}{{\"\\n\"}}{{end}}'"
    );
    scene.show_kubectl(narrator, &records).await?;
    eventually(OVERLAP + SOON, || async {
        ensure!(!story.accepts(&old).await?, "Keystone takes the old pair");
        Ok(())
    })
    .await?;
    let after = new.at.elapsed();
    ensure!(
        after + SLACK >= OVERLAP,
        "the old pair was revoked after {}, before the overlap was over",
        seconds(after)
    );
    ensure!(story.alive().await? == 1, "not one pair is alive");
    narrator.verified(format!(
        "{} after the new pair, Keystone does not take the old one any more",
        seconds(after)
    ));
    let calls = consumer.end().await?.flawless()?;
    narrator.verified(format!(
        "of the workload's {calls} signatures meanwhile, none was refused"
    ));
    Ok(())
}
