//! The calls at which an answer can be bad, and what has to hold then.

use std::time::Duration;

use credential_operator::{
    api::{CredentialRequestSpec, ProviderSpec, Reason, provider::ClusterCredentialProviderSpec},
    clock,
    plan::{Failure, Proof, Refusal, Revocation},
    providers::{
        Ask, Connection, Holder, Identity, Issuance, Issued, Kind, LoginValues, Permission, System,
        http::{HttpClient, HttpSettings, Turns},
    },
};
use futures::future::BoxFuture;
use secrecy::SecretString;

use crate::{
    answers::BadAnswer,
    subjects::{SomebodyElse, Subject},
};

/// A call of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The test of the login.
    Login,
    /// The call that brings a credential.
    Issue,
    /// The call that proves it.
    Prove,
    /// The call that revokes it.
    Revoke,
    /// The call that makes sure of that.
    Confirm,
}

/// All of them.
pub const STAGES: &[Stage] = &[
    Stage::Login,
    Stage::Issue,
    Stage::Prove,
    Stage::Revoke,
    Stage::Confirm,
];

/// How long a kind may have its call wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How many calls one step may make at most, whatever the answers are.
const MOST_CALLS: usize = 8;

impl Stage {
    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Login => "login",
            Stage::Issue => "issue",
            Stage::Prove => "prove",
            Stage::Revoke => "revoke",
            Stage::Confirm => "confirm",
        }
    }

    /// What every row of it shows.
    pub fn promise(self) -> &'static str {
        match self {
            Stage::Login => "a login is not said to work; when the answers are good again, it is.",
            Stage::Issue => {
                "nothing is taken for a credential; when the answers are good again, one is issued, and what the attempt may \
                 have left is revoked by its name."
            }
            Stage::Prove => {
                "a credential is not said to work; when the answers are good again, it is."
            }
            Stage::Revoke => {
                "nothing is said to be gone; when the answers are good again, it is revoked."
            }
            Stage::Confirm => {
                "nothing is said to be gone for certain; when the answers are good again, it is."
            }
        }
    }
}

/// Takes no turn.
pub struct Free;

impl Turns for Free {
    fn next(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn answered(&self, _: bool) {}
}

/// A kind of credential with a connection to its system.
struct Bench {
    subject: Subject,
    connection: Connection,
    ask: Ask,
    kind: Kind,
    permission: Permission,
}

impl Bench {
    fn set_up(subject: Subject) -> Self {
        let declared: ClusterCredentialProviderSpec =
            serde_json::from_value(subject.provider.clone()).unwrap();
        let spec = ProviderSpec::from(declared);
        let request: CredentialRequestSpec =
            serde_json::from_value(subject.request.clone()).unwrap();
        let (system, reach) = System::read(&spec).unwrap();
        let mut login = LoginValues::default();
        for (key, value) in &subject.login {
            login.insert((*key).to_owned(), SecretString::from(value.as_str()));
        }
        let http = HttpClient::new(&reach.endpoint, HttpSettings::default()).unwrap();
        let layout = system.layout(&reach, None);
        Bench {
            connection: system.connect(http, &login, layout).unwrap(),
            ask: Ask::read(&request).unwrap(),
            kind: Kind::of(&request).unwrap(),
            permission: Permission {
                grants: spec.allow,
                refusal: Refusal::new(Reason::NotAllowed, "no grant is about it"),
                is_login: false,
                renews_login: false,
            },
            subject,
        }
    }

    /// Where a kind asks to wait before it makes the call, that is done, as the operator does: for as long as
    /// it says, since to ask more often is to call more often.
    async fn issue(&self, serial: u64) -> Result<Issuance, Failure> {
        let deadline = clock::monotonic() + LONGEST_WAIT;
        let identity = identity(serial);
        let server = self.subject.system.server_of(Stage::Issue);
        let route = self.subject.route(Stage::Issue);
        loop {
            let before = server.calls_to(route).len();
            let issued = self
                .connection
                .issue(&Free, &self.ask, &self.permission, &identity)
                .await;
            let rest = issued.as_ref().err().and_then(|failure| failure.rest);
            match rest {
                Some(rest) if server.calls_to(route).len() == before => {
                    let until = clock::monotonic() + rest.unsigned_abs();
                    assert!(until <= deadline, "it asks to wait again and again");
                    tokio::time::sleep_until(until.into()).await;
                }
                _ => return issued,
            }
        }
    }

    /// One that works, so that the stages after it can be looked at.
    async fn issued(&self, serial: u64) -> Issued {
        match self.issue(serial).await {
            Ok(Issuance::Issued(issued)) => issued,
            other => panic!("serial {serial} should have been issued: {other:?}"),
        }
    }

    async fn prove(&self, issued: &Issued) -> Result<Proof, Failure> {
        let owner = issued.credential.owner.as_deref();
        self.connection
            .verify(
                &Free,
                &self.ask,
                Some(&self.permission),
                owner,
                &issued.data,
            )
            .await
    }

