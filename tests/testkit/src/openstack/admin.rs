//! An administrator, who arranges the world that a test takes place in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use url::form_urlencoded;

use super::answer::{Answer, Api};
use super::keystone::{Token, log_admin_in, log_in};
use crate::wait::eventually;

/// How long the administrator tries to get a token that Keystone takes. One that was made in the
/// same second as a revocation for its user is refused until that second has passed; the rest is
/// for machines that run many tests at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// An administrator of a Keystone. He logs in on his first request, and again whenever his token is
/// refused. Cheap to clone; all clones use one token.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

struct Inner {
    api: Api,
    token: Mutex<Option<String>>,
    role_ids: Mutex<HashMap<String, String>>,
}

/// A user that an [`Admin`] has made.
#[derive(Clone, Debug)]
pub struct User {
    /// His id.
    pub id: String,
    /// His name, unique in his domain.
    pub name: String,
    /// His domain's id.
    pub domain_id: String,
    /// His password, of which there is no other like it.
    pub password: String,
}

impl Admin {
    /// Has somebody log in with an application credential at the same Keystone.
    ///
    /// # Errors
    /// A [`Refused`](super::Refused) with what Keystone says.
    pub async fn login_application_credential(&self, id: &str, secret: &str) -> Result<Token> {
        let credential = json!({"id": id, "secret": secret});
        let method = "application_credential";
        let identity = json!({"methods": [method], method: credential});
        log_in(&self.0.api, identity, None).await
    }

    pub(super) fn new(api: Api) -> Self {
        Self(Arc::new(Inner {
            api,
            token: Mutex::default(),
            role_ids: Mutex::default(),
        }))
    }

    /// Makes a domain and returns its id. Its name must be unique in this Keystone.
    ///
    /// # Errors
    /// As all methods of an administrator: a [`Refused`](super::Refused) with what Keystone says,
    /// and when there is no answer.
    pub async fn create_domain(&self, name: &str) -> Result<String> {
        let body = json!({"domain": {"name": name}});
        self.create("/domains", "domain", &body).await
    }

