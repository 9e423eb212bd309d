//! A new key for a user, which destroys the one before (`POST /v1/users/{id}/keys` with
//! `{"apiKey": {"generate": true}}`, as a public client does it; Cisco's documentation of CloudCenter 4.0, "API
//! Management Key": "regenerate"). The only call that changes anything at CloudCenter.

use reqwest::{
    Method, StatusCode,
    header::{AUTHORIZATION, HeaderName},
};
use secrecy::SecretString;
use serde_json::json;

use super::{Ask, Client, answer, api_key, client::MARK, layout::basic, permit, users::Bearer};
use crate::{
    api::Reason,
    plan::{Failure, Proof},
    providers::{
        NotRegenerated, Permission, Regenerated, Told,
        http::{Answer, Call, Turns, failed},
    },
};

/// Whether CloudCenter did what it was told, by the status of its answer.
fn told(status: StatusCode) -> Told {
    match status {
        // Whoever is asked to wait was not served.
        StatusCode::TOO_MANY_REQUESTS => Told::No,
        StatusCode::REQUEST_TIMEOUT => Told::Perhaps,
        status if status.is_client_error() => Told::Refused,
        _ => Told::Perhaps,
    }
}

/// What an answer means that shows no new key.
pub(super) fn refusal(answer: &Answer) -> NotRegenerated {
    let told = told(answer.status);
    let failure = match told {
        Told::Refused => failed(
            Reason::NotRegenerated,
            format!(
                "CloudCenter refuses to make a new key for the user (HTTP {}); that takes a login of the user's tenant admin, or \
                 of the admin",
                answer.status.as_u16()
            ),
        ),
        Told::No | Told::Perhaps => answer::failure(answer),
    };
    NotRegenerated { failure, told }
}

fn perhaps(failure: Failure) -> NotRegenerated {
    NotRegenerated {
        failure,
        told: Told::Perhaps,
    }
}

impl Client {
    /// Has a new key made for the user whose key is asked for.
    ///
    /// # Errors
    /// Those of finding the user and of the grants, before CloudCenter is told; then whether it may have
    /// been done all the same.
    pub(super) async fn regenerate_api_key(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<Regenerated, NotRegenerated> {
        let entitled = self.entitled(turns, ask, permission).await;
        let (bearer, id) = entitled.map_err(|failure| match failure.reason {
            // Nothing will change that but another value, or another request.
            Reason::WouldBreakLogin => NotRegenerated {
                failure,
                told: Told::Refused,
            },
            _ => failure.into(),
        })?;
        // Only a request without a user has none, and that is refused before.
        let id = id.ok_or_else(permit::would_break_login)?;
        let username = match &bearer {
            Bearer::Own => self.login.username.clone(),
            Bearer::Other(user) => user.username.clone(),
        };
        if !api_key::is_username(&username) {
            return Err(answer::unexpected("shows a user name that no login can have").into());
        }
        let body = json!({"apiKey": {"generate": true}});
        let path = ["v1", "users", id.as_str(), "keys"];
        let headers = self.headers();
        let call = Call {
            headers: &headers,
            body: Some(&body),
            ..Call::new(Method::POST, &path)
        };
        // It may wait for its turn for so long that it is not made at all.
        turns.next().await?;
        let answer = self.http.send(&AtOnce(turns), call).await;
        let answer = answer.map_err(perhaps)?;
        if !matches!(answer.status, StatusCode::OK | StatusCode::CREATED) {
            return Err(refusal(&answer));
        }
        let key = api_key::shown(&answer, &username, &bearer).map_err(perhaps)?;
        let proof = match &bearer {
            Bearer::Own => self.prove_own(turns, &username, &key).await,
            Bearer::Other(_) => match self.read_key(turns, &bearer).await {
                Ok((_, read)) if read.digest() == self.layout.data(&username, &key).digest() => {
                    Proof::Given
                }
                _ => Proof::Impossible,
            },
        };
        Ok(Regenerated {
            issued: api_key::issued(username.clone(), self.layout.data(&username, &key)),
            proof,
        })
    }

    /// Reads the login's own key with itself. From now on nothing else is let in, so a key that could not
    /// be tried is better than none.
    async fn prove_own(&self, turns: &dyn Turns, username: &str, key: &str) -> Proof {
        let authorization = SecretString::from(basic(username, key).as_str());
        let headers: [(HeaderName, &SecretString); 2] =
            [(AUTHORIZATION, &authorization), (MARK, &self.mark)];
        let call = Call {
            headers: &headers,
            ..Call::new(Method::GET, &["v1", "user", "keys"])
        };
        let answer = self.http.send(turns, call).await;
        let read = answer.and_then(|answer| api_key::read(&answer, username, &Bearer::Own));
        match read {
            Ok(read) if api_key::is_same(&read, key) => Proof::Given,
            _ => Proof::Impossible,
        }
    }
}

/// Takes no further turn: the one for the call was taken already.
struct AtOnce<'a>(&'a dyn Turns);

impl Turns for AtOnce<'_> {
    fn next(&self) -> futures::future::BoxFuture<'_, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn answered(&self, answered: bool) {
        self.0.answered(answered);
    }
}
