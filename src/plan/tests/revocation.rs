//! What is decided about credentials that have to be revoked, case by case. Overlaps of all cases last
//! 300 seconds.

use super::{cases::*, *};
use Decision::Do;
use Step::{AddFinalizer, Confirm, Discard, HoldProvider, Issue, Look, Publish, Revoke, Verify};
use Urgency::{New, Routine};

/// What can wait for ever.
pub(super) const LAST: Urgency = Routine(Timestamp::MAX);

/// With a kind of credential that has to be revoked, and everything written down that comes before
/// the first one.
pub(super) fn revocable(mut seen: Observed) -> Observed {
    seen.request.traits.revocable = true;
    seen.request.finalizer = true;
    seen.provider_held = true;
    seen
}

/// A pair that works until it is revoked.
pub(super) fn pair(serial: u64) -> Observed {
    change(revocable(synced()), |seen| {
        seen.target = Target::Ours(Published {
            serial,
            id: Some(format!("id-{serial}")),
            expires_at: None,
            ..published()
        });
        seen.recorded.credentials = vec![CredentialRecord {
            expires_at: None,
            ..current(serial)
        }];
    })
}

/// The second is published, and the first is retiring until second 300.
pub(super) fn overlapping() -> Observed {
    change(pair(2), |seen| {
        seen.recorded.credentials.push(retiring(1, 300));
    })
}

pub(super) fn looked(seen: Observed) -> Observed {
    change(seen, |seen| seen.looked = true)
}

pub(super) fn told(seen: Observed, serial: u64, revocation: Revocation) -> Observed {
    change(seen, |seen| {
        seen.revocations.insert(serial, revocation);
    })
}

pub(super) fn failed_to_revoke(mut seen: Observed, reason: Reason, second: i64) -> Observed {
    let failure = Failure {
        reason,
        message: "it failed".into(),
        retry_after: None,
        rest: None,
    };
    seen.fail_to_revoke(1, failure, at(second));
    seen
}

pub(super) fn closed(login_is_gone: bool) -> Access {
    Access::Closed {
        obstacle: refusal(Reason::LoginSecretNotFound),
        login_is_gone,
    }
}

pub(super) fn rotate(seen: Observed) -> Observed {
    change(seen, |seen| seen.request.rotate = Some("now".into()))
}

#[test]
fn what_has_to_be_revoked_is_written_down_before_it_is_issued() {
    let new = || {
        change(revocable(fresh()), |seen| {
            seen.request.finalizer = false;
            seen.provider_held = false;
        })
    };
    check(vec![
        case(
            "the provider must not go before the request",
            new(),
            0,
            Exactly(Do(HoldProvider)),
        ),
        case(
            "then the request itself",
            change(new(), |seen| seen.provider_held = true),
            0,
            Exactly(Do(AddFinalizer)),
        ),
        case(
            "then the first one",
            revocable(fresh()),
            0,
            Exactly(Do(Issue(1, New))),
        ),
        case(
            "a request that may not ask is not held by a finalizer",
            change(new(), |seen| {
                seen.gate = Gate::Refused(refusal(Reason::NotAllowed))
            }),
            0,
            Stops(Reason::NotAllowed),
        ),
        case(
            "nor one whose provider cannot be used",
            change(new(), |seen| seen.gate = not_ready()),
            0,
            Waits(WaitReason::Provider, None, None),
        ),
        case(
            "what expires by itself needs none of it",
            fresh(),
            0,
            Exactly(Do(Issue(1, New))),
        ),
    ]);
}

