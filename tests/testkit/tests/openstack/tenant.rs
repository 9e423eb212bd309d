//! A user to whom things can happen, and what he does himself.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::openstack::{Admin, Keystone, Token, User};

use super::unique;

/// A user with the role `member` in a project, in a domain of their own.
pub(crate) struct Tenant<'a> {
    pub(crate) keystone: &'a Keystone,
    pub(crate) domain: String,
    pub(crate) project: String,
    pub(crate) user: User,
}

impl<'a> Tenant<'a> {
    pub(crate) async fn new(keystone: &'a Keystone) -> Self {
        let admin = keystone.admin();
        let name = unique();
        let domain = admin.create_domain(&name).await.unwrap();
        let project = admin.create_project(&name, &domain).await.unwrap();
        let user = admin.create_user("alice", &domain).await.unwrap();
        let tenant = Self {
            keystone,
            domain,
            project,
            user,
        };
        tenant.assign("member").await;
        tenant
    }

    pub(crate) fn admin(&self) -> &'a Admin {
        self.keystone.admin()
    }

    pub(crate) async fn assign(&self, role: &str) {
        let assigned = self
            .admin()
            .assign_role(&self.user.id, &self.project, role)
            .await;
        assigned.unwrap();
    }

    pub(crate) async fn log_in(&self) -> anyhow::Result<Token> {
        let (user, password) = (&self.user.id, &self.user.password);
        self.keystone
            .login(user, password, Some(&self.project))
            .await
    }

    /// Logs in until Keystone takes the token: one that was made in the same second as a revocation
    /// for its user is refused until that second has passed.
    pub(crate) async fn log_in_and_use(&self) -> anyhow::Result<Token> {
        let token = self.log_in().await?;
        let taken = self
            .keystone
            .request(&token.id, Method::GET, "/auth/projects", None);
        taken.await?.success()?;
        Ok(token)
    }

    pub(crate) async fn make(&self, path: &str, body: Value) -> Value {
        let token = self.log_in().await.unwrap();
        let answer = self
            .keystone
            .request(&token.id, Method::POST, path, Some(&body));
        answer.await.unwrap().success().unwrap()
    }

    /// Makes a pair of keys and returns its id.
    pub(crate) async fn make_pair(&self, access: &str, secret: &str) -> String {
        let blob = json!({"access": access, "secret": secret, "note": "kept"}).to_string();
        let (user, project) = (&self.user.id, &self.project);
        let pair = json!({"type": "ec2", "user_id": user, "project_id": project, "blob": blob});
        let made = self.make("/credentials", json!({"credential": pair})).await;
        made["credential"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn make_application_credential(&self, name: &str) -> (String, String) {
        let path = format!("/users/{}/application_credentials", self.user.id);
        let wanted = json!({"name": name, "roles": [{"name": "reader"}], "description": "a test"});
        let made = self
            .make(&path, json!({"application_credential": wanted}))
            .await;
        let word = |name: &str| {
            made["application_credential"][name]
                .as_str()
                .unwrap()
                .to_owned()
        };
        (word("id"), word("secret"))
    }

    pub(crate) async fn deletes(&self, path: &str) {
        let token = self.log_in().await.unwrap();
        let answer = self
            .keystone
            .request(&token.id, Method::DELETE, path, None)
            .await;
        assert_eq!(answer.unwrap().status, 204);
    }
}
