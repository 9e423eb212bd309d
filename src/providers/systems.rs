//! The only list of systems: what one is called, and which of its parts is asked.

use sha2::{Digest, Sha256};

use super::{
    Holder, Identity, Issuance, LoginKey, LoginValues, NotRegenerated, Permission, Reach,
    Regenerated, cloudcenter, cloudmc, crossed, dce,
    driver::{Ask as _, Client as _, Config as _, Layout as _},
    http::{HttpClient, Turns},
    keystone, soda,
};
use crate::{
    api::{
        ProviderSpec, Reason, provider::Grant, request::CredentialRequestSpec, rules,
        soda::IssueThrough, validate,
    },
    plan::{Credential, Failure, Proof, Refusal, Revocation},
    secret::SecretData,
};

/// Does the same for whichever system it is.
macro_rules! each {
    ($list:ident, $value:expr, $it:ident => $do:expr) => {
        match $value {
            $list::Dce($it) => $do,
            $list::Keystone($it) => $do,
            $list::CloudMc($it) => $do,
            $list::CloudCenter($it) => $do,
            $list::Soda($it) => $do,
        }
    };
}

/// Does something with two parts of the same system, or something else where they are of two.
macro_rules! both {
    ($one:ident $value:expr, $two:ident $other:expr, ($a:ident, $b:ident) => $do:expr, else $otherwise:expr) => {
        match ($value, $other) {
            ($one::Dce($a), $two::Dce($b)) => $do,
            ($one::Keystone($a), $two::Keystone($b)) => $do,
            ($one::CloudMc($a), $two::CloudMc($b)) => $do,
            ($one::CloudCenter($a), $two::CloudCenter($b)) => $do,
            ($one::Soda($a), $two::Soda($b)) => $do,
            _ => $otherwise,
        }
    };
}

/// A system that a provider declares, with its settings checked.
#[derive(Clone, Debug, PartialEq)]
pub enum System {
    /// DaoCloud Enterprise 5.0.
    Dce(dce::Config),
    /// OpenStack Keystone.
    Keystone(keystone::Config),
    /// CloudMC.
    CloudMc(cloudmc::Config),
    /// Cisco CloudCenter 4.x.
    CloudCenter(cloudcenter::Config),
    /// SODA multi-cloud.
    Soda(soda::Config),
}

/// What a request asks a system for, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A credential of DaoCloud Enterprise 5.0.
    Dce(dce::Ask),
    /// A credential of OpenStack Keystone.
    Keystone(keystone::Ask),
    /// A credential of CloudMC.
    CloudMc(cloudmc::Ask),
    /// A credential of Cisco CloudCenter 4.x.
    CloudCenter(cloudcenter::Ask),
    /// A credential of SODA multi-cloud.
    Soda(soda::Ask),
}

/// A way to talk to a system with a login.
pub enum Connection {
    /// To a DaoCloud Enterprise 5.0.
    Dce(dce::Client),
    /// To an OpenStack Keystone.
    Keystone(Box<keystone::Client>),
    /// To a CloudMC.
    CloudMc(cloudmc::Client),
    /// To a Cisco CloudCenter 4.x.
    CloudCenter(Box<cloudcenter::Client>),
    /// To a SODA multi-cloud.
    Soda(Box<soda::Client>),
}

/// What a provider adds to each Secret, beside the credential itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Layout {
    /// The endpoint of a DaoCloud Enterprise 5.0.
    Dce(dce::Layout),
    /// Where what OpenStack Keystone issues is used.
    Keystone(keystone::Layout),
    /// Nothing: of CloudMC, only what a request asks for is published.
    CloudMc(cloudmc::Layout),
    /// The endpoint of a Cisco CloudCenter 4.x.
    CloudCenter(cloudcenter::Layout),
    /// Where what SODA multi-cloud accepts is used.
    Soda(soda::Layout),
}

