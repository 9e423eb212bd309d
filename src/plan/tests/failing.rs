//! Each failed step leaves a fact behind: the plan does not return the step at the same moment.

use super::{
    revocation::{pair, revocable},
    *,
};

/// One way in which a read or a write of the cluster goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The API server refuses.
    Refused,
    /// A webhook answers 409; the Secret is as it was seen.
    Conflict,
    /// The API server answers 409, and does not let the Secret be read after that.
    Unread,
    /// The API server stores other data than was sent.
    OtherData,
    /// The API server stores other labels than were sent.
    OtherLabels,
}

const NOW: i64 = 2500;

fn failure(reason: Reason) -> Failure {
    Failure {
        reason,
        message: "no".into(),
        retry_after: None,
        rest: None,
    }
}

fn refused(seen: &mut Observed, reason: Reason) {
    seen.fail_to_write(failure(reason), at(NOW));
}

/// Takes a step and has it fail.
fn fail(seen: &mut Observed, step: Step, fault: Fault) {
    match step {
        Step::Look => refused(seen, Reason::SecretUnreadable),
        Step::AddFinalizer => seen.additions.failed(Some("403".into()), at(NOW)),
        Step::RemoveFinalizer { .. } => refused(seen, Reason::FinalizerRefused),
        Step::HoldProvider => seen.gate = Gate::Checking,
        Step::Issue(..) | Step::Verify(_) | Step::Announce(_) | Step::Regenerate(..) => {
            seen.fail(failure(Reason::ProviderUnavailable), at(NOW));
        }
        Step::Prove(_) => {
            seen.probe.at = Some(at(NOW));
            seen.done.proven = true;
        }
        Step::Revoke(serial, _) | Step::Confirm(serial, _) => {
            seen.fail_to_revoke(serial, failure(Reason::ProviderUnavailable), at(NOW));
        }
        Step::Discard => {
            if let Some(in_hand) = seen.in_hand.take() {
                seen.taken.insert(in_hand.credential.serial);
                seen.leftovers.insert(in_hand.credential.serial);
            }
        }
        Step::TryWrite | Step::Publish | Step::Repair => fail_write(seen, step, fault),
    }
}

fn fail_write(seen: &mut Observed, step: Step, fault: Fault) {
    let damage = |seen: &mut Observed, damage| {
        let serial = seen.in_hand.as_ref().map(|it| it.credential.serial);
        let before = seen.published().cloned().unwrap_or_else(published);
        let serial = serial.unwrap_or(before.serial);
        let damaged = Published {
            serial,
            damage,
            ..before
        };
        match damage {
            Damage::Metadata if step == Step::Publish => seen.publish(damaged),
            _ => seen.target = Target::Ours(damaged),
        }
    };
    match fault {
        Fault::Refused => refused(seen, Reason::SecretRefused),
        Fault::Conflict => {
            assert!(!seen.met_conflict(false), "nothing has changed");
            refused(seen, Reason::SecretRefused);
        }
        Fault::Unread => {
            seen.target = Target::Unknown;
            refused(seen, Reason::SecretUnreadable);
        }
        Fault::OtherData => {
            if step != Step::TryWrite {
                damage(seen, Damage::Lost);
            }
            refused(seen, Reason::TargetContested);
        }
        Fault::OtherLabels if step == Step::TryWrite => seen.write_accepted(),
        Fault::OtherLabels => {
            damage(seen, Damage::Metadata);
            refused(seen, Reason::TargetAltered);
        }
    }
}