#[test]
fn a_name_that_is_taken_is_skipped_and_what_is_there_goes_when_its_successor_is_published() {
    let taken = |seen: Observed, serial: u64| {
        change(seen, |seen| {
            seen.taken.insert(serial);
            seen.leftovers.insert(serial);
        })
    };
    let after_crash = || taken(rotate(pair(1)), 2);
    check(vec![
        case(
            "a crash has left the second behind: the third",
            after_crash(),
            10,
            Exactly(Do(Issue(3, Routine(Timestamp::MAX)))),
        ),
        case(
            "what was left stays until then: another copy may be about to publish it",
            looked(with_failure(after_crash(), Reason::Timeout, 10)),
            10,
            Waits(WaitReason::Retry, Some(11), Some(NextAction::Retry)),
        ),
        case(
            "unless there is no place for a third one",
            looked(with_failure(after_crash(), Reason::QuotaExceeded, 10)),
            10,
            Exactly(Do(Revoke(2, LAST))),
        ),
        case(
            "published: what is below it and in no ledger is revoked, after a look",
            change(pair(3), |seen| seen.recorded.credentials = vec![current(1)]),
            10,
            Exactly(Do(Look)),
        ),
        case(
            "namely the second; the first retires",
            looked(change(pair(3), |seen| {
                seen.recorded.credentials = vec![current(1)]
            })),
            10,
            Exactly(Do(Revoke(2, LAST))),
        ),
        case(
            "a status that was lost: the same for those right below",
            looked(change(pair(12), |seen| {
                seen.recorded.credentials.clear();
            })),
            10,
            Exactly(Do(Revoke(4, LAST))),
        ),
        case(
            "nothing is wanted any more: then it goes as well",
            looked(taken(pair(1), 2)),
            10,
            Exactly(Do(Revoke(2, LAST))),
        ),
        case(
            "somebody else's is left alone",
            told(looked(taken(pair(1), 2)), 2, Revocation::Foreign),
            10,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "a call whose outcome is not known is repeated under the same name",
            change(with_failure(rotate(pair(1)), Reason::Timeout, 10), |seen| {
                seen.leftovers.insert(2);
            }),
            11,
            Exactly(Do(Issue(2, Routine(Timestamp::MAX)))),
        ),
    ]);
}

#[test]
fn what_was_replaced_works_on_for_the_overlap_and_is_then_revoked_for_certain() {
    check(vec![
        case(
            "during the overlap",
            overlapping(),
            299,
            Waits(WaitReason::Rest, Some(300), Some(NextAction::Revoke)),
        ),
        case(
            "over: look first, so that what the Secret holds is never revoked",
            overlapping(),
            300,
            Exactly(Do(Look)),
        ),
        case(
            "then revoke",
            looked(overlapping()),
            300,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "then make sure",
            told(looked(overlapping()), 1, Revocation::Sent),
            300,
            Exactly(Do(Confirm(1, LAST))),
        ),
        case(
            "gone",
            told(looked(overlapping()), 1, Revocation::Gone),
            300,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "it was gone already",
            told(looked(overlapping()), 1, Revocation::Absent),
            300,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "the look showed that somebody put the first one back: it is replaced, not revoked",
            looked(change(overlapping(), |seen| {
                seen.target = Target::Ours(Published {
                    expires_at: None,
                    ..published()
                })
            })),
            300,
            Exactly(Do(Issue(3, New))),
        ),
        case(
            "its own expiry cuts the overlap short",
            change(overlapping(), |seen| {
                seen.recorded.credentials[1].expires_at = Some(at(200));
            }),
            100,
            Waits(WaitReason::Rest, Some(200), Some(NextAction::Revoke)),
        ),
        case(
            "published, and the status not written yet: the first retires from now on",
            change(pair(2), |seen| {
                seen.recorded.credentials = vec![CredentialRecord {
                    expires_at: None,
                    ..current(1)
                }];
            }),
            100,
            Waits(WaitReason::Rest, Some(400), Some(NextAction::Revoke)),
        ),
        case(
            "the provider cannot be reached: it reports back",
            looked(change(overlapping(), |seen| seen.access = closed(false))),
            300,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "a revocation that failed is tried again later",
            failed_to_revoke(looked(overlapping()), Reason::ProviderUnavailable, 300),
            300,
            Waits(WaitReason::Rest, Some(301), Some(NextAction::Revoke)),
        ),
        case(
            "then again",
            failed_to_revoke(looked(overlapping()), Reason::ProviderUnavailable, 300),
            301,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "given up knowingly",
            change(overlapping(), |seen| {
                seen.request.abandon.insert("id-1".into());
            }),
            300,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "a grant that was withdrawn keeps nothing alive",
            looked(change(overlapping(), |seen| {
                seen.gate = Gate::Refused(refusal(Reason::NotAllowed));
            })),
            300,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "who suspends a request wants nothing to happen",
            looked(change(overlapping(), |seen| seen.request.suspended = true)),
            300,
            Stops(Reason::Suspended),
        ),
        case(
            "what expires by itself is left to that",
            change(overlapping(), |seen| {
                seen.request.traits.revocable = false;
            }),
            300,
            Waits(WaitReason::Rest, None, None),
        ),
    ]);
}

