//! The end of a pair by SODA's own `DELETE`, which destroys all credentials of the login's user: of all
//! projects and types, and whether it did it does not say. Only where the request asks for it and a grant
//! allows it, when the request is deleted, after it was said what goes; never again before that was said
//! anew.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};

use super::{Ask, Client, answer, permit};
use crate::{
    api::Reason,
    clock,
    plan::{Failure, Revocation},
    providers::{
        Holder,
        http::{Turns, failed},
        keystone::{access_key::Standing, identity::pair_id, session::Session},
    },
};

/// How long before it happens it is said at least what will be deleted.
const NOTICE: Duration = Duration::from_secs(10);

/// For how long it counts that it was said; longer than the next attempt is ever away.
const NOTICE_COUNTS: Duration = Duration::from_mins(10);

/// How many credentials are listed: what fits into an event.
const MOST_LISTED: usize = 16;

/// What a request that is going has said and done.
#[derive(Default)]
pub(super) struct Ending {
    /// What was said to be deleted.
    said: Option<Said>,
    /// Since SODA was told to delete the pair with all others, whatever became of that.
    called: Option<Called>,
}

/// A call of SODA's `DELETE`.
#[derive(Clone)]
struct Called {
    /// The access key of the pair.
    access: String,
    /// Whether SODA has answered that it is done, which proves nothing.
    is_answered: bool,
}

struct Said {
    /// Of all that goes, whether or not it stands in the words.
    digest: String,
    words: String,
    at: Instant,
}

/// The credentials of the login's user.
struct Inventory {
    /// Id, type, and access key if it is a pair, in an order that stays.
    all: Vec<(String, String, String)>,
    /// The access key of the request's pair, if that is among them.
    pair: Option<String>,
}

impl Client {
    /// Deletes all credentials of the login's user, if the pair that the request has published, or has in
    /// hand, is among them.
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
        let request = &holder.identity.uid;
        let inventory = self.inventory(turns, &mut session, request, id).await?;
        let Some(access) = inventory.pair.clone() else {
            self.ending(request, |ending| *ending = Ending::default());
            return Ok(Revocation::Absent);
        };
        let (now, time) = (clock::monotonic(), clock::now());
        self.ending(request, |ending| ending.say(&inventory, now, time))?;
        let called = |is_answered| {
            let access = access.clone();
            self.ending(request, |ending| {
                ending.called = Some(Called {
                    access,
                    is_answered,
                });
            });
        };
        // Before it is sent: without an answer, or after an error, it may be done all the same.
        called(false);
        let user = session.user.id.clone();
        let answer = self
            .ask(turns, &mut session, Method::DELETE, Some(&user), None)
            .await?;
        match answer.status {
            StatusCode::OK => {
                called(true);
                Ok(Revocation::Sent)
            }
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
        let request = &holder.identity.uid;
        let inventory = self.inventory(turns, &mut session, request, id).await?;
        self.ending(request, |ending| *ending = Ending::default());
        if inventory.pair.is_some() {
            return Err(failed(
                Reason::Forbidden,
                "SODA was told to delete all credentials of the login's user, and the pair is still there",
            ));
        }
        Ok(())
    }

    fn ending<T>(&self, request: &str, with: impl FnOnce(&mut Ending) -> T) -> T {
        let mut endings = self.endings.lock().unwrap_or_else(PoisonError::into_inner);
        let ending = endings.entry(request.to_owned()).or_default();
        let result = with(ending);
        endings.retain(|_, ending| ending.said.is_some() || ending.called.is_some());
        result
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
        request: &str,
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
                None => self.nothing_is_shown(turns, session, request).await?,
            },
        };
        all.sort();
        let pair = all.iter().find(|(of, _, _)| of == id);
        Ok(Inventory {
            pair: pair.map(|(_, _, access)| access.clone()),
            all,
        })
    }

    /// SODA shows nothing, which it also does when its Keystone fails. After its `DELETE` Keystone may say of
    /// the one pair that it is gone, where it does not list any.
    async fn nothing_is_shown<T>(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        request: &str,
    ) -> Result<Vec<T>, Failure> {
        let called = self.ending(request, |ending| ending.called.clone());
        let Some(called) = called else {
            return Err(failed(
                Reason::Forbidden,
                "which credentials the login's user has cannot be told: Keystone does not let them be listed, and SODA shows \
                 none, which it also does when its Keystone fails; who knows that the pair is gone, or lets it live on, gives \
                 the request the annotation credential-operator.dev/abandon with the value all",
            ));
        };
        let user = session.user.id.clone();
        let standing = self
            .keystone
            .standing(turns, session, &user, &called.access, "")
            .await;
        match standing {
            Ok(Standing::Absent) => Ok(Vec::new()),
            Ok(Standing::Same | Standing::Another) => Err(failed(
                Reason::Forbidden,
                "SODA was told to delete all credentials of the login's user and shows none any more, but Keystone still has \
                 the pair; delete it there",
            )),
            Ok(Standing::Hidden) | Err(_) => {
                let answered = if called.is_answered {
                    "its DELETE was answered HTTP 200"
                } else {
                    "its DELETE was called, and failed or was not answered, and may be done all the same"
                };
                Err(failed(
                    Reason::Forbidden,
                    format!(
                        "SODA was told to delete all credentials of the login's user ({answered}) and shows none any more, \
                         which it also does when its Keystone fails; Keystone lets the login see no credentials, so whether \
                         the pair is gone nobody can tell. Who has made sure of it gives the request the annotation \
                         credential-operator.dev/abandon with the value all"
                    ),
                ))
            }
        }
    }
}

