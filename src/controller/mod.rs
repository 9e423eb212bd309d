//! The hands: watch, observe, act, record. What is done is decided in [`crate::plan`].
//!
//! One pass for one request is [`reconcile::reconcile`]; [`run`] wires watches to passes.

pub mod act;
mod admission;
pub mod apiserver;
pub mod budget;
mod call;
mod came;
pub mod context;
pub mod error;
pub mod events;
mod facts;
mod finalizer;
pub mod key;
pub mod leader;
pub mod link;
pub mod memory;
pub mod namespaces;
pub mod observe;
pub mod orphans;
mod parting;
pub mod provider_pass;
pub mod reach;
pub mod reconcile;
pub mod record;
mod refused;
pub mod run;
pub mod watch;
mod write;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic elsewhere while the lock was held concerns one object; everybody else goes on
/// with what is there.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
