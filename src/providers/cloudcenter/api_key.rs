//! A user's API key (Cisco's documentation of CloudCenter 4.0, "API Management Key", and the learning
//! lab "Retrieving API Access Keys", which has the two paths).

use std::fmt;

use reqwest::StatusCode;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    Ask, Client,
    answer::{self, unexpected},
    permit,
    users::Bearer,
};
use crate::{
    api::Reason,
    clock,
    plan::{Credential, Failure, Proof},
    providers::{
        Issued, Permission,
        http::{Answer, Turns, failed},
    },
    secret::SecretData,
};

/// The longest user name and the longest key that are believed. Keys that were seen have 16 characters.
const LONGEST_NAME: usize = 255;
const LONGEST_KEY: usize = 1024;

/// Whether a text can be the user name of an API. It goes into a header, in which a colon ends it (RFC
/// 7617, section 2).
pub fn is_username(text: &str) -> bool {
    let fit = |char: char| char.is_ascii_graphic() && char != ':';
    !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(fit)
}

/// Whether a text can be a key.
pub fn is_key(text: &str) -> bool {
    let fit = |char: char| char.is_ascii_graphic();
    !text.is_empty() && text.len() <= LONGEST_KEY && text.chars().all(fit)
}

/// Whether two texts are the same. Digests, so that how long a comparison takes tells nothing.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    Sha256::digest(one) == Sha256::digest(other)
}

/// What an answer shows of a key. Its form stands in no documentation: the request that makes a key has
/// `{"apiKey": {…}}` (clients), and forms that differ a little are understood as well.
#[derive(Default)]
struct Shown {
    key: Option<Zeroizing<String>>,
    username: Option<String>,
    resource: Option<String>,
    inner: Option<Box<Shown>>,
}

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShownVisitor)
    }
}

struct ShownVisitor;

