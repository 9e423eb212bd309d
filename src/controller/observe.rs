//! Observe: read what is needed into one plain struct.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt, core::SelectorExt};

use super::{
    context::Context,
    key::{ProviderKey, RequestKey},
    link::{Link, newer},
    memory::{CallState, Came},
};
use crate::{
    api::{CredentialRequest, Reason, annotations, reference::ProviderKind, validate},
    plan::{
        Damage, Done, Gate, InHand, Observed, Proof, Recorded, Refusal, Request, Target, Wanted,
        schedule,
    },
    providers::{Ask, Connection, System, http::failed},
    secret::{self, Known, Owner, SecretData},
};

/// One pass over one request: what was observed, and what is needed to act upon it.
pub struct Pass {
    /// What all passes share.
    pub context: Arc<Context>,
    /// Which request.
    pub key: RequestKey,
    /// The request as it was last known.
    pub request: Arc<CredentialRequest>,
    /// Its provider.
    pub provider: ProviderKey,
    /// What is needed to recognise and write its Secret.
    pub owner: Owner,
    /// What it asks for.
    pub ask: Option<Ask>,
    /// Its provider, if there is one.
    pub link: Option<Arc<Link>>,
    /// The connection to it, if it can be used.
    pub connection: Option<Arc<Connection>>,
    /// The permit to call it.
    pub permit: Option<super::budget::Permit>,
    /// What is known of the Secret.
    pub known: Option<Known>,
    /// The Secret, if it was read in this pass.
    pub secret: Option<Secret>,
    /// All keys of a damaged Secret, if they could be recovered.
    pub recovered: Option<SecretData>,
    /// What the plan sees.
    pub seen: Observed,
}

impl Pass {
    /// Begins a pass, from what is remembered and without asking anybody. `None` when `cached` is
    /// older than what the operator itself wrote, and the store has the newer one by now.
    pub fn begin(context: &Arc<Context>, cached: &Arc<CredentialRequest>) -> Option<Pass> {
        let key = RequestKey {
            namespace: cached.namespace()?,
            name: cached.name_any(),
        };
        let uid = cached.uid()?;
        let request = newest(context, &key, &uid, cached)?;
        let provider = ProviderKey::of(&request.spec.provider_ref, &key.namespace);
        let ask = Ask::read(&request.spec);
        let owner = Owner {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: uid.clone(),
            provider: request.spec.provider_ref.to_string(),
            credential: ask.as_ref().map_or("", Ask::credential).to_owned(),
            secret_name: validate::target_name(&request.spec, &key.name),
        };
        let link = context.links.get(&provider);
        let was_served = request
            .status
            .as_ref()
            .is_some_and(|status| !status.credentials.is_empty());
        let (gate, connection) = gate(
            context,
            &key,
            &provider,
            link.as_deref(),
            ask.as_ref().ok(),
            was_served,
        );
        let facts = facts(&request, &uid, &ask);
        let recorded = recorded(&request);
        let mut pass = Pass {
            context: Arc::clone(context),
            key,
            provider,
            owner,
            ask: ask.ok(),
            link,
            connection,
            permit: None,
            known: None,
            secret: None,
            recovered: None,
            seen: Observed {
                request: facts,
                gate,
                target: Target::Unknown,
                recorded,
                in_hand: None,
                call_under_way: false,
                queued: None,
                replacements: Vec::new(),
                repairs: Vec::new(),
                done: Done::default(),
            },
            request,
        };
        pass.recall();
        Some(pass)
    }

    /// Takes up what is remembered of the request.
    fn recall(&mut self) {
        let virgin = self
            .request
            .status
            .as_ref()
            .is_none_or(|status| status.credentials.is_empty() && status.conditions.is_empty());
        let came = self.context.memory.with(&self.key, |remembered| {
            remembered
                .about(&self.owner.uid)
                .with_secret(&self.owner.secret_name);
            self.seen.replacements.clone_from(&remembered.replacements);
            self.seen.repairs.clone_from(&remembered.repairs);
            self.seen.in_hand = remembered.in_hand.clone();
            self.known.clone_from(&remembered.known);
            self.seen.target = target(remembered, virgin);
            match std::mem::take(&mut remembered.call) {
                CallState::UnderWay => {
                    remembered.call = CallState::UnderWay;
                    self.seen.call_under_way = true;
                    None
                }
                CallState::Back(came) => Some(came),
                CallState::None => None,
            }
        });
        if let Some(came) = came {
            self.take(*came);
        }
    }

