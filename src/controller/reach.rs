//! What it takes to reach a provider: its endpoint, the certificates to trust, and a login whose
//! owner consents.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::SecretString;

use super::{
    context::Context,
    key::{ProviderKey, SecretKey},
    link::{Declared, Link},
};
use crate::{
    api::{
        Reason, annotations,
        reference::{CaBundleRef, ProviderKind, SecretRef},
    },
    plan::Refusal,
    providers::{
        Connection, LoginValues, Reach, System, certificates,
        characters::{self, Charset},
        guard::Guard,
        http::{HttpClient, HttpSettings},
    },
    secret::held_id,
};

/// The longest value of a login Secret that is looked at.
const LONGEST_VALUE: usize = 16 * 1024;

/// Everything that a provider needs, apart from its login working.
pub struct Reached {
    /// The endpoint, where it could be read.
    pub endpoint: Option<String>,
    /// Why the connection is not safe, where it is not.
    pub insecure: Option<(Reason, String)>,
    /// The connection and the versions of what it is made with, or what is missing.
    pub connection: Result<(Arc<Connection>, String), Refusal>,
}

/// Why a provider cannot be reached.
enum Unreached {
    /// Something is missing or wrong, which goes into its condition.
    Refused(Refusal),
    /// The API server failed.
    Api(kube::Error),
}

impl From<Refusal> for Unreached {
    fn from(refusal: Refusal) -> Self {
        Unreached::Refused(refusal)
    }
}

impl From<kube::Error> for Unreached {
    fn from(error: kube::Error) -> Self {
        Unreached::Api(error)
    }
}

/// Gathers what it takes to reach a provider.
///
/// # Errors
/// Those of the API server. What is missing or wrong is in [`Reached::connection`].
pub async fn reach(
    context: &Arc<Context>,
    key: &ProviderKey,
    link: &Link,
    declared: &Declared,
) -> Result<Reached, kube::Error> {
    let read = match &declared.spec {
        Ok(spec) => System::read(spec),
        Err(words) => {
            let words: String = words.chars().take(300).collect();
            Err(Refusal::new(
                Reason::Undecodable,
                format!("this version of the operator cannot read the object: {words}"),
            ))
        }
    };
    let (system, reach) = match read {
        Ok(read) => read,
        Err(refusal) => {
            return Ok(Reached {
                endpoint: None,
                insecure: None,
                connection: Err(refusal),
            });
        }
    };
    let connection = match connect(context, key, link, declared, &system, &reach).await {
        Ok(connected) => Ok(connected),
        Err(Unreached::Refused(refusal)) => Err(refusal),
        Err(Unreached::Api(error)) => return Err(error),
    };
    Ok(Reached {
        endpoint: Some(reach.endpoint.to_string()),
        insecure: insecure(&reach),
        connection,
    })
}

/// Why a connection is not safe, where it is not.
pub fn insecure(reach: &Reach) -> Option<(Reason, String)> {
    let plain = reach
        .servers()
        .find(|(_, endpoint)| endpoint.scheme() == "http");
    if let Some((field, _)) = plain {
        let at = if reach.also.is_empty() {
            String::new()
        } else {
            format!(" to {field}")
        };
        Some((
            Reason::PlainHTTP,
            format!(
                "the login and every credential cross the network{at} unencrypted; use an https endpoint"
            ),
        ))
    } else if reach.skip_verify {
        Some((
            Reason::SkipsVerification,
            "the server's certificate is not checked: whoever is on the network path can read \
             the login; use tls.caBundleSecretRef"
                .to_owned(),
        ))
    } else {
        None
    }
}

