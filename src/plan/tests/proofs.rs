//! When what is published is proven again, and when a request is looked at for that or for an end that no
//! status tells, case by case.

use super::{cases::*, revocation::*, *};
use Decision::Do;
use Step::{Issue, Look, Prove};
use Urgency::{New, Routine};

#[test]
fn a_credential_is_proven_again_when_the_request_says_so() {
    let every = |seen: Observed| {
        change(seen, |seen| {
            wanted(seen).verify_every = Some(SignedDuration::from_secs(100));
            seen.probe.at = Some(at(130));
        })
    };
    let rests = || Waits(WaitReason::Rest, None, None);
    check(vec![
        case(
            "at whole multiples of the time since it was issued; no status says so",
            every(pair(1)),
            199,
            rests(),
        ),
        case(
            "with what is in the Secret",
            every(pair(1)),
            200,
            Exactly(Do(Look)),
        ),
        case(
            "then",
            looked(every(pair(1))),
            200,
            Exactly(Do(Prove(Routine(Timestamp::MAX)))),
        ),
        case(
            "the provider does not know it any more: replace it",
            change(looked(every(pair(1))), |seen| {
                seen.probe.refused = Some(1);
            }),
            150,
            Exactly(Do(Issue(2, New))),
        ),
        case(
            "that was about an older one",
            change(looked(every(pair(2))), |seen| {
                seen.probe.refused = Some(1);
            }),
            150,
            rests(),
        ),
        case(
            "the provider cannot be asked: that is no news",
            looked(change(every(pair(1)), |seen| seen.gate = not_ready())),
            200,
            rests(),
        ),
        case(
            "never unless the request says so",
            change(pair(1), |seen| seen.probe.at = Some(at(0))),
            99_999,
            rests(),
        ),
    ]);
}

#[test]
fn what_is_only_read_at_the_provider_is_read_again_and_says_so_when_it_cannot_be() {
    let read = |seen: Observed| {
        change(looked(seen), |seen| {
            seen.request.traits.fetched = true;
            wanted(seen).verify_every = Some(SignedDuration::from_secs(100));
            seen.probe.at = Some(at(130));
        })
    };
    let fetched = || {
        read(change(synced(), |seen| {
            seen.target = Target::Ours(Published {
                expires_at: None,
                ..published()
            });
        }))
    };
    check(vec![
        case(
            "when it is due",
            fetched(),
            200,
            Exactly(Do(Prove(Routine(Timestamp::MAX)))),
        ),
        case(
            "it is another one by now",
            change(fetched(), |seen| seen.probe.refused = Some(1)),
            150,
            Exactly(Do(Issue(2, New))),
        ),
        case(
            "the provider cannot be asked",
            change(fetched(), |seen| seen.gate = not_ready()),
            200,
            Waits(WaitReason::Provider, None, None),
        ),
        case(
            "and failed before a restart",
            with_failure(
                change(fetched(), |seen| seen.probe.at = Some(at(210))),
                Reason::Forbidden,
                200,
            ),
            211,
            Waits(WaitReason::Retry, Some(230), Some(NextAction::Retry)),
        ),
        case(
            "then",
            with_failure(
                change(fetched(), |seen| seen.probe.at = Some(at(210))),
                Reason::Forbidden,
                200,
            ),
            240,
            Exactly(Do(Prove(Routine(Timestamp::MAX)))),
        ),
        case(
            "or does not let it be read any more",
            with_failure(fetched(), Reason::Forbidden, 200),
            201,
            Waits(WaitReason::Retry, Some(230), Some(NextAction::Retry)),
        ),
    ]);
    let seen = with_failure(fetched(), Reason::Forbidden, 200);
    let now = at(201);
    let report = report::report(
        &seen,
        &plan(&seen, now),
        &crate::api::CredentialRequestStatus::default(),
        now,
    );
    let status = report.unwrap().status;
    let of = |type_: &str| {
        let mut conditions = status.conditions.iter();
        let found = conditions.find(|it| it.type_ == type_).unwrap();
        (found.status.clone(), found.reason.clone())
    };
    assert_eq!(of("Ready").0, "True", "the last good one stays");
    assert_eq!(of("RenewalFailing"), ("True".into(), "Forbidden".into()));
}

#[test]
fn it_is_looked_again_when_something_is_due_that_no_status_tells() {
    let look = |seen: &Observed, second| {
        let now = at(second);
        next_look(seen, &plan(seen, now), now)
    };
    let verified = change(pair(1), |seen| {
        wanted(seen).verify_every = Some(SignedDuration::from_secs(100));
        seen.probe.at = Some(at(130));
    });
    assert_eq!(look(&verified, 150), Some(at(200)));
    let unheard = change(revocable(fresh()), |seen| seen.gate = Gate::Checking);
    assert_eq!(
        look(&unheard, 5),
        Some(at(15)),
        "the provider is being checked, and nobody has said how it went"
    );
    let kept_from_it = change(looked(verified.clone()), |seen| seen.gate = not_ready());
    assert_eq!(
        look(&kept_from_it, 250),
        Some(at(350)),
        "a proof that is due and cannot be had now"
    );
    let fresh = change(verified, |seen| {
        seen.publish(Published {
            serial: 2,
            issued_at: at(145),
            expires_at: None,
            ..published()
        });
    });
    assert_eq!(
        look(&fresh, 150),
        Some(at(245)),
        "also when no pass follows the one that published"
    );
    assert_eq!(look(&pair(1), 150), None);
    assert_eq!(look(&overlapping(), 150), Some(at(300)), "an overlap ends");
    let refused = change(overlapping(), |seen| {
        seen.gate = Gate::Refused(refusal(Reason::NotAllowed));
    });
    assert_eq!(
        look(&refused, 150),
        Some(at(300)),
        "also for a request that is refused"
    );
    let waiting = change(synced(), |seen| seen.gate = not_ready());
    assert_eq!(
        look(&waiting, 2500),
        Some(at(3000)),
        "what is published expires"
    );
    let failed = with_failure(synced(), Reason::Timeout, 2000);
    assert_eq!(
        look(&failed, 2000),
        Some(at(2001)),
        "an attempt is made again"
    );
}

#[test]
fn what_ends_at_a_time_is_not_renewed_beyond_it() {
    let ending = |seen: Observed| {
        change(seen, |seen| {
            wanted(seen).ends = Some((at(3000), "spec.expiresAt"))
        })
    };
    check(vec![
        case(
            "before",
            ending(revocable(synced())),
            2500,
            Waits(WaitReason::Rest, None, None),
        ),
        case(
            "over",
            ending(revocable(synced())),
            3000,
            Stops(Reason::InvalidSpec),
        ),
        case(
            "one that ends earlier is renewed",
            change(ending(revocable(synced())), |seen| {
                wanted(seen).ends = Some((at(9000), "spec.expiresAt"));
            }),
            2000,
            Exactly(Do(Issue(2, Routine(at(3000))))),
        ),
    ]);
}
