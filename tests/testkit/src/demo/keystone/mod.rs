//! The story of what OpenStack Keystone hands out: access keys for S3, and application credentials.

mod access_key;
mod application_credential;
mod cloud;
mod end;

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::example::{Encore, Example};
use super::follow::Follow;
use super::narrator::Narrator;
use super::opening;
use super::scene::Scene;
use cloud::Cloud;

const LOGIN: &str = "docs/examples/keystone-access-key/login.yaml";
const PROVIDER: &str = "docs/examples/keystone-access-key/provider.yaml";
const REQUEST: &str = "docs/examples/keystone-access-key/request.yaml";
const APPLICATION_CREDENTIAL: &str = "docs/examples/keystone-application-credential/request.yaml";

/// The name of the request for an access key in the examples, and of its Secret.
const ACCESS_KEY_NAME: &str = "s3-key";

/// The same for the application credential.
const APPLICATION_CREDENTIAL_NAME: &str = "openstack-env";

/// Tells the story.
///
/// # Errors
/// When a step cannot be verified.
pub async fn tell(narrator: &mut Narrator, scene: &mut Scene) -> Result<Encore> {
    opening::announce(
        narrator,
        "Access keys and application credentials of OpenStack Keystone as Kubernetes Secrets, from the first request to the last revocation",
        "Keystone and Swift, which are no simulators but the programs from the Python Package Index",
    );
    // First: what it needs, a Python, is what may be missing.
    let cloud = Arc::new(Cloud::start(narrator, scene).await?);
    // Whoever looks around afterwards needs it as long as everything else is up.
    scene.keep(Arc::clone(&cloud));
    opening::put_up(narrator, scene).await?;
    declare_provider(narrator, scene, &cloud).await?;

    let client = scene.control_plane()?.admin_client().await;
    let follow = |name| Follow::begin(client.clone(), "payments", name);
    let mut key = follow(ACCESS_KEY_NAME);
    access_key::ask(narrator, scene, &cloud, &mut key).await?;
    access_key::rotate(narrator, scene, &cloud, &mut key).await?;
    let mut application = follow(APPLICATION_CREDENTIAL_NAME);
    let token = application_credential::ask(narrator, scene, &cloud, &mut application).await?;
    end::delete_requests(narrator, scene, &cloud, key, application, &token).await?;
    end::delete_provider(narrator, scene).await?;
    encore(&cloud)
}

async fn declare_provider(narrator: &mut Narrator, scene: &Scene, cloud: &Cloud) -> Result<()> {
    narrator
        .step("The platform team declares the provider, its login, and who may ask it for what");
    scene
        .show_kubectl(narrator, "create namespace platform")
        .await?;
    scene
        .show_kubectl(narrator, "create namespace payments")
        .await?;
    narrator.says("(the examples, with the addresses and the password of this cloud in them:)");
    scene.show_apply(narrator, &login(cloud)?).await?;
    scene.show_apply(narrator, &provider(cloud)?).await?;
    let wait = "wait --for=condition=Ready --timeout=20s ccredprov/keystone";
    scene.show_kubectl(narrator, wait).await?;
    scene
        .show_kubectl(narrator, "get ccredprov keystone -o wide")
        .await?;
    narrator.verified("the provider is ready: its login works");
    let insecure = "get ccredprov keystone -o jsonpath='{.status.conditions[?(@.type==\"Insecure\")].message}'";
    let said = scene.show_kubectl(narrator, insecure).await?;
    ensure!(
        said.contains("unencrypted"),
        "the provider does not say that its endpoint is plain HTTP"
    );
    narrator.verified("its condition Insecure says that this Keystone, on loopback, has no TLS");
    Ok(())
}

fn login(cloud: &Cloud) -> Result<Example> {
    Example::read(LOGIN)?
        .with(cloud::KEYSTONE_PLACEHOLDER, cloud.auth_url())?
        .with("payments-bot", &cloud.bot().name)?
        .with("put-the-password-here", &cloud.bot().password)
}

fn provider(cloud: &Cloud) -> Result<Example> {
    Example::read(PROVIDER)?
        .with(cloud::KEYSTONE_PLACEHOLDER, cloud.auth_url())?
        // It listens on loopback.
        .with("# allowHTTP: true", "allowHTTP: true")?
        .with(cloud::S3_PLACEHOLDER, cloud.s3_url())
}

/// Everything once more, for whoever wants to use it.
fn encore(cloud: &Cloud) -> Result<Encore> {
    let environment = |name: &str| {
        format!(
            "env -i $(kubectl get secret {name} -n payments -o go-template='{{{{range $k, $v := .data}}}}{{{{$k}}}}={{{{$v | base64decode}}}} {{{{end}}}}')"
        )
    };
    let program = |name| cloud.program(name).display().to_string();
    Ok(Encore {
        examples: vec![
            provider(cloud)?,
            access_key::request()?,
            Example::read(APPLICATION_CREDENTIAL)?,
        ],
        looks: vec![
            format!("kubectl get credreq {ACCESS_KEY_NAME} -n payments --watch"),
            format!("{} {} s3 ls", environment(ACCESS_KEY_NAME), program("aws")),
            format!(
                "{} {} token issue",
                environment(APPLICATION_CREDENTIAL_NAME),
                program("openstack")
            ),
        ],
    })
}