    /// Takes what came back from a provider.
    pub fn take(&mut self, came: Came) {
        match came {
            Came::Issued(Ok(issued), purpose) => {
                let mut credential = issued.credential;
                credential.serial = purpose.serial;
                credential.asked = purpose.asked;
                credential.rotation = purpose.rotation;
                self.seen.in_hand = Some(InHand {
                    credential,
                    data: issued.data,
                    proof: Proof::Missing,
                });
            }
            Came::Proof(Ok(proof)) => {
                if let Some(in_hand) = &mut self.seen.in_hand {
                    in_hand.proof = proof;
                }
                if proof == Proof::Refused {
                    self.fail(failed(
                        Reason::VerificationFailed,
                        "the provider issued a credential and then refused it; it is not published",
                    ));
                }
            }
            Came::Issued(Err(failure), ..) | Came::Proof(Err(failure)) => self.fail(failure),
        }
        let in_hand = self.seen.in_hand.clone();
        self.context
            .memory
            .with(&self.key, |remembered| remembered.in_hand = in_hand);
    }

    /// Looks at the Secret.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn look(&mut self) -> Result<(), kube::Error> {
        let api: Api<Secret> = Api::namespaced(self.context.client.clone(), &self.key.namespace);
        let found = api.get_opt(&self.owner.secret_name).await?;
        self.looked(found);
        Ok(())
    }

    /// Looks whether the Secret is marked immutable, after a write to it was refused: as long as
    /// nothing has to be written, nobody minds.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn find_immutable(&mut self) -> Result<bool, kube::Error> {
        self.look().await?;
        let marked = self.secret.as_ref().and_then(|secret| secret.immutable) == Some(true);
        if let (true, Target::Ours(published)) = (marked, &self.seen.target) {
            self.seen.target = Target::Immutable(published.clone());
        }
        Ok(marked)
    }

    /// Takes in what a look at the Secret has found.
    fn looked(&mut self, found: Option<Secret>) {
        let Some(secret) = found else {
            self.seen.target = Target::Absent;
            self.known = None;
            self.remember_target(None);
            return;
        };
        let endpoint = self.endpoint();
        let (target, known, recovered) = secret::classify(
            &secret,
            &self.owner,
            self.known.as_ref(),
            |found, credential| match (&self.ask, &endpoint) {
                (Some(ask), Some(endpoint)) => System::recover(ask, endpoint, found, credential),
                _ => Vec::new(),
            },
        );
        let whole = matches!(&target, Target::Ours(published) if published.damage == Damage::None);
        self.seen.target = target;
        self.recovered = recovered;
        self.known.clone_from(&known);
        self.secret = Some(secret);
        let foreign = known.is_none();
        self.context.memory.with(&self.key, |remembered| {
            if whole || foreign {
                remembered.known = known;
            }
            // Of a damaged one, what it should be is still remembered, and it is looked at again.
            remembered.must_look = !whole;
        });
    }

    fn endpoint(&self) -> Option<url::Url> {
        let declared = self.link.as_ref()?.declared();
        let (_, reach) = System::read(declared.spec.as_ref().ok()?).ok()?;
        Some(reach.endpoint)
    }

    /// Remembers the Secret as it is known now.
    pub fn remember_target(&mut self, known: Option<Known>) {
        self.context.memory.with(&self.key, |remembered| {
            remembered.must_look = false;
            remembered.known = known;
        });
    }

    /// Notes a failed attempt.
    pub fn fail(&mut self, failure: crate::plan::Failure) {
        let now = crate::clock::now();
        self.context.metrics.failure(failure.reason);
        self.seen.fail(failure, now);
    }
}

