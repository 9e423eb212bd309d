//! What grants for SODA allow, in the words of Keystone: it is Keystone that says whose a login is, and
//! which project and roles it has.

use super::config::{Ask, FIELD, Way};
use crate::{
    api::{
        keystone::{KeystoneGrant, KeystoneKind},
        provider::Grant,
        soda::{SodaGrant, SodaKind},
    },
    providers::{Permission, keystone},
};

/// The pairs that a grant is about, as a grant for Keystone.
pub fn pairs(grant: &SodaGrant) -> KeystoneGrant {
    let kinds = grant.kinds.iter().map(|kind| match kind {
        SodaKind::AccessKey => KeystoneKind::AccessKey,
    });
    KeystoneGrant {
        kinds: kinds.collect(),
        projects: grant.projects.clone(),
        roles: grant.roles.clone(),
        users: None,
        max_lifetime: grant.max_lifetime.clone(),
        unrestricted: None,
    }
}

/// A permission to ask Keystone with, of the grants that may be about what is asked for.
pub fn at_keystone(permission: &Permission, ask: &Ask) -> Permission {
    let grants = permission.grants.iter();
    let grants = grants.filter_map(|grant| {
        let soda = grant.soda.as_ref()?;
        may_allow(soda, ask).is_ok().then(|| Grant {
            keystone: Some(pairs(soda)),
            ..Grant::default()
        })
    });
    Permission {
        grants: grants.collect(),
        ..permission.clone()
    }
}

/// Whether a grant may allow what is asked for, as far as its words tell.
///
/// # Errors
/// With words about the limit that is exceeded.
pub fn may_allow(grant: &SodaGrant, ask: &Ask) -> Result<(), Option<String>> {
    let unlimited = SodaGrant {
        max_lifetime: None,
        ..grant.clone()
    };
    keystone::config::may_allow(&pairs(&unlimited), &ask.pair)?;
    let (allowed, what) = match &ask.way {
        Way::Keystone => return keystone::config::may_allow(&pairs(grant), &ask.pair),
        Way::Soda { .. } => (grant.issue_through_soda, "issueThrough: Soda"),
        Way::Adopt { .. } => (grant.adopt, "adopt: true"),
    };
    if allowed != Some(true) {
        return Err(Some(format!("{FIELD}.{what} is not allowed")));
    }
    if ask.way == (Way::Soda { ends_all: true }) && grant.delete_all != Some(true) {
        return Err(Some(format!(
            "{FIELD}.onDelete: DeleteAllKeysOfUser is not allowed"
        )));
    }
    if grant.max_lifetime.is_some() {
        return Err(Some(format!(
            "with {FIELD}.{what} a pair has no end that could be held against the longest life that is allowed"
        )));
    }
    Ok(())
}
