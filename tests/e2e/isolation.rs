//! What goes wrong with one object concerns that object: the others are served as if nothing were.
//!
//! For objects that cannot be read, a time stands in their status that the API server's schema
//! accepts and the operator cannot count: the end of the year 9999. So the broken object is really
//! stored, nothing on the wire is made up, and the schema that all tests share stays as it is.

use std::{collections::BTreeMap, time::Duration};

use credential_operator::{
    api::{ClusterCredentialProvider, CredentialRequest},
    clock,
};
use jiff::SignedDuration;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::{Value, json};
use testkit::{
    dce::{CURRENT_USER, DceOptions, DceSimulator, TOKEN},
    server::Fault,
    wait::eventually,
};

use crate::stage::{SOON, Stage, message_of, status_of};

/// A time that cannot be counted.
const TOO_LATE: &str = "9999-12-31T23:59:59Z";

/// How long others may take while something is wrong; they take a tenth of it on an idle machine.
const UNDELAYED: Duration = Duration::from_secs(8);

fn failure_attempts(request: &CredentialRequest) -> u32 {
    let failure = request
        .status
        .as_ref()
        .and_then(|status| status.failure.as_ref());
    failure.map_or(0, |failure| failure.attempts)
}

/// Applies twenty requests and waits until they are ready.
async fn others_sync(stage: &Stage) {
    let started = clock::monotonic();
    stage.apply_crowd(20).await;
    let ready = |request: &CredentialRequest| status_of(request, "Ready") == ("True", "Synced");
    for number in 0..20 {
        stage
            .within(UNDELAYED, &format!("r-{number:03}"), "Ready=True", ready)
            .await;
    }
    println!("{}: twenty others took {:?}", stage.team, started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_stops_one_request_and_is_tried_ever_more_rarely() {
    let mut stage = Stage::new("panic").await;
    stage.flags.push(format!("--panic-at={}/bad", stage.team));
    stage.start().await;
    stage.apply(&stage.request("bad")).await;
    others_sync(&stage).await;

    let mut attempts = BTreeMap::new();
    while attempts.len() < 4 {
        let next = attempts.len() as u32 + 1;
        let request = stage
            .until("bad", "another attempt", |request| {
                failure_attempts(request) >= next
            })
            .await;
        assert_eq!(status_of(&request, "Ready"), ("False", "InternalError"));
        assert_eq!(
            status_of(&request, "Reconciling"),
            ("True", "InternalError")
        );
        assert_eq!(status_of(&request, "Stalled").0, "False");
        assert!(message_of(&request, "Ready").contains("others are not concerned"));
        let failure = request.status.unwrap().failure.unwrap();
        attempts.insert(failure.attempts, failure.last_attempt_time);
    }
    let times: Vec<_> = attempts.into_iter().collect();
    for pair in times.windows(2) {
        let [(first, before), (second, after)] = pair else {
            unreachable!()
        };
        assert_eq!(first + 1, *second, "none was missed: {times:?}");
        let least = SignedDuration::from_secs(1 << (first - 1));
        assert!(after.duration_since(*before) >= least, "{times:?}");
    }
    let panics = stage
        .metric("credential_operator_passes_total{outcome=\"panic\"}")
        .await
        .unwrap();
    assert!(panics <= 5.0, "{panics} panics");
    assert_eq!(stage.get("/livez").await.unwrap().trim(), "ok");

    // Without the defect nothing waits for the rest of the pause.
    stage.stop().await;
    stage.flags.clear();
    stage.start().await;
    stage.ready("bad").await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_takes_nothing_away_from_a_request_that_has_its_credential() {
    let mut stage = Stage::new("panic-later").await;
    stage.start().await;
    stage.apply(&stage.request("bad")).await;
    stage.ready("bad").await;
    let before = stage.secret("bad").await;
    stage.stop().await;
    stage.flags.push(format!("--panic-at={}/bad", stage.team));
    stage.start().await;
    let request = stage
        .until("bad", "RenewalFailing", |request| {
            status_of(request, "RenewalFailing") == ("True", "InternalError")
        })
        .await;
    assert_eq!(
        status_of(&request, "Ready"),
        ("True", "Synced"),
        "what is published works"
    );
    assert_eq!(status_of(&request, "Reconciling").0, "False");
    assert_eq!(stage.secret("bad").await, before);
    others_sync(&stage).await;
    stage.finish().await;
}

/// An object as the API server stores it, whether or not it can be read.
async fn stored(api: &Api<DynamicObject>, name: &str) -> Value {
    serde_json::to_value(api.get(name).await.expect("it is there")).expect("JSON")
}

fn condition(object: &Value, type_: &str) -> (String, String, String) {
    let conditions = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found = conditions
        .into_iter()
        .find(|condition| condition["type"] == type_)
        .unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

async fn patch_status(api: &Api<DynamicObject>, name: &str, status: Value) {
    let (patch, how) = (
        Patch::Merge(json!({"status": status})),
        PatchParams::default(),
    );
    api.patch_status(name, &how, &patch).await.expect("stored");
}

async fn says_undecodable(api: &Api<DynamicObject>, name: &str) {
    eventually(SOON, || async {
        let object = stored(api, name).await;
        let (status, reason, message) = condition(&object, "Ready");
        anyhow::ensure!(status == "False" && reason == "Undecodable", "{object:#}");
        anyhow::ensure!(message.contains("cannot read the object"), "{message}");
        anyhow::ensure!(condition(&object, "Stalled").0 == "True", "{object:#}");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{name}: {error:#}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_stops_alone_and_recovers() {
    let mut stage = Stage::new("undecodable").await;
    stage.start().await;
    stage.apply(&stage.request("broken")).await;
    stage.ready("broken").await;
    let secret = stage.secret("broken").await;
    let resource = ApiResource::erase::<CredentialRequest>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(stage.client.clone(), &stage.team, &resource);
    patch_status(&api, "broken", json!({"expiresAt": TOO_LATE})).await;
    assert!(
        stage.requests().get("broken").await.is_err(),
        "the type cannot hold it"
    );
    says_undecodable(&api, "broken").await;
    others_sync(&stage).await;

    // A new operator meets it in its first list.
    stage.stop().await;
    let mark = stage.wire.mark();
    stage.start().await;
    stage.apply(&stage.request("later")).await;
    stage.ready("later").await;
    says_undecodable(&api, "broken").await;
    let written = stage.wire.since(mark);
    let written = written.iter().filter(|call| {
        call.is_changing()
            && call
                .kubernetes()
                .is_some_and(|call| call.name.as_deref() == Some("broken"))
    });
    assert_eq!(written.count(), 0, "it has been said already");
    assert_eq!(stage.secret("broken").await, secret, "the Secret is kept");

    patch_status(&api, "broken", json!({"expiresAt": null})).await;
    stage.ready("broken").await;
    assert_eq!(stage.secret("broken").await, secret);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_read_stops_its_own_requests_and_recovers() {
    let mut stage = Stage::new("bad-provider").await;
    stage.start().await;
    let other = DceSimulator::start(DceOptions::default());
    let name = format!("{}-broken", stage.team);
    stage
        .write_login_for(
            &stage.platform,
            &name,
            &other.endpoint(),
            &other.add_user("operator"),
        )
        .await;
    stage.apply(&stage.provider_at(&name, &other)).await;
    let request = |request: &str| stage.request_of(request, "ClusterCredentialProvider", &name);
    let requests: Vec<_> = ["before", "after"].into_iter().map(request).collect();
    stage.apply(&requests[0]).await;
    stage.ready("before").await;
    let secret = stage.secret("before").await;

    let resource = ApiResource::erase::<ClusterCredentialProvider>(&());
    let api: Api<DynamicObject> = Api::all_with(stage.client.clone(), &resource);
    let broken = json!({"login": {"time": TOO_LATE}});
    // Who knows the provider goes on using it, and writes the status anew.
    patch_status(&api, &name, broken.clone()).await;
    eventually(SOON, || async {
        let status = stored(&api, &name).await["status"].take();
        anyhow::ensure!(status["login"]["time"] != TOO_LATE, "{status:#}");
        Ok(())
    })
    .await
    .unwrap();

    // Who meets it like that does not know what to connect to.
    stage.stop().await;
    patch_status(&api, &name, broken).await;
    stage.start().await;
    says_undecodable(&api, &name).await;
    let mark = stage.wire.mark();
    // Nor whom it is for: only who was served before is told what is wrong with it.
    stage.apply(&requests[1]).await;
    let request = stage
        .until("after", "NotAllowed", |request| {
            status_of(request, "Ready") == ("False", "NotAllowed")
        })
        .await;
    assert!(
        !message_of(&request, "Ready").contains("cannot read"),
        "{}",
        message_of(&request, "Ready")
    );
    stage
        .annotate("before", "credential-operator.dev/rotate", "now")
        .await;
    let request = stage
        .until("before", "Undecodable", |request| {
            status_of(request, "RenewalFailing") == ("True", "Undecodable")
        })
        .await;
    assert!(
        message_of(&request, "RenewalFailing").contains(&name),
        "{}",
        message_of(&request, "RenewalFailing")
    );
    assert_eq!(
        status_of(&request, "Ready"),
        ("True", "Synced"),
        "its credential works"
    );
    others_sync(&stage).await;
    assert_eq!(stage.secret("before").await, secret);
    // Two renewals of a token that lives two seconds: whoever does not get on has tried again by now.
    stage.dce.grant_at_most(Some(Duration::from_secs(2)));
    stage.apply(&stage.request("clock")).await;
    let serial = |request: &CredentialRequest| {
        request
            .status
            .as_ref()?
            .credentials
            .first()
            .map(|record| record.serial)
    };
    stage
        .until("clock", "two renewals", |request| {
            serial(request) >= Some(3)
        })
        .await;
    stage.dce.grant_at_most(None);
    let told = stage.wire.since(mark);
    let of_it = told.iter().filter(|call| {
        call.kubernetes()
            .is_some_and(|call| call.name.as_deref() == Some(&name))
    });
    let told = of_it.filter(|call| call.is_changing()).count();
    assert!(told <= 1, "{told} writes about what has been said already");
    let complaints = stage
        .logs()
        .lines()
        .filter(|line| line.contains("could not be finished"))
        .count();
    assert_eq!(complaints, 0);

    patch_status(&api, &name, json!({"login": null})).await;
    stage.ready("after").await;
    stage
        .until("before", "rotated", |request| {
            status_of(request, "RenewalFailing").0 == "False"
                && request
                    .status
                    .as_ref()
                    .is_some_and(|status| status.rotated.is_some())
        })
        .await;
    stage.more_secret_values = other.secret_values();
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_does_not_keep_others_waiting() {
    const HANGING: usize = 40;
    let mut stage = Stage::new("hanging").await;
    stage.flags.push("--concurrency=16".to_owned());
    stage.start().await;
    let slow = DceSimulator::start(DceOptions::default());
    let name = format!("{}-slow", stage.team);
    stage
        .write_login_for(
            &stage.platform,
            &name,
            &slow.endpoint(),
            &slow.add_user("operator"),
        )
        .await;
    let mut provider = stage.provider_at(&name, &slow);
    // More calls at a time than there are slots for passes.
    provider["spec"]["budget"] = json!({"requestsPerSecond": 1000, "concurrency": 64});
    stage.apply(&provider).await;
    stage
        .apply(&stage.request_of("slow-first", "ClusterCredentialProvider", &name))
        .await;
    stage.ready("slow-first").await;

    for route in [TOKEN, CURRENT_USER] {
        slow.faults().set(route, Fault::Hang);
        for number in 0..HANGING {
            let request = format!(
                "slow-{}-{number}",
                if route == TOKEN { "token" } else { "test" }
            );
            stage
                .apply(&stage.request_of(&request, "ClusterCredentialProvider", &name))
                .await;
        }
        eventually(SOON, || async {
            let open = slow.max_in_flight(route);
            anyhow::ensure!(open > 16, "{open} calls hang");
            Ok(())
        })
        .await
        .unwrap();
        let started = clock::monotonic();
        for number in 0..20 {
            let request = format!(
                "good-{}-{number}",
                if route == TOKEN { "token" } else { "test" }
            );
            stage.apply(&stage.request(&request)).await;
            let ready =
                |request: &CredentialRequest| status_of(request, "Ready") == ("True", "Synced");
            stage.within(UNDELAYED, &request, "Ready=True", ready).await;
        }
        println!(
            "{}: twenty in a row took {:?}",
            stage.team,
            started.elapsed()
        );
        slow.faults().clear();
        stage.all_ready().await;
    }
    stage.more_secret_values = slow.secret_values();
    let providers: Api<ClusterCredentialProvider> = Api::all(stage.client.clone());
    providers
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    stage.finish().await;
}
