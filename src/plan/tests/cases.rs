//! What is decided, case by case.

use super::{super::refusal as refusals, *};
use Decision::{Do, LetGo, Stop};
use Step::{Discard, Issue, Look, Publish, Repair, Verify};
use Urgency::{New, Routine};

/// What a row expects: a decision, or the gist of one.
pub(super) enum Expect {
    Exactly(Decision),
    Stops(Reason),
    Waits(WaitReason, Option<i64>, Option<NextAction>),
}
pub(super) use Expect::{Exactly, Stops, Waits};

pub(super) struct Case {
    name: &'static str,
    seen: Observed,
    second: i64,
    expect: Expect,
}

pub(super) fn case(name: &'static str, seen: Observed, second: i64, expect: Expect) -> Case {
    Case {
        name,
        seen,
        second,
        expect,
    }
}

pub(super) fn check(cases: Vec<Case>) {
    for Case {
        name,
        seen,
        second,
        expect,
    } in cases
    {
        let decision = plan(&seen, at(second));
        match (&expect, &decision) {
            (Exactly(expected), decision) => assert_eq!(decision, expected, "{name}"),
            (Stops(reason), Stop(refusal)) => assert_eq!(refusal.reason, *reason, "{name}"),
            (Waits(reason, until, next), Decision::Wait(wait)) => {
                assert_eq!(
                    (wait.reason, wait.until, wait.next),
                    (*reason, until.map(at), *next),
                    "{name}"
                );
            }
            _ => panic!("{name}: {decision:?}"),
        }
    }
}

#[test]
fn a_new_request_gets_a_proven_credential() {
    check(vec![
        case(
            "nothing is published: issue the first, without looking",
            fresh(),
            0,
            Exactly(Do(Issue(1, New))),
        ),
        case(
            "issued: prove it before anybody sees it",
            with_in_hand(fresh(), Proof::Missing),
            1,
            Exactly(Do(Verify(Urgency::InHand))),
        ),
        case(
            "proven: publish it",
            with_in_hand(fresh(), Proof::Given),
            1,
            Exactly(Do(Publish)),
        ),
        case(
            "the provider cannot prove it: publish it all the same",
            with_in_hand(fresh(), Proof::Impossible),
            1,
            Exactly(Do(Publish)),
        ),
        case(
            "it does not work: it is never published",
            with_in_hand(fresh(), Proof::Refused),
            1,
            Exactly(Do(Discard)),
        ),
        case(
            "it died in hand: never published",
            with_in_hand(fresh(), Proof::Given),
            9000,
            Exactly(Do(Discard)),
        ),
        case(
            "published: rest until two thirds of its life",
            synced(),
            1,
            Waits(WaitReason::Rest, Some(2000), Some(NextAction::Renew)),
        ),
        case(
            "an earlier run published already, before it could say so: what is in hand is not needed",
            change(with_in_hand(synced(), Proof::Given), |seen| {
                seen.in_hand.as_mut().unwrap().credential.serial = 1
            }),
            1,
            Exactly(Do(Discard)),
        ),
        case(
            "what is known may be old: look first",
            change(synced(), |seen| seen.target = Target::Unknown),
            1,
            Exactly(Do(Look)),
        ),
        case(
            "the owner lets us take over a Secret",
            change(fresh(), |seen| seen.target = Target::Adoptable),
            1,
            Exactly(Do(Issue(1, New))),
        ),
    ]);
}

