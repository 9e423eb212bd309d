//! A kind of credential with a connection to its system, and what is done with it.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use credential_operator::{
    api::{CredentialRequestSpec, ProviderSpec, Reason, provider::ClusterCredentialProviderSpec},
    clock,
    plan::{Failure, Proof, Refusal, Revocation},
    providers::{
        Ask, Connection, Holder, Identity, Issuance, Issued, Kind, LoginValues, NotRegenerated,
        Permission, Reach, Regenerated, System,
        http::{HttpClient, HttpSettings, Turns},
    },
};
use futures::future::BoxFuture;
use secrecy::SecretString;
use testkit::{
    server::{Route, SimCall, SimServer},
    wait::eventually,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    answers::BadAnswer,
    stages::Stage,
    subjects::{Call, Expect, Subject},
    watch,
};

/// How long a kind may have its call wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How many calls one step may make at most, whatever the answers are.
const MOST_CALLS: usize = 8;

/// Takes no turn.
pub struct Free;

impl Turns for Free {
    fn next(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn answered(&self, _: bool) {}
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

/// A place among those that have something to do, which is given away while nothing is to be done but to wait: so
/// that what is measured in seconds is not disturbed by what costs work.
pub struct Slot {
    all: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Slot {
    /// Waits for one.
    pub async fn take(all: &Arc<Semaphore>) -> Slot {
        let slot = Slot {
            all: Arc::clone(all),
            held: Mutex::default(),
        };
        slot.again().await;
        slot
    }

    async fn again(&self) {
        let permit = Arc::clone(&self.all).acquire_owned().await.unwrap();
        *self.held.lock().unwrap() = Some(permit);
    }

    async fn idle<T>(&self, waiting: impl Future<Output = T>) -> T {
        drop(self.held.lock().unwrap().take());
        let came = waiting.await;
        self.again().await;
        came
    }
}

/// A kind of credential with a connection to its system.
pub struct Bench {
    pub subject: Subject,
    pub connection: Connection,
    pub ask: Ask,
    pub kind: Kind,
    pub permission: Permission,
    system: System,
    reach: Reach,
    http: HttpClient,
    slot: Slot,
}

impl Bench {
    pub fn set_up(subject: Subject, slot: Slot) -> Self {
        let declared: ClusterCredentialProviderSpec =
            serde_json::from_value(subject.provider.clone()).unwrap();
        let spec = ProviderSpec::from(declared);
        let request: CredentialRequestSpec =
            serde_json::from_value(subject.request.clone()).unwrap();
        let (system, reach) = System::read(&spec).unwrap();
        let http = HttpClient::new(&reach.endpoint, HttpSettings::default()).unwrap();
        Bench {
            connection: connect(&system, &reach, &http, &subject.login),
            ask: Ask::read(&request).unwrap(),
            kind: Kind::of(&request).unwrap(),
            permission: Permission {
                grants: spec.allow,
                refusal: Refusal::new(Reason::NotAllowed, "no grant is about it"),
                is_login: false,
                renews_login: false,
            },
            subject,
            system,
            reach,
            http,
            slot,
        }
    }

    /// A connection that knows nothing yet.
    pub fn connect_anew(&mut self) {
        self.connection = connect(&self.system, &self.reach, &self.http, &self.subject.login);
    }

    /// One with another login.
    pub fn connect_with(&mut self, login: &[(&'static str, String)]) {
        self.connection = connect(&self.system, &self.reach, &self.http, login);
    }

    /// Asks for a credential. A kind that has the request wait before it makes the call is waited for, as the
    /// plan does it.
    pub async fn issue(&self, serial: u64) -> Result<Issuance, Failure> {
        let mut waited = Duration::ZERO;
        let identity = identity(serial);
        loop {
            let before = self.created();
            let issued = self
                .connection
                .issue(&Free, &self.ask, &self.permission, &identity)
                .await;
            let rest = issued.as_ref().err().and_then(|failure| failure.rest);
            match rest {
                Some(rest) if self.subject.waits && self.created() == before => {
                    let until = clock::monotonic() + rest.unsigned_abs();
                    waited += rest.unsigned_abs();
                    assert!(waited <= LONGEST_WAIT, "it asks to wait again and again");
                    self.slot.idle(tokio::time::sleep_until(until.into())).await;
                }
                _ => return issued,
            }
        }
    }

    /// One that works, so that the stages after it can be looked at.
    pub async fn issued(&self, serial: u64) -> Issued {
        match self.issue(serial).await {
            Ok(Issuance::Issued(issued)) => issued,
            other => panic!("serial {serial} should have been issued: {other:?}"),
        }
    }

    pub async fn prove(&self, issued: &Issued) -> Result<Proof, Failure> {
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

    pub async fn revoke(&self, serial: u64, owner: Option<&str>) -> Result<Revocation, Failure> {
        let identity = identity(serial);
        let holder = self.holder(&identity, owner);
        self.connection
            .revoke(&Free, self.kind, Some(&self.ask), &holder)
            .await
    }

    pub async fn confirm(&self, serial: u64, owner: Option<&str>) -> Result<(), Failure> {
        let identity = identity(serial);
        let holder = self.holder(&identity, owner);
        self.connection
            .confirm(&Free, self.kind, Some(&self.ask), &holder)
            .await
    }

    fn holder<'a>(&'a self, identity: &'a Identity, owner: Option<&'a str>) -> Holder<'a> {
        Holder {
            identity,
            owner,
            is_last: true,
            permission: Some(&self.permission),
        }
    }

    pub async fn part(&self, issued: &Issued) -> Result<(), Failure> {
        self.connection.part(&Free, self.kind, &issued.data).await
    }

    pub async fn regenerate(&self) -> Result<Regenerated, NotRegenerated> {
        self.connection
            .regenerate(&Free, &self.ask, &self.permission)
            .await
    }

    /// The server that a call goes to.
    pub fn server(&self, call: &Call) -> &SimServer {
        self.subject.system.servers()[call.server]
    }

    /// Makes one call go wrong while something is done.
    pub async fn while_wrong<T>(
        &self,
        call: &Call,
        answer: &BadAnswer,
        doing: impl Future<Output = T>,
    ) -> T {
        let server = self.server(call);
        let (calls, created) = (self.calls(), self.created());
        let met = server.calls_to(call.route).len();
        server.faults().set(call.route, answer.fault.clone());
        let came = if answer.waits() {
            self.slot.idle(doing).await
        } else {
            doing.await
        };
        // As many as for one that goes well, and what it takes to find out whether a session has ended.
        let met = server.calls_to(call.route).len() - met;
        assert!(met > 0, "the call was not made");
        let repeats = usize::from(answer.status() == Some(401));
        let is_theirs = self.subject.beside.contains(&(call.server, call.route));
        let may_be_true = matches!(call.expects(answer), Expect::GoesOn);
        assert!(
            met <= 1 + repeats || is_theirs || (may_be_true && self.subject.waits),
            "the call was made {met} times, and answered badly each time"
        );
        let made = self.calls() - calls;
        let most = MOST_CALLS * (1 + usize::from(self.subject.waits));
        assert!(made <= most, "{made} calls for one step");
        let created = self.created() - created;
        assert!(created <= 1 + repeats, "{created} were asked for at once");
        came
    }

    /// From here on all answers are right. What may be done all the same, though nobody waits for it any more, is
    /// done by then.
    pub async fn go_right(&self, answer: &BadAnswer) {
        for server in self.subject.system.servers() {
            server.faults().clear();
        }
        if !answer.done {
            return;
        }
        let all_ended = || async {
            let calls = self.all_calls();
            let open = calls.iter().filter(|(_, call)| call.ended.is_none());
            anyhow::ensure!(open.count() == 0, "calls are open");
            Ok(())
        };
        eventually(Duration::from_secs(10), all_ended)
            .await
            .unwrap();
    }

    /// All calls to all servers of the system, but for those that it makes itself.
    pub fn calls(&self) -> usize {
        let beside = self.subject.beside.iter();
        let beside: Vec<_> = beside
            .map(|(of, route)| (*of, Route::from(*route)))
            .collect();
        let calls = self.all_calls().into_iter();
        let own = calls.filter(|(server, call)| {
            let mut theirs = beside.iter().filter(|(of, _)| of == server);
            !theirs.any(|(_, route)| route.matches(&call.method, &call.path))
        });
        own.count()
    }

    /// All of them, by server.
    pub fn all_calls(&self) -> Vec<(usize, SimCall)> {
        let servers = self.subject.system.servers().into_iter().enumerate();
        let calls = servers.flat_map(|(number, server)| {
            let calls = server.calls().into_iter();
            calls.map(move |call| (number, call))
        });
        calls.collect()
    }

    /// How often a credential was asked for.
    pub fn created(&self) -> usize {
        let servers = self.subject.system.servers();
        let creating = self.subject.creating.iter();
        creating
            .map(|(server, route)| servers[*server].calls_to(*route).len())
            .sum()
    }

    pub fn tells_no_secret(&self, text: &str) {
        for secret in self.subject.system.secrets() {
            assert!(!text.contains(&secret), "a secret stands in {text:?}");
        }
    }

    /// Whatever is there goes, and nothing stays behind that can be revoked. What cannot be revoked one by one is
    /// as it was: there are so many.
    pub async fn tidy_up(&self, owner: Option<&str>) {
        if self.subject.gap(Stage::Revoke).is_none() {
            for serial in 1..=3 {
                let revocation = self.revoke(serial, owner).await.unwrap();
                assert_ne!(revocation, Revocation::Foreign);
                self.confirm(serial, owner).await.unwrap();
            }
        }
        assert_eq!(
            self.subject.system.alive(),
            self.subject.shared,
            "something was left alive, or is gone"
        );
    }

    /// What holds at the end of everything.
    pub fn end(&self) {
        self.subject.system.check();
        watch::remember(self.subject.system.secrets());
    }
}

fn connect(
    system: &System,
    reach: &Reach,
    http: &HttpClient,
    login: &[(&'static str, String)],
) -> Connection {
    let mut values = LoginValues::default();
    for (key, value) in login {
        values.insert((*key).to_owned(), SecretString::from(value.as_str()));
    }
    let layout = system.layout(reach, None);
    system.connect(http.clone(), &values, layout).unwrap()
}
