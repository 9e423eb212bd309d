//! One pass over one provider: is everything there that it needs, and does its login work? What it
//! comes to is what requests find at its link.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use secrecy::SecretString;

use super::{
    context::Context,
    key::{ProviderKey, SecretKey},
    link::{Declared, Link, Usability},
    record::patch_status,
    watch::wake_requests,
};
use crate::{
    api::{
        ClusterCredentialProvider, CredentialProvider, ProviderStatus, Reason, annotations,
        provider::LoginRecord,
        reference::{ProviderKind, SecretRef},
    },
    clock,
    plan::{
        Failure, Refusal,
        provider::{ProviderDecision, SeenProvider, plan, report},
        schedule,
    },
    providers::{
        Connection, Reach, System,
        guard::Guard,
        http::{HttpClient, HttpSettings},
    },
};

/// The longest value of a login Secret that is looked at.
const LONGEST_VALUE: usize = 16 * 1024;

/// How long a changed number of requests may be old in a provider's status.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// Makes a pass over a provider.
pub async fn reconcile(context: &Arc<Context>, key: &ProviderKey) -> Option<Duration> {
    let link = context.links.get(key)?;
    match pass(context, key, &link).await {
        Ok(action) => action,
        Err(kube::Error::Api(status)) if status.code == 409 => Some(Duration::from_millis(250)),
        Err(error) => {
            tracing::warn!(provider = %key, %error, "a pass over a provider could not be finished");
            Some(Duration::from_secs(2))
        }
    }
}

async fn pass(
    context: &Arc<Context>,
    key: &ProviderKey,
    link: &Arc<Link>,
) -> Result<Option<Duration>, kube::Error> {
    let declared = link.declared();
    let reached = match link.still_usable() {
        Some(connection) => Reached {
            endpoint: declared.status.endpoint.clone(),
            insecure: declared
                .spec
                .as_ref()
                .ok()
                .and_then(|spec| System::read(spec).ok())
                .and_then(|(_, reach)| insecure(&reach)),
            connection: Ok(connection),
        },
        None => reach(context, key, link, &declared)
            .await
            .inspect_err(|_| link.changed())?,
    };
    let mut seen = SeenProvider {
        name: key.to_string(),
        generation: declared.generation,
        spread: schedule::spread(&declared.uid),
        endpoint: reached.endpoint,
        reach: reached
            .connection
            .as_ref()
            .map(|(_, inputs)| inputs.clone())
            .map_err(Clone::clone),
        login: link.login(),
        insecure: reached.insecure,
        requests: i64::try_from(context.memory.count_naming_provider(key)).unwrap_or(i64::MAX),
    };
    let mut decision = plan(&seen, clock::now());
    if let (ProviderDecision::TestLogin, Ok((connection, inputs))) =
        (&decision, &reached.connection)
    {
        seen.login = Some(test_login(context, key, link, connection, inputs).await);
        decision = plan(&seen, clock::now());
    }
    let usability = match (&decision, reached.connection) {
        (ProviderDecision::Usable, Ok((connection, inputs))) => {
            Some(Usability::Usable { connection, inputs })
        }
        (ProviderDecision::NotUsable(not_ready), _) => Some(Usability::NotReady(not_ready.clone())),
        _ => None,
    };
    if let Some(usability) = usability
        && link.settle(&declared, usability)
    {
        wake_requests(context, key);
    }
    let new = report(&seen, &decision, &declared.status, clock::now());
    write(context, &declared, &new).await?;
    Ok(match decision {
        ProviderDecision::NotUsable(not_ready) => not_ready
            .retry_at
            .map(|at| Duration::try_from(at.duration_since(clock::now())).unwrap_or_default()),
        ProviderDecision::Usable => Some(COUNT_EVERY),
        ProviderDecision::TestLogin => Some(Duration::from_secs(1)),
    })
}

/// Everything that a provider needs, apart from its login working.
struct Reached {
    endpoint: Option<String>,
    insecure: Option<(Reason, String)>,
    connection: Result<(Arc<Connection>, String), Refusal>,
}

async fn reach(
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
    let insecure = insecure(&reach);
    let endpoint = Some(reach.endpoint.to_string());
    let connection = connect(context, key, link, declared, &system, &reach).await?;
    Ok(Reached {
        endpoint,
        insecure,
        connection,
    })
}

