//! What a provider and a request say about SODA, checked.

use url::Url;

use crate::{
    api::{
        Reason,
        keystone::{KeystoneAccessKey, KeystoneCredential, S3},
        names::is_id,
        request::CredentialRequestSpec,
        soda::{IssueThrough, SodaCredential, SodaProvider},
        validate,
    },
    plan::Refusal,
    providers::{Reach, Server, keystone},
};

/// What a provider declares, apart from how its servers are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The base URL of Keystone.
    pub keystone: Url,
    /// Where access keys are used.
    pub s3: Option<S3>,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The pair, as Keystone would be asked for it.
    pub pair: keystone::Ask,
    /// How it is had.
    pub way: Way,
}

/// How a pair is had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is issued at Keystone.
    Keystone,
    /// It is issued by SODA, unless there is one.
    Soda {
        /// Whether all credentials of the user are deleted when the request goes.
        ends_all: bool,
    },
    /// One that is there already is shared.
    Adopt {
        /// Its access key; absent where there has to be only one.
        access: Option<String>,
    },
}

/// The field with SODA's URL.
pub(super) const ENDPOINT: &str = "spec.soda.endpoint";

/// The field with the URL of the Keystone that SODA asks.
pub(super) const KEYSTONE: &str = "spec.soda.keystone.endpoint";

/// What fields are called in messages.
pub(super) const FIELD: &str = "spec.soda.accessKey";

/// The endpoint without `/v1`, which is a part of every path.
pub fn base(endpoint: &Url) -> Url {
    let mut base = endpoint.clone();
    let is_versioned = base.path().trim_end_matches('/').ends_with("/v1");
    if let Ok(mut segments) = base.path_segments_mut() {
        segments.pop_if_empty();
        if is_versioned {
            segments.pop();
        }
    }
    base
}

/// Reads what a provider declares.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read(spec: &SodaProvider) -> Result<(Config, Reach), Refusal> {
    let allow_http = spec.allow_http.unwrap_or(false);
    let endpoint = validate::endpoint(ENDPOINT, &spec.endpoint, allow_http)?;
    let keystone = validate::endpoint(KEYSTONE, &spec.keystone.endpoint, allow_http)?;
    let tls = spec.tls.clone().unwrap_or_default();
    validate::tls("spec.soda.tls", &tls)?;
    if let Some(s3) = &spec.s3 {
        validate::endpoint("spec.soda.s3.endpoint", &s3.endpoint, true)?;
    }
    let login = &spec.auth.password.secret_ref;
    let field = "spec.soda.auth.password.secretRef";
    validate::secret_name(&format!("{field}.name"), &login.name)?;
    validate::namespace(&format!("{field}.namespace"), login.namespace.as_deref())?;
    Ok((
        Config {
            keystone: keystone.clone(),
            s3: spec.s3.clone(),
        },
        Reach {
            endpoint,
            field: ENDPOINT,
            also: vec![Server {
                field: KEYSTONE,
                endpoint: keystone,
            }],
            skip_verify: tls.insecure_skip_verify.unwrap_or(false),
            ca: tls.ca_bundle_secret_ref,
            login: login.clone(),
        },
    ))
}

/// Reads what a request asks for.
///
/// # Errors
/// When a field is not valid; the refusal names it.
pub fn read_ask(spec: &SodaCredential, whole: &CredentialRequestSpec) -> Result<Ask, Refusal> {
    let asked = &spec.access_key;
    let invalid = |field: &str, what: &str| {
        Refusal::new(Reason::InvalidSpec, format!("{FIELD}{field}: {what}"))
    };
    let adopt = asked.adopt.unwrap_or(false);
    if adopt && asked.issue_through.is_some() {
        return Err(invalid(
            "",
            "what is adopted is not issued: state either adopt: true or issueThrough",
        ));
    }
    let access = asked.access_key_id.clone();
    if access.is_some() && !adopt {
        return Err(invalid(
            ".accessKeyID",
            "goes with adopt: true alone: a new pair has the access key that it gets",
        ));
    }
    if access.as_deref().is_some_and(|access| !is_id(access)) {
        return Err(invalid(".accessKeyID", "is no access key"));
    }
    let way = match (adopt, asked.issue_through) {
        (true, _) => Way::Adopt { access },
        (false, Some(IssueThrough::Soda)) => Way::Soda {
            ends_all: asked.on_delete.is_some(),
        },
        (false, Some(IssueThrough::Keystone) | None) => Way::Keystone,
    };
    if asked.on_delete.is_some() && !matches!(way, Way::Soda { .. }) {
        return Err(invalid(
            ".onDelete",
            "goes with issueThrough: Soda alone: all other pairs are revoked one by one, or never",
        ));
    }
    let as_keystone = KeystoneCredential {
        access_key: Some(KeystoneAccessKey {
            project: asked.project.clone(),
            user: None,
        }),
        ..KeystoneCredential::default()
    };
    let pair = keystone::config::read_ask(&as_keystone, whole).map_err(|refusal| {
        let message = refusal
            .message
            .replace("spec.keystone.accessKey", "spec.soda.accessKey");
        Refusal::new(refusal.reason, message)
    })?;
    Ok(Ask { pair, way })
}
