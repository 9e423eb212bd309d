//! Revokes the credentials of requests that are gone although only the operator could revoke them:
//! another writer had removed the operator's finalizer. The names of the credentials follow from
//! the request's UID, so the last object that the watch showed is enough to find them.
//!
//! This is best effort: a few attempts within [`backoff::BEST_EFFORT`], by this process alone. What
//! is left then is counted, logged and told by an event.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    act::{allowed_ask, identity, is_last, owner_of},
    call,
    context::Context,
    finalizer,
    key::RequestKey,
    lock,
    memory::{CallState, Came, Remembered},
    observe::Pass,
};
use crate::{
    api::{CredentialRequest, Reason},
    clock,
    plan::{Access, Damage, Decision, Revocation, Step, Target, backoff, plan},
    providers::{Holder, Kind, http::failed},
    secret,
};

/// How many UIDs of requests that are gone are remembered, so that a pass which begins late does
/// nothing.
const REMEMBERED: usize = 1024;
/// How many calls are made at a time for requests that are gone.
const CALLS: usize = 4;
/// How often a copy that may not act looks whether it may.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the tasks may take to say what they leave behind when the operator ends.
const AT_THE_END: Duration = Duration::from_secs(2);

/// The requests that are gone, and the tasks that revoke their credentials.
pub struct Orphans {
    state: Mutex<State>,
    /// Told each time that a request has no pass and no call any more.
    idle: Notify,
    calls: Semaphore,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct State {
    /// The passes and calls that are under way for each UID.
    busy: HashMap<String, UnderWay>,
    /// The UIDs of requests that are gone and for which one of those had a credential issued.
    issued: HashSet<String>,
    /// The UIDs of requests that are gone, oldest first.
    gone: VecDeque<String>,
    /// Those of them whose credentials are being revoked.
    tasks: HashSet<String>,
}

/// The passes and calls that are under way for one request.
#[derive(Default)]
struct UnderWay {
    /// How many.
    count: usize,
    /// Whether one of them has a credential issued.
    issues: bool,
}

impl State {
    fn is_gone(&self, uid: &str) -> bool {
        self.tasks.contains(uid) || self.gone.iter().any(|gone| gone == uid)
    }
}

impl Default for Orphans {
    fn default() -> Self {
        Orphans {
            state: Mutex::default(),
            idle: Notify::new(),
            calls: Semaphore::new(CALLS),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }
}

/// A pass or a call that is under way for a request: it may still make a credential.
pub struct Busy(Option<(Arc<Orphans>, String)>);

impl Clone for Busy {
    fn clone(&self) -> Self {
        if let Some((orphans, uid)) = &self.0 {
            orphans.count(uid);
        }
        Busy(self.0.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some((orphans, uid)) = &self.0 {
            orphans.leave(uid);
        }
    }
}

impl Busy {
    /// Notes that the provider is asked for a credential. `false` when the request is gone by now.
    pub fn issue(&self) -> bool {
        let Some((orphans, uid)) = &self.0 else {
            return false;
        };
        let mut state = lock(&orphans.state);
        let there = !state.is_gone(uid);
        if let Some(under_way) = state.busy.get_mut(uid) {
            under_way.issues |= there;
        }
        there
    }
}

impl Orphans {
    /// Notes that a pass over a request begins. `None` when the request is gone: nothing may be
    /// made for it any more.
    pub fn enter(self: &Arc<Self>, uid: &str) -> Option<Busy> {
        if self.is_gone(uid) {
            return None;
        }
        self.count(uid);
        Some(Busy(Some((Arc::clone(self), uid.to_owned()))))
    }

    /// Notes that a request is there, also after it was gone: a restored etcd brings objects back.
    pub fn is_there(&self, uid: &str) {
        let mut state = lock(&self.state);
        state.gone.retain(|gone| gone != uid);
        state.tasks.remove(uid);
    }

    /// Has the tasks that are under way say what they leave behind, and waits for that a short
    /// while.
    pub async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(AT_THE_END, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("revocations for requests that are gone were cut off");
        }
    }

    fn count(&self, uid: &str) {
        let mut state = lock(&self.state);
        state.busy.entry(uid.to_owned()).or_default().count += 1;
    }

