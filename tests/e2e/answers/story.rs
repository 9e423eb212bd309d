//! What every row goes through: a first sync, a renewal that fails, others that fail as well, and
//! the recovery.

use std::time::Duration;

use credential_operator::{
    api::{
        ClusterCredentialProvider, CredentialRequest, provider::LoginRecord, request::NextAction,
    },
    clock,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Resource, runtime::wait::await_condition};
use serde_json::json;
use testkit::dce::{CURRENT_USER, DceSimulator, TOKEN};

use super::rows::{At, Healing, Pause, Row};
use crate::stage::{Stage, in_conditions, message_of, status_of, value};

/// For what a row waits for: a call may take ten seconds, and ten rows are played at once.
const PATIENCE: Duration = Duration::from_secs(45);

/// By when a call is given up, whatever the provider does: ten seconds, and room for a busy machine.
const GIVEN_UP: Duration = Duration::from_secs(15);

/// Waits by a watch rather than by asking again and again: many rows wait at the same time.
pub async fn until<K>(api: &Api<K>, name: &str, what: &str, check: impl Fn(&K) -> bool) -> K
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let watched = await_condition(api.clone(), name, |found: Option<&K>| {
        found.is_some_and(&check)
    });
    match tokio::time::timeout(PATIENCE, watched).await {
        Ok(Ok(Some(found))) => found,
        other => panic!(
            "{name}: {what} does not hold ({:?}) for\n{:#?}",
            other.map(|_| ()),
            api.get(name).await
        ),
    }
}

async fn request_until(
    stage: &Stage,
    name: &str,
    what: &str,
    check: impl Fn(&CredentialRequest) -> bool,
) -> CredentialRequest {
    until(&stage.requests(), name, what, check).await
}

/// Plays a row.
pub async fn play(stage: &Stage, dce: &DceSimulator, row: Row) {
    let provider = format!("{}-{}", stage.team, row.name);
    let login = dce.add_user("operator");
    stage
        .write_login_for(&stage.platform, &provider, &dce.endpoint(), &login)
        .await;
    stage.apply(&stage.provider_at(&provider, dce)).await;
    stage
        .apply(&stage.request_of(row.name, "ClusterCredentialProvider", &provider))
        .await;
    request_until(stage, row.name, "Synced", is_synced).await;
    let good = stage.secret(row.name).await;
    assert!(dce.is_live(&value(&good, "token")));

    (row.goes_wrong)(dce);
    let name = row.name;
    if row.reason == "Timeout" && row.at == At::Token {
        // What takes long is waited for once.
        declare_fresh(stage, &row, &provider).await;
        declare_late(stage, dce, &row).await;
    }
    let asked = clock::monotonic();
    stage
        .annotate(name, "credential-operator.dev/rotate", "1")
        .await;
    let failing = request_until(stage, name, "RenewalFailing", |request| {
        status_of(request, "RenewalFailing") == ("True", row.reason)
    })
    .await;
    let took = asked.elapsed();
    assert!(took < GIVEN_UP, "{name}: given up after {took:?}");
    the_old_credential_still_counts(&failing, &row);
    if row.reason == "LoginRefused" {
        the_account_is_left_alone(stage, &provider).await;
    } else {
        the_next_try_is_of_its_class(&failing, &row);
    }
    what_was_asked_for_is_kept(stage, dce, &row).await;

    // Nothing was there before: the same reason, and no Secret.
    let fresh = declare_fresh(stage, &row, &provider).await;
    let request = request_until(stage, &fresh, "not Ready", |request| {
        status_of(request, "Ready") == ("False", row.reason)
    })
    .await;
    assert!(
        message_of(&request, "Ready").contains(row.words),
        "{}",
        message_of(&request, "Ready")
    );
    let acts = if matches!(row.pause, Pause::HalfAnHour | Pause::Patient) {
        "Stalled"
    } else {
        "Reconciling"
    };
    assert_eq!(status_of(&request, acts).0, "True", "{name}");
    assert!(
        stage
            .api::<Secret>()
            .get_opt(&fresh)
            .await
            .expect("an answer")
            .is_none(),
        "{name}: nothing is published"
    );
    let late = if row.at == At::Token {
        Some(is_told_late(stage, dce, &row).await)
    } else {
        None
    };

    let kept = stage.secret(name).await;
    assert_eq!(
        (&kept.data, &kept.metadata.resource_version),
        (&good.data, &good.metadata.resource_version),
        "{name}: the Secret is untouched"
    );
    assert!(dce.is_live(&value(&kept, "token")), "{name}: and it works");
    recover(stage, dce, &row, &provider).await;
    if let Some(late) = late {
        logs_in_at_last(stage, &row, late).await;
    }
}

