//! When SODA may be asked to make a pair: only where none is about to appear. Each `POST` makes one more, also
//! one whose answer was lost, or whose caller died.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How long a pair may appear after SODA has failed to make one: it gives up after five seconds, and
/// what it has begun goes on.
pub(super) const MAY_APPEAR: Duration = Duration::from_secs(7);

/// How long after the first look it is looked again, where SODA alone says that there is none: that is also
/// what it says when its Keystone fails.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// For how long the first look counts.
const LOOK_COUNTS: Duration = Duration::from_mins(1);

/// What is not known about the projects of one login.
pub(super) struct Doubt {
    /// Until when a pair may appear that somebody has asked for who is no more: another process, or this one
    /// with another login.
    before: Instant,
    /// Until when one may appear after a failure, by project.
    failed: HashMap<String, Instant>,
    /// When SODA alone has said first that there is none, by project.
    none: HashMap<String, Instant>,
}

impl Doubt {
    /// What is not known at the beginning.
    pub fn new(now: Instant) -> Self {
        Doubt {
            before: now + MAY_APPEAR,
            failed: HashMap::new(),
            none: HashMap::new(),
        }
    }

    /// A pair was not made, as far as was told.
    pub fn failed(&mut self, project: &str, now: Instant) {
        self.failed.insert(project.to_owned(), now + MAY_APPEAR);
    }

    /// There is a pair.
    pub fn settled(&mut self, project: &str) {
        self.failed.remove(project);
        self.none.remove(project);
    }

    /// There is no pair; `is_certain` when Keystone says so. For how long SODA must not be asked to make one
    /// all the same, and why.
    pub fn wait(
        &mut self,
        project: &str,
        is_certain: bool,
        now: Instant,
    ) -> Option<(Duration, &'static str)> {
        self.failed.retain(|_, until| *until > now);
        self.none
            .retain(|_, since| now.saturating_duration_since(*since) < LOOK_COUNTS);
        let looked = *self.none.entry(project.to_owned()).or_insert(now);
        let left = |until: Instant| Some(until.saturating_duration_since(now));
        if let Some(until) = self.failed.get(project) {
            return left(*until).zip(Some(
                "has failed to make a pair for the same project a moment ago, and one may still appear",
            ));
        }
        if self.before > now {
            return left(self.before).zip(Some(
                "may have been asked for a pair a moment ago, before the operator was started or got this login; one is asked \
                 for when none appears within a few seconds",
            ));
        }
        if !is_certain && looked + LOOK_AGAIN > now {
            return left(looked + LOOK_AGAIN).zip(Some(
                "shows no pair, which it also does when its Keystone fails; it is looked at once more before one is made",
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// For how many seconds nobody may ask.
    fn wait(doubt: &mut Doubt, project: &str, is_certain: bool, now: Instant) -> u64 {
        doubt
            .wait(project, is_certain, now)
            .map_or(0, |(wait, _)| wait.as_secs())
    }

    #[test]
    fn nobody_asks_for_what_may_still_appear() {
        let start = clock::monotonic();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut doubt = Doubt::new(start);
        // Whoever asked before may have been cut off.
        assert_eq!(wait(&mut doubt, "p", true, at(1)), 6);
        assert_eq!(wait(&mut doubt, "q", true, at(1)), 6);
        assert_eq!(wait(&mut doubt, "p", true, at(7)), 0);
        doubt.failed("p", at(10));
        assert_eq!(wait(&mut doubt, "p", true, at(11)), 6);
        assert_eq!(
            wait(&mut doubt, "q", true, at(11)),
            0,
            "it is another project"
        );
        assert_eq!(wait(&mut doubt, "p", true, at(17)), 0);
        doubt.failed("p", at(20));
        doubt.settled("p");
        assert_eq!(wait(&mut doubt, "p", true, at(21)), 0);
    }

    #[test]
    fn what_soda_alone_says_has_to_be_said_twice() {
        let start = clock::monotonic();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut doubt = Doubt::new(start);
        assert_eq!(wait(&mut doubt, "p", false, at(100)), 2);
        assert_eq!(wait(&mut doubt, "p", false, at(101)), 1);
        assert_eq!(wait(&mut doubt, "p", false, at(102)), 0);
        // It was there meanwhile, or was said long ago.
        doubt.settled("p");
        assert_eq!(wait(&mut doubt, "p", false, at(103)), 2);
        assert_eq!(wait(&mut doubt, "p", false, at(164)), 2);
        // The seconds after the start are enough.
        let mut doubt = Doubt::new(start);
        assert_eq!(wait(&mut doubt, "p", false, at(1)), 6);
        assert_eq!(wait(&mut doubt, "p", false, at(7)), 0);
    }
}
