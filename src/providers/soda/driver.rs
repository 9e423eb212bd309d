//! SODA as one of the systems.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Ask, Client, Config, Way, permit};
use crate::{
    api::provider::Grant,
    plan::{Credential, Failure, Proof, Refusal, Revocation},
    providers::{
        Holder, Identity, Issuance, Kind, LoginKey, LoginValues, Permission, Reach, crossed,
        driver,
        http::{HttpClient, Turns},
        keystone::{self, config::Method},
    },
    secret::SecretData,
};

/// What the provider adds to each Secret: the same as Keystone does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(keystone::Layout);

impl Config {
    /// What a provider of Keystone would declare.
    pub(super) fn at_keystone(&self) -> keystone::Config {
        keystone::Config {
            method: Method::Password,
            region: None,
            s3: self.s3.clone(),
        }
    }
}

impl driver::Config for Config {
    type Ask = Ask;
    type Layout = Layout;
    type Client = Client;

    fn login_keys(&self) -> Vec<LoginKey> {
        let mut keys = self.at_keystone().login_keys();
        for key in &mut keys {
            key.field = "spec.soda.auth.password";
        }
        keys
    }

    fn layout(&self, reach: &Reach, ca_pem: Option<&[u8]>) -> Layout {
        Layout(self.at_keystone().layout(reach, ca_pem))
    }

    fn connect(
        &self,
        http: HttpClient,
        login: &LoginValues,
        layout: Layout,
    ) -> Result<Client, Refusal> {
        Client::new(self, http, login, layout.0)
    }
}

impl driver::Ask for Ask {
    /// A digest of what is asked for. Which kind it is cannot change.
    fn digest(&self) -> String {
        #[derive(Serialize)]
        struct Asked<'a> {
            pair: String,
            access: Option<&'a String>,
        }
        let access = match &self.way {
            Way::Adopt { access } => access.as_ref(),
            Way::Keystone | Way::Soda { .. } => None,
        };
        let asked = Asked {
            pair: self.pair.digest(),
            access,
        };
        // Strings can always be written.
        let text = serde_json::to_string(&asked).unwrap_or_default();
        let digest = Sha256::digest(text);
        let hex = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
        hex.collect()
    }

    fn may_be_allowed_by(&self, grant: &Grant) -> Result<(), Option<String>> {
        permit::may_allow(grant.soda.as_ref().ok_or(None)?, self)
    }
}

impl driver::Layout for Layout {
    type Ask = Ask;

    fn digest(&self) -> Option<String> {
        self.0.digest()
    }

    fn recover(&self, ask: &Ask, found: &SecretData, credential: &Credential) -> Vec<SecretData> {
        self.0.recover(&ask.pair, found, credential)
    }
}

impl driver::Client for Client {
    type Ask = Ask;

    async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        self.test_login(turns).await
    }

    fn has_living_session(&self) -> bool {
        self.keystone.has_living_session()
    }

    async fn issue(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        self.issue_access_key(turns, ask, permission, identity)
            .await
    }

    async fn verify(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: Option<&Permission>,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        if let (Way::Adopt { .. }, Some(permission)) = (&ask.way, permission) {
            let permission = permit::at_keystone(permission, ask);
            self.keystone
                .permitted_pair(turns, &ask.pair, &permission)
                .await?;
        }
        self.verify_access_key(turns, ask, owner, data).await
    }

    /// At Keystone, where one pair can be revoked. SODA's own `DELETE` destroys all keys of a user: only
    /// where a request asks for that.
    async fn revoke(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<Revocation, Failure> {
        let project = ask.map(|ask| &ask.pair.project);
        match kind {
            Kind::SodaAccessKey => {
                self.keystone
                    .revoke_access_key(turns, holder, project)
                    .await
            }
            Kind::SodaEndingAccessKey => self.end_all(turns, ask, holder).await,
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
        let project = ask.map(|ask| &ask.pair.project);
        match kind {
            Kind::SodaAccessKey => {
                self.keystone
                    .confirm_access_key(turns, holder, project)
                    .await
            }
            Kind::SodaEndingAccessKey => self.confirm_end(turns, ask, holder).await,
            _ => Err(crossed()),
        }
    }
}
