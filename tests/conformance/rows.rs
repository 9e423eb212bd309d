//! What has to hold when one call of a stage is answered badly.

use credential_operator::{
    plan::{Failure, Proof, Revocation},
    providers::{Issuance, Told},
};

use crate::{
    answers::BadAnswer,
    bench::{Bench, Free},
    stages::Stage,
    subjects::{Call, Expect, When},
};

/// Runs a row, and panics where it fails.
pub async fn run(bench: &mut Bench, stage: Stage, call: &Call, answer: &BadAnswer) {
    match stage {
        Stage::Login => login(bench, call, answer).await,
        Stage::Issue => issue(bench, call, answer).await,
        Stage::Prove => prove(bench, call, answer).await,
        Stage::Revoke => revoke(bench, call, answer).await,
        Stage::Confirm => confirm(bench, call, answer).await,
        Stage::Part => part(bench, call, answer).await,
        Stage::Regenerate => regenerate(bench, call, answer).await,
    }
    bench.end();
}

/// What every failure has to be like.
fn check(bench: &Bench, failure: &Failure, call: &Call, answer: &BadAnswer) {
    let told = failure.reason;
    let words = &failure.message;
    match call.expects(answer) {
        Expect::Fails(reason) => assert_eq!(told, reason, "{words}"),
        Expect::FailsAsOne(reasons) => assert!(reasons.contains(&told), "{told}: {words}"),
        other => panic!("{other:?} was expected, not {told}: {words}"),
    }
    if let Some(pause) = answer.pause {
        let told = failure.retry_after.map(|wait| wait.unsigned_abs());
        assert!(told >= Some(pause), "{told:?}, {pause:?} was asked for");
    }
    bench.tells_no_secret(&format!("{failure:?}"));
}

/// Has things be such that the call is made.
async fn set_out(bench: &mut Bench, call: &Call, owner: Option<&str>) {
    match call.when {
        When::Always => {}
        When::Gone => assert_eq!(bench.revoke(1, owner).await.unwrap(), Revocation::Sent),
        When::Anew => bench.connect_anew(),
    }
}

/// Has the connection know its login, where a call has made it believe that it is refused: that is remembered until
/// it is tested again.
async fn log_in(bench: &Bench) {
    let tested = bench.connection.test_login(&Free).await;
    tested.expect("the login works");
}

/// Whether a step was rightly done all the same.
fn goes_on(call: &Call, answer: &BadAnswer) {
    let expected = call.expects(answer);
    assert!(
        matches!(expected, Expect::GoesOn),
        "it was done, and {expected:?} was expected"
    );
}

async fn login(bench: &mut Bench, call: &Call, answer: &BadAnswer) {
    let testing = bench.connection.test_login(&Free);
    match bench.while_wrong(call, answer, testing).await {
        Err(failure) => check(bench, &failure, call, answer),
        Ok(()) => goes_on(call, answer),
    }
    bench.go_right(answer).await;
    log_in(bench).await;
}

async fn issue(bench: &mut Bench, call: &Call, answer: &BadAnswer) {
    let came = bench.while_wrong(call, answer, bench.issue(1)).await;
    let first = match came {
        Err(failure) => {
            check(bench, &failure, call, answer);
            None
        }
        Ok(Issuance::Taken) => panic!("taken"),
        Ok(Issuance::Issued(issued)) => {
            goes_on(call, answer);
            Some(issued)
        }
    };
    bench.go_right(answer).await;
    log_in(bench).await;
    let issued = match first {
        Some(issued) => issued,
        None => match bench.issue(1).await {
            Ok(Issuance::Issued(issued)) => issued,
            Ok(Issuance::Taken) if answer.done => bench.issued(2).await,
            other => panic!("it should be issued: {other:?}"),
        },
    };
    assert_eq!(bench.prove(&issued).await.unwrap(), Proof::Given);
    bench.tells_no_secret(&format!("{issued:?}"));
    bench.tidy_up(issued.credential.owner.as_deref()).await;
}

async fn prove(bench: &mut Bench, call: &Call, answer: &BadAnswer) {
    let issued = bench.issued(1).await;
    let owner = issued.credential.owner.as_deref();
    set_out(bench, call, owner).await;
    let came = bench.while_wrong(call, answer, bench.prove(&issued)).await;
    match (came, call.expects(answer)) {
        (Err(failure), _) => check(bench, &failure, call, answer),
        (Ok(Proof::Given), Expect::GoesOn)
        | (Ok(Proof::Refused), Expect::Refutes)
        | (Ok(Proof::Impossible), Expect::ProvesNothing) => {}
        (Ok(proof), expected) => panic!("{proof:?}, and {expected:?} was expected"),
    }
    bench.go_right(answer).await;
    log_in(bench).await;
    let expected = match call.when {
        When::Gone => Proof::Refused,
        When::Always | When::Anew => Proof::Given,
    };
    assert_eq!(bench.prove(&issued).await.unwrap(), expected);
    bench.tidy_up(owner).await;
}

