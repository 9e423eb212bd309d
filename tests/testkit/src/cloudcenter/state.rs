//! Who exists, and how answers look.

use super::ledger::Ledger;
use super::lie::Lie;

/// How many users a list shows when it is not asked for another number (view users).
pub const PAGE: usize = 20;

/// The tenant of CloudCenter's own admins (view users, sample).
pub const ROOT_TENANT: &str = "1";

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Sees oneself.
    User,
    /// Sees everybody of the same tenant (manage API key).
    TenantAdmin,
    /// Sees everybody (key tutorial).
    Admin,
}

/// A user as tests know one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The id, which is not the number in the user name.
    pub id: String,
    /// The user name of the API: what stands before the `@` of the e-mail address, an underscore and a number that
    /// CloudCenter makes up (key tutorial).
    pub username: String,
    /// The API key at the time of asking; empty when there is none.
    pub key: String,
    /// The e-mail address.
    pub email: String,
    /// The id of the tenant.
    pub tenant: String,
    /// The password of the user interface, which begins with `PWMARK-`.
    pub password: String,
}

impl Account {
    /// The user name that goes with the password: `e-mail,tenant` (clients).
    pub fn login(&self) -> String {
        format!("{},{}", self.email, self.tenant)
    }
}

/// The form of an answer about a key. The sources only show it in pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyShape {
    /// `{"apiKey": {"resource": …, "username": …, "key": …}}`, like the request that makes a key (clients).
    #[default]
    Object,
    /// `{"apiKey": "…"}`.
    Text,
    /// `{"resource": …, "username": …, "key": …}`.
    TopLevel,
}

/// The form of ids in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdShape {
    /// `"2"` (view users).
    #[default]
    Text,
    /// `2`, where the id is a number.
    Number,
}

/// The body of a 401. The sources do not show it; clients look at the status before they read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginRefusal {
    /// The error page of the application server.
    #[default]
    Html,
    /// Nothing.
    Empty,
}

pub(super) struct User {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) email: String,
    pub(super) tenant: String,
    pub(super) rank: Rank,
    pub(super) enabled: bool,
    pub(super) password: String,
    /// Milliseconds since the epoch.
    pub(super) created: i64,
    pub(super) updated: i64,
}

impl User {
    /// Whether this user may look at another one, and at the key.
    pub(super) fn may_see(&self, other: &User) -> bool {
        match self.rank {
            Rank::Admin => true,
            Rank::TenantAdmin => self.tenant == other.tenant,
            Rank::User => self.id == other.id,
        }
    }
}

/// What the controls set.
pub(super) struct Settings {
    pub(super) keys: KeyShape,
    pub(super) ids: IdShape,
    pub(super) refusals: LoginRefusal,
    /// What stands before the path in URLs that answers hold; `None` is what the client used.
    pub(super) advertised: Option<String>,
    /// What stands in the place of passwords.
    pub(super) redaction: String,
    /// A key without the header that says so is refused.
    pub(super) mark_required: bool,
    /// A user who is no admin may not read the own key by the id.
    pub(super) own_key_hidden: bool,
    pub(super) lies: Vec<Lie>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: KeyShape::default(),
            ids: IdShape::default(),
            refusals: LoginRefusal::default(),
            advertised: None,
            redaction: "===redacted===".to_owned(),
            mark_required: false,
            own_key_hidden: false,
            lies: Vec::new(),
        }
    }
}

impl Settings {
    /// The lie about lists, or about single answers, that was told last.
    pub(super) fn lie(&self, about_lists: bool) -> Option<Lie> {
        let mut lies = self.lies.iter().rev().copied();
        lies.find(|lie| lie.about_lists() == about_lists)
    }
}

/// Everything that one simulator knows.
#[derive(Default)]
pub(super) struct State {
    /// In the order in which they were made, which is that of lists.
    pub(super) users: Vec<User>,
    /// How many users there ever were.
    pub(super) made: u64,
    pub(super) ledger: Ledger,
    pub(super) settings: Settings,
}

impl State {
    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn account(&self, user: &User) -> Account {
        let key = self.ledger.live(&user.username);
        Account {
            id: user.id.clone(),
            username: user.username.clone(),
            key: key.map(|key| key.key.clone()).unwrap_or_default(),
            email: user.email.clone(),
            tenant: user.tenant.clone(),
            password: user.password.clone(),
        }
    }
}
