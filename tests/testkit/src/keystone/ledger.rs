//! What tests are told about what was issued and what is there.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::state::{ApplicationCredential, Credential, State};

/// A row of `/v3/credentials` of type ec2 that is there now. Whether it works is another question: see
/// [`super::KeystoneSimulator::pair_works`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePair {
    /// The access key.
    pub access: String,
    /// The id of the owner.
    pub user_id: String,
    /// The name of the owner; empty when no such user exists.
    pub user: String,
    /// The id of the project, which Keystone does not check.
    pub project_id: Option<String>,
    /// The name of the project, when it exists.
    pub project: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// An application credential that is there now, also when it has expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveApplicationCredential {
    /// The id.
    pub id: String,
    /// The name, which is the owner's only one of this text.
    pub name: String,
    /// The id of the owner.
    pub user_id: String,
    /// The name of the owner.
    pub user: String,
    /// The id of the project; `None` when it was made with an unscoped token.
    pub project_id: Option<String>,
    /// The name of the project, when it exists.
    pub project: Option<String>,
    /// The names of its roles, implied ones too.
    pub roles: Vec<String>,
    /// Whether it may manage other application credentials.
    pub unrestricted: bool,
    /// The description.
    pub description: Option<String>,
    /// How many access rules it has.
    pub access_rules: usize,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops to work.
    pub expires_at: Option<Timestamp>,
}

/// How much a user was ever given, whatever became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Issued {
    /// Rows of `/v3/credentials` of type ec2, whoever made them.
    pub pairs: u64,
    /// Application credentials.
    pub application_credentials: u64,
    /// Tokens.
    pub tokens: u64,
}

/// How often and how successfully `POST /v3/auth/tokens` was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logins {
    /// All that arrived, also those that a fault answered.
    pub asked: u64,
    /// Those that the protocol answered, by status: 201 is a token, 401 a wrong password, 404 an unknown application
    /// credential.
    pub by_status: BTreeMap<u16, u64>,
}

impl Logins {
    /// How many were answered with a token.
    pub fn succeeded(&self) -> u64 {
        self.with_status(201)
    }

    /// How many were answered with this status.
    pub fn with_status(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }
}

impl State {
    /// In the order in which they were made.
    pub(super) fn live_pairs(&self) -> Vec<LivePair> {
        let rows = self.credentials.values();
        let mut rows: Vec<&Credential> = rows.filter(|row| row.is_ec2()).collect();
        rows.sort_by_key(|row| row.serial);
        let pairs = rows.into_iter().map(|row| LivePair {
            access: row.in_blob("access").unwrap_or_default(),
            user_id: row.user.clone(),
            user: self.name_of_user(&row.user),
            project_id: row.project.clone(),
            project: self.name_of_project(row.project.as_ref()),
            created: row.created,
        });
        pairs.collect()
    }

    /// In the order in which they were made.
    pub(super) fn live_application_credentials(&self) -> Vec<LiveApplicationCredential> {
        let mut rows: Vec<(&String, &ApplicationCredential)> =
            self.application_credentials.iter().collect();
        rows.sort_by_key(|(_, row)| row.serial);
        let credentials = rows.into_iter().map(|(id, row)| LiveApplicationCredential {
            id: id.clone(),
            name: row.name.clone(),
            user_id: row.user.clone(),
            user: self.name_of_user(&row.user),
            project_id: row.project.clone(),
            project: self.name_of_project(row.project.as_ref()),
            roles: row.roles.clone(),
            unrestricted: row.unrestricted == true,
            description: row.description.as_str().map(str::to_owned),
            access_rules: row.access_rules.len(),
            created: row.created,
            expires_at: row.expires,
        });
        credentials.collect()
    }

    fn name_of_user(&self, id: &str) -> String {
        let user = self.users.get(id);
        user.map(|user| user.name.clone()).unwrap_or_default()
    }

    fn name_of_project(&self, id: Option<&String>) -> Option<String> {
        Some(self.projects.get(id?)?.name.clone())
    }
}
