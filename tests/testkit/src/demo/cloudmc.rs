//! The story of service API keys at CloudMC: read and never made, in the forms that clients look for, and
//! followed when somebody has them regenerated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use testkit::cloudmc::{CloudMcOptions, CloudMcSimulator, Person, Service};

use super::declaring;
use super::example::{Encore, Example};
use super::follow::{Follow, Seen};
use super::narrator::{Narrator, seconds};
use super::opening;
use super::scene::{SOON, Scene};

const LOGIN: &str = "docs/examples/cloudmc-service-keys/login.yaml";
const PROVIDER: &str = "docs/examples/cloudmc-service-keys/provider.yaml";
const REQUEST: &str = "docs/examples/cloudmc-service-keys/request.yaml";
const S3_REQUEST: &str = "docs/examples/cloudmc-service-keys/request-s3.yaml";

/// The endpoint of the examples.
const PLACEHOLDER: &str = "https://cloudmc.example.com/api/v1";

/// The names of the requests in the examples, and of their Secrets.
const NAME: &str = "objects";
const S3_NAME: &str = "objects-s3";

/// How often the keys are read again, instead of the example's.
const VERIFY_EVERY: Duration = Duration::from_millis(500);

/// The keys of a Secret for OpenStack clients, and the fields of CloudMC that they come from.
const OPENSTACK: &[(&str, &str)] = &[
    ("OS_AUTH_URL", "auth_url"),
    ("OS_USERNAME", "username"),
    ("OS_PASSWORD", "password"),
    ("OS_PROJECT_NAME", "project_name"),
    ("OS_USER_DOMAIN_ID", "domain_id"),
    ("OS_PROJECT_DOMAIN_ID", "domain_id"),
];

/// The same for clients of S3.
const S3: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "s3_access_key"),
    ("AWS_SECRET_ACCESS_KEY", "s3_secret_key"),
];

/// Tells the story.
///
/// # Errors
/// When a step cannot be verified.
pub async fn tell(narrator: &mut Narrator, scene: &mut Scene) -> Result<Encore> {
    opening::announce(
        narrator,
        "Service API keys of CloudMC as Kubernetes Secrets, in the forms that clients of OpenStack and of S3 look for",
        "and a simulator of CloudMC inside this program",
    );
    opening::put_up(narrator, scene).await?;
    let story = Telling::begin(narrator, scene);
    story.declare_provider(narrator, scene).await?;
    let client = scene.control_plane()?.admin_client().await;
    let mut openstack = Follow::begin(client.clone(), "payments", NAME);
    let mut s3 = Follow::begin(client.clone(), "payments", S3_NAME);
    let secrets: Api<Secret> = Api::namespaced(client, "payments");
    story.ask(narrator, scene, &mut openstack).await?;
    story.ask_for_s3(narrator, scene, &mut s3).await?;
    story
        .regenerate(narrator, scene, &mut openstack, &mut s3)
        .await?;
    story.end_membership(narrator, scene, &secrets).await?;
    story
        .delete(narrator, scene, &mut openstack, &mut s3)
        .await?;
    Ok(Encore {
        examples: vec![request()?, Example::read(S3_REQUEST)?],
        looks: vec![format!(
            "kubectl describe secret {NAME} {S3_NAME} -n payments"
        )],
    })
}

/// The request for OpenStack clients, with readings that can be waited for.
fn request() -> Result<Example> {
    let every = format!("verifyEvery: {}ms", VERIFY_EVERY.as_millis());
    Example::read(REQUEST)?.with("verifyEvery: 5m", &every)
}

struct Telling {
    cloudmc: Arc<CloudMcSimulator>,
    /// The operator's user.
    bot: Person,
    environment: String,
}

