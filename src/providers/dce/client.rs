//! The calls to DCE.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{Ask, Config, TokenAsk, answer, jwt::Claims, token};
use crate::{
    api::Reason,
    clock,
    plan::{Failure, Proof, Refusal, Revocation},
    providers::{
        Holder, Identity, Issuance, Issued, Kind, LoginValues, Permission, crossed,
        driver::{self, Config as _},
        http::{Answer, Call, HttpClient, Turns, failed},
    },
    secret::SecretData,
};

/// The path that all calls share (DCE documentation, request example).
pub(super) const API: [&str; 3] = ["apis", "ghippo.io", "v1alpha1"];

/// How long is waited before a bearer token that was refused is asked about once more. DCE's gateway gets its keys from
/// elsewhere, and is a moment late when they change (release notes, 0.11).
const SECOND_LOOK: Duration = Duration::from_millis(1500);

/// The longest AK or SK that is believed. Real ones are UUIDs.
const LONGEST_KEY: usize = 1024;
/// The longest access key that is believed. They are JWTs.
const LONGEST_TOKEN: usize = 8 * 1024;

/// Talks to one DCE with one login.
pub struct Client {
    pub(super) http: HttpClient,
    pub(super) login: Login,
    /// The id of the access key that it logs in with, where the operator has published it.
    pub(super) login_id: Option<String>,
}

/// What the operator logs in with.
pub(super) enum Login {
    /// Before ghippo 0.14.
    KeyPair {
        /// The AK.
        ak: SecretString,
        /// The SK.
        sk: SecretString,
    },
    /// From 0.14 on: a bearer token.
    AccessKey(SecretString),
}

/// The part of `GET current-user` that matters (DCE's OpenAPI, `ghippo`).
#[derive(Deserialize)]
struct CurrentUser {
    username: Option<String>,
}

impl Client {
    /// A client; `login` holds AK and SK, or the access key.
    ///
    /// # Errors
    /// `LoginInvalid` when one of them cannot be a key.
    pub fn new(config: &Config, http: HttpClient, login: &LoginValues) -> Result<Self, Refusal> {
        let longest = match config {
            Config::KeyPair(..) => LONGEST_KEY,
            Config::AccessKey(_) => LONGEST_TOKEN,
        };
        for key in config.login_keys() {
            let value = login.expect(&key.key);
            let value = value.expose_secret();
            let plausible = !value.is_empty()
                && value.len() <= longest
                && value.chars().all(|char| char.is_ascii_graphic());
            if !plausible {
                return Err(Refusal::new(
                    Reason::LoginInvalid,
                    format!(
                        "the value under key {} ({}) is empty, longer than {longest} bytes, or has characters that no key has",
                        key.key, key.field
                    ),
                ));
            }
        }
        let login_id = login.id.clone();
        let login = match config {
            Config::KeyPair(ak, sk) => Login::KeyPair {
                ak: login.expect(ak),
                sk: login.expect(sk),
            },
            Config::AccessKey(key) => Login::AccessKey(login.expect(key)),
        };
        Ok(Client {
            http,
            login,
            login_id,
        })
    }

    /// `GET token?ak=&sk=&cycle=`. `cycle` is always sent: before 0.13 it was required.
    ///
    /// # Errors
    /// `LoginRefused`, `NotOffered` where DCE has no such endpoint, and those of any call.
    pub async fn issue_token(&self, turns: &dyn Turns, ask: &TokenAsk) -> Result<Issued, Failure> {
        let Login::KeyPair { ak, sk } = &self.login else {
            return Err(failed(
                Reason::NotOffered,
                "tokens take a login with an AK/SK pair (spec.dce.auth.keyPair); with an access key, ask for access keys \
                 (spec.dce.accessKey)",
            ));
        };
        let cycle = ask.cycle.to_string();
        let call = Call {
            query: &[
                ("ak", ak.expose_secret()),
                ("sk", sk.expose_secret()),
                ("cycle", &cycle),
            ],
            ..Call::new(Method::GET, &[API[0], API[1], API[2], "token"])
        };
        let answer = self.http.send(turns, call).await?;
        if answer.status != StatusCode::OK {
            return Err(refused_token(&answer));
        }
        token::read(&answer.body, ask.cycle, self.endpoint(), clock::now())
    }

    /// `GET current-user` with the token.
    ///
    /// # Errors
    /// Those of any call. A token that is refused twice is no error but [`Proof::Refused`]; one that is known and may
    /// not ask this is `Forbidden`, and nothing is said about what else it may do.
    pub async fn verify_token(
        &self,
        turns: &dyn Turns,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        let token = data
            .text("token")
            .ok_or_else(|| failed(Reason::InternalError, "there is no token to verify"))?;
        let answer = self.current_user(turns, token).await?;
        match answer.status {
            StatusCode::OK => proof(&answer, token),
            // Older versions, and gateways that do not let it through.
            StatusCode::NOT_FOUND => Ok(Proof::Impossible),
            StatusCode::UNAUTHORIZED => Ok(Proof::Refused),
            StatusCode::FORBIDDEN => Err(failed(
                Reason::Forbidden,
                "DCE or its gateway does not let the credential ask whose it is (HTTP 403), so that it cannot be proven; look \
                 at the user's rights and at the gateway's policies for the path current-user",
            )),
            _ => Err(answer.failure("DCE")),
        }
    }

