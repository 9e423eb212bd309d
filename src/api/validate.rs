//! The rules of the schema once more, for objects that were stored by an older one, and as the
//! place where checked types are made.

use url::Url;

use super::{Reason, request::CredentialRequestSpec};
use crate::plan::Refusal;

fn invalid(field: &str, what: impl std::fmt::Display) -> Refusal {
    Refusal::new(Reason::InvalidSpec, format!("{field}: {what}"))
}

/// Checks an endpoint.
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub fn endpoint(field: &str, text: &str, allow_http: bool) -> Result<Url, Refusal> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| {
            invalid(
                field,
                "must be an absolute URL such as https://dce.example.com",
            )
        })?;
    if url.scheme() == "http" && !allow_http {
        return Err(invalid(
            field,
            "plain http sends the login over the network unprotected; use https, or set allowHTTP: true",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(field, "must not hold a user name or password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(field, "must not hold a query or a fragment"));
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
