//! The application credential, with which a program logs in to OpenStack itself.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::example::Example;
use super::super::follow::Follow;
use super::super::narrator::Narrator;
use super::super::scene::{SOON, Scene};
use super::cloud::Cloud;
use super::{APPLICATION_CREDENTIAL, APPLICATION_CREDENTIAL_NAME as NAME};

/// An application team asks for one and logs in with it; returns the token of that login.
///
/// # Errors
/// When a step cannot be verified.
pub async fn ask(
    narrator: &mut Narrator,
    scene: &Scene,
    cloud: &Cloud,
    follow: &mut Follow,
) -> Result<String> {
    narrator.step("The team asks for an application credential, and logs in with it");
    scene
        .show_apply(narrator, &Example::read(APPLICATION_CREDENTIAL)?)
        .await?;
    let secret = follow.until("the Secret", SOON, |_| true).await?;
    let wait = format!("wait --for=condition=Ready --timeout=20s credreq/{NAME} -n payments");
    scene.show_kubectl(narrator, &wait).await?;
    scene
        .show_kubectl(narrator, "get credreq -n payments")
        .await?;
    narrator.says(&format!("In the Secret: {}", secret.keys()));
    narrator.says("With nothing but this Secret as its environment:");
    let command = "openstack token issue -f json";
    narrator.command(command);
    let said = cloud.run(command, &secret).await?;
    let mut issued: Value = serde_json::from_str(&said).context("openstack prints no JSON")?;
    let token = issued["id"].as_str().unwrap_or_default().to_owned();
    issued["id"] = Value::from(format!("({} characters)", token.len()));
    narrator.output(&serde_json::to_string_pretty(&issued)?);
    ensure!(
        cloud.token_lives(&token).await?,
        "Keystone does not take the token"
    );
    ensure!(
        issued["project_id"].as_str() == Some(cloud.project_id()),
        "the token is for another project"
    );
    narrator.verified("Keystone has issued a token for the project payments-prod");
    let roles = cloud.roles_of_the_only_one().await?;
    ensure!(roles == ["reader"], "it carries the roles {roles:?}");
    narrator.verified("the application credential carries the role reader and no other, although the operator's user has more");
    Ok(token)
}
