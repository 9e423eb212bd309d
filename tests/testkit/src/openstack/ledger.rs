//! What is alive in a Keystone: credentials, pairs of keys, tokens.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::admin::Admin;
use super::answer::Answer;
use super::pair;

/// A pair of keys for S3, as Keystone stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ec2Credential {
    /// Its id: the SHA-256 of the access key.
    pub id: String,
    /// The access key; empty if the blob has none.
    pub access: String,
    /// The secret key; empty if the blob has none.
    pub secret: String,
    /// The project that it is for.
    pub project_id: String,
    /// Whose it is.
    pub user_id: String,
    /// Everything that stands in it; null if it is not JSON.
    pub blob: Value,
}

/// An application credential, as Keystone tells of it: without the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationCredential {
    /// Its id, with which one logs in.
    pub id: String,
    /// Its name, unique among those of its user.
    pub name: String,
    /// The project that it logs in to.
    pub project_id: String,
    /// The names of the roles that it brings.
    pub roles: Vec<String>,
    /// When it expires, in UTC and without a mark of that: `2030-01-31T12:00:00.000000`.
    pub expires_at: Option<String>,
    /// Whether it may make other credentials.
    pub unrestricted: bool,
    /// What its maker has written to it.
    pub description: Option<String>,
}

impl Admin {
    /// All pairs of keys of a user, whichever way and by whomever they were made.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn ec2_credentials(&self, user_id: &str) -> Result<Vec<Ec2Credential>> {
        let path = format!("/credentials?type=ec2&user_id={user_id}");
        let body = self.call(Method::GET, &path, None).await?;
        let all = body["credentials"].as_array().into_iter().flatten();
        let pairs: Vec<_> = all.map(ec2_credential).collect();
        // It ignores filters that it does not know.
        let foreign = pairs.iter().find(|pair| pair.user_id != user_id);
        ensure!(foreign.is_none(), "a pair of somebody else: {foreign:?}");
        Ok(pairs)
    }

    /// Makes a pair of keys for a user, as somebody could who has stolen an administrator's rights;
    /// returns its id.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn create_credential(
        &self,
        user_id: &str,
        project_id: &str,
        access: &str,
        secret: &str,
    ) -> Result<String> {
        let blob = json!({"access": access, "secret": secret}).to_string();
        let credential = json!({
            "type": "ec2", "user_id": user_id, "project_id": project_id, "blob": blob,
        });
        let body = json!({"credential": credential});
        self.create("/credentials", "credential", &body).await
    }

    /// Makes a credential of another type for a user, such as the seed of a one-time password; returns
    /// its id.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn create_credential_of(
        &self,
        user_id: &str,
        kind: &str,
        blob: &str,
    ) -> Result<String> {
        let body = json!({"credential": {"type": kind, "user_id": user_id, "blob": blob}});
        self.create("/credentials", "credential", &body).await
    }

    /// Deletes a credential of any type.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn delete_credential(&self, id: &str) -> Result<()> {
        self.delete(&format!("/credentials/{id}")).await
    }

    /// All application credentials of a user, expired ones too.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn application_credentials(
        &self,
        user_id: &str,
    ) -> Result<Vec<ApplicationCredential>> {
        let path = format!("/users/{user_id}/application_credentials");
        let body = self.call(Method::GET, &path, None).await?;
        let all = body["application_credentials"].as_array();
        Ok(all
            .into_iter()
            .flatten()
            .map(application_credential)
            .collect())
    }

    /// Deletes an application credential. Its tokens end.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn delete_application_credential(&self, user_id: &str, id: &str) -> Result<()> {
        let path = format!("/users/{user_id}/application_credentials/{id}");
        self.delete(&path).await
    }

    /// Whether Keystone takes a pair of keys: it is there, it is that secret, and user, project and
    /// role are in order. Any S3 service asks the same.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn accepts_pair(&self, access: &str, secret: &str) -> Result<bool> {
        let body = pair::question(access, secret);
        let answer = self
            .ask_with_proof(|api| api.request(Method::POST, "/s3tokens").json(&body))
            .await?;
        yes_or_no(answer)
    }

    /// Whether Keystone takes a token.
    ///
    /// # Errors
    /// As [`Self::create_domain`].
    pub async fn token_lives(&self, token: &str) -> Result<bool> {
        let answer = self
            .ask(|api| {
                api.request(Method::GET, "/auth/tokens?nocatalog")
                    .header("x-subject-token", token)
            })
            .await?;
        yes_or_no(answer)
    }
}

/// 401 is said of a pair whose secret is another, or whose user may not log in, and 404 of what is
/// not there.
fn yes_or_no(answer: Answer) -> Result<bool> {
    match answer.status {
        401 | 404 => Ok(false),
        _ => Ok(answer.success().map(|_| true)?),
    }
}

fn ec2_credential(object: &Value) -> Ec2Credential {
    let blob = object["blob"].as_str().unwrap_or_default();
    let blob: Value = serde_json::from_str(blob).unwrap_or_default();
    Ec2Credential {
        id: word(&object["id"]),
        access: word(&blob["access"]),
        secret: word(&blob["secret"]),
        project_id: word(&object["project_id"]),
        user_id: word(&object["user_id"]),
        blob,
    }
}

fn application_credential(object: &Value) -> ApplicationCredential {
    let roles = object["roles"].as_array().into_iter().flatten();
    ApplicationCredential {
        id: word(&object["id"]),
        name: word(&object["name"]),
        project_id: word(&object["project_id"]),
        roles: roles.map(|role| word(&role["name"])).collect(),
        expires_at: object["expires_at"].as_str().map(String::from),
        unrestricted: object["unrestricted"].as_bool().unwrap_or_default(),
        description: object["description"].as_str().map(String::from),
    }
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
