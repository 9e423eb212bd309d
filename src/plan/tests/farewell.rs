//! How a request goes, case by case.

use super::{cases::*, revocation::*, *};
use Decision::{Do, LetGo};
use Step::{Confirm, Look, RemoveFinalizer, Repair, Revoke};
use Urgency::New;

#[test]
fn a_request_goes_when_nothing_of_it_is_left() {
    let going = |seen: Observed| change(seen, |seen| seen.request.deleting = Some(at(1000)));
    let known_gone =
        |seen: Observed| told(told(going(seen), 2, Revocation::Gone), 1, Revocation::Gone);
    let hopeless = |namespace_deleting| {
        change(going(pair(1)), |seen| {
            seen.access = closed(true);
            seen.request.namespace_deleting = namespace_deleting;
        })
    };
    check(vec![
        case(
            "what is known is revoked",
            going(overlapping()),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "and confirmed",
            told(going(overlapping()), 1, Revocation::Sent),
            1000,
            Exactly(Do(Confirm(1, New))),
        ),
        case(
            "also what is published",
            told(going(overlapping()), 1, Revocation::Gone),
            1000,
            Exactly(Do(Revoke(2, New))),
        ),
        case(
            "then it is looked under the next name, for what a crash may have left",
            known_gone(overlapping()),
            1000,
            Exactly(Do(Revoke(3, New))),
        ),
        case(
            "until there is nothing",
            told(known_gone(overlapping()), 3, Revocation::Absent),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "what was there is followed by a further look",
            told(known_gone(overlapping()), 3, Revocation::Gone),
            1000,
            Exactly(Do(Revoke(4, New))),
        ),
        case(
            "so is what belongs to somebody else",
            told(known_gone(overlapping()), 3, Revocation::Foreign),
            1000,
            Exactly(Do(Revoke(4, New))),
        ),
        case(
            "nothing was ever recorded: under the first name",
            going(revocable(fresh())),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "a finalizer that somebody has removed keeps nothing alive",
            going(change(pair(1), |seen| seen.request.finalizer = false)),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "then there is no finalizer to remove",
            told(
                told(
                    going(change(pair(1), |seen| seen.request.finalizer = false)),
                    1,
                    Revocation::Gone,
                ),
                2,
                Revocation::Absent,
            ),
            1000,
            Exactly(LetGo),
        ),
        case(
            "without a finalizer, and never served: there is nothing to revoke",
            going(change(revocable(fresh()), |seen| {
                seen.request.finalizer = false
            })),
            1000,
            Exactly(LetGo),
        ),
        case(
            "what was given up a moment ago is not taken up again",
            change(going(pair(1)), |seen| {
                seen.request.finalizer = false;
                seen.is_let_go = true;
            }),
            1000,
            Exactly(LetGo),
        ),
        case(
            "what is published may be newer than the ledger says",
            going(change(pair(1), |seen| seen.target = Target::Unknown)),
            1000,
            Exactly(Do(Look)),
        ),
        case(
            "a call under way is waited for: it may bring another one",
            going(change(pair(1), |seen| seen.call_under_way = true)),
            1000,
            Waits(WaitReason::Call, None, None),
        ),
        case(
            "a suspended request goes all the same",
            going(change(pair(1), |seen| seen.request.suspended = true)),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "the provider is down: the finalizer stays, and it is tried again",
            failed_to_revoke(going(pair(1)), Reason::ProviderUnavailable, 1000),
            1000,
            Waits(WaitReason::Revocation, Some(1001), Some(NextAction::Revoke)),
        ),
        case(
            "given up knowingly",
            going(change(pair(1), |seen| {
                seen.request.abandon.insert("id-1".into());
            })),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "or all that there may be",
            going(change(revocable(fresh()), |seen| {
                seen.request.abandon.insert("all".into());
            })),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "also the one in hand",
            going(change(
                with_in_hand(revocable(fresh()), Proof::Given),
                |seen| {
                    seen.request.abandon.insert("all".into());
                },
            )),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "which is revoked otherwise",
            going(with_in_hand(revocable(fresh()), Proof::Given)),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "the login is gone, which somebody can bring back",
            hopeless(false),
            99_999,
            Waits(WaitReason::Revocation, None, None),
        ),
        case(
            "unless the namespace is going, too",
            hopeless(true),
            1599,
            Waits(WaitReason::Revocation, Some(1600), None),
        ),
        case(
            "then it is given up after ten minutes",
            hopeless(true),
            1600,
            Exactly(Do(RemoveFinalizer { given_up: true })),
        ),
        case(
            "an outage is no reason to give up",
            change(hopeless(true), |seen| seen.access = closed(false)),
            99_999,
            Waits(WaitReason::Revocation, None, None),
        ),
    ]);
}

#[test]
fn what_is_retained_stays_and_everything_else_goes() {
    let retained = |seen: Observed| {
        change(seen, |seen| {
            seen.request.deleting = Some(at(1000));
            seen.request.retain = true;
        })
    };
    check(vec![
        case(
            "what was replaced is revoked",
            retained(overlapping()),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "what is published is not; but what a crash may have left",
            told(retained(overlapping()), 1, Revocation::Gone),
            1000,
            Exactly(Do(Revoke(3, New))),
        ),
        case(
            "then it goes",
            told(
                told(retained(overlapping()), 1, Revocation::Gone),
                3,
                Revocation::Absent,
            ),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "the Secret must not go along",
            retained(change(pair(1), |seen| {
                seen.target = Target::Ours(Published {
                    damage: Damage::Repairable,
                    expires_at: None,
                    ..published()
                });
            })),
            1000,
            Exactly(Do(Repair)),
        ),
        case(
            "a label that the cluster changes each time holds nothing up",
            retained(change(overlapping(), |seen| {
                seen.target = Target::Ours(Published {
                    serial: 2,
                    damage: Damage::Metadata,
                    is_owned: false,
                    ..published()
                });
            })),
            1000,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "a Secret that is taken for somebody else's may hold the credential",
            told(
                told(
                    retained(change(overlapping(), |seen| {
                        seen.target = Target::Foreign("it lacks the label".into());
                    })),
                    1,
                    Revocation::Gone,
                ),
                3,
                Revocation::Absent,
            ),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "where the Secret is gone nobody holds it",
            told(
                retained(change(overlapping(), |seen| seen.target = Target::Absent)),
                1,
                Revocation::Gone,
            ),
            1000,
            Exactly(Do(Revoke(2, New))),
        ),
    ]);
}

#[test]
fn without_a_finalizer_what_is_given_up_is_told_by_a_step() {
    let going = |seen: Observed| {
        change(seen, |seen| {
            seen.request.deleting = Some(at(1000));
            seen.request.finalizer = false;
        })
    };
    check(vec![
        case(
            "a credential that is abandoned",
            going(change(pair(1), |seen| {
                seen.request.abandon.insert("all".into());
            })),
            1000,
            Exactly(Do(RemoveFinalizer { given_up: false })),
        ),
        case(
            "a credential whose login is gone",
            going(change(pair(1), |seen| {
                seen.request.namespace_deleting = true;
                seen.access = Access::Closed {
                    obstacle: refusal(Reason::LoginSecretNotFound),
                    login_is_gone: true,
                };
            })),
            2000,
            Exactly(Do(RemoveFinalizer { given_up: true })),
        ),
    ]);
}
