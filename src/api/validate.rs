//! The rules of the schema once more, for objects that were stored by an older one, and as the
//! place where checked types are made.

use std::ops::RangeInclusive;

use url::Url;

use super::{
    ProviderSpec, Reason, endpoint::Tls, provider::GRANTS, request::CredentialRequestSpec,
};
use crate::plan::Refusal;

mod grants;
#[cfg(test)]
mod tests;

/// The longest endpoint.
const LONGEST_ENDPOINT: usize = 1024;

fn invalid(field: &str, what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::InvalidSpec, format!("{field}: {what}"))
}

/// Checks an endpoint.
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub fn endpoint(field: &str, text: &str, allow_http: bool) -> Result<Url, Refusal> {
    // The library forgives a lot: it drops blanks and line ends, and reads `https:host` and `\` its own way.
    let plain = text.len() <= LONGEST_ENDPOINT
        && (text.starts_with("https://") || text.starts_with("http://"))
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    let url = Url::parse(text)
        .ok()
        .filter(|url| plain && url.has_host() && url.port() != Some(0))
        .ok_or_else(|| {
            invalid(
                field,
                "must be an absolute URL such as https://cloud.example.com",
            )
        })?;
    if url.scheme() == "http" && !allow_http {
        return Err(invalid(
            field,
            "plain http sends the login over the network unprotected; use https, or set allowHTTP: true",
        ));
    }
    if text.contains('@') {
        return Err(invalid(field, "must not hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(field, "must not hold a query or a fragment"));
    }
    // What a server behind a proxy makes of `%2F`, `;` or `..` cannot be told, and consent to an
    // endpoint is consent to a path.
    let path = text.splitn(4, '/').nth(3).unwrap_or_default();
    let segment = |segment: &str| {
        !segment.starts_with('.')
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if !path.split('/').all(segment) {
        return Err(invalid(
            field,
            "the path may hold letters, digits, '-', '_', '~' and '.' alone, and no segment that begins with '.'",
        ));
    }
    Ok(url)
}

/// Checks the name of a Secret: a DNS subdomain (RFC 1123).
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub fn secret_name(field: &str, name: &str) -> Result<(), Refusal> {
    let edge = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let label = |label: &str| {
        label.starts_with(edge)
            && label.ends_with(edge)
            && label.chars().all(|char| edge(char) || char == '-')
    };
    if name.len() <= 253 && name.split('.').all(label) {
        Ok(())
    } else {
        Err(invalid(
            field,
            "must be the name of a Secret: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit",
        ))
    }
}

/// Checks the name of a namespace: a DNS label (RFC 1123).
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub fn namespace(field: &str, name: Option<&str>) -> Result<(), Refusal> {
    match name {
        Some(name)
            if name.len() > 63 || name.contains('.') || secret_name(field, name).is_err() =>
        {
            Err(invalid(
                field,
                "must be the name of a namespace: lower case letters, digits and '-'",
            ))
        }
        _ => Ok(()),
    }
}

/// Checks a key of a Secret.
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub fn secret_key(field: &str, key: Option<&str>) -> Result<(), Refusal> {
    let allowed = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
    match key {
        Some(key) if key.is_empty() || key.len() > 253 || !key.chars().all(allowed) => {
            Err(invalid(
                field,
                "must be the key of a Secret: letters, digits, '-', '_' and '.'",
            ))
        }
        _ => Ok(()),
    }
}

/// Checks how a server's certificate is checked.
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub fn tls(field: &str, tls: &Tls) -> Result<(), Refusal> {
    let Some(ca) = &tls.ca_bundle_secret_ref else {
        return Ok(());
    };
    if tls.insecure_skip_verify == Some(true) {
        return Err(invalid(
            field,
            "set either caBundleSecretRef or insecureSkipVerify, not both",
        ));
    }
    let field = format!("{field}.caBundleSecretRef");
    secret_name(&format!("{field}.name"), &ca.name)?;
    namespace(&format!("{field}.namespace"), ca.namespace.as_deref())?;
    secret_key(&format!("{field}.key"), ca.key.as_deref())
}

/// Checks what is the same for providers of all systems.
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub fn provider(spec: &ProviderSpec) -> Result<(), Refusal> {
    within(
        "spec.budget.requestsPerSecond",
        spec.budget.requests_per_second,
        1..=10_000,
    )?;
    within("spec.budget.concurrency", spec.budget.concurrency, 1..=256)?;
    if spec.allow.len() > GRANTS {
        return Err(invalid(
            "spec.allow",
            format!("must have at most {GRANTS} entries"),
        ));
    }
    for (number, each) in spec.allow.iter().enumerate() {
        grants::check(&format!("spec.allow[{number}]"), each)?;
    }
    Ok(())
}

fn within(field: &str, value: Option<i32>, range: RangeInclusive<i32>) -> Result<(), Refusal> {
    match value {
        Some(value) if !range.contains(&value) => Err(invalid(
            field,
            format!(
                "must be from {} to {}, not {value}",
                range.start(),
                range.end()
            ),
        )),
        _ => Ok(()),
    }
}

/// Checks a length of time.
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub fn duration(
    field: &str,
    value: Option<&super::types::Duration>,
) -> Result<Option<jiff::SignedDuration>, Refusal> {
    value
        .map(|value| value.to_signed().map_err(|wrong| invalid(field, wrong)))
        .transpose()
}

/// The Secret's name, or the request's own.
pub fn target_name(spec: &CredentialRequestSpec, request: &str) -> String {
    spec.secret
        .as_ref()
        .and_then(|secret| secret.name.clone())
        .unwrap_or_else(|| request.to_owned())
}
