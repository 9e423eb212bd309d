//! What tests do to the simulator: they declare who exists, and then act behind the back of whoever uses it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::simulator::KeystoneSimulator;
use super::state::{
    ADMIN_PROJECT, ApplicationCredential, Credential, DEFAULT_DOMAIN, Project, Quota, State, User,
    id_of, new_id,
};
use super::tokens::{BY_APPLICATION_CREDENTIAL, Draft, new_secret};
use super::{application_credentials, credentials};

impl KeystoneSimulator {
    /// Makes a domain, and returns its id.
    pub fn add_domain(&self, name: &str) -> String {
        let id = new_id();
        let mut state = self.keystone.state();
        state.domains.insert(id.clone(), name.to_owned());
        id
    }

    /// Makes a project in a domain, given by its id, and returns its id.
    pub fn add_project(&self, name: &str, domain: &str) -> String {
        let mut state = self.keystone.state();
        assert!(state.domains.contains_key(domain), "no domain {domain}");
        state.add_project(name, domain)
    }

    /// The id of the project [`ADMIN_PROJECT`].
    pub fn admin_project(&self) -> String {
        let state = self.keystone.state();
        let id = state.project_named(ADMIN_PROJECT, DEFAULT_DOMAIN);
        id.expect("the admin project").to_owned()
    }

    /// Makes a role that implies no other, and returns its id.
    pub fn add_role(&self, name: &str) -> String {
        let mut state = self.keystone.state();
        assert!(state.role_named(name).is_none(), "there is a role {name}");
        state.add_role(name, false)
    }

    /// Makes a user without roles in a domain, given by its id. Returns the user's id and password, which begins with
    /// `PWMARK-`.
    pub fn add_user(&self, name: &str, domain: &str) -> (String, String) {
        let (id, password) = (new_id(), new_password());
        let mut state = self.keystone.state();
        assert!(state.domains.contains_key(domain), "no domain {domain}");
        assert!(
            state.user_named(name, domain).is_none(),
            "there is a user {name}"
        );
        state.secret(&password);
        let user = User {
            name: name.to_owned(),
            domain: domain.to_owned(),
            password: password.clone(),
            enabled: true,
            default_project: None,
            quota: Quota::default(),
            grants: BTreeMap::new(),
        };
        state.users.insert(id.clone(), user);
        (id, password)
    }

    /// Makes a user of the default domain with the role admin on [`ADMIN_PROJECT`]. Returns id and password.
    pub fn add_admin(&self, name: &str) -> (String, String) {
        let (id, password) = self.add_user(name, DEFAULT_DOMAIN);
        self.assign_role(&id, &self.admin_project(), "admin");
        (id, password)
    }

    /// Gives a user a role, by its name, on a project.
    pub fn assign_role(&self, user: &str, project: &str, role: &str) {
        let mut state = self.keystone.state();
        assert!(state.role_named(role).is_some(), "no role {role}");
        project_of(&mut state, project);
        let grants = &mut user_of(&mut state, user).grants;
        grants
            .entry(project.to_owned())
            .or_default()
            .insert(role.to_owned());
    }

    /// Takes a role away. What needs it stops to work and stays where it is; it works again when the role comes back.
    pub fn remove_role(&self, user: &str, project: &str, role: &str) {
        let mut state = self.keystone.state();
        let grants = &mut user_of(&mut state, user).grants;
        let roles = grants.get_mut(project);
        let had = roles.is_some_and(|roles| roles.remove(role));
        assert!(had, "user {user} does not have role {role} there");
    }

    /// The project that a login without a scope is good for.
    pub fn set_default_project(&self, user: &str, project: Option<&str>) {
        let mut state = self.keystone.state();
        user_of(&mut state, user).default_project = project.map(str::to_owned);
    }

    /// Lets a user in again, or not. Tokens die when a user is disabled, and stay dead; credentials come back.
    pub fn enable_user(&self, user: &str, enabled: bool) {
        let mut state = self.keystone.state();
        user_of(&mut state, user).enabled = enabled;
        if !enabled {
            state.revoke_tokens_of(user);
        }
    }

    /// Lets a project be used again, or not. While it is disabled, sessions in it meet a 404 everywhere.
    pub fn enable_project(&self, project: &str, enabled: bool) {
        let mut state = self.keystone.state();
        project_of(&mut state, project).enabled = enabled;
    }

    /// Removes a user and all that the user owns.
    pub fn delete_user(&self, user: &str) {
        let mut state = self.keystone.state();
        user_of(&mut state, user);
        state.users.remove(user);
        state.credentials.retain(|_, row| row.user != user);
        state
            .application_credentials
            .retain(|_, row| row.user != user);
    }

