//! What stands before Keystone can say 404 as well: a gateway that is being reloaded, a filter, a default
//! backend. That is no proof that something is gone.

use futures::{StreamExt, stream};
use kube::ResourceExt;

use super::*;

/// How many blips are played side by side.
const SIDE_BY_SIDE: usize = 3;

/// A kind of credential.
#[derive(Clone, Copy, Debug)]
enum Kind {
    AccessKey,
    ApplicationCredential,
}

/// Which call of a farewell is not answered by Keystone.
#[derive(Clone, Copy, Debug)]
enum At {
    /// The look at what is there.
    Look,
    /// The revocation.
    Revocation,
}

impl Kind {
    fn request(self, rig: &Rig) -> Value {
        match self {
            Kind::AccessKey => rig.access_key("it"),
            Kind::ApplicationCredential => rig.application_credential("it"),
        }
    }

    async fn alive(self, rig: &Rig) -> usize {
        match self {
            Kind::AccessKey => rig.pairs().await.len(),
            Kind::ApplicationCredential => rig.application_credentials().await.len(),
        }
    }

    fn is(self, at: At, call: &CallHead) -> bool {
        let looked_at = match self {
            Kind::AccessKey => "/credentials/OS-EC2/",
            Kind::ApplicationCredential => "/application_credentials",
        };
        match at {
            At::Look => call.method == "GET" && call.path.contains(looked_at),
            At::Revocation => call.method == "DELETE",
        }
    }
}

/// A page as gateways show it.
fn page(status: u16) -> ResponseParts {
    let page = "<html><body>default backend - 404</body></html>";
    ResponseParts::text(status, page).with_header("content-type", "text/html")
}

/// Plays a farewell in which a call is answered by something else, until that is over.
async fn keeps_the_request(kind: Kind, at: At, status: u16) {
    let mut rig = Rig::new("ks-gateway").await;
    rig.stage.start().await;
    rig.stage.apply(&kind.request(&rig)).await;
    rig.stage.ready("it").await;
    let blip = rig.wire.rule(
        move |call| kind.is(at, call),
        Fault::Reply(page(status)),
        None,
    );
    rig.delete("it").await;
    let waiting = rig
        .stage
        .until("it", "waiting", |request| {
            status_of(request, "RevocationFailing").0 == "True"
        })
        .await;
    assert_eq!(waiting.finalizers().len(), 1);
    assert!(blip.hits() >= 1);
    let records = waiting.status.unwrap().credentials;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(kind.alive(&rig).await, 1);
    blip.remove();
    // It is tried again by itself; a changed login does it at once.
    let values = json!({"user-id": rig.user.id, "password": rig.user.password});
    rig.write_login_values(values).await;
    rig.gone("it").await;
    assert_eq!(kind.alive(&rig).await, 0);
    rig.finish().await;
}

async fn all_keep_the_request(blips: &[(At, u16)]) {
    let kinds = [Kind::AccessKey, Kind::ApplicationCredential];
    let rows = kinds
        .into_iter()
        .flat_map(|kind| blips.iter().map(move |(at, status)| (kind, *at, *status)));
    let played: Vec<_> = stream::iter(rows)
        .map(|(kind, at, status)| async move {
            let story = tokio::spawn(keeps_the_request(kind, at, status));
            ((kind, at, status), story.await.is_ok())
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let failed: Vec<_> = played.iter().filter(|(_, well)| !well).collect();
    assert!(failed.is_empty(), "taken for gone: {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_says_in_a_farewell_is_no_proof_that_something_is_gone() {
    all_keep_the_request(&[(At::Look, 401), (At::Look, 200), (At::Revocation, 401)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_that_keystone_did_not_say_is_no_proof_either() {
    all_keep_the_request(&[(At::Look, 404)]).await;
}

/// As owner Keystone itself answers 403 where nothing is left, so only a further look tells. What it finds
/// has to be revoked again, and not only looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_did_not_get_through_is_sent_again() {
    all_keep_the_request(&[(At::Revocation, 403), (At::Revocation, 404)]).await;
}
