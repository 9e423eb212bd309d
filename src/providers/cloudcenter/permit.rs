//! Whether grants allow what is asked for, by what CloudCenter says about the user: the words of a
//! request are not enough, since an e-mail address can lead elsewhere tomorrow.

use super::{
    config::{Ask, Whose},
    users::{Bearer, User},
};
use crate::{
    api::{
        Reason,
        cloudcenter::{CloudCenterGrant, CloudCenterKind, CloudCenterUserPattern},
    },
    plan::Failure,
    providers::{Permission, glob::glob, http::failed},
};

/// Whether a pattern for e-mail addresses is about this one.
fn is_about(pattern: &str, email: &str) -> bool {
    glob(&pattern.to_lowercase(), &email.to_lowercase())
}

/// Whether a grant may be about what is asked for, as far as the words tell.
pub fn may_allow(grant: &CloudCenterGrant, ask: &Ask) -> bool {
    // Whether a user is the login's own only CloudCenter knows, and so it is with an id and an address.
    let may_be = |users: &CloudCenterUserPattern| match (&ask.whose, &users.id, &users.email) {
        (Whose::Own, ..) => users.own == Some(true),
        (Whose::Id(asked), Some(id), _) => asked == id,
        (Whose::Email(asked), _, Some(email)) => is_about(email, asked),
        (Whose::Id(_) | Whose::Email(_), ..) => true,
    };
    is_about_it(grant, ask.regenerate) && grant.users.iter().any(may_be)
}

/// Whether a grant reaches as far as what is asked for, whoever the user is.
fn is_about_it(grant: &CloudCenterGrant, regenerate: bool) -> bool {
    grant.kinds.contains(&CloudCenterKind::ApiKey)
        && (!regenerate || grant.regenerate == Some(true))
}

/// Whether one of the grants allows it.
///
/// # Errors
/// `NotAllowed`, in the same words as for a user who does not exist.
pub fn check(permission: &Permission, bearer: &Bearer, regenerate: bool) -> Result<(), Failure> {
    let allows = |grant: &CloudCenterGrant| {
        is_about_it(grant, regenerate) && grant.users.iter().any(|users| is_for(users, bearer))
    };
    let mut grants = permission.grants.iter();
    if grants.any(|grant| grant.cloud_center.as_ref().is_some_and(allows)) {
        Ok(())
    } else {
        Err(refused(permission))
    }
}

/// The login's own key is that of somebody who may read all others', so it is allowed by its own word
/// alone: a pattern for addresses that happens to fit the admin's must not give it away.
fn is_for(users: &CloudCenterUserPattern, bearer: &Bearer) -> bool {
    match bearer {
        Bearer::Own => users.own == Some(true),
        Bearer::Other(User { id, email, .. }) => {
            users.id.as_ref() == Some(id)
                || users
                    .email
                    .as_ref()
                    .zip(email.as_ref())
                    .is_some_and(|(pattern, email)| is_about(pattern, email))
        }
    }
}

/// The words for a new key of the very user that the operator logs in as.
pub fn would_break_login() -> Failure {
    failed(
        Reason::WouldBreakLogin,
        "spec.cloudCenter.apiKey.onRotate: the user is the one that the operator logs in as, and a new key would shut it out; ask \
         with onRotate: Read, or have spec.secret.name be the login Secret, with its keys username and key, and deletionPolicy \
         Retain",
    )
}

/// The words for what no grant is about, and for what is not there.
pub fn refused(permission: &Permission) -> Failure {
    failed(permission.refusal.reason, &permission.refusal.message)
}

/// Whether the words of the request alone show that a grant is about it, so that what CloudCenter says
/// about that user tells nothing that the grant does not.
pub fn is_surely_granted(permission: &Permission, ask: &Ask) -> bool {
    let mut users = permission
        .grants
        .iter()
        .filter_map(|grant| grant.cloud_center.as_ref())
        .flat_map(|grant| &grant.users);
    match &ask.whose {
        Whose::Own => true,
        Whose::Id(asked) => users.any(|users| users.id.as_ref() == Some(asked)),
        Whose::Email(asked) => users.any(|users| {
            let email = users.email.as_ref();
            email.is_some_and(|pattern| is_about(pattern, asked))
        }),
    }
}