fn is_synced(request: &CredentialRequest) -> bool {
    status_of(request, "Ready") == ("True", "Synced")
        && status_of(request, "RenewalFailing").0 == "False"
}

/// Status and reason of a provider's `Ready`.
pub fn ready(provider: &ClusterCredentialProvider) -> (&str, &str) {
    provider.status.as_ref().map_or(("", ""), |status| {
        in_conditions(&status.conditions, "Ready")
    })
}

fn the_old_credential_still_counts(request: &CredentialRequest, row: &Row) {
    assert_eq!(
        status_of(request, "Ready"),
        ("True", "Synced"),
        "{}",
        row.name
    );
    assert_eq!(
        status_of(request, "Reconciling").0,
        "False",
        "{}: for kstatus it is finished",
        row.name
    );
    assert_eq!(status_of(request, "Stalled").0, "False", "{}", row.name);
    let words = message_of(request, "RenewalFailing");
    assert!(words.contains(row.words), "{}: {words}", row.name);
    let status = request.status.as_ref().expect("a status");
    if row.reason == "LoginRefused" {
        // The provider tries again, not the request; the request may have been told by now.
        return;
    }
    assert_eq!(status.next_action, Some(NextAction::Retry), "{}", row.name);
    assert!(status.next_action_time.is_some(), "{}", row.name);
}

fn the_next_try_is_of_its_class(request: &CredentialRequest, row: &Row) {
    let status = request.status.as_ref().expect("a status");
    let failure = status
        .failure
        .as_ref()
        .unwrap_or_else(|| panic!("{}: the failure is on record", row.name));
    assert_eq!(failure.reason.as_str(), row.reason, "{}", row.name);
    assert!(failure.attempts >= 1, "{}", row.name);
    let pause = status
        .next_action_time
        .expect("a time")
        .duration_since(failure.last_attempt_time);
    let bounds = row.pause.bounds(failure.attempts);
    assert!(
        bounds.contains(&pause.as_secs_f64()),
        "{}: {pause} is not in {bounds:?}",
        row.name
    );
    assert_eq!(
        failure.not_before.is_some(),
        matches!(row.pause, Pause::AsAsked(_)),
        "{}",
        row.name
    );
}

/// A refused login belongs to the account: the provider holds it, and nobody tries again soon.
async fn the_account_is_left_alone(stage: &Stage, provider: &str) {
    let providers: Api<ClusterCredentialProvider> = Api::all(stage.client.clone());
    let held = until(&providers, provider, "LoginRefused", |provider| {
        ready(provider) == ("False", "LoginRefused")
    })
    .await;
    let login = held
        .status
        .and_then(|status| status.login)
        .expect("the login is on record");
    assert_eq!(login.attempts, 1);
}

/// What the simulator saw between two attempts.
async fn what_was_asked_for_is_kept(stage: &Stage, dce: &DceSimulator, row: &Row) {
    let twice = |request: &CredentialRequest| {
        request
            .status
            .as_ref()
            .and_then(|status| status.failure.as_ref())
            .is_some_and(|failure| failure.attempts >= 2)
    };
    match (row.at, row.pause) {
        (At::Token, Pause::AsAsked(seconds)) => {
            request_until(stage, row.name, "a second attempt", twice).await;
            let calls = dce.server().calls_to(TOKEN);
            let [.., first, second] = calls.as_slice() else {
                panic!("two calls")
            };
            let pause = second.at.duration_since(first.at);
            assert!(
                pause >= Duration::from_secs(seconds),
                "{}: asked again after {pause:?}",
                row.name
            );
        }
        (At::ProofAgain, _) => {
            let asked = dce.token_requests();
            request_until(stage, row.name, "a second attempt", twice).await;
            assert!(
                dce.server().calls_to(CURRENT_USER).len() >= 3,
                "{}: it was proven again",
                row.name
            );
            assert_eq!(
                dce.token_requests(),
                asked,
                "{}: the token in hand is not asked for again",
                row.name
            );
        }
        (At::ProofAnew, _) => {
            let asked = dce.token_requests();
            request_until(stage, row.name, "a second attempt", twice).await;
            assert!(
                dce.token_requests() > asked,
                "{}: what was refused is forgotten",
                row.name
            );
        }
        _ => {}
    }
}

