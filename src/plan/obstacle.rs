//! The reason why a due step has to wait, for conditions and events.

use super::{Decision, Gate, Observed, Pause, Wait, WaitReason, finalizer, regeneration, writes};
use crate::api::Reason;

/// The reason of the failure or refusal that keeps a due replacement from happening, for reports.
pub(crate) fn obstacle(seen: &Observed, decision: &Decision) -> Option<(Reason, String)> {
    match decision {
        Decision::Stop(refusal) => Some((refusal.reason, refusal.message.clone())),
        Decision::Wait(Wait {
            reason: WaitReason::Write,
            ..
        }) => writes::obstacle(seen),
        Decision::Wait(Wait {
            reason: WaitReason::Retry | WaitReason::Call,
            ..
        }) => seen
            .failure_that_counts()
            .map(|failure| (failure.reason, failure.message.clone())),
        Decision::Wait(Wait {
            reason: WaitReason::Provider,
            ..
        }) => match &seen.gate {
            Gate::NotReady(not_ready) => Some((not_ready.reason, not_ready.message.clone())),
            _ => None,
        },
        Decision::Wait(Wait {
            reason: WaitReason::Budget,
            ..
        }) => Some(in_queue(seen)),
        Decision::Wait(Wait {
            reason: WaitReason::Contested,
            ..
        }) => {
            let secret = seen
                .request
                .spec
                .as_ref()
                .map_or("", |wanted| wanted.secret_name.as_str());
            let words = format!(
                "somebody deletes or damages Secret {secret} again and again; it is written again when nextActionTime says"
            );
            Some((Reason::TargetContested, words))
        }
        Decision::Wait(Wait {
            reason: WaitReason::Finalizer,
            ..
        }) => Some(finalizer::words(&seen.additions)),
        Decision::Wait(Wait {
            reason: WaitReason::Rest,
            ..
        }) => regeneration::failure(seen),
        _ => None,
    }
}

/// Why a request stands in the queue of the provider's budget.
fn in_queue(seen: &Observed) -> (Reason, String) {
    let provider = &seen.request.provider;
    match seen.left_alone {
        Some(Pause::Outage) => (
            Reason::ProviderUnavailable,
            format!("{provider} did not answer several times in a row; it is asked ever more rarely until it does"),
        ),
        Some(Pause::Asked) => (
            Reason::RateLimited,
            format!(
                "{provider} asked to be left alone for a while; this request stands in the queue and goes on by itself"
            ),
        ),
        None => (
            Reason::WaitingForBudget,
            "the provider's budget (spec.budget) is spent for the moment; this request stands in its queue".to_owned(),
        ),
    }
}