    /// Removes a project, its roles and its key pairs. Its application credentials stay where they are, dead.
    pub fn delete_project(&self, project: &str) {
        let mut state = self.keystone.state();
        project_of(&mut state, project);
        state.projects.remove(project);
        state
            .credentials
            .retain(|_, row| row.project.as_deref() != Some(project));
        for user in state.users.values_mut() {
            user.grants.remove(project);
        }
    }

    /// Gives a user a new password, and returns it. All tokens of the user die, also those of application credentials,
    /// and so do tokens that are issued in the rest of this second: Keystone compares whole seconds.
    pub fn rotate_password(&self, user: &str) -> String {
        let password = new_password();
        let mut state = self.keystone.state();
        user_of(&mut state, user).password.clone_from(&password);
        state.secret(&password);
        state.revoke_tokens_of(user);
        password
    }

    /// Limits how much a user may have, or not any longer.
    pub fn set_quota(&self, user: &str, quota: Quota) {
        user_of(&mut self.keystone.state(), user).quota = quota;
    }

    /// How long tokens live that are issued from now on.
    pub fn set_token_life(&self, life: Duration) {
        self.keystone.state().token_life = life;
    }

    /// Makes a key pair as the user would have. The project need not exist.
    pub fn add_pair(&self, user: &str, project: &str, access: &str, secret: &str) {
        let row = Credential {
            serial: 0,
            user: user.to_owned(),
            project: Some(project.to_owned()),
            kind: "ec2".to_owned(),
            blob: json!({"access": access, "secret": secret}).to_string(),
            extra: Map::new(),
            created: Timestamp::now(),
        };
        let added = credentials::insert(&mut self.keystone.state(), &id_of(access), row);
        assert!(added.is_ok(), "no room for {access}");
    }

    /// Removes a key pair; `false` when there was none.
    pub fn revoke_pair(&self, access: &str) -> bool {
        let mut state = self.keystone.state();
        state.credentials.remove(&id_of(access)).is_some()
    }

    /// Makes an unlimited application credential with all roles of the user on the project. Returns id and secret.
    pub fn add_application_credential(
        &self,
        user: &str,
        project: &str,
        name: &str,
        unrestricted: bool,
    ) -> (String, String) {
        let mut state = self.keystone.state();
        let roles = state.effective(user, project).into_iter();
        let roles: Vec<String> = roles.map(|role| role.name.clone()).collect();
        assert!(!roles.is_empty(), "user {user} has no role there");
        let secret = new_secret();
        let row = ApplicationCredential {
            serial: 0,
            name: name.to_owned(),
            user: user.to_owned(),
            project: Some(project.to_owned()),
            secret: secret.clone(),
            description: Value::Null,
            unrestricted: json!(unrestricted),
            roles,
            access_rules: Vec::new(),
            expires: None,
            created: Timestamp::now(),
        };
        let added = application_credentials::insert(&mut state, row);
        let Ok(id) = added else {
            panic!("no room for {name}");
        };
        (id, secret)
    }

    /// Removes an application credential; `false` when there was none. Its sessions meet a 404 everywhere.
    pub fn revoke_application_credential(&self, id: &str) -> bool {
        let mut state = self.keystone.state();
        state.application_credentials.remove(id).is_some()
    }

    /// From now on this token, and what was got with it, is worth nothing.
    pub fn revoke_token(&self, token: &str) {
        let mut state = self.keystone.state();
        let audit = state.tokens.get(token).map(|token| token.audit.clone());
        state.revoked.extend(audit);
    }

    /// From now on all tokens of a user are worth nothing, also those that are issued in the rest of this second:
    /// Keystone compares whole seconds.
    pub fn revoke_tokens_of(&self, user: &str) {
        self.keystone.state().revoke_tokens_of(user);
    }
}

impl State {
    pub(super) fn application_credential_works(&self, id: &str, secret: &str) -> bool {
        let Some(row) = self.application_credentials.get(id) else {
            return false;
        };
        let now = Timestamp::now();
        let draft = Draft {
            user: row.user.clone(),
            project: row.project.clone(),
            application_credential: Some(id.to_owned()),
            methods: vec![BY_APPLICATION_CREDENTIAL],
            root: None,
            expires: None,
        };
        row.secret == secret
            && row.project.is_some()
            && row.expires.is_none_or(|end| now < end)
            && self.users.get(&row.user).is_some_and(|user| user.enabled)
            && self.mint(draft, now).is_ok()
    }
}

fn user_of<'a>(state: &'a mut State, id: &str) -> &'a mut User {
    let user = state.users.get_mut(id);
    user.unwrap_or_else(|| panic!("no user {id}"))
}

fn project_of<'a>(state: &'a mut State, id: &str) -> &'a mut Project {
    let project = state.projects.get_mut(id);
    project.unwrap_or_else(|| panic!("no project {id}"))
}

/// A mark in front, so that a search for leaks finds it also in pieces of text that it cannot parse.
fn new_password() -> String {
    format!("PWMARK-{}", Uuid::new_v4())
}
