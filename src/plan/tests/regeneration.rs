//! A key that is made anew only by the annotation, once for each of its values.

use super::*;
use crate::{api::request::RegenerationRecord, plan::regeneration as rules};

/// A request whose key is published and read, and made anew where the annotation says so.
fn keyed(rotate: Option<&str>) -> Observed {
    change(synced(), |seen| {
        seen.request.traits.fetched = true;
        seen.request.rotate = rotate.map(str::to_owned);
        seen.looked = true;
        wanted(seen).regenerate = true;
        seen.target = Target::Ours(Published {
            expires_at: None,
            ..published()
        });
    })
}

fn record(value: &str, reason: Option<Reason>) -> Option<RegenerationRecord> {
    Some(RegenerationRecord {
        value: value.to_owned(),
        reason,
        message: reason.map(|_| "no".to_owned()),
    })
}

fn announced(value: &str) -> Observed {
    change(keyed(Some("b")), |seen| seen.announce(value.to_owned()))
}

/// After the provider was told, or may have been.
fn told(value: &str) -> Observed {
    change(announced(value), |seen| seen.announced = None)
}

const ROUTINE: Urgency = Urgency::Routine(Timestamp::MAX);

#[test]
fn it_is_written_down_before_and_told_once() {
    for (name, seen, step) in [
        (
            "a new value: what is published may stand for it already",
            change(keyed(Some("b")), |seen| seen.looked = false),
            Some(Step::Look),
        ),
        ("it does not", keyed(Some("b")), Some(Step::Announce)),
        (
            "written down by this run",
            announced("b"),
            Some(Step::Regenerate(2, ROUTINE)),
        ),
        (
            "written down by another run, or told already: it is read",
            told("b"),
            Some(Step::Prove(ROUTINE)),
        ),
        (
            "an older value was written down",
            told("a"),
            Some(Step::Announce),
        ),
        (
            "a key that is there no more is read",
            change(told("b"), |seen| seen.probe.refused = Some(1)),
            Some(Step::Issue(2, Urgency::New)),
        ),
        ("no annotation", keyed(None), None),
        (
            "carried out",
            change(told("b"), |seen| {
                seen.target = Target::Ours(Published {
                    rotation: Some("b".into()),
                    expires_at: None,
                    ..published()
                })
            }),
            None,
        ),
        (
            "failed for good",
            change(told("b"), |seen| {
                seen.recorded.regeneration = record("b", Some(Reason::NotRegenerated))
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
        let step_taken = match plan(&seen, at(1)) {
            Decision::Do(step) => Some(step),
            _ => None,
        };
        assert_eq!(step_taken, step, "{name}");
    }
}

#[test]
fn what_was_made_anew_is_proven_and_published() {
    for (proof, step) in [
        (Proof::Missing, Step::Verify(ROUTINE)),
        (Proof::Given, Step::Publish),
        (Proof::Impossible, Step::Publish),
    ] {
        let seen = with_in_hand(told("b"), proof);
        assert_eq!(plan(&seen, at(1)), Decision::Do(step), "{proof:?}");
    }
    // The login was the very key: nobody is let in until it is published.
    let seen = change(with_in_hand(told("b"), Proof::Given), |seen| {
        seen.gate = not_ready()
    });
    assert_eq!(plan(&seen, at(1)), Decision::Do(Step::Publish));
}

#[test]
fn a_value_stands_beside_a_key_only_where_it_was_carried_out() {
    let rotation = |rotation: &str| {
        Target::Ours(Published {
            rotation: Some(rotation.to_owned()),
            ..published()
        })
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
            change(announced("b"), |seen| seen.target = rotation("a")),
            Some("a"),
        ),
        (
            "another key appeared after that",
            change(told("b"), |seen| seen.target = rotation("a")),
            Some("b"),
        ),
        (
            "it has failed",
            change(told("b"), |seen| {
                seen.target = rotation("a");
                seen.recorded.regeneration = record("b", Some(Reason::NotRegenerated));
            }),
            Some("a"),
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
fn a_key_that_is_the_same_as_before_uses_the_value_up_and_says_so() {
    let mut seen = told("b");
    seen.unchanged();
    seen.probe.at = Some(at(1));
    let decision = plan(&seen, at(1));
    assert!(matches!(decision, Decision::Wait(_)), "{decision:?}");
    let old = crate::api::CredentialRequestStatus::default();
    let told_people = report::report(&seen, &decision, &old, at(1)).unwrap();
    let failing = told_people
        .status
        .conditions
        .iter()
        .find(|it| it.type_ == "RenewalFailing")
        .unwrap();
    assert_eq!(
        (failing.status.as_str(), failing.reason.as_str()),
        ("True", "NotRegenerated")
    );
    let ready = told_people
        .status
        .conditions
        .iter()
        .find(|it| it.type_ == "Ready")
        .unwrap();
    assert_eq!(ready.status, "True");
    assert!(told_people.status.regeneration.is_some());
    // A routine reading means nothing of the kind.
    for before in [keyed(Some("b")), announced("b")] {
        let after = change(before.clone(), Observed::unchanged);
        assert_eq!(after.recorded.regeneration, before.recorded.regeneration);
    }
    // Without the annotation, or with another value, there is nothing to say.
    for rotate in [None, Some("c".to_owned())] {
        let seen = change(seen.clone(), |seen| seen.request.rotate = rotate);
        assert_eq!(rules::failure(&seen), None);
        assert_eq!(rules::record(&seen), None);
    }
}