/// A kind of credential, which is known even where a request is otherwise not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A token of DaoCloud Enterprise 5.0.
    DceToken,
    /// An access key of DaoCloud Enterprise 5.0.
    DceAccessKey,
    /// A pair of access key and secret key of OpenStack Keystone.
    KeystoneAccessKey,
    /// An application credential of OpenStack Keystone.
    KeystoneApplicationCredential,
    /// A token of OpenStack Keystone.
    KeystoneToken,
    /// The service API keys of a user of CloudMC.
    CloudMcServiceKeys,
    /// A user's API key of Cisco CloudCenter 4.x.
    CloudCenterApiKey,
    /// A pair of access key and secret key that SODA multi-cloud accepts, issued at its Keystone.
    SodaAccessKey,
    /// The same, issued by SODA itself.
    SodaIssuedAccessKey,
    /// The same, and all credentials of the user end with the request.
    SodaEndingAccessKey,
    /// The same, of those that are there already.
    SodaAdoptedAccessKey,
}

impl System {
    /// Reads what a provider declares.
    ///
    /// # Errors
    /// When a field is not valid; the refusal names it.
    pub fn read(spec: &ProviderSpec) -> Result<(System, Reach), Refusal> {
        validate::provider(spec)?;
        match (
            &spec.dce,
            &spec.keystone,
            &spec.cloud_mc,
            &spec.cloud_center,
            &spec.soda,
        ) {
            (Some(spec), None, None, None, None) => {
                dce::config::read(spec).map(|(config, reach)| (System::Dce(config), reach))
            }
            (None, Some(spec), None, None, None) => keystone::config::read(spec)
                .map(|(config, reach)| (System::Keystone(config), reach)),
            (None, None, Some(spec), None, None) => {
                cloudmc::config::read(spec).map(|(config, reach)| (System::CloudMc(config), reach))
            }
            (None, None, None, Some(spec), None) => cloudcenter::config::read(spec)
                .map(|(config, reach)| (System::CloudCenter(config), reach)),
            (None, None, None, None, Some(spec)) => {
                soda::config::read(spec).map(|(config, reach)| (System::Soda(config), reach))
            }
            _ => Err(Refusal::new(
                Reason::InvalidSpec,
                format!(
                    "spec names no system that this version of the operator knows, or several; name exactly one of: {}",
                    rules::systems()
                ),
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
        each!(System, self, config => config.login_keys())
    }

    /// What the provider adds to each Secret. `ca_pem` are the certificates of [`Reach::ca`].
    pub fn layout(&self, reach: &Reach, ca_pem: Option<&[u8]>) -> Layout {
        match self {
            System::Dce(config) => Layout::Dce(config.layout(reach, ca_pem)),
            System::Keystone(config) => Layout::Keystone(config.layout(reach, ca_pem)),
            System::CloudMc(config) => Layout::CloudMc(config.layout(reach, ca_pem)),
            System::CloudCenter(config) => Layout::CloudCenter(config.layout(reach, ca_pem)),
            System::Soda(config) => Layout::Soda(config.layout(reach, ca_pem)),
        }
    }

    /// A connection with a login.
    ///
    /// # Errors
    /// When a value cannot be a login of this system.
    pub fn connect(
        &self,
        http: HttpClient,
        login: &LoginValues,
        layout: Layout,
    ) -> Result<Connection, Refusal> {
        match (self, layout) {
            (System::Dce(config), Layout::Dce(layout)) => {
                config.connect(http, login, layout).map(Connection::Dce)
            }
            (System::Keystone(config), Layout::Keystone(layout)) => config
                .connect(http, login, layout)
                .map(|client| Connection::Keystone(Box::new(client))),
            (System::CloudMc(config), Layout::CloudMc(layout)) => {
                config.connect(http, login, layout).map(Connection::CloudMc)
            }
            (System::CloudCenter(config), Layout::CloudCenter(layout)) => config
                .connect(http, login, layout)
                .map(|client| Connection::CloudCenter(Box::new(client))),
            (System::Soda(config), Layout::Soda(layout)) => config
                .connect(http, login, layout)
                .map(|client| Connection::Soda(Box::new(client))),
            _ => Err(mismatch()),
        }
    }

    /// Whether what is asked for is something of this system.
    ///
    /// # Errors
    /// When it is not.
    pub fn offers(&self, ask: &Ask) -> Result<(), Refusal> {
        both!(System self, Ask ask, (_config, _ask) => Ok(()), else Err(mismatch()))
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
        each!(Layout, self, layout => layout.digest())
    }

    /// All keys of a Secret from those that are left of them: each guess that can be made.
    pub fn recover(
        &self,
        ask: &Ask,
        found: &SecretData,
        credential: &Credential,
    ) -> Vec<SecretData> {
        both!(Layout self, Ask ask, (layout, ask) => layout.recover(ask, found, credential), else Vec::new())
    }
}

impl Ask {
    /// Reads what a request asks for.
    ///
    /// # Errors
    /// When a field is not valid; the refusal names it.
    pub fn read(spec: &CredentialRequestSpec) -> Result<Ask, Refusal> {
        match (
            &spec.dce,
            &spec.keystone,
            &spec.cloud_mc,
            &spec.cloud_center,
            &spec.soda,
        ) {
            (Some(asked), None, None, None, None) => dce::config::read_ask(asked).map(Ask::Dce),
            (None, Some(asked), None, None, None) => {
                keystone::config::read_ask(asked, spec).map(Ask::Keystone)
            }
            (None, None, Some(asked), None, None) => {
                cloudmc::config::read_ask(asked, spec).map(Ask::CloudMc)
            }
            (None, None, None, Some(asked), None) => {
                cloudcenter::config::read_ask(asked, spec).map(Ask::CloudCenter)
            }
            (None, None, None, None, Some(asked)) => {
                soda::config::read_ask(asked, spec).map(Ask::Soda)
            }
            _ => Err(Refusal::new(
                Reason::InvalidSpec,
                format!(
                    "spec names nothing to ask for that this version of the operator knows, or several things; name exactly one of: {}",
                    rules::systems()
                ),
            )),
        }
    }

    /// A digest of what is asked of the provider.
    pub fn digest(&self) -> String {
        each!(Ask, self, ask => ask.digest())
    }

    /// When all of it ends, and the field that says so.
    pub fn ends(&self) -> Option<(jiff::Timestamp, &'static str)> {
        each!(Ask, self, ask => ask.ends())
    }

    /// As [`super::driver::Ask::regenerates`].
    pub fn regenerates(&self) -> bool {
        each!(Ask, self, ask => ask.regenerates())
    }

    /// Whether a grant, which is for the right namespace, may allow it, as far as that can be told
    /// without the provider.
    ///
    /// # Errors
    /// When it does not, with words about its limits, or none where it is about something else.
    pub fn may_be_allowed_by(&self, grant: &Grant) -> Result<(), Option<String>> {
        each!(Ask, self, ask => ask.may_be_allowed_by(grant))
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: &'static [Kind] = &[
        Kind::DceToken,
        Kind::DceAccessKey,
        Kind::KeystoneAccessKey,
        Kind::KeystoneApplicationCredential,
        Kind::KeystoneToken,
        Kind::CloudMcServiceKeys,
        Kind::CloudCenterApiKey,
        Kind::SodaAccessKey,
        Kind::SodaIssuedAccessKey,
        Kind::SodaEndingAccessKey,
        Kind::SodaAdoptedAccessKey,
    ];

    /// What kind a request asks for, if it names one.
    pub fn of(spec: &CredentialRequestSpec) -> Option<Kind> {
        let keystone = spec.keystone.as_ref();
        let dce = spec.dce.as_ref();
        let soda = spec.soda.as_ref().map(|asked| &asked.access_key);
        [
            (
                dce.is_some_and(|asked| asked.token.is_some()),
                Kind::DceToken,
            ),
            (
                dce.is_some_and(|asked| asked.access_key.is_some()),
                Kind::DceAccessKey,
            ),
            (
                keystone.is_some_and(|asked| asked.access_key.is_some()),
                Kind::KeystoneAccessKey,
            ),
            (
                keystone.is_some_and(|asked| asked.application_credential.is_some()),
                Kind::KeystoneApplicationCredential,
            ),
            (
                keystone.is_some_and(|asked| asked.token.is_some()),
                Kind::KeystoneToken,
            ),
            (spec.cloud_mc.is_some(), Kind::CloudMcServiceKeys),
            (spec.cloud_center.is_some(), Kind::CloudCenterApiKey),
            (
                soda.is_some_and(|asked| asked.adopt == Some(true)),
                Kind::SodaAdoptedAccessKey,
            ),
            (
                soda.is_some_and(|asked| asked.on_delete.is_some()),
                Kind::SodaEndingAccessKey,
            ),
            (
                soda.is_some_and(|asked| asked.issue_through == Some(IssueThrough::Soda)),
                Kind::SodaIssuedAccessKey,
            ),
            (soda.is_some(), Kind::SodaAccessKey),
        ]
        .into_iter()
        .find_map(|(named, kind)| named.then_some(kind))
    }

    /// How it is called: the fields of a request that ask for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::DceToken => "dce.token",
            Kind::DceAccessKey => "dce.accessKey",
            Kind::KeystoneAccessKey => "keystone.accessKey",
            Kind::KeystoneApplicationCredential => "keystone.applicationCredential",
            Kind::KeystoneToken => "keystone.token",
            Kind::CloudMcServiceKeys => "cloudMC.serviceKeys",
            Kind::CloudCenterApiKey => "cloudCenter.apiKey",
            Kind::SodaAccessKey => "soda.accessKey",
            Kind::SodaIssuedAccessKey => "soda.accessKey.issueThrough",
            Kind::SodaEndingAccessKey => "soda.accessKey.onDelete",
            Kind::SodaAdoptedAccessKey => "soda.accessKey.adopt",
        }
    }
}

impl Connection {
    /// As [`super::driver::Client::test_login`].
    ///
    /// # Errors
    /// As there.
    pub async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        each!(Connection, self, client => client.test_login(turns).await)
    }

