//! CloudCenter as one of the systems.

use super::{Ask, Client, Config, Layout, Whose, permit};
use crate::{
    api::provider::Grant,
    plan::{Failure, Proof, Refusal},
    providers::{
        Identity, Issuance, LoginKey, LoginValues, NotRegenerated, Permission, Reach, Regenerated,
        characters::Charset,
        driver,
        http::{HttpClient, Turns},
    },
    secret::SecretData,
};

impl driver::Config for Config {
    type Ask = Ask;
    type Layout = Layout;
    type Client = Client;

    fn login_keys(&self) -> Vec<LoginKey> {
        let key = |field, key: &String| LoginKey {
            field,
            key: key.clone(),
            required: true,
            charset: Charset::Name,
        };
        vec![
            key(
                "spec.cloudCenter.auth.apiKey.usernameKey",
                &self.username_key,
            ),
            key("spec.cloudCenter.auth.apiKey.keyKey", &self.key_key),
        ]
    }

    fn layout(&self, reach: &Reach, _ca_pem: Option<&[u8]>) -> Layout {
        Layout {
            endpoint: reach.endpoint.as_str().trim_end_matches('/').to_owned(),
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
    fn digest(&self) -> String {
        match &self.whose {
            Whose::Own => "cloudCenter.apiKey/self".to_owned(),
            Whose::Id(id) => format!("cloudCenter.apiKey/id/{id}"),
            Whose::Email(email) => format!("cloudCenter.apiKey/email/{email}"),
        }
    }

    fn regenerates(&self) -> bool {
        self.regenerate
    }

    fn may_be_allowed_by(&self, grant: &Grant) -> Result<(), Option<String>> {
        let grant = grant.cloud_center.as_ref().ok_or(None)?;
        if permit::may_allow(grant, self) {
            return Ok(());
        }
        let read = Ask {
            regenerate: false,
            ..self.clone()
        };
        Err(permit::may_allow(grant, &read).then(|| {
            "spec.cloudCenter.apiKey.onRotate is Regenerate, which takes a grant with regenerate: true".to_owned()
        }))
    }
}

impl driver::Client for Client {
    type Ask = Ask;

    /// Reads the login's own key, which every user may.
    async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        self.own_key(turns).await.map(drop)
    }

    async fn issue(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        _identity: &Identity,
    ) -> Result<Issuance, Failure> {
        let issued = self.issue_api_key(turns, ask, permission).await;
        issued.map(Issuance::Issued)
    }

    async fn regenerate(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<Regenerated, NotRegenerated> {
        self.regenerate_api_key(turns, ask, permission).await
    }

    async fn verify(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: Option<&Permission>,
        _owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        self.verify_api_key(turns, ask, permission, data).await
    }
}