    fn leave(&self, uid: &str) {
        let mut state = lock(&self.state);
        let Some(under_way) = state.busy.get_mut(uid) else {
            return;
        };
        under_way.count -= 1;
        if under_way.count > 0 {
            return;
        }
        let issues = under_way.issues;
        state.busy.remove(uid);
        if issues && state.is_gone(uid) {
            state.issued.insert(uid.to_owned());
        }
        drop(state);
        self.idle.notify_waiters();
    }

    fn is_gone(&self, uid: &str) -> bool {
        lock(&self.state).is_gone(uid)
    }

    fn is_busy(&self, uid: &str) -> bool {
        lock(&self.state).busy.contains_key(uid)
    }

    /// Notes that a request is gone. Says whether something is still under way for it.
    fn goes(&self, uid: &str) -> bool {
        let mut state = lock(&self.state);
        state.gone.push_back(uid.to_owned());
        if state.gone.len() > REMEMBERED {
            state.gone.pop_front();
        }
        state.busy.contains_key(uid)
    }

    /// Waits until no pass and no call is under way for a request that is gone. Says whether one of
    /// them had a credential issued.
    async fn until_idle(&self, uid: &str) -> bool {
        loop {
            let told = self.idle.notified();
            tokio::pin!(told);
            // From here on no call of `notify_waiters` is missed.
            told.as_mut().enable();
            if !self.is_busy(uid) {
                return lock(&self.state).issued.remove(uid);
            }
            told.await;
        }
    }
}

/// A request is gone: has revoked what it may have left alive, in a task of its own.
pub fn request_gone(context: &Arc<Context>, key: &RequestKey, request: &CredentialRequest) {
    let revocable = Kind::of(&request.spec).is_some_and(|kind| kind.traits().revocable);
    let Some(uid) = request.uid().filter(|_| revocable) else {
        return;
    };
    let busy = context.orphans.goes(&uid);
    let mut pass = Pass::of(
        context,
        key.clone(),
        uid.clone(),
        Arc::new(request.clone()),
        Busy(None),
    );
    context.memory.with_known(key, |remembered| {
        if remembered.uid == uid {
            recall(&mut pass, remembered);
        }
    });
    let now = clock::now();
    pass.seen.request.deleting = pass.seen.request.deleting.or(Some(now));
    pass.seen.request.finalizer = false;
    let nothing = !busy && plan(&pass.seen, now) == Decision::LetGo;
    if pass.seen.is_let_go || nothing {
        return;
    }
    lock(&context.orphans.state).tasks.insert(uid.clone());
    context.orphans.tasks.spawn(revoke_all(pass, uid));
}

/// Takes up what is remembered of the request and may not be written down.
fn recall(pass: &mut Pass, remembered: &Remembered) {
    let seen = &mut pass.seen;
    seen.in_hand.clone_from(&remembered.in_hand);
    seen.taken.clone_from(&remembered.taken);
    seen.leftovers.clone_from(&remembered.leftovers);
    seen.revocations.clone_from(&remembered.revocations);
    seen.is_let_go = remembered.is_let_go;
    if let Some(failures) = &remembered.failures {
        seen.recorded.failure.clone_from(&failures.issue);
    }
    if let CallState::Back(came) = &remembered.call
        && let Came::Issued(_, purpose) = came.as_ref()
    {
        seen.leftovers.insert(purpose.serial);
    }
    if let Some(known) = &remembered.known {
        seen.target = Target::Ours(known.published(Damage::None));
    }
    pass.known.clone_from(&remembered.known);
}

async fn revoke_all(mut pass: Pass, uid: String) {
    let context = Arc::clone(&pass.context);
    let begun = clock::now();
    let deadline = begun.checked_add(backoff::BEST_EFFORT).unwrap_or(begun);
    let stop = context.orphans.stop.clone();
    let settled = {
        let revoked = revoke_until(&mut pass, &uid, deadline);
        stop.run_until_cancelled(revoked).await
    };
    if !context.orphans.is_gone(&uid) {
        // It is back, and passes over it go on.
        return;
    }
    lock(&context.orphans.state).tasks.remove(&uid);
    let settled = settled == Some(true);
    let left = finalizer::left(&pass, !settled);
    if left.is_empty() && settled {
        tracing::debug!(request = %pass.key, "nothing of a request that is gone is left at the provider");
    } else if left.is_empty() {
        let serial = pass.seen.next_serial();
        let words = format!("serial {serial} or later, of an attempt whose outcome is not known");
        finalizer::tell(&pass, &[words]);
    } else {
        finalizer::tell(&pass, &left);
    }
}

/// Revokes until nothing is left. Says whether that was reached before the deadline.
async fn revoke_until(pass: &mut Pass, uid: &str, deadline: Timestamp) -> bool {
    let context = Arc::clone(&pass.context);
    let patience = Duration::try_from(backoff::BEST_EFFORT).unwrap_or_default();
    let idle = tokio::time::timeout(patience, context.orphans.until_idle(uid));
    match idle.await {
        Ok(issued) => {
            let serial = pass.seen.next_serial();
            pass.seen.leftovers.extend(issued.then_some(serial));
        }
        Err(_) => return false,
    }
    // A list that lacks the request is no proof: a revocation cannot be taken back.
    while !is_gone_for_certain(pass, uid).await {
        if !context.orphans.is_gone(uid) || clock::now() >= deadline {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
    if plan(&pass.seen, clock::now()) != Decision::LetGo {
        tracing::warn!(request = %pass.key, provider = %pass.provider, "a request is gone without its finalizer; what it may have left alive is revoked");
    }
    let mut waits = 0;
    while context.orphans.is_gone(uid) {
        let now = clock::now();
        if !context.leadership.may_act() && now < deadline {
            // The Lease may be renewed after all; otherwise this copy ends, and says what is left.
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        look_for_access(pass);
        let wake = match plan(&pass.seen, now) {
            Decision::LetGo => return true,
            _ if now >= deadline => return false,
            // These end only together with others, and after that was announced on the request.
            _ if pass.seen.request.traits.shared => return false,
            Decision::Do(Step::Look) => {
                if !look(pass).await {
                    tokio::time::sleep(AGAIN).await;
                }
                continue;
            }
            Decision::Do(Step::Revoke(serial, _)) => {
                ask(pass, false, serial).await;
                continue;
            }
            Decision::Do(Step::Confirm(serial, _)) => {
                ask(pass, true, serial).await;
                continue;
            }
            Decision::Wait(wait) => {
                waits += 1;
                let failed = pass.seen.revocation_failure_that_counts().is_some();
                let later = now.checked_add(backoff::best_effort(waits)).ok();
                // A failure after which nothing is tried again by itself is final here.
                wait.until.or(later.filter(|_| !failed))
            }
            Decision::Do(_) | Decision::Stop(_) => return false,
        };
        let Some(wake) = wake.filter(|at| *at < deadline) else {
            return false;
        };
        let wait = Duration::try_from(wake.duration_since(clock::now())).unwrap_or_default();
        tokio::time::sleep(wait).await;
    }
    false
}

/// Asks the API server whether the request is gone. A request that is there after all is noted, and
/// passes over it go on when the watch shows it again. `false` also where there was no answer.
async fn is_gone_for_certain(pass: &Pass, uid: &str) -> bool {
    let client = pass.context.client.clone();
    let api: Api<CredentialRequest> = Api::namespaced(client, &pass.key.namespace);
    match api.get_metadata_opt(&pass.key.name).await {
        Ok(Some(found)) if found.uid().as_deref() == Some(uid) => {
            pass.context.orphans.is_there(uid);
            pass.context.wakes.request(&pass.key);
            false
        }
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(request = %pass.key, %error, "whether a request is gone could not be read");
            false
        }
    }
}

/// Takes up whether the provider can be asked now: it may have changed, or have come back, since
/// the request went.
fn look_for_access(pass: &mut Pass) {
    let current = pass.context.links.get(&pass.provider);
    // A provider that is gone as well still has its sessions.
    pass.link = current.or(pass.link.take());
    if let Some(link) = &pass.link {
        (pass.seen.access, pass.revoking) = link.access();
    }
}

/// Looks at the Secret, which may hold a newer credential than the status says. The garbage
/// collector is about to take it along. A Secret that is retained has to be read: `false` where
/// that is not possible now.
async fn look(pass: &mut Pass) -> bool {
    let api: Api<Secret> = Api::namespaced(pass.context.client.clone(), &pass.key.namespace);
    let found = match api.get_opt(&pass.owner.secret_name).await {
        Ok(found) => found,
        Err(_) if pass.seen.request.retain => return false,
        Err(_) => None,
    };
    let none = |_: &secret::SecretData, _: &crate::plan::Credential| Vec::new();
    let target = found.map(|secret| secret::classify(&secret, &pass.owner, None, None, none).0);
    pass.seen.target = match target {
        // Nobody repairs it any more.
        Some(Target::Ours(published) | Target::Immutable(published)) => {
            Target::Ours(crate::plan::Published {
                damage: Damage::None,
                ..published
            })
        }
        // It may hold the credential that is retained.
        Some(other) if pass.seen.request.retain => other,
        Some(_) | None => Target::Absent,
    };
    pass.seen.looked = true;
    true
}

/// Has the provider revoke the credential with this serial, or confirm that it is gone.
async fn ask(pass: &mut Pass, confirm: bool, serial: u64) {
    let context = Arc::clone(&pass.context);
    let (Some(connection), Some(kind), Some(link)) =
        (pass.revoking.clone(), pass.kind, pass.link.clone())
    else {
        let failure = failed(Reason::InternalError, "the provider cannot be asked");
        pass.seen.fail_to_revoke(serial, failure, clock::now());
        return;
    };
    // Closed by nobody.
    let Ok(_turn) = context.orphans.calls.acquire().await else {
        return;
    };
    let (identity, owner) = (identity(pass, serial), owner_of(pass, serial));
    let asked = allowed_ask(pass);
    let holder = Holder {
        identity: &identity,
        owner: owner.as_deref(),
        is_last: is_last(pass),
        permission: pass.permission.as_ref(),
    };
    let turns = link.budget.passerby();
    let answer = AssertUnwindSafe(async {
        if confirm {
            let gone = connection.confirm(&turns, kind, asked.as_ref(), &holder);
            gone.await.map(|()| Revocation::Gone)
        } else {
            let revoked = connection.revoke(&turns, kind, asked.as_ref(), &holder);
            revoked.await
        }
    });
    let answer = answer.catch_unwind().await.unwrap_or_else(|_| {
        Err(failed(
            Reason::InternalError,
            "the operator failed in a call to the provider; see its log",
        ))
    });
    let inputs = match &pass.seen.access {
        Access::Open { inputs } => inputs.clone(),
        Access::Checking | Access::Closed { .. } => String::new(),
    };
    let came = Came::Revoked(serial, answer);
    let operation = if confirm { "confirm" } else { "revoke" };
    call::note(&context, &pass.provider, operation, &inputs, &came);
    match came {
        Came::Revoked(_, Ok(revocation)) => {
            if revocation == Revocation::Sent || revocation == Revocation::Gone {
                tracing::info!(request = %pass.key, provider = %pass.provider, serial, operation, "revoked a credential of a request that is gone");
            }
            pass.seen.revoke(serial, revocation);
        }
        Came::Revoked(_, Err(failure)) => {
            context.metrics.failure(failure.reason);
            pass.seen.fail_to_revoke(serial, failure, clock::now());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_is_gone_waits_for_what_is_under_way_and_gets_nothing_new() {
        let orphans = Arc::new(Orphans::default());
        let pass = orphans.enter("uid").unwrap();
        let call = pass.clone();
        assert!(pass.issue());
        drop(pass);
        assert!(orphans.goes("uid"), "the call is under way");
        assert!(!call.issue(), "nothing more is issued");
        assert!(orphans.enter("uid").is_none(), "no pass begins");
        assert!(orphans.until_idle("uid").now_or_never().is_none());
        let waiting = tokio::spawn({
            let orphans = Arc::clone(&orphans);
            async move { orphans.until_idle("uid").await }
        });
        drop(call);
        assert!(waiting.await.unwrap(), "one of them had something issued");
        assert!(!orphans.until_idle("uid").await, "which is told once");
        // A restored etcd brings it back.
        orphans.is_there("uid");
        assert!(orphans.enter("uid").is_some_and(|pass| pass.issue()));
        assert!(!orphans.goes("uid"), "nothing is under way");
    }

    #[test]
    fn of_requests_that_are_gone_the_last_ones_are_remembered() {
        let orphans = Arc::new(Orphans::default());
        for number in 0..=REMEMBERED {
            orphans.goes(&number.to_string());
        }
        assert!(!orphans.is_gone("0") && orphans.is_gone("1"));
    }
}