#[test]
fn a_credential_is_replaced_before_it_dies_and_when_asked() {
    let due = |change_it: fn(&mut Observed)| change(synced(), change_it);
    let replace = || Exactly(Do(Issue(2, Routine(at(3000)))));
    check(vec![
        case(
            "not yet two thirds of its life",
            synced(),
            1999,
            Waits(WaitReason::Rest, Some(2000), Some(NextAction::Renew)),
        ),
        case("two thirds of its life", synced(), 2000, replace()),
        case(
            "half of what was left then is over: it goes ahead of everything else",
            synced(),
            2500,
            Exactly(Do(Issue(2, Urgency::Expiring(at(3000))))),
        ),
        case(
            "a spread of up to a tenth of its life moves that",
            due(|seen| seen.request.spread = 500),
            2149,
            Waits(WaitReason::Rest, Some(2150), Some(NextAction::Renew)),
        ),
        case(
            "renewBefore moves that",
            due(|seen| wanted(seen).renew_before = Some(SignedDuration::from_secs(600))),
            2400,
            replace(),
        ),
        case(
            "a renewBefore of more than half its life is not obeyed",
            due(|seen| wanted(seen).renew_before = Some(SignedDuration::from_secs(2900))),
            200,
            Waits(WaitReason::Rest, Some(2000), Some(NextAction::Renew)),
        ),
        case(
            "rotateEvery",
            due(|seen| wanted(seen).rotate_every = Some(SignedDuration::from_secs(100))),
            100,
            replace(),
        ),
        case(
            "rotateEvery comes up to a tenth earlier, by the request's UID",
            due(|seen| {
                wanted(seen).rotate_every = Some(SignedDuration::from_secs(1000));
                seen.request.spread = 999;
            }),
            901,
            replace(),
        ),
        case(
            "no earlier than that",
            due(|seen| {
                wanted(seen).rotate_every = Some(SignedDuration::from_secs(1000));
                seen.request.spread = 500;
            }),
            949,
            Waits(WaitReason::Rest, Some(950), Some(NextAction::Rotate)),
        ),
        case(
            "rotateEvery is announced",
            due(|seen| wanted(seen).rotate_every = Some(SignedDuration::from_secs(100))),
            1,
            Waits(WaitReason::Rest, Some(100), Some(NextAction::Rotate)),
        ),
        case(
            "somebody asks for a rotation",
            due(|seen| seen.request.rotate = Some("now".into())),
            1,
            replace(),
        ),
        case(
            "a rotation that was carried out is not repeated",
            due(|seen| {
                seen.request.rotate = Some("now".into());
                seen.target = Target::Ours(Published {
                    rotation: Some("now".into()),
                    ..published()
                });
            }),
            1,
            Waits(WaitReason::Rest, Some(2000), Some(NextAction::Renew)),
        ),
        case(
            "another value asks again",
            due(|seen| {
                seen.request.rotate = Some("again".into());
                seen.target = Target::Ours(Published {
                    rotation: Some("now".into()),
                    ..published()
                });
            }),
            1,
            replace(),
        ),
        case(
            "the request asks for something else",
            due(|seen| wanted(seen).digest = "else".into()),
            1,
            replace(),
        ),
        case(
            "it has expired: as if there were none",
            synced(),
            4000,
            Exactly(Do(Issue(2, New))),
        ),
        case(
            "it never expires: rest until a change",
            due(|seen| {
                seen.target = Target::Ours(Published {
                    expires_at: None,
                    ..published()
                })
            }),
            99_999,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "the next serial is above all that are known",
            due(|seen| seen.recorded.credentials = vec![current(7)]),
            2000,
            Exactly(Do(Issue(8, Routine(at(3000))))),
        ),
    ]);
}

