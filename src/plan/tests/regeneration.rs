//! A key that is made anew only by the annotation, once for each of its values.

use super::*;
use crate::{
    api::{CredentialRequestStatus, request::RegenerationRecord},
    plan::regeneration as rules,
};

/// A request whose key is published and read, and made anew where the annotation says so.
fn keyed(rotate: Option<&str>) -> Observed {
    change(synced(), |seen| {
        seen.request.traits.fetched = true;
        seen.request.rotate = rotate.map(str::to_owned);
        seen.looked = true;
        wanted(seen).regenerate = true;
        seen.target = holding(None);
    })
}

/// A Secret with the value of the annotation that its key stands for.
fn holding(rotation: Option<&str>) -> Target {
    Target::Ours(Published {
        rotation: rotation.map(str::to_owned),
        expires_at: None,
        ..published()
    })
}

fn record(value: &str) -> RegenerationRecord {
    RegenerationRecord {
        value: value.to_owned(),
        announced_at: at(0),
        reason: None,
        message: None,
    }
}

/// Written down in this pass, at the beginning.
fn announced(value: &str) -> Observed {
    change(keyed(Some("b")), |seen| seen.announce(record(value)))
}

/// After the provider was told, or may have been.
fn told(value: &str) -> Observed {
    change(announced(value), |seen| {
        seen.announced = None;
        seen.announced_now = false;
    })
}

fn failed(value: &str) -> Observed {
    change(told(value), |seen| {
        seen.fail_to_regenerate(Reason::NotRegenerated, "no".to_owned())
    })
}

/// With a key in hand that the provider has made anew.
fn made_anew(seen: Observed, proof: Proof) -> Observed {
    change(with_in_hand(seen, proof), |seen| {
        seen.in_hand.as_mut().unwrap().regenerated = true
    })
}

fn proven_at(second: i64) -> Option<Timestamp> {
    Some(at(second))
}

const ROUTINE: Urgency = Urgency::Routine(Timestamp::MAX);

fn step(seen: &Observed, second: i64) -> Option<Step> {
    match plan(seen, at(second)) {
        Decision::Do(step) => Some(step),
        _ => None,
    }
}

#[test]
fn it_is_written_down_before_and_told_once() {
    for (name, seen, expected) in [
        (
            "a new value: what is published may stand for it already",
            change(keyed(Some("b")), |seen| seen.looked = false),
            Some(Step::Look),
        ),
        (
            "it does not",
            keyed(Some("b")),
            Some(Step::Announce(ROUTINE)),
        ),
        (
            "written down in this pass",
            announced("b"),
            Some(Step::Regenerate(2, ROUTINE)),
        ),
        (
            "written down by this run a while ago: the request may be another one by now",
            change(announced("b"), |seen| seen.announced_now = false),
            Some(Step::Announce(ROUTINE)),
        ),
        (
            "written down by another run, or told already: it is read",
            told("b"),
            Some(Step::Prove(ROUTINE)),
        ),
        (
            "an older value was written down",
            told("a"),
            Some(Step::Announce(ROUTINE)),
        ),
        (
            "a key that is there no more is read",
            change(told("b"), |seen| seen.probe.refused = Some(1)),
            Some(Step::Issue(2, Urgency::New)),
        ),
        ("no annotation", keyed(None), None),
        (
            "carried out",
            change(told("b"), |seen| seen.target = holding(Some("b"))),
            None,
        ),
        ("failed for good", failed("b"), None),
        (
            "carried out, and somebody has put an older Secret back",
            change(keyed(Some("b")), |seen| {
                seen.recorded.used_rotations = rules::with_used(Vec::new(), "b");
                seen.recorded.rotated = Some("b".into());
                seen.target = holding(Some("a"));
            }),
            None,
        ),
        (
            "back to a value that was used before another one",
            change(keyed(Some("b")), |seen| {
                let used = rules::with_used(Vec::new(), "b");
                seen.recorded.used_rotations = rules::with_used(used, "c");
                seen.recorded.rotated = Some("c".into());
                seen.target = holding(Some("c"));
            }),
            None,
        ),
        (
            "suspended",
            change(announced("b"), |seen| seen.request.suspended = true),
            None,
        ),
        (
            "the grant was withdrawn in between",
            change(announced("b"), |seen| {
                seen.gate = Gate::Refused(refusal(Reason::NotAllowed))
            }),
            None,
        ),
        (
            "the Secret cannot be written",
            change(keyed(Some("b")), |seen| {
                let Target::Ours(published) = seen.target.clone() else {
                    panic!("it is ours");
                };
                seen.target = Target::Immutable(published);
            }),
            None,
        ),
        (
            "the provider cannot be asked",
            change(keyed(Some("b")), |seen| seen.gate = not_ready()),
            None,
        ),
        (
            "it may not be told yet",
            with_failure(announced("b"), Reason::RateLimited, 0),
            None,
        ),
        (
            "one that is only read is read",
            change(keyed(Some("b")), |seen| wanted(seen).regenerate = false),
            Some(Step::Issue(2, ROUTINE)),
        ),
    ] {
        assert_eq!(step(&seen, 1), expected, "{name}");
    }
}