async fn revoke(bench: &mut Bench, call: &Call, answer: &BadAnswer) {
    let issued = bench.issued(1).await;
    let owner = issued.credential.owner.as_deref();
    set_out(bench, call, owner).await;
    let came = bench
        .while_wrong(call, answer, bench.revoke(1, owner))
        .await;
    match came {
        Err(failure) => {
            check(bench, &failure, call, answer);
            let is_gone = answer.done || call.when == When::Gone;
            assert!(is_gone || bench.subject.system.alive() == 1);
        }
        // It has to be confirmed.
        Ok(Revocation::Sent) => goes_on(call, answer),
        Ok(other) => panic!("{other:?}, and that is not known"),
    }
    bench.go_right(answer).await;
    log_in(bench).await;
    if bench.subject.system.alive() == 1 {
        let confirmed = bench.confirm(1, owner).await;
        confirmed.expect_err("said to be gone, and it is there");
    }
    bench.tidy_up(owner).await;
}

async fn confirm(bench: &mut Bench, call: &Call, answer: &BadAnswer) {
    let issued = bench.issued(1).await;
    let owner = issued.credential.owner.as_deref();
    set_out(bench, call, owner).await;
    let came = bench
        .while_wrong(call, answer, bench.confirm(1, owner))
        .await;
    match came {
        Err(failure) => check(bench, &failure, call, answer),
        Ok(()) => panic!("said to be gone, and that is not known"),
    }
    bench.go_right(answer).await;
    log_in(bench).await;
    let confirmed = bench.confirm(1, owner).await;
    let is_gone = call.when == When::Gone;
    assert_eq!(confirmed.is_ok(), is_gone, "{confirmed:?}");
    bench.tidy_up(owner).await;
}

async fn part(bench: &mut Bench, call: &Call, answer: &BadAnswer) {
    let issued = bench.issued(1).await;
    match bench.while_wrong(call, answer, bench.part(&issued)).await {
        Err(failure) => check(bench, &failure, call, answer),
        Ok(()) => goes_on(call, answer),
    }
    bench.go_right(answer).await;
    if !answer.done {
        assert_eq!(bench.prove(&issued).await.unwrap(), Proof::Given);
    }
    bench.part(&issued).await.expect("it is revoked");
    assert_eq!(bench.prove(&issued).await.unwrap(), Proof::Refused);
    bench.part(&issued).await.expect("it is gone already");
}

/// By what the answer is, whether the system was told. Only a refusal is one, and only who is asked to wait was
/// certainly not served.
fn told(is_it: bool, answer: &BadAnswer) -> Told {
    match answer.status() {
        _ if !is_it => Told::No,
        Some(429) => Told::No,
        Some(408) => Told::Perhaps,
        Some(400..=499) => Told::Refused,
        _ => Told::Perhaps,
    }
}

async fn regenerate(bench: &mut Bench, call: &Call, answer: &BadAnswer) {
    let before = bench.issued(1).await;
    let made = || {
        let calls = bench.all_calls();
        calls.iter().filter(|(_, it)| it.method != "GET").count()
    };
    let earlier = made();
    let is_it = call.route.starts_with("POST");
    let came = bench.while_wrong(call, answer, bench.regenerate()).await;
    let was_made = made() - earlier;
    let key = match came {
        Err(failed) => {
            assert_eq!(was_made, usize::from(is_it), "the call that destroys a key");
            let expected = told(is_it, answer);
            assert_eq!(failed.told, expected, "{}", failed.failure.message);
            check(bench, &failed.failure, call, answer);
            None
        }
        Ok(regenerated) => {
            assert_eq!(was_made, 1, "the call that destroys a key");
            let expected = call.expects(answer);
            assert!(
                matches!(expected, Expect::ProvesNothing),
                "there is a key, and {expected:?} was expected"
            );
            assert_eq!(regenerated.proof, Proof::Impossible);
            Some(regenerated.issued)
        }
    };
    bench.go_right(answer).await;
    // What there is now is read, not asked for once more.
    let now = bench.issued(1).await;
    let is_another = now.data.digest() != before.data.digest();
    if !(is_it && answer.done) {
        assert_eq!(is_another, key.is_some());
    }
    if let Some(key) = key {
        assert_eq!(key.data.digest(), now.data.digest());
    }
    assert_eq!(made() - earlier, was_made);
    let again = bench.regenerate().await.expect("it is made anew");
    assert_eq!(again.proof, Proof::Given);
    assert_ne!(again.issued.data.digest(), now.data.digest());
    assert_eq!(made() - earlier, was_made + 1);
}
