//! Whole lives, played through: whatever the provider does, the plan comes to an end and asks for
//! nothing that it should not.

use super::*;

/// Plays a pass: carries out what is decided until it settles. The provider answers with `issue`.
fn play(
    seen: &mut Observed,
    now: Timestamp,
    mut issue: impl FnMut() -> Result<i64, Reason>,
) -> (Decision, Vec<Step>) {
    let mut steps = Vec::new();
    loop {
        let Decision::Do(step) = plan(seen, now) else {
            return (plan(seen, now), steps);
        };
        steps.push(step);
        assert!(steps.len() < 24, "{steps:?}");
        match step {
            Step::Look => {
                seen.looked = true;
                if matches!(seen.target, Target::Unknown) {
                    seen.target = Target::Absent;
                }
            }
            Step::Issue(serial, _) => match issue() {
                Ok(life) => {
                    *seen = with_in_hand(seen.clone(), Proof::Missing);
                    let credential = &mut seen.in_hand.as_mut().unwrap().credential;
                    credential.serial = serial;
                    credential.issued_at = now;
                    credential.expires_at = Some(now + SignedDuration::from_secs(life));
                }
                Err(reason) => seen.fail(
                    Failure {
                        reason,
                        message: String::new(),
                        retry_after: None,
                        rest: None,
                    },
                    now,
                ),
            },
            // No life of one here has it done: there is a table of its own.
            Step::Announce(_) | Step::Regenerate(..) => panic!("{step:?}"),
            Step::TryWrite => seen.write_accepted(),
            Step::AddFinalizer => seen.request.finalizer = true,
            Step::HoldProvider => seen.provider_held = true,
            Step::Prove(_) => seen.probe.at = Some(now),
            Step::Revoke(serial, _) => drop(seen.revocations.insert(serial, Revocation::Sent)),
            Step::Confirm(serial, _) => drop(seen.revocations.insert(serial, Revocation::Gone)),
            Step::RemoveFinalizer { .. } => seen.request.finalizer = false,
            Step::Verify(_) => seen.in_hand.as_mut().unwrap().proof = Proof::Given,
            Step::Publish => {
                let credential = seen.in_hand.clone().unwrap().credential;
                seen.publish(Published {
                    serial: credential.serial,
                    issued_at: credential.issued_at,
                    expires_at: credential.expires_at,
                    ..published()
                });
            }
            Step::Repair => seen.target = Target::Ours(published()),
            Step::Discard => seen.in_hand = None,
        }
    }
}

fn wake_up(decision: &Decision) -> Option<Timestamp> {
    match decision {
        Decision::Wait(wait) => wait.until,
        _ => None,
    }
}

#[test]
fn a_pass_takes_the_fewest_steps() {
    let mut seen = fresh();
    let (_, steps) = play(&mut seen, at(0), || Ok(3000));
    assert_eq!(
        steps,
        [
            Step::Issue(1, Urgency::New),
            Step::Verify(Urgency::InHand),
            Step::Publish
        ]
    );
    let (_, steps) = play(&mut seen, at(1), || panic!("nothing is due"));
    assert_eq!(steps, []);
}

#[test]
fn a_credential_is_always_alive_over_a_hundred_renewals() {
    let mut seen = fresh();
    seen.request.spread = 999;
    let mut now = at(0);
    for _ in 0..100 {
        let (decision, _) = play(&mut seen, now, || Ok(3000));
        assert!(is_usable(&seen, now));
        let next = wake_up(&decision).unwrap();
        assert!(is_usable(&seen, next) && next > now);
        now = next;
    }
    assert_eq!(seen.published().unwrap().serial, 100);
}

#[test]
fn an_outage_of_most_of_the_rest_of_its_life_is_survived() {
    let mut seen = fresh();
    let mut now = at(0);
    let mut calls = 0;
    let mut decision = play(&mut seen, now, || Ok(3000)).0;
    // From two thirds of the life on the provider is down, until 50 seconds before the end.
    while seen.published().unwrap().serial == 1 {
        now = wake_up(&decision).unwrap();
        assert!(is_usable(&seen, now), "expired at {now}");
        decision = play(&mut seen, now, || {
            calls += 1;
            if now < at(2950) {
                Err(Reason::ProviderUnavailable)
            } else {
                Ok(3000)
            }
        })
        .0;
    }
    assert!(
        (10..40).contains(&calls),
        "{calls} calls in a thousand seconds"
    );
}

#[test]
fn a_provider_that_never_recovers_is_asked_ever_more_rarely() {
    let mut seen = fresh();
    let (mut now, mut calls) = (at(0), 0);
    while now < at(86_400) {
        let (decision, _) = play(&mut seen, now, || {
            calls += 1;
            Err(Reason::Timeout)
        });
        now = wake_up(&decision).unwrap();
    }
    assert!((250..300).contains(&calls), "{calls} calls a day");
}

#[test]
fn a_pass_that_takes_longer_than_the_pause_between_proofs_comes_to_an_end() {
    let due = |done: Done| {
        change(synced(), |seen| {
            wanted(seen).verify_every = Some(SignedDuration::from_millis(1));
            seen.probe.at = Some(BEGIN);
            seen.looked = true;
            seen.done = done;
        })
    };
    let proof = Decision::Do(Step::Prove(Urgency::Routine(at(3000))));
    assert_eq!(plan(&due(Done::default()), at(1)), proof);
    for done in [
        Done {
            published: true,
            ..Done::default()
        },
        Done {
            proven: true,
            ..Done::default()
        },
    ] {
        let seen = due(done);
        let decision = plan(&seen, at(1));
        assert!(matches!(decision, Decision::Wait(_)), "{done:?}");
        let again = at(1) + SignedDuration::from_millis(1);
        assert_eq!(next_look(&seen, &decision, at(1)), Some(again), "{done:?}");
    }
}
