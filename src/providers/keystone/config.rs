//! What a provider and a request say about Keystone, checked.

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::names::{self, Named};
use crate::{
    api::{
        Reason,
        keystone::{
            AccessRule, KeystoneApplicationCredential, KeystoneAuth, KeystoneCredential,
            KeystoneGrant, KeystoneKind, KeystoneProvider, NameRef, S3,
        },
        reference::SecretRef,
        request::CredentialRequestSpec,
        validate,
    },
    plan::{DEFAULT_OVERLAP, Refusal},
    providers::Reach,
};

/// What a provider declares, apart from how its server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How the operator logs in.
    pub method: Method,
    /// The region of the catalog.
    pub(in crate::providers) region: Option<String>,
    /// Where access keys are used.
    pub(in crate::providers) s3: Option<S3>,
}

/// How the operator logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With a user and a password.
    Password,
    /// With an application credential.
    ApplicationCredential,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The project.
    pub project: Named,
    /// The kind of credential, with what there is to say about it.
    pub what: What,
}

/// The endpoint without `/v3`, which is a part of every path.
pub fn base(endpoint: &Url) -> Url {
    let mut base = endpoint.clone();
    let is_versioned = base.path().trim_end_matches('/').ends_with("/v3");
    if let Ok(mut segments) = base.path_segments_mut() {
        segments.pop_if_empty();
        if is_versioned {
            segments.pop();
        }
    }
    base
}

/// A kind of credential, with what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A pair of access key and secret key.
    AccessKey {
        /// Whose it is; the login's own user when absent.
        user: Option<Named>,
        /// At which age it is replaced.
        rotate_every: Option<SignedDuration>,
        /// How long it works on after that.
        overlap: SignedDuration,
    },
    /// An application credential.
    ApplicationCredential(ApplicationCredential),
    /// A token.
    Token,
}

/// An application credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationCredential {
    /// Its roles; all of the login when absent.
    pub roles: Option<Vec<String>>,
    /// How long it lives.
    pub lifetime: Option<SignedDuration>,
    /// When the last one ends.
    pub ends: Option<Timestamp>,
    /// The calls that it may be used for.
    pub access_rules: Option<Vec<AccessRule>>,
    /// Whether it may make further credentials.
    pub unrestricted: bool,
}

/// The field that says when the last application credential ends.
pub const ENDS: &str = "spec.keystone.applicationCredential.expiresAt";

/// Reads what a provider declares.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read(spec: &KeystoneProvider) -> Result<(Config, Reach), Refusal> {
    let endpoint = validate::endpoint(
        "spec.keystone.endpoint",
        &spec.endpoint,
        spec.allow_http.unwrap_or(false),
    )?;
    let tls = spec.tls.clone().unwrap_or_default();
    validate::tls("spec.keystone.tls", &tls)?;
    if let Some(s3) = &spec.s3 {
        validate::endpoint("spec.keystone.s3.endpoint", &s3.endpoint, true)?;
    }
    let (method, login) = read_auth(&spec.auth)?;
    Ok((
        Config {
            method,
            region: spec.region.clone(),
            s3: spec.s3.clone(),
        },
        Reach {
            endpoint,
            field: "spec.keystone.endpoint",
            also: Vec::new(),
            skip_verify: tls.insecure_skip_verify.unwrap_or(false),
            ca: tls.ca_bundle_secret_ref,
            login,
        },
    ))
}

fn read_auth(auth: &KeystoneAuth) -> Result<(Method, SecretRef), Refusal> {
    let (method, login, field) = match (&auth.password, &auth.application_credential) {
        (Some(login), None) => (Method::Password, login, "password"),
        (None, Some(login)) => (
            Method::ApplicationCredential,
            login,
            "applicationCredential",
        ),
        _ => {
            return Err(invalid(
                "spec.keystone.auth",
                "state exactly one of password and applicationCredential",
            ));
        }
    };
    let field = format!("spec.keystone.auth.{field}.secretRef");
    validate::secret_name(&format!("{field}.name"), &login.secret_ref.name)?;
    validate::namespace(
        &format!("{field}.namespace"),
        login.secret_ref.namespace.as_deref(),
    )?;
    Ok((method, login.secret_ref.clone()))
}

