//! Lives in which nothing goes wrong.

use std::time::Duration;

use credential_operator::{
    api::Reason,
    plan::{Proof, Revocation},
    providers::Issued,
};
use testkit::{server::Route, wait::eventually};

use crate::{
    bench::{Bench, Free},
    stages::Stage,
    subjects::When,
};

/// The parts of a life, as the table calls them.
pub const PARTS: [&str; 4] = ["issued and proven", "overlap", "read again", "ended alone"];

/// A part of a life, or why a kind has none.
pub type Part = Result<(), &'static str>;

/// A mark to which calls are counted.
type Mark = Vec<usize>;

fn mark(bench: &Bench) -> Mark {
    let servers = bench.subject.system.servers();
    servers.iter().map(|server| server.calls().len()).collect()
}

/// Panics where other calls were made since than those that the stage's rows make go wrong, or one of them was made
/// more than once.
fn covers(bench: &Bench, stage: Stage, since: &Mark, is_gone: bool) {
    let calls = bench.subject.calls(stage);
    let matches = |route: &str, call: &testkit::server::SimCall| {
        Route::from(route).matches(&call.method, &call.path)
    };
    for (number, server) in bench.subject.system.servers().into_iter().enumerate() {
        let made: Vec<_> = server.calls().split_off(since[number]);
        for call in &made {
            let listed = calls.iter().filter(|it| it.server == number);
            let listed = listed.map(|it| it.route);
            let beside = bench.subject.beside.iter();
            let beside = beside
                .filter(|(of, _)| *of == number)
                .map(|(_, route)| *route);
            assert!(
                listed.chain(beside).any(|route| matches(route, call)),
                "{}: {} {} has no rows",
                stage.name(),
                call.method,
                call.path
            );
        }
        for call in calls.iter().filter(|it| it.server == number) {
            let beside = bench.subject.beside.iter();
            let times = made.iter().filter(|it| matches(call.route, it)).count();
            let expected = match call.when {
                When::Always => 1,
                When::Gone => usize::from(is_gone),
                When::Anew => 0,
            };
            let is_theirs = beside.clone().any(|it| *it == (number, call.route));
            // A route can be the beginning of another one.
            let narrower = calls.iter().filter(|it| it.route.starts_with(call.route));
            assert!(
                times == expected || is_theirs || (narrower.count() > 1 && times > 0),
                "{}: {} was called {times} times",
                stage.name(),
                call.route
            );
        }
    }
}

/// Plays a life, and panics where something goes wrong: issued, proven, read again and again, replaced while the
/// first one goes on working where that is so, and revoked one after the other.
pub async fn run(bench: &mut Bench) -> [Part; 4] {
    let since = mark(bench);
    bench.connection.test_login(&Free).await.expect("the login");
    covers(bench, Stage::Login, &since, false);
    bench.connect_anew();
    let before = bench.created();
    let since = mark(bench);
    let first = bench.issued(1).await;
    if !bench.subject.waits {
        covers(bench, Stage::Issue, &since, false);
    }
    let cost = usize::from(!bench.subject.creating.is_empty());
    assert_eq!(bench.created() - before, cost, "credentials were asked for");
    let (before, since) = (bench.calls(), mark(bench));
    assert_eq!(bench.prove(&first).await.unwrap(), Proof::Given);
    covers(bench, Stage::Prove, &since, false);
    let cost = bench.calls() - before;
    for _ in 0..10 {
        let before = bench.calls();
        assert_eq!(bench.prove(&first).await.unwrap(), Proof::Given);
        assert!(bench.calls() - before <= cost, "it costs more another time");
    }
    let before = bench.created();
    let second = another(bench, &first).await;
    assert_eq!(bench.prove(&second).await.unwrap(), Proof::Given);
    assert_eq!(bench.prove(&first).await.unwrap(), Proof::Given);
    let is_another = first.data.digest() != second.data.digest();
    let traits = bench.kind.traits();
    let shared = bench.subject.shared;
    let [mut overlap, mut again, mut alone]: [Part; 3] = [Ok(()); 3];
    if traits.fetched {
        changes_nothing(bench);
        assert!(!is_another, "nobody has changed it");
        without_grants(bench, &first).await;
        overlap = Err("the same one is read");
    } else {
        again = Err("it was made for the request");
    }
    if !traits.fetched && shared > 0 {
        assert!(!is_another, "it is shared");
        assert_eq!(bench.created(), before, "another one was asked for");
        overlap = Err("the same one is found again");
    } else if !traits.fetched {
        assert!(is_another, "it is the same one");
        assert!(bench.created() - before <= 1);
    }
    let owner = first.credential.owner.as_deref();
    match (
        bench.subject.gap(Stage::Revoke),
        bench.subject.gap(Stage::Part),
    ) {
        (None, _) => {
            assert_eq!(bench.subject.system.alive(), 2);
            let since = mark(bench);
            bench.revoke(1, owner).await.unwrap();
            covers(bench, Stage::Revoke, &since, false);
            let since = mark(bench);
            bench.confirm(1, owner).await.unwrap();
            covers(bench, Stage::Confirm, &since, true);
            assert_eq!(bench.subject.system.alive(), 1);
            // What is gone is not revoked twice.
            let again = bench.revoke(1, owner).await.unwrap();
            assert_eq!(again, Revocation::Absent);
        }
        (Some(_), None) => {
            let since = mark(bench);
            bench.part(&first).await.unwrap();
            covers(bench, Stage::Part, &since, false);
        }
        (Some(why), Some(_)) => {
            assert_eq!(bench.subject.system.alive(), shared);
            alone = Err(why);
        }
    }
    if alone.is_ok() {
        assert_eq!(bench.prove(&first).await.unwrap(), Proof::Refused);
        assert_eq!(bench.prove(&second).await.unwrap(), Proof::Given);
    }
    bench.tidy_up(owner).await;
    bench.end();
    [Ok(()), overlap, again, alone]
}

/// One more. Tokens that say no more than whose they are and since when are the same within a second.
async fn another(bench: &Bench, first: &Issued) -> Issued {
    let is_named = !bench.subject.creating.is_empty() || bench.kind.traits().fetched;
    let second = || async {
        let second = bench.issued(2).await;
        let is_another = second.data.digest() != first.data.digest();
        anyhow::ensure!(is_named || is_another, "it is the same one");
        Ok(second)
    };
    eventually(Duration::from_secs(5), second).await.unwrap()
}

/// Panics where what is read again is taken for allowed because it was once.
async fn without_grants(bench: &mut Bench, issued: &Issued) {
    let grants = std::mem::take(&mut bench.permission.grants);
    let proof = bench.prove(issued).await;
    bench.permission.grants = grants;
    let told = proof.expect_err("no grant is about it").reason;
    assert_eq!(told, Reason::NotAllowed);
}

/// Panics where a call could have changed something, at any server: logins change nothing.
fn changes_nothing(bench: &Bench) {
    let login = Route::from(testkit::keystone::LOGIN);
    for (_, call) in bench.all_calls() {
        assert!(
            call.method == "GET" || login.matches(&call.method, &call.path),
            "it is only read, and {} {} was called",
            call.method,
            call.path
        );
    }
}
