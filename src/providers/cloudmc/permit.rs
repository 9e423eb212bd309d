//! Whether grants allow what is asked for, by what CloudMC says a connection and an environment are: the
//! words of a request are not enough, since an id has no name and a name can lead elsewhere.

use super::{
    config::{self, Ask},
    names::{self, Entity, Named},
};
use crate::{
    api::cloudmc::{CloudMcGrant, CloudMcPattern},
    plan::Failure,
    providers::{Permission, http::failed},
};

/// The grants that may be about what is asked for.
fn grants<'a>(permission: &'a Permission, ask: &'a Ask) -> impl Iterator<Item = &'a CloudMcGrant> {
    let grants = permission.grants.iter();
    grants
        .filter_map(|grant| grant.cloud_mc.as_ref())
        .filter(|grant| config::may_allow(grant, ask))
}

fn any_matches(patterns: &[CloudMcPattern], entity: &Entity) -> bool {
    patterns
        .iter()
        .any(|pattern| names::matches(pattern, entity))
}

/// Whether the words of a request alone show that one of the patterns is about it.
fn surely_matches(patterns: &[CloudMcPattern], asked: &Named) -> bool {
    patterns
        .iter()
        .any(|pattern| names::matches_words(pattern, asked) == Some(true))
}

/// Whether a grant is about the organization of an environment.
fn is_within(grant: &CloudMcGrant, environment: &Entity) -> bool {
    let organization = environment.organization.as_deref();
    grant
        .organizations
        .as_ref()
        .is_none_or(|patterns| organization.is_some_and(|one| any_matches(patterns, one)))
}

/// Whether a grant that may be about what is asked for is about the organization of an environment.
pub fn may_be_within(permission: &Permission, ask: &Ask, environment: &Entity) -> bool {
    grants(permission, ask).any(|grant| is_within(grant, environment))
}

/// Whether one of the grants is about both.
///
/// # Errors
/// The words for what no grant is about.
pub fn check(
    permission: &Permission,
    ask: &Ask,
    connection: &Entity,
    environment: &Entity,
) -> Result<(), Failure> {
    let allowed = grants(permission, ask).any(|grant| {
        any_matches(&grant.connections, connection)
            && any_matches(&grant.environments, environment)
            && is_within(grant, environment)
    });
    if allowed {
        Ok(())
    } else {
        Err(refused(permission))
    }
}

/// Whether one of the grants names both by the ids that are asked for: then there is nothing about them
/// that CloudMC would have to tell.
pub fn by_ids(permission: &Permission, ask: &Ask) -> bool {
    let is_named = |patterns: &[CloudMcPattern], asked: &Named| {
        matches!(asked, Named::Id(_)) && surely_matches(patterns, asked)
    };
    grants(permission, ask).any(|grant| {
        grant.organizations.is_none()
            && is_named(&grant.connections, &ask.connection)
            && is_named(&grant.environments, &ask.environment)
    })
}

/// What a request is told of a connection that cannot be used, or, with `connection`, of an environment:
/// where a grant is about it by the words of the request alone, what CloudMC said; otherwise the same as
/// of one that no grant is about.
pub fn told(
    permission: &Permission,
    ask: &Ask,
    connection: Option<&Entity>,
    failure: Failure,
) -> Failure {
    let granted = grants(permission, ask).any(|grant| match connection {
        None => surely_matches(&grant.connections, &ask.connection),
        Some(connection) => {
            grant.organizations.is_none()
                && any_matches(&grant.connections, connection)
                && surely_matches(&grant.environments, &ask.environment)
        }
    });
    if granted {
        failure
    } else {
        refused(permission)
    }
}

/// The words for what no grant is about.
fn refused(permission: &Permission) -> Failure {
    failed(permission.refusal.reason, &permission.refusal.message)
}
