//! What a provider and a request say about DCE, checked.

use url::Url;

use super::{Client, Layout};
use crate::{
    api::{
        Reason,
        dce::{
            DEFAULT_CYCLE, DceCredential, DceGrant, DceKeyPair, DceKind, DceProvider, MAX_CYCLE,
        },
        provider::Grant,
        validate,
    },
    plan::Refusal,
    providers::{LoginKey, LoginValues, Reach, driver, http::HttpClient},
};

/// How the login Secret is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    ak_key: String,
    sk_key: String,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A token.
    Token(TokenAsk),
}

/// A token, with its lifetime in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAsk {
    /// Days, 1 to 365.
    pub cycle: u16,
}

/// Reads what a provider declares.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read(spec: &DceProvider) -> Result<(Config, Reach), Refusal> {
    let endpoint: Url = validate::endpoint(
        "spec.dce.endpoint",
        &spec.endpoint,
        spec.allow_http.unwrap_or(false),
    )?;
    let tls = spec.tls.clone().unwrap_or_default();
    let pair = &spec.auth.key_pair;
    check_login(pair)?;
    validate::tls("spec.dce.tls", &tls)?;
    let key =
        |named: &Option<String>, default: &str| named.clone().unwrap_or_else(|| default.to_owned());
    Ok((
        Config {
            ak_key: key(&pair.ak_key, "ak"),
            sk_key: key(&pair.sk_key, "sk"),
        },
        Reach {
            endpoint,
            skip_verify: tls.insecure_skip_verify.unwrap_or(false),
            ca: tls.ca_bundle_secret_ref,
            login: pair.secret_ref.clone(),
        },
    ))
}

fn check_login(pair: &DceKeyPair) -> Result<(), Refusal> {
    validate::secret_name(
        "spec.dce.auth.keyPair.secretRef.name",
        &pair.secret_ref.name,
    )?;
    validate::namespace(
        "spec.dce.auth.keyPair.secretRef.namespace",
        pair.secret_ref.namespace.as_deref(),
    )?;
    validate::secret_key("spec.dce.auth.keyPair.akKey", pair.ak_key.as_deref())?;
    validate::secret_key("spec.dce.auth.keyPair.skKey", pair.sk_key.as_deref())
}

/// Reads what a request asks for.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read_ask(spec: &DceCredential) -> Result<Ask, Refusal> {
    let Some(token) = &spec.token else {
        return Err(Refusal::new(
            Reason::InvalidSpec,
            "spec.dce: name the kind of credential: token: {}",
        ));
    };
    let cycle = token.cycle.unwrap_or(DEFAULT_CYCLE);
    if (1..=MAX_CYCLE).contains(&cycle) {
        Ok(Ask::Token(TokenAsk { cycle }))
    } else {
        Err(Refusal::new(
            Reason::InvalidSpec,
            format!(
                "spec.dce.token.cycle: must be a number of days from 1 to {MAX_CYCLE}, not {cycle}"
            ),
        ))
    }
}

fn allows(grant: &DceGrant, ask: &TokenAsk) -> Result<(), Option<String>> {
    if !grant.kinds.contains(&DceKind::Token) {
        return Err(None);
    }
    let longest = grant.max_cycle.unwrap_or(MAX_CYCLE);
    if ask.cycle <= longest {
        Ok(())
    } else {
        Err(Some(format!(
            "spec.dce.token.cycle may be at most {longest} days, not {}",
            ask.cycle
        )))
    }
}

impl driver::Ask for Ask {
    fn digest(&self) -> String {
        match self {
            Ask::Token(ask) => format!("dce.token/{}", ask.cycle),
        }
    }

    fn may_be_allowed_by(&self, grant: &Grant) -> Result<(), Option<String>> {
        let grant = grant.dce.as_ref().ok_or(None)?;
        match self {
            Ask::Token(ask) => allows(grant, ask),
        }
    }
}

impl driver::Config for Config {
    type Ask = Ask;
    type Layout = Layout;
    type Client = Client;

    fn login_keys(&self) -> Vec<LoginKey> {
        self.pair().into()
    }

    fn layout(&self, reach: &Reach, _ca_pem: Option<&[u8]>) -> Layout {
        Layout {
            endpoint: reach.endpoint.clone(),
        }
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

impl Config {
    /// The keys of AK and SK in the login Secret.
    pub fn pair(&self) -> [LoginKey; 2] {
        [
            LoginKey {
                field: "spec.dce.auth.keyPair.akKey",
                key: self.ak_key.clone(),
                required: true,
            },
            LoginKey {
                field: "spec.dce.auth.keyPair.skKey",
                key: self.sk_key.clone(),
                required: true,
            },
        ]
    }
}