impl<'de> Visitor<'de> for ShownVisitor {
    type Value = Shown;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key, or an object that holds one")
    }

    fn visit_str<E>(self, text: &str) -> Result<Shown, E> {
        Ok(Shown {
            key: Some(Zeroizing::new(text.to_owned())),
            ..Shown::default()
        })
    }

    fn visit_unit<E>(self) -> Result<Shown, E> {
        Ok(Shown::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shown, A::Error> {
        let mut shown = Shown::default();
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "apiKey" => shown.inner = Some(map.next_value()?),
                "key" => shown.key = map.next_value()?,
                "username" => shown.username = map.next_value()?,
                "resource" => shown.resource = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(shown)
    }
}

impl Shown {
    /// Whether it is about somebody else, as far as it says.
    fn is_about_another(&self, username: &str, bearer: &Bearer) -> bool {
        let other_name = self.username.as_ref().is_some_and(|name| name != username);
        let other_id = match (bearer, self.resource.as_deref().and_then(id_in)) {
            (Bearer::Other(user), Some(id)) => id != user.id,
            _ => false,
        };
        let inner = self.inner.as_deref();
        other_name || other_id || inner.is_some_and(|it| it.is_about_another(username, bearer))
    }

    /// `apiKey.key`, or `apiKey` as a text, or `key`.
    fn into_key(self) -> Option<Zeroizing<String>> {
        self.inner.and_then(|inner| inner.key).or(self.key)
    }
}

/// The id in the URL of a user's keys. The URL is looked at and never called.
fn id_in(resource: &str) -> Option<&str> {
    let path = resource.split(['?', '#']).next()?.trim_end_matches('/');
    let (before, id) = path.strip_suffix("/keys")?.rsplit_once('/')?;
    before.ends_with("/users").then_some(id)
}

/// The key in an answer about one user's.
///
/// # Errors
/// Those of a call; `UnexpectedAnswer` when it shows no key, or somebody else's.
pub fn read(
    answer: &Answer,
    username: &str,
    bearer: &Bearer,
) -> Result<Zeroizing<String>, Failure> {
    match answer.status {
        StatusCode::OK => {}
        StatusCode::FORBIDDEN if matches!(bearer, Bearer::Other(_)) => {
            return Err(failed(
                Reason::Forbidden,
                "CloudCenter accepts the login but does not show it the user's key (HTTP 403); that takes a login of the user's \
                 tenant admin, or of the admin",
            ));
        }
        // The user is there.
        StatusCode::NOT_FOUND if matches!(bearer, Bearer::Other(_)) => return Err(no_key()),
        _ => return Err(answer::failure(answer)),
    }
    shown(answer, username, bearer)
}

/// The same in an answer with a good status.
pub(super) fn shown(
    answer: &Answer,
    username: &str,
    bearer: &Bearer,
) -> Result<Zeroizing<String>, Failure> {
    let shown: Shown = answer::read(answer)?;
    if shown.is_about_another(username, bearer) {
        return Err(unexpected(
            "answers with the key of another user than was asked for",
        ));
    }
    let key = shown.into_key().ok_or_else(no_key)?;
    if is_key(&key) {
        Ok(key)
    } else {
        Err(unexpected(
            "shows a key that is empty, longer than 1024 bytes, or has characters that no key has",
        ))
    }
}

fn no_key() -> Failure {
    unexpected(
        "shows no API key of the user; where there is none yet, \"Manage API Key\" on the user's page makes one",
    )
}

impl Client {
    /// Reads the key that is asked for.
    ///
    /// # Errors
    /// Those of a call; `NotAllowed`, in the same words for a user whom no grant is about and for one who
    /// is not there; `Forbidden` for a user who is disabled.
    pub(super) async fn issue_api_key(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<Issued, Failure> {
        let (bearer, _) = self.entitled(turns, ask, permission).await?;
        let (username, data) = self.read_key(turns, &bearer).await?;
        Ok(issued(username, data))
    }

    /// Whose key it is, with the id where that was looked at, after all that speaks against it.
    pub(super) async fn entitled(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<(Bearer, Option<String>), Failure> {
        let found = self.find_with_id(turns, &ask.whose).await;
        let found = found.map_err(|failure| {
            // Who is hidden from the login is there.
            let tells = failure.reason == Reason::Forbidden;
            if tells && !permit::is_surely_granted(permission, ask) {
                permit::refused(permission)
            } else {
                failure
            }
        })?;
        let (bearer, id) = found.ok_or_else(|| permit::refused(permission))?;
        permit::check(permission, &bearer, ask.regenerate)?;
        if is_disabled(&bearer) {
            return Err(failed(
                Reason::Forbidden,
                "the user is disabled at CloudCenter, and so is the key",
            ));
        }
        let follows = permission.renews_login && self.is_published_as_login;
        if ask.regenerate && bearer == Bearer::Own && !follows {
            return Err(permit::would_break_login());
        }
        Ok((bearer, id))
    }

    /// Reads the key again: whether what is published is still what CloudCenter shows.
    ///
    /// # Errors
    /// Those of a call. That it is another one is no error, and neither is a user who was disabled. Who
    /// is not there any more may only be hidden, so what is published is not called wrong for it.
    pub(super) async fn verify_api_key(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: Option<&Permission>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        let Some(bearer) = self.find(turns, &ask.whose).await? else {
            return Err(failed(
                Reason::Forbidden,
                "CloudCenter does not show the user any more whose key is in the Secret: the user was deleted, or the login lost \
                 the right to look",
            ));
        };
        // An address can be another user's by now, and a user have another address.
        if let Some(permission) = permission {
            permit::check(permission, &bearer, ask.regenerate)?;
        }
        if is_disabled(&bearer) {
            return Ok(Proof::Refused);
        }
        let (_, now) = self.read_key(turns, &bearer).await?;
        if now.digest() == data.digest() {
            Ok(Proof::Given)
        } else {
            Ok(Proof::Refused)
        }
    }

    /// `GET /v1/user/keys` or `GET /v1/users/{id}/keys`: the user name and all keys of the Secret. Users
    /// are not let at their own key by their id, unless they are admins (learning lab, step 4).
    pub(super) async fn read_key(
        &self,
        turns: &dyn Turns,
        bearer: &Bearer,
    ) -> Result<(String, SecretData), Failure> {
        match bearer {
            Bearer::Own => {
                let username = &self.login.username;
                let key = self.own_key(turns).await?;
                Ok((username.clone(), self.layout.data(username, &key)))
            }
            Bearer::Other(user) => {
                let username = &user.username;
                if !is_username(username) {
                    return Err(unexpected("shows a user name that no login can have"));
                }
                let answer = self
                    .get(turns, &["v1", "users", &user.id, "keys"], &[])
                    .await?;
                let key = read(&answer, username, bearer)?;
                if is_same(&key, self.login.key()) {
                    return Err(unexpected(
                        "shows the login's own key as that of another user",
                    ));
                }
                Ok((username.clone(), self.layout.data(username, &key)))
            }
        }
    }

    /// `GET /v1/user/keys`: the key that the login itself has.
    ///
    /// # Errors
    /// Those of a call; `UnexpectedAnswer` when it is another one. A name and a password of the user interface
    /// are let in as well: that name goes with no key, and is not known as that of any user.
    pub(super) async fn own_key(&self, turns: &dyn Turns) -> Result<Zeroizing<String>, Failure> {
        let answer = self.get(turns, &["v1", "user", "keys"], &[]).await?;
        let key = read(&answer, &self.login.username, &Bearer::Own)?;
        if is_same(&key, self.login.key()) {
            Ok(key)
        } else {
            Err(unexpected(
                "shows another key than the login's own; the login Secret has to hold the user name and the key from \
                 \"Manage API Key\"",
            ))
        }
    }
}

/// What is known of a key that was read.
pub(super) fn issued(username: String, data: SecretData) -> Issued {
    Issued {
        credential: Credential {
            serial: 0,
            id: None,
            owner: Some(username),
            issued_at: clock::now(),
            expires_at: None,
            asked: String::new(),
            rotation: None,
            leak: None,
        },
        data,
        remark: None,
    }
}

fn is_disabled(bearer: &Bearer) -> bool {
    matches!(bearer, Bearer::Other(user) if !user.enabled)
}
