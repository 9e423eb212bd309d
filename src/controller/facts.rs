//! What a request says, as the plan wants it.

use kube::ResourceExt;

use crate::{
    api::{CredentialRequest, REVOKE_FINALIZER, annotations, request::DeletionPolicy, validate},
    plan::{DEFAULT_OVERLAP, DEFAULT_REREAD, Recorded, Refusal, Request, Wanted, schedule},
    providers::{Ask, Kind},
};

/// What a request says, checked.
pub(super) fn facts(
    request: &CredentialRequest,
    uid: &str,
    ask: &Result<Ask, Refusal>,
    kind: Option<Kind>,
) -> Request {
    let spec = ask.as_ref().map_err(Clone::clone).and_then(|ask| {
        let secret_name = validate::target_name(&request.spec, &request.name_any());
        validate::secret_name("spec.secret.name", &secret_name)?;
        let renewal = request.spec.renewal.clone().unwrap_or_default();
        Ok(Wanted {
            credential: kind.map_or("", Kind::name),
            digest: ask.digest(),
            secret_name,
            renew_before: validate::duration(
                "spec.renewal.renewBefore",
                renewal.renew_before.as_ref(),
            )?,
            rotate_every: validate::duration(
                "spec.renewal.rotateEvery",
                renewal.rotate_every.as_ref(),
            )?,
            overlap: validate::duration("spec.renewal.overlap", renewal.overlap.as_ref())?
                .unwrap_or(DEFAULT_OVERLAP),
            verify_every: validate::duration(
                "spec.renewal.verifyEvery",
                renewal.verify_every.as_ref(),
            )?
            .or_else(|| {
                kind.is_some_and(|kind| kind.traits().fetched)
                    .then_some(DEFAULT_REREAD)
            }),
            ends: ask.ends(),
            regenerate: kind.is_some_and(|kind| kind.traits().regenerable) && ask.regenerates(),
        })
    });
    let annotation = |name: &str| request.annotations().get(name).cloned();
    Request {
        name: request.name_any(),
        // Known when the provider is looked at, as is the namespace below.
        provider: String::new(),
        generation: request.metadata.generation.unwrap_or_default(),
        deleting: request
            .metadata
            .deletion_timestamp
            .as_ref()
            .map(|time| time.0),
        // Known to the caller.
        namespace_deleting: false,
        finalizer: request
            .finalizers()
            .iter()
            .any(|finalizer| finalizer == REVOKE_FINALIZER),
        traits: kind.map(Kind::traits).unwrap_or_default(),
        retain: request.spec.deletion_policy == Some(DeletionPolicy::Retain),
        rotate: annotation(annotations::ROTATE),
        revoke_retiring: annotation(annotations::REVOKE_RETIRING),
        abandon: annotation(annotations::ABANDON)
            .iter()
            .flat_map(|ids| ids.split_whitespace())
            .map(str::to_owned)
            .collect(),
        spread: schedule::spread(uid),
        suspended: request.spec.suspend.unwrap_or(false),
        spec,
    }
}

/// What its status says.
pub(super) fn recorded(request: &CredentialRequest) -> Recorded {
    let status = request.status.clone().unwrap_or_default();
    Recorded {
        told: !status.conditions.is_empty(),
        credentials: status
            .credentials
            .into_iter()
            .filter(|record| is_countable(record.serial))
            .collect(),
        last_serial: status
            .last_serial
            .filter(|serial| is_countable(*serial))
            .unwrap_or(0),
        expires_at: status.expires_at,
        rotated: status.rotated,
        revoked_retiring: status.revoked_retiring,
        regeneration: status.regeneration,
        used_rotations: status.used_rotations,
        failure: status.failure,
        revocation_failure: status.revocation_failure,
        write_failure: status.write_failure,
    }
}

/// Nobody has counted further.
fn is_countable(serial: u64) -> bool {
    serial < 1 << 53
}
