//! What SODA's answers say. Nothing of their text is ever shown: some of it is Keystone's, and some
//! tells of the network behind. What they mean was seen on the services themselves.

use std::ops::RangeInclusive;

use reqwest::StatusCode;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    api::Reason,
    plan::Failure,
    providers::http::{Answer, by_status, failed},
};

/// How the system is called in messages.
pub const NAME: &str = "SODA";

/// The words of a 401 that speak of the caller's token. All others mean that SODA could not find out
/// whose it is.
const ABOUT_THE_TOKEN: [&str; 2] = [
    "get token failed,Resource not found",
    "token not found in header",
];

/// A credential, as SODA shows it: of any project and any type.
#[derive(Deserialize)]
pub struct Row {
    #[serde(default)]
    pub project_id: String,
    #[serde(default)]
    pub user_id: String,
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub blob: Pair,
}

/// A pair, as SODA writes it.
#[derive(Deserialize, Default)]
pub struct Pair {
    #[serde(default)]
    pub access_key: String,
    #[serde(default)]
    pub secret_key: Zeroizing<String>,
}

/// How many characters an access key has at SODA's S3, which answers any other with HTTP 403,
/// `InvalidAccessKeyId`.
const ACCESS_KEY: RangeInclusive<usize> = 5..=20;

/// The longest secret key that is published.
const LONGEST_SECRET: usize = 512;

impl Pair {
    /// Why SODA's S3 refuses requests that are signed with the pair, or a client cannot hold it in its
    /// environment; `None` for a pair that works.
    pub fn defect(&self) -> Option<&'static str> {
        let is_of_s3 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !ACCESS_KEY.contains(&self.access_key.len()) || !self.access_key.bytes().all(is_of_s3) {
            return Some(
                "its access key is not one of 5 to 20 letters, digits, '-', '.', '_' and '~', and SODA's S3 refuses all others",
            );
        }
        // SODA's S3 drops every backslash from what Keystone has stored, before it reads the JSON. So a
        // secret that JSON writes with one is another secret there.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        let secret = self.secret_key.as_str();
        if !(1..=LONGEST_SECRET).contains(&secret.len()) || !secret.bytes().all(is_plain) {
            return Some(
                "its secret key is empty, too long, or has characters such as a line break, a space, 'é', '\"' or '\\', which \
                 SODA's S3 does not read as they are",
            );
        }
        None
    }
}

/// Whether SODA says that it does not know the caller's token.
pub fn refuses_token(answer: &Answer) -> bool {
    let words = std::str::from_utf8(&answer.body).unwrap_or_default();
    answer.status == StatusCode::UNAUTHORIZED && ABOUT_THE_TOKEN.contains(&words.trim())
}

/// SODA does not know a token that is alive.
pub fn other_keystone() -> Failure {
    unavailable(
        "does not know a token that Keystone has only just given out: the Keystone that it asks (OS_AUTH_URL) is another \
         one than spec.soda.keystone.endpoint",
    )
}

/// The credentials of a user, as they were shown; `None` for `null`, which SODA answers where there are
/// none, and whenever Keystone answers it with anything but a list.
///
/// # Errors
/// `UnexpectedAnswer` when it is no list, or one of somebody else's.
pub fn rows(answer: &Answer, user: &str) -> Result<Option<Vec<Row>>, Failure> {
    let rows: Option<Vec<Row>> = serde_json::from_slice(&answer.body).map_err(|_| {
        unexpected("answers with something that it never says; check spec.soda.endpoint")
    })?;
    if rows.iter().flatten().any(|row| row.user_id != user) {
        return Err(unexpected("shows credentials of another user"));
    }
    Ok(rows)
}

/// A new pair.
///
/// # Errors
/// `UnexpectedAnswer` when it is none.
pub fn made(answer: &Answer) -> Result<Pair, Failure> {
    serde_json::from_slice(&answer.body)
        .ok()
        .filter(|pair: &Pair| pair.defect().is_none())
        .ok_or_else(|| unexpected("answers with no pair to the request for one"))
}

/// What an answer means that is no success.
pub fn failure(answer: &Answer) -> Failure {
    match answer.status {
        // That the login is refused is Keystone's to say.
        StatusCode::UNAUTHORIZED => Failure {
            retry_after: answer.retry_after,
            rest: None,
            ..unavailable(
                "answers HTTP 401, as it does when its own Keystone does not answer it, or refuses its own login; that says \
                 nothing about the provider's login",
            )
        },
        StatusCode::FORBIDDEN => failed(
            Reason::Forbidden,
            "SODA's policy does not let the login do this (HTTP 403)",
        ),
        // go-micro's own status stands inside.
        StatusCode::INTERNAL_SERVER_ERROR if inner_code(answer) == Some(408) => failed(
            Reason::Timeout,
            "SODA's Keystone, or its service for access keys, did not answer it in time",
        ),
        status => by_status(status, answer.retry_after, NAME),
    }
}

fn inner_code(answer: &Answer) -> Option<u16> {
    #[derive(Deserialize)]
    struct Micro {
        code: u16,
    }
    let micro: Micro = serde_json::from_slice(&answer.body).ok()?;
    Some(micro.code)
}

/// An answer that makes no sense.
pub fn unexpected(what: &str) -> Failure {
    failed(Reason::UnexpectedAnswer, format!("{NAME} {what}"))
}

/// An answer that may be another one the next time.
pub fn unavailable(what: &str) -> Failure {
    failed(Reason::ProviderUnavailable, format!("{NAME} {what}"))
}

/// Keystone has a pair, and SODA shows other credentials of the user, or none.
pub fn at_odds(shows_others: bool) -> Failure {
    if shows_others {
        unavailable("does not show the pair as Keystone has it")
    } else {
        unavailable(
            "shows no credentials of the login's user, although Keystone has some: its Keystone may have failed it a moment \
             ago; when it lasts, it may run without authentication, which its service api does unless \
             OS_AUTH_AUTHSTRATEGY=keystone is set there",
        )
    }
}
