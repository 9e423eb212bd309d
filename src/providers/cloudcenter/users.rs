//! Finding the user whose key is asked for (Cisco's documentation of CloudCenter 4.0, "View Users").
//!
//! Users can be looked up by their ids alone. For an e-mail address all of them are listed, in pages.
//! Links in answers (`resource`, `accessKeys`) are never followed: they are what the server takes
//! itself for, and a hostile one would have the login sent elsewhere.

use std::collections::{BTreeMap, HashSet};

use reqwest::StatusCode;
use serde::Deserialize;

use super::{
    Client,
    answer::{self, unexpected},
    config::Whose,
};
use crate::{
    api::{Reason, names::is_id},
    plan::Failure,
    providers::http::{Answer, Turns, failed},
};

/// How many users a page shows when nothing else is asked for ("View Users"). Asked for all the same.
const PAGE: &str = "20";
/// How many pages are looked at: a list of 10,000 users.
const MOST_PAGES: u64 = 500;
/// How many users are believed to be on them, whatever their size.
const MOST_USERS: usize = 50_000;
/// The longest id and address that are remembered.
const LONGEST: usize = 255;

/// Whose key is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// That of the provider's own login.
    Own,
    /// That of another user.
    Other(User),
}

/// A user as CloudCenter shows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id, which can be part of a path.
    pub id: String,
    /// The user name of the API.
    pub username: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// Whether keys of this user work, as far as is said.
    pub enabled: bool,
}

/// A user in an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    email_addr: Option<String>,
    #[serde(default)]
    enabled: Option<bool>,
}

/// Ids are texts in the documentation, and numbers as far as anybody has seen.
#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(u64),
}

/// A page of the list. Pages are counted from 0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    users: Vec<Row>,
    #[serde(default)]
    total_pages: Option<u64>,
    #[serde(default)]
    total_elements: Option<u64>,
}

impl Row {
    fn id(&self) -> Option<String> {
        match self.id.as_ref()? {
            Id::Text(text) => Some(text.clone()),
            Id::Number(number) => Some(number.to_string()),
        }
    }

    /// A user who can be asked about.
    fn into_user(self) -> Result<User, Failure> {
        match (self.id(), self.username) {
            (Some(id), Some(username)) if is_id(&id) => Ok(User {
                id,
                username,
                email: self.email_addr,
                enabled: self.enabled != Some(false),
            }),
            _ => Err(unexpected(
                "shows a user without a user name, or with an id that no path can hold",
            )),
        }
    }
}

/// What the pages of the list have told so far.
#[derive(Default)]
pub(super) struct Walk {
    /// The ids that were seen.
    seen: HashSet<String>,
    /// How many users have no id that could be compared.
    nameless: usize,
    /// To whom the addresses belong; nobody where several have the same one.
    directory: BTreeMap<String, Option<String>>,
    /// Those with the address that is looked for.
    found: Vec<Row>,
    pages: u64,
}

/// Whether the list goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// With this page.
    Next(u64),
    /// It is complete.
    End,
}

impl Walk {
    /// Takes in a page of the list, in which the user with an address is looked for.
    ///
    /// # Errors
    /// `UnexpectedAnswer` when the list is not complete, or too long.
    pub(super) fn take(&mut self, page: Page, email: &str) -> Result<Step, Failure> {
        let before = self.shown();
        for row in page.users {
            self.note(row, email);
        }
        self.pages += 1;
        // A server that does not know how to count pages begins anew, or never ends.
        let is_over = self.shown() == before;
        let pages = page.total_pages;
        if !is_over && pages.is_none_or(|pages| pages > self.pages) {
            return if self.shown() > MOST_USERS || self.pages >= MOST_PAGES {
                Err(unexpected(
                    "lists more users than are looked through; ask for the user by id",
                ))
            } else {
                Ok(Step::Next(self.pages))
            };
        }
        let shown = u64::try_from(self.shown()).unwrap_or(u64::MAX);
        let promised = page.total_elements.is_some_and(|users| users > shown)
            || pages.is_some_and(|pages| pages > self.pages);
        // Who is not shown may be the one, or another one with the same address.
        if promised {
            return Err(unexpected(
                "shows only a part of its list of users; ask for the user by id",
            ));
        }
        Ok(Step::End)
    }

    /// How many users were seen.
    fn shown(&self) -> usize {
        self.seen.len() + self.nameless
    }