#[test]
fn no_more_than_two_are_alive_unless_expiry_forces_a_third() {
    let lost = |seen: Observed| change(seen, |seen| seen.target = Target::Absent);
    check(vec![
        case(
            "a rotation that comes due during an overlap waits",
            rotate(overlapping()),
            100,
            Waits(WaitReason::Overlap, Some(300), Some(NextAction::Revoke)),
        ),
        case(
            "so does a changed request",
            change(overlapping(), |seen| wanted(seen).digest = "else".into()),
            100,
            Waits(WaitReason::Overlap, Some(300), Some(NextAction::Revoke)),
        ),
        case(
            "when the overlap is over, the old one goes first",
            looked(rotate(overlapping())),
            300,
            Exactly(Do(Revoke(1, LAST))),
        ),
        case(
            "then it goes on",
            told(looked(rotate(overlapping())), 1, Revocation::Gone),
            300,
            Exactly(Do(Issue(3, Routine(Timestamp::MAX)))),
        ),
        case(
            "a renewal does not wait",
            change(overlapping(), |seen| {
                seen.target = Target::Ours(Published {
                    serial: 2,
                    ..published()
                });
            }),
            2000,
            Exactly(Do(Issue(3, Routine(at(3000))))),
        ),
        case(
            "the Secret was lost: workloads need a new one, so the oldest goes early",
            looked(lost(overlapping())),
            100,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "and where it cannot be revoked, they get a new one all the same",
            looked(failed_to_revoke(
                lost(overlapping()),
                Reason::Forbidden,
                100,
            )),
            100,
            Exactly(Do(Issue(3, New))),
        ),
    ]);
}

#[test]
fn after_a_leak_there_is_no_overlap() {
    let asked = |seen: Observed| {
        change(seen, |seen| {
            seen.request.revoke_retiring = Some("leak-1".into())
        })
    };
    let replaced = |acknowledged: Option<&str>| {
        looked(change(asked(pair(2)), |seen| {
            seen.target = Target::Ours(Published {
                serial: 2,
                expires_at: None,
                leak: Some("leak-1".into()),
                ..published()
            });
            seen.recorded.credentials = vec![current(1)];
            seen.recorded.revoked_retiring = acknowledged.map(str::to_owned);
        }))
    };
    // Where a rotation finds the same one again, nothing is replaced, and nothing is said to be done.
    let shared = change(asked(pair(1)), |seen| seen.request.traits.shared = true);
    assert!(checks::leaked(&asked(pair(1)), at(10)).is_some());
    assert_eq!(checks::leaked(&shared, at(10)), None);
    check(vec![
        case(
            "a new one first, ahead of all routine",
            asked(pair(1)),
            10,
            Exactly(Do(Issue(2, New))),
        ),
        case(
            "then the old one at once",
            replaced(None),
            10,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "once: what is replaced later has its overlap again",
            replaced(Some("leak-1")),
            10,
            Waits(WaitReason::Rest, Some(310), Some(NextAction::Revoke)),
        ),
        case(
            "also the one that is retiring already",
            looked(asked(overlapping())),
            10,
            Exactly(Do(Revoke(1, New))),
        ),
        case(
            "what cannot be revoked is not replaced for it",
            change(asked(synced()), |_| {}),
            10,
            Waits(WaitReason::Rest, Some(2000), Some(NextAction::Renew)),
        ),
    ]);
}

#[test]
fn what_is_issued_and_not_published_is_revoked() {
    let in_hand = |seen: Observed, proof| with_in_hand(revocable(seen), proof);
    check(vec![
        case(
            "its proof failed",
            in_hand(fresh(), Proof::Refused),
            1,
            Exactly(Do(Discard)),
        ),
        case(
            "another copy has published already what it was issued for",
            change(in_hand(pair(2), Proof::Given), |seen| {
                seen.in_hand.as_mut().unwrap().credential.serial = 3;
            }),
            1,
            Exactly(Do(Discard)),
        ),
        case(
            "it is needed",
            rotate(in_hand(pair(1), Proof::Given)),
            1,
            Exactly(Do(Publish)),
        ),
        case(
            "it is proven before anybody sees it",
            rotate(in_hand(pair(1), Proof::Missing)),
            1,
            Exactly(Do(Verify(Urgency::InHand))),
        ),
        case(
            "after a failed proof: revoke it",
            looked(change(
                with_failure(revocable(fresh()), Reason::VerificationFailed, 1),
                |seen| {
                    seen.taken.insert(1);
                    seen.leftovers.insert(1);
                },
            )),
            1,
            Exactly(Do(Revoke(1, LAST))),
        ),
    ]);
}

