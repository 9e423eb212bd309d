//! Whether a request's provider may be asked, and how: the provider is there, it can be used, and a
//! grant is about what is asked for.

use std::{collections::BTreeMap, sync::Arc};

use kube::core::SelectorExt;

use super::{
    context::Context,
    key::{ProviderKey, RequestKey},
    link::Link,
};
use crate::{
    api::{Reason, reference::ProviderKind},
    plan::{Access, Gate, Refusal},
    providers::{Ask, Connection, Permission, System},
    secret::Owner,
};

/// Whether and how the provider may be asked for a credential.
pub(super) struct Admission {
    pub(super) gate: Gate,
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) permission: Option<Permission>,
    /// Whether the request's Secret is the one that the provider logs in with.
    pub(super) is_login: bool,
}

impl From<Gate> for Admission {
    fn from(gate: Gate) -> Self {
        Admission {
            gate,
            connection: None,
            permission: None,
            is_login: false,
        }
    }
}

/// A provider that is not there revokes nothing; when it is declared anew, it may.
pub(super) fn gone(provider: &ProviderKey) -> Access {
    Access::Closed {
        obstacle: Refusal::new(
            Reason::ProviderNotFound,
            format!("{provider} is not there, which would have to revoke it"),
        ),
        login_is_gone: true,
    }
}

/// Whether the provider may be asked, and how.
pub(super) fn gate(
    context: &Context,
    key: &RequestKey,
    provider: &ProviderKey,
    link: Option<&Link>,
    ask: Option<&Ask>,
    owner: &Owner,
    was_served: bool,
) -> Admission {
    let Some(link) = link else {
        return Gate::Refused(missing(key, provider)).into();
    };
    let declared = link.declared();
    if declared.spec.is_err()
        && provider.kind == ProviderKind::ClusterCredentialProvider
        && !was_served
    {
        // Grants that cannot be read allow nothing. Whoever was served before knows the provider,
        // and is told what is wrong with it.
        return Gate::Refused(not_allowed(key, provider)).into();
    }
    let (mut permission, mut is_login) = (None, false);
    if let (Ok(spec), Some(ask)) = (&declared.spec, ask) {
        let Some(labels) = context.namespaces.labels(&key.namespace) else {
            // The namespace is as new as the request; its event wakes the request.
            return Gate::Checking.into();
        };
        match allowed(&labels, key, provider, spec, ask) {
            Ok(allowed) => permission = Some(allowed),
            Err(refusal) => return Gate::Refused(refusal).into(),
        }
        if let Ok((system, reach)) = System::read(spec) {
            if let Err(refusal) = system.offers(ask) {
                return Gate::Refused(refusal).into();
            }
            let lies_in = reach.login.namespace.or_else(|| provider.namespace.clone());
            is_login =
                lies_in.as_ref() == Some(&key.namespace) && reach.login.name == owner.secret_name;
            if let Some(permission) = &mut permission {
                permission.is_login = is_login;
                // A Secret that goes with its request would take the login along.
                permission.renews_login = is_login && owner.retain;
            }
        }
    }
    if declared.deleting {
        return Gate::Refused(Refusal::new(
            Reason::ProviderTerminating,
            format!("{provider} is being deleted and issues nothing any more"),
        ))
        .into();
    }
    let (gate, connection) = link.gate();
    let gate = match (gate, &permission) {
        // A failure for want of a grant is void when the grants are others.
        (Gate::Open { inputs }, Some(permission)) => Gate::Open {
            inputs: format!("{inputs}/{}", permission.digest()),
        },
        (gate, _) => gate,
    };
    Admission {
        gate,
        connection,
        permission,
        is_login,
    }
}

/// Whoever may not use a cluster provider is not told whether it exists.
fn missing(key: &RequestKey, provider: &ProviderKey) -> Refusal {
    match provider.kind {
        ProviderKind::ClusterCredentialProvider => not_allowed(key, provider),
        ProviderKind::CredentialProvider => Refusal::new(
            Reason::ProviderNotFound,
            format!(
                "spec.providerRef: there is no {} {} in namespace {}",
                provider.kind, provider.name, key.namespace
            ),
        ),
    }
}

/// Why nothing can be revoked, for a request that never got anything and may have nothing: anybody can
/// write the operator's finalizer, and who may not use a cluster provider is told nothing about it.
pub(super) fn untold(access: Access, key: &RequestKey, provider: &ProviderKey) -> Access {
    match access {
        Access::Closed { login_is_gone, .. }
            if provider.kind == ProviderKind::ClusterCredentialProvider =>
        {
            Access::Closed {
                obstacle: not_allowed(key, provider),
                login_is_gone,
            }
        }
        access => access,
    }
}

fn not_allowed(key: &RequestKey, provider: &ProviderKey) -> Refusal {
    Refusal::new(
        Reason::NotAllowed,
        format!(
            "{provider} is not there, or none of its grants (spec.allow) lets namespace {} ask for this; ask whoever runs the operator",
            key.namespace
        ),
    )
}

fn allowed(
    labels: &BTreeMap<String, String>,
    key: &RequestKey,
    provider: &ProviderKey,
    spec: &crate::api::ProviderSpec,
    ask: &Ask,
) -> Result<Permission, Refusal> {
    let mut limit = None;
    let mut grants = Vec::new();
    for grant in &spec.allow {
        let here = match (&grant.namespaces, provider.kind) {
            (None, ProviderKind::CredentialProvider) => true,
            (Some(selector), ProviderKind::ClusterCredentialProvider) => {
                // A selector that cannot be read grants nothing.
                kube::core::Selector::try_from(selector.clone())
                    .is_ok_and(|selector| selector.matches(labels))
            }
            _ => false,
        };
        if here {
            match ask.may_be_allowed_by(grant) {
                Ok(()) => grants.push(grant.clone()),
                Err(words) => limit = limit.or(words),
            }
        }
    }
    if !grants.is_empty() {
        return Ok(Permission {
            grants,
            refusal: not_allowed(key, provider),
            is_login: false,
            renews_login: false,
        });
    }
    Err(match limit {
        Some(words) => Refusal::new(
            Reason::NotAllowed,
            format!("the grants of {provider} do not reach that far: {words}"),
        ),
        None => not_allowed(key, provider),
    })
}