impl Telling {
    fn begin(narrator: &mut Narrator, scene: &mut Scene) -> Self {
        narrator.step("A CloudMC: a simulator that speaks its protocol over TLS, with a certificate authority of its own");
        let cloudmc = Arc::new(CloudMcSimulator::start(CloudMcOptions {
            tls: true,
            ..CloudMcOptions::default()
        }));
        // Whoever looks around afterwards needs it as long as everything else is up.
        scene.keep(Arc::clone(&cloudmc));
        let organization = cloudmc.add_organization("acme");
        let bot = cloudmc.add_user(&organization, "payments-bot");
        let storage = Service::ObjectStorage;
        let connection =
            cloudmc.add_connection(&organization, "Object Storage", "objects-qc", storage);
        let environment = cloudmc.add_environment(&organization, &connection, "payments-prod");
        cloudmc.add_member(&environment, &bot.id);
        narrator.verified(format!(
            "it serves at {}; the user {} is a member of the environment payments-prod of its object storage",
            cloudmc.endpoint(),
            bot.username
        ));
        Self {
            cloudmc,
            bot,
            environment,
        }
    }

    async fn declare_provider(&self, narrator: &mut Narrator, scene: &Scene) -> Result<()> {
        narrator
            .step("The platform team declares the provider, its login, and which keys may be read");
        let endpoint = self.cloudmc.endpoint();
        declaring::namespaces(narrator, scene).await?;
        declaring::authority(narrator, scene, "cloudmc-ca", self.cloudmc.ca_pem()).await?;
        let login = Example::read(LOGIN)?
            .with(PLACEHOLDER, &endpoint)?
            .with("put-the-api-key-here", &self.bot.api_key)?;
        let provider = Example::read(PROVIDER)?
            .with(PLACEHOLDER, &endpoint)?
            .with("# tls:", "tls:")?
            .with("#   caBundleSecretRef", "  caBundleSecretRef")?;
        declaring::provider(narrator, scene, "cloudmc", &login, &provider).await?;
        let read = self.cloudmc.counts().api_info;
        ensure!(read == 0, "keys were read {read} times to test the login");
        narrator.verified("the provider is ready: its login works, and no keys were read for that");
        Ok(())
    }

