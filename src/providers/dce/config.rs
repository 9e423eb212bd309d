//! What a provider and a request say about DCE, checked.

use jiff::SignedDuration;
use url::Url;

use super::{Client, Layout};
use crate::{
    api::{
        Reason,
        dce::{DEFAULT_CYCLE, DceAuth, DceCredential, DceGrant, DceKind, DceProvider, MAX_CYCLE},
        provider::Grant,
        reference::SecretRef,
        validate,
    },
    plan::Refusal,
    providers::{LoginKey, LoginValues, Reach, characters::Charset, driver, http::HttpClient},
};

/// The shortest life of an access key: DCE's own page counts in minutes.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);

/// How the login Secret is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// An AK/SK pair: the keys of AK and SK.
    KeyPair(String, String),
    /// An access key: its key.
    AccessKey(String),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A token.
    Token(TokenAsk),
    /// An access key.
    AccessKey(AccessKeyAsk),
}

/// A token, with its lifetime in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenAsk {
    /// Days, 1 to 365.
    pub cycle: u16,
}

/// An access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessKeyAsk {
    /// How long it lives; for ever when absent.
    pub lifetime: Option<SignedDuration>,
}

fn invalid(field: &str, what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::InvalidSpec, format!("{field}: {what}"))
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
    let (config, login) = read_login(&spec.auth)?;
    validate::tls("spec.dce.tls", &tls)?;
    Ok((
        config,
        Reach {
            endpoint,
            field: "spec.dce.endpoint",
            also: Vec::new(),
            skip_verify: tls.insecure_skip_verify.unwrap_or(false),
            ca: tls.ca_bundle_secret_ref,
            login,
        },
    ))
}

fn read_login(auth: &DceAuth) -> Result<(Config, SecretRef), Refusal> {
    let key =
        |named: &Option<String>, default: &str| named.clone().unwrap_or_else(|| default.to_owned());
    match (&auth.key_pair, &auth.access_key) {
        (Some(pair), None) => {
            check_secret("spec.dce.auth.keyPair", &pair.secret_ref)?;
            validate::secret_key("spec.dce.auth.keyPair.akKey", pair.ak_key.as_deref())?;
            validate::secret_key("spec.dce.auth.keyPair.skKey", pair.sk_key.as_deref())?;
            let config = Config::KeyPair(key(&pair.ak_key, "ak"), key(&pair.sk_key, "sk"));
            Ok((config, pair.secret_ref.clone()))
        }
        (None, Some(login)) => {
            check_secret("spec.dce.auth.accessKey", &login.secret_ref)?;
            validate::secret_key("spec.dce.auth.accessKey.key", login.key.as_deref())?;
            let config = Config::AccessKey(key(&login.key, "token"));
            Ok((config, login.secret_ref.clone()))
        }
        _ => Err(invalid(
            "spec.dce.auth",
            "state either keyPair, for tokens (ghippo before 0.14), or accessKey, for access keys (ghippo 0.14 and later)",
        )),
    }
}

fn check_secret(field: &str, secret: &SecretRef) -> Result<(), Refusal> {
    validate::secret_name(&format!("{field}.secretRef.name"), &secret.name)?;
    validate::namespace(
        &format!("{field}.secretRef.namespace"),
        secret.namespace.as_deref(),
    )
}

/// Reads what a request asks for.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read_ask(spec: &DceCredential) -> Result<Ask, Refusal> {
    match (&spec.token, &spec.access_key) {
        (Some(token), None) => {
            let cycle = token.cycle.unwrap_or(DEFAULT_CYCLE);
            if (1..=MAX_CYCLE).contains(&cycle) {
                Ok(Ask::Token(TokenAsk { cycle }))
            } else {
                Err(invalid(
                    "spec.dce.token.cycle",
                    format!("must be a number of days from 1 to {MAX_CYCLE}, not {cycle}"),
                ))
            }
        }
        (None, Some(key)) => {
            let field = "spec.dce.accessKey.lifetime";
            let lifetime = validate::duration(field, key.lifetime.as_ref())?;
            if lifetime.is_some_and(|life| life < SHORTEST) {
                return Err(invalid(field, "must be at least 1m"));
            }
            Ok(Ask::AccessKey(AccessKeyAsk { lifetime }))
        }
        _ => Err(invalid(
            "spec.dce",
            "name the kind of credential, exactly one of: token, accessKey; token: {} is enough",
        )),
    }
}

fn may_be_token(grant: &DceGrant, ask: &TokenAsk) -> Result<(), Option<String>> {
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

fn may_be_access_key(grant: &DceGrant, ask: &AccessKeyAsk) -> Result<(), Option<String>> {
    let field = "spec.dce.accessKey.lifetime";
    let Some(longest) = &grant.max_lifetime else {
        return Ok(());
    };
    // A limit that cannot be read allows nothing.
    let longest = longest.to_signed().map_err(|_| None)?;
    match ask.lifetime {
        Some(life) if life <= longest => Ok(()),
        Some(life) => Err(Some(format!(
            "{field} may be at most {longest:#}, not {life:#}"
        ))),
        None => Err(Some(format!(
            "{field} has to be set, to at most {longest:#}"
        ))),
    }
}

impl driver::Ask for Ask {
    fn digest(&self) -> String {
        match self {
            Ask::Token(ask) => format!("dce.token/{}", ask.cycle),
            Ask::AccessKey(ask) => match ask.lifetime {
                Some(life) => format!("dce.accessKey/{life}"),
                None => "dce.accessKey/".to_owned(),
            },
        }
    }

    fn may_be_allowed_by(&self, grant: &Grant) -> Result<(), Option<String>> {
        let grant = grant.dce.as_ref().ok_or(None)?;
        let kind = match self {
            Ask::Token(_) => DceKind::Token,
            Ask::AccessKey(_) => DceKind::AccessKey,
        };
        if !grant.kinds.contains(&kind) {
            return Err(None);
        }
        match self {
            Ask::Token(ask) => may_be_token(grant, ask),
            Ask::AccessKey(ask) => may_be_access_key(grant, ask),
        }
    }
}

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
        match self {
            Config::KeyPair(ak, sk) => vec![
                key("spec.dce.auth.keyPair.akKey", ak),
                key("spec.dce.auth.keyPair.skKey", sk),
            ],
            Config::AccessKey(token) => vec![key("spec.dce.auth.accessKey.key", token)],
        }
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
