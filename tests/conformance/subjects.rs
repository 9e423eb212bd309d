//! The kinds, each with a system of its own to get one from.

mod cloudcenter;
mod cloudmc;
mod dce;
mod keystone;
mod soda;

use std::sync::Arc;

use credential_operator::api::Reason;
use serde_json::Value;
use testkit::server::SimServer;

use crate::{
    answers::BadAnswer,
    lies::{Answered, Lie},
    refusals::Refusal,
    stages::Stage,
};

/// A kind of credential, and where it comes from.
pub struct Subject {
    /// The simulator.
    pub system: Arc<dyn Simulated>,
    /// The provider's spec.
    pub provider: Value,
    /// The request's spec.
    pub request: Value,
    /// The login Secret. The last value is the secret one.
    pub login: Vec<(&'static str, String)>,
    /// The calls of each stage; why there are none otherwise.
    pub calls: Vec<(Stage, Result<Vec<Call>, &'static str>)>,
    /// The calls that the system makes itself, by server.
    pub beside: &'static [(usize, &'static str)],
    /// The calls that make a credential, by server.
    pub creating: &'static [(usize, &'static str)],
    /// How many are there when one was issued and all that can be revoked is.
    pub shared: usize,
    /// Whether it has a request wait for seconds before it asks for a credential.
    pub waits: bool,
    /// How the system comes to answer for somebody else.
    pub lies: Vec<Lie>,
    /// The same by answers in which a single field is another one.
    pub answered: Vec<Answered>,
    /// What the system itself refuses.
    pub refusals: Vec<Refusal>,
}

/// A call of a stage.
#[derive(Clone, Copy)]
pub struct Call {
    /// The number of the server.
    pub server: usize,
    /// The route.
    pub route: &'static str,
    /// When it is made.
    pub when: When,
    /// What is expected where it is answered badly, by the beginnings of the answers' names; the longest that fits
    /// counts. Where nothing fits, the answer says which reasons do.
    pub says: &'static [(&'static str, Expect)],
}

/// When a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Each time.
    Always,
    /// Only where what is looked for is not there.
    Gone,
    /// Only where there is no session yet, as after a restart.
    Anew,
}

/// What comes of a bad answer.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// A failure with this reason.
    Fails(Reason),
    /// A failure with one of these.
    FailsAsOne(&'static [Reason]),
    /// The step is done: nobody needs the answer, or it may be true.
    GoesOn,
    /// The credential is said not to work.
    Refutes,
    /// Nothing is said about the credential.
    ProvesNothing,
}

impl Call {
    /// What is expected of an answer.
    pub fn expects(&self, answer: &BadAnswer) -> Expect {
        let fitting = self.says.iter();
        let fitting = fitting.filter(|(name, _)| answer.name.starts_with(name));
        match fitting.max_by_key(|(name, _)| name.len()) {
            Some((_, expected)) => *expected,
            None if answer.reasons.is_empty() => {
                panic!("{}: nothing is expected of {}", self.route, answer.name)
            }
            None => Expect::FailsAsOne(answer.reasons),
        }
    }
}

/// A simulator.
pub trait Simulated: Send + Sync {
    /// Its servers.
    fn servers(&self) -> Vec<&SimServer>;
    /// How many credentials are alive, beside logins, and beside those that nobody issues.
    fn alive(&self) -> usize;
    /// Every secret value that it knows or ever gave out.
    fn secrets(&self) -> Vec<String>;
    /// Panics where something happened that may never happen.
    fn check(&self) {}
}

impl Subject {
    /// Why a stage does not apply, if it does not.
    pub fn gap(&self, stage: Stage) -> Option<&'static str> {
        self.stage(stage).as_ref().err().copied()
    }

    /// The calls of a stage.
    pub fn calls(&self, stage: Stage) -> Vec<Call> {
        self.stage(stage).clone().unwrap_or_default()
    }

    fn stage(&self, stage: Stage) -> &Result<Vec<Call>, &'static str> {
        let mut calls = self.calls.iter();
        &calls.find(|(of, _)| *of == stage).unwrap().1
    }
}

/// A kind by its name, and how a subject of it is made.
pub type Entry = (&'static str, fn() -> Subject);

/// All kinds.
pub fn all() -> Vec<Entry> {
    vec![
        ("dce.token", dce::token),
        ("dce.accessKey", dce::access_key),
        ("cloudMC.serviceKeys", cloudmc::service_keys),
        ("cloudMC.serviceKeys by name", cloudmc::service_keys_by_name),
        ("cloudCenter.apiKey", cloudcenter::api_key),
        (
            "cloudCenter.apiKey by e-mail address",
            cloudcenter::api_key_by_email,
        ),
        ("cloudCenter.apiKey of the login", cloudcenter::own_api_key),
        ("keystone.accessKey", keystone::access_key),
        (
            "keystone.applicationCredential",
            keystone::application_credential,
        ),
        ("keystone.token", keystone::token),
        ("soda.accessKey", soda::access_key),
        ("soda.accessKey.issueThrough", soda::issued_access_key),
        ("soda.accessKey.onDelete", soda::ending_access_key),
        ("soda.accessKey.adopt", soda::adopted_access_key),
    ]
}

/// What comes of a refused login, a missing right, and a call that is not there, where nothing more is known.
const READS: &[(&str, Expect)] = &reads(
    Expect::Fails(Reason::Forbidden),
    Expect::Fails(Reason::UnexpectedAnswer),
);

/// The same where a 403 or a 404 means something of its own.
const fn reads(forbidden: Expect, not_found: Expect) -> [(&'static str, Expect); 4] {
    [
        ("401", Expect::Fails(Reason::LoginRefused)),
        ("403", forbidden),
        ("404", not_found),
        ("405", Expect::Fails(Reason::UnexpectedAnswer)),
    ]
}

// Why a stage has no rows.
const ONLY_READ: &str = "it is only read";
const BY_ITS_NAME: &str = "it is revoked by its name";
const NEVER_MADE_ANEW: &str = "a further one is made beside it";
const FOUND_AGAIN: &str = "the same one is found again";
const NO_CALL: &str = "the operator knows no call for it";

fn call(route: &'static str, says: &'static [(&'static str, Expect)]) -> Call {
    at(0, route, says)
}

fn at(server: usize, route: &'static str, says: &'static [(&'static str, Expect)]) -> Call {
    Call {
        server,
        route,
        when: When::Always,
        says,
    }
}

/// A call that is made only where what is looked for is not there.
fn when_gone(call: Call) -> Call {
    Call {
        when: When::Gone,
        ..call
    }
}

/// A call that is made only where there is no session yet.
fn anew(call: Call) -> Call {
    Call {
        when: When::Anew,
        ..call
    }
}