#[test]
fn an_issue_call_that_failed_for_whatever_reason_may_have_left_its_serial() {
    for (reason, may_be_alive) in [
        // What a call that panicked is taken for.
        (Reason::InternalError, true),
        (Reason::Timeout, true),
        (Reason::UnexpectedAnswer, true),
        (Reason::LoginRefused, false),
        (Reason::Forbidden, false),
    ] {
        for revocable_kind in [true, false] {
            let mut seen = rotate(pair(1));
            seen.request.traits.revocable = revocable_kind;
            let failure = Failure {
                reason,
                message: "it failed".into(),
                retry_after: None,
                rest: None,
            };
            seen.fail_to_issue(2, failure, at(10));
            assert_eq!(
                seen.leftovers.contains(&2),
                may_be_alive && revocable_kind,
                "{reason}"
            );
            assert_eq!(seen.recorded.failure.unwrap().reason, reason);
        }
    }
}

#[test]
fn a_pair_that_is_not_published_is_listed_as_long_as_it_may_live() {
    let listed = |seen: &Observed| -> Vec<_> {
        let records = ledger::records(seen, at(10)).into_iter();
        records
            .map(|record| (record.serial, record.state, record.id, record.revoke_after))
            .collect()
    };
    let in_hand = |seen: Observed, proof| {
        change(with_in_hand(seen, proof), |seen| {
            seen.in_hand.as_mut().unwrap().credential.id = Some("new".into());
        })
    };
    let new = |serial, revoke_after: Option<i64>| {
        (
            serial,
            CredentialState::Retiring,
            Some("new".to_owned()),
            revoke_after.map(at),
        )
    };
    let current = (1, CredentialState::Current, Some("id-1".to_owned()), None);
    // The first one, whose proof cannot be had.
    let first = with_failure(
        in_hand(revocable(fresh()), Proof::Missing),
        Reason::Timeout,
        10,
    );
    assert_eq!(listed(&first), [new(1, None)]);
    // One that follows.
    let second = in_hand(rotate(pair(1)), Proof::Missing);
    assert_eq!(listed(&second), [new(2, None), current.clone()]);
    // Its record is no news in the next pass, and it is not revoked while it may still be
    // published.
    let mut again = second.clone();
    again.recorded.credentials = ledger::records(&second, at(10));
    assert_eq!(listed(&again), listed(&second));
    assert_eq!(ledger::others(&again, at(10)), []);
    // The provider refuses it: it is listed until it is gone.
    let mut refused = change(second.clone(), |seen| {
        seen.in_hand.as_mut().unwrap().proof = Proof::Refused;
    });
    assert_eq!(plan(&refused, at(10)), Do(Discard));
    let credential = refused.in_hand.take().unwrap().credential;
    refused.give_back(&credential);
    assert_eq!(listed(&refused), [new(2, Some(10)), current.clone()]);
    assert_eq!(refused.next_serial(), 3);
    assert_eq!(
        listed(&told(refused, 2, Revocation::Gone)),
        std::slice::from_ref(&current)
    );
    // A restart has lost what was in hand: what the status says is enough to revoke it, and its
    // serial is not used again.
    let mut restarted = looked(pair(1));
    restarted.recorded.credentials = ledger::records(&second, at(10));
    assert_eq!(plan(&restarted, at(10)), Do(Revoke(2, LAST)));
    assert_eq!(restarted.next_serial(), 3);
    // A token that is lost ends by itself.
    let token = change(in_hand(fresh(), Proof::Missing), |seen| {
        seen.request.traits.revocable = false;
    });
    assert_eq!(listed(&token), []);
}

#[test]
fn a_pair_that_never_was_published_is_no_secret_that_somebody_has_deleted() {
    let mut seen = revocable(fresh());
    seen.target = Target::Absent;
    seen.recorded.credentials = vec![CredentialRecord {
        revoke_after: None,
        ..retiring(1, 0)
    }];
    // However often: that is said only of Secrets that were there.
    seen.replacements = vec![at(5); 10];
    assert_eq!(plan(&seen, at(10)), Do(Issue(2, New)));
}