    /// As [`super::driver::Client::has_living_session`].
    pub fn has_living_session(&self) -> bool {
        each!(Connection, self, client => client.has_living_session())
    }

    /// As [`super::driver::Client::issue`].
    ///
    /// # Errors
    /// As there.
    pub async fn issue(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        both!(Connection self, Ask ask, (client, ask) => client.issue(turns, ask, permission, identity).await, else Err(crossed()))
    }

    /// As [`super::driver::Client::regenerate`].
    ///
    /// # Errors
    /// As there.
    pub async fn regenerate(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<Regenerated, NotRegenerated> {
        both!(Connection self, Ask ask, (client, ask) => client.regenerate(turns, ask, permission).await, else Err(crossed().into()))
    }

    /// As [`super::driver::Client::verify`].
    ///
    /// # Errors
    /// As there.
    pub async fn verify(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: Option<&Permission>,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        both!(Connection self, Ask ask, (client, ask) => client.verify(turns, ask, permission, owner, data).await, else Err(crossed()))
    }

    /// As [`super::driver::Client::revoke`].
    ///
    /// # Errors
    /// As there.
    pub async fn revoke(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<Revocation, Failure> {
        match ask {
            Some(ask) => {
                both!(Connection self, Ask ask, (client, ask) => client.revoke(turns, kind, Some(ask), holder).await, else Err(crossed()))
            }
            None => {
                each!(Connection, self, client => client.revoke(turns, kind, None, holder).await)
            }
        }
    }

    /// As [`super::driver::Client::confirm`].
    ///
    /// # Errors
    /// As there.
    pub async fn confirm(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<(), Failure> {
        match ask {
            Some(ask) => {
                both!(Connection self, Ask ask, (client, ask) => client.confirm(turns, kind, Some(ask), holder).await, else Err(crossed()))
            }
            None => {
                each!(Connection, self, client => client.confirm(turns, kind, None, holder).await)
            }
        }
    }

    /// As [`super::driver::Client::part`].
    ///
    /// # Errors
    /// As there.
    pub async fn part(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        data: &SecretData,
    ) -> Result<(), Failure> {
        each!(Connection, self, client => client.part(turns, kind, data).await)
    }
}