#[test]
fn the_only_copy_of_a_key_is_published_whatever_else_has_changed() {
    for proof in [Proof::Missing, Proof::Given, Proof::Impossible] {
        let seen = made_anew(told("b"), proof);
        assert_eq!(step(&seen, 1), Some(Step::Publish), "{proof:?}");
        assert!(!is_usable(&seen, at(1)), "the one before is dead");
    }
    let base = || made_anew(told("b"), Proof::Given);
    for (name, seen) in [
        (
            "the login was the very key: nobody is let in until it is published",
            change(base(), |seen| seen.gate = not_ready()),
        ),
        (
            "the annotation was taken back",
            change(base(), |seen| seen.request.rotate = None),
        ),
        (
            "suspended",
            change(base(), |seen| seen.request.suspended = true),
        ),
        (
            "the grant was withdrawn",
            change(base(), |seen| {
                seen.gate = Gate::Refused(refusal(Reason::NotAllowed))
            }),
        ),
        (
            "the spec is not valid any more",
            change(base(), |seen| {
                seen.request.spec = Err(refusal(Reason::InvalidSpec))
            }),
        ),
        (
            "the Secret was deleted",
            change(base(), |seen| seen.target = Target::Absent),
        ),
    ] {
        assert_eq!(step(&seen, 1), Some(Step::Publish), "{name}");
    }
    let unseen = change(base(), |seen| seen.target = Target::Unknown);
    assert_eq!(step(&unseen, 1), Some(Step::Look));
    // Nobody else's Secret is written for it.
    let foreign = change(base(), |seen| seen.target = Target::Foreign("x".into()));
    assert_eq!(step(&foreign, 1), None);
}

#[test]
fn a_value_stands_beside_a_key_only_where_it_was_carried_out() {
    let another = |seen: &mut Observed| {
        seen.target = holding(Some("a"));
        seen.probe.refused = Some(1);
    };
    for (name, seen, value) in [
        (
            "what is published first carries out whatever is asked for",
            change(keyed(Some("b")), |seen| {
                seen.target = Target::Absent;
                seen.recorded = Recorded::default();
            }),
            Some("b"),
        ),
        (
            "the Secret was lost before the provider was told",
            change(keyed(Some("b")), |seen| {
                seen.target = Target::Absent;
                seen.recorded.rotated = Some("a".into());
            }),
            Some("a"),
        ),
        (
            "another key appeared before the provider was told",
            change(announced("b"), another),
            Some("a"),
        ),
        (
            "another key appeared after that",
            change(told("b"), another),
            Some("b"),
        ),
        (
            "another key appeared late",
            change(failed("b"), another),
            Some("b"),
        ),
        (
            "the Secret was lost after that, and whether the key is another one nobody knows",
            change(told("b"), |seen| {
                seen.target = Target::Absent;
                seen.recorded.rotated = Some("a".into());
            }),
            Some("a"),
        ),
        (
            "an older Secret was put back",
            change(keyed(Some("b")), |seen| {
                seen.recorded.rotated = Some("b".into());
                another(seen);
            }),
            Some("b"),
        ),
        (
            "one that is only read",
            change(keyed(Some("b")), |seen| wanted(seen).regenerate = false),
            Some("b"),
        ),
    ] {
        let carried_out = rules::carried_out(&seen);
        assert_eq!(carried_out.as_deref(), value, "{name}");
    }
}

