//! The story of what DaoCloud Enterprise hands out: tokens of the older ghippo, access keys of the newer.

mod access_key;
mod token;

use anyhow::Result;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::example::{Encore, Example};
use super::follow::value;
use super::narrator::Narrator;
use super::opening;
use super::scene::Scene;

/// The endpoint of the examples.
const PLACEHOLDER: &str = "https://dce.example.com";

/// The Secret of the examples with the certificate of DCE's authority.
const CA: &str = "dce-ca";

/// What workloads call with what is in their Secret.
const SELF_TEST: &str = "/apis/ghippo.io/v1alpha1/current-user";

/// Tells the story.
///
/// # Errors
/// When a step cannot be verified.
pub async fn tell(narrator: &mut Narrator, scene: &mut Scene) -> Result<Encore> {
    opening::announce(
        narrator,
        "Tokens and access keys of DaoCloud Enterprise (DCE) as Kubernetes Secrets, from the first request to the last revocation",
        "and simulators of two DCEs inside this program",
    );
    opening::put_up(narrator, scene).await?;
    token::tell(narrator, scene).await?;
    access_key::tell(narrator, scene).await?;
    Ok(Encore {
        examples: vec![Example::read(token::REQUEST)?, access_key::request()?],
        looks: vec![
            String::from("kubectl describe secret dce-token -n payments"),
            String::from("kubectl get credreq dce-key -n payments --watch"),
        ],
    })
}

/// Reads a Secret and calls DCE with what is in it.
///
/// # Errors
/// When the Secret cannot be read, or DCE does not answer 200.
async fn call(secrets: &Api<Secret>, name: &str, http: &reqwest::Client) -> Result<String> {
    let secret = secrets.get(name).await?;
    let url = value(&secret, "endpoint")? + SELF_TEST;
    let request = http
        .get(url)
        .header("authorization", value(&secret, "authorization")?);
    let answer = request.send().await?.error_for_status()?;
    Ok(answer.text().await?)
}