async fn connect(
    context: &Arc<Context>,
    key: &ProviderKey,
    link: &Link,
    declared: &Declared,
    system: &System,
    reach: &Reach,
) -> Result<(Arc<Connection>, String), Unreached> {
    let guard = guard(context, key, reach)?;
    let login_place = place(key, &reach.login)?;
    let ca = match &reach.ca {
        Some(ca) => {
            let secret = SecretRef {
                namespace: ca.namespace.clone(),
                name: ca.name.clone(),
            };
            Some((ca, place(key, &secret)?))
        }
        None => None,
    };
    // First say which Secrets matter, so that a change between reading and using one is noticed.
    let mut secrets = BTreeSet::from([login_place.clone()]);
    secrets.extend(ca.iter().map(|(_, place)| place.clone()));
    link.set_secrets(&secrets);
    for secret in secrets
        .iter()
        .filter(|secret| !context.settings.serves(&secret.namespace))
    {
        context.wakes.watch_secret(secret);
    }

    let mut inputs = format!("{}/{}", declared.uid, system.digest(reach));
    if let Some(guard) = &guard {
        inputs.push('/');
        inputs.push_str(&guard.digest());
    }
    let mut ca_pem = None;
    if let Some((ca, place)) = &ca {
        let secret = get(context, link, place, "certificates to trust").await?;
        inputs.push('/');
        inputs.push_str(&secret.resource_version().unwrap_or_default());
        ca_pem = Some(trusted(&secret, ca, place)?);
    }
    let layout = system.layout(reach, ca_pem.as_deref());
    let http = HttpClient::new(
        &reach.endpoint,
        HttpSettings {
            ca_pem: ca_pem.clone(),
            skip_verify: reach.skip_verify,
            guard,
            proxy_from_env: context.settings.proxy_from_env,
        },
    )?;
    // Only now that they are known to be certificates: they go into published Secrets.
    link.set_ca(ca_pem);
    let secret = get(context, link, &login_place, "login").await?;
    inputs.push('/');
    inputs.push_str(&secret.resource_version().unwrap_or_default());
    let login = login(system, reach, &secret, &login_place)?;
    // Looked at again for whatever reason, and found the same: its sessions go on.
    let connection = match link.same_as_before(&inputs) {
        Some(connection) => connection,
        None => {
            let connection = system.connect(http, &login, layout);
            Arc::new(connection.map_err(|refusal| {
                let SecretKey { namespace, name } = &login_place;
                let words = format!("Secret {namespace}/{name}: {}", refusal.message);
                Refusal::new(refusal.reason, words)
            })?)
        }
    };
    Ok((connection, inputs))
}

/// Where the endpoint may lead. Who may declare a cluster provider decides about the cluster anyway.
fn guard(context: &Context, key: &ProviderKey, reach: &Reach) -> Result<Option<Guard>, Refusal> {
    if key.kind == ProviderKind::ClusterCredentialProvider {
        return Ok(None);
    }
    let settings = &context.settings;
    let guard = Guard::new(
        settings.tenant_endpoints.clone(),
        settings.api_server.clone(),
    );
    let refused = reach
        .servers()
        .find(|(_, endpoint)| !guard.permits_literal(endpoint));
    match refused {
        None => Ok(Some(guard)),
        Some((field, _)) => Err(Refusal::new(
            Reason::EndpointRefused,
            format!(
                "{field} is an address that is reserved for the cluster; see the operator's flag \
                 --tenant-endpoints"
            ),
        )),
    }
}

/// Where a Secret lies that a provider names: its namespace is stated for a cluster provider, and
/// the provider's own otherwise.
fn place(key: &ProviderKey, secret: &SecretRef) -> Result<SecretKey, Refusal> {
    let namespace = match (&key.namespace, &secret.namespace) {
        (None, Some(namespace)) | (Some(namespace), None) => namespace.clone(),
        (Some(_), Some(_)) => {
            return Err(Refusal::new(
                Reason::InvalidSpec,
                "a CredentialProvider reads Secrets of its own namespace alone; remove the \
                 references' namespace",
            ));
        }
        (None, None) => {
            return Err(Refusal::new(
                Reason::InvalidSpec,
                "a ClusterCredentialProvider has to state the namespace of the Secrets that it \
                 refers to",
            ));
        }
    };
    Ok(SecretKey {
        namespace,
        name: secret.name.clone(),
    })
}