#[test]
fn after_a_call_that_nobody_knows_the_outcome_of_the_key_is_read_for_a_while() {
    // At once, then ever more rarely.
    let mut seen = told("b");
    for (proof, next) in [(0, 0), (1, 2), (2, 4), (4, 8), (8, 16), (16, 26), (26, 36)] {
        seen.probe.at = proven_at(proof);
        seen.unchanged(at(proof));
        if next > proof {
            assert_eq!(step(&seen, next - 1), None, "{proof}");
            let looks = next_look(&seen, &plan(&seen, at(next - 1)), at(next - 1));
            assert_eq!(looks, Some(at(next)), "{proof}");
        }
        assert_eq!(step(&seen, next), Some(Step::Prove(ROUTINE)), "{proof}");
    }
    // Then that is the answer.
    seen.probe.at = proven_at(36);
    seen.unchanged(at(36));
    assert_eq!(rules::stage(&seen), rules::Stage::Failed);
}

#[test]
fn a_key_that_is_the_same_as_before_uses_the_value_up_and_says_so() {
    let mut seen = told("b");
    seen.unchanged(at(60));
    seen.probe.at = proven_at(60);
    let decision = plan(&seen, at(60));
    assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
    let old = CredentialRequestStatus::default();
    let status = report::report(&seen, &decision, &old, at(60))
        .unwrap()
        .status;
    let condition = |type_: &str| {
        let mut all = status.conditions.iter();
        let condition = all.find(|it| it.type_ == type_).unwrap();
        (condition.status.clone(), condition.reason.clone())
    };
    let failing = ("True".to_owned(), "NotRegenerated".to_owned());
    assert_eq!(condition("RenewalFailing"), failing);
    assert_eq!(condition("Ready").0, "True");
    assert!(status.regeneration.is_some());
    assert_eq!(
        status.used_rotations,
        rules::with_used(Vec::new(), "b"),
        "it is not used again"
    );
    // A routine reading means nothing of the kind.
    for before in [keyed(Some("b")), announced("b")] {
        let after = change(before.clone(), |seen| seen.unchanged(at(60)));
        assert_eq!(after.recorded.regeneration, before.recorded.regeneration);
    }
    // Without the annotation, or with another value, there is nothing to say.
    for rotate in [None, Some("c".to_owned())] {
        let seen = change(seen.clone(), |seen| seen.request.rotate = rotate);
        assert_eq!(rules::failure(&seen), None);
        assert_eq!(rules::record(&seen), None);
    }
}

#[test]
fn an_older_secret_does_not_make_what_was_acknowledged_undone() {
    let seen = change(keyed(Some("b")), |seen| {
        seen.recorded.rotated = Some("b".into());
        seen.recorded.used_rotations = rules::with_used(Vec::new(), "b");
        seen.target = holding(Some("a"));
    });
    let old = CredentialRequestStatus::default();
    let told = report::report(&seen, &plan(&seen, at(1)), &old, at(1)).unwrap();
    assert_eq!(told.status.rotated.as_deref(), Some("b"));
    // What the first key stands for is used as well.
    let first = change(keyed(Some("b")), |seen| seen.target = holding(Some("b")));
    let told = report::report(&first, &plan(&first, at(1)), &old, at(1)).unwrap();
    assert_eq!(
        told.status.used_rotations,
        rules::with_used(Vec::new(), "b")
    );
}

#[test]
fn few_of_the_values_that_were_used_are_remembered() {
    let mut used = Vec::new();
    for number in 0..100 {
        used = rules::with_used(used, &number.to_string());
        let len = used.len();
        used = rules::with_used(used, &number.to_string());
        assert_eq!(used.len(), len, "once");
    }
    assert_eq!(used.len(), 16);
    assert!(used.iter().all(|digest| digest.len() == 16));
}