    async fn revoke(&self, serial: u64, owner: Option<&str>) -> Result<Revocation, Failure> {
        let identity = identity(serial);
        let holder = Holder {
            identity: &identity,
            owner,
            is_last: true,
            permission: Some(&self.permission),
        };
        self.connection
            .revoke(&Free, self.kind, Some(&self.ask), &holder)
            .await
    }

    async fn confirm(&self, serial: u64, owner: Option<&str>) -> Result<(), Failure> {
        let identity = identity(serial);
        let holder = Holder {
            identity: &identity,
            owner,
            is_last: true,
            permission: Some(&self.permission),
        };
        self.connection
            .confirm(&Free, self.kind, Some(&self.ask), &holder)
            .await
    }

    /// Has the answers of a stage go wrong from here on.
    fn go_wrong(&self, stage: Stage, answer: &BadAnswer) -> usize {
        let server = self.subject.system.server_of(stage);
        let route = self.subject.route(stage);
        server.faults().set(route, answer.fault.clone());
        self.calls(stage)
    }

    fn go_right(&self) {
        for stage in STAGES {
            self.subject.system.server_of(*stage).faults().clear();
        }
    }

    fn calls(&self, stage: Stage) -> usize {
        self.subject.system.server_of(stage).calls().len()
    }

    /// What every failure has to be like.
    fn check(&self, stage: Stage, failure: &Failure, answer: &BadAnswer, before: usize) {
        let made = self.calls(stage) - before;
        assert!(made <= MOST_CALLS, "{made} calls for one step");
        if !answer.reasons.is_empty() {
            assert!(
                answer.reasons.contains(&failure.reason),
                "{}: {}",
                failure.reason,
                failure.message
            );
        }
        if let Some(pause) = answer.pause {
            let told = failure.retry_after.map(|wait| wait.unsigned_abs());
            assert!(told >= Some(pause), "{told:?}, {pause:?} was asked for");
        }
        self.tells_no_secret(&format!("{failure:?}"));
    }

    fn tells_no_secret(&self, text: &str) {
        for secret in self.subject.system.secrets() {
            assert!(!text.contains(&secret), "a secret stands in {text:?}");
        }
    }

