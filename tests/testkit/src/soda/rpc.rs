//! The call from SODA's API to the service behind it, as go-micro 2 makes it with its defaults (source, `client.go`,
//! `rpc_client.go`, `retry.go`, `backoff.go`): a failed call is made once more, without a word, and all of it has to end
//! within a deadline. What a call has begun goes on when nobody waits for it any more.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How often a failed call is repeated.
const RETRIES: usize = 1;

/// How long go-micro waits before it repeats a call.
const BACKOFF: Duration = Duration::from_millis(100);

/// go-micro's form of an error, which it writes as JSON wherever text is wanted.
#[derive(Debug, Serialize)]
pub(super) struct MicroError {
    id: &'static str,
    code: u16,
    detail: String,
    status: &'static str,
}

impl MicroError {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            id: "go.micro.client",
            code: status.as_u16(),
            detail: detail.into(),
            status: status.canonical_reason().unwrap_or_default(),
        }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap()
    }
}

/// Makes a call, once more if it fails, and gives up at the deadline. The error of a call is its text.
pub(super) async fn call<T, F>(
    deadline: Duration,
    mut service: impl FnMut() -> F,
) -> Result<T, MicroError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, String>> + Send + 'static,
{
    let end = Instant::now() + deadline;
    let mut tried = 0;
    loop {
        // A task of its own, so that it goes on after the deadline.
        let running = tokio::spawn(service());
        let Ok(ended) = timeout_at(end, running).await else {
            let words = "context deadline exceeded";
            return Err(MicroError::new(StatusCode::REQUEST_TIMEOUT, words));
        };
        let words = match ended {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(words)) => words,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => "the simulator ends".to_owned(),
            },
        };
        if tried == RETRIES {
            return Err(MicroError::new(StatusCode::INTERNAL_SERVER_ERROR, words));
        }
        tried += 1;
        sleep_until(end.min(Instant::now() + BACKOFF)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_call_is_made_twice_at_most_and_goes_on_after_the_deadline() {
        let minute = Duration::from_secs(60);
        let made = Arc::new(AtomicUsize::new(0));
        let count = |fails: usize| {
            made.store(0, Ordering::SeqCst);
            let made = Arc::clone(&made);
            move || {
                let before = made.fetch_add(1, Ordering::SeqCst);
                async move {
                    match before < fails {
                        true => Err("no".to_owned()),
                        false => Ok(before),
                    }
                }
            }
        };
        for (fails, expected, calls) in [(0, Some(0), 1), (1, Some(1), 2), (2, None, 2)] {
            let got = call(minute, count(fails)).await;
            assert_eq!(got.ok(), expected, "{fails}");
            assert_eq!(made.load(Ordering::SeqCst), calls, "{fails}");
        }

        let (told, heard) = tokio::sync::oneshot::channel();
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let mut parts = Some((told, wait));
        let late = call(Duration::from_millis(20), || {
            let (told, wait) = parts.take().expect("one call");
            async move {
                let _ = wait.await;
                let _ = told.send("done");
                Ok(())
            }
        });
        let words = r#"{"id":"go.micro.client","code":408,"detail":"context deadline exceeded","status":"Request Timeout"}"#;
        assert_eq!(late.await.unwrap_err().text(), words);
        go.send(()).unwrap();
        assert_eq!(heard.await.unwrap(), "done");
    }
}