#[test]
fn a_secret_that_somebody_changed_is_put_right() {
    let contested = |seen: Observed, replaced: usize| {
        change(seen, |seen| seen.replacements = vec![at(90); replaced])
    };
    let gone = || change(synced(), |seen| seen.target = Target::Absent);
    check(vec![
        case(
            "the credential itself is whole: write the rest again",
            damaged(Damage::Repairable),
            1,
            Exactly(Do(Repair)),
        ),
        case(
            "that needs no provider",
            change(damaged(Damage::Repairable), |seen| seen.gate = not_ready()),
            1,
            Exactly(Do(Repair)),
        ),
        case(
            "nor does it wait for a call, or for a credential in hand",
            change(
                with_in_hand(damaged(Damage::Repairable), Proof::Missing),
                |seen| {
                    seen.call_under_way = true;
                },
            ),
            1,
            Exactly(Do(Repair)),
        ),
        case(
            "unless somebody undoes each repair: then rest",
            change(damaged(Damage::Repairable), |seen| {
                seen.repairs = vec![at(90); 60];
            }),
            100,
            Waits(WaitReason::Contested, Some(390), Some(NextAction::Retry)),
        ),
        case(
            "whole but expired: replace it",
            damaged(Damage::Repairable),
            3000,
            Exactly(Do(Issue(2, New))),
        ),
        case(
            "the credential is gone: replace it",
            damaged(Damage::Lost),
            1,
            Exactly(Do(Issue(2, New))),
        ),
        case(
            "the Secret was deleted: replace it",
            gone(),
            1,
            Exactly(Do(Issue(2, New))),
        ),
        case(
            "ten times in five minutes, at once",
            contested(gone(), 9),
            100,
            Exactly(Do(Issue(2, New))),
        ),
        case(
            "then somebody fights us: wait",
            contested(gone(), 10),
            100,
            Waits(WaitReason::Contested, Some(390), Some(NextAction::Retry)),
        ),
        case(
            "for five minutes",
            contested(gone(), 10),
            390,
            Exactly(Do(Issue(2, New))),
        ),
    ]);
}

#[test]
fn nothing_is_done_to_what_is_not_ours() {
    let target = |target: Target| change(synced(), |seen| seen.target = target);
    check(vec![
        case(
            "somebody else's Secret",
            target(Target::Foreign("not yours".into())),
            1,
            Stops(Reason::TargetNotOwned),
        ),
        case(
            "also with a credential in hand",
            with_in_hand(target(Target::Foreign("no".into())), Proof::Given),
            1,
            Stops(Reason::TargetNotOwned),
        ),
        case(
            "a Secret that is being deleted",
            target(Target::Terminating),
            1,
            Stops(Reason::TargetTerminating),
        ),
        case(
            "our Secret, damaged and immutable",
            target(Target::Immutable(Published {
                damage: Damage::Lost,
                ..published()
            })),
            1,
            Stops(Reason::TargetImmutable),
        ),
    ]);
}

#[test]
fn some_things_stop_a_request_until_somebody_changes_something() {
    let gate = |reason| Gate::Refused(refusal(reason));
    check(vec![
        case(
            "suspended: not even looked at",
            change(synced(), |seen| {
                seen.request.suspended = true;
                seen.target = Target::Unknown;
            }),
            2500,
            Stops(Reason::Suspended),
        ),
        case(
            "a field is not valid",
            change(synced(), |seen| {
                seen.request.spec = Err(refusal(Reason::InvalidSpec))
            }),
            1,
            Stops(Reason::InvalidSpec),
        ),
        case(
            "no grant, or not any more",
            change(synced(), |seen| seen.gate = gate(Reason::NotAllowed)),
            1,
            Stops(Reason::NotAllowed),
        ),
        case(
            "no provider, and something to do",
            change(fresh(), |seen| seen.gate = gate(Reason::ProviderNotFound)),
            1,
            Stops(Reason::ProviderNotFound),
        ),
        case(
            "no provider, and nothing to do: what is published goes on",
            change(synced(), |seen| seen.gate = gate(Reason::ProviderNotFound)),
            1,
            Waits(WaitReason::Rest, Some(2000), Some(NextAction::Renew)),
        ),
        case(
            "being deleted: let go, whatever else",
            change(damaged(Damage::Lost), |seen| {
                seen.request.deleting = Some(at(0));
                seen.request.suspended = true;
            }),
            9999,
            Exactly(LetGo),
        ),
        case(
            "being deleted, with the Secret gone first: not repaired",
            change(synced(), |seen| {
                seen.request.deleting = Some(at(0));
                seen.target = Target::Absent;
            }),
            1,
            Exactly(LetGo),
        ),
    ]);
}

