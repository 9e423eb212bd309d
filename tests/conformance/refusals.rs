//! What systems refuse themselves, in their own words: a login that is wrong, a right that is missing, a quota.

use credential_operator::{
    api::Reason,
    plan::{Failure, Proof},
    providers::Issuance,
};

use crate::{
    bench::{Bench, Free},
    stages::Stage,
};

/// Something that a system refuses.
pub struct Refusal {
    /// What people call it.
    pub name: &'static str,
    /// At what.
    pub stage: Stage,
    /// Brings it about.
    pub make: Box<dyn Fn() + Send + Sync>,
    /// What is said about it.
    pub told: Told,
}

/// What is said about what a system refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A failure with this reason.
    Fails(Reason),
    /// The credential does not work.
    Refuted,
}

/// What came of a step.
pub fn came(step: Result<Option<Proof>, Failure>, bench: &Bench) -> Told {
    match step {
        Err(failure) => {
            bench.tells_no_secret(&format!("{failure:?}"));
            Told::Fails(failure.reason)
        }
        Ok(Some(Proof::Refused)) => Told::Refuted,
        Ok(other) => panic!("it was not refused: {other:?}"),
    }
}

/// Plays one of the subject's refusals, and panics where it is taken for something else.
pub async fn run(bench: &Bench, refusal: &Refusal) {
    let created = bench.created();
    let told = match refusal.stage {
        Stage::Issue => {
            (refusal.make)();
            let issued = bench.issue(1).await;
            let issued = issued.map(|issuance| {
                assert!(matches!(issuance, Issuance::Taken), "it was issued");
                None
            });
            came(issued, bench)
        }
        Stage::Prove => {
            let issued = bench.issued(1).await;
            (refusal.make)();
            came(bench.prove(&issued).await.map(Some), bench)
        }
        other => panic!("{other:?} has none"),
    };
    assert_eq!(told, refusal.told);
    assert!(bench.created() - created <= 1, "asked again and again");
    bench.end();
}

/// A login that is wrong is said to be, at each thing that is done first with it, and is not tried again and again:
/// accounts get locked.
pub async fn wrong_login(bench: &mut Bench) {
    let mut login = bench.subject.login.clone();
    login.last_mut().unwrap().1.push('x');
    for is_test in [true, false] {
        bench.connect_with(&login);
        let before = bench.calls();
        let failure = if is_test {
            bench.connection.test_login(&Free).await.err()
        } else {
            bench.issue(1).await.err()
        };
        let failure = failure.expect("a login that is wrong");
        assert_eq!(failure.reason, Reason::LoginRefused, "{}", failure.message);
        bench.tells_no_secret(&format!("{failure:?}"));
        // Without a scope as well, where a wrong scope is answered in the same way; or once more, where a token that is
        // refused for a moment looks like one that is wrong.
        let calls = bench.calls() - before;
        assert!(calls <= 2, "{calls} calls with a login that is wrong");
        assert_eq!(bench.created(), 0);
    }
    bench.end();
}
