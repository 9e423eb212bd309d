//! The kinds, each with a system of its own to get one from.

mod cloudcenter;
mod cloudmc;
mod dce;
mod keystone;
mod soda;

use serde_json::Value;
use testkit::server::{Fault, SimServer};

use crate::stages::Stage;

/// A kind of credential, and where it comes from.
pub struct Subject {
    /// The simulator.
    pub system: Box<dyn Simulated>,
    /// The provider's spec.
    pub provider: Value,
    /// The request's spec.
    pub request: Value,
    /// The login Secret.
    pub login: Vec<(&'static str, String)>,
    /// The call of each stage; why there is none otherwise.
    calls: Vec<(Stage, Result<&'static str, &'static str>)>,
    /// How the system comes to answer for somebody else.
    pub somebody_else: SomebodyElse,
}

/// How a system comes to speak of somebody else, or of something else, than it was asked about.
pub enum SomebodyElse {
    /// The simulator is told to, and does it at this stage.
    Lie(Stage),
    /// The call of this stage gets this answer.
    Answer(Stage, Fault),
}

/// A good answer with this body.
fn answers(stage: Stage, status: u16, body: &Value) -> SomebodyElse {
    let fault = Fault::status(status, "application/json", body.to_string());
    SomebodyElse::Answer(stage, fault)
}

/// A simulator.
pub trait Simulated: Send + Sync {
    /// Its server.
    fn server(&self) -> &SimServer;
    /// The server that the call of a stage goes to, where there are several.
    fn server_of(&self, _: Stage) -> &SimServer {
        self.server()
    }
    /// How many credentials that can be revoked are alive, beside logins.
    fn alive(&self) -> usize;
    /// Every secret value that it knows or ever gave out.
    fn secrets(&self) -> Vec<String>;
    /// From now on it speaks of somebody else.
    fn lie_about_somebody_else(&self) {
        panic!("there is no such lie");
    }
}

impl Subject {
    /// Why a stage does not apply, if it does not.
    pub fn gap(&self, stage: Stage) -> Option<&'static str> {
        self.call(stage).err()
    }

    /// The call that a stage is about.
    pub fn route(&self, stage: Stage) -> &'static str {
        self.call(stage).unwrap()
    }

    fn call(&self, stage: Stage) -> Result<&'static str, &'static str> {
        let mut calls = self.calls.iter();
        calls.find(|(of, _)| *of == stage).unwrap().1
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
        ("cloudCenter.apiKey", cloudcenter::api_key),
        (
            "cloudCenter.apiKey by e-mail address",
            cloudcenter::api_key_by_email,
        ),
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

const ONLY_READ: &str = "it is only read";
const EXPIRES: &str = "tokens expire by themselves";
