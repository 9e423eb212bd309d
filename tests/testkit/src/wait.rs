//! Waiting for a condition instead of sleeping for a while.
//!
//! A test that sleeps is slow when all is well and fails when the machine is busy. These helpers
//! look again and again until the condition holds, and say what was still wrong when the deadline
//! passed.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How long to wait between two looks at least: short against what a person notices.
const INTERVAL: Duration = Duration::from_millis(20);

/// How long to wait between two looks at most.
const LONGEST_INTERVAL: Duration = Duration::from_millis(250);

/// How long to wait after a look that took so long. Who answers slowly does one thing at a time, or is
/// busy: what is waited for would get no further for being asked about all the time.
fn interval(look: Duration) -> Duration {
    (look * 2).clamp(INTERVAL, LONGEST_INTERVAL)
}

/// Calls `check` until it answers `Ok`, and returns that; `check` says by its error what is still
/// missing.
///
/// ```
/// # use std::time::Duration;
/// # tokio_test(async {
/// let value = testkit::wait::eventually(Duration::from_secs(1), || async {
///     let found = Some(7); // a look at the world
///     found.ok_or_else(|| anyhow::anyhow!("not there yet"))
/// })
/// .await;
/// assert_eq!(value.unwrap(), 7);
/// # });
/// # fn tokio_test<F: std::future::Future>(f: F) -> F::Output {
/// #     tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
/// # }
/// ```
///
/// # Errors
/// The last error of `check` when `deadline` has passed, also when a look was still under way by
/// then.
pub async fn eventually<T, F, Fut>(deadline: Duration, mut check: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let end = Instant::now() + deadline;
    let mut last = anyhow::anyhow!("the first look did not end");
    loop {
        let begin = Instant::now();
        let left = end.saturating_duration_since(begin);
        match tokio::time::timeout(left, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error,
            Err(_) => return Err(last).with_context(|| too_late(deadline)),
        }
        let pause = interval(begin.elapsed());
        if Instant::now() + pause >= end {
            return Err(last).with_context(|| too_late(deadline));
        }
        tokio::time::sleep(pause).await;
    }
}

/// [`eventually`] for code without a runtime; a look that hangs is not interrupted.
///
/// # Errors
/// The last error of `check` when `deadline` has passed.
pub fn eventually_blocking<T>(
    deadline: Duration,
    mut check: impl FnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        let begin = Instant::now();
        let error = match check() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let pause = interval(begin.elapsed());
        if Instant::now() + pause >= end {
            return Err(error).with_context(|| too_late(deadline));
        }
        std::thread::sleep(pause);
    }
}

fn too_late(deadline: Duration) -> String {
    format!("not within {deadline:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_of_the_first_look_that_succeeds_is_returned() {
        let mut looks = 0;
        let value = eventually(Duration::from_secs(5), || {
            looks += 1;
            std::future::ready(if looks < 3 {
                Err(anyhow::anyhow!("look {looks}"))
            } else {
                Ok(looks)
            })
        });
        assert_eq!(value.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_deadline_that_passes_tells_what_was_missing() {
        let missing = eventually::<(), _, _>(Duration::from_millis(50), || async {
            anyhow::bail!("no such thing")
        });
        let error = missing.await.unwrap_err();
        assert_eq!(format!("{error:#}"), "not within 50ms: no such thing");
    }

    #[tokio::test]
    async fn a_look_that_hangs_ends_with_the_deadline() {
        let hanging = eventually(
            Duration::from_millis(50),
            std::future::pending::<Result<()>>,
        );
        assert!(hanging.await.is_err());
    }

    #[test]
    fn the_blocking_form_does_the_same() {
        let mut looks = 0;
        let value = eventually_blocking(Duration::from_secs(5), || {
            looks += 1;
            if looks < 3 {
                anyhow::bail!("look {looks}")
            } else {
                Ok(looks)
            }
        });
        assert_eq!(value.unwrap(), 3);
        let never: Result<()> =
            eventually_blocking(Duration::from_millis(50), || anyhow::bail!("never"));
        assert_eq!(
            format!("{:#}", never.unwrap_err()),
            "not within 50ms: never"
        );
    }
}