async fn get(
    context: &Context,
    link: &Link,
    place: &SecretKey,
    what: &str,
) -> Result<Secret, Unreached> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &place.namespace);
    let Some(secret) = api.get_opt(&place.name).await? else {
        return Err(Unreached::Refused(Refusal::new(
            Reason::LoginSecretNotFound,
            format!(
                "Secret {}/{} with the {what} is not there",
                place.namespace, place.name
            ),
        )));
    };
    link.has_read(place, secret.resource_version());
    Ok(secret)
}

/// The certificates to trust, and nothing else that stands beside them.
fn trusted(secret: &Secret, ca: &CaBundleRef, place: &SecretKey) -> Result<Vec<u8>, Refusal> {
    let value = secret.data.as_ref().and_then(|data| data.get(ca.key()));
    let field = "tls.caBundleSecretRef.key";
    let value = value.ok_or_else(|| missing_key(place, ca.key(), field))?;
    certificates::only(&value.0).map_err(|refusal| {
        let words = format!(
            "key {} ({field}) of Secret {}/{}: {}",
            ca.key(),
            place.namespace,
            place.name,
            refusal.message
        );
        Refusal::new(refusal.reason, words)
    })
}

/// The login, if its owner consents and it is complete.
fn login(
    system: &System,
    reach: &Reach,
    secret: &Secret,
    place: &SecretKey,
) -> Result<LoginValues, Refusal> {
    let consent = secret.annotations().get(annotations::LOGIN_FOR);
    let consent = consent.map_or("", String::as_str);
    if !reach
        .endpoints()
        .all(|endpoint| consents(consent, endpoint))
    {
        let endpoints: Vec<_> = reach
            .endpoints()
            .map(|endpoint| endpoint.as_str().trim_end_matches('/'))
            .collect();
        let (these, endpoints) = match &endpoints[..] {
            [endpoint] => ("this endpoint", (*endpoint).to_owned()),
            several => ("these endpoints", format!("'{}'", several.join(" "))),
        };
        return Err(Refusal::new(
            Reason::NoConsent,
            format!(
                "Secret {}/{} does not say that it may be used for {these}; who owns it can: \
                 kubectl annotate secret {} -n {} --overwrite {}={endpoints}",
                place.namespace,
                place.name,
                place.name,
                place.namespace,
                annotations::LOGIN_FOR
            ),
        ));
    }
    let data = secret.data.as_ref();
    let mut values = LoginValues::default();
    values.id = held_id(secret);
    for wanted in system.login_keys() {
        let Some(value) = data.and_then(|data| data.get(&wanted.key)) else {
            if wanted.required {
                return Err(missing_key(place, &wanted.key, wanted.field));
            }
            continue;
        };
        let text = login_text(&value.0, wanted.charset).map_err(|words| {
            Refusal::new(
                Reason::LoginInvalid,
                format!(
                    "key {} ({}) of Secret {}/{} {words}",
                    wanted.key, wanted.field, place.namespace, place.name
                ),
            )
        })?;
        values.insert(wanted.key, SecretString::from(text));
    }
    Ok(values)
}

/// A value of a login Secret as text. Editors and `echo` leave a line break at its end, which is removed.
/// Other invisible characters are refused here, because the provider would refuse the login without
/// saying why.
fn login_text(value: &[u8], charset: Charset) -> Result<&str, String> {
    if characters::is_utf16(value) {
        return Err("is text in UTF-16; write it as UTF-8".to_owned());
    }
    let text = std::str::from_utf8(value).map(|text| text.trim_end_matches(['\r', '\n']));
    match text {
        Ok(text) if !text.is_empty() && text.len() <= LONGEST_VALUE => {
            match characters::invisible(text, charset) {
                None => Ok(text),
                Some(invisible) => Err(format!(
                    "has {invisible}, which is invisible and makes a provider refuse the login; write the value \
                     again without it"
                )),
            }
        }
        _ => Err(format!(
            "is empty, longer than {LONGEST_VALUE} bytes, or not text"
        )),
    }
}

