//! The same for the grants of providers.

use super::{Refusal, duration, invalid, within};
use crate::api::{
    cloudcenter::{CloudCenterGrant, CloudCenterUserPattern, is_pattern},
    cloudmc::CloudMcGrant,
    dce::{DceGrant, MAX_CYCLE},
    keystone::{KeystoneGrant, NamePattern},
    names::is_id,
    provider::Grant,
    rules,
    soda::SodaGrant,
};

/// Checks a grant.
///
/// # Errors
/// `InvalidSpec` with the field and what is wrong with it.
pub(super) fn check(field: &str, grant: &Grant) -> Result<(), Refusal> {
    let expressions = grant
        .namespaces
        .iter()
        .flat_map(|selector| selector.match_expressions.iter().flatten());
    for expression in expressions {
        let has_values = expression
            .values
            .as_ref()
            .is_some_and(|values| !values.is_empty());
        let meant = match expression.operator.as_str() {
            "In" | "NotIn" => has_values,
            "Exists" | "DoesNotExist" => !has_values,
            _ => false,
        };
        if !meant {
            let field = format!("{field}.namespaces.matchExpressions");
            return Err(invalid(
                &field,
                "In and NotIn need values, Exists and DoesNotExist have none, and there is no other operator",
            ));
        }
    }
    let named = [
        grant.dce.is_some(),
        grant.keystone.is_some(),
        grant.cloud_mc.is_some(),
        grant.cloud_center.is_some(),
        grant.soda.is_some(),
    ];
    if !named.contains(&true) {
        return Err(invalid(
            field,
            format!("name what is allowed, one of: {}", rules::systems()),
        ));
    }
    if let Some(keystone) = &grant.keystone {
        keystone_grant(&format!("{field}.keystone"), keystone)?;
    }
    if let Some(cloud_mc) = &grant.cloud_mc {
        cloud_mc_grant(&format!("{field}.cloudMC"), cloud_mc)?;
    }
    if let Some(cloud_center) = &grant.cloud_center {
        cloud_center_grant(&format!("{field}.cloudCenter"), cloud_center)?;
    }
    if let Some(soda) = &grant.soda {
        soda_grant(&format!("{field}.soda"), soda)?;
    }
    match &grant.dce {
        Some(dce) => dce_grant(&format!("{field}.dce"), dce),
        None => Ok(()),
    }
}

fn dce_grant(field: &str, grant: &DceGrant) -> Result<(), Refusal> {
    if grant.kinds.is_empty() {
        return Err(invalid(&format!("{field}.kinds"), "name at least one kind"));
    }
    duration(&format!("{field}.maxLifetime"), grant.max_lifetime.as_ref())?;
    within(
        &format!("{field}.maxCycle"),
        grant.max_cycle.map(i32::from),
        1..=i32::from(MAX_CYCLE),
    )
}

fn cloud_mc_grant(field: &str, grant: &CloudMcGrant) -> Result<(), Refusal> {
    no_list_is_empty(
        field,
        &[
            ("kinds", grant.kinds.is_empty()),
            ("connections", grant.connections.is_empty()),
            ("environments", grant.environments.is_empty()),
            (
                "organizations",
                grant.organizations.as_ref().is_some_and(Vec::is_empty),
            ),
        ],
    )?;
    for (name, patterns) in [
        ("connections", grant.connections.as_slice()),
        ("environments", grant.environments.as_slice()),
        (
            "organizations",
            grant.organizations.as_deref().unwrap_or_default(),
        ),
    ] {
        if patterns
            .iter()
            .any(|pattern| pattern.id.is_some() == pattern.name.is_some())
        {
            return Err(invalid(
                &format!("{field}.{name}"),
                "state either id or name",
            ));
        }
    }
    Ok(())
}

fn no_list_is_empty(field: &str, lists: &[(&str, bool)]) -> Result<(), Refusal> {
    match lists.iter().find(|(_, is_empty)| *is_empty) {
        Some((name, _)) => Err(invalid(
            &format!("{field}.{name}"),
            "must have at least one entry",
        )),
        None => Ok(()),
    }
}

fn keystone_grant(field: &str, grant: &KeystoneGrant) -> Result<(), Refusal> {
    no_list_is_empty(
        field,
        &[
            ("kinds", grant.kinds.is_empty()),
            ("projects", grant.projects.is_empty()),
            ("roles", grant.roles.is_empty()),
        ],
    )?;
    within_domains(&format!("{field}.projects"), &grant.projects)?;
    let users = grant.users.as_deref().unwrap_or_default();
    within_domains(&format!("{field}.users"), users)?;
    duration(&format!("{field}.maxLifetime"), grant.max_lifetime.as_ref()).map(drop)
}

fn soda_grant(field: &str, grant: &SodaGrant) -> Result<(), Refusal> {
    no_list_is_empty(
        field,
        &[
            ("kinds", grant.kinds.is_empty()),
            ("projects", grant.projects.is_empty()),
            ("roles", grant.roles.is_empty()),
        ],
    )?;
    within_domains(&format!("{field}.projects"), &grant.projects)?;
    duration(&format!("{field}.maxLifetime"), grant.max_lifetime.as_ref()).map(drop)
}

/// Names go with a domain, ids without.
fn within_domains(field: &str, patterns: &[NamePattern]) -> Result<(), Refusal> {
    let is_fit = |pattern: &NamePattern| {
        let named = pattern.name.is_some();
        let domains =
            usize::from(pattern.domain.is_some()) + usize::from(pattern.domain_id.is_some());
        named != pattern.id.is_some() && domains == usize::from(named)
    };
    if patterns.iter().all(is_fit) {
        Ok(())
    } else {
        Err(invalid(
            field,
            "state either id, or name with one of domain and domainID",
        ))
    }
}

fn cloud_center_grant(field: &str, grant: &CloudCenterGrant) -> Result<(), Refusal> {
    no_list_is_empty(
        field,
        &[
            ("kinds", grant.kinds.is_empty()),
            ("users", grant.users.is_empty()),
        ],
    )?;
    let is_valid = |users: &CloudCenterUserPattern| match (&users.id, &users.email, users.own) {
        (Some(id), None, None) => is_id(id),
        (None, Some(email), None) => is_pattern(email),
        (None, None, Some(own)) => own,
        _ => false,
    };
    if grant.users.iter().all(is_valid) {
        Ok(())
    } else {
        Err(invalid(
            &format!("{field}.users"),
            "state exactly one of: id, email (in which '*' stands for any text), self: true",
        ))
    }
}
