//! The identity systems, one folder each. Nothing outside this folder and `api/` names a system.
//!
//! A further system is a further variant of the enums in this file; the compiler then lists the
//! places that have to know about it, all of them below. What a system does not decide: when it is
//! asked, how often, what becomes of its answers, and how they look in a Secret's metadata.

pub mod dce;
pub mod guard;
pub mod http;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    api::{
        ProviderSpec, Reason,
        provider::Grant,
        reference::{CaBundleRef, SecretRef},
        request::CredentialRequestSpec,
        validate,
    },
    plan::{Credential, Failure, Proof, Refusal},
    secret::SecretData,
};

/// A system that a provider declares, with its settings checked.
#[derive(Clone, Debug, PartialEq)]
pub enum System {
    /// DaoCloud Enterprise 5.0.
    Dce(dce::Config),
}

/// What a request asks a system for, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A token of DaoCloud Enterprise 5.0.
    DceToken(dce::TokenAsk),
}

/// A way to talk to a system with a login.
pub enum Connection {
    /// To a DaoCloud Enterprise 5.0.
    Dce(dce::Client),
}

/// What every system has: where it is and how it is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The base URL, without a slash at the end of its path.
    pub endpoint: Url,
    /// The certificates to trust, instead of the public ones.
    pub ca: Option<CaBundleRef>,
    /// Whether the server's certificate is not checked.
    pub skip_verify: bool,
    /// The Secret with the login.
    pub login: SecretRef,
}

/// A value of a login Secret that the system needs.
pub struct LoginKey {
    /// The field of the provider that names the key.
    pub field: &'static str,
    /// The key.
    pub key: String,
}

/// The values of a login Secret, in the order of [`System::login_keys`].
pub type LoginValues = Vec<SecretString>;

/// A credential as the provider gave it.
#[derive(Debug)]
pub struct Issued {
    /// What is known about it. The serial and the digest of what was asked for are the caller's.
    pub credential: Credential,
    /// What goes into the Secret.
    pub data: SecretData,
}

impl System {
    /// Reads what a provider declares.
    ///
    /// # Errors
    /// When a field is not valid; the refusal names it.
    pub fn read(spec: &ProviderSpec) -> Result<(System, Reach), Refusal> {
        validate::provider(spec)?;
        match &spec.dce {
            Some(dce) => dce::config::read(dce).map(|(config, reach)| (System::Dce(config), reach)),
            None => Err(Refusal::new(
                Reason::InvalidSpec,
                "spec names no system that this version of the operator knows; name exactly one of: dce",
            )),
        }
    }

    /// A digest of everything that a login depends on; grants and budgets are not among it.
    pub fn digest(&self, reach: &Reach) -> String {
        let text = format!("{self:?}{reach:?}");
        Sha256::digest(text)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The keys of the login Secret that are needed.
    pub fn login_keys(&self) -> Vec<LoginKey> {
        match self {
            System::Dce(config) => config.login_keys(),
        }
    }

    /// A connection with a login, of which there is one value for each of [`Self::login_keys`].
    ///
    /// # Errors
    /// When a value cannot be a login of this system.
    pub fn connect(
        &self,
        http: http::HttpClient,
        login: LoginValues,
    ) -> Result<Connection, Refusal> {
        match self {
            System::Dce(config) => dce::Client::new(config, http, login).map(Connection::Dce),
        }
    }

    /// Whether a grant, which is for the right namespace, allows what is asked for. If not: what it
    /// would allow.
    ///
    /// # Errors
    /// When it does not, with words about its limits, or none where it is about something else.
    pub fn allows(grant: &Grant, ask: &Ask) -> Result<(), Option<String>> {
        match ask {
            Ask::DceToken(ask) => grant
                .dce
                .as_ref()
                .map_or(Err(None), |grant| dce::config::allows(grant, ask)),
        }
    }

    /// Whether what is asked for is something of this system.
    ///
    /// # Errors
    /// When it is not.
    pub fn offers(&self, ask: &Ask) -> Result<(), Refusal> {
        match (self, ask) {
            (System::Dce(_), Ask::DceToken(_)) => Ok(()),
        }
    }

    /// All keys of a Secret from those that are left of them: each guess that can be made, of which
    /// the caller knows by a digest which is right.
    pub fn recover(
        ask: &Ask,
        endpoint: &Url,
        found: &SecretData,
        credential: &Credential,
    ) -> Vec<SecretData> {
        match ask {
            Ask::DceToken(_) => dce::token::recover(endpoint, found, credential),
        }
    }
}

impl Ask {
    /// Reads what a request asks for.
    ///
    /// # Errors
    /// When a field is not valid; the refusal names it.
    pub fn read(spec: &CredentialRequestSpec) -> Result<Ask, Refusal> {
        match &spec.dce {
            Some(dce) => dce::config::read_ask(dce),
            None => Err(Refusal::new(
                Reason::InvalidSpec,
                "spec names nothing to ask for that this version of the operator knows; name exactly one of: dce",
            )),
        }
    }

    /// What kind of credential it is.
    pub fn credential(&self) -> &'static str {
        match self {
            Ask::DceToken(_) => "dce.token",
        }
    }

    /// A digest of what is asked of the provider.
    pub fn digest(&self) -> String {
        match self {
            Ask::DceToken(ask) => format!("dce.token/{}", ask.cycle),
        }
    }
}

impl Connection {
    /// Logs in once, to see whether the login works.
    ///
    /// # Errors
    /// The failure of the call, by its reason.
    pub async fn test_login(&self) -> Result<(), Failure> {
        match self {
            Connection::Dce(client) => client.test_login().await,
        }
    }

    /// Has a credential issued. The credential's serial and digest are left to the caller.
    ///
    /// # Errors
    /// The failure of the call, by its reason.
    pub async fn issue(&self, ask: &Ask) -> Result<Issued, Failure> {
        match (self, ask) {
            (Connection::Dce(client), Ask::DceToken(ask)) => client.issue_token(ask).await,
        }
    }

    /// Proves that a credential works.
    ///
    /// # Errors
    /// When that could not be found out. That it does not work is [`Proof::Refused`].
    pub async fn verify(&self, ask: &Ask, issued: &SecretData) -> Result<Proof, Failure> {
        match (self, ask) {
            (Connection::Dce(client), Ask::DceToken(_)) => client.verify_token(issued).await,
        }
    }
}
