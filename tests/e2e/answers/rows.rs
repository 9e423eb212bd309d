//! The tables.

use std::ops::RangeInclusive;

use testkit::{
    dce::{CURRENT_USER, DceSimulator, Lie, TOKEN},
    server::Fault,
};

/// One thing that a provider does wrong.
pub struct Row {
    /// The row's name: a part of the names of its objects.
    pub name: &'static str,
    /// What the provider does from some moment on.
    pub goes_wrong: Box<dyn Fn(&DceSimulator) + Send + Sync>,
    /// The reason that people read.
    pub reason: &'static str,
    /// Words of the message.
    pub words: &'static str,
    /// How long until the next attempt.
    pub pause: Pause,
    /// Where it goes wrong.
    pub at: At,
    /// How all is well again.
    pub healing: Healing,
}

/// How long it takes until the next attempt.
#[derive(Clone, Copy)]
pub enum Pause {
    /// Doubles from a second on.
    Doubling,
    /// As long as the provider asked for, at least.
    AsAsked(u64),
    /// Half a minute.
    HalfAMinute,
    /// Doubles from half a minute on: somebody has to change something at the provider.
    Patient,
    /// Half an hour: each attempt may help to lock an account.
    HalfAnHour,
}

impl Pause {
    /// The bounds in seconds, with the spread.
    pub fn bounds(self, attempts: u32) -> RangeInclusive<f64> {
        match self {
            Pause::Doubling => {
                let calm = f64::from(2_u32.pow(attempts.saturating_sub(1).min(9)).min(300));
                calm..=calm * 1.2
            }
            Pause::AsAsked(seconds) => seconds as f64..=seconds as f64 * 1.11,
            Pause::HalfAMinute => 30.0..=45.0,
            Pause::Patient => {
                let calm = f64::from((30 * 2_u32.pow(attempts.saturating_sub(1).min(9))).min(1800));
                calm..=calm * 1.2
            }
            Pause::HalfAnHour => 1800.0..=2700.0,
        }
    }
}

/// Where it goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// When a token is asked for.
    Token,
    /// When it is proven; the proof is tried again with the same token.
    ProofAgain,
    /// When it is proven; the next attempt is made with another token.
    ProofAnew,
}

/// How all is well again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Healing {
    /// By itself, once the provider answers.
    Alone,
    /// By a new key pair in the login Secret.
    NewPair,
    /// By a change of what is asked for.
    AskDifferently,
}

fn fault(
    name: &'static str,
    at: At,
    fault: Fault,
    (reason, words): (&'static str, &'static str),
) -> Row {
    let route = if at == At::Token { TOKEN } else { CURRENT_USER };
    Row {
        name,
        goes_wrong: Box::new(move |dce| dce.faults().set(route, fault.clone())),
        reason,
        words,
        pause: Pause::Doubling,
        at,
        healing: Healing::Alone,
    }
}

fn lie(name: &'static str, at: At, lie: Lie, words: (&'static str, &'static str)) -> Row {
    Row {
        goes_wrong: Box::new(move |dce| dce.lie(lie)),
        ..fault(name, at, Fault::Hang, words)
    }
}

fn denied(row: Row, healing: Healing) -> Row {
    Row {
        pause: Pause::HalfAnHour,
        healing,
        ..row
    }
}

