//! What is written down after a pass.

use super::{super::report::report, *};
use crate::api::{CredentialRequestStatus, condition};

fn written(seen: &Observed, second: i64) -> CredentialRequestStatus {
    rewritten(seen, second, &CredentialRequestStatus::default())
}

fn rewritten(
    seen: &Observed,
    second: i64,
    old: &CredentialRequestStatus,
) -> CredentialRequestStatus {
    report(seen, &plan(seen, at(second)), old, at(second))
        .expect("a report")
        .status
}

/// `Ready`, `Reconciling`, `Stalled`, `RenewalFailing` as letters (upper case is True), and the
/// reason of `Ready`.
fn verdict(status: &CredentialRequestStatus) -> (String, &str) {
    let of = |type_: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)
            .unwrap()
    };
    let letters = [
        condition::READY,
        condition::RECONCILING,
        condition::STALLED,
        condition::RENEWAL_FAILING,
    ]
    .iter()
    .zip(["r", "c", "s", "f"])
    .map(|(type_, letter)| {
        if of(type_).status == "True" {
            letter.to_uppercase()
        } else {
            letter.to_owned()
        }
    })
    .collect();
    (letters, of(condition::READY).reason.as_str())
}

#[test]
fn conditions_tell_the_truth() {
    let due = |reason| with_failure(synced(), reason, 2000);
    let gate = |seen: Observed, gate| change(seen, |seen| seen.gate = gate);
    for (name, seen, second, expected, reason) in [
        ("published and proven", synced(), 1, "Rcsf", "Synced"),
        (
            "published, not provable",
            change(synced(), |seen| {
                seen.target = Target::Ours(Published {
                    unverified: true,
                    ..published()
                })
            }),
            1,
            "Rcsf",
            "SyncedUnverified",
        ),
        (
            "the first attempt failed",
            with_failure(fresh(), Reason::Timeout, 0),
            0,
            "rCsf",
            "Timeout",
        ),
        (
            "the first attempt was denied: people have to act",
            with_failure(fresh(), Reason::Forbidden, 0),
            0,
            "rcSf",
            "Forbidden",
        ),
        (
            "a renewal failed early: nobody needs to worry yet",
            due(Reason::Timeout),
            2000,
            "RcsF",
            "Synced",
        ),
        (
            "a renewal was denied",
            due(Reason::Forbidden),
            2000,
            "RcsF",
            "Synced",
        ),
        (
            "a renewal failed until it was too late",
            with_failure(synced(), Reason::Timeout, 3000),
            3000,
            "rCsf",
            "Expired",
        ),
        (
            "the provider's login is refused, nothing published",
            gate(fresh(), not_ready()),
            1,
            "rcSf",
            "LoginRefused",
        ),
        (
            "the provider's login is refused, renewal due",
            gate(synced(), not_ready()),
            2500,
            "RcsF",
            "Synced",
        ),
        (
            "the provider's login is refused, nothing due",
            gate(synced(), not_ready()),
            1,
            "Rcsf",
            "Synced",
        ),
        (
            "a grant was withdrawn",
            gate(synced(), Gate::Refused(refusal(Reason::NotAllowed))),
            1,
            "rcSf",
            "NotAllowed",
        ),
        (
            "the provider is gone, renewal due",
            gate(synced(), Gate::Refused(refusal(Reason::ProviderNotFound))),
            2500,
            "RcSF",
            "Synced",
        ),
        (
            "the provider is gone, nothing published",
            gate(fresh(), Gate::Refused(refusal(Reason::ProviderNotFound))),
            1,
            "rcSf",
            "ProviderNotFound",
        ),
        (
            "somebody else's Secret",
            change(fresh(), |seen| seen.target = Target::Foreign("no".into())),
            1,
            "rcSf",
            "TargetNotOwned",
        ),
        (
            "a field is not valid",
            change(fresh(), |seen| {
                seen.request.spec = Err(refusal(Reason::InvalidSpec))
            }),
            1,
            "rcSf",
            "InvalidSpec",
        ),
        (
            "suspended before anything was published",
            change(fresh(), |seen| seen.request.suspended = true),
            1,
            "rcsf",
            "Suspended",
        ),
    ] {
        let status = written(&seen, second);
        assert_eq!(verdict(&status), (expected.to_owned(), reason), "{name}");
    }
}

#[test]
fn a_suspended_request_stays_as_ready_as_it_was_until_its_credential_expires() {
    let before = written(&synced(), 1);
    let suspended = change(synced(), |seen| {
        seen.request.suspended = true;
        seen.target = Target::Unknown;
    });
    assert_eq!(
        verdict(&rewritten(&suspended, 2500, &before)),
        ("Rcsf".to_owned(), "Suspended")
    );
    assert_eq!(
        verdict(&rewritten(&suspended, 3000, &before)),
        ("rcsf".to_owned(), "Suspended")
    );
    assert_eq!(
        rewritten(&suspended, 2500, &before).credentials,
        before.credentials,
        "the ledger stays"
    );
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    for seen in [
        synced(),
        with_failure(fresh(), Reason::Timeout, 0),
        change(fresh(), |seen| seen.gate = not_ready()),
    ] {
        let first = written(&seen, 0);
        let again = report(&seen, &plan(&seen, at(0)), &first, at(0)).unwrap();
        assert_eq!(again.status, first);
        assert_eq!(again.events, []);
    }
}

#[test]
fn what_reports_back_by_itself_is_no_reason_for_a_write() {
    for seen in [
        change(fresh(), |seen| {
            seen.queued = Some(SignedDuration::from_secs(1))
        }),
        change(fresh(), |seen| seen.call_under_way = true),
        change(fresh(), |seen| seen.gate = Gate::Checking),
    ] {
        assert_eq!(
            report(
                &seen,
                &plan(&seen, at(0)),
                &CredentialRequestStatus::default(),
                at(0)
            ),
            None
        );
    }
}

