//! Keystone as one of the systems.

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    Ask, Client, Config, Layout, What,
    config::{self, Method},
    names::Named,
};
use crate::{
    api::{keystone::AccessRule, provider::Grant},
    plan::{Credential, Failure, Proof, Refusal, Revocation},
    providers::{
        Holder, Identity, Issuance, Kind, LoginKey, LoginValues, Permission, Reach,
        characters::Charset,
        crossed, driver,
        http::{HttpClient, Turns},
    },
    secret::SecretData,
};

impl driver::Config for Config {
    type Ask = Ask;
    type Layout = Layout;
    type Client = Client;

    /// The keys of the login Secret, those that may be missing included.
    fn login_keys(&self) -> Vec<LoginKey> {
        let key = |key: &str, required| LoginKey {
            field: match self.method {
                Method::Password => "spec.keystone.auth.password",
                Method::ApplicationCredential => "spec.keystone.auth.applicationCredential",
            },
            key: key.to_owned(),
            required,
            // Both may be chosen by people.
            charset: match key {
                "password" | "secret" => Charset::Password,
                _ => Charset::Name,
            },
        };
        match self.method {
            Method::Password => vec![
                key("password", true),
                key("user-id", false),
                key("username", false),
                key("domain", false),
                key("domain-id", false),
            ],
            Method::ApplicationCredential => vec![key("id", true), key("secret", true)],
        }
    }

    /// What the provider adds to each Secret.
    fn layout(&self, reach: &Reach, ca_pem: Option<&[u8]>) -> Layout {
        let s3 = self.s3.as_ref();
        Layout {
            auth_url: format!(
                "{}/v3",
                config::base(&reach.endpoint).as_str().trim_end_matches('/')
            ),
            region: self.region.clone(),
            s3: s3.map(|s3| {
                let endpoint = s3.endpoint.trim_end_matches('/').to_owned();
                (endpoint, s3.region.clone())
            }),
            ca: ca_pem.map(|pem| String::from_utf8_lossy(pem).into_owned()),
        }
    }

    fn connect(
        &self,
        http: HttpClient,
        login: &LoginValues,
        layout: Layout,
    ) -> Result<Client, Refusal> {
        Client::new(self, http, login, layout)
    }
}

impl driver::Ask for Ask {
    /// A digest of what is asked of Keystone. How often a pair is rotated is not asked of it.
    fn digest(&self) -> String {
        #[derive(Serialize)]
        struct Asked<'a> {
            project: &'a Named,
            user: Option<&'a Named>,
            roles: Option<&'a Vec<String>>,
            lifetime: Option<String>,
            ends: Option<Timestamp>,
            access_rules: Option<&'a Vec<AccessRule>>,
            unrestricted: bool,
        }
        let mut asked = Asked {
            project: &self.project,
            user: None,
            roles: None,
            lifetime: None,
            ends: None,
            access_rules: None,
            unrestricted: false,
        };
        match &self.what {
            What::AccessKey { user, .. } => asked.user = user.as_ref(),
            What::ApplicationCredential(credential) => {
                asked.roles = credential.roles.as_ref();
                asked.lifetime = credential.lifetime.map(|life| life.to_string());
                asked.ends = credential.ends;
                asked.access_rules = credential.access_rules.as_ref();
                asked.unrestricted = credential.unrestricted;
            }
            What::Token => {}
        }
        // Strings, numbers and lists of them can always be written.
        let text = serde_json::to_string(&asked).unwrap_or_default();
        Sha256::digest(text)
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn ends(&self) -> Option<(Timestamp, &'static str)> {
        match &self.what {
            What::ApplicationCredential(asked) => asked.ends.map(|ends| (ends, config::ENDS)),
            What::AccessKey { .. } | What::Token => None,
        }
    }

    fn may_be_allowed_by(&self, grant: &Grant) -> Result<(), Option<String>> {
        config::may_allow(grant.keystone.as_ref().ok_or(None)?, self)
    }
}

impl driver::Layout for Layout {
    type Ask = Ask;

    fn digest(&self) -> Option<String> {
        let digest = Sha256::digest(format!("{self:?}"));
        let hex = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
        Some(hex.collect())
    }

    fn recover(&self, ask: &Ask, found: &SecretData, credential: &Credential) -> Vec<SecretData> {
        let whole = self.recovered(ask.what.kind(), found, credential);
        whole.into_iter().collect()
    }
}

impl driver::Client for Client {
    type Ask = Ask;

    async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        self.test_login(turns).await
    }

    fn has_living_session(&self) -> bool {
        self.has_living_session()
    }

    async fn issue(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        match &ask.what {
            What::AccessKey { .. } => {
                self.issue_access_key(turns, ask, permission, identity)
                    .await
            }
            What::ApplicationCredential(asked) => {
                self.issue_application_credential(turns, ask, asked, permission, identity)
                    .await
            }
            What::Token => {
                let issued = self.issue_token(turns, ask, permission).await;
                issued.map(Issuance::Issued)
            }
        }
    }

    async fn verify(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        _permission: Option<&Permission>,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        let project = &ask.project;
        match &ask.what {
            What::AccessKey { .. } => self.verify_access_key(turns, project, owner, data).await,
            What::ApplicationCredential(_) => {
                self.verify_application_credential(turns, project, owner, data)
                    .await
            }
            What::Token => self.verify_token(turns, project, owner, data).await,
        }
    }

    async fn revoke(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<Revocation, Failure> {
        match kind {
            Kind::KeystoneAccessKey => self.revoke_access_key(turns, holder, project(ask)).await,
            Kind::KeystoneApplicationCredential => {
                self.revoke_application_credential(turns, holder, project(ask))
                    .await
            }
            _ => Err(crossed()),
        }
    }

    async fn confirm(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<(), Failure> {
        match kind {
            Kind::KeystoneAccessKey => self.confirm_access_key(turns, holder, project(ask)).await,
            Kind::KeystoneApplicationCredential => {
                self.confirm_application_credential(turns, holder, project(ask))
                    .await
            }
            _ => Err(crossed()),
        }
    }

    async fn part(&self, turns: &dyn Turns, kind: Kind, data: &SecretData) -> Result<(), Failure> {
        match kind {
            Kind::KeystoneToken => self.part_with_token(turns, data).await,
            _ => Err(crossed()),
        }
    }
}

fn project(ask: Option<&Ask>) -> Option<&Named> {
    ask.map(|ask| &ask.project)
}
