//! One pass over one request, from the outside: its slot, its deadline, and what becomes of it when
//! it fails.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use kube::{ResourceExt, core::DeserializeGuard, runtime::controller::Action};

use super::{
    act, call, context::Context, error::PassError, key::RequestKey, observe::Pass, record, watch,
};
use crate::{
    api::CredentialRequest,
    clock,
    plan::{Decision, Observed, WaitReason, next_look, plan, retire},
};

/// More steps than any pass takes: a plan that goes round in circles is a defect.
const STEPS: usize = 24;

/// What a pass says about the next one.
pub type Next = Result<Action, std::convert::Infallible>;

/// Makes a pass, whatever happens in it.
pub async fn reconcile(
    request: Arc<DeserializeGuard<CredentialRequest>>,
    context: Arc<Context>,
) -> Next {
    let Some(key) = watch::request_key(kube::Resource::meta(request.as_ref())) else {
        return Ok(Action::await_change());
    };
    if let Some(rest) = record::rest_after_panic(&context, &key, &request) {
        return Ok(Action::requeue(rest));
    }
    // A key that was regenerated is nowhere else: it is published also without the Lease.
    if !context.memory.has_only_copy(&key) {
        match context.until_pass().now_or_never() {
            Some(true) => {}
            Some(false) => return Ok(Action::await_change()),
            None if context.until_pass().await => {
                // The request may have changed or gone while this pass waited.
                return Ok(Action::requeue(Duration::ZERO));
            }
            None => return Ok(Action::await_change()),
        }
    }
    let _under_way = context.api_server.health().pass();
    // Closed only when the operator ends.
    let Ok(slot) = Arc::clone(&context.slots).acquire_owned().await else {
        return Ok(Action::await_change());
    };
    let started = clock::monotonic();
    // A task of its own: a panic in it ends it and nothing else.
    let task = tokio::spawn(within_deadline(Arc::clone(&request), Arc::clone(&context)));
    let (outcome, action) = match task.await {
        Ok((outcome, action)) => (outcome, action),
        Err(error) => {
            tracing::error!(request = %key, %error, "a pass panicked");
            let told = record::panicked(&context, &key, &request);
            ("panic", in_time(&context, told).await)
        }
    };
    context.metrics.pass(outcome, started.elapsed());
    drop(slot);
    Ok(action)
}

/// What has to be said about a request that cannot be worked on ends within the deadline as well.
async fn in_time(context: &Context, told: impl Future<Output = Action>) -> Action {
    let deadline = context.settings.pass_deadline;
    tokio::time::timeout(deadline, told)
        .await
        .unwrap_or(Action::requeue(deadline))
}

async fn within_deadline(
    request: Arc<DeserializeGuard<CredentialRequest>>,
    context: Arc<Context>,
) -> (&'static str, Action) {
    let deadline = context.settings.pass_deadline;
    let request = match &request.0 {
        Ok(request) => Arc::new(request.clone()),
        Err(error) => {
            return (
                "undecodable",
                in_time(&context, record::undecodable(&context, error)).await,
            );
        }
    };
    let key = RequestKey {
        namespace: request.namespace().unwrap_or_default(),
        name: request.name_any(),
    };
    let result = tokio::time::timeout(deadline, pass(&request, &context)).await;
    let hindered = |context: &Context| {
        context.memory.with(&key, |remembered| {
            // What became of a write is not known: look before the next one.
            remembered.must_look |= remembered.known.is_some();
            remembered.hindered = remembered.hindered.saturating_add(1);
            Action::requeue(Duration::from_millis(250 << remembered.hindered.min(8)))
        })
    };
    match result {
        Ok(Ok(action)) => {
            context
                .memory
                .with_known(&key, |remembered| remembered.hindered = 0);
            ("settled", action)
        }
        Ok(Err(PassError::Conflict)) => ("conflict", hindered(&context)),
        // This copy ends, or the Lease is renewed after all.
        Ok(Err(PassError::NotLeading)) => ("conflict", Action::requeue(Duration::from_secs(1))),
        Ok(Err(PassError::NamespaceTerminating)) => {
            ("settled", Action::requeue(Duration::from_secs(60)))
        }
        Ok(Err(error @ PassError::Api(_))) => {
            tracing::warn!(request = %key, %error, "a pass could not be finished");
            ("error", hindered(&context))
        }
        Err(_) => {
            tracing::warn!(request = %key, ?deadline, "a pass took too long and was given up");
            ("timeout", hindered(&context))
        }
    }
}

/// One pass: observe, then plan and act in turns, then record.
async fn pass(
    request: &Arc<CredentialRequest>,
    context: &Arc<Context>,
) -> Result<Action, PassError> {
    let Some(mut pass) = Pass::begin(context, request) else {
        // Long enough not to be a loop, should a restored etcd never have a newer one.
        return Ok(Action::requeue(Duration::from_millis(20)));
    };
    panic_on_purpose(context, &pass.key);
    // What is decided and what is written down speak of the same moment: times that follow from it would
    // differ by the next pass otherwise, and be written once more.
    let mut now = clock::now();
    let mut decision = plan(&pass.seen, now);
    for _ in 0..STEPS {
        let Decision::Do(step) = decision else { break };
        tracing::debug!(request = %pass.key, ?step, "acting");
        act::act(&mut pass, step).await?;
        now = clock::now();
        decision = plan(&pass.seen, now);
    }
    pass.permit = None;
    let in_queue = matches!(&decision, Decision::Wait(wait) if wait.reason == WaitReason::Budget);
    if !in_queue && !retire::is_queued(&pass.seen, now) {
        call::leave_queue(&pass);
    }
    record::record(&mut pass, &decision, now).await?;
    Ok(wake_up(&pass.seen, &decision))
}

/// When to look again. Nothing is asked for where a change or a call reports back by itself; once in a
/// while everything is looked at all the same.
fn wake_up(seen: &Observed, decision: &Decision) -> Action {
    const ONCE_IN_A_WHILE: Duration = Duration::from_hours(1);
    match decision {
        Decision::LetGo => return Action::await_change(),
        Decision::Do(_) => {
            tracing::error!(?decision, "a plan does not come to an end");
            return Action::requeue(Duration::from_secs(60));
        }
        Decision::Wait(_) | Decision::Stop(_) => {}
    }
    let now = clock::now();
    let after = next_look(seen, decision, now)
        .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    Action::requeue(after.unwrap_or(ONCE_IN_A_WHILE).min(ONCE_IN_A_WHILE))
}

/// Lets tests see what a panic does to others.
#[allow(clippy::panic, reason = "on purpose, and not in builds for release")]
fn panic_on_purpose(context: &Context, key: &RequestKey) {
    #[cfg(debug_assertions)]
    if context.settings.panic_at.as_deref() == Some(key.to_string().as_str()) {
        panic!("asked to panic at {key}");
    }
    #[cfg(not(debug_assertions))]
    let _ = (context, key);
}
