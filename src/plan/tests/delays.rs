//! How long is waited after which failure.

use super::{super::backoff::*, *};

#[test]
fn each_class_of_failure_has_its_delay() {
    use Reason::*;
    let seconds = |reason, attempts| {
        delay(&failure_record(reason, attempts), 0, None).map(|delay| delay.as_secs())
    };
    for (reason, attempts, expected) in [
        (ProviderUnavailable, 1, Some(1)),
        (ProviderUnavailable, 2, Some(2)),
        (Timeout, 5, Some(16)),
        (UnexpectedAnswer, 9, Some(256)),
        (ProviderUnavailable, 10, Some(300)),
        (ProviderUnavailable, u32::MAX, Some(300)),
        (LoginRefused, 1, Some(1800)),
        (Forbidden, 50, Some(1800)),
        (NotOffered, 1, Some(30)),
        (ScopeRefused, 4, Some(240)),
        (QuotaExceeded, 1, Some(600)),
        (QuotaExceeded, 3, Some(2400)),
        (QuotaExceeded, 99, Some(7200)),
        (RateLimited, 1, Some(30)),
        (InvalidSpec, 1, None),
        (NoConsent, 1, None),
        (TargetNotOwned, 1, None),
    ] {
        assert_eq!(
            seconds(reason, attempts),
            expected,
            "{reason}, attempt {attempts}"
        );
    }
}

#[test]
fn delays_are_spread_and_never_shorter_for_it() {
    for reason in [
        Reason::ProviderUnavailable,
        Reason::LoginRefused,
        Reason::QuotaExceeded,
        Reason::RateLimited,
    ] {
        let [none, half, all] =
            [0, 500, 999].map(|spread| delay(&failure_record(reason, 3), spread, None).unwrap());
        assert!(
            none < half && half < all && all < none * 2,
            "{reason}: {none:?} {half:?} {all:?}"
        );
    }
}

#[test]
fn several_attempts_fit_before_what_is_published_expires() {
    let after = |attempts, left| {
        delay(
            &failure_record(Reason::Timeout, attempts),
            0,
            Some(at(left)),
        )
        .unwrap()
        .as_millis()
    };
    assert_eq!(after(9, 6000), 256_000, "far away: the calm delay");
    assert_eq!(after(9, 60), 10_000, "a sixth of what is left");
    assert_eq!(after(9, 1), 166);
    assert_eq!(
        after(9, 0),
        1000,
        "just over: the many attempts before do not count"
    );
    assert_eq!(after(9, -5), 5000, "over: as long again");
    assert_eq!(after(9, -600), 256_000, "long over: the calm delay");
    let mut now = at(0);
    let mut attempts = 0;
    while now < at(60) && attempts < 100 {
        attempts += 1;
        let failure = FailureRecord {
            last_attempt_time: now,
            ..failure_record(Reason::Timeout, attempts)
        };
        now += delay(&failure, 0, Some(at(60))).unwrap();
    }
    assert!(
        (6..100).contains(&attempts),
        "{attempts} attempts in a minute"
    );
}

#[test]
fn a_provider_that_names_a_time_is_not_asked_before() {
    let mut seen = fresh();
    let failure = Failure {
        reason: Reason::RateLimited,
        message: String::new(),
        retry_after: Some(SignedDuration::from_secs(100)),
        rest: None,
    };
    seen.fail(failure, at(0));
    assert!(matches!(plan(&seen, at(99)), Decision::Wait(_)));
    assert!(matches!(plan(&seen, at(100)), Decision::Do(_)));
}

#[test]
fn attempts_are_counted_while_the_inputs_stay_the_same() {
    let mut seen = with_failure(
        with_failure(fresh(), Reason::Timeout, 0),
        Reason::ProviderUnavailable,
        1,
    );
    assert_eq!(seen.recorded.failure.as_ref().unwrap().attempts, 2);
    wanted(&mut seen).digest = "corrected".into();
    let seen = with_failure(seen, Reason::Timeout, 2);
    assert_eq!(seen.recorded.failure.unwrap().attempts, 1);
}

#[test]
fn every_reason_has_a_class() {
    for reason in Reason::ALL {
        let _ = class(*reason);
        assert!(
            !reason.meaning().is_empty() && !reason.way_out().is_empty(),
            "{reason}"
        );
    }
}

#[test]
fn a_wish_for_no_pause_or_an_endless_one_is_not_taken_at_its_word() {
    let wished = |seconds| {
        let mut failure = failure_record(Reason::RateLimited, 1);
        failure.not_before = Some(at(seconds));
        delay(&failure, 0, None).map(|delay| delay.as_secs())
    };
    assert_eq!(wished(0), Some(1));
    assert_eq!(wished(-60), Some(1));
    assert_eq!(wished(60), Some(60));
    assert_eq!(wished(99_999_999), Some(3600));
}

#[test]
fn an_attempt_in_the_future_delays_no_more_than_one_that_was_just_made() {
    let mut seen = with_failure(fresh(), Reason::Timeout, 0);
    if let Some(failure) = &mut seen.recorded.failure {
        failure.last_attempt_time = at(99_999_999);
        failure.attempts = u32::MAX;
    }
    let Decision::Wait(wait) = plan(&seen, at(10)) else {
        panic!("it waits");
    };
    assert_eq!(wait.until, Some(at(310)));
}