fn lacking(row: Row, healing: Healing) -> Row {
    Row {
        pause: Pause::Patient,
        healing,
        ..row
    }
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const REFUSED: &str = r#"{"code":16,"message":"invalid access key or secret key","details":[]}"#;
const NOT_FOUND: &str = r#"{"code":5,"message":"Not Found","details":[]}"#;

const PAIR: &str = "DCE refuses the AK/SK pair";
const GATEWAY: &str = "DCE's gateway refuses the login";
const NO_JSON: &str = "something that is no JSON object; check the endpoint";
const NO_TOKEN: &str = "DCE answers with no token";
const FAILED: &str = "or a gateway before it has failed";
const FEWER: &str = "asks for fewer calls";
const BROKE: &str = "the connection broke before the answer was complete";
const LATE: &str = "the server did not answer in time";

/// The token endpoint goes wrong. What takes longest comes first.
pub fn token_endpoint(elsewhere: &str) -> Vec<Row> {
    let at = At::Token;
    let status = |status, kind, body| Fault::status(status, kind, body);
    let retry_after = |status: u16, value: Option<&str>| Fault::RetryAfter {
        status,
        header_value: value.map(str::to_owned),
    };
    let redirect = Fault::Redirect(format!("{elsewhere}/apis/ghippo.io/v1alpha1/token"));
    vec![
        fault("drip", at, Fault::Drip, ("Timeout", LATE)),
        fault("hang", at, Fault::Hang, ("Timeout", LATE)),
        Row {
            pause: Pause::AsAsked(3),
            ..fault(
                "t429-3s",
                at,
                retry_after(429, Some("3")),
                ("RateLimited", FEWER),
            )
        },
        Row {
            pause: Pause::AsAsked(3),
            ..fault(
                "t503-3s",
                at,
                retry_after(503, Some("3")),
                ("ProviderUnavailable", FAILED),
            )
        },
        denied(
            fault(
                "t401-json",
                at,
                status(401, JSON, REFUSED),
                ("LoginRefused", PAIR),
            ),
            Healing::NewPair,
        ),
        denied(
            fault(
                "t401-plain",
                at,
                status(401, TEXT, "Unauthorized"),
                ("LoginRefused", GATEWAY),
            ),
            Healing::NewPair,
        ),
        lacking(
            fault(
                "t403-json",
                at,
                status(403, JSON, REFUSED),
                ("Forbidden", "does not let it do this"),
            ),
            Healing::NewPair,
        ),
        denied(
            fault(
                "t403-plain",
                at,
                status(403, TEXT, "RBAC: access denied"),
                ("LoginRefused", GATEWAY),
            ),
            Healing::NewPair,
        ),
        lacking(
            fault(
                "t404",
                at,
                status(404, JSON, NOT_FOUND),
                (
                    "NotOffered",
                    "an access key from the Personal Center is itself the bearer token",
                ),
            ),
            Healing::AskDifferently,
        ),
        Row {
            pause: Pause::HalfAMinute,
            healing: Healing::AskDifferently,
            ..fault("t429", at, retry_after(429, None), ("RateLimited", FEWER))
        },
        fault(
            "t500",
            at,
            status(500, JSON, r#"{"code":13}"#),
            ("ProviderUnavailable", FAILED),
        ),
        fault(
            "t502-html",
            at,
            Fault::Html(502),
            ("ProviderUnavailable", FAILED),
        ),
        fault(
            "t504-html",
            at,
            Fault::Html(504),
            ("Timeout", "or a gateway before it ran out of time"),
        ),
        fault(
            "redirect",
            at,
            redirect,
            (
                "UnexpectedAnswer",
                "points to another address, which is not followed; correct its endpoint",
            ),
        ),
        fault("html", at, Fault::Html(200), ("UnexpectedAnswer", NO_JSON)),
        fault(
            "empty",
            at,
            Fault::Body(Vec::new()),
            ("UnexpectedAnswer", NO_JSON),
        ),
        fault(
            "number",
            at,
            Fault::Body(b"7".to_vec()),
            ("UnexpectedAnswer", NO_JSON),
        ),
        fault(
            "truncated",
            at,
            Fault::Truncate,
            ("ProviderUnavailable", BROKE),
        ),
        fault(
            "cut",
            at,
            Fault::CutConnection,
            ("ProviderUnavailable", BROKE),
        ),
        fault(
            "lost",
            at,
            Fault::LoseAnswer,
            ("ProviderUnavailable", BROKE),
        ),
        lie(
            "object",
            at,
            Lie::EmptyObject,
            ("UnexpectedAnswer", NO_TOKEN),
        ),
        lie("null", at, Lie::Null, ("UnexpectedAnswer", NO_TOKEN)),
        lie(
            "empty-token",
            at,
            Lie::EmptyToken,
            ("UnexpectedAnswer", NO_TOKEN),
        ),
        lie(
            "opaque",
            at,
            Lie::Opaque,
            ("UnexpectedAnswer", "a token that is no JWT"),
        ),
        lie(
            "expired",
            at,
            Lie::ExpPast,
            (
                "UnexpectedAnswer",
                "a token that has expired already; check the clocks",
            ),
        ),
    ]
}

/// The self-test goes wrong.
pub fn self_test() -> Vec<Row> {
    let (again, anew) = (At::ProofAgain, At::ProofAnew);
    let refused = (
        "VerificationFailed",
        "the provider issued a credential and then refused it; it is not published",
    );
    let other = br#"{"uid":"7","username":"mallory"}"#.to_vec();
    vec![
        fault("p-hang", again, Fault::Hang, ("Timeout", LATE)),
        fault(
            "p503",
            again,
            Fault::status(503, TEXT, "no healthy upstream"),
            ("ProviderUnavailable", FAILED),
        ),
        fault(
            "p502-html",
            again,
            Fault::Html(502),
            ("ProviderUnavailable", FAILED),
        ),
        fault(
            "p-cut",
            again,
            Fault::CutConnection,
            ("ProviderUnavailable", BROKE),
        ),
        Row {
            pause: Pause::AsAsked(2),
            ..fault(
                "p429",
                again,
                Fault::RetryAfter {
                    status: 429,
                    header_value: Some("2".to_owned()),
                },
                ("RateLimited", FEWER),
            )
        },
        lie(
            "p-html",
            again,
            Lie::SelfTestHtml,
            (
                "UnexpectedAnswer",
                "DCE's self-test answers with something that is no user",
            ),
        ),
        fault(
            "p-nobody",
            again,
            Fault::Body(b"{}".to_vec()),
            ("UnexpectedAnswer", "DCE's self-test names no user"),
        ),
        fault(
            "p-other",
            again,
            Fault::Body(other),
            (
                "UnexpectedAnswer",
                "DCE's self-test speaks of another user than the token",
            ),
        ),
        fault(
            "p401",
            anew,
            Fault::status(401, TEXT, "Jwt verification fails"),
            refused,
        ),
        // A policy for this one path says nothing about the token: it is neither published nor thrown away.
        lacking(
            fault(
                "p403",
                again,
                Fault::status(403, TEXT, "RBAC: access denied"),
                (
                    "Forbidden",
                    "does not let the credential ask whose it is (HTTP 403)",
                ),
            ),
            Healing::AskDifferently,
        ),
    ]
}
