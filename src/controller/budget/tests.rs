//! The budget, turn by turn.

use tokio::sync::mpsc;

use super::*;

fn budget(rate: i32, concurrency: i32) -> (Arc<Budget>, mpsc::UnboundedReceiver<RequestKey>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let limits = provider::Budget {
        requests_per_second: Some(rate),
        concurrency: Some(concurrency),
    };
    (
        Budget::new(&limits, Leadership::new(None), move |key| {
            drop(sender.send(key.clone()));
        }),
        receiver,
    )
}

fn key(name: &str) -> RequestKey {
    RequestKey {
        namespace: "ns".into(),
        name: name.into(),
    }
}

#[tokio::test]
async fn no_more_calls_than_allowed_are_under_way_and_the_next_is_woken() {
    let (budget, mut woken) = budget(1000, 2);
    let first = budget.acquire(&key("a"), Urgency::New).unwrap();
    let _second = budget.acquire(&key("b"), Urgency::New).unwrap();
    assert!(budget.acquire(&key("c"), Urgency::New).is_err());
    assert_eq!(budget.waiting(), 1);
    drop(first);
    assert_eq!(woken.recv().await, Some(key("c")));
    assert!(
        budget.acquire(&key("d"), Urgency::New).is_err(),
        "the place is kept for c"
    );
    assert!(budget.acquire(&key("c"), Urgency::New).is_ok());
}

#[tokio::test]
async fn what_is_in_hand_goes_first_then_what_expires_first_and_routine_waits() {
    let (budget, mut woken) = budget(1000, 1);
    let busy = budget.acquire(&key("busy"), Urgency::New).unwrap();
    let second = |second| jiff::Timestamp::from_second(second).unwrap();
    let at = |time| Urgency::Expiring(second(time));
    let routine = |time| Urgency::Routine(second(time));
    for (name, urgency) in [
        ("routine", routine(30)),
        ("sooner", routine(20)),
        ("new", Urgency::New),
        ("late", at(20)),
        ("soon", at(10)),
        ("in hand", Urgency::InHand),
    ] {
        assert!(budget.acquire(&key(name), urgency).is_err());
    }
    drop(busy);
    for name in ["in hand", "soon", "late", "new", "sooner", "routine"] {
        assert_eq!(woken.recv().await, Some(key(name)));
        drop(budget.acquire(&key(name), Urgency::New).unwrap());
    }
}

#[tokio::test]
async fn the_rate_holds_after_a_second_s_worth_at_once() {
    let (budget, mut woken) = budget(10, 100);
    let at_once = (0..50)
        .filter(|i| budget.acquire(&key(&i.to_string()), Urgency::New).is_ok())
        .count();
    assert_eq!(at_once, 10);
    assert!(woken.recv().await.is_some(), "the queue moves by itself");
}

#[tokio::test]
async fn further_calls_of_one_permit_wait_for_the_rate_as_well() {
    let (budget, _woken) = budget(50, 100);
    let begun = clock::monotonic();
    let permit = budget.acquire(&key("a"), Urgency::New).unwrap();
    for _ in 0..70 {
        permit.next().await.unwrap();
    }
    // Fifty at once, then fifty a second.
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(350), "{took:?}");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_left_alone_and_then_asked_by_one_call() {
    let (budget, mut woken) = budget(1000, 8);
    let permits: Vec<_> = (0..8)
        .map(|i| budget.acquire(&key(&i.to_string()), Urgency::New).unwrap())
        .collect();
    for permit in &permits {
        permit.answered(false);
    }
    assert_eq!(budget.left_alone(), Some(Pause::Outage));
    drop(permits);
    let begun = clock::monotonic();
    assert!(budget.acquire(&key("a"), Urgency::New).is_err());
    assert!(budget.acquire(&key("b"), Urgency::New).is_err());
    assert_eq!(woken.recv().await, Some(key("a")));
    assert!(
        begun.elapsed() > Duration::from_millis(900),
        "a second at first"
    );
    let probe = budget.acquire(&key("a"), Urgency::New).unwrap();
    assert!(woken.try_recv().is_err(), "one call at a time");
    probe.answered(true);
    assert_eq!(woken.recv().await, Some(key("b")), "it is back");
    assert_eq!(budget.left_alone(), None);
}

#[tokio::test]
async fn who_leaves_gives_its_place_away() {
    let (budget, mut woken) = budget(1000, 1);
    let busy = budget.acquire(&key("busy"), Urgency::New).unwrap();
    assert!(budget.acquire(&key("a"), Urgency::New).is_err());
    assert!(budget.acquire(&key("b"), Urgency::New).is_err());
    drop(busy);
    assert_eq!(woken.recv().await, Some(key("a")));
    budget.leave(&key("a"));
    assert_eq!(woken.recv().await, Some(key("b")));
}

#[tokio::test]
async fn a_call_that_has_to_wait_for_long_says_why_and_has_nobody_else_wait() {
    let (asked, _woken) = budget(1000, 8);
    asked.pause(Duration::from_secs(60));
    let (dead, _woken) = budget(1000, 8);
    for _ in 0..OUTAGES {
        dead.answered(false);
    }
    lock(&dead.inner).paused_until += Duration::from_secs(60);
    let (spent, _woken) = budget(1, 8);
    for _ in 0..10 {
        lock(&spent.inner).spend(clock::monotonic());
    }
    for (budget, pause, reason, words) in [
        (
            asked,
            Some(Pause::Asked),
            Reason::RateLimited,
            "asked to be",
        ),
        (
            dead,
            Some(Pause::Outage),
            Reason::ProviderUnavailable,
            "did not answer",
        ),
        (spent, None, Reason::WaitingForBudget, "budget"),
    ] {
        assert_eq!(budget.left_alone(), pause, "{reason}");
        let failure = budget.passerby().next().await.unwrap_err();
        assert_eq!(failure.reason, reason);
        assert!(failure.message.contains(words), "{}", failure.message);
        assert_eq!(failure.retry_after, None, "the provider did not ask for it");
        assert!(
            failure.rest > Some(SignedDuration::from_secs(5)),
            "{reason}"
        );
    }
}
