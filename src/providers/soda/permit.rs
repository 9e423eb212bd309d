//! What grants for SODA allow, in the words of Keystone: it is Keystone that says whose a login is, and
//! which project and roles it has.

use super::config::{self, Ask};
use crate::{
    api::{
        keystone::{KeystoneGrant, KeystoneKind},
        provider::Grant,
        soda::{SodaGrant, SodaKind},
    },
    providers::Permission,
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
        config::may_allow(soda, ask).is_ok().then(|| Grant {
            keystone: Some(pairs(soda)),
            ..Grant::default()
        })
    });
    Permission {
        grants: grants.collect(),
        ..permission.clone()
    }
}
