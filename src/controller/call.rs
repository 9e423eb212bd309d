//! Calls to providers: their permits, and how a pass waits for them.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use jiff::SignedDuration;
use tokio::sync::oneshot;

use super::{
    budget::Permit,
    key::RequestKey,
    memory::{CallState, Came},
    observe::Pass,
};
use crate::{
    api::Reason,
    plan::{Access, Failure, Proof, Urgency},
    providers::http::failed,
};

/// How long a pass keeps its slot for a call. A call that takes longer goes on without one and
/// reports back, so that hanging providers cannot fill the slots.
const PATIENCE: Duration = Duration::from_millis(300);

/// Whether the budget allows a call now; otherwise the request stands in its queue.
pub(super) fn permitted(pass: &mut Pass, urgency: Urgency) -> bool {
    if pass.permit.is_some() {
        return true;
    }
    let Some(link) = &pass.link else { return false };
    match link.budget.acquire(&pass.key, urgency) {
        Ok(permit) => pass.permit = Some(Arc::new(permit)),
        Err(wait) => {
            pass.seen.left_alone = link.budget.left_alone();
            pass.seen.queued = SignedDuration::try_from(wait)
                .ok()
                .or(Some(SignedDuration::MAX))
        }
    }
    pass.permit.is_some()
}

/// Makes a call, and waits for it a short while. `lost` says what came of one that panicked.
pub(super) async fn call<F>(
    pass: &mut Pass,
    operation: &'static str,
    lost: impl FnOnce(Failure) -> Came + Send + 'static,
    call: impl FnOnce(Arc<Permit>) -> F,
) where
    F: Future<Output = Came> + Send + 'static,
{
    let Some(permit) = pass.permit.take() else {
        return;
    };
    let call = call(Arc::clone(&permit));
    let context = Arc::clone(&pass.context);
    let (key, provider) = (pass.key.clone(), pass.provider.clone());
    let inputs = match &pass.seen.access {
        Access::Open { inputs } => inputs.clone(),
        Access::Checking | Access::Closed { .. } => String::new(),
    };
    context
        .memory
        .with(&key, |remembered| remembered.call = CallState::UnderWay);
    let busy = pass.busy.clone();
    let (back, came) = oneshot::channel();
    let unnoticed = Unnoticed {
        context: Arc::clone(&context),
        key,
        uid: pass.owner.uid.clone(),
    };
    let mut awaited = Awaited {
        came,
        unnoticed: unnoticed.clone(),
    };
    tokio::spawn(async move {
        let came = AssertUnwindSafe(call)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| {
                lost(failed(
                    Reason::InternalError,
                    "the operator failed in a call to the provider; see its log",
                ))
            });
        note(&context, &provider, operation, &inputs, &came);
        // Where nobody waits any more, the next pass takes it.
        if let Err((came, permit)) = back.send((came, permit)) {
            drop(permit);
            unnoticed.keep(came);
        }
        drop(busy);
    });
    let in_time = tokio::time::timeout(PATIENCE, &mut awaited.came).await;
    let came = match in_time {
        Ok(Ok(came)) => Some(came),
        Ok(Err(_)) => None,
        // From here on the call cannot hand its result over any more; unless it just has.
        Err(_) => {
            awaited.came.close();
            awaited.came.try_recv().ok()
        }
    };
    match came {
        Some((came, permit)) => {
            pass.context
                .memory
                .with(&pass.key, |remembered| remembered.call = CallState::None);
            // After a failure the next call waits for its turn again.
            pass.permit = came.failure().is_none().then_some(permit);
            pass.take(came);
        }
        None => pass.seen.call_under_way = true,
    }
}

/// Where a call's result is kept that no pass has waited for.
#[derive(Clone)]
struct Unnoticed {
    context: Arc<super::context::Context>,
    key: RequestKey,
    uid: String,
}

impl Unnoticed {
    fn keep(&self, came: Came) {
        let same = self.context.memory.with_known(&self.key, |remembered| {
            // Another request may have come under the same name.
            let same = remembered.uid == self.uid;
            if same {
                remembered.call = CallState::Back(Box::new(came));
            }
            same
        });
        if same == Some(true) {
            self.context.wakes.request(&self.key);
        }
    }
}

/// A result that a pass waits for. The pass may be given up right after it came.
struct Awaited {
    came: oneshot::Receiver<(Came, Arc<Permit>)>,
    unnoticed: Unnoticed,
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.came.close();
        if let Ok((came, permit)) = self.came.try_recv() {
            drop(permit);
            self.unnoticed.keep(came);
        }
    }
}

/// Counts a call, and tells the provider what its answer means for everybody.
pub(super) fn note(
    context: &super::context::Context,
    provider: &super::key::ProviderKey,
    operation: &'static str,
    inputs: &str,
    came: &Came,
) {
    let failure = came.failure();
    let outcome = match (failure, came) {
        (Some(failure), _) => Err(failure.reason),
        (None, Came::Proof(Ok(Proof::Refused)) | Came::Probed(_, Ok(Proof::Refused))) => {
            Err(Reason::VerificationFailed)
        }
        _ => Ok(()),
    };
    context
        .metrics
        .call(&provider.to_string(), operation, outcome);
    let Some(failure) = failure else { return };
    let Some(link) = context.links.get(provider) else {
        return;
    };
    if let Some(wait) = failure
        .retry_after
        .and_then(|wait| Duration::try_from(wait).ok())
    {
        link.budget.pause(wait);
    }
    if failure.reason == Reason::LoginRefused {
        // It belongs to the account: the provider holds it, and nobody tries again.
        link.login_refused(failure, inputs);
        context.wakes.provider(provider);
    }
}

/// What a pass that ends while it does not wait for its turn leaves behind in the queue.
pub(super) fn leave_queue(pass: &Pass) {
    if let Some(link) = &pass.link {
        link.budget.leave(&pass.key);
    }
}
