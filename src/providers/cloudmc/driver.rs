//! CloudMC as one of the systems.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    Ask, Client, Config,
    config::{self, LOGIN_KEY},
    layout::Form,
    names::Named,
};
use crate::{
    api::provider::Grant,
    plan::{Credential, Failure, Proof, Refusal},
    providers::{
        Identity, Issuance, LoginKey, LoginValues, Permission, Reach,
        characters::Charset,
        driver,
        http::{HttpClient, Turns},
    },
    secret::SecretData,
};

/// What the provider adds to each Secret: nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout;

impl driver::Config for Config {
    type Ask = Ask;
    type Layout = Layout;
    type Client = Client;

    fn login_keys(&self) -> Vec<LoginKey> {
        vec![LoginKey {
            field: LOGIN_KEY,
            key: self.key.clone(),
            required: true,
            charset: Charset::Name,
        }]
    }

    fn layout(&self, _reach: &Reach, _ca_pem: Option<&[u8]>) -> Layout {
        Layout
    }

    fn connect(
        &self,
        http: HttpClient,
        login: &LoginValues,
        _layout: Layout,
    ) -> Result<Client, Refusal> {
        Client::new(self, http, login)
    }
}

impl driver::Ask for Ask {
    fn digest(&self) -> String {
        #[derive(Serialize)]
        struct Asked<'a> {
            connection: &'a Named,
            environment: &'a Named,
            form: &'a Form,
        }
        let asked = Asked {
            connection: &self.connection,
            environment: &self.environment,
            form: &self.form,
        };
        // Strings and maps of them can always be written.
        let text = serde_json::to_string(&asked).unwrap_or_default();
        let digest = Sha256::digest(text);
        let hex = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
        hex.collect()
    }

    fn may_be_allowed_by(&self, grant: &Grant) -> Result<(), Option<String>> {
        let grant = grant.cloud_mc.as_ref().ok_or(None)?;
        if config::may_allow(grant, self) {
            Ok(())
        } else {
            Err(None)
        }
    }
}

impl driver::Layout for Layout {
    type Ask = Ask;

    fn digest(&self) -> Option<String> {
        None
    }

    fn recover(&self, ask: &Ask, found: &SecretData, _credential: &Credential) -> Vec<SecretData> {
        ask.form.recovered(found).into_iter().collect()
    }
}

impl driver::Client for Client {
    type Ask = Ask;

    async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        self.test_login(turns).await
    }

    async fn issue(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        self.issue_service_keys(turns, ask, permission, identity)
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
        self.verify_service_keys(turns, ask, permission, owner, data)
            .await
    }
}
