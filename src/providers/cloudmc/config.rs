//! What a provider and a request say about CloudMC, checked.

use super::{
    layout::Form,
    names::{self, Named},
};
use crate::{
    api::{
        Reason,
        cloudmc::{CloudMcCredential, CloudMcGrant, CloudMcKind, CloudMcProvider},
        request::{CredentialRequestSpec, Renewal},
        validate,
    },
    plan::Refusal,
    providers::Reach,
};

/// What a provider declares, apart from how its server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The key of the login Secret that holds the API key.
    pub key: String,
}

/// What a request asks for: the service keys of an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The service connection.
    pub connection: Named,
    /// The environment.
    pub environment: Named,
    /// Under which keys they are published.
    pub form: Form,
}

/// The field of a request that names the connection.
pub const CONNECTION: &str = "spec.cloudMC.serviceKeys.connection";
/// The field of a request that names the environment.
pub const ENVIRONMENT: &str = "spec.cloudMC.serviceKeys.environment";
/// The field of a provider that names the key of the login Secret.
pub const LOGIN_KEY: &str = "spec.cloudMC.auth.apiKey.key";

/// Reads what a provider declares.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read(spec: &CloudMcProvider) -> Result<(Config, Reach), Refusal> {
    let endpoint = validate::endpoint(
        "spec.cloudMC.endpoint",
        &spec.endpoint,
        spec.allow_http.unwrap_or(false),
    )?;
    let tls = spec.tls.clone().unwrap_or_default();
    validate::tls("spec.cloudMC.tls", &tls)?;
    let login = &spec.auth.api_key;
    let field = "spec.cloudMC.auth.apiKey.secretRef";
    validate::secret_name(&format!("{field}.name"), &login.secret_ref.name)?;
    validate::namespace(
        &format!("{field}.namespace"),
        login.secret_ref.namespace.as_deref(),
    )?;
    validate::secret_key(LOGIN_KEY, login.key.as_deref())?;
    Ok((
        Config {
            key: login.key.clone().unwrap_or_else(|| "api-key".to_owned()),
        },
        Reach {
            endpoint,
            field: "spec.cloudMC.endpoint",
            also: Vec::new(),
            skip_verify: tls.insecure_skip_verify.unwrap_or(false),
            ca: tls.ca_bundle_secret_ref,
            login: login.secret_ref.clone(),
        },
    ))
}

/// Reads what a request asks for.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read_ask(spec: &CloudMcCredential, whole: &CredentialRequestSpec) -> Result<Ask, Refusal> {
    let rotates = |renewal: &Renewal| renewal.rotate_every.is_some();
    if whole.renewal.as_ref().is_some_and(rotates) {
        return Err(Refusal::new(
            Reason::InvalidSpec,
            "spec.renewal.rotateEvery: keys that are only read cannot be replaced by their age; leave the field out. How often \
             they are read says spec.renewal.verifyEvery",
        ));
    }
    let asked = &spec.service_keys;
    Ok(Ask {
        connection: names::read(CONNECTION, &asked.connection)?,
        environment: names::read(ENVIRONMENT, &asked.environment)?,
        form: Form::read(asked.preset, asked.keys.as_deref())?,
    })
}

/// Whether a grant may be about what is asked for, as far as its words tell. What it allows in the end
/// is checked with what CloudMC says, before anything is read.
pub fn may_allow(grant: &CloudMcGrant, ask: &Ask) -> bool {
    let may_match = |patterns: &[_], asked| {
        let mut patterns = patterns.iter();
        patterns.any(|pattern| names::matches_words(pattern, asked) != Some(false))
    };
    grant.kinds.contains(&CloudMcKind::ServiceKeys)
        && may_match(&grant.connections, &ask.connection)
        && may_match(&grant.environments, &ask.environment)
}