/// Whether an endpoint is at or below one of those that a Secret is meant for.
fn consents(consent: &str, endpoint: &url::Url) -> bool {
    let meant = consent
        .split_whitespace()
        .filter_map(|meant| url::Url::parse(meant).ok());
    meant.into_iter().any(|meant| {
        let path = meant.path().trim_end_matches('/');
        let rest = endpoint.path().strip_prefix(path);
        meant.has_host()
            && meant.scheme() == endpoint.scheme()
            && meant.host() == endpoint.host()
            && meant.port_or_known_default() == endpoint.port_or_known_default()
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn missing_key(place: &SecretKey, key: &str, field: &str) -> Refusal {
    Refusal::new(
        Reason::LoginKeyNotFound,
        format!(
            "Secret {}/{} has no key {key} ({field})",
            place.namespace, place.name
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_value_loses_a_line_break_at_its_end_and_is_refused_with_other_invisible_characters()
    {
        let utf16 = [0xff, 0xfe, b's', 0, b'3', 0];
        for (value, expected) in [
            ("s3cret".as_bytes(), Ok("s3cret")),
            (b"s3cret\n", Ok("s3cret")),
            (b"s3cret\r\n", Ok("s3cret")),
            ("s3cr\u{e9}t".as_bytes(), Ok("s3cr\u{e9}t")),
            (
                "\u{feff}s3cret".as_bytes(),
                Err("a byte order mark (U+FEFF)"),
            ),
            ("\u{feff}\n".as_bytes(), Err("a byte order mark (U+FEFF)")),
            (b"s3cret\0", Err("a control character (U+0000)")),
            (b"s3\rcret", Err("a line break (U+000D)")),
            (&utf16, Err("is text in UTF-16")),
            (b"", Err("is empty")),
            (b"\xc3", Err("not text")),
        ] {
            for charset in [Charset::Name, Charset::Password] {
                match (login_text(value, charset), expected) {
                    (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                    (Err(words), Err(expected)) => {
                        assert!(words.contains(expected), "{value:?}: {words}");
                        assert!(!words.contains("cret"), "{value:?}: {words}");
                    }
                    (other, _) => panic!("{value:?}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_login_is_meant_for_an_endpoint_and_what_is_below_it() {
        for (consent, endpoint, expected) in [
            ("https://acme.example.com", "https://acme.example.com", true),
            (
                "https://acme.example.com/",
                "https://acme.example.com/prefix",
                true,
            ),
            (
                "https://acme.example.com:443",
                "https://acme.example.com",
                true,
            ),
            ("https://ACME.example.com", "https://acme.example.com", true),
            (
                "https://a.example.com https://acme.example.com",
                "https://acme.example.com",
                true,
            ),
            (
                "https://acme.example.com/prefix",
                "https://acme.example.com/prefix/below",
                true,
            ),
            (
                "https://acme.example.com/prefix",
                "https://acme.example.com/prefixed",
                false,
            ),
            (
                "https://acme.example.com/prefix",
                "https://acme.example.com",
                false,
            ),
            (
                "https://acme.example.com/a/../b",
                "https://acme.example.com/a",
                false,
            ),
            ("https://acme.example.com", "http://acme.example.com", false),
            (
                "https://acme.example.com",
                "https://acme.example.com:8443",
                false,
            ),
            (
                "https://acme.example.com",
                "https://acme.example.com.evil.org",
                false,
            ),
            (
                "https://acme.example.com",
                "https://evil.org/https://acme.example.com",
                false,
            ),
            ("acme.example.com", "https://acme.example.com", false),
            ("*", "https://acme.example.com", false),
            ("https://", "https://acme.example.com", false),
            ("", "https://acme.example.com", false),
        ] {
            let endpoint = url::Url::parse(endpoint).unwrap();
            assert_eq!(
                consents(consent, &endpoint),
                expected,
                "{consent} for {endpoint}"
            );
        }
    }
}
