//! What tests do to the simulator: they declare who exists, act behind the back of whoever uses it, and choose how
//! answers look.

use uuid::Uuid;

use super::ledger::{MadeBy, new_key};
use super::lie::Lie;
use super::now_ms;
use super::simulator::CloudCenterSimulator;
use super::state::{Account, IdShape, KeyShape, LoginRefusal, ROOT_TENANT, Rank, State, User};

impl CloudCenterSimulator {
    /// Makes a user with a key in a tenant. E-mail addresses are unique at the real one; here they need not be.
    pub fn add_user(&self, email: &str, tenant: &str) -> Account {
        self.add(email, tenant, Rank::User)
    }

    /// Like [`Self::add_user`], and the user may see and change the keys of the whole tenant.
    pub fn add_tenant_admin(&self, email: &str, tenant: &str) -> Account {
        self.add(email, tenant, Rank::TenantAdmin)
    }

    /// Makes a user with a key in [`ROOT_TENANT`] who may see and change everybody's key.
    pub fn add_admin(&self, email: &str) -> Account {
        self.add(email, ROOT_TENANT, Rank::Admin)
    }

    fn add(&self, email: &str, tenant: &str, rank: Rank) -> Account {
        let mut state = self.cloudcenter.state();
        state.made += 1;
        let (id, number) = (state.made + 1, state.made + 2);
        let name = email.split('@').next().unwrap_or_default();
        let now = now_ms();
        let user = User {
            id: id.to_string(),
            username: format!("{name}_{number}"),
            email: email.to_owned(),
            tenant: tenant.to_owned(),
            rank,
            enabled: true,
            password: new_password(),
            created: now,
            updated: now,
        };
        let login = format!("{email},{tenant}");
        state.ledger.secret(&login, &user.password);
        let key = new_key();
        state
            .ledger
            .add(&user.id, &user.username, &key, MadeBy::Test);
        let account = state.account(&user);
        state.users.push(user);
        account
    }

    /// What a user may do from now on.
    pub fn set_rank(&self, id: &str, rank: Rank) {
        user_of(&mut self.cloudcenter.state(), id).rank = rank;
    }

    /// Lets a user in again, or not.
    pub fn enable_user(&self, id: &str, enabled: bool) {
        user_of(&mut self.cloudcenter.state(), id).enabled = enabled;
    }

    /// Gives a user another id: whatever text, also one that no path should hold.
    pub fn set_id(&self, id: &str, new: &str) {
        user_of(&mut self.cloudcenter.state(), id).id = new.to_owned();
    }

    /// Gives a user another e-mail address. The user name stays.
    pub fn set_email(&self, id: &str, email: &str) {
        user_of(&mut self.cloudcenter.state(), id).email = email.to_owned();
    }

    /// Moves a user to another tenant.
    pub fn move_user(&self, id: &str, tenant: &str) {
        user_of(&mut self.cloudcenter.state(), id).tenant = tenant.to_owned();
    }

    /// Removes a user and the key.
    pub fn delete_user(&self, id: &str) {
        let mut state = self.cloudcenter.state();
        let username = user_of(&mut state, id).username.clone();
        state.ledger.kill(&username);
        state.users.retain(|user| user.username != username);
    }

    /// Gives a user a new key behind everybody's back, as the button "Generate new key" does. The old one is dead.
    pub fn change_key(&self, id: &str) -> String {
        let key = new_key();
        self.set_key(id, &key);
        key
    }

    /// Like [`Self::change_key`], with this key, which may be any text.
    pub fn set_key(&self, id: &str, key: &str) {
        let mut state = self.cloudcenter.state();
        let username = user_of(&mut state, id).username.clone();
        state.ledger.add(id, &username, key, MadeBy::Test);
    }

    /// From now on the user has no key.
    pub fn remove_key(&self, id: &str) {
        let mut state = self.cloudcenter.state();
        let username = user_of(&mut state, id).username.clone();
        state.ledger.kill(&username);
    }

    /// Gives a user a new password for the user interface. The key stays.
    pub fn change_password(&self, id: &str) -> String {
        let password = new_password();
        let mut state = self.cloudcenter.state();
        let user = user_of(&mut state, id);
        user.password.clone_from(&password);
        let login = format!("{},{}", user.email, user.tenant);
        state.ledger.secret(&login, &password);
        password
    }

    /// In which form keys are shown.
    pub fn show_keys_as(&self, shape: KeyShape) {
        self.cloudcenter.state().settings.keys = shape;
    }

    /// In which form ids are shown.
    pub fn show_ids_as(&self, shape: IdShape) {
        self.cloudcenter.state().settings.ids = shape;
    }

    /// In which form a wrong login is refused.
    pub fn refuse_with(&self, style: LoginRefusal) {
        self.cloudcenter.state().settings.refusals = style;
    }

    /// What URLs in answers (`resource`, `accessKeys`) begin with, `"https://10.0.0.1:8443"` for example; `None` is what
    /// the client used. A server behind a proxy knows itself by another name, and a hostile one names a host of its own.
    pub fn advertise(&self, base: Option<&str>) {
        self.cloudcenter.state().settings.advertised = base.map(str::to_owned);
    }

    /// What stands in the place of passwords; it differs by version (view users, clients).
    pub fn redact_with(&self, marker: &str) {
        marker.clone_into(&mut self.cloudcenter.state().settings.redaction);
    }

    /// Whether a key is refused when the request does not say `X-CLIQR-API-KEY-AUTH: true`. Some clients send it and
    /// some do not.
    pub fn require_mark(&self, required: bool) {
        self.cloudcenter.state().settings.mark_required = required;
    }

    /// Whether users who are no admins may not read their own key by their id, as the key tutorial says. By
    /// `GET /v1/user/keys` they always may.
    pub fn hide_own_key(&self, hidden: bool) {
        self.cloudcenter.state().settings.own_key_hidden = hidden;
    }

    /// Tells this lie from now on.
    pub fn lie(&self, lie: Lie) {
        self.cloudcenter.state().settings.lies.push(lie);
    }

    /// Tells the truth again.
    pub fn stop_lying(&self) {
        self.cloudcenter.state().settings.lies.clear();
    }
}

fn user_of<'a>(state: &'a mut State, id: &str) -> &'a mut User {
    let user = state.users.iter_mut().find(|user| user.id == id);
    let user = user.unwrap_or_else(|| panic!("no user {id}"));
    user.updated = now_ms();
    user
}

/// A mark in front, so that a search for leaks finds it also in pieces of text that it cannot parse.
fn new_password() -> String {
    format!("PWMARK-{}", Uuid::new_v4())
}
