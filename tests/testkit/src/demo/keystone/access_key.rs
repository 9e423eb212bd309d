//! The access key: it appears, S3 takes it, and it is rotated with an overlap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use testkit::wait::eventually;

use super::super::consumer::Consumer;
use super::super::example::Example;
use super::super::follow::{Follow, Seen};
use super::super::narrator::{Narrator, seconds};
use super::super::scene::{SOON, Scene};
use super::cloud::{Cloud, PAIR_REFUSED};
use super::{ACCESS_KEY_NAME as NAME, REQUEST};

/// The age at which the pair is replaced, instead of the example's.
const ROTATE_EVERY: Duration = Duration::from_secs(20);

/// How long the old pair works on, instead of the example's.
pub const OVERLAP: Duration = Duration::from_secs(10);

/// How long the workload waits between two calls.
const PAUSE: Duration = Duration::from_millis(500);

/// How much shorter than told the overlap may be seen to be: its beginning is seen a little late.
const SLACK: Duration = Duration::from_secs(1);

/// The request, with ages that can be waited for.
///
/// # Errors
/// When the example is not there, or another one.
pub fn request() -> Result<Example> {
    let every = format!("rotateEvery: {}s", ROTATE_EVERY.as_secs());
    let overlap = format!("overlap: {}s", OVERLAP.as_secs());
    Example::read(REQUEST)?
        .with("rotateEvery: 720h", &every)?
        .with("overlap: 1h", &overlap)
}

/// An application team asks for an access key and uses it.
///
/// # Errors
/// When a step cannot be verified.
pub async fn ask(
    narrator: &mut Narrator,
    scene: &Scene,
    cloud: &Cloud,
    follow: &mut Follow,
) -> Result<()> {
    narrator.step("An application team asks for an access key, and has a Secret");
    narrator.says(&format!(
        "(the example, rotated every {} s with an overlap of {} s, so that there is something to see:)",
        ROTATE_EVERY.as_secs(),
        OVERLAP.as_secs()
    ));
    let asked = Instant::now();
    scene.show_apply(narrator, &request()?).await?;
    let first = follow.until("the Secret", SOON, |_| true).await?;
    let wait = format!("wait --for=condition=Ready --timeout=20s credreq/{NAME} -n payments");
    scene.show_kubectl(narrator, &wait).await?;
    scene
        .show_kubectl(narrator, &format!("get credreq {NAME} -n payments"))
        .await?;
    let message = format!(
        "get credreq {NAME} -n payments -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].message}}'"
    );
    scene.show_kubectl(narrator, &message).await?;
    narrator.says(&format!("In the Secret: {}", first.keys()));
    narrator.verified(format!(
        "the Secret was there {} after kubectl had been started",
        seconds(first.at.duration_since(asked))
    ));

    narrator.step("A program for S3 needs nothing but this Secret as its environment");
    let made = cloud
        .show(narrator, "aws s3 mb s3://reports", &first)
        .await?;
    ensure!(made.contains("reports"), "no bucket was made");
    let listed = cloud.show(narrator, "aws s3 ls", &first).await?;
    ensure!(listed.contains("reports"), "the bucket is not listed");
    narrator.says("(Swift gives every bucket this date.)");
    narrator.verified("Swift takes requests that are signed with the pair");
    Ok(())
}

/// The pair is replaced at its age, while a workload uses it.
///
/// # Errors
/// When a step cannot be verified.
pub async fn rotate(
    narrator: &mut Narrator,
    scene: &Scene,
    cloud: &Arc<Cloud>,
    follow: &mut Follow,
) -> Result<()> {
    narrator.step("The pair is rotated at its age, while a workload lists its buckets again and again with what is in the Secret");
    let secrets: Api<Secret> =
        Api::namespaced(scene.control_plane()?.admin_client().await, "payments");
    let old = Seen::now(secrets.get(NAME).await?);
    let consumer = {
        let cloud = Arc::clone(cloud);
        Consumer::begin(PAUSE, move || {
            let (secrets, cloud) = (secrets.clone(), Arc::clone(&cloud));
            async move {
                let secret = Seen::now(secrets.get(NAME).await?);
                cloud.run("aws s3 ls", &secret).await.map(drop)
            }
        })
    };
    let new = follow
        .until("a rotation", ROTATE_EVERY + SOON, |seen| {
            seen.serial > old.serial
        })
        .await?;
    for (seen, which) in [(&old, "old"), (&new, "new")] {
        ensure!(
            cloud.accepts(seen).await?,
            "Keystone does not take the {which} pair during the overlap"
        );
    }
    narrator.verified(format!(
        "pair {} is in the Secret; Keystone takes both, the old one and the new one",
        new.serial
    ));
    let listing = "aws s3 ls";
    let (by_old, by_new) = tokio::try_join!(cloud.run(listing, &old), cloud.run(listing, &new))?;
    for listed in [by_old, by_new] {
        ensure!(listed.contains("reports"), "the bucket is not listed");
    }
    narrator.verified("Swift takes both, too");
    scene
        .show_kubectl(narrator, &format!("get credreq {NAME} -n payments"))
        .await?;
    let records = format!(
        "get credreq {NAME} -n payments -o jsonpath='{{range .status.credentials[*]}}{{.serial}} {{.state}} {{.revokeAfter}}{{\"\\n\"}}{{end}}'"
    );
    scene.show_kubectl(narrator, &records).await?;

    eventually(OVERLAP + SOON, || async {
        ensure!(!cloud.accepts(&old).await?, "Keystone takes the old pair");
        Ok(())
    })
    .await?;
    let after = new.at.elapsed();
    ensure!(
        after + SLACK >= OVERLAP,
        "the old pair was revoked after {}, before the overlap was over",
        seconds(after)
    );
    narrator.verified(format!(
        "{} after the new pair, Keystone does not take the old one any more",
        seconds(after)
    ));
    narrator.says("With a copy of the old one:");
    cloud
        .show_refusal(narrator, listing, &old, PAIR_REFUSED)
        .await?;
    narrator.verified("nor does Swift");
    let calls = consumer.end().await?.flawless()?;
    narrator.verified(format!(
        "of the workload's {calls} calls meanwhile, none failed"
    ));
    Ok(())
}