/// Reads what a request asks for.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read_ask(spec: &KeystoneCredential, whole: &CredentialRequestSpec) -> Result<Ask, Refusal> {
    let (what, project, field) = match (&spec.access_key, &spec.application_credential, &spec.token)
    {
        (Some(pair), None, None) => {
            let user = pair
                .user
                .as_ref()
                .map(|user| names::read("spec.keystone.accessKey.user", user))
                .transpose()?;
            let renewal = whole.renewal.clone().unwrap_or_default();
            let rotate_every =
                validate::duration("spec.renewal.rotateEvery", renewal.rotate_every.as_ref())?;
            let overlap = validate::duration("spec.renewal.overlap", renewal.overlap.as_ref())?
                .unwrap_or(DEFAULT_OVERLAP);
            (
                What::AccessKey {
                    user,
                    rotate_every,
                    overlap,
                },
                &pair.project,
                "accessKey",
            )
        }
        (None, Some(credential), None) => (
            What::ApplicationCredential(read_application_credential(credential)?),
            &credential.project,
            "applicationCredential",
        ),
        (None, None, Some(token)) => (What::Token, &token.project, "token"),
        _ => {
            return Err(invalid(
                "spec.keystone",
                "name exactly one kind of credential: accessKey, applicationCredential or token",
            ));
        }
    };
    let project: &NameRef = project;
    Ok(Ask {
        project: names::read(&format!("spec.keystone.{field}.project"), project)?,
        what,
    })
}

fn read_application_credential(
    spec: &KeystoneApplicationCredential,
) -> Result<ApplicationCredential, Refusal> {
    if spec.roles.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid(
            "spec.keystone.applicationCredential.roles",
            "name at least one role, or leave the field out",
        ));
    }
    Ok(ApplicationCredential {
        roles: spec.roles.clone(),
        lifetime: validate::duration(
            "spec.keystone.applicationCredential.lifetime",
            spec.lifetime.as_ref(),
        )?,
        ends: spec.expires_at,
        access_rules: spec.access_rules.clone(),
        unrestricted: spec.unrestricted.unwrap_or(false),
    })
}

/// Whether a grant may allow what is asked for, as far as its words tell. What it allows in the end
/// is checked with what Keystone says about the login, before anything is issued.
///
/// # Errors
/// With words about the limit that is exceeded.
pub fn may_allow(grant: &KeystoneGrant, ask: &Ask) -> Result<(), Option<String>> {
    let about_this = grant.kinds.contains(&ask.what.kind())
        && grant
            .projects
            .iter()
            .any(|pattern| names::may_match(pattern, &ask.project));
    if !about_this {
        return Err(None);
    }
    let longest = match &grant.max_lifetime {
        None => None,
        // A limit that cannot be read allows nothing.
        Some(longest) => Some(longest.to_signed().map_err(|_| None)?),
    };
    match &ask.what {
        What::AccessKey {
            user,
            rotate_every,
            overlap,
        } => {
            if let Some(user) = user
                && !grant
                    .users
                    .iter()
                    .flatten()
                    .any(|pattern| names::may_match(pattern, user))
            {
                return Err(None);
            }
            let life = rotate_every.map(|every| every.saturating_add(*overlap));
            match (life, longest) {
                (Some(life), Some(longest)) if life > longest => Err(Some(format!(
                    "spec.renewal.rotateEvery and the overlap may be at most {longest:#} together, not {life:#}"
                ))),
                _ => limited("spec.renewal.rotateEvery", life, longest),
            }
        }
        What::ApplicationCredential(credential) => {
            if credential.unrestricted && grant.unrestricted != Some(true) {
                return Err(Some(
                    "spec.keystone.applicationCredential.unrestricted: true is not allowed"
                        .to_owned(),
                ));
            }
            let named = credential.roles.iter().flatten();
            if let Some(role) = named.into_iter().find(|role| !grant.roles.contains(role)) {
                return Err(Some(format!(
                    "spec.keystone.applicationCredential.roles: {role} is not among the roles that are allowed"
                )));
            }
            limited(
                "spec.keystone.applicationCredential.lifetime",
                credential.lifetime,
                longest,
            )
        }
        What::Token => Ok(()),
    }
}

fn limited(
    field: &str,
    asked: Option<SignedDuration>,
    longest: Option<SignedDuration>,
) -> Result<(), Option<String>> {
    match (asked, longest) {
        (_, None) => Ok(()),
        (Some(asked), Some(longest)) if asked <= longest => Ok(()),
        (Some(asked), Some(longest)) => Err(Some(format!(
            "{field} may be at most {longest:#}, not {asked:#}"
        ))),
        (None, Some(longest)) => Err(Some(format!(
            "{field} has to be set, to at most {longest:#}"
        ))),
    }
}

fn invalid(field: &str, what: &str) -> Refusal {
    Refusal::new(Reason::InvalidSpec, format!("{field}: {what}"))
}

impl What {
    /// The kind of credential.
    pub fn kind(&self) -> KeystoneKind {
        match self {
            What::AccessKey { .. } => KeystoneKind::AccessKey,
            What::ApplicationCredential(_) => KeystoneKind::ApplicationCredential,
            What::Token => KeystoneKind::Token,
        }
    }
}
