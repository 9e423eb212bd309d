//! The identity systems, one folder each. Nothing outside this folder and `api/` names a system.
//!
//! A further system is a further variant of the enums in this file; the compiler then lists the
//! places that have to know about it, all of them below. What a system does not decide: when it is
//! asked, how often, what becomes of its answers, and how they look in a Secret's metadata.

pub mod certificates;
pub mod dce;
pub mod guard;
pub mod http;
pub mod keystone;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
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
    plan::{Credential, Failure, Proof, Refusal, Revocation, Traits},
    secret::SecretData,
};
use http::Turns;

/// A system that a provider declares, with its settings checked.
#[derive(Clone, Debug, PartialEq)]
pub enum System {
    /// DaoCloud Enterprise 5.0.
    Dce(dce::Config),
    /// OpenStack Keystone.
    Keystone(keystone::Config),
}

/// What a request asks a system for, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A token of DaoCloud Enterprise 5.0.
    DceToken(dce::TokenAsk),
    /// A credential of OpenStack Keystone.
    Keystone(keystone::Ask),
}

/// A kind of credential, which is known even where a request is otherwise not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A token of DaoCloud Enterprise 5.0.
    DceToken,
    /// A pair of access key and secret key of OpenStack Keystone.
    KeystoneAccessKey,
    /// An application credential of OpenStack Keystone.
    KeystoneApplicationCredential,
    /// A token of OpenStack Keystone.
    KeystoneToken,
}

/// A way to talk to a system with a login.
pub enum Connection {
    /// To a DaoCloud Enterprise 5.0.
    Dce(dce::Client),
    /// To an OpenStack Keystone.
    Keystone(Box<keystone::Client>),
}

/// What a provider adds to each Secret, beside the credential itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// The endpoint of a DaoCloud Enterprise 5.0.
    Dce(Url),
    /// Where what OpenStack Keystone issues is used.
    Keystone(keystone::Layout),
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
    /// Whether the login cannot be without it.
    pub required: bool,
}

/// The values of a login Secret, by their keys.
#[derive(Default)]
pub struct LoginValues(BTreeMap<String, SecretString>);

impl LoginValues {
    /// Notes a value.
    pub fn insert(&mut self, key: String, value: SecretString) {
        self.0.insert(key, value);
    }

    /// A value.
    pub fn get(&self, key: &str) -> Option<&SecretString> {
        self.0.get(key)
    }

    /// A value, or an empty one.
    pub fn expect(&self, key: &str) -> SecretString {
        self.get(key).cloned().unwrap_or_default()
    }

    /// Whether a value stands in a text.
    pub fn appear_in(&self, text: &str) -> bool {
        self.0.values().any(|value| {
            let value = value.expose_secret();
            value.len() >= 8 && text.contains(value)
        })
    }
}

/// From what the names are derived under which a credential is known at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The UID of the request.
    pub uid: String,
    /// The serial of the credential.
    pub serial: u64,
    /// The cluster, for people: the UID of its namespace `kube-system`.
    pub cluster: String,
    /// The namespace of the request, for people.
    pub namespace: String,
    /// The name of the request, for people.
    pub name: String,
}

/// A credential to be revoked: by what it is known, and whose it should be.
pub struct Holder<'a> {
    /// By what it is known.
    pub identity: &'a Identity,
    /// Whom it belonged to at the provider when it was issued, as far as is known. A hint.
    pub owner: Option<&'a str>,
}

/// The grants that reach a request, to be held against what the provider says.
#[derive(Clone, Debug)]
pub struct Permission {
    /// The grants for the request's namespace.
    pub grants: Vec<Grant>,
    /// What a request is told that none of them is about.
    pub refusal: Refusal,
}

