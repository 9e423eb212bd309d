//! The end of a pair by SODA's own `DELETE`, which destroys all credentials of the login's user: of all
//! projects and types, and whether it did it does not say. Only where the request asks for it and a grant
//! allows it, when the request is deleted, after it was said what goes; never again before that was said
//! anew.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};

use super::{Ask, Client, answer, permit};
use crate::{
    api::Reason,
    clock,
    plan::{Failure, Revocation},
    providers::{
        Holder,
        http::{Turns, failed},
        keystone::{identity::pair_id, session::Session},
    },
};

/// How long before it happens it is said at least what will be deleted.
const NOTICE: Duration = Duration::from_secs(10);

/// What was said to be deleted.
pub(super) struct Announced {
    words: String,
    at: Instant,
}

/// The credentials of the login's user.
struct Inventory {
    /// Each in a few words, in an order that stays.
    items: Vec<String>,
    /// Whether the pair is among them.
    has_pair: bool,
}

impl Client {
    /// Deletes all credentials of the login's user, if the pair that the request has published is among
    /// them.
    ///
    /// # Errors
    /// `DestroysMore` with what will be deleted, until that was said for a while; `NotAllowed`; those of a
    /// login and of a call.
    pub(super) async fn end_all(
        &self,
        turns: &dyn Turns,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<Revocation, Failure> {
        let Some(id) = pair_of(holder) else {
            return Ok(Revocation::Absent);
        };
        let mut session = self.session_to_end(turns, ask, holder).await?;
        let inventory = self.inventory(turns, &mut session, id).await?;
        if !inventory.has_pair {
            return Ok(Revocation::Absent);
        }
        self.announce(&holder.identity.uid, &inventory.items)?;
        let user = session.user.id.clone();
        let answer = self
            .ask(turns, &mut session, Method::DELETE, Some(&user), None)
            .await?;
        match answer.status {
            StatusCode::OK => Ok(Revocation::Sent),
            // A part may be gone, and it may go on: it is looked at anew.
            _ => Err(answer::failure(&answer)),
        }
    }

    /// Makes sure that the pair is gone. What SODA answered proves nothing.
    ///
    /// # Errors
    /// Those of a login and of a call; `Forbidden` when it is still there, or nobody can tell.
    pub(super) async fn confirm_end(
        &self,
        turns: &dyn Turns,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<(), Failure> {
        let Some(id) = pair_of(holder) else {
            return Ok(());
        };
        let mut session = self.session_to_end(turns, ask, holder).await?;
        if self.inventory(turns, &mut session, id).await?.has_pair {
            return Err(failed(
                Reason::Forbidden,
                "SODA was told to delete all credentials of the login's user, and the pair is still there",
            ));
        }
        Ok(())
    }

    /// A session for what a grant allows now: what goes is more than the request's own.
    async fn session_to_end(
        &self,
        turns: &dyn Turns,
        ask: Option<&Ask>,
        holder: &Holder<'_>,
    ) -> Result<Arc<Session>, Failure> {
        let (Some(ask), Some(permission)) = (ask, holder.permission) else {
            return Err(failed(
                Reason::NotAllowed,
                "no grant allows spec.soda.accessKey.onDelete any more, or the provider is being deleted as well; who lets \
                 the pair live on gives the request the annotation credential-operator.dev/abandon with the value all",
            ));
        };
        let permission = permit::at_keystone(permission, ask);
        let (session, _) = self
            .keystone
            .permitted_pair(turns, &ask.pair, &permission)
            .await?;
        if holder.owner.is_some_and(|owner| owner != session.user.id) {
            return Err(failed(
                Reason::Forbidden,
                "the pair belongs to another user than the provider's login, whose credentials it does not delete; who lets \
                 the pair live on gives the request the annotation credential-operator.dev/abandon with the value all",
            ));
        }
        Ok(session)
    }

    /// What there is, by Keystone; by SODA where Keystone does not let it be listed.
    async fn inventory(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        id: &str,
    ) -> Result<Inventory, Failure> {
        let known = self.keystone.own_credentials(turns, session).await?;
        let mut all: Vec<(String, String, String)> = match known {
            Some(known) => known
                .into_iter()
                .map(|held| {
                    let name = held.access.unwrap_or_else(|| held.id.clone());
                    (held.id, held.kind, name)
                })
                .collect(),
            None => match self.read(turns, session).await? {
                Some(rows) => rows
                    .into_iter()
                    .map(|row| {
                        let access = row.blob.access_key;
                        (pair_id(&access), row.kind, access)
                    })
                    .collect(),
                None => {
                    return Err(failed(
                        Reason::Forbidden,
                        "which credentials the login's user has cannot be told: Keystone does not let them be listed, and \
                         SODA shows none, which it also does when its Keystone fails",
                    ));
                }
            },
        };
        all.sort();
        Ok(Inventory {
            has_pair: all.iter().any(|(of, _, _)| of == id),
            items: all
                .iter()
                .map(|(_, kind, name)| format!("{} {}…", plain(kind, 32), plain(name, 6)))
                .collect(),
        })
    }

    /// Says what will be deleted; passes once it was said for long enough, and then has to be said anew.
    fn announce(&self, request: &str, items: &[String]) -> Result<(), Failure> {
        let shown = items.iter().take(16).cloned().collect::<Vec<_>>();
        let more = if items.len() > shown.len() {
            ", and more"
        } else {
            ""
        };
        let words = format!(
            "SODA deletes all credentials of the login's user or none. These {} go, whatever project they are for: {}{more}",
            items.len(),
            shown.join(", ")
        );
        let now = clock::monotonic();
        let mut announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = announced
            .get(request)
            .filter(|before| before.words == words);
        match before {
            Some(before) if now.saturating_duration_since(before.at) >= NOTICE => {
                announced.remove(request);
                return Ok(());
            }
            Some(_) => {}
            None => {
                let words = words.clone();
                announced.insert(request.to_owned(), Announced { words, at: now });
            }
        }
        Err(failed(Reason::DestroysMore, words))
    }
}

/// The id of the pair that the request has published last, where the request goes and this serial is one
/// that was published. A rotation has found the same pair, and ends nothing.
fn pair_of<'a>(holder: &Holder<'a>) -> Option<&'a str> {
    let was_published = holder.is_last && holder.owner.is_some();
    holder.identity.held.as_deref().filter(|_| was_published)
}

/// The beginning of a text that somebody else chose.
fn plain(text: &str, length: usize) -> String {
    let fit = text
        .chars()
        .filter(|char| char.is_ascii_alphanumeric() || *char == '-');
    fit.take(length).collect()
}
