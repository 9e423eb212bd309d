//! The list of calls that a proxy has seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::call::{Call, CallHead};

/// The calls by their number.
#[derive(Default)]
pub(super) struct Journal {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    calls: BTreeMap<u64, Call>,
}

impl Journal {
    /// Enters a call whose request is complete.
    pub(super) fn begin(
        self: &Arc<Self>,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> (CallHead, Entry) {
        let mut entries = self.lock();
        let seq = entries.next;
        entries.next += 1;
        let head = CallHead::new(seq, parts, body);
        let call = Call {
            head: head.clone(),
            forwarded: false,
            status: None,
            started: Instant::now(),
            finished: None,
        };
        entries.calls.insert(seq, call);
        let journal = Arc::clone(self);
        (head, Entry { journal, seq })
    }

    /// The number that the next call will have.
    pub(super) fn next(&self) -> u64 {
        self.lock().next
    }

    pub(super) fn since(&self, seq: u64) -> Vec<Call> {
        self.lock()
            .calls
            .range(seq..)
            .map(|(_, call)| call.clone())
            .collect()
    }

    pub(super) fn clear(&self) {
        self.lock().calls.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to complete one entry. Whatever ends the call drops this, and that ends the entry,
/// too.
pub(super) struct Entry {
    journal: Arc<Journal>,
    seq: u64,
}

impl Entry {
    pub(super) fn forwarded(&self) {
        self.update(|call| call.forwarded = true);
    }

    /// For a call that could not be sent after all.
    pub(super) fn not_forwarded(&self) {
        self.update(|call| call.forwarded = false);
    }

    pub(super) fn answered(&self, status: u16) {
        self.update(|call| call.status = Some(status));
    }

    /// Does nothing if the list has been cleared meanwhile.
    fn update(&self, change: impl FnOnce(&mut Call)) {
        if let Some(call) = self.journal.lock().calls.get_mut(&self.seq) {
            change(call);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.update(|call| call.finished = Some(Instant::now()));
    }
}
