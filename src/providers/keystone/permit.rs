//! Whether grants allow what is asked for, by what Keystone says about the login: the words of a
//! request are not enough, since a name can lead elsewhere.

use jiff::SignedDuration;

use super::{
    config::{Ask, What},
    names::{self, Domain, Entity, Named},
    session::Session,
};
use crate::{
    api::{Reason, keystone::NamePattern},
    plan::Failure,
    providers::{Permission, http::failed},
};

/// Whom a credential is for, and what it carries.
pub struct Bearer<'a> {
    /// A user other than the login's own.
    pub other_user: Option<&'a Entity>,
    /// The roles in the project.
    pub roles: &'a [String],
}

/// Whether one of the grants allows all of it.
///
/// # Errors
/// `NotAllowed`. What no grant is about gets the same words whether or not it exists.
pub fn check(
    permission: &Permission,
    ask: &Ask,
    session: &Session,
    bearer: &Bearer<'_>,
) -> Result<(), Failure> {
    let Some(project) = &session.project else {
        return Err(refused(permission));
    };
    let mut surplus = None;
    for grant in permission
        .grants
        .iter()
        .filter_map(|grant| grant.keystone.as_ref())
    {
        let about_this = super::config::may_allow(grant, ask).is_ok()
            && grant
                .projects
                .iter()
                .any(|pattern| names::matches(pattern, project))
            && bearer.other_user.is_none_or(|user| {
                let mut users = grant.users.iter().flatten();
                users.any(|pattern| names::matches(pattern, user))
            });
        if !about_this {
            continue;
        }
        // Of an application credential those roles that are asked for; they are among the login's.
        let carried = match &ask.what {
            What::ApplicationCredential(asked) => asked.roles.as_deref().unwrap_or(bearer.roles),
            What::AccessKey { .. } | What::Token => bearer.roles,
        };
        let too_much = carried.iter().find(|role| !grant.roles.contains(role));
        match too_much {
            None => match too_long(grant.max_lifetime.as_ref(), ask, session) {
                None => return Ok(()),
                Some(words) => surplus = surplus.or(Some(words)),
            },
            Some(role) => {
                surplus = surplus.or(Some(format!(
                    "the credential would carry role {role}, which is not among the grant's roles; every credential carries \
                     the roles that its user has in the project"
                )));
            }
        }
    }
    Err(match surplus {
        Some(words) => failed(
            Reason::NotAllowed,
            format!("the grants of the provider do not reach that far: {words}"),
        ),
        None => refused(permission),
    })
}

/// A token lives as long as Keystone says.
fn too_long(
    longest: Option<&crate::api::types::Duration>,
    ask: &Ask,
    session: &Session,
) -> Option<String> {
    let longest: SignedDuration = longest?.to_signed().ok()?;
    let life = session.expires_at.duration_since(session.issued_at);
    (matches!(ask.what, What::Token) && life > longest).then(|| {
        format!(
            "tokens of this Keystone live {life:#}, and {longest:#} is the longest that is allowed"
        )
    })
}

/// The words for what no grant is about.
pub fn refused(permission: &Permission) -> Failure {
    failed(permission.refusal.reason, &permission.refusal.message)
}

/// What a project that the login may not enter is told as: where the words of the request alone show
/// that a grant is about it, what Keystone said; otherwise the same as for one that no grant is about.
pub fn scope_refused(permission: &Permission, asked: &Named, failure: Failure) -> Failure {
    let mut projects = permission
        .grants
        .iter()
        .filter_map(|grant| grant.keystone.as_ref())
        .flat_map(|grant| &grant.projects);
    let granted = projects.any(|pattern| surely_matches(pattern, asked));
    if failure.reason != Reason::ScopeRefused || granted {
        failure
    } else {
        refused(permission)
    }
}

/// Whether a pattern is about what is asked for by their words alone.
fn surely_matches(pattern: &NamePattern, asked: &Named) -> bool {
    let same_kind = match asked {
        Named::Id(_) => pattern.id.is_some(),
        Named::Name(_, Domain::Name(_)) => pattern.name.is_some() && pattern.domain.is_some(),
        Named::Name(_, Domain::Id(_)) => pattern.name.is_some() && pattern.domain_id.is_some(),
    };
    same_kind && names::may_match(pattern, asked)
}