    fn note(&mut self, row: Row, email: &str) {
        let Some(id) = row.id().filter(|id| id.len() <= LONGEST) else {
            self.nameless += 1;
            return;
        };
        let address = row
            .email_addr
            .as_ref()
            .map(|address| address.to_lowercase());
        if !self.seen.insert(id.clone()) {
            return;
        }
        let Some(address) = address else { return };
        if address == email {
            self.found.push(row);
        }
        if address.len() <= LONGEST && is_id(&id) {
            let owner = self.directory.entry(address);
            owner.and_modify(|owner| *owner = None).or_insert(Some(id));
        }
    }

    /// The only user with the address.
    ///
    /// # Errors
    /// `UnexpectedAnswer` when there are several.
    pub(super) fn only(&mut self) -> Result<Option<User>, Failure> {
        match self.found.len() {
            0 | 1 => self.found.pop().map(Row::into_user).transpose(),
            _ => Err(unexpected(
                "has several users with this e-mail address; ask for the user by id",
            )),
        }
    }
}

impl Client {
    /// Whose key is asked for; nobody's when there is no such user.
    ///
    /// # Errors
    /// Those of a call; `Forbidden` where the login may not look.
    pub(super) async fn find(
        &self,
        turns: &dyn Turns,
        whose: &Whose,
    ) -> Result<Option<Bearer>, Failure> {
        let found = self.find_with_id(turns, whose).await?;
        Ok(found.map(|(bearer, _)| bearer))
    }

    /// The same, with the user's id, where that was looked at.
    pub(super) async fn find_with_id(
        &self,
        turns: &dyn Turns,
        whose: &Whose,
    ) -> Result<Option<(Bearer, Option<String>)>, Failure> {
        let user = match whose {
            Whose::Own => return Ok(Some((Bearer::Own, None))),
            Whose::Id(id) => self.user(turns, id).await?,
            Whose::Email(email) => self.user_by_email(turns, email).await?,
        };
        Ok(user.map(|user| {
            let id = user.id.clone();
            if user.username.eq_ignore_ascii_case(&self.login.username) {
                (Bearer::Own, Some(id))
            } else {
                (Bearer::Other(user), Some(id))
            }
        }))
    }

    /// `GET /v1/users/{id}`.
    async fn user(&self, turns: &dyn Turns, id: &str) -> Result<Option<User>, Failure> {
        let answer = self.get(turns, &["v1", "users", id], &[]).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let user = read_user(&answer, id)?;
        Ok(Some(user))
    }

    /// Where the address led the last time, if that still holds; otherwise by the whole list.
    async fn user_by_email(&self, turns: &dyn Turns, email: &str) -> Result<Option<User>, Failure> {
        if let Some(id) = self.id_of(email)
            && let Some(user) = self.user(turns, &id).await?
            && user
                .email
                .as_ref()
                .is_some_and(|now| now.to_lowercase() == email)
        {
            return Ok(Some(user));
        }
        let mut walk = Walk::default();
        let mut number = 0;
        loop {
            let text = number.to_string();
            let query = [("page", text.as_str()), ("size", PAGE)];
            let answer = self.get(turns, &["v1", "users"], &query).await?;
            match walk.take(read_page(&answer)?, email)? {
                Step::Next(next) => number = next,
                Step::End => break,
            }
        }
        let user = walk.only()?;
        self.remember(walk.directory);
        Ok(user)
    }
}

/// The words for a login that is not an admin's.
fn needs_admin() -> Failure {
    failed(
        Reason::Forbidden,
        "CloudCenter accepts the login but does not let it look at other users (HTTP 403); their keys take a login of the users' \
         tenant admin, or of the admin",
    )
}

/// The answer of `GET /v1/users`.
///
/// # Errors
/// Those of a call.
pub(super) fn read_page(answer: &Answer) -> Result<Page, Failure> {
    match answer.status {
        StatusCode::OK => answer::read(answer),
        StatusCode::FORBIDDEN => Err(needs_admin()),
        _ => Err(answer::failure(answer)),
    }
}

/// The answer of `GET /v1/users/{id}`.
///
/// # Errors
/// Those of a call; `UnexpectedAnswer` when it is about somebody else.
pub(super) fn read_user(answer: &Answer, id: &str) -> Result<User, Failure> {
    match answer.status {
        StatusCode::OK => {}
        StatusCode::FORBIDDEN => return Err(needs_admin()),
        _ => return Err(answer::failure(answer)),
    }
    let user = answer::read::<Row>(answer)?.into_user()?;
    if user.id == id {
        Ok(user)
    } else {
        Err(unexpected("answers with another user than was asked for"))
    }
}
