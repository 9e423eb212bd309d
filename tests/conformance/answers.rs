//! The bad answers.

use std::time::Duration;

use credential_operator::api::Reason;
use testkit::server::Fault;

use crate::watch;

/// A bad answer.
#[derive(Clone)]
pub struct BadAnswer {
    /// What people call it.
    pub name: &'static str,
    /// What the server does.
    pub fault: Fault,
    /// The reasons that say what happened, whichever call it was. Where there are none, or a call is another
    /// matter, the call says what it expects.
    pub reasons: &'static [Reason],
    /// How long the provider asked to be left alone.
    pub pause: Option<Duration>,
    /// Whether what was asked for may have been done all the same.
    pub done: bool,
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
fn bad(name: &'static str, fault: Fault, reasons: &'static [Reason]) -> BadAnswer {
    BadAnswer {
        name,
        fault,
        reasons,
        pause: None,
        done: false,
    }
}

impl BadAnswer {
    /// The status, if there is one.
    pub fn status(&self) -> Option<u16> {
        match &self.fault {
            Fault::Status { status, .. } | Fault::RetryAfter { status, .. } => Some(*status),
            Fault::Html(status) => Some(*status),
            Fault::Redirect(_) => Some(307),
            Fault::Body(_) => Some(200),
            _ => None,
        }
    }

    /// Whether whoever gets it waits: until a call times out, or before one is made again. A 401 can mean that a
    /// session has ended, or that keys are being changed.
    pub fn waits(&self) -> bool {
        matches!(self.fault, Fault::Hang | Fault::Drip) || self.status() == Some(401)
    }
}

fn slow_down(status: u16, value: Option<&str>) -> Fault {
    Fault::RetryAfter {
        status,
        header_value: value.map(str::to_owned),
    }
}

/// All of them.
pub fn all() -> Vec<BadAnswer> {
    use Reason::{ProviderUnavailable, QuotaExceeded, RateLimited, Timeout, UnexpectedAnswer};
    let status = |status, content_type: &str, body: &str| Fault::status(status, content_type, body);
    let mut all = vec![
        bad(
            "401 in plain text",
            status(401, TEXT, "Jwt is expired"),
            &[],
        ),
        bad(
            "401 in JSON",
            status(401, JSON, r#"{"error":{"code":401,"message":"no"}}"#),
            &[],
        ),
        bad("401 without a body", status(401, TEXT, ""), &[]),
        bad(
            "402",
            status(402, TEXT, "pay"),
            &[QuotaExceeded, UnexpectedAnswer],
        ),
        bad(
            "403 in plain text",
            status(403, TEXT, "RBAC: access denied"),
            &[],
        ),
        bad(
            "403 in JSON",
            status(403, JSON, r#"{"code":7,"message":"no"}"#),
            &[],
        ),
        bad("404 as a page", Fault::Html(404), &[]),
        bad("405", status(405, TEXT, "no"), &[]),
        bad("408", status(408, TEXT, "slow"), &[Timeout]),
        bad("429 without a time", slow_down(429, None), &[RateLimited]),
        BadAnswer {
            pause: Some(Duration::from_secs(7)),
            ..bad(
                "429 with seconds",
                slow_down(429, Some("7")),
                &[RateLimited],
            )
        },
        bad(
            "429 with nonsense",
            slow_down(429, Some("soon")),
            &[RateLimited],
        ),
        bad(
            "500 in JSON",
            status(500, JSON, r#"{"code":13}"#),
            &[ProviderUnavailable],
        ),
        bad("502 as a page", Fault::Html(502), &[ProviderUnavailable]),
        bad(
            "503 in plain text",
            status(503, TEXT, "no healthy upstream"),
            &[ProviderUnavailable],
        ),
        BadAnswer {
            pause: Some(Duration::from_secs(3)),
            ..bad(
                "503 with seconds",
                slow_down(503, Some("3")),
                &[ProviderUnavailable],
            )
        },
        bad("504", Fault::Html(504), &[Timeout]),
        bad("507", status(507, TEXT, "full"), &[QuotaExceeded]),
        bad(
            "a redirect to another host",
            Fault::Redirect(watch::elsewhere()),
            &[UnexpectedAnswer],
        ),
        // It is answered when the fault is gone, to nobody.
        BadAnswer {
            done: true,
            ..bad("no answer at all", Fault::Hang, &[Timeout])
        },
        bad("a byte a second", Fault::Drip, &[Timeout]),
        bad(
            "a connection that is cut",
            Fault::CutConnection,
            &[ProviderUnavailable],
        ),
        BadAnswer {
            done: true,
            ..bad(
                "an answer that is lost",
                Fault::LoseAnswer,
                &[ProviderUnavailable],
            )
        },
        bad(
            "a truncated body",
            Fault::Truncate,
            &[ProviderUnavailable, UnexpectedAnswer],
        ),
        bad(
            "2 MiB",
            Fault::HugeBody(2 * 1024 * 1024),
            &[UnexpectedAnswer],
        ),
        bad(
            "1.6 MB of headers",
            Fault::HugeHeaders,
            &[ProviderUnavailable, UnexpectedAnswer],
        ),
    ];
    for (name, body) in [
        ("an empty body", ""),
        ("null", "null"),
        ("an empty object", "{}"),
        ("an empty list", "[]"),
        ("a text", "\"yes\""),
        ("a page with 200", "<html>sign in</html>"),
        (
            "objects of other types",
            r#"{"token":7,"credential":[],"application_credential":"x","items":{}}"#,
        ),
    ] {
        all.push(bad(name, Fault::Body(body.into()), &[UnexpectedAnswer]));
    }
    all
}