async fn declare_fresh(stage: &Stage, row: &Row, provider: &str) -> String {
    let fresh = format!("{}-fresh", row.name);
    stage
        .apply(&stage.request_of(&fresh, "ClusterCredentialProvider", provider))
        .await;
    fresh
}

async fn declare_late(stage: &Stage, dce: &DceSimulator, row: &Row) -> String {
    let late = format!("{}-{}-late", stage.team, row.name);
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.platform);
    if secrets.get_opt(&late).await.expect("an answer").is_none() {
        let pair = dce.add_user("late");
        stage
            .write_login_for(&stage.platform, &late, &dce.endpoint(), &pair)
            .await;
        stage.apply(&stage.provider_at(&late, dce)).await;
    }
    late
}

/// A provider that is declared while it goes wrong tells so itself.
async fn is_told_late(stage: &Stage, dce: &DceSimulator, row: &Row) -> (String, LoginRecord) {
    let late = declare_late(stage, dce, row).await;
    let providers: Api<ClusterCredentialProvider> = Api::all(stage.client.clone());
    let provider = until(&providers, &late, "not Ready", |provider| {
        ready(provider) == ("False", row.reason)
    })
    .await;
    let status = provider.status.expect("a status");
    let words = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .map(|condition| condition.message.as_str());
    assert!(
        words.is_some_and(|words| words.contains(row.words)),
        "{}: {words:?}",
        row.name
    );
    let login = status.login.expect("the login is on record");
    assert!(login.attempts >= 1, "{}", row.name);
    assert_eq!(
        login.not_before.is_some(),
        matches!(row.pause, Pause::AsAsked(_)),
        "{}",
        row.name
    );
    (late, login)
}

/// A provider whose first login failed tries again by itself, and not before it was asked to.
async fn logs_in_at_last(stage: &Stage, row: &Row, (late, failed): (String, LoginRecord)) {
    if row.healing != Healing::Alone {
        return;
    }
    let providers: Api<ClusterCredentialProvider> = Api::all(stage.client.clone());
    let provider = until(&providers, &late, "LoginWorks", |provider| {
        ready(provider) == ("True", "LoginWorks")
    })
    .await;
    let worked = provider
        .status
        .and_then(|status| status.login)
        .expect("the login is on record");
    if let Pause::AsAsked(seconds) = row.pause {
        let pause = worked.time.duration_since(failed.time).as_secs_f64();
        assert!(
            pause >= seconds as f64,
            "{}: the login was tried again after {pause} s",
            row.name
        );
    }
}

async fn recover(stage: &Stage, dce: &DceSimulator, row: &Row, provider: &str) {
    dce.faults().clear();
    dce.stop_lying();
    match row.healing {
        Healing::Alone => {}
        Healing::NewPair => {
            let pair = dce.change_pair("operator");
            stage
                .write_login_for(&stage.platform, provider, &dce.endpoint(), &pair)
                .await;
        }
        Healing::AskDifferently => {
            for name in [row.name.to_owned(), format!("{}-fresh", row.name)] {
                let mut request = stage.request_of(&name, "ClusterCredentialProvider", provider);
                request["spec"]["dce"]["token"] = json!({"cycle": 2});
                stage.apply(&request).await;
            }
        }
    }
    let well = |request: &CredentialRequest| {
        is_synced(request)
            && request
                .status
                .as_ref()
                .is_some_and(|status| status.failure.is_none())
    };
    let renewed = request_until(stage, row.name, "renewed", |request| {
        well(request)
            && request
                .status
                .as_ref()
                .is_some_and(|status| status.credentials.iter().all(|record| record.serial >= 2))
    })
    .await;
    assert_eq!(
        renewed.status.and_then(|status| status.rotated).as_deref(),
        Some("1"),
        "{}",
        row.name
    );
    assert!(dce.is_live(&stage.token(row.name).await), "{}", row.name);
    let fresh = format!("{}-fresh", row.name);
    request_until(stage, &fresh, "Synced", well).await;
    assert!(dce.is_live(&stage.token(&fresh).await), "{}", row.name);
}
