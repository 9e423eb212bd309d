//! Crash safety, tested: the life of a request is listed call by call, and at each call that changes
//! something the operator is killed before and after it took effect, or loses the answer alone.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::StreamExt;
use testkit::wire::{CallHead, Fault};

use super::*;
use crate::stage::status_of;

/// How long a life may take to come to the same end in spite of a fault.
const RECOVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether the call has come that the fault waits for.
const LOOK: Duration = Duration::from_millis(150);
/// How many lives are played side by side.
const SIDE_BY_SIDE: usize = 6;

/// A kind of credential whose life is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AccessKey,
    ApplicationCredential,
}

/// Which of the two servers a call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Server {
    Kubernetes,
    Keystone,
}

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    /// The operator is killed before the call reaches the server.
    KilledBefore,
    /// The operator is killed when the server has done what it was told, and before it knows.
    KilledAfter,
    /// The answer is lost, and the operator lives.
    AnswerLost,
}

/// One fault: the so-manieth call of a kind to a server.
#[derive(Clone, Debug)]
struct Point {
    server: Server,
    label: String,
    number: usize,
    mishap: Mishap,
}

/// The calls of a life that change something, in their order for each server.
type Calls = Vec<(Server, String)>;

/// A call that changes something, as it is told apart from others.
fn label(server: Server, call: &CallHead) -> Option<String> {
    if !call.is_changing() {
        return None;
    }
    match server {
        Server::Kubernetes => concerns_a_request(call).then(|| call.label()),
        Server::Keystone => Some(keystone_label(call)),
    }
}

impl Kind {
    fn stage(self) -> &'static str {
        match self {
            Kind::AccessKey => "ks-crash-ak",
            Kind::ApplicationCredential => "ks-crash-ac",
        }
    }

    fn request(self, rig: &Rig) -> Value {
        let mut request = match self {
            Kind::AccessKey => rig.access_key("it"),
            Kind::ApplicationCredential => rig.application_credential("it"),
        };
        request["spec"]["renewal"] = json!({"overlap": "1s"});
        request
    }

    /// The same request, asking for something else.
    fn changed(self, rig: &Rig, project: &str) -> Value {
        let mut request = self.request(rig);
        let field = match self {
            Kind::AccessKey => "accessKey",
            Kind::ApplicationCredential => "applicationCredential",
        };
        request["spec"]["keystone"][field]["project"] = json!({"id": project});
        request
    }

    /// What the fault-free life is made of. A new call cannot slip in without standing here.
    fn expected(self) -> Calls {
        let kubernetes = [
            "patch clustercredentialproviders",
            "patch credentialrequests",
            "create secrets",
            "patch credentialrequests/status",
            // The rotation, and the end of its overlap.
            "patch secrets",
            "patch credentialrequests/status",
            "patch credentialrequests/status",
            // The change, and the end of its overlap.
            "patch secrets",
            "patch credentialrequests/status",
            "patch credentialrequests/status",
            // The farewell.
            "patch credentialrequests",
        ];
        let keystone: &[&str] = match self {
            Kind::AccessKey => &[
                "POST /v3/auth/tokens",
                "POST /v3/credentials",
                // Whether the login may have signatures checked; asked once.
                "POST /v3/s3tokens",
                "POST /v3/credentials",
                "DELETE /v3/credentials/{id}",
                "POST /v3/auth/tokens",
                "POST /v3/credentials",
                "DELETE /v3/credentials/{id}",
                "DELETE /v3/credentials/{id}",
            ],
            Kind::ApplicationCredential => &[
                "POST /v3/auth/tokens",
                "POST /v3/users/{id}/application_credentials",
                // Each is proven by a login with it.
                "POST /v3/auth/tokens",
                "POST /v3/users/{id}/application_credentials",
                "POST /v3/auth/tokens",
                "DELETE /v3/users/{id}/application_credentials/{id}",
                "POST /v3/auth/tokens",
                "POST /v3/users/{id}/application_credentials",
                "POST /v3/auth/tokens",
                "DELETE /v3/users/{id}/application_credentials/{id}",
                "DELETE /v3/users/{id}/application_credentials/{id}",
            ],
        };
        let all = |server, calls: &[&str]| -> Calls {
            calls
                .iter()
                .map(|call| (server, (*call).to_owned()))
                .collect()
        };
        let mut calls = all(Server::Kubernetes, &kubernetes);
        calls.extend(all(Server::Keystone, keystone));
        calls
    }

    /// The ids of what is alive at Keystone.
    async fn alive(self, rig: &Rig) -> Vec<String> {
        let mut ids: Vec<_> = match self {
            Kind::AccessKey => rig.pairs().await.into_iter().map(|pair| pair.id).collect(),
            Kind::ApplicationCredential => {
                let all = rig.application_credentials().await;
                all.into_iter().map(|one| one.id).collect()
            }
        };
        ids.sort();
        ids
    }

    /// Whether a call issues a credential, or revokes one.
    fn is_issue(self, call: &Call) -> bool {
        let path = match self {
            Kind::AccessKey => "/credentials",
            Kind::ApplicationCredential => "/application_credentials",
        };
        call.method == "POST" && call.path.ends_with(path) && call.status == Some(201)
    }

    fn is_revocation(call: &Call) -> bool {
        call.method == "DELETE" && call.forwarded
    }
}