    /// Asks whose a bearer token is. One that is refused is asked about once more: a gateway whose keys are being
    /// changed refuses for a moment what it takes afterwards, and no account is locked by it, since nothing is guessed.
    async fn current_user(&self, turns: &dyn Turns, bearer: &str) -> Result<Answer, Failure> {
        let call = || Call {
            bearer: Some(bearer),
            ..Call::new(Method::GET, &[API[0], API[1], API[2], "current-user"])
        };
        let answer = self.http.send(turns, call()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        tokio::time::sleep(SECOND_LOOK).await;
        self.http.send(turns, call()).await
    }

    /// `GET current-user` with an access key: whose it is.
    ///
    /// # Errors
    /// Those of any call; `LoginRefused`.
    pub(super) async fn user(
        &self,
        turns: &dyn Turns,
        key: &SecretString,
    ) -> Result<String, Failure> {
        let answer = self.current_user(turns, key.expose_secret()).await?;
        if answer.status != StatusCode::OK {
            return Err(answer::refused(&answer));
        }
        let user: Option<CurrentUser> = serde_json::from_slice(&answer.body).ok();
        let name = user.and_then(|user| token::name(user.username.as_ref()));
        name.ok_or_else(|| {
            failed(
                Reason::UnexpectedAnswer,
                "DCE does not say whose the login is; check the endpoint",
            )
        })
    }

    /// What people have to be told where the request's Secret is the login, and goes with the request.
    ///
    /// # Errors
    /// `WouldBreakLogin` where the request does not keep the login yet. One that does is served all the
    /// same: without a new key the login would end for certain.
    pub(super) fn lends_login(
        &self,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Option<String>, Failure> {
        const WORDS: &str = "spec.secret.name: the Secret is the one that the provider logs in with, and would go with this \
                             request; set spec.deletionPolicy to Retain";
        if !permission.is_login || permission.renews_login {
            return Ok(None);
        }
        if self.login_id.is_some() && self.login_id == identity.held {
            return Ok(Some(WORDS.to_owned()));
        }
        Err(failed(
            Reason::WouldBreakLogin,
            format!("{WORDS}, or name another Secret"),
        ))
    }

    pub(super) fn endpoint(&self) -> &Url {
        self.http.endpoint()
    }
}

impl driver::Client for Client {
    type Ask = Ask;

    /// With an AK/SK pair, asks for a token of the shortest life and forgets it: DCE has no other way to
    /// try one.
    async fn test_login(&self, turns: &dyn Turns) -> Result<(), Failure> {
        match &self.login {
            Login::KeyPair { .. } => self
                .issue_token(turns, &TokenAsk { cycle: 1 })
                .await
                .map(drop),
            Login::AccessKey(key) => self.user(turns, key).await.map(drop),
        }
    }

    async fn issue(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        let lent = self.lends_login(permission, identity)?;
        let mut issuance = match ask {
            Ask::Token(ask) => Issuance::Issued(self.issue_token(turns, ask).await?),
            Ask::AccessKey(ask) => self.issue_access_key(turns, ask, identity).await?,
        };
        if let Issuance::Issued(issued) = &mut issuance {
            issued.remark = lent;
        }
        Ok(issuance)
    }

    async fn verify(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        _permission: Option<&Permission>,
        _owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        match ask {
            Ask::Token(_) | Ask::AccessKey(_) => self.verify_token(turns, data).await,
        }
    }

    async fn revoke(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        _ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<Revocation, Failure> {
        match kind {
            Kind::DceAccessKey => self.revoke_access_key(turns, holder).await,
            _ => Err(crossed()),
        }
    }

    async fn confirm(
        &self,
        turns: &dyn Turns,
        kind: Kind,
        _ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<(), Failure> {
        match kind {
            Kind::DceAccessKey => self.confirm_access_key(turns, holder).await,
            _ => Err(crossed()),
        }
    }
}

/// Why there is no token. Access to DCE is checked at its gateway, which answers in plain text,
/// while DCE itself answers in JSON.
fn refused_token(answer: &Answer) -> Failure {
    const GONE: &str = "this DCE has no token endpoint (it was removed in ghippo 0.14): there, an access key from the \
                        Personal Center is itself the bearer token; create one there and remove this request";
    match answer.status {
        StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::GONE
        | StatusCode::NOT_IMPLEMENTED => failed(Reason::NotOffered, GONE),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !answer.is_json => failed(
            Reason::LoginRefused,
            format!(
                "DCE's gateway refuses the login (HTTP {}): the AK/SK pair is wrong or disabled, or {GONE}",
                answer.status.as_u16()
            ),
        ),
        // A 403 of DCE itself is about this call, and says nothing about the pair.
        StatusCode::UNAUTHORIZED => failed(
            Reason::LoginRefused,
            format!(
                "DCE refuses the AK/SK pair (HTTP {}): it is wrong or disabled",
                answer.status.as_u16()
            ),
        ),
        _ => answer.failure("DCE"),
    }
}

/// Whether the answer speaks of the user that the token is for.
fn proof(answer: &Answer, token: &str) -> Result<Proof, Failure> {
    let user: CurrentUser = serde_json::from_slice(&answer.body).map_err(|_| {
        failed(
            Reason::UnexpectedAnswer,
            "DCE's self-test answers with something that is no user; check the endpoint",
        )
    })?;
    let stated = Claims::read(token).and_then(|claims| claims.preferred_username);
    match (user.username, stated) {
        (Some(user), Some(stated)) if user != stated => Err(failed(
            Reason::UnexpectedAnswer,
            "DCE's self-test speaks of another user than the token",
        )),
        (Some(_), _) => Ok(Proof::Given),
        (None, _) => Err(failed(
            Reason::UnexpectedAnswer,
            "DCE's self-test names no user; check the endpoint",
        )),
    }
}
