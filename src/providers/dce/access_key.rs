//! Access keys of ghippo 0.14 and later, which are themselves bearer tokens (DCE's OpenAPI, `ghippo`,
//! the paths `accesstoken` and `accesstokens` of `current-user`).
//!
//! DCE makes a key under any name, as often as it is asked, and shows it once. So what is there by the
//! derived name is looked for before one is made, and all of it is deleted when it is revoked.

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    answer::{Key, Keys, is_quota, no_more, refused},
    client::{API, Client, Login},
    config::AccessKeyAsk,
    jwt::Claims,
    own, token,
};
use crate::{
    api::Reason,
    clock,
    plan::{Credential, Failure, Revocation},
    providers::{
        Holder, Identity, Issuance, Issued,
        http::{Answer, Call, Size, Turns, failed},
    },
};

/// The longest id and the longest key that are believed.
const LONGEST_ID: usize = 128;
const LONGEST_TOKEN: usize = 8 * 1024;

/// How long a request waits after a call to make a key that was not answered: by then the list should show
/// what came of it.
const MAY_APPEAR: SignedDuration = SignedDuration::from_secs(10);

/// The answer to `POST current-user/accesstoken`.
#[derive(Deserialize)]
struct Created {
    id: String,
    token: Zeroizing<String>,
}

fn unexpected(what: &str) -> Failure {
    failed(Reason::UnexpectedAnswer, format!("DCE {what}"))
}

/// Whether a text can be an id and stand in a path and in a status.
fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_ID
        && text.starts_with(|char: char| char.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char))
}