/// The moments in the life of a request from which each step can be reached.
fn moments() -> Vec<(&'static str, Observed)> {
    let target = |target: Target| {
        move |seen: &mut Observed| {
            seen.target = target.clone();
        }
    };
    let metadata = Target::Ours(Published {
        damage: Damage::Metadata,
        ..published()
    });
    let going = |seen: &mut Observed| seen.request.deleting = Some(at(100));
    let mut moments = vec![
        ("new", fresh()),
        ("new and revocable", revocable(fresh())),
        (
            "without a finalizer",
            change(revocable(fresh()), |seen| seen.request.finalizer = false),
        ),
        (
            "without a hold",
            change(revocable(fresh()), |seen| seen.provider_held = false),
        ),
        ("not looked at", change(pair(1), target(Target::Unknown))),
        ("due", synced()),
        (
            "due and relabelled",
            change(synced(), target(metadata.clone())),
        ),
        (
            "a pair that was relabelled",
            change(pair(1), target(metadata)),
        ),
        ("a key lost", damaged(Damage::Repairable)),
        ("lost", damaged(Damage::Lost)),
        ("adoptable", change(fresh(), target(Target::Adoptable))),
        ("gone", change(synced(), target(Target::Absent))),
        (
            "asked to rotate a pair",
            change(pair(2), |seen| {
                seen.request.rotate = Some("now".into());
                seen.recorded.credentials.push(retiring(1, 100));
            }),
        ),
        (
            "leaked",
            change(pair(2), |seen| {
                seen.request.revoke_retiring = Some("leak".into());
                seen.recorded.credentials.push(retiring(1, 9000));
            }),
        ),
        (
            "to be proven",
            change(pair(1), |seen| {
                wanted(seen).verify_every = Some(SignedDuration::from_secs(10));
                seen.probe.at = Some(at(10));
            }),
        ),
        ("going", change(pair(2), going)),
        (
            "going, its Secret not looked at",
            change(change(pair(2), going), target(Target::Unknown)),
        ),
        (
            "going with its Secret kept",
            change(pair(2), |seen| {
                going(seen);
                seen.request.retain = true;
                seen.target = Target::Ours(Published {
                    serial: 2,
                    damage: Damage::Metadata,
                    ..published()
                });
            }),
        ),
    ];
    for proof in [Proof::Missing, Proof::Given, Proof::Refused] {
        moments.push(("in hand", with_in_hand(fresh(), proof)));
        moments.push(("a pair in hand", with_in_hand(revocable(fresh()), proof)));
    }
    moments
}

#[test]
fn a_step_that_failed_is_not_returned_again_at_the_same_moment() {
    for fault in [
        Fault::Refused,
        Fault::Conflict,
        Fault::Unread,
        Fault::OtherData,
        Fault::OtherLabels,
    ] {
        for (name, moment) in moments() {
            for was_refused in [false, true] {
                let mut seen = moment.clone();
                if was_refused {
                    // Long ago, so that its back-off is over.
                    seen.fail_to_write(failure(Reason::SecretRefused), at(0));
                }
                let mut taken = Vec::new();
                while let Decision::Do(step) = plan(&seen, at(NOW)) {
                    assert!(
                        !taken.contains(&step),
                        "{name}, {fault:?}: {step:?} after {taken:?}"
                    );
                    taken.push(step);
                    fail(&mut seen, step, fault);
                }
            }
        }
    }
}

#[test]
fn nothing_is_issued_while_the_secret_could_not_be_written() {
    let mut seen = fresh();
    seen.fail_to_write(failure(Reason::SecretRefused), at(0));
    assert_eq!(plan(&seen, at(NOW)), Decision::Do(Step::TryWrite));
    seen.write_accepted();
    assert!(matches!(
        plan(&seen, at(NOW)),
        Decision::Do(Step::Issue(1, _))
    ));
    refused(&mut seen, Reason::SecretRefused);
    assert!(
        matches!(plan(&seen, at(NOW)), Decision::Wait(wait) if wait.reason == WaitReason::Write)
    );
}

#[test]
fn a_repair_that_is_undone_each_time_keeps_no_credential_from_being_renewed() {
    let mut seen = damaged(Damage::Metadata);
    assert_eq!(plan(&seen, at(100)), Decision::Do(Step::Repair));
    seen.fail_to_write(failure(Reason::TargetAltered), at(100));
    assert!(
        matches!(plan(&seen, at(100)), Decision::Wait(wait) if wait.reason == WaitReason::Write)
    );
    seen.fail_to_write(failure(Reason::TargetAltered), at(NOW));
    assert!(matches!(
        plan(&seen, at(NOW)),
        Decision::Do(Step::Issue(2, _))
    ));
}

#[test]
fn a_write_that_met_a_changed_secret_is_tried_again_once() {
    let mut seen = fresh();
    assert!(seen.met_conflict(true));
    assert!(!seen.met_conflict(true));
}