    /// Whatever is there goes, and nothing stays behind that can be revoked.
    async fn tidy_up(&self, owner: Option<&str>) {
        if !self.kind.traits().revocable {
            return;
        }
        for serial in 1..=3 {
            let revocation = self.revoke(serial, owner).await.unwrap();
            assert_ne!(revocation, Revocation::Foreign);
            self.confirm(serial, owner).await.unwrap();
        }
        assert_eq!(self.subject.system.alive(), 0, "something was left alive");
    }
}

/// By what a credential is known.
pub fn identity(serial: u64) -> Identity {
    Identity {
        uid: "0e7c4a51-6f0f-4d7a-9d0e-2f7b1b6f9a11".into(),
        serial,
        cluster: "cluster".into(),
        namespace: "payments".into(),
        name: "request".into(),
        held: None,
    }
}

/// A life in which nothing goes wrong, and panics where something does: issued, proven, read again and again,
/// replaced while the first one goes on working where that is so, and revoked one after the other.
pub async fn live(make: fn() -> Subject) {
    let bench = Bench::set_up(make());
    let traits = bench.kind.traits();
    bench.connection.test_login(&Free).await.expect("the login");
    let first = bench.issued(1).await;
    let before = bench.calls(Stage::Prove);
    let proof = bench.prove(&first).await.unwrap();
    assert_eq!(proof, Proof::Given);
    let cost = bench.calls(Stage::Prove) - before;
    assert!(cost <= MOST_CALLS, "{cost} calls for a proof");
    for _ in 0..10 {
        let before = bench.calls(Stage::Prove);
        assert_eq!(bench.prove(&first).await.unwrap(), Proof::Given);
        assert!(
            bench.calls(Stage::Prove) - before <= cost,
            "it costs more the second time"
        );
    }
    let second = bench.issued(2).await;
    assert_eq!(bench.prove(&second).await.unwrap(), Proof::Given);
    if traits.fetched {
        let of_calls = bench.subject.system.server_of(Stage::Prove).calls();
        let changing = of_calls.iter().filter(|call| call.method != "GET");
        assert_eq!(changing.count(), 0, "it is only read");
        assert_eq!(
            first.data.digest(),
            second.data.digest(),
            "nobody has changed it"
        );
        return;
    }
    // The overlap.
    assert_eq!(bench.prove(&first).await.unwrap(), Proof::Given);
    if bench.subject.gap(Stage::Revoke).is_some() {
        return;
    }
    assert_ne!(first.data.digest(), second.data.digest());
    assert_eq!(bench.subject.system.alive(), 2);
    let owner = first.credential.owner.as_deref();
    bench.revoke(1, owner).await.unwrap();
    bench.confirm(1, owner).await.unwrap();
    assert_eq!(bench.subject.system.alive(), 1);
    assert_eq!(bench.prove(&second).await.unwrap(), Proof::Given);
    assert_ne!(bench.prove(&first).await.ok(), Some(Proof::Given));
    // What is gone is not revoked twice.
    assert_eq!(bench.revoke(1, owner).await.unwrap(), Revocation::Absent);
    bench.tidy_up(owner).await;
}

/// An answer that is about somebody else, or something else, and panics where it is taken for what was asked.
pub async fn somebody_else(make: fn() -> Subject) {
    let bench = Bench::set_up(make());
    let stage = match &bench.subject.somebody_else {
        SomebodyElse::Lie(stage) | SomebodyElse::Answer(stage, _) => *stage,
    };
    let issued = match stage {
        Stage::Prove => Some(bench.issued(1).await),
        _ => None,
    };
    match &bench.subject.somebody_else {
        SomebodyElse::Lie(_) => bench.subject.system.lie_about_somebody_else(),
        SomebodyElse::Answer(_, answer) => {
            let server = bench.subject.system.server_of(stage);
            let route = bench.subject.route(stage);
            server.faults().set(route, answer.clone());
        }
    }
    match issued {
        Some(issued) => match bench.prove(&issued).await {
            Err(failure) => bench.tells_no_secret(&format!("{failure:?}")),
            Ok(proof) => assert_eq!(proof, Proof::Refused),
        },
        None => match bench.issue(1).await {
            Err(failure) => bench.tells_no_secret(&format!("{failure:?}")),
            Ok(_) => panic!("taken for what was asked for"),
        },
    }
}

/// Runs a row, and panics where it fails.
pub async fn run(make: fn() -> Subject, stage: Stage, answer: BadAnswer) {
    let bench = Bench::set_up(make());
    match stage {
        Stage::Login => login(&bench, &answer).await,
        Stage::Issue => issue(&bench, &answer).await,
        Stage::Prove => prove(&bench, &answer).await,
        Stage::Revoke => revoke(&bench, &answer).await,
        Stage::Confirm => confirm(&bench, &answer).await,
    }
}

async fn login(bench: &Bench, answer: &BadAnswer) {
    let before = bench.go_wrong(Stage::Login, answer);
    let failure = bench.connection.test_login(&Free).await;
    let failure = failure.expect_err("a login that works");
    bench.check(Stage::Login, &failure, answer, before);
    bench.go_right();
    bench
        .connection
        .test_login(&Free)
        .await
        .expect("it works again");
}

async fn issue(bench: &Bench, answer: &BadAnswer) {
    let before = bench.go_wrong(Stage::Issue, answer);
    match bench.issue(1).await {
        Err(failure) => bench.check(Stage::Issue, &failure, answer, before),
        Ok(Issuance::Taken) => panic!("taken"),
        Ok(Issuance::Issued(_)) => panic!("taken for a credential"),
    }
    bench.go_right();
    // A refused login is remembered until it is tested again.
    bench
        .connection
        .test_login(&Free)
        .await
        .expect("the login works");
    let serial = match bench.issue(1).await {
        Ok(Issuance::Issued(_)) => 2,
        Ok(Issuance::Taken) if answer.done => 2,
        other => panic!("it should be issued: {other:?}"),
    };
    let issued = bench.issued(serial).await;
    assert_ne!(bench.prove(&issued).await.unwrap(), Proof::Refused);
    bench.tells_no_secret(&format!("{issued:?}"));
    bench.tidy_up(issued.credential.owner.as_deref()).await;
}

async fn prove(bench: &Bench, answer: &BadAnswer) {
    let issued = bench.issued(1).await;
    let before = bench.go_wrong(Stage::Prove, answer);
    match bench.prove(&issued).await {
        Err(failure) => bench.check(Stage::Prove, &failure, answer, before),
        Ok(Proof::Refused | Proof::Impossible) => {}
        Ok(proof @ (Proof::Given | Proof::Missing)) => panic!("{proof:?}"),
    }
    bench.go_right();
    assert_eq!(bench.prove(&issued).await.unwrap(), Proof::Given);
    bench.tidy_up(issued.credential.owner.as_deref()).await;
}

async fn revoke(bench: &Bench, answer: &BadAnswer) {
    let issued = bench.issued(1).await;
    let owner = issued.credential.owner.as_deref();
    let before = bench.go_wrong(Stage::Revoke, answer);
    match bench.revoke(1, owner).await {
        Err(failure) => {
            bench.check(Stage::Revoke, &failure, answer, before);
            assert!(answer.done || bench.subject.system.alive() == 1);
        }
        // Found in another way; it has to be confirmed.
        Ok(Revocation::Sent) => {}
        Ok(other) => panic!("{other:?} although it is there"),
    }
    bench.go_right();
    bench.tidy_up(owner).await;
}

async fn confirm(bench: &Bench, answer: &BadAnswer) {
    let issued = bench.issued(1).await;
    let owner = issued.credential.owner.as_deref();
    let before = bench.go_wrong(Stage::Confirm, answer);
    match bench.confirm(1, owner).await {
        Err(failure) => bench.check(Stage::Confirm, &failure, answer, before),
        Ok(()) => panic!("said to be gone, and it is there"),
    }
    bench.go_right();
    bench
        .confirm(1, owner)
        .await
        .expect_err("it is still there");
    bench.tidy_up(owner).await;
}