/// How a life went.
struct Outcome {
    calls: Calls,
    issued: usize,
    took: Duration,
}

/// Plays a life, with a fault in it if there is one.
async fn play(kind: Kind, point: Option<Point>) -> Result<Outcome, String> {
    // What goes wrong towards Keystone goes wrong towards a real one; the many lives in which
    // something else does have a simulator, since a real one does twenty things a second.
    let with_simulator = point
        .as_ref()
        .is_some_and(|point| point.server == Server::Kubernetes);
    let mut rig = if with_simulator {
        Rig::simulated(kind.stage()).await
    } else {
        Rig::new(kind.stage()).await
    };
    let second = rig
        .cloud
        .create_project(&format!("{}-2", rig.project))
        .await;
    rig.cloud.assign_role(&rig.user, &second, "member").await;
    let mut provider = rig.provider();
    provider["spec"]["allow"][0]["keystone"]["projects"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": second}));
    rig.stage.apply(&provider).await;
    rig.stage.start().await;
    rig.provider_ready().await;
    let (mark, keystone_mark) = (rig.stage.wire.mark(), rig.wire.mark());
    let fault = point.as_ref().map(|point| arm(&rig, point));

    let began = credential_operator::clock::monotonic();
    let played = async {
        let mut accident = Accident { fault, point };
        rig.stage.apply(&kind.request(&rig)).await;
        settled(kind, &mut rig, &mut accident, "the first sync", |serial| {
            serial >= 1
        })
        .await?;
        let serial = serial(&rig).await;
        rig.stage
            .annotate("it", "credential-operator.dev/rotate", "1")
            .await;
        settled(kind, &mut rig, &mut accident, "the rotation", |now| {
            now > serial
        })
        .await?;
        let serial = self::serial(&rig).await;
        rig.stage.apply(&kind.changed(&rig, &second)).await;
        settled(kind, &mut rig, &mut accident, "the change", |now| {
            now > serial
        })
        .await?;
        no_revoked_credential_was_published(kind, &rig)?;
        rig.delete("it").await;
        gone(kind, &mut rig, &mut accident).await?;
        accident.happened()
    };
    let result = played.await;
    let took = began.elapsed();
    let seen = |server, proxy: &WireProxy, mark| -> Calls {
        let mut calls = proxy.since(mark);
        // What was refused has changed nothing.
        calls.retain(|call| call.status.is_none_or(|status| status != 409));
        let labels = calls.iter().filter_map(|call| label(server, call));
        labels.map(|label| (server, label)).collect()
    };
    let mut calls = seen(Server::Kubernetes, &rig.stage.wire, mark);
    calls.extend(seen(Server::Keystone, &rig.wire, keystone_mark));
    let issued = rig.wire.calls_where(|call| kind.is_issue(call)).len();
    if result.is_err() {
        eprintln!("{}", rig.stage.logs_tail());
    }
    rig.finish().await;
    result.map(|()| Outcome {
        calls,
        issued,
        took,
    })
}

/// A fault that waits for its call, and what there is to do when it comes.
struct Accident {
    fault: Option<testkit::wire::RuleHandle>,
    point: Option<Point>,
}

impl Accident {
    /// Kills the operator when its call has come, and starts it again.
    async fn look(&mut self, rig: &mut Rig) {
        let (Some(fault), Some(point)) = (&self.fault, &self.point) else {
            return;
        };
        if point.mishap == Mishap::AnswerLost || fault.hits() == 0 {
            return;
        }
        rig.stage.kill();
        fault.remove();
        self.fault = None;
        rig.stage.start().await;
    }

    fn happened(&self) -> Result<(), String> {
        match (&self.fault, &self.point) {
            (Some(fault), Some(point)) if fault.hits() == 0 => {
                Err(format!("the call never came: {point:?}"))
            }
            _ => Ok(()),
        }
    }
}

fn arm(rig: &Rig, point: &Point) -> testkit::wire::RuleHandle {
    let fault = match point.mishap {
        Mishap::KilledBefore => Fault::HoldBefore,
        Mishap::KilledAfter => Fault::HoldAfter,
        Mishap::AnswerLost => Fault::CutAfter,
    };
    let proxy = match point.server {
        Server::Kubernetes => &rig.stage.wire,
        Server::Keystone => &rig.wire,
    };
    let seen = AtomicUsize::new(0);
    let (server, wanted, number) = (point.server, point.label.clone(), point.number);
    proxy.rule(
        move |call| {
            label(server, call).as_ref() == Some(&wanted)
                && seen.fetch_add(1, Ordering::Relaxed) == number
        },
        fault,
        Some(1),
    )
}

/// The serial in the Secret.
async fn serial(rig: &Rig) -> u64 {
    serial_in(&rig.stage.secret("it").await)
}

fn serial_in(secret: &Secret) -> u64 {
    secret.annotations()["credential-operator.dev/serial"]
        .parse()
        .unwrap()
}

/// Waits until a request is where it should be, and nothing is alive but what its Secret holds.
async fn settled(
    kind: Kind,
    rig: &mut Rig,
    accident: &mut Accident,
    what: &str,
    has_come: impl Fn(u64) -> bool,
) -> Result<(), String> {
    let deadline = credential_operator::clock::monotonic() + RECOVERY;
    let mut published = false;
    let mut interval = tokio::time::interval(LOOK);
    loop {
        interval.tick().await;
        accident.look(rig).await;
        let state = state(kind, rig, &has_come).await;
        let secret = rig.stage.api::<Secret>().get_opt("it").await.unwrap();
        if published && secret.is_none() {
            return Err(format!("{what}: the Secret is absent"));
        }
        published |= secret.is_some();
        match state {
            Ok(()) => return Ok(()),
            Err(why) if credential_operator::clock::monotonic() > deadline => {
                return Err(format!("{what}: {why}"));
            }
            Err(_) => {}
        }
    }
}

async fn state(kind: Kind, rig: &Rig, has_come: impl Fn(u64) -> bool) -> Result<(), String> {
    let request = rig.stage.requests().get("it").await.unwrap();
    let status = request.status.clone().unwrap_or_default();
    if status_of(&request, "Ready") != ("True", "Synced") {
        return Err(format!("not ready: {:?}", status.conditions));
    }
    let [record] = status.credentials.as_slice() else {
        return Err(format!("in the ledger: {:?}", status.credentials));
    };
    let secret = rig.stage.api::<Secret>().get_opt("it").await.unwrap();
    let secret = secret.ok_or("no Secret")?;
    if record.serial != serial_in(&secret) || !has_come(record.serial) {
        return Err(format!("serial {} in the ledger", record.serial));
    }
    let alive = kind.alive(rig).await;
    let held = secret.annotations()["credential-operator.dev/credential-id"].clone();
    if alive != [held.clone()] {
        return Err(format!("alive: {alive:?}, held: {held}"));
    }
    Ok(())
}

async fn gone(kind: Kind, rig: &mut Rig, accident: &mut Accident) -> Result<(), String> {
    let deadline = credential_operator::clock::monotonic() + RECOVERY;
    let mut interval = tokio::time::interval(LOOK);
    loop {
        interval.tick().await;
        accident.look(rig).await;
        let Some(request) = rig.stage.requests().get_opt("it").await.unwrap() else {
            // From then on nobody revokes anything any more.
            let alive = kind.alive(rig).await;
            return if alive.is_empty() {
                Ok(())
            } else {
                Err(format!("the farewell: alive: {alive:?}"))
            };
        };
        if credential_operator::clock::monotonic() > deadline {
            return Err(format!("the farewell: status: {:?}", request.status));
        }
    }
}

/// At the moment at which something was revoked, the Secret held something else.
fn no_revoked_credential_was_published(kind: Kind, rig: &Rig) -> Result<(), String> {
    let writes = rig.stage.wire.calls_where(|call| {
        let about = crate::stage::is_about_secret(call, "it");
        about && call.is_changing() && matches!(call.status, Some(200 | 201))
    });
    for revocation in rig.wire.calls_where(Kind::is_revocation) {
        let revoked = revocation
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let before = writes
            .iter()
            .rfind(|write| write.finished.is_some_and(|at| at < revocation.started));
        let held = before.and_then(|write| {
            let body = write.json()?;
            let id = &body["metadata"]["annotations"]["credential-operator.dev/credential-id"];
            id.as_str().map(str::to_owned)
        });
        if held.as_deref() == Some(&revoked) {
            return Err(format!(
                "{kind:?} {revoked} was revoked while the Secret held it"
            ));
        }
    }
    Ok(())
}

/// Every fault of a life.
fn points(calls: &Calls) -> Vec<Point> {
    let mut points = Vec::new();
    let mut seen: BTreeMap<(Server, &str), usize> = BTreeMap::new();
    for (server, label) in calls {
        let number = seen.entry((*server, label)).or_default();
        for mishap in [
            Mishap::KilledBefore,
            Mishap::KilledAfter,
            Mishap::AnswerLost,
        ] {
            points.push(Point {
                server: *server,
                label: label.clone(),
                number: *number,
                mishap,
            });
        }
        *number += 1;
    }
    points
}

async fn no_crash_breaks_it(kind: Kind) {
    let calm = play(kind, None).await.unwrap();
    let sorted = |mut calls: Calls| {
        // Each server's in their order; between the two of them there is none.
        calls.sort_by_key(|(server, _)| *server);
        calls
    };
    assert_eq!(sorted(calm.calls.clone()), kind.expected(), "{kind:?}");

    let expected = calm.issued;
    let outcomes: Vec<_> = futures::stream::iter(points(&kind.expected()))
        .map(|point| async move {
            let outcome = tokio::spawn(play(kind, Some(point.clone()))).await;
            let outcome = outcome.unwrap_or_else(|error| Err(error.to_string()));
            (point, outcome)
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let mut table = format!("{kind:?}: {} lives, each with one fault\n", outcomes.len());
    let mut failures = 0;
    for (point, outcome) in &outcomes {
        let verdict = match outcome {
            Ok(outcome) if outcome.issued > expected + 1 => {
                failures += 1;
                format!("FAILED: {} issued instead of {expected}", outcome.issued)
            }
            Ok(outcome) => {
                let extra = outcome.issued - expected.min(outcome.issued);
                format!(
                    "same end, {extra} extra, {:.1} s",
                    outcome.took.as_secs_f64()
                )
            }
            Err(why) => {
                failures += 1;
                format!("FAILED: {why}")
            }
        };
        writeln!(
            table,
            "  {:10?} {:52} {:2} {:12} {verdict}",
            point.server,
            point.label,
            point.number + 1,
            format!("{:?}", point.mishap),
        )
        .unwrap();
    }
    // Past what the test harness keeps to itself: it is what the test is for.
    crate::stage::say(&table);
    assert_eq!(failures, 0, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crash_leaks_or_loses_an_access_key() {
    no_crash_breaks_it(Kind::AccessKey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crash_leaks_or_loses_an_application_credential() {
    no_crash_breaks_it(Kind::ApplicationCredential).await;
}