    async fn ask(&self, narrator: &mut Narrator, scene: &Scene, follow: &mut Follow) -> Result<()> {
        narrator.step("An application team asks for the keys of an environment in the form for OpenStack clients");
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
            self.holds(&first, OPENSTACK),
            "the Secret has other values than CloudMC"
        );
        for (key, value) in [
            ("OS_IDENTITY_API_VERSION", "3"),
            ("OS_REGION_NAME", "region-1"),
        ] {
            ensure!(first.value(key)? == value, "{key} is not {value}");
        }
        narrator.verified("each key has the value that CloudMC shows; the region is the one that the request states");
        Ok(())
    }

    async fn ask_for_s3(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        follow: &mut Follow,
    ) -> Result<()> {
        narrator.step("The team asks for the same keys in the form for clients of S3");
        scene
            .show_apply(narrator, &Example::read(S3_REQUEST)?)
            .await?;
        let first = follow.until("the Secret", SOON, |_| true).await?;
        declaring::ready(narrator, scene, S3_NAME).await?;
        narrator.says(&format!("In the Secret: {}", first.keys()));
        ensure!(
            self.holds(&first, S3),
            "the Secret has other values than CloudMC"
        );
        let endpoint = first.value("AWS_ENDPOINT_URL_S3")?;
        ensure!(
            endpoint == "https://objects.example.com",
            "the endpoint is {endpoint}"
        );
        narrator.verified("the pair is the one that CloudMC shows; endpoint and region are those that the request states");
        Ok(())
    }

    async fn regenerate(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        openstack: &mut Follow,
        s3: &mut Follow,
    ) -> Result<()> {
        narrator.step("Somebody presses \"Regenerate\" in the portal, which kills the old keys");
        let before = self.password();
        let pressed = Instant::now();
        self.cloudmc.regenerate(&self.bot.id, &self.environment);
        ensure!(self.password() != before, "nothing was regenerated");
        let new = openstack
            .until("the new keys", SOON, |seen| self.holds(seen, OPENSTACK))
            .await?;
        narrator.verified(format!(
            "{NAME} has the new ones {} ms later, at the next reading",
            new.at.duration_since(pressed).as_millis()
        ));
        narrator.says(&format!(
            "{S3_NAME} is read every 15 minutes, as its example does not say otherwise. That need not be waited for:"
        ));
        let rotate =
            format!("annotate credreq {S3_NAME} -n payments credential-operator.dev/rotate=now");
        scene.show_kubectl(narrator, &rotate).await?;
        s3.until("the new pair", SOON, |seen| self.holds(seen, S3))
            .await?;
        scene
            .show_kubectl(narrator, "get credreq -n payments")
            .await?;
        narrator.verified(format!("{S3_NAME} has the new ones as well"));
        self.nothing_changed()?;
        narrator
            .verified("by CloudMC's ledger no call of the operator was one that changes anything");
        Ok(())
    }

    async fn end_membership(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        secrets: &Api<Secret>,
    ) -> Result<()> {
        narrator.step("The operator's user is taken out of the environment");
        let version = secrets.get(NAME).await?.resource_version();
        self.cloudmc.remove_member(&self.environment, &self.bot.id);
        let said = declaring::condition(narrator, scene, NAME, "RenewalFailing").await?;
        ensure!(said.starts_with("Forbidden"), "the request says {said}");
        declaring::ready(narrator, scene, NAME).await?;
        let secret = secrets.get(NAME).await?;
        ensure!(
            secret.resource_version() == version,
            "the Secret was written"
        );
        ensure!(
            self.holds(&Seen::now(secret), OPENSTACK),
            "the Secret has not the last good keys"
        );
        narrator.verified("CloudMC does not show the keys any more, which does not prove that they are gone: the request says so, is Ready all the same, and the Secret stays");

        self.cloudmc.add_member(&self.environment, &self.bot.id);
        narrator.says(
            "The user is a member again. Any change of the login Secret has that tried at once:",
        );
        let touch = "annotate secret cloudmc-login -n platform checked=now";
        scene.show_kubectl(narrator, touch).await?;
        let wait = format!(
            "wait --for=condition=RenewalFailing=false --timeout=20s credreq/{NAME} -n payments"
        );
        scene.show_kubectl(narrator, &wait).await?;
        narrator.verified("the keys are read again");
        Ok(())
    }

    async fn delete(
        &self,
        narrator: &mut Narrator,
        scene: &Scene,
        openstack: &mut Follow,
        s3: &mut Follow,
    ) -> Result<()> {
        narrator.step("The team deletes its requests");
        let before = self.password();
        let delete = format!("delete credreq {NAME} {S3_NAME} -n payments");
        scene.show_kubectl(narrator, &delete).await?;
        openstack.gone(SOON).await?;
        s3.gone(SOON).await?;
        narrator.verified("the Secrets went with them");
        ensure!(self.password() == before, "the keys have changed");
        self.nothing_changed()?;
        narrator.verified("the keys at CloudMC are what they were; from the beginning to the end, no call was one that changes anything, and none was for the connection's own credentials");
        Ok(())
    }

    /// Whether keys of a Secret have the values that CloudMC has now.
    fn holds(&self, secret: &Seen, keys: &[(&str, &str)]) -> bool {
        keys.iter().all(|(key, field)| {
            let value = self.cloudmc.value(&self.bot.id, &self.environment, field);
            secret.value(key).is_ok_and(|found| found == value)
        })
    }

    fn password(&self) -> String {
        let (user, environment) = (&self.bot.id, &self.environment);
        self.cloudmc.value(user, environment, "password")
    }

    fn nothing_changed(&self) -> Result<()> {
        let counts = self.cloudmc.counts();
        ensure!(
            (counts.changing, counts.parameters) == (0, 0),
            "calls to CloudMC that nobody may make: {counts:?}"
        );
        Ok(())
    }
}
