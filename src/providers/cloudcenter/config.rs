//! What a provider and a request say about CloudCenter, checked.

use url::Url;

use crate::{
    api::{
        Reason,
        cloudcenter::{
            CloudCenterCredential, CloudCenterOnRotate, CloudCenterProvider, CloudCenterUser,
            is_email,
        },
        names::is_id,
        request::CredentialRequestSpec,
        validate,
    },
    plan::Refusal,
    providers::Reach,
};

/// How the login Secret is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The key that holds the user name of the API.
    pub username_key: String,
    /// The key that holds the API key.
    pub key_key: String,
}

/// What a request asks for: an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whose key.
    pub whose: Whose,
    /// Whether the annotation `rotate` has it made anew.
    pub regenerate: bool,
}

/// Whose key is asked for, in the words of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the provider's own login.
    Own,
    /// That of the user with an id.
    Id(String),
    /// That of the user with an e-mail address, in lower case.
    Email(String),
}

fn invalid(field: &str, what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::InvalidSpec, format!("{field}: {what}"))
}

/// Reads what a provider declares.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read(spec: &CloudCenterProvider) -> Result<(Config, Reach), Refusal> {
    let endpoint: Url = validate::endpoint(
        "spec.cloudCenter.endpoint",
        &spec.endpoint,
        spec.allow_http.unwrap_or(false),
    )?;
    let tls = spec.tls.clone().unwrap_or_default();
    validate::tls("spec.cloudCenter.tls", &tls)?;
    let field = "spec.cloudCenter.auth.apiKey";
    let login = &spec.auth.api_key;
    validate::secret_name(&format!("{field}.secretRef.name"), &login.secret_ref.name)?;
    validate::namespace(
        &format!("{field}.secretRef.namespace"),
        login.secret_ref.namespace.as_deref(),
    )?;
    validate::secret_key(
        &format!("{field}.usernameKey"),
        login.username_key.as_deref(),
    )?;
    validate::secret_key(&format!("{field}.keyKey"), login.key_key.as_deref())?;
    let key =
        |named: &Option<String>, default: &str| named.as_deref().unwrap_or(default).to_owned();
    Ok((
        Config {
            username_key: key(&login.username_key, "username"),
            key_key: key(&login.key_key, "key"),
        },
        Reach {
            endpoint,
            field: "spec.cloudCenter.endpoint",
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
pub fn read_ask(
    spec: &CloudCenterCredential,
    whole: &CredentialRequestSpec,
) -> Result<Ask, Refusal> {
    let rotates = |renewal: &crate::api::request::Renewal| renewal.rotate_every.is_some();
    if whole.renewal.as_ref().is_some_and(rotates) {
        return Err(invalid(
            "spec.renewal.rotateEvery",
            "a key that is only read cannot be replaced by its age; leave the field out",
        ));
    }
    let field = "spec.cloudCenter.apiKey.user";
    let whose = match &spec.api_key.user {
        None => Whose::Own,
        Some(CloudCenterUser {
            id: Some(id),
            email: None,
        }) if is_id(id) => Whose::Id(id.clone()),
        Some(CloudCenterUser {
            id: None,
            email: Some(email),
        }) if is_email(email) => Whose::Email(email.to_lowercase()),
        Some(CloudCenterUser { id: Some(_), .. }) => {
            return Err(invalid(
                field,
                "state either id, of letters, digits, '-', '_' and '.', or email",
            ));
        }
        Some(_) => {
            return Err(invalid(
                field,
                "state either id, or email with an '@' and without spaces",
            ));
        }
    };
    let regenerate = spec.api_key.on_rotate == Some(CloudCenterOnRotate::Regenerate);
    if regenerate && whose == Whose::Own {
        return Err(invalid(
            "spec.cloudCenter.apiKey.onRotate",
            "Regenerate takes the id or the email of a user in spec.cloudCenter.apiKey.user",
        ));
    }
    Ok(Ask { whose, regenerate })
}
