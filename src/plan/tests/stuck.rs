//! What cannot be revoked, and what was issued in vain, case by case.

use super::{cases::*, revocation::*, *};
use crate::api::CredentialRequestStatus;
use Decision::Do;
use Step::{Discard, Issue, RemoveFinalizer, Revoke};
use Urgency::{New, Routine};

fn going(seen: Observed) -> Observed {
    change(seen, |seen| seen.request.deleting = Some(at(1000)))
}

/// The third is published; the first and the second are due to be revoked, and the first cannot be.
fn first_is_stuck() -> Observed {
    let seen = change(looked(pair(3)), |seen| {
        seen.recorded.credentials.push(retiring(2, 100));
        seen.recorded.credentials.push(retiring(1, 100));
    });
    failed_to_revoke(seen, Reason::Forbidden, 100)
}

#[test]
fn one_that_cannot_be_revoked_keeps_no_other_alive() {
    let second_is_gone = || told(first_is_stuck(), 2, Revocation::Gone);
    check(vec![
        case(
            "the next one is tried at once",
            first_is_stuck(),
            100,
            Exactly(Do(Revoke(2, LAST))),
        ),
        case(
            "then the first has to wait for its time",
            second_is_gone(),
            100,
            Waits(WaitReason::Rest, Some(130), Some(NextAction::Revoke)),
        ),
        case(
            "and is tried again",
            second_is_gone(),
            200,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "a provider that does not answer is not asked about the others either",
            failed_to_revoke(first_is_stuck(), Reason::Timeout, 100),
            100,
            Waits(WaitReason::Rest, Some(102), Some(NextAction::Revoke)),
        ),
        case(
            "when the request goes, all that can be revoked is, first of all",
            going(first_is_stuck()),
            1000,
            Exactly(Do(Revoke(2, New))),
        ),
        case(
            "also what is published, and what a crash may have left",
            going(told(second_is_gone(), 3, Revocation::Gone)),
            1000,
            Exactly(Do(Revoke(4, New))),
        ),
        case(
            "in the end only the one that is stuck is left",
            told(
                going(told(second_is_gone(), 3, Revocation::Gone)),
                4,
                Revocation::Absent,
            ),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
    ]);
}

#[test]
fn a_failure_is_told_even_when_what_follows_it_is_under_way_all_the_time() {
    let seen = change(
        with_failure(pair(1), Reason::VerificationFailed, 10),
        |seen| seen.call_under_way = true,
    );
    let tell = |old: &CredentialRequestStatus| {
        report::report(&seen, &plan(&seen, at(11)), old, at(11)).map(|report| report.status)
    };
    let new = rotate(seen.clone());
    let decision = plan(&new, at(11));
    assert!(matches!(&decision, Decision::Wait(wait) if wait.reason == WaitReason::Call));
    let told = tell(&CredentialRequestStatus::default());
    let told = told.unwrap_or_default();
    assert_eq!(
        told.failure.as_ref().map(|failure| failure.reason),
        Some(Reason::VerificationFailed)
    );
    let failing = told
        .conditions
        .iter()
        .find(|it| it.type_ == "RenewalFailing");
    assert_eq!(failing.unwrap().reason, "VerificationFailed");
    assert_eq!(told.next_action, Some(NextAction::Retry));
    assert_eq!(told.next_action_time, Some(at(11)));
    assert!(tell(&told).is_none(), "once");
}

#[test]
fn what_could_not_be_confirmed_is_revoked_once_more() {
    let sent = || told(looked(overlapping()), 1, Revocation::Sent);
    check(vec![
        case(
            "it was said to be deleted",
            sent(),
            300,
            Exactly(Do(Step::Confirm(1, LAST))),
        ),
        case(
            "and is still there: when its time has come, again from the beginning",
            failed_to_revoke(sent(), Reason::Forbidden, 300),
            400,
            Exactly(Do(Revoke(1, LAST))),
        ),
    ]);
}

#[test]
fn each_is_tried_once_in_a_round() {
    let mut seen = first_is_stuck();
    let fail = |seen: &mut Observed, serial, second| {
        let failure = Failure {
            reason: Reason::Forbidden,
            message: "no".into(),
            retry_after: None,
            rest: None,
        };
        seen.fail_to_revoke(serial, failure, at(second));
    };
    fail(&mut seen, 2, 101);
    assert!(
        matches!(plan(&seen, at(101)), Decision::Wait(_)),
        "both have been tried"
    );
    assert_eq!(plan(&seen, at(1000)), Do(Revoke(1, LAST)));
    fail(&mut seen, 1, 1000);
    assert_eq!(plan(&seen, at(1000)), Do(Revoke(2, LAST)), "a new round");
    seen.revoke(2, Revocation::Gone);
    assert!(
        seen.revocation_failure_that_counts().is_some(),
        "what became of one says nothing about the other"
    );
    seen.revoke(1, Revocation::Gone);
    assert!(seen.revocation_failure_that_counts().is_none());
}

#[test]
fn serials_that_no_ledger_names_any_more_are_looked_for_when_a_request_goes() {
    let used = |seen: Observed, last| change(seen, |seen| seen.recorded.last_serial = last);
    let absent = |seen: Observed, serials: &[u64]| {
        serials
            .iter()
            .fold(seen, |seen, serial| told(seen, *serial, Revocation::Absent))
    };
    check(vec![
        case(
            "two were given up before the first was published",
            used(revocable(fresh()), 2),
            1,
            Exactly(Do(Issue(3, New))),
        ),
        case(
            "each of them is looked at",
            going(used(revocable(fresh()), 3)),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "one that is not there does not end it",
            absent(going(used(revocable(fresh()), 3)), &[1, 2]),
            1000,
            Exactly(Do(Revoke(3, New))),
        ),
        case(
            "what was revoked long ago can be there again: the last eight are looked at once more",
            going(pair(12)),
            1000,
            Exactly(Do(Revoke(4, New))),
        ),
        case(
            "but for what stays knowingly",
            change(absent(going(pair(3)), &[1, 2, 4]), |seen| {
                seen.request.retain = true;
            }),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "only the one after the last does",
            absent(going(used(revocable(fresh()), 3)), &[1, 2, 3, 4]),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "a number that somebody made up is no reason for endless calls",
            absent(
                going(used(revocable(fresh()), 1 << 50)),
                &((1 << 50) - 8..=(1 << 50) + 1).collect::<Vec<_>>(),
            ),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
    ]);
}

#[test]
fn the_highest_serial_is_written_down_where_no_record_says_it() {
    let last = |seen: &Observed| {
        let now = at(10);
        let decision = plan(seen, now);
        let report = report::report(seen, &decision, &CredentialRequestStatus::default(), now);
        report.unwrap().status.last_serial
    };
    let failed = change(
        with_failure(revocable(fresh()), Reason::VerificationFailed, 10),
        |seen| seen.revoke(2, Revocation::Gone),
    );
    assert_eq!(last(&failed), Some(2));
    assert_eq!(last(&pair(2)), None, "its record says so");
}

#[test]
fn a_rotation_that_waits_does_not_wait_beyond_expiry() {
    let expiring = || {
        change(overlapping(), |seen| {
            seen.target = Target::Ours(Published {
                serial: 2,
                ..published()
            });
            seen.recorded.credentials = vec![current(2), retiring(1, 5000)];
        })
    };
    check(vec![
        case(
            "it waits for the overlap, and no longer than until renewal is due",
            rotate(expiring()),
            100,
            Waits(WaitReason::Overlap, Some(2000), Some(NextAction::Revoke)),
        ),
        case(
            "then a third one is issued",
            rotate(expiring()),
            2000,
            Exactly(Do(Issue(3, Routine(at(3000))))),
        ),
    ]);
}

#[test]
fn what_is_issued_in_vain_does_not_stay_alive() {
    let in_hand = || with_in_hand(revocable(fresh()), Proof::Given);
    let foreign = |seen: Observed| {
        change(seen, |seen| {
            seen.target = Target::Foreign("it is somebody else's".into());
        })
    };
    let left = || {
        change(foreign(revocable(fresh())), |seen| {
            seen.taken.insert(1);
            seen.leftovers.insert(1);
            seen.looked = true;
        })
    };
    check(vec![
        case(
            "the Secret turns out to be somebody else's",
            foreign(in_hand()),
            1,
            Exactly(Do(Discard)),
        ),
        case(
            "the grant was withdrawn meanwhile",
            change(in_hand(), |seen| {
                seen.gate = Gate::Refused(refusal(Reason::NotAllowed));
            }),
            1,
            Exactly(Do(Discard)),
        ),
        case(
            "then it is revoked",
            left(),
            1,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "also where the grant was withdrawn",
            change(left(), |seen| {
                seen.target = Target::Absent;
                seen.gate = Gate::Refused(refusal(Reason::ProviderTerminating));
            }),
            1,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "and the request stands where it stood",
            told(left(), 1, Revocation::Gone),
            1,
            Stops(Reason::TargetNotOwned),
        ),
        case(
            "a token expires by itself",
            foreign(with_in_hand(fresh(), Proof::Given)),
            1,
            Stops(Reason::TargetNotOwned),
        ),
        case(
            "a suspended request is left alone",
            change(in_hand(), |seen| seen.request.suspended = true),
            1,
            Stops(Reason::Suspended),
        ),
    ]);
}

#[test]
fn what_was_revoked_before_somebody_published_it_is_replaced() {
    check(vec![
        case(
            "a copy that had been stopped has published it late",
            told(looked(pair(2)), 2, Revocation::Gone),
            10,
            Exactly(Do(Issue(3, New))),
        ),
        case(
            "what was revoked is another one",
            told(pair(2), 1, Revocation::Gone),
            10,
            Waits(WaitReason::Rest, None, None),
        ),
    ]);
}

#[test]
fn what_the_status_says_of_an_owner_counts_more_than_what_the_secret_says() {
    let owned = |recorded: Option<&str>| {
        let seen = change(pair(2), |seen| {
            seen.target = Target::Ours(Published {
                serial: 2,
                owner: Some("by the Secret".into()),
                ..published()
            });
            seen.recorded.credentials = vec![CredentialRecord {
                owner: recorded.map(str::to_owned),
                ..current(2)
            }];
        });
        ledger::records(&seen, at(10))[0].owner.clone()
    };
    assert_eq!(
        owned(Some("by the status")).as_deref(),
        Some("by the status")
    );
    assert_eq!(owned(None).as_deref(), Some("by the Secret"));
}

#[test]
fn as_long_as_a_request_lives_only_what_is_named_is_given_up() {
    let abandon = |what: &str| {
        let what = what.to_owned();
        looked(change(overlapping(), |seen| {
            let old = seen.recorded.credentials.last_mut().unwrap();
            old.id = Some("id-1".into());
            seen.request.abandon.insert(what);
        }))
    };
    check(vec![
        case(
            "all of them: not yet",
            abandon("all"),
            300,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "this one",
            abandon("id-1"),
            300,
            Waits(WaitReason::Rest, None, None),
        ),
    ]);
}

#[test]
fn what_is_given_up_while_the_request_lives_is_told_once() {
    let old = CredentialRequestStatus {
        credentials: vec![
            CredentialRecord {
                expires_at: None,
                ..current(2)
            },
            CredentialRecord {
                id: Some("id-1".into()),
                ..retiring(1, 300)
            },
        ],
        ..CredentialRequestStatus::default()
    };
    let seen = change(pair(2), |seen| {
        seen.recorded.credentials.clone_from(&old.credentials);
        seen.request.abandon.insert("id-1".into());
    });
    let told = |old: &CredentialRequestStatus| {
        let report = report::report(&seen, &plan(&seen, at(10)), old, at(10)).unwrap();
        let events = report.events.iter();
        let notes = events.filter(|note| note.reason == "GivenUp").count();
        (notes, report.status)
    };
    let (notes, new) = told(&old);
    assert_eq!(notes, 1);
    assert_eq!(told(&new).0, 0);
}
