//! What keeps a copy from doing harm whose calls arrive late: not the Lease, but resource versions and
//! derived names. A call of the leader is held on its way, the leader is stopped, the other copy takes
//! over and ends what was begun. Only then the call arrives.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt, stream};
use testkit::wire::RuleHandle;

use super::*;
use crate::stage::is_about_secret;

/// How many late calls are played side by side.
const SIDE_BY_SIDE: usize = 3;

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AccessKey,
    ApplicationCredential,
}

/// A call of a rotation that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    /// The new credential is asked for.
    Issue,
    /// It is put into the Secret.
    Publication,
    /// That is written down.
    FirstRecord,
    /// The old credential is revoked.
    Revocation,
    /// That is written down.
    SecondRecord,
}

impl Late {
    const ALL: [Late; 5] = [
        Late::Issue,
        Late::Publication,
        Late::FirstRecord,
        Late::Revocation,
        Late::SecondRecord,
    ];

    fn is_for_keystone(self) -> bool {
        matches!(self, Late::Issue | Late::Revocation)
    }

    fn proxy(self, rig: &Rig) -> &WireProxy {
        if self.is_for_keystone() {
            &rig.wire
        } else {
            &rig.stage.wire
        }
    }

    fn is(self, call: &CallHead) -> bool {
        let path: Vec<_> = call.path.rsplit('/').collect();
        let of_credentials = |at: usize| {
            let part = path.get(at);
            part.is_some_and(|part| ["credentials", "application_credentials"].contains(part))
        };
        match self {
            Late::Issue => call.method == "POST" && of_credentials(0),
            Late::Publication => call.is_changing() && is_about_secret(call, "it"),
            Late::FirstRecord | Late::SecondRecord => {
                call.label() == "patch credentialrequests/status"
            }
            Late::Revocation => call.method == "DELETE" && of_credentials(1),
        }
    }

    /// Holds the first such call from now on; of a record the so-manieth.
    fn hold(self, rig: &Rig) -> RuleHandle {
        let before = AtomicUsize::new(usize::from(self == Late::SecondRecord));
        let comes = move |call: &CallHead| {
            let left = |left: usize| left.checked_sub(1);
            self.is(call)
                && before
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left)
                    .is_err()
        };
        self.proxy(rig).rule(comes, Fault::HoldBefore, Some(1))
    }

    /// How the server answers it when it arrives late.
    fn refusals(self) -> &'static [u16] {
        match self {
            // The name is taken by now, or the object is another one than was seen.
            Late::Issue | Late::Publication | Late::FirstRecord | Late::SecondRecord => &[409],
            // Nothing is there any more: of pairs Keystone says that as a 403.
            Late::Revocation => &[403, 404],
        }
    }
}

/// The ids of what is alive at Keystone.
async fn alive(kind: Kind, rig: &Rig) -> Vec<String> {
    match kind {
        Kind::AccessKey => rig.pairs().await.into_iter().map(|one| one.id).collect(),
        Kind::ApplicationCredential => {
            let all = rig.application_credentials().await;
            all.into_iter().map(|one| one.id).collect()
        }
    }
}

/// All that a late call could change.
#[derive(Debug, PartialEq)]
struct World {
    alive: Vec<String>,
    secret: (Option<String>, Option<BTreeMap<String, ByteString>>),
    request: Option<String>,
}

impl World {
    async fn of(kind: Kind, rig: &Rig) -> World {
        let secret = rig.stage.secret("it").await;
        let request = rig.stage.requests().get("it").await.unwrap();
        assert_eq!(status_of(&request, "Ready"), ("True", "Synced"));
        let held = &secret.annotations()["credential-operator.dev/credential-id"];
        let alive = alive(kind, rig).await;
        assert_eq!(&alive, std::slice::from_ref(held), "what the Secret holds");
        World {
            alive,
            secret: (secret.metadata.resource_version, secret.data),
            request: request.metadata.resource_version,
        }
    }
}

async fn rotate(rig: &Rig, value: &str) {
    rig.stage
        .annotate("it", "credential-operator.dev/rotate", value)
        .await;
}

async fn rotated(rig: &Rig, value: &str) {
    rig.stage
        .until(
            "it",
            "rotated by the second copy, and tidied up",
            |request| {
                let status = request.status.as_ref().unwrap();
                status.rotated.as_deref() == Some(value) && status.credentials.len() == 1
            },
        )
        .await;
}

/// A leader that is stopped in the middle of a rotation, while a call of it is on its way.
struct Scene {
    rig: Rig,
    kind: Kind,
    late: Late,
    held: RuleHandle,
    /// The number of the call that is held.
    seq: u64,
    first: Operator,
    second: Operator,
}

