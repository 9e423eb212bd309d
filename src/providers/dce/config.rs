//! What a provider and a request say about DCE, checked.

use url::Url;

use crate::{
    api::{
        Reason,
        dce::{
            DEFAULT_CYCLE, DceCredential, DceGrant, DceKeyPair, DceKind, DceProvider, MAX_CYCLE,
        },
        validate,
    },
    plan::Refusal,
    providers::{Ask, LoginKey, Reach},
};

/// How the login Secret is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    ak_key: String,
    sk_key: String,
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
        Ok(Ask::DceToken(TokenAsk { cycle }))
    } else {
        Err(Refusal::new(
            Reason::InvalidSpec,
            format!(
                "spec.dce.token.cycle: must be a number of days from 1 to {MAX_CYCLE}, not {cycle}"
            ),
        ))
    }
}

/// Whether a grant allows what is asked for.
///
/// # Errors
/// With words about the limit that is exceeded.
pub fn allows(grant: &DceGrant, ask: &TokenAsk) -> Result<(), Option<String>> {
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

impl Config {
    /// The keys of the login Secret.
    pub fn login_keys(&self) -> [LoginKey; 2] {
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