impl Permission {
    /// A digest of the grants.
    pub fn digest(&self) -> String {
        let text = serde_json::to_string(&self.grants).unwrap_or_default();
        Sha256::digest(text)
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What came of asking for a credential.
#[derive(Debug)]
pub enum Issuance {
    /// There it is.
    Issued(Issued),
    /// Something by its name is there already.
    Taken,
}

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
        match (&spec.dce, &spec.keystone) {
            (Some(dce), None) => {
                dce::config::read(dce).map(|(config, reach)| (System::Dce(config), reach))
            }
            (None, Some(keystone)) => keystone::config::read(keystone)
                .map(|(config, reach)| (System::Keystone(config), reach)),
            _ => Err(Refusal::new(
                Reason::InvalidSpec,
                "spec names no system that this version of the operator knows, or several; name exactly one of: dce, keystone",
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

    /// The keys of the login Secret that are needed, or may be there.
    pub fn login_keys(&self) -> Vec<LoginKey> {
        match self {
            System::Dce(config) => config.login_keys().into(),
            System::Keystone(config) => config.login_keys(),
        }
    }

    /// What the provider adds to each Secret. `ca_pem` are the certificates of [`Reach::ca`].
    pub fn layout(&self, reach: &Reach, ca_pem: Option<&[u8]>) -> Layout {
        match self {
            System::Dce(_) => Layout::Dce(reach.endpoint.clone()),
            System::Keystone(config) => Layout::Keystone(config.layout(reach, ca_pem)),
        }
    }

    /// A connection with a login.
    ///
    /// # Errors
    /// When a value cannot be a login of this system.
    pub fn connect(
        &self,
        http: http::HttpClient,
        login: &LoginValues,
        layout: Layout,
    ) -> Result<Connection, Refusal> {
        match (self, layout) {
            (System::Dce(config), _) => dce::Client::new(config, http, login).map(Connection::Dce),
            (System::Keystone(config), Layout::Keystone(layout)) => {
                keystone::Client::new(config, http, login, layout)
                    .map(|client| Connection::Keystone(Box::new(client)))
            }
            (System::Keystone(_), Layout::Dce(_)) => Err(mismatch()),
        }
    }

    /// Whether a grant, which is for the right namespace, may allow what is asked for, as far as that
    /// can be told without the provider. If not: what it would allow.
    ///
    /// # Errors
    /// When it does not, with words about its limits, or none where it is about something else.
    pub fn may_allow(grant: &Grant, ask: &Ask) -> Result<(), Option<String>> {
        match ask {
            Ask::DceToken(ask) => grant
                .dce
                .as_ref()
                .map_or(Err(None), |grant| dce::config::allows(grant, ask)),
            Ask::Keystone(ask) => grant
                .keystone
                .as_ref()
                .map_or(Err(None), |grant| keystone::config::may_allow(grant, ask)),
        }
    }

    /// Whether what is asked for is something of this system.
    ///
    /// # Errors
    /// When it is not.
    pub fn offers(&self, ask: &Ask) -> Result<(), Refusal> {
        match (self, ask) {
            (System::Dce(_), Ask::DceToken(_)) | (System::Keystone(_), Ask::Keystone(_)) => Ok(()),
            (System::Dce(_), Ask::Keystone(_)) | (System::Keystone(_), Ask::DceToken(_)) => {
                Err(mismatch())
            }
        }
    }
}

/// A request names a provider of another system.
fn mismatch() -> Refusal {
    Refusal::new(
        Reason::InvalidSpec,
        "spec: the provider is of another system than what is asked for; correct spec.providerRef",
    )
}

impl Layout {
    /// A digest of what workloads are told beside the credential; none where that never changes.
    pub fn digest(&self) -> Option<String> {
        match self {
            // The endpoint of a provider cannot be changed.
            Layout::Dce(_) => None,
            Layout::Keystone(layout) => Some(layout.digest()),
        }
    }

    /// All keys of a Secret from those that are left of them: each guess that can be made.
    pub fn recover(
        &self,
        ask: &Ask,
        found: &SecretData,
        credential: &Credential,
    ) -> Vec<SecretData> {
        match (self, ask) {
            (Layout::Dce(endpoint), Ask::DceToken(_)) => {
                dce::token::recover(endpoint, found, credential)
            }
            (Layout::Keystone(layout), Ask::Keystone(ask)) => layout
                .recover(ask.what.kind(), found, credential)
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl Ask {
    /// Reads what a request asks for.
    ///
    /// # Errors
    /// When a field is not valid; the refusal names it.
    pub fn read(spec: &CredentialRequestSpec) -> Result<Ask, Refusal> {
        match (&spec.dce, &spec.keystone) {
            (Some(dce), None) => dce::config::read_ask(dce),
            (None, Some(keystone)) => keystone::config::read_ask(keystone, spec).map(Ask::Keystone),
            _ => Err(Refusal::new(
                Reason::InvalidSpec,
                "spec names nothing to ask for that this version of the operator knows, or several things; name exactly one of: dce, keystone",
            )),
        }
    }

    /// A digest of what is asked of the provider.
    pub fn digest(&self) -> String {
        match self {
            Ask::DceToken(ask) => format!("dce.token/{}", ask.cycle),
            Ask::Keystone(ask) => ask.digest(),
        }
    }

    /// When all of it ends, and the field that says so.
    pub fn ends(&self) -> Option<(jiff::Timestamp, &'static str)> {
        match self {
            Ask::DceToken(_) => None,
            Ask::Keystone(ask) => match &ask.what {
                keystone::What::ApplicationCredential(asked) => {
                    asked.ends.map(|ends| (ends, keystone::config::ENDS))
                }
                keystone::What::AccessKey { .. } | keystone::What::Token => None,
            },
        }
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Kind] = &[
        Kind::DceToken,
        Kind::KeystoneAccessKey,
        Kind::KeystoneApplicationCredential,
        Kind::KeystoneToken,
    ];

    /// What kind a request asks for, if it names one.
    pub fn of(spec: &CredentialRequestSpec) -> Option<Kind> {
        if let Some(keystone) = &spec.keystone {
            return if keystone.access_key.is_some() {
                Some(Kind::KeystoneAccessKey)
            } else if keystone.application_credential.is_some() {
                Some(Kind::KeystoneApplicationCredential)
            } else {
                keystone.token.is_some().then_some(Kind::KeystoneToken)
            };
        }
        let dce = spec.dce.as_ref()?;
        dce.token.is_some().then_some(Kind::DceToken)
    }

    /// How it is called: the fields of a request that ask for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::DceToken => "dce.token",
            Kind::KeystoneAccessKey => "keystone.accessKey",
            Kind::KeystoneApplicationCredential => "keystone.applicationCredential",
            Kind::KeystoneToken => "keystone.token",
        }
    }

    /// What it can do.
    pub fn traits(self) -> Traits {
        match self {
            Kind::DceToken => Traits::default(),
            Kind::KeystoneAccessKey | Kind::KeystoneApplicationCredential => Traits {
                revocable: true,
                parting: false,
            },
            Kind::KeystoneToken => Traits {
                revocable: false,
                parting: true,
            },
        }
    }
}

impl Connection {
    /// Logs in once, to see whether the login works.
    ///
    /// # Errors
    /// The failure of the call, by its reason.
    pub async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        match self {
            Connection::Dce(client) => client.test_login(turns).await,
            Connection::Keystone(client) => client.test_login(turns).await,
        }
    }

    /// Whether something goes on working when the login Secret is lost.
    pub fn has_living_session(&self) -> bool {
        match self {
            Connection::Dce(_) => false,
            Connection::Keystone(client) => client.has_living_session(),
        }
    }

    /// Has a credential issued. The credential's serial and digest are left to the caller.
    ///
    /// # Errors
    /// The failure of the call, by its reason; `NotAllowed` where the grants do not allow what the
    /// provider says about the login.
    pub async fn issue(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        match (self, ask) {
            (Connection::Dce(client), Ask::DceToken(ask)) => {
                client.issue_token(turns, ask).await.map(Issuance::Issued)
            }
            (Connection::Keystone(client), Ask::Keystone(ask)) => match &ask.what {
                keystone::What::AccessKey { .. } => {
                    client
                        .issue_access_key(turns, ask, permission, identity)
                        .await
                }
                keystone::What::ApplicationCredential(asked) => {
                    client
                        .issue_application_credential(turns, ask, asked, permission, identity)
                        .await
                }
                keystone::What::Token => client
                    .issue_token(turns, ask, permission)
                    .await
                    .map(Issuance::Issued),
            },
            _ => Err(crossed()),
        }
    }

    /// Proves that a credential works.
    ///
    /// # Errors
    /// When that could not be found out. That it does not work is [`Proof::Refused`].
    pub async fn verify(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        match (self, ask) {
            (Connection::Dce(client), Ask::DceToken(_)) => client.verify_token(turns, data).await,
            (Connection::Keystone(client), Ask::Keystone(ask)) => {
                let project = &ask.project;
                match &ask.what {
                    keystone::What::AccessKey { .. } => {
                        client.verify_access_key(turns, project, owner, data).await
                    }
                    keystone::What::ApplicationCredential(_) => {
                        client
                            .verify_application_credential(turns, project, owner, data)
                            .await
                    }
                    keystone::What::Token => client.verify_token(turns, data).await,
                }
            }
            _ => Err(crossed()),
        }
    }

    /// Has revoked whatever is there by the name of a request and a serial and belongs to the request.
    /// `ask` is what the request asks for now, where that is valid and allowed.
    ///
    /// # Errors
    /// When that could not be done.
    pub async fn revoke(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<Revocation, Failure> {
        match (self, kind) {
            (Connection::Keystone(client), Kind::KeystoneAccessKey) => {
                client.revoke_access_key(turns, holder, project(ask)).await
            }
            (Connection::Keystone(client), Kind::KeystoneApplicationCredential) => {
                client
                    .revoke_application_credential(turns, holder, project(ask))
                    .await
            }
            _ => Err(crossed()),
        }
    }

    /// Makes sure that nothing is there by the name of a request and a serial.
    ///
    /// # Errors
    /// When it is still there, or that could not be found out.
    pub async fn confirm(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<(), Failure> {
        match (self, kind) {
            (Connection::Keystone(client), Kind::KeystoneAccessKey) => {
                client.confirm_access_key(turns, holder, project(ask)).await
            }
            (Connection::Keystone(client), Kind::KeystoneApplicationCredential) => {
                client
                    .confirm_application_credential(turns, holder, project(ask))
                    .await
            }
            _ => Err(crossed()),
        }
    }

    /// Revokes what a Secret holds, for a kind whose requests go without waiting for that.
    ///
    /// # Errors
    /// When that could not be done.
    pub async fn part(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        data: &SecretData,
    ) -> Result<(), Failure> {
        match (self, kind) {
            (Connection::Keystone(client), Kind::KeystoneToken) => {
                client.part_with_token(turns, data).await
            }
            _ => Err(crossed()),
        }
    }
}

/// The project of what is asked for.
fn project(ask: Option<&Ask>) -> Option<&keystone::names::Named> {
    match ask {
        Some(Ask::Keystone(ask)) => Some(&ask.project),
        Some(Ask::DceToken(_)) | None => None,
    }
}

/// A system was asked for what it does not have; that is refused long before.
fn crossed() -> Failure {
    http::failed(
        Reason::InternalError,
        "the provider was asked for something that its system does not have",
    )
}
