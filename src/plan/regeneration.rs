//! Having a key made anew at the provider, which destroys the one before, and with it whatever uses that:
//! only where a request asks for it, by the annotation `rotate`, once for each of its values. It is written
//! down before the provider is told, and never told again blindly: where it is not known what became of it,
//! the key is read.

use super::Observed;
use crate::api::{Reason, request::RegenerationRecord};

/// How far a value of the annotation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is written down.
    New,
    /// It is written down, by this run of the operator, which has not told the provider yet.
    Announced,
    /// The provider was told, or may have been: by another run, or in vain.
    Told,
    /// It has failed, and is used up.
    Failed,
}

/// How far the value of the annotation has come that stands now.
pub fn stage(seen: &Observed) -> Stage {
    let asked = seen.request.rotate.as_ref();
    let record = seen.recorded.regeneration.as_ref();
    match record.filter(|record| Some(&record.value) == asked) {
        None => Stage::New,
        Some(record) if record.reason.is_some() => Stage::Failed,
        Some(_) if seen.announced.as_ref() == asked => Stage::Announced,
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

/// The value of the annotation that stands beside a key which is read: that of the annotation where that
/// is what it stands for, otherwise what stood there before. What a request says before anything was
/// published is carried out by what is published first: an object that was restored must not cost a key.
pub fn carried_out(seen: &Observed) -> Option<String> {
    let first = seen.published().is_none() && seen.recorded.serial() == 0;
    if !is_wanted(seen) || first || stage(seen) == Stage::Told {
        seen.request.rotate.clone()
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
    /// Notes that it is written down, by this run.
    pub fn announce(&mut self, value: String) {
        self.announced = Some(value.clone());
        self.recorded.regeneration = Some(RegenerationRecord {
            value,
            reason: None,
            message: None,
        });
    }

    /// Notes that a value has failed for good.
    pub fn fail_to_regenerate(&mut self, message: String) {
        if let Some(record) = &mut self.recorded.regeneration {
            record.reason = Some(Reason::NotRegenerated);
            record.message = Some(message);
        }
        self.announced = None;
        self.recorded.failure = None;
    }

    /// Notes that the key was found unchanged.
    pub fn unchanged(&mut self) {
        if is_wanted(self) && stage(self) == Stage::Told {
            self.fail_to_regenerate(
                "whether the provider was told to make a new key is not known, and the key is the same as before; set another \
                 value of the annotation credential-operator.dev/rotate to have it told again"
                    .to_owned(),
            );
        }
    }
}
