//! The operator's finalizers, case by case: they are put back where something may have to be
//! revoked, and a fight about them comes to rest.

use super::{cases::*, revocation::*, *};
use Decision::Do;
use Step::{AddFinalizer, Publish, Revoke};
use finalizer::{Additions, FailedAddition};

/// Another writer has removed the finalizer.
fn stripped(seen: Observed) -> Observed {
    change(seen, |seen| seen.request.finalizer = false)
}

/// The finalizer was put back so often, each time at this second.
fn added(seen: Observed, times: usize, second: i64) -> Observed {
    change(seen, |seen| {
        seen.additions.at = vec![at(second); times];
    })
}

fn refused(seen: Observed, answer: Option<&str>, attempts: u32) -> Observed {
    change(seen, |seen| {
        seen.additions.failed = Some(FailedAddition {
            at: at(10),
            attempts,
            answer: answer.map(str::to_owned),
        });
    })
}

#[test]
fn a_finalizer_that_is_gone_comes_back_wherever_something_may_have_to_be_revoked() {
    let back = || Exactly(Do(AddFinalizer));
    let never_served = || stripped(revocable(fresh()));
    check(vec![
        case("a pair is published", stripped(pair(1)), 10, back()),
        case(
            "its Secret was not looked at since the start",
            stripped(change(pair(1), |seen| seen.target = Target::Unknown)),
            10,
            back(),
        ),
        case(
            "its Secret is gone",
            stripped(change(pair(1), |seen| seen.target = Target::Absent)),
            10,
            back(),
        ),
        case(
            "the request is suspended",
            stripped(change(pair(1), |seen| seen.request.suspended = true)),
            10,
            back(),
        ),
        case(
            "its spec is not valid any more",
            stripped(change(pair(1), |seen| {
                seen.request.spec = Err(refusal(Reason::InvalidSpec));
            })),
            10,
            back(),
        ),
        case(
            "its grant was withdrawn",
            stripped(change(pair(1), |seen| {
                seen.gate = Gate::Refused(refusal(Reason::NotAllowed));
            })),
            10,
            back(),
        ),
        case(
            "its provider cannot be used",
            stripped(change(pair(1), |seen| seen.gate = not_ready())),
            10,
            back(),
        ),
        case(
            "a call is under way",
            stripped(change(pair(1), |seen| seen.call_under_way = true)),
            10,
            back(),
        ),
        case(
            "the first pair is in hand",
            stripped(with_in_hand(revocable(fresh()), Proof::Given)),
            10,
            back(),
        ),
        case(
            "an attempt may have left the first one behind",
            change(never_served(), |seen| {
                seen.leftovers.insert(1);
            }),
            10,
            back(),
        ),
        case(
            "the same after a restart, where the failure on record is all that tells",
            with_failure(never_served(), Reason::Timeout, 10),
            10,
            back(),
        ),
        case(
            "a request that never had anything is not held",
            change(never_served(), |seen| {
                seen.gate = Gate::Refused(refusal(Reason::NotAllowed));
            }),
            10,
            Stops(Reason::NotAllowed),
        ),
        case(
            "nor is one for a credential that ends by itself",
            change(synced(), |seen| seen.request.finalizer = false),
            10,
            Waits(WaitReason::Rest, Some(2000), Some(NextAction::Renew)),
        ),
    ]);
}

#[test]
fn a_finalizer_that_is_removed_again_and_again_is_put_back_five_times_in_five_minutes() {
    check(vec![
        case(
            "the fifth time at once",
            added(stripped(pair(1)), 4, 10),
            11,
            Exactly(Do(AddFinalizer)),
        ),
        case(
            "then the rest of the request goes on without it",
            added(stripped(pair(1)), 5, 10),
            11,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "what is in hand is published",
            added(stripped(with_in_hand(rotate(pair(1)), Proof::Given)), 5, 10),
            11,
            Exactly(Do(Publish)),
        ),
        case(
            "what is due is revoked",
            added(stripped(looked(overlapping())), 5, 10),
            301,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "nothing more is issued before it is back",
            added(stripped(rotate(pair(1))), 5, 10),
            11,
            Waits(WaitReason::Finalizer, Some(310), Some(NextAction::Retry)),
        ),
        case(
            "nor the first one",
            added(stripped(revocable(fresh())), 5, 10),
            11,
            Waits(WaitReason::Finalizer, Some(310), Some(NextAction::Retry)),
        ),
        case(
            "it is put back after five minutes",
            added(stripped(pair(1)), 5, 10),
            310,
            Exactly(Do(AddFinalizer)),
        ),
        case(
            "a write that was refused is tried again after a second",
            refused(stripped(pair(1)), Some("403 Forbidden"), 1),
            10,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "then",
            refused(stripped(pair(1)), Some("403 Forbidden"), 1),
            11,
            Exactly(Do(AddFinalizer)),
        ),
        case(
            "and ever more rarely",
            refused(stripped(rotate(pair(1))), None, 20),
            11,
            Waits(WaitReason::Finalizer, Some(310), Some(NextAction::Retry)),
        ),
    ]);
}

#[test]
fn a_request_without_its_finalizer_looks_again_when_it_may_be_put_back() {
    let seen = added(stripped(pair(1)), 5, 10);
    let decision = plan(&seen, at(11));
    assert_eq!(next_look(&seen, &decision, at(11)), Some(at(310)));
}

#[test]
fn a_finalizer_that_cannot_be_put_back_is_said_in_the_condition_and_why() {
    use super::super::report::report;
    let condition = |seen: Observed| {
        let report = report(&seen, &plan(&seen, at(11)), &Default::default(), at(11)).unwrap();
        let find = |type_: &str| {
            let mut all = report.status.conditions.iter();
            all.find(|it| it.type_ == type_).unwrap().clone()
        };
        let (ready, failing) = (find("Ready"), find("RevocationFailing"));
        assert!(failing.message.is_empty() || report.events.len() <= 2);
        (
            ready.status,
            failing.status,
            failing.reason,
            failing.message,
        )
    };
    for (seen, expected, words) in [
        (pair(1), ("True", "False", "Nominal"), "no revocation"),
        (
            added(stripped(pair(1)), 5, 10),
            ("True", "True", "TargetContested"),
            "the finalizer credential-operator.dev/revoke is missing on this request: another writer",
        ),
        (
            refused(stripped(pair(1)), None, 5),
            ("True", "True", "TargetContested"),
            "mutatingwebhookconfigurations",
        ),
        (
            refused(stripped(pair(1)), Some("403 Forbidden"), 5),
            ("True", "True", "FinalizerRefused"),
            "the write that adds it fails (403 Forbidden)",
        ),
    ] {
        let (ready, failing, reason, message) = condition(seen);
        assert_eq!(
            (ready.as_str(), failing.as_str(), reason.as_str()),
            expected
        );
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn of_the_writes_that_add_a_finalizer_the_last_ones_are_remembered() {
    let mut additions = Additions::default();
    for second in 0..100 {
        additions.failed(None, at(second));
        assert_eq!(additions.failed.as_ref().unwrap().attempts, 1);
        additions.worked(at(second));
    }
    assert_eq!(additions.at.len(), 8);
    assert_eq!(additions.failed, None);
    additions.failed(None, at(100));
    additions.failed(Some("500".into()), at(101));
    assert_eq!(additions.failed.unwrap().attempts, 2);
}