#[test]
fn what_expires_while_its_successor_is_on_its_way_is_said_once() {
    let before = written(&synced(), 0);
    let calling = change(synced(), |seen| seen.call_under_way = true);
    let report = |now, before| report(&calling, &plan(&calling, at(now)), before, at(now));
    assert_eq!(report(2999, &before), None);
    let over = report(3000, &before).unwrap().status;
    assert_eq!(verdict(&over), ("rCsf".to_owned(), "Expired"));
    assert_eq!(report(3001, &over), None);
}

#[test]
fn a_new_request_in_a_long_queue_says_so_once() {
    let queued = change(fresh(), |seen| {
        seen.queued = Some(SignedDuration::from_secs(60));
    });
    let status = written(&queued, 0);
    assert_eq!(verdict(&status), ("rCsf".to_owned(), "WaitingForBudget"));
    assert_eq!(report(&queued, &plan(&queued, at(9)), &status, at(9)), None);
}

#[test]
fn a_request_in_a_queue_says_why_its_provider_is_not_asked() {
    for (what, pause, reason, words) in [
        (
            "a pause that the provider asked for",
            Some(Pause::Asked),
            "RateLimited",
            "ClusterCredentialProvider cloud asked to be left alone",
        ),
        (
            "an outage",
            Some(Pause::Outage),
            "ProviderUnavailable",
            "ClusterCredentialProvider cloud did not answer",
        ),
        ("the budget", None, "WaitingForBudget", "spec.budget"),
    ] {
        for (seen, now) in [(fresh(), 0), (synced(), 3000)] {
            let queued = change(seen, |seen| {
                seen.queued = Some(SignedDuration::from_secs(60));
                seen.left_alone = pause;
            });
            let obstacle = super::super::obstacle(&queued, &plan(&queued, at(now)));
            let (stated, message) = obstacle.unwrap();
            assert_eq!(stated.as_str(), reason, "{what}");
            assert!(message.contains(words), "{what}: {message}");
        }
        let new = change(fresh(), |seen| {
            seen.queued = Some(SignedDuration::from_secs(60));
            seen.left_alone = pause;
        });
        assert_eq!(
            verdict(&written(&new, 0)),
            ("rCsf".to_owned(), reason),
            "{what}"
        );
    }
}

#[test]
fn the_status_says_what_happens_next_and_what_failed() {
    let status = written(&synced(), 1);
    assert_eq!(
        (status.next_action, status.next_action_time),
        (Some(NextAction::Renew), Some(at(2000)))
    );
    assert_eq!(
        (status.secret_name.as_deref(), status.expires_at),
        (Some("s3"), Some(at(3000)))
    );
    assert_eq!(status.failure, None);
    let status = written(&with_failure(synced(), Reason::Timeout, 2000), 2000);
    assert_eq!(
        (status.next_action, status.next_action_time),
        (Some(NextAction::Retry), Some(at(2001)))
    );
    assert_eq!(status.failure.map(|failure| failure.attempts), Some(1));
}

#[test]
fn events_are_told_once() {
    let told = |seen: &Observed, second, old: &CredentialRequestStatus| {
        let report = report(seen, &plan(seen, at(second)), old, at(second)).unwrap();
        (
            report
                .events
                .iter()
                .map(|note| note.reason)
                .collect::<Vec<_>>(),
            report.status,
        )
    };
    let mut first = synced();
    first.done.published = true;
    let (events, status) = told(&first, 1, &CredentialRequestStatus::default());
    assert_eq!(events, ["Issued"]);
    let (events, status) = told(&first, 1, &status);
    assert_eq!(events, [""; 0], "a renewal is no event");
    let failing = with_failure(synced(), Reason::Timeout, 2000);
    let (events, status) = told(&failing, 2000, &status);
    assert_eq!(events, ["Timeout"]);
    let again = with_failure(failing, Reason::Timeout, 2001);
    let (events, status) = told(&again, 2001, &status);
    assert_eq!(events, [""; 0], "the same failure once more");
    let (events, _) = told(&with_failure(again, Reason::Forbidden, 2003), 2003, &status);
    assert_eq!(events, ["Forbidden"]);
}

#[test]
fn each_list_of_what_will_be_destroyed_is_an_event_of_its_own() {
    let says = |message: &str, reason| {
        let failure = Failure {
            reason,
            message: message.into(),
            retry_after: None,
            rest: None,
        };
        change(revocation::pair(1), |seen| {
            seen.request.deleting = Some(at(0));
            seen.access = Access::Open {
                inputs: String::new(),
            };
            seen.fail_to_revoke(1, failure, at(1));
        })
    };
    let told = |seen: &Observed, old: &CredentialRequestStatus| {
        let report = report::report(seen, &plan(seen, at(1)), old, at(1)).unwrap();
        (report.events, report.status)
    };
    let (events, status) = told(&says("a and b", Reason::DestroysMore), &Default::default());
    let note = events.last().unwrap();
    assert!(
        note.is_notice() && note.note.contains("a and b"),
        "{note:?}"
    );
    let (events, _) = told(&says("a and b", Reason::DestroysMore), &status);
    assert_eq!(events, [], "the same list once more");
    let (events, _) = told(&says("a, b and c", Reason::DestroysMore), &status);
    assert_eq!(events.len(), 1);
    assert!(events[0].note.contains("a, b and c"), "{events:?}");
    // Of anything else the reason alone is news.
    let (events, status) = told(&says("this", Reason::Timeout), &status);
    assert!(!events[0].is_notice());
    let (events, _) = told(&says("that", Reason::Timeout), &status);
    assert_eq!(events, []);
}