/// The request as the operator last wrote it, until the watch has caught up with that.
fn newest(
    context: &Context,
    key: &RequestKey,
    uid: &str,
    cached: &Arc<CredentialRequest>,
) -> Option<Arc<CredentialRequest>> {
    let version = cached.resource_version().unwrap_or_default();
    context.memory.with(key, |remembered| {
        let remembered = remembered.about(uid);
        match &remembered.written {
            Some(written) if newer(&written.resource_version().unwrap_or_default(), &version) => {
                Some(Arc::clone(written))
            }
            // The watch has caught up while this pass waited for its slot with what it had been
            // given before: by that, the status would be written a second time.
            None if newer(&remembered.written_version, &version) => None,
            _ => {
                remembered.written = None;
                Some(Arc::clone(cached))
            }
        }
    })
}

/// What is known of the Secret without looking.
fn target(remembered: &super::memory::Remembered, virgin: bool) -> Target {
    let known_version = remembered
        .known
        .as_ref()
        .and_then(|known| known.resource_version.parse::<u64>().ok());
    let news = remembered
        .heard
        .as_ref()
        .filter(|heard| known_version.is_none_or(|known| heard.version > known));
    match (&remembered.known, news) {
        _ if remembered.must_look => Target::Unknown,
        // Gone for certain: should it be back already, creating it tells.
        (Some(_), Some(heard)) if heard.gone => Target::Absent,
        (Some(_), Some(_)) => Target::Unknown,
        (Some(known), None) => Target::Ours(known.published(Damage::None)),
        (None, _) if virgin => Target::Unseen,
        (None, _) => Target::Unknown,
    }
}

fn facts(request: &CredentialRequest, uid: &str, ask: &Result<Ask, Refusal>) -> Request {
    let spec = ask.as_ref().map_err(Clone::clone).and_then(|ask| {
        let secret_name = validate::target_name(&request.spec, &request.name_any());
        validate::secret_name("spec.secret.name", &secret_name)?;
        let renewal = request.spec.renewal.clone().unwrap_or_default();
        Ok(Wanted {
            credential: ask.credential(),
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
        })
    });
    Request {
        name: request.name_any(),
        generation: request.metadata.generation.unwrap_or_default(),
        deleting: request.metadata.deletion_timestamp.is_some(),
        rotate: request.annotations().get(annotations::ROTATE).cloned(),
        spread: schedule::spread(uid),
        suspended: request.spec.suspend.unwrap_or(false),
        spec,
    }
}

fn recorded(request: &CredentialRequest) -> Recorded {
    let status = request.status.clone().unwrap_or_default();
    Recorded {
        serial: status
            .credentials
            .iter()
            .map(|record| record.serial)
            .max()
            .unwrap_or(0),
        rotated: status.rotated,
        failure: status.failure,
    }
}

/// Whether the provider may be asked, and how.
fn gate(
    context: &Context,
    key: &RequestKey,
    provider: &ProviderKey,
    link: Option<&Link>,
    ask: Option<&Ask>,
    was_served: bool,
) -> (Gate, Option<Arc<Connection>>) {
    let Some(link) = link else {
        return (Gate::Refused(missing(key, provider)), None);
    };
    let declared = link.declared();
    if declared.spec.is_err()
        && provider.kind == ProviderKind::ClusterCredentialProvider
        && !was_served
    {
        // Grants that cannot be read allow nothing. Whoever was served before knows the provider,
        // and is told what is wrong with it.
        return (Gate::Refused(not_allowed(key, provider)), None);
    }
    if let (Ok(spec), Some(ask)) = (&declared.spec, ask) {
        let Some(labels) = context.namespaces.labels(&key.namespace) else {
            // The namespace is as new as the request; its event wakes the request.
            return (Gate::Checking, None);
        };
        if let Err(refusal) = allowed(&labels, key, provider, spec, ask) {
            return (Gate::Refused(refusal), None);
        }
        if let Ok((system, _)) = System::read(spec)
            && let Err(refusal) = system.offers(ask)
        {
            return (Gate::Refused(refusal), None);
        }
    }
    link.gate()
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
) -> Result<(), Refusal> {
    let mut limit = None;
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
            match System::allows(grant, ask) {
                Ok(()) => return Ok(()),
                Err(words) => limit = limit.or(words),
            }
        }
    }
    Err(match limit {
        Some(words) => Refusal::new(
            Reason::NotAllowed,
            format!("the grants of {provider} do not reach that far: {words}"),
        ),
        None => not_allowed(key, provider),
    })
}
