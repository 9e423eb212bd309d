//! Having a key made anew at the provider, which destroys the one before, and with it whatever uses that:
//! only where a request asks for it, by the annotation `rotate`, once for each of its values. It is written
//! down before the provider is told, and never told again blindly: where it is not known what became of it,
//! the key is read.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Decision, Observed, Step, Target, writes};
use crate::api::{Reason, request::RegenerationRecord};

/// How long the key is read again and again after a call that nobody knows the outcome of: a provider that
/// is slow may do it long after it was given up on.
const WATCHED_FOR: SignedDuration = SignedDuration::from_secs(30);
/// The pauses between these readings.
const PAUSES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(1), SignedDuration::from_secs(10));
/// How many values that were used are remembered, so that going back to one costs no key.
const REMEMBERED: usize = 16;

/// How far a value of the annotation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is to be written down. The provider was not told.
    New,
    /// It was written down in this pass.
    Announced,
    /// The provider was told, or may have been: by another run, or in vain.
    Told,
    /// It has failed, and is used up.
    Failed,
    /// It was used before.
    Spent,
}

/// How far the value of the annotation has come that stands now.
pub fn stage(seen: &Observed) -> Stage {
    let Some(asked) = &seen.request.rotate else {
        return Stage::Spent;
    };
    let record = seen.recorded.regeneration.as_ref();
    let untold = seen.announced.as_ref() == Some(asked);
    match record.filter(|record| record.value == *asked) {
        None if is_used(seen, asked) => Stage::Spent,
        None => Stage::New,
        Some(record) if record.reason.is_some() => Stage::Failed,
        Some(_) if untold && seen.announced_now => Stage::Announced,
        // What the request says may be old by now: it is written down anew, which fails where it is.
        Some(_) if untold => Stage::New,
        Some(_) => Stage::Told,
    }
}

/// Whether the request has its key made anew by the annotation, and not read again.
pub(super) fn is_wanted(seen: &Observed) -> bool {
    seen.request
        .spec
        .as_ref()
        .is_ok_and(|wanted| wanted.regenerate)
}

fn digest(value: &str) -> String {
    let digest = Sha256::digest(value);
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn is_used(seen: &Observed, value: &str) -> bool {
    seen.recorded.used_rotations.contains(&digest(value))
}

/// The values that were used, with this one.
pub fn with_used(mut used: Vec<String>, value: &str) -> Vec<String> {
    let digest = digest(value);
    if !used.contains(&digest) {
        used.push(digest);
        let surplus = used.len().saturating_sub(REMEMBERED);
        used.drain(..surplus);
    }
    used
}

/// The same as it is written down: what is carried out is used.
pub(super) fn used(seen: &Observed) -> Vec<String> {
    let used = seen.recorded.used_rotations.clone();
    match &seen.request.rotate {
        Some(asked) if is_wanted(seen) && seen.rotated() == Some(asked) => with_used(used, asked),
        _ => used,
    }
}

/// When a key is read again of which nobody knows whether it was made anew.
pub(super) fn read_at(seen: &Observed) -> Option<Timestamp> {
    let record = seen.recorded.regeneration.as_ref()?;
    (is_wanted(seen) && stage(seen) == Stage::Told).then_some(())?;
    match seen.probe.at.filter(|at| *at > record.announced_at) {
        None => Some(record.announced_at),
        Some(at) => {
            let pause = at.duration_since(record.announced_at);
            at.checked_add(pause.clamp(PAUSES.0, PAUSES.1)).ok()
        }
    }
}

/// A key that the provider has made anew is the only one that works, and nobody else has it: it is published
/// whatever else has changed meanwhile.
pub(super) fn only_copy(seen: &Observed, now: Timestamp) -> Option<Decision> {
    let regenerated = seen.in_hand.as_ref().is_some_and(|it| it.regenerated);
    (regenerated && !seen.call_under_way).then_some(())?;
    match &seen.target {
        Target::Unknown | Target::Unseen => Some(writes::look(seen, now)),
        Target::Ours(_) | Target::Absent => {
            Some(writes::blocked(seen, now).unwrap_or(Decision::Do(Step::Publish)))
        }
        Target::Foreign(_) | Target::Adoptable | Target::Immutable(_) | Target::Terminating => None,
    }
}

/// The value of the annotation that stands beside a key which is read: that of the annotation where that
/// is what it stands for, otherwise what stood there before. What a request says before anything was
/// published is carried out by what is published first: an object that was restored must not cost a key.
pub fn carried_out(seen: &Observed) -> Option<String> {
    let asked = &seen.request.rotate;
    let first = seen.published().is_none() && seen.recorded.serial() == 0;
    let is_another = seen
        .published()
        .is_some_and(|published| seen.probe.refused == Some(published.serial));
    let by_it = is_another && matches!(stage(seen), Stage::Told | Stage::Failed);
    if !is_wanted(seen) || first || by_it {
        asked.clone()
    } else {
        acknowledged(seen)
    }
}

/// The value that was carried out last. Somebody may have put an older Secret back, which knows less.
pub(super) fn acknowledged(seen: &Observed) -> Option<String> {
    let asked = seen.request.rotate.as_ref();
    if is_wanted(seen) && asked.is_some() && seen.recorded.rotated.as_ref() == asked {
        asked.cloned()
    } else {
        seen.rotated().cloned()
    }
}

/// What is written down of it: nothing any more when it is carried out, or another value stands there.
pub(super) fn record(seen: &Observed) -> Option<RegenerationRecord> {
    let record = seen.recorded.regeneration.clone()?;
    let asked = seen.request.rotate.as_ref();
    (Some(&record.value) == asked && seen.rotated() != asked).then_some(record)
}

/// Why it was not carried out, as long as the value stands there.
pub(super) fn failure(seen: &Observed) -> Option<(Reason, String)> {
    let record = record(seen).filter(|_| is_wanted(seen))?;
    Some((record.reason?, record.message.unwrap_or_default()))
}

impl Observed {
    /// Notes that it is written down, by this run and in this pass.
    pub fn announce(&mut self, record: RegenerationRecord) {
        let used = std::mem::take(&mut self.recorded.used_rotations);
        self.recorded.used_rotations = with_used(used, &record.value);
        self.announced = Some(record.value.clone());
        self.announced_now = true;
        self.recorded.regeneration = Some(record);
    }

    /// Notes that a value has failed for good.
    pub fn fail_to_regenerate(&mut self, reason: Reason, message: String) {
        if let Some(record) = &mut self.recorded.regeneration {
            record.reason = Some(reason);
            record.message = Some(message);
        }
        self.announced = None;
        self.recorded.failure = None;
    }

    /// Notes that the key was found unchanged. After a while that is taken for an answer.
    pub fn unchanged(&mut self, now: Timestamp) {
        let since = self.recorded.regeneration.as_ref();
        let since = since.map(|record| now.duration_since(record.announced_at));
        if is_wanted(self)
            && stage(self) == Stage::Told
            && since.is_some_and(|since| since >= WATCHED_FOR)
        {
            self.fail_to_regenerate(
                Reason::NotRegenerated,
                "whether the provider was told to make a new key is not known, and no other key has been seen since; set \
                 another value of the annotation credential-operator.dev/rotate to have it told again"
                    .to_owned(),
            );
        }
    }
}
