//! Who goes first where a Keystone's budget is scarce; with a simulator, since much is asked for.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::journal::is_issue;
use crate::stage::status_of;

/// How many calls may be under way.
const AT_ONCE: usize = 4;

/// What the operator has written into the status of a request, over time.
struct Written {
    /// When the credential with a serial was issued, and when it expires.
    lives: BTreeMap<u64, (Timestamp, Timestamp)>,
    /// The status of the condition Ready, each time that it was written.
    ready: Vec<String>,
}

/// Reads it from the wire, where nothing is missed.
fn written_since(rig: &Rig, mark: Mark, name: &str) -> Written {
    let mut written = Written {
        lives: BTreeMap::new(),
        ready: Vec::new(),
    };
    for call in rig.stage.wire.since(mark) {
        let about = call.label() == "patch credentialrequests/status"
            && call.path.contains(&format!("/{name}/"))
            && call.status == Some(200);
        if !about {
            continue;
        }
        let status = &call.json().unwrap()["status"];
        for record in status["credentials"].as_array().into_iter().flatten() {
            let time = |field: &str| record[field].as_str().unwrap().parse().unwrap();
            written.lives.insert(
                record["serial"].as_u64().unwrap(),
                (time("issuedAt"), time("expiresAt")),
            );
        }
        for condition in status["conditions"].as_array().into_iter().flatten() {
            if condition["type"] == "Ready" {
                let ready = condition["status"].as_str().unwrap();
                written.ready.push(ready.to_owned());
            }
        }
    }
    written
}

/// How many others were asked for between a new request's finalizer, from which on it stands in the
/// queue, and its own turn.
fn ahead_of(rig: &Rig, name: &str) -> usize {
    let finalizer = rig.stage.wire.calls_where(|call| {
        call.label() == "patch credentialrequests" && call.path.ends_with(&format!("/{name}"))
    });
    let queued = finalizer[0].finished.unwrap();
    let issues = rig.wire.calls_where(|call| is_issue(call));
    let own = |call: &&Call| {
        let made_for = blob_of(call)["managed_by"].as_str().map(str::to_owned);
        made_for.is_some_and(|words| words.ends_with(&format!("/{name}")))
    };
    let turn = issues.iter().find(own).expect("it was its turn").started;
    let between = |call: &&Call| queued < call.started && call.started < turn;
    issues.iter().filter(between).count()
}

fn serial(request: &credential_operator::api::CredentialRequest) -> u64 {
    request.status.as_ref().unwrap().credentials[0].serial
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_to_expire_and_what_is_new_go_ahead_of_five_hundred_rotations() {
    const ROTATIONS: usize = 500;
    const NEW: usize = 150;
    let mut rig = Rig::simulated("ks-order").await;
    rig.stage.start().await;
    let requests: Vec<_> = (0..ROTATIONS)
        .map(|number| rig.access_key(&format!("r-{number:03}")))
        .collect();
    futures::future::join_all(requests.iter().map(|request| rig.stage.apply(request))).await;
    let is_ready = |request: &_| status_of(request, "Ready") == ("True", "Synced");
    rig.stage
        .all_within(Duration::from_secs(60), "Ready=True", is_ready)
        .await;
    let mut dying = rig.application_credential("dying");
    dying["spec"]["keystone"]["applicationCredential"]["lifetime"] = json!("24s");
    // From the middle of its life it may be renewed, and for the last fourth of it that is urgent.
    dying["spec"]["renewal"] = json!({"renewBefore": "12s", "overlap": "1s"});
    rig.stage.apply(&dying).await;
    rig.stage.ready("dying").await;
    let mark = rig.stage.wire.mark();

    // From here on six calls a second: the rotations alone take minutes.
    let mut provider = rig.provider();
    provider["spec"]["budget"] = json!({"requestsPerSecond": 6, "concurrency": AT_ONCE});
    rig.stage.apply(&provider).await;
    let rotations = (0..ROTATIONS).map(|number| format!("r-{number:03}"));
    futures::future::join_all(rotations.map(async |name| {
        rig.stage
            .annotate(&name, "credential-operator.dev/rotate", "1")
            .await;
    }))
    .await;
    eventually(SOON, || async {
        let waiting = rig.waiting().await;
        anyhow::ensure!(waiting > 300.0, "{waiting} wait");
        Ok(())
    })
    .await
    .unwrap();
    rig.stage.apply(&rig.access_key("new")).await;
    rig.stage.ready("new").await;
    let ahead = ahead_of(&rig, "new");
    // Those that were under way, and one that was quicker than the answer to the last write.
    assert!(ahead <= AT_ONCE + 1, "{ahead} went ahead of a new one");

    // Much else is new, and takes most of a minute: what is about to expire goes ahead of that, too.
    let before = serial(&rig.stage.requests().get("dying").await.unwrap());
    let requests: Vec<_> = (0..NEW)
        .map(|number| rig.access_key(&format!("n-{number:03}")))
        .collect();
    futures::future::join_all(requests.iter().map(|request| rig.stage.apply(request))).await;
    rig.stage
        .within(Duration::from_secs(90), "dying", "renewed", |request| {
            serial(request) >= before + 2
        })
        .await;
    let waiting = rig.waiting().await;
    assert!(waiting > 200.0, "only {waiting} still wait");
    let written = written_since(&rig, mark, "dying");
    let lives: Vec<_> = written.lives.values().collect();
    assert!(lives.len() >= 3, "{lives:?}");
    for pair in lives.windows(2) {
        let ((_, ends), (issued, _)) = (pair[0], pair[1]);
        assert!(
            issued < ends,
            "issued at {issued}, the one before ended at {ends}"
        );
    }
    assert!(
        !written.ready.contains(&"False".to_owned()),
        "{:?}",
        written.ready
    );
    rig.finish().await;
}
