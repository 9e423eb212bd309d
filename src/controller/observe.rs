//! Observe: read what is needed into one plain struct.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};

use super::{
    admission::{Admission, gate, gone, untold},
    context::Context,
    facts::{facts, recorded},
    key::{ProviderKey, RequestKey},
    link::{Link, newer},
    memory::{CallState, Failures, Remembered},
    orphans::Busy,
    refused,
};
use crate::{
    api::{CredentialRequest, Reason, request::DeletionPolicy, validate},
    clock,
    plan::{Damage, Done, Observed, Probe, Recorded, Target, finalizer::Additions},
    providers::{Ask, Connection, Kind, Permission},
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
    /// The connection to revoke with, which no grant has to allow.
    pub revoking: Option<Arc<Connection>>,
    /// The grants that reach the request.
    pub permission: Option<Permission>,
    /// What kind of credential it asks for.
    pub kind: Option<Kind>,
    /// The permit to call it.
    pub permit: Option<Arc<super::budget::Permit>>,
    /// What is known of the Secret.
    pub known: Option<Known>,
    /// The Secret, if it was read in this pass.
    pub secret: Option<Secret>,
    /// All keys of a damaged Secret, if they could be recovered.
    pub recovered: Option<SecretData>,
    /// What the plan sees.
    pub seen: Observed,
    /// Keeps the revocations of a request that is gone waiting until this pass has ended.
    pub busy: Busy,
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
        // First, so that a request which goes from here on waits for the end of this pass.
        let busy = context.orphans.enter(&uid)?;
        let request = newest(context, &key, &uid, cached)?;
        let mut pass = Pass::of(context, key, uid, request, busy);
        pass.recall();
        Some(pass)
    }

    /// The facts that follow from a request and its provider alone, without the memory.
    pub(super) fn of(
        context: &Arc<Context>,
        key: RequestKey,
        uid: String,
        request: Arc<CredentialRequest>,
        busy: Busy,
    ) -> Pass {
        let provider = ProviderKey::of(&request.spec.provider_ref, &key.namespace);
        let ask = Ask::read(&request.spec);
        let kind = Kind::of(&request.spec);
        let mut owner = Owner {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: uid.clone(),
            provider: request.spec.provider_ref.to_string(),
            credential: kind.map_or("", Kind::name).to_owned(),
            secret_name: validate::target_name(&request.spec, &key.name),
            retain: request.spec.deletion_policy == Some(DeletionPolicy::Retain),
            // Known when the provider is looked at.
            is_login: false,
        };
        let link = context.links.get(&provider);
        let was_served = request
            .status
            .as_ref()
            .is_some_and(|status| !status.credentials.is_empty());
        let Admission {
            gate,
            connection,
            permission,
            is_login,
        } = gate(
            context,
            &key,
            &provider,
            link.as_deref(),
            ask.as_ref().ok(),
            &owner,
            was_served,
        );
        let (access, revoking) = match &link {
            Some(link) => link.access(),
            None => (gone(&provider), None),
        };
        let access = if was_served || permission.is_some() {
            access
        } else {
            untold(access, &key, &provider)
        };
        let mut facts = facts(&request, &uid, &ask, kind);
        facts.provider = provider.to_string();
        facts.namespace_deleting = context.namespaces.is_going(&key.namespace);
        owner.is_login = is_login;
        let recorded = recorded(&request);
        let seen = Observed {
            request: facts,
            gate,
            access,
            provider_held: link.as_ref().is_some_and(|link| link.declared().is_held()),
            additions: Additions::default(),
            is_let_go: false,
            target: Target::Unknown,
            looked: false,
            recorded,
            in_hand: None,
            call_under_way: false,
            queued: None,
            left_alone: link.as_ref().and_then(|link| link.budget.left_alone()),
            taken: BTreeSet::new(),
            stuck: BTreeSet::new(),
            leftovers: BTreeSet::new(),
            announced: None,
            announced_now: false,
            revocations: BTreeMap::new(),
            probe: Probe::default(),
            give_up_after: SignedDuration::try_from(context.settings.give_up_after)
                .unwrap_or(SignedDuration::MAX),
            replacements: Vec::new(),
            repairs: Vec::new(),
            done: Done::default(),
        };
        Pass {
            context: Arc::clone(context),
            key,
            provider,
            owner,
            ask: ask.ok(),
            link,
            connection,
            revoking,
            permission,
            kind,
            permit: None,
            known: None,
            secret: None,
            recovered: None,
            seen,
            request,
            busy,
        }
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
            if let Some(failures) = remembered.failures.clone() {
                self.seen.recorded.failure = failures.issue;
                self.seen.recorded.revocation_failure = failures.revoke;
                self.seen.recorded.write_failure = failures.write;
            }
            self.seen.taken.clone_from(&remembered.taken);
            self.seen.stuck.clone_from(&remembered.stuck);
            self.seen.leftovers.clone_from(&remembered.leftovers);
            self.seen.announced.clone_from(&remembered.announced);
            self.seen.additions.clone_from(&remembered.additions);
            self.seen.is_let_go = remembered.is_let_go;
            self.seen.revocations.clone_from(&remembered.revocations);
            let layout = self.link.as_ref().and_then(|link| link.layout());
            self.seen.target = target(remembered, &self.owner, layout.as_deref(), virgin);
            self.seen.probe = probe(remembered, self.seen.published().map(|it| it.serial));
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

    /// Keeps for later passes what this one knows and a Secret or a status does not hold.
    pub fn remember(&self) {
        let seen = &self.seen;
        let serial = seen.published().map_or(0, |published| published.serial);
        self.context.memory.with(&self.key, |remembered| {
            remembered.in_hand = seen.in_hand.clone();
            remembered.failures = Some(failures(&seen.recorded));
            remembered.taken.clone_from(&seen.taken);
            remembered.stuck.clone_from(&seen.stuck);
            remembered.leftovers.clone_from(&seen.leftovers);
            remembered.announced.clone_from(&seen.announced);
            remembered.additions.clone_from(&seen.additions);
            remembered.is_let_go = seen.is_let_go;
            remembered.revocations.clone_from(&seen.revocations);
            if serial > 0 {
                remembered.probe = (serial, seen.probe);
            }
        });
    }

    /// Reads the Secret. Says whether the API server let it be read; a refusal is noted.
    pub async fn look(&mut self) -> bool {
        let api: Api<Secret> = Api::namespaced(self.context.client.clone(), &self.key.namespace);
        match api.get_opt(&self.owner.secret_name).await {
            Ok(found) => {
                self.looked(found);
                self.seen.read_succeeded();
                true
            }
            Err(error) => {
                let object = format!("Secret {}", self.owner.secret_name);
                let reason = Reason::SecretUnreadable;
                self.fail_to_write(refused::failure(reason, "read", &object, &error, |_| true));
                false
            }
        }
    }

    /// The resource version of the Secret as it was last read or written; absent where there is
    /// none.
    pub fn secret_version(&self) -> Option<String> {
        let read = self.secret.as_ref().and_then(ResourceExt::resource_version);
        read.or_else(|| Some(self.known.as_ref()?.resource_version.clone()))
    }

    /// Looks whether the Secret is marked immutable, after a write to it was refused: as long as
    /// nothing has to be written, nobody minds.
    pub async fn find_immutable(&mut self) -> bool {
        self.look().await;
        let marked = self.secret.as_ref().and_then(|secret| secret.immutable) == Some(true);
        if let (true, Target::Ours(published)) = (marked, &self.seen.target) {
            self.seen.target = Target::Immutable(published.clone());
        }
        marked
    }

    /// Takes in what a look at the Secret has found.
    fn looked(&mut self, found: Option<Secret>) {
        self.seen.looked = true;
        let Some(secret) = found else {
            self.seen.target = Target::Absent;
            self.known = None;
            self.remember_target(None);
            return;
        };
        let layout = self.link.as_ref().and_then(|link| link.layout());
        let before = self.known.clone().or_else(|| {
            let records = &self.seen.recorded.credentials;
            let expires_at = |serial| {
                let mut records = records.iter().filter(|record| record.serial == serial);
                records.next()?.expires_at
            };
            secret::known_by_status(&secret, expires_at)
        });
        let (target, known, recovered) = secret::classify(
            &secret,
            &self.owner,
            before.as_ref(),
            layout.as_ref().map(|layout| &layout.1),
            |found, credential| match (&self.ask, &layout) {
                (Some(ask), Some(layout)) => layout.0.recover(ask, found, credential),
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
            self.seen.probe = probe(remembered, self.seen.published().map(|it| it.serial));
        });
    }

    /// Remembers the Secret as it is known now.
    pub fn remember_target(&mut self, known: Option<Known>) {
        self.context.memory.with(&self.key, |remembered| {
            remembered.must_look = false;
            remembered.known = known;
        });
    }

    /// Notes a read or a write that the API server refused, or whose result it changed.
    pub fn fail_to_write(&mut self, failure: crate::plan::Failure) {
        tracing::warn!(request = %self.key, reason = %failure.reason, failure = %failure.message, "the API server refused or changed a read or write");
        self.context.metrics.failure(failure.reason);
        self.seen.fail_to_write(failure, crate::clock::now());
    }

    /// Notes a failed attempt.
    pub fn fail(&mut self, failure: crate::plan::Failure) {
        let now = crate::clock::now();
        self.context.metrics.failure(failure.reason);
        self.seen.fail(failure, now);
    }
}

