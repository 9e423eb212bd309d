//! Who and what exists: domains, projects, roles, users, and all that they hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ledger::{Issued, Logins};
use super::tokens::Token;

/// The id of the domain that is always there; its name is `Default`.
pub const DEFAULT_DOMAIN: &str = "default";

/// The name of the project of that domain on which admins have their role.
pub const ADMIN_PROJECT: &str = "admin";

/// The roles that Keystone's bootstrap makes. Each of the first four implies those after it.
const HIERARCHY: [&str; 4] = ["admin", "manager", "member", "reader"];
const SERVICE: &str = "service";

/// How many credentials a user may have; `None` is no limit. A limit that is lower than what is there stops only new
/// ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Rows of `/v3/credentials`, of any type.
    pub pairs: Option<usize>,
    /// Application credentials, expired ones too.
    pub application_credentials: Option<usize>,
}

pub(super) struct Project {
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) enabled: bool,
}

pub(super) struct Role {
    pub(super) id: String,
    pub(super) name: String,
    /// Made by the bootstrap, and so immutable.
    pub(super) built_in: bool,
}

pub(super) struct User {
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) password: String,
    pub(super) enabled: bool,
    pub(super) default_project: Option<String>,
    pub(super) quota: Quota,
    /// Names of roles by project.
    pub(super) grants: BTreeMap<String, BTreeSet<String>>,
}

/// A row of `/v3/credentials`.
pub(super) struct Credential {
    /// Counts the rows of one simulator.
    pub(super) serial: u64,
    pub(super) user: String,
    pub(super) project: Option<String>,
    pub(super) kind: String,
    /// As it was sent, byte for byte.
    pub(super) blob: String,
    /// What else the request said.
    pub(super) extra: Map<String, Value>,
    pub(super) created: Timestamp,
}

impl Credential {
    pub(super) fn is_ec2(&self) -> bool {
        self.kind == "ec2"
    }

    /// A text in the blob, which for type ec2 is JSON.
    pub(super) fn in_blob(&self, key: &str) -> Option<String> {
        let blob: Value = serde_json::from_str(&self.blob).ok()?;
        Some(blob.get(key)?.as_str()?.to_owned())
    }
}

pub(super) struct ApplicationCredential {
    pub(super) serial: u64,
    pub(super) name: String,
    pub(super) user: String,
    /// `None` when it was made with an unscoped token.
    pub(super) project: Option<String>,
    pub(super) secret: String,
    pub(super) description: Value,
    /// `null`, `true` or `false`, as it was sent.
    pub(super) unrestricted: Value,
    /// Names.
    pub(super) roles: Vec<String>,
    pub(super) access_rules: Vec<Value>,
    pub(super) expires: Option<Timestamp>,
    pub(super) created: Timestamp,
}

/// Everything that one simulator knows.
#[derive(Default)]
pub(super) struct State {
    /// Names by id.
    pub(super) domains: BTreeMap<String, String>,
    pub(super) projects: BTreeMap<String, Project>,
    pub(super) roles: Vec<Role>,
    pub(super) users: BTreeMap<String, User>,
    pub(super) credentials: BTreeMap<String, Credential>,
    pub(super) application_credentials: BTreeMap<String, ApplicationCredential>,
    pub(super) tokens: HashMap<String, Arc<Token>>,
    /// Audit ids of revoked tokens.
    pub(super) revoked: HashSet<String>,
    /// Until which second, since the epoch, tokens of a user are revoked.
    pub(super) revoked_users: HashMap<String, i64>,
    pub(super) token_life: Duration,
    pub(super) logins: Logins,
    /// By user.
    pub(super) issued: BTreeMap<String, Issued>,
    /// Every password, secret and token there ever was.
    pub(super) secrets: BTreeSet<String>,
    serial: u64,
}

impl State {
    /// A Keystone after its bootstrap, but without the admin.
    pub(super) fn new(token_life: Duration) -> Self {
        let mut state = State {
            token_life,
            ..State::default()
        };
        state
            .domains
            .insert(DEFAULT_DOMAIN.to_owned(), "Default".to_owned());
        for name in HIERARCHY.into_iter().chain([SERVICE]) {
            state.add_role(name, true);
        }
        state.add_project(ADMIN_PROJECT, DEFAULT_DOMAIN);
        state
    }

    pub(super) fn add_role(&mut self, name: &str, built_in: bool) -> String {
        let id = new_id();
        self.roles.push(Role {
            id: id.clone(),
            name: name.to_owned(),
            built_in,
        });
        id
    }

    pub(super) fn add_project(&mut self, name: &str, domain: &str) -> String {
        let id = new_id();
        let project = Project {
            name: name.to_owned(),
            domain: domain.to_owned(),
            enabled: true,
        };
        self.projects.insert(id.clone(), project);
        id
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Notes something that must not leak.
    pub(super) fn secret(&mut self, value: &str) {
        if !value.is_empty() {
            self.secrets.insert(value.to_owned());
        }
    }

    pub(super) fn issued_to(&mut self, user: &str) -> &mut Issued {
        self.issued.entry(user.to_owned()).or_default()
    }

    /// The quota of a user; none for one that does not exist.
    pub(super) fn quota(&self, user: &str) -> Quota {
        self.users
            .get(user)
            .map_or_else(Quota::default, |u| u.quota)
    }

    pub(super) fn user_named(&self, name: &str, domain: &str) -> Option<&str> {
        let mut users = self.users.iter();
        let found = users.find(|(_, user)| user.name == name && user.domain == domain);
        found.map(|(id, _)| id.as_str())
    }

    pub(super) fn project_named(&self, name: &str, domain: &str) -> Option<&str> {
        let mut projects = self.projects.iter();
        let found = projects.find(|(_, project)| project.name == name && project.domain == domain);
        found.map(|(id, _)| id.as_str())
    }

    pub(super) fn role_named(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }

    /// The names of the roles that a user was given on a project.
    pub(super) fn granted(&self, user: &str, project: &str) -> BTreeSet<&str> {
        let grants = self.users.get(user).and_then(|u| u.grants.get(project));
        grants.into_iter().flatten().map(String::as_str).collect()
    }

    /// The roles that a user has on a project, implied ones too.
    pub(super) fn effective(&self, user: &str, project: &str) -> Vec<&Role> {
        let granted = self.granted(user, project);
        let has = |name: &str| {
            granted.contains(name) || granted.iter().any(|role| implied(role).contains(&name))
        };
        self.roles.iter().filter(|role| has(&role.name)).collect()
    }

    /// All tokens of a user that were issued up to now die. So do those of the rest of this second: Keystone compares
    /// whole seconds.
    pub(super) fn revoke_tokens_of(&mut self, user: &str) {
        let now = Timestamp::now().as_second();
        self.revoked_users.insert(user.to_owned(), now);
    }
}

/// The roles that come with a role, the nearest first.
pub(super) fn implied(role: &str) -> &'static [&'static str] {
    let place = HIERARCHY.iter().position(|name| *name == role);
    place.map_or(&[], |place| &HIERARCHY[place + 1..])
}

/// Keystone's ids: 32 letters of hex.
pub(super) fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The id of a row of type ec2.
pub(super) fn id_of(access: &str) -> String {
    let digest = Sha256::digest(access.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