impl Ending {
    /// Says what will be deleted; passes once it was said for long enough, and then has to be said anew.
    fn say(&mut self, inventory: &Inventory, now: Instant, time: Timestamp) -> Result<(), Failure> {
        let digest = inventory.digest();
        let age = |said: &Said| now.saturating_duration_since(said.at);
        let said = self
            .said
            .take()
            .filter(|said| said.digest == digest && age(said) < NOTICE_COUNTS);
        let said = match said {
            Some(said) if age(&said) >= NOTICE => return Ok(()),
            Some(said) => said,
            None => Said {
                words: inventory.words(&digest, time),
                digest,
                at: now,
            },
        };
        let words = said.words.clone();
        self.said = Some(said);
        Err(failed(Reason::DestroysMore, words))
    }
}

impl Inventory {
    fn digest(&self) -> String {
        // Strings can always be written.
        let text = serde_json::to_string(&self.all).unwrap_or_default();
        let digest = Sha256::digest(text);
        let hex = digest.iter().map(|byte| format!("{byte:02x}"));
        hex.collect()
    }

    /// With the time, so that it is news each time that it is said.
    fn words(&self, digest: &str, time: Timestamp) -> String {
        let listed = self.all.iter().take(MOST_LISTED);
        let listed: Vec<_> = listed
            .map(|(_, kind, name)| format!("{} {}…", plain(kind, 12), plain(name, 6)))
            .collect();
        let more = match self.all.len().saturating_sub(MOST_LISTED) {
            0 => String::new(),
            more => format!(
                ", and {more} more (list {})",
                digest.get(..8).unwrap_or_default()
            ),
        };
        format!(
            "SODA deletes all credentials of the login's user or none. These {} go, whatever project they are for, ten seconds \
             after {time} or later: {}{more}",
            self.all.len(),
            listed.join(", ")
        )
    }
}

/// The id of the pair that ends with the request: the one in hand under this serial, else the one that
/// was published last, if this serial was published. `None` while the request stays: a rotation finds
/// the same pair again and ends nothing.
fn pair_of<'a>(holder: &Holder<'a>) -> Option<&'a str> {
    // Both the credential in hand and a published one have a recorded owner; a serial that came to
    // nothing has none.
    let is_known = holder.is_last && holder.owner.is_some();
    holder.identity.held.as_deref().filter(|_| is_known)
}

/// The beginning of a text that somebody else chose.
fn plain(text: &str, length: usize) -> String {
    let fit = text
        .chars()
        .filter(|char| char.is_ascii_alphanumeric() || *char == '-');
    fit.take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(size: usize) -> Inventory {
        let one = |number: usize| {
            (
                format!("id-{number:03}"),
                "ec2".to_owned(),
                format!("AK{number:04}"),
            )
        };
        Inventory {
            all: (0..size).map(one).collect(),
            pair: Some("AK0000".to_owned()),
        }
    }

    #[test]
    fn nothing_goes_that_was_not_said_a_moment_ago_all_of_it() {
        let start = clock::monotonic();
        let said = |ending: &mut Ending, inventory: &Inventory, seconds: u64| {
            let time = Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
            let now = start + Duration::from_secs(seconds);
            ending.say(inventory, now, time).map_err(|failure| {
                assert_eq!(failure.reason, Reason::DestroysMore);
                failure.message
            })
        };
        let mut ending = Ending::default();
        let list = inventory(20);
        let first = said(&mut ending, &list, 0).unwrap_err();
        for part in ["These 20 go", "ec2 AK0000…", "ec2 AK0015…", ", and 4 more"] {
            assert!(first.contains(part), "{first}");
        }
        assert_eq!(said(&mut ending, &list, 9), Err(first.clone()));
        // One that is not listed is another one.
        let mut other = inventory(20);
        other.all[19].0 = "id-999".to_owned();
        let second = said(&mut ending, &other, 11).unwrap_err();
        assert_ne!(first, second);
        assert_eq!(said(&mut ending, &other, 20), Err(second));
        assert_eq!(said(&mut ending, &other, 21), Ok(()));
        // It was said for once.
        let third = said(&mut ending, &other, 22).unwrap_err();
        // What was said long ago was said to nobody.
        let fourth = said(&mut ending, &other, 22 + 600).unwrap_err();
        assert_ne!(third, fourth, "it is news");
        assert_eq!(said(&mut ending, &other, 22 + 610), Ok(()));
    }
}