impl Client {
    /// Makes the access key of a request and a serial.
    ///
    /// # Errors
    /// Those of the login and of a call; `NotOffered` where DCE has no access keys, or the login is an
    /// AK/SK pair.
    pub async fn issue_access_key(
        &self,
        turns: &dyn Turns,
        ask: &AccessKeyAsk,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        let login = self.access_key_login()?;
        let owner = self.user(turns, login).await?;
        let name = identity.label();
        let keys = self.keys(turns, login).await?;
        if keys.iter().any(|key| key.name == name) {
            return Ok(Issuance::Taken);
        }
        let now = clock::now();
        let asked = expiry(ask, now);
        let mut body = json!({ "name": name });
        if let Some(at) = asked {
            body["expiredAt"] = json!(at.to_string());
        }
        let call = Call {
            body: Some(&body),
            bearer: Some(login.expose_secret()),
            ..Call::new(
                Method::POST,
                &[API[0], API[1], API[2], "current-user", "accesstoken"],
            )
        };
        let answer = self.http.send(turns, call).await.map_err(unsettled)?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => {}
            StatusCode::CONFLICT => return Ok(Issuance::Taken),
            _ if is_quota(&answer) => return Err(no_more(&answer)),
            _ => return Err(unsettled(not_let(&answer))),
        }
        let created: Created = serde_json::from_slice(&answer.body)
            .map_err(|_| unexpected("answers with something that is no access key"))?;
        let usable = !created.token.is_empty()
            && created.token.len() <= LONGEST_TOKEN
            && created.token.bytes().all(|byte| byte.is_ascii_graphic());
        if !usable || !is_id(&created.id) {
            return Err(unexpected("answers with an access key that cannot be one"));
        }
        let stated = Claims::read(&created.token).and_then(|claims| claims.expires_at());
        let listed = match stated {
            Some(_) => None,
            None => self.listed_end(turns, login, &created.id, now).await,
        };
        let expires_at = [asked, stated, listed].into_iter().flatten().min();
        if expires_at.is_some_and(|at| at <= now) {
            return Err(unexpected(
                "answers with an access key that has expired already; check the clocks of DCE and of this cluster",
            ));
        }
        let credential = Credential {
            serial: identity.serial,
            id: Some(created.id),
            owner: Some(owner),
            issued_at: now,
            expires_at,
            asked: String::new(),
            rotation: None,
            leak: None,
        };
        let data = token::data(&created.token, self.endpoint(), &credential);
        Ok(Issuance::Issued(Issued {
            credential,
            data,
            remark: None,
        }))
    }

    /// Deletes whatever is there by the name of a request and a serial, but for the key that the operator
    /// logs in with: somebody has copied it, and with it all requests of the provider would lose theirs.
    ///
    /// # Errors
    /// Those of the login and of a call; `Forbidden` where it belongs to another user, or is the login.
    pub async fn revoke_access_key(
        &self,
        turns: &dyn Turns,
        holder: &Holder<'_>,
    ) -> Result<Revocation, Failure> {
        let login = self.access_key_login()?;
        self.is_of_the_same_user(turns, login, holder).await?;
        let name = holder.identity.label();
        let keys = self.keys(turns, login).await?;
        let own = match &self.login_id {
            Some(id) => Some(id.as_str()),
            None => own::find(login.expose_secret(), &keys),
        };
        let mut outcome = Revocation::Absent;
        let mut spared = false;
        for Key { id, .. } in keys.iter().filter(|key| key.name == name) {
            if !is_id(id) {
                return Err(unexpected(
                    "lists an access key with an id that cannot be one",
                ));
            }
            if own == Some(id) {
                spared = true;
                continue;
            }
            let path = [API[0], API[1], API[2], "current-user", "accesstokens", id];
            let call = Call {
                bearer: Some(login.expose_secret()),
                ..Call::new(Method::DELETE, &path)
            };
            let answer = self.http.send(turns, call).await?;
            match answer.status {
                // The confirmation tells.
                StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => {
                    outcome = Revocation::Sent;
                }
                _ => return Err(not_let(&answer)),
            }
        }
        if spared {
            return Err(failed(
                Reason::Forbidden,
                "the access key is the one that the provider logs in with, so it is not deleted; put another key into the \
                 provider's login Secret",
            ));
        }
        Ok(outcome)
    }

    /// Makes sure that nothing is there by the name of a request and a serial.
    ///
    /// # Errors
    /// Those of the login and of a call; `UnexpectedAnswer` when it is still there.
    pub async fn confirm_access_key(
        &self,
        turns: &dyn Turns,
        holder: &Holder<'_>,
    ) -> Result<(), Failure> {
        let login = self.access_key_login()?;
        self.is_of_the_same_user(turns, login, holder).await?;
        let name = holder.identity.label();
        let keys = self.keys(turns, login).await?;
        if keys.iter().any(|key| key.name == name) {
            Err(unexpected(
                "still lists an access key that it said it had deleted",
            ))
        } else {
            Ok(())
        }
    }

    /// Only an access key can make others.
    fn access_key_login(&self) -> Result<&SecretString, Failure> {
        match &self.login {
            Login::AccessKey(key) => Ok(key),
            Login::KeyPair { .. } => Err(failed(
                Reason::NotOffered,
                "access keys take a login with an access key (spec.dce.auth.accessKey); this provider's is an AK/SK pair",
            )),
        }
    }

    /// Each user sees his own keys alone: what another one was given is missing from the list and not
    /// gone.
    async fn is_of_the_same_user(
        &self,
        turns: &dyn Turns,
        login: &SecretString,
        holder: &Holder<'_>,
    ) -> Result<(), Failure> {
        let user = self.user(turns, login).await?;
        match holder.owner {
            Some(owner) if owner != user => Err(failed(
                Reason::Forbidden,
                format!(
                    "the access key belongs to user {owner}, and the provider's login is of user {user}, who cannot delete it; \
                     use a login of that user"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// When a key ends by the list, which is asked where the key itself does not say it: DCE may set an end
    /// that nobody asked for. A list that is not to be had says nothing, since the key is there and is
    /// shown once; so does an end that is over, which is how some write "never".
    async fn listed_end(
        &self,
        turns: &dyn Turns,
        login: &SecretString,
        id: &str,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let keys = self.keys(turns, login).await.ok()?;
        let key = keys.iter().find(|key| key.id == id)?;
        let end = own::moment(&key.expired_at).filter(|end| *end > now)?;
        Timestamp::from_second(end.as_second()).ok()
    }

    /// The keys of the login's user, with the login itself.
    async fn keys(&self, turns: &dyn Turns, login: &SecretString) -> Result<Vec<Key>, Failure> {
        let call = Call {
            bearer: Some(login.expose_secret()),
            size: Size::LIST,
            ..Call::new(
                Method::GET,
                &[API[0], API[1], API[2], "current-user", "accesstokens"],
            )
        };
        let answer = self.http.send(turns, call).await?;
        if answer.status != StatusCode::OK {
            return Err(not_let(&answer));
        }
        let keys: Keys = serde_json::from_slice(&answer.body).map_err(|_| {
            unexpected("answers with something that is no list of access keys; check the endpoint")
        })?;
        let keys = keys.items.unwrap_or_default();
        // The login is itself one of them, so an empty list is no answer.
        if keys.is_empty() {
            return Err(unexpected(
                "lists no access key, although the login is one; check the endpoint",
            ));
        }
        Ok(keys)
    }
}

/// When a key ends that is made now: whole seconds, which every reader of such times understands.
fn expiry(ask: &AccessKeyAsk, now: Timestamp) -> Option<Timestamp> {
    let at = now.checked_add(ask.lifetime?).ok()?;
    Timestamp::from_second(at.as_second()).ok()
}

/// A failure of the call that makes a key: where nobody knows whether it was made, the request waits before
/// it looks for it and has another one made.
fn unsettled(failure: Failure) -> Failure {
    let open = matches!(
        failure.reason,
        Reason::Timeout | Reason::ProviderUnavailable
    );
    Failure {
        rest: failure.rest.max(open.then_some(MAY_APPEAR)),
        ..failure
    }
}

/// Why there is no success, right after DCE has said whose the login is: a gateway can shut a single call,
/// and that is no reason to shut the provider for everybody. Where the login has ended in between, the next
/// attempt hears of it.
fn not_let(answer: &Answer) -> Failure {
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => failed(
            Reason::Forbidden,
            format!(
                "DCE or its gateway does not let the login do this (HTTP {}), though it has just said whose the login is; look at \
                 the user's rights and at the gateway's policies for the paths accesstoken and accesstokens of current-user",
                answer.status.as_u16()
            ),
        ),
        _ => refused(answer),
    }
}