    /// Makes a project and returns its id. Its name must be unique in its domain.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn create_project(&self, name: &str, domain_id: &str) -> Result<String> {
        let body = json!({"project": {"name": name, "domain_id": domain_id}});
        self.create("/projects", "project", &body).await
    }

    /// Makes a user, without any role, whose name must be unique in his domain.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn create_user(&self, name: &str, domain_id: &str) -> Result<User> {
        let password = uuid::Uuid::new_v4().simple().to_string();
        let body = json!({"user": {"name": name, "domain_id": domain_id, "password": password}});
        Ok(User {
            id: self.create("/users", "user", &body).await?,
            name: name.to_owned(),
            domain_id: domain_id.to_owned(),
            password,
        })
    }

    /// Makes a role and returns its id. There are `admin`, `manager`, `member`, `reader` and
    /// `service`, of which each of the first three implies the one after it.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn create_role(&self, name: &str) -> Result<String> {
        let body = json!({"role": {"name": name}});
        self.create("/roles", "role", &body).await
    }

    /// Gives a user a role in a project.
    ///
    /// # Errors
    /// As [`Self::create_domain`], and when there is no such role.
    pub async fn assign_role(&self, user_id: &str, project_id: &str, role: &str) -> Result<()> {
        let path = self.assignment(user_id, project_id, role).await?;
        self.call(Method::PUT, &path, None).await.map(drop)
    }

    /// Takes the role again.
    ///
    /// # Errors
    /// As [`Self::assign_role`], and when the user has no such role there.
    pub async fn remove_role(&self, user_id: &str, project_id: &str, role: &str) -> Result<()> {
        let path = self.assignment(user_id, project_id, role).await?;
        self.delete(&path).await
    }

    /// Enables or disables a user. His tokens end when he is disabled.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn set_user_enabled(&self, user_id: &str, enabled: bool) -> Result<()> {
        let body = json!({"user": {"enabled": enabled}});
        self.change(&format!("/users/{user_id}"), &body).await
    }

    /// Enables or disables a project.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn set_project_enabled(&self, project_id: &str, enabled: bool) -> Result<()> {
        let body = json!({"project": {"enabled": enabled}});
        self.change(&format!("/projects/{project_id}"), &body).await
    }

    /// Gives a user another password. His tokens end.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn set_password(&self, user_id: &str, password: &str) -> Result<()> {
        let body = json!({"user": {"password": password}});
        self.change(&format!("/users/{user_id}"), &body).await
    }

    /// Makes a user's password expire, as a rule of the installation would after some months. His
    /// tokens live on; [`Self::set_password`] makes all well again.
    ///
    /// # Errors
    /// When there is no such user.
    pub async fn expire_password(&self, user_id: &str) -> Result<()> {
        let api = &self.0.api;
        let answer = api.answer(api.request_of_testkit(&format!("/expire-password/{user_id}")));
        answer.await?.success()?;
        Ok(())
    }

    /// Deletes a user, and with him what he has.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn delete_user(&self, user_id: &str) -> Result<()> {
        self.delete(&format!("/users/{user_id}")).await
    }

    /// Deletes a project, and with it the EC2 credentials for it. Its application credentials stay,
    /// dead.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn delete_project(&self, project_id: &str) -> Result<()> {
        self.delete(&format!("/projects/{project_id}")).await
    }

    /// The id of the only project of that name, in whatever domain.
    ///
    /// # Errors
    /// As [`Self::create_domain`], and when there is none or more than one.
    pub async fn project_id_by_name(&self, name: &str) -> Result<String> {
        self.only("projects", name).await
    }

    /// The id of the only user of that name, in whatever domain; the administrator's own, too.
    ///
    /// # Errors
    /// As [`Self::project_id_by_name`].
    pub async fn user_id_by_name(&self, name: &str) -> Result<String> {
        self.only("users", name).await
    }

    async fn assignment(&self, user_id: &str, project_id: &str, role: &str) -> Result<String> {
        let mut known = self.0.role_ids.lock().await;
        let id = match known.get(role) {
            Some(id) => id.clone(),
            None => {
                let id = self.only("roles", role).await?;
                known.insert(role.to_owned(), id.clone());
                id
            }
        };
        Ok(format!("/projects/{project_id}/users/{user_id}/roles/{id}"))
    }

    /// The id of the only one of that kind and name.
    async fn only(&self, kind: &str, name: &str) -> Result<String> {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("name", name)
            .finish();
        let path = format!("/{kind}?{query}");
        let body = self.call(Method::GET, &path, None).await?;
        let found: Vec<_> = body[kind].as_array().into_iter().flatten().collect();
        match found[..] {
            [one] => id_of(one),
            _ => Err(anyhow!("there are {} {kind} named {name}", found.len())),
        }
    }

    /// Makes something and returns its id.
    pub(super) async fn create(&self, path: &str, kind: &str, body: &Value) -> Result<String> {
        let made = self.call(Method::POST, path, Some(body)).await?;
        id_of(&made[kind])
    }

    async fn change(&self, path: &str, body: &Value) -> Result<()> {
        self.call(Method::PATCH, path, Some(body)).await.map(drop)
    }

    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        self.call(Method::DELETE, path, None).await.map(drop)
    }

    /// Makes a request that must succeed.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let answer = self.ask(|api| {
            let request = api.request(method.clone(), path);
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        });
        Ok(answer.await?.success()?)
    }

    /// Makes a request with a token that Keystone takes.
    pub(super) async fn ask(&self, build: impl Fn(&Api) -> RequestBuilder) -> Result<Answer> {
        let refused = Mutex::new(None);
        let taken = eventually(PATIENCE, || async {
            let mut refused = refused.lock().await;
            let (answer, token) = self.ask_once(&build, refused.as_deref()).await?;
            if answer.status == 401 {
                *refused = Some(token);
                answer.success()?;
                bail!("a success and a refusal");
            }
            Ok(answer)
        });
        taken.await.context("the administrator is refused")
    }

    /// Makes a request to which 401 can be an answer about something else than the administrator:
    /// it is taken as one if his token lives before and after it.
    pub(super) async fn ask_with_proof(
        &self,
        build: impl Fn(&Api) -> RequestBuilder,
    ) -> Result<Answer> {
        let (refused, proven) = (Mutex::new(None), Mutex::new(None));
        let taken = eventually(PATIENCE, || async {
            let (mut refused, mut proven) = (refused.lock().await, proven.lock().await);
            let (answer, token) = self.ask_once(&build, refused.as_deref()).await?;
            if answer.status != 401 {
                return Ok(answer);
            }
            let own = |api: &Api| {
                api.request(Method::GET, "/auth/tokens?nocatalog")
                    .header("x-subject-token", &token)
                    .header("x-auth-token", &token)
            };
            let lives = self.0.api.answer(own(&self.0.api)).await?.status == 200;
            if lives && proven.as_ref() == Some(&token) {
                return Ok(answer);
            }
            *(if lives { proven } else { refused }) = Some(token);
            bail!("{}", answer.message())
        });
        taken.await.context("the administrator is refused")
    }

    /// Makes a request with the token at hand, unless that is the one that was `refused`; returns
    /// the token that it used, too.
    async fn ask_once(
        &self,
        build: impl Fn(&Api) -> RequestBuilder,
        refused: Option<&str>,
    ) -> Result<(Answer, String)> {
        let api = &self.0.api;
        let token = self.token(refused).await?;
        let request = build(api).header("x-auth-token", &token);
        Ok((api.answer(request).await?, token))
    }

    async fn token(&self, refused: Option<&str>) -> Result<String> {
        let mut token = self.0.token.lock().await;
        match token.as_deref() {
            Some(known) if Some(known) != refused => Ok(known.to_owned()),
            _ => {
                let fresh = log_admin_in(&self.0.api).await?.id;
                Ok(token.insert(fresh).clone())
            }
        }
    }
}

fn id_of(object: &Value) -> Result<String> {
    let id = object["id"].as_str();
    id.map(String::from).context("Keystone's answer has no id")
}