/// The failed attempts that count.
fn failures(recorded: &Recorded) -> Failures {
    Failures {
        issue: recorded.failure.clone(),
        revoke: recorded.revocation_failure.clone(),
        write: recorded.write_failure.clone(),
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

/// The last proof of what is published with a serial. One that the operator sees for the first time
/// since its start counts as proven now.
fn probe(remembered: &mut Remembered, serial: Option<u64>) -> Probe {
    let Some(serial) = serial else {
        return Probe::default();
    };
    if remembered.probe.0 != serial || remembered.probe.1.at.is_none() {
        let seen = Probe {
            at: Some(clock::now()),
            refused: None,
        };
        remembered.probe = (serial, seen);
    }
    remembered.probe.1
}

/// What is known of the Secret without looking.
fn target(
    remembered: &Remembered,
    owner: &Owner,
    layout: Option<&(crate::providers::Layout, Option<String>)>,
    virgin: bool,
) -> Target {
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
        // It is as it was written, but should be otherwise by now.
        (Some(known), None)
            if known.retained != owner.retain
                || layout.is_some_and(|layout| layout.1 != known.layout) =>
        {
            Target::Unknown
        }
        (Some(known), None) => Target::Ours(known.published(Damage::None)),
        (None, _) if virgin => Target::Unseen,
        (None, _) => Target::Unknown,
    }
}