#[test]
fn the_provider_is_left_alone_when_it_cannot_help() {
    check(vec![
        case(
            "it is being checked: it reports back",
            change(fresh(), |seen| seen.gate = Gate::Checking),
            1,
            Waits(WaitReason::Provider, None, None),
        ),
        case(
            "its login is refused: nobody tries",
            change(fresh(), |seen| seen.gate = not_ready()),
            1,
            Waits(WaitReason::Provider, None, None),
        ),
        case(
            "that does not matter while nothing is due",
            change(synced(), |seen| seen.gate = not_ready()),
            1,
            Waits(WaitReason::Rest, Some(2000), Some(NextAction::Renew)),
        ),
        case(
            "a call is under way: it reports back",
            change(fresh(), |seen| seen.call_under_way = true),
            1,
            Waits(WaitReason::Call, None, None),
        ),
        case(
            "the budget is spent: it wakes us",
            change(fresh(), |seen| {
                seen.queued = Some(SignedDuration::from_secs(1))
            }),
            1,
            Waits(WaitReason::Budget, None, None),
        ),
        case(
            "also for a proof",
            change(with_in_hand(fresh(), Proof::Missing), |seen| {
                seen.queued = Some(SignedDuration::from_secs(1))
            }),
            1,
            Waits(WaitReason::Budget, None, None),
        ),
    ]);
}

#[test]
fn a_failed_attempt_is_made_again_later_unless_something_changed() {
    let failed = || with_failure(fresh(), Reason::ProviderUnavailable, 10);
    check(vec![
        case(
            "too early",
            failed(),
            10,
            Waits(WaitReason::Retry, Some(11), Some(NextAction::Retry)),
        ),
        case("after a second", failed(), 11, Exactly(Do(Issue(1, New)))),
        case(
            "a denial is not repeated for half an hour",
            with_failure(fresh(), Reason::LoginRefused, 10),
            1809,
            Waits(WaitReason::Retry, Some(1810), Some(NextAction::Retry)),
        ),
        case(
            "a right that was missing is asked for again sooner, but not much",
            with_failure(fresh(), Reason::Forbidden, 10),
            39,
            Waits(WaitReason::Retry, Some(40), Some(NextAction::Retry)),
        ),
        case(
            "what is invalid is not repeated at all",
            with_failure(fresh(), Reason::InvalidSpec, 10),
            99_999,
            Waits(WaitReason::Retry, None, None),
        ),
        case(
            "a corrected spec: at once",
            change(failed(), |seen| wanted(seen).digest = "corrected".into()),
            10,
            Exactly(Do(Issue(1, New))),
        ),
        case(
            "a corrected provider or login: at once",
            change(failed(), |seen| {
                seen.gate = Gate::Open {
                    inputs: "provider@2".into(),
                }
            }),
            10,
            Exactly(Do(Issue(1, New))),
        ),
        case(
            "somebody asks for it: at once",
            change(failed(), |seen| seen.request.rotate = Some("now".into())),
            10,
            Exactly(Do(Issue(1, New))),
        ),
        case(
            "a failure before it was issued is no failed proof",
            with_failure(with_in_hand(fresh(), Proof::Missing), Reason::Timeout, 0),
            11,
            Exactly(Do(Verify(Urgency::InHand))),
        ),
        case(
            "a failed proof is made again with the same credential, and ahead of nobody",
            with_failure(with_in_hand(fresh(), Proof::Missing), Reason::Timeout, 10),
            11,
            Exactly(Do(Verify(New))),
        ),
        case(
            "but not at once",
            with_failure(with_in_hand(fresh(), Proof::Missing), Reason::Timeout, 10),
            10,
            Waits(WaitReason::Retry, Some(11), Some(NextAction::Retry)),
        ),
    ]);
}

#[test]
fn every_refusal_of_a_target_stops_and_no_other_target_does() {
    for (target, stops) in [
        (Target::Unknown, false),
        (Target::Unseen, false),
        (Target::Absent, false),
        (Target::Adoptable, false),
        (Target::Ours(published()), false),
        (Target::Foreign(String::new()), true),
        (Target::Terminating, true),
        (Target::Immutable(published()), true),
    ] {
        assert_eq!(refusals::of_target(&target).is_some(), stops, "{target:?}");
    }
}