impl Scene {
    /// The other copy has taken over and ended the rotation.
    async fn new(kind: Kind, late: Late) -> Scene {
        // What is on its way to Keystone is on its way to a real one, which does one thing at a time.
        let mut rig = if late.is_for_keystone() {
            Rig::new("ks-late").await
        } else {
            Rig::simulated("ks-late").await
        };
        rig.stage.lease_seconds = LEASE;
        let first = rig.stage.spawn("first").await;
        until_answer(&first, "ok").await;
        let mut request = match kind {
            Kind::AccessKey => rig.access_key("it"),
            Kind::ApplicationCredential => rig.application_credential("it"),
        };
        request["spec"]["renewal"] = json!({"overlap": "1s"});
        rig.stage.apply(&request).await;
        rig.stage.ready("it").await;
        let second = rig.stage.spawn("second").await;
        until_answer(&second, "standing by").await;

        let held = late.hold(&rig);
        rotate(&rig, "0").await;
        held.hit(SOON).await.unwrap();
        first.signal("-STOP");
        let waiting = late
            .proxy(&rig)
            .calls_where(|call| late.is(call) && !call.forwarded);
        let [waiting] = waiting.as_slice() else {
            panic!("one call is held: {waiting:?}");
        };
        let seq = waiting.seq;
        until_answer(&second, "ok").await;
        rotated(&rig, "0").await;
        Scene {
            rig,
            kind,
            late,
            held,
            seq,
            first,
            second,
        }
    }

    async fn rotate(&self, value: &str) {
        rotate(&self.rig, value).await;
        rotated(&self.rig, value).await;
    }

    async fn world(&self) -> World {
        World::of(self.kind, &self.rig).await
    }

    /// The call arrives: the sockets of the one that is stopped are open. How it is answered.
    async fn arrive(&self) -> u16 {
        self.held.release();
        let proxy = self.late.proxy(&self.rig);
        let answer = eventually(SOON, || async {
            let calls = proxy.calls_where(|call| call.seq == self.seq);
            let arrived = calls.iter().find(|call| call.forwarded);
            arrived
                .and_then(|call| call.status)
                .ok_or_else(|| anyhow::anyhow!("not answered: {calls:?}"))
        });
        answer.await.unwrap()
    }

    /// The one that was stopped goes on, changes nothing, and ends.
    async fn go_on(&mut self) {
        let mark = (self.rig.stage.wire.mark(), self.rig.wire.mark());
        self.first.signal("-CONT");
        let how = ended(&mut self.first).await;
        assert!(!how.success(), "it ends, to begin anew");
        nothing_was_changed_since(&self.rig, mark);
    }

    /// The request goes, and with it all that was made for it.
    async fn end(self) {
        self.rig.delete("it").await;
        self.rig.gone("it").await;
        let left = alive(self.kind, &self.rig).await;
        assert!(left.is_empty(), "{:?}: still alive: {left:?}", self.late);
        drop(self.second);
        self.rig.finish().await;
    }
}

/// A call arrives when the rotation that it was for is over.
async fn arrives_late(kind: Kind, late: Late) {
    let mut scene = Scene::new(kind, late).await;
    if late == Late::Revocation {
        // It would hit a name that is used again.
        scene.rotate("1").await;
    }
    let world = scene.world().await;
    let answer = scene.arrive().await;
    assert!(late.refusals().contains(&answer), "{late:?}: {answer}");
    assert_eq!(scene.world().await, world, "{late:?}");
    scene.go_on().await;
    assert_eq!(scene.world().await, world, "{late:?}");
    scene.end().await;
}

async fn none_does_harm(kind: Kind) {
    let played: Vec<_> = stream::iter(Late::ALL)
        .map(|late| async move {
            let story = tokio::spawn(arrives_late(kind, late));
            (late, story.await.is_ok())
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let failed: Vec<_> = played.iter().filter(|(_, well)| !well).collect();
    assert!(failed.is_empty(), "late calls of {kind:?}: {failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_for_an_access_key_does_harm_that_arrives_when_another_copy_has_taken_over() {
    none_does_harm(Kind::AccessKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_for_an_application_credential_does_harm_that_arrives_so_late() {
    none_does_harm(Kind::ApplicationCredential).await;
}

/// The name of what it asks for is free again by then, so it is made. Nobody holds it or was told of it:
/// only its name leads to it.
async fn is_found_when_the_request_goes(kind: Kind) {
    let mut scene = Scene::new(kind, Late::Issue).await;
    scene.rotate("1").await;
    scene.rotate("2").await;
    let answer = scene.arrive().await;
    assert_eq!(answer, 201, "the name is free again");
    assert_eq!(alive(kind, &scene.rig).await.len(), 2);
    scene.go_on().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_key_that_is_made_long_after_its_rotation_goes_with_its_request() {
    is_found_when_the_request_goes(Kind::AccessKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_credential_that_is_made_so_late_goes_with_its_request() {
    is_found_when_the_request_goes(Kind::ApplicationCredential).await;
}
