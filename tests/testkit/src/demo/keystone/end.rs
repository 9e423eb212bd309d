//! The end: what was issued is revoked, and nothing is left.

use std::time::Instant;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::super::follow::{Follow, Seen};
use super::super::narrator::{Narrator, seconds};
use super::super::scene::{SOON, Scene};
use super::access_key::OVERLAP;
use super::cloud::{APPLICATION_REFUSED, Cloud, PAIR_REFUSED};
use super::{ACCESS_KEY_NAME, APPLICATION_CREDENTIAL_NAME};

/// The team deletes its requests. `token` is one that came of the application credential.
///
/// # Errors
/// When a step cannot be verified.
pub async fn delete_requests(
    narrator: &mut Narrator,
    scene: &Scene,
    cloud: &Cloud,
    mut key: Follow,
    mut application: Follow,
    token: &str,
) -> Result<()> {
    narrator
        .step("The team deletes its requests, in the middle of a rotation that it has asked for");
    let secrets: Api<Secret> =
        Api::namespaced(scene.control_plane()?.admin_client().await, "payments");
    let old_pair = Seen::now(secrets.get(ACCESS_KEY_NAME).await?);
    let rotate = format!(
        "annotate credreq {ACCESS_KEY_NAME} -n payments credential-operator.dev/rotate=now"
    );
    scene.show_kubectl(narrator, &rotate).await?;
    let new_pair = key
        .until("a rotation", OVERLAP + SOON, |seen| {
            seen.serial > old_pair.serial
        })
        .await?;
    let last_application = Seen::now(secrets.get(APPLICATION_CREDENTIAL_NAME).await?);
    let alive = cloud.alive().await?;
    ensure!(
        alive == (2, 1),
        "at Keystone, the operator's user has access keys and application credentials: {alive:?}"
    );
    narrator.verified("at Keystone, the operator's user has two access keys, the old and the new one, and an application credential");

    let started = Instant::now();
    let delete =
        format!("delete credreq {ACCESS_KEY_NAME} {APPLICATION_CREDENTIAL_NAME} -n payments");
    scene.show_kubectl(narrator, &delete).await?;
    let alive = cloud.alive().await?;
    ensure!(
        alive == (0, 0),
        "at Keystone, there still are access keys and application credentials: {alive:?}"
    );
    narrator.verified(format!(
        "after {}, when kubectl returns, all three are revoked: Keystone knows none of them any more",
        seconds(started.elapsed())
    ));
    key.gone(SOON).await?;
    application.gone(SOON).await?;
    narrator.verified("the Secrets are gone");
    narrator.says("With copies of what was last in them:");
    cloud
        .show_refusal(narrator, "aws s3 ls", &new_pair, PAIR_REFUSED)
        .await?;
    cloud
        .show_refusal(
            narrator,
            "openstack token issue",
            &last_application,
            APPLICATION_REFUSED,
        )
        .await?;
    narrator.verified("both are refused");
    ensure!(!cloud.token_lives(token).await?, "the token still lives");
    narrator.verified("the token that was issued for the application credential is dead as well");
    Ok(())
}

/// The platform team deletes the provider, which has nobody to wait for.
///
/// # Errors
/// When a step cannot be verified.
pub async fn delete_provider(narrator: &mut Narrator, scene: &Scene) -> Result<()> {
    narrator.step("The platform team deletes the provider");
    scene
        .show_kubectl(narrator, "delete ccredprov keystone")
        .await?;
    let left = scene.show_kubectl(narrator, "get credentials -A").await?;
    ensure!(left.trim().is_empty(), "something is left");
    narrator.verified("it went at once: no request needs it for a revocation any more");
    Ok(())
}