fn insecure(reach: &Reach) -> Option<(Reason, String)> {
    if reach.endpoint.scheme() == "http" {
        Some((
            Reason::PlainHTTP,
            "the login and every credential cross the network unencrypted; use an https endpoint"
                .to_owned(),
        ))
    } else if reach.skip_verify {
        Some((
            Reason::SkipsVerification,
            "the server's certificate is not checked: whoever is on the network path can read the login; use tls.caBundleSecretRef".to_owned(),
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
) -> Result<Result<(Arc<Connection>, String), Refusal>, kube::Error> {
    let guard = match key.kind {
        // Who may declare a cluster provider decides about the cluster anyway.
        ProviderKind::ClusterCredentialProvider => None,
        ProviderKind::CredentialProvider => Some(Guard::new(
            context.settings.tenant_endpoints.clone(),
            context.settings.api_server.clone(),
        )),
    };
    if let Some(guard) = &guard
        && !guard.permits_literal(&reach.endpoint)
    {
        return Ok(Err(Refusal::new(
            Reason::EndpointRefused,
            "the endpoint is an address that is reserved for the cluster; see the operator's flag --tenant-endpoints",
        )));
    }
    let login_ref = match place(key, &reach.login) {
        Ok(place) => place,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let ca_ref = match reach.ca.as_ref().map(|ca| {
        place(
            key,
            &SecretRef {
                namespace: ca.namespace.clone(),
                name: ca.name.clone(),
            },
        )
    }) {
        Some(Ok(place)) => Some(place),
        Some(Err(refusal)) => return Ok(Err(refusal)),
        None => None,
    };
    // First say which Secrets matter, so that a change between reading and using one is noticed.
    let secrets: BTreeSet<SecretKey> = [Some(login_ref.clone()), ca_ref.clone()]
        .into_iter()
        .flatten()
        .collect();
    for secret in &secrets {
        if !context.settings.serves(&secret.namespace) {
            context.wakes.watch_secret(secret);
        }
    }
    link.set_secrets(secrets);

    let mut inputs = format!("{}/{}", declared.uid, system.digest(reach));
    let ca_pem = match (&reach.ca, &ca_ref) {
        (Some(ca), Some(place)) => match get(&context.client, place).await? {
            None => return Ok(Err(missing(place, "certificates to trust"))),
            Some(secret) => {
                inputs.push('/');
                inputs.push_str(&secret.resource_version().unwrap_or_default());
                match secret.data.as_ref().and_then(|data| data.get(ca.key())) {
                    None => {
                        return Ok(Err(missing_key(
                            place,
                            ca.key(),
                            "tls.caBundleSecretRef.key",
                        )));
                    }
                    Some(pem) => Some(pem.0.clone()),
                }
            }
        },
        _ => None,
    };
    let http = HttpSettings {
        ca_pem,
        skip_verify: reach.skip_verify,
        guard,
        proxy_from_env: context.settings.proxy_from_env,
    };
    let http = match HttpClient::new(&reach.endpoint, http) {
        Ok(http) => http,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let Some(secret) = get(&context.client, &login_ref).await? else {
        return Ok(Err(missing(&login_ref, "login")));
    };
    inputs.push('/');
    inputs.push_str(&secret.resource_version().unwrap_or_default());
    let connection =
        login(system, reach, &secret, &login_ref).and_then(|login| system.connect(http, login));
    Ok(connection.map(|connection| (Arc::new(connection), inputs)))
}

/// Where a Secret lies that a provider names: its namespace is stated for a cluster provider, and
/// the provider's own otherwise.
fn place(key: &ProviderKey, secret: &SecretRef) -> Result<SecretKey, Refusal> {
    let namespace = match (&key.namespace, &secret.namespace) {
        (None, Some(namespace)) | (Some(namespace), None) => namespace.clone(),
        (Some(_), Some(_)) => {
            return Err(Refusal::new(
                Reason::InvalidSpec,
                "a CredentialProvider reads Secrets of its own namespace alone; remove the references' namespace",
            ));
        }
        (None, None) => {
            return Err(Refusal::new(
                Reason::InvalidSpec,
                "a ClusterCredentialProvider has to state the namespace of the Secrets that it refers to",
            ));
        }
    };
    Ok(SecretKey {
        namespace,
        name: secret.name.clone(),
    })
}

/// The login, if its owner consents and it is complete.
fn login(
    system: &System,
    reach: &Reach,
    secret: &Secret,
    place: &SecretKey,
) -> Result<Vec<SecretString>, Refusal> {
    let consent = secret.annotations().get(annotations::LOGIN_FOR);
    if !consent.is_some_and(|consent| consents(consent, &reach.endpoint)) {
        let endpoint = reach.endpoint.as_str().trim_end_matches('/');
        return Err(Refusal::new(
            Reason::NoConsent,
            format!(
                "Secret {}/{} does not say that it may be used for this endpoint; who owns it can: \
                 kubectl annotate secret {} -n {} --overwrite {}={endpoint}",
                place.namespace,
                place.name,
                place.name,
                place.namespace,
                annotations::LOGIN_FOR
            ),
        ));
    }
    system
        .login_keys()
        .into_iter()
        .map(|wanted| {
            let value = secret
                .data
                .as_ref()
                .and_then(|data| data.get(&wanted.key))
                .ok_or_else(|| missing_key(place, &wanted.key, wanted.field))?;
            let text = std::str::from_utf8(&value.0).ok().map(|text| text.trim_end_matches(['\r', '\n']));
            match text {
                Some(text) if !text.is_empty() && text.len() <= LONGEST_VALUE => Ok(SecretString::from(text)),
                _ => Err(Refusal::new(
                    Reason::LoginInvalid,
                    format!(
                        "key {} ({}) of Secret {}/{} is empty, longer than {LONGEST_VALUE} bytes, or not text",
                        wanted.key, wanted.field, place.namespace, place.name
                    ),
                )),
            }
        })
        .collect()
}

/// Whether an endpoint is at or below one of those that a Secret is meant for.
pub(crate) fn consents(consent: &str, endpoint: &url::Url) -> bool {
    consent
        .split_whitespace()
        .filter_map(|meant| url::Url::parse(meant).ok())
        .any(|meant| {
            let path = meant.path().trim_end_matches('/');
            let below = endpoint
                .path()
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            meant.has_host()
                && meant.scheme() == endpoint.scheme()
                && meant.host() == endpoint.host()
                && meant.port_or_known_default() == endpoint.port_or_known_default()
                && below
        })
}

fn missing(place: &SecretKey, what: &str) -> Refusal {
    Refusal::new(
        Reason::LoginSecretNotFound,
        format!(
            "Secret {}/{} with the {what} is not there",
            place.namespace, place.name
        ),
    )
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

async fn get(client: &Client, place: &SecretKey) -> Result<Option<Secret>, kube::Error> {
    Api::<Secret>::namespaced(client.clone(), &place.namespace)
        .get_opt(&place.name)
        .await
}

async fn test_login(
    context: &Arc<Context>,
    key: &ProviderKey,
    link: &Link,
    connection: &Connection,
    inputs: &str,
) -> LoginRecord {
    let result = connection.test_login().await;
    context.metrics.call(
        &key.to_string(),
        "login",
        result
            .as_ref()
            .map(|_| ())
            .map_err(|failure| failure.reason),
    );
    let before = link.login().filter(|before| before.inputs == inputs);
    let record = match result {
        Ok(()) => LoginRecord {
            reason: Reason::LoginWorks,
            inputs: inputs.to_owned(),
            time: clock::now(),
            attempts: 0,
            message: None,
        },
        Err(failure) => refused(&failure, inputs, before.map_or(0, |before| before.attempts)),
    };
    link.set_login(Some(record.clone()));
    record
}

fn refused(failure: &Failure, inputs: &str, attempts: u32) -> LoginRecord {
    LoginRecord {
        reason: failure.reason,
        inputs: inputs.to_owned(),
        time: clock::now(),
        attempts: attempts + 1,
        message: Some(failure.message.clone()),
    }
}

/// A call of a request was told that the login is wrong: that concerns all requests.
pub fn login_refused(link: &Link, failure: &Failure) {
    let Some(login) = link.login() else { return };
    if login.reason == Reason::LoginWorks {
        link.set_login(Some(refused(failure, &login.inputs, 0)));
    }
}

async fn write(
    context: &Context,
    declared: &Declared,
    new: &ProviderStatus,
) -> Result<(), kube::Error> {
    if *new == declared.status {
        return Ok(());
    }
    let client = context.client.clone();
    let meta = kube::core::ObjectMeta {
        name: Some(declared.key.name.clone()),
        namespace: declared.key.namespace.clone(),
        uid: Some(declared.uid.clone()),
        resource_version: Some(declared.resource_version.clone()),
        ..Default::default()
    };
    let done = match &declared.key.namespace {
        None => {
            status_of::<ClusterCredentialProvider>(&Api::all(client), meta, &declared.status, new)
                .await?
        }
        Some(namespace) => {
            status_of::<CredentialProvider>(
                &Api::namespaced(client, namespace),
                meta,
                &declared.status,
                new,
            )
            .await?
        }
    };
    if let Some((generation, resource_version)) = done
        && generation == Some(declared.generation)
    {
        let written = Declared {
            resource_version,
            status: new.clone(),
            ..declared.clone()
        };
        // So that the watch's echo of it is no news.
        context.links.declare(written, |_| {});
    }
    Ok(())
}

async fn status_of<K>(
    api: &Api<K>,
    meta: kube::core::ObjectMeta,
    old: &ProviderStatus,
    new: &ProviderStatus,
) -> Result<Option<(Option<i64>, String)>, kube::Error>
where
    K: super::watch::ProviderObject,
{
    let written = patch_status(api, &meta, old, new).await?;
    Ok(written.map(|written: K| {
        (
            written.meta().generation,
            written.resource_version().unwrap_or_default(),
        )
    }))
}
