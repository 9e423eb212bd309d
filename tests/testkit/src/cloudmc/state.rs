//! Who and what exists: organizations, users with API keys, connections, environments, and the values of users.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::answer::Style;
use super::fields::Field;
use super::ledger::Ledger;
use super::lie::Lie;
use super::services::Service;

/// A user as tests know one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The id.
    pub id: String,
    /// The user name.
    pub username: String,
    /// The id of the organization.
    pub organization: String,
    /// The first API key, which begins with `MCKEYMARK-`.
    pub api_key: String,
}

/// What a user may do beyond being a member of environments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Sees all users and environments of the organization: "Users read" and "Environments read".
    pub read_all: bool,
    /// Sees the connections of all organizations, and their parameters: "Manage Service connections".
    pub manage_connections: bool,
}

pub(super) struct Organization {
    pub(super) id: String,
    pub(super) name: String,
}

pub(super) struct User {
    pub(super) id: String,
    pub(super) username: String,
    pub(super) organization: String,
    pub(super) rights: Rights,
    pub(super) created: Timestamp,
}

pub(super) struct ApiKey {
    pub(super) user: String,
    pub(super) deleted: bool,
    pub(super) uses: u64,
}

pub(super) struct Connection {
    pub(super) id: String,
    /// `serviceCode`.
    pub(super) code: String,
    pub(super) name: String,
    pub(super) service: Service,
    /// The organizations that own it or that it is assigned to.
    pub(super) organizations: BTreeSet<String>,
    pub(super) can_regenerate: bool,
    /// Keys of fields that the admin has put on the blacklist.
    pub(super) hidden: BTreeSet<String>,
    /// Name and value.
    pub(super) parameters: Vec<(String, String)>,
}

pub(super) struct Environment {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) organization: String,
    pub(super) connection: String,
    /// Ids of users.
    pub(super) members: BTreeSet<String>,
    pub(super) created: Timestamp,
}

/// What the controls set.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) style: Style,
    /// Leave out `environmentSpecific`, as older versions do.
    pub(super) older: bool,
    pub(super) lies: Vec<Lie>,
}

impl Settings {
    /// The lie about values, or about other answers, that was told last.
    pub(super) fn lie(&self, about_values: bool) -> Option<Lie> {
        let mut lies = self.lies.iter().rev().copied();
        lies.find(|lie| lie.about_values() == about_values)
    }
}

/// Everything that one simulator knows. What it lists is in the order in which it was made.
#[derive(Default)]
pub(super) struct State {
    pub(super) organizations: Vec<Organization>,
    pub(super) users: Vec<User>,
    /// All that there ever were, by the key itself.
    pub(super) api_keys: BTreeMap<String, ApiKey>,
    pub(super) connections: Vec<Connection>,
    pub(super) environments: Vec<Environment>,
    /// By user and environment. They stay when a membership ends.
    pub(super) values: BTreeMap<(String, String), Vec<Field>>,
    pub(super) ledger: Ledger,
    pub(super) settings: Settings,
}

impl State {
    pub(super) fn organization(&self, id: &str) -> Option<&Organization> {
        self.organizations.iter().find(|found| found.id == id)
    }

    pub(super) fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|found| found.id == id)
    }

    pub(super) fn connection(&self, id: &str) -> Option<&Connection> {
        self.connections.iter().find(|found| found.id == id)
    }

    pub(super) fn environment(&self, id: &str) -> Option<&Environment> {
        self.environments.iter().find(|found| found.id == id)
    }

    /// The environments at the same connection as this one, for whose values of a user there is an entry.
    pub(super) fn siblings(&self, user: &str, environment: &str) -> Vec<String> {
        let connection = self.environment(environment).map(|found| &found.connection);
        let environments = self.environments.iter();
        let same = environments.filter(|other| Some(&other.connection) == connection);
        let known = same.filter(|other| {
            let key = (user.to_owned(), other.id.clone());
            self.values.contains_key(&key)
        });
        known.map(|other| other.id.clone()).collect()
    }

    /// Makes the values of a user who becomes a member of an environment, unless there are some from an earlier
    /// membership. What environments share is taken over from another one.
    pub(super) fn provide(&mut self, user: &str, environment: &str) {
        let key = (user.to_owned(), environment.to_owned());
        if self.values.contains_key(&key) {
            return;
        }
        let mut values = self.fresh(user, environment);
        if let Some(sibling) = self.siblings(user, environment).first() {
            let known = &self.values[&(user.to_owned(), sibling.clone())];
            for field in values
                .iter_mut()
                .filter(|field| !field.environment_specific)
            {
                let shared = known
                    .iter()
                    .find(|k| k.key == field.key && !k.environment_specific);
                if let Some(shared) = shared {
                    *field = shared.clone();
                }
            }
        }
        self.ledger.fields(&values);
        self.values.insert(key, values);
    }

    /// New values, which nobody has yet.
    pub(super) fn fresh(&self, user: &str, environment: &str) -> Vec<Field> {
        let there = self
            .environment(environment)
            .expect("the environment exists");
        let connection = self
            .connection(&there.connection)
            .expect("the connection exists");
        let organization = self.organization(&there.organization);
        let organization = organization.map_or("", |found| &found.name);
        let user = self.user(user).map_or("", |found| &found.username);
        connection.service.values(organization, &there.name, user)
    }
}

pub(super) fn new_id() -> String {
    Uuid::new_v4().to_string()
}
