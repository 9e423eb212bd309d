//! Pairs of access key and secret key, made through `/v3/credentials` (type `ec2`) and read through
//! `/v3/users/{user}/credentials/OS-EC2/{access}`, which is the same thing seen from elsewhere: there
//! an access key that does not exist is answered with 404, while the other answers its owner 403.

use std::sync::{Arc, atomic::Ordering};

use aws_lc_rs::{hmac, rand};
use base64::{Engine, prelude::BASE64_URL_SAFE};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    Client, answer,
    answer::unexpected,
    client::Request,
    config::{Ask, What},
    identity,
    names::Named,
    permit::{self, Bearer},
    session::Session,
};
use crate::{
    api::Reason,
    clock,
    plan::{Credential, Failure, Proof, Revocation},
    providers::{
        Holder, Identity, Issuance, Issued, Permission,
        http::{Turns, failed},
    },
    secret::SecretData,
};

/// How many random bytes a secret key is made of. Written in hexadecimal digits, because some clients
/// stumble over `/` and `+`, they are 40 characters: as many as AWS's own have, and the most that MinIO
/// accepts.
const SECRET_BYTES: usize = 20;

/// What a login with an application credential is told.
const NEEDS_PASSWORD: &str = "Keystone does not let application credentials make or see access keys; give the provider a \
                              login with a password, or ask for an application credential instead";

/// A pair as `OS-EC2` shows it.
#[derive(Deserialize)]
struct Shown {
    credential: Ec2,
}

#[derive(Deserialize)]
struct Ec2 {
    user_id: String,
    tenant_id: Option<String>,
    secret: Option<Zeroizing<String>>,
}

/// A pair as `/v3/credentials` shows it.
#[derive(Deserialize)]
struct Created {
    credential: Row,
}

#[derive(Deserialize)]
pub(super) struct Rows {
    pub(super) credentials: Vec<Row>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) user_id: String,
    #[serde(default)]
    pub(super) project_id: Option<String>,
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) blob: Option<Zeroizing<String>>,
}

impl Client {
    /// Makes the pair of a request and a serial.
    ///
    /// # Errors
    /// Those of a login and of a call; `NotAllowed`; `Forbidden`, `QuotaExceeded`.
    pub async fn issue_access_key(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
        identity: &Identity,
    ) -> Result<Issuance, Failure> {
        let (mut session, owner) = self.permitted_pair(turns, ask, permission).await?;
        let project = session
            .project
            .as_ref()
            .map_or("", |project| &project.id)
            .to_owned();
        let access = identity::access_key(identity);
        let id = identity::pair_id(&access);
        let secret = new_secret()?;
        let blob = json!({
            "access": access,
            "secret": secret.as_str(),
            // Keystone keeps further keys as they are, and nobody minds them.
            "managed_by": identity::description(identity),
        });
        let body = json!({"credential": {
            "type": "ec2", "user_id": owner, "project_id": project, "blob": blob.to_string(),
        }});
        let request = Request {
            body: Some(&body),
            ..Request::new(Method::POST, &["v3", "credentials"])
        };
        let answer = self.call(turns, &mut session, request).await?;
        match answer.status {
            StatusCode::CREATED => {}
            StatusCode::CONFLICT => return Ok(Issuance::Taken),
            _ => return Err(answer::refused(&answer, session.delegated, NEEDS_PASSWORD)),
        }
        let created: Created = answer::read(&answer)?;
        let row = created.credential;
        if row.id != id || row.user_id != owner || row.project_id.as_deref() != Some(&*project) {
            return Err(unexpected(
                "made something else than a pair by the name that was asked for",
            ));
        }
        let credential = Credential {
            serial: identity.serial,
            id: Some(id),
            owner: Some(owner),
            issued_at: clock::now(),
            expires_at: None,
            asked: String::new(),
            rotation: None,
            leak: None,
        };
        let data = self.layout.pair(&access, &secret, &credential);
        Ok(Issuance::Issued(Issued {
            credential,
            data,
            remark: None,
        }))
    }

    /// A session for a pair that the grants allow, and whose it will be.
    ///
    /// # Errors
    /// Those of a login and of a call; `NotAllowed`.
    pub(in crate::providers) async fn permitted_pair(
        &self,
        turns: &dyn Turns,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<(Arc<Session>, String), Failure> {
        let mut session = self.permitted_session(turns, ask, permission).await?;
        let mut owner = self
            .permitted_owner(turns, &mut session, ask, permission)
            .await;
        if let Err(failure) = &owner
            && failure.reason == Reason::NotAllowed
            && let Some(anew) = self.reconsidered(turns, &session).await?
        {
            session = anew;
            owner = self
                .permitted_owner(turns, &mut session, ask, permission)
                .await;
        }
        Ok((session, owner?))
    }

    /// Whose the pair will be: the login's own user, or another one whom a grant names.
    async fn permitted_owner(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        ask: &Ask,
        permission: &Permission,
    ) -> Result<String, Failure> {
        let other = match &ask.what {
            What::AccessKey {
                user: Some(user), ..
            } if !user.is(&session.user) => user,
            _ => {
                let own = Bearer {
                    other_user: None,
                    roles: &session.roles,
                };
                permit::check(permission, ask, session, &own)?;
                return Ok(session.user.id.clone());
            }
        };
        let project = session
            .project
            .as_ref()
            .map_or("", |project| &project.id)
            .to_owned();
        let user = self.find_user(turns, session, other).await?;
        let Some(user) = user else {
            return Err(permit::refused(permission));
        };
        let roles = self.roles_of(turns, session, &user.id, &project).await?;
        if roles.is_empty() {
            // Without a role the pair would be of no use, and an empty list may also be a lie.
            return Err(permit::refused(permission));
        }
        let bearer = Bearer {
            other_user: Some(&user),
            roles: &roles,
        };
        permit::check(permission, ask, session, &bearer)?;
        Ok(user.id)
    }

    /// Proves a pair: Keystone shows it as it was published, and takes a signature made with it where
    /// the login may have that checked.
    ///
    /// # Errors
    /// Those of a login and of a call. A pair that is not there any more is no error.
    pub async fn verify_access_key(
        &self,
        turns: &dyn Turns,
        project: &Named,
        owner: Option<&str>,
        data: &SecretData,
    ) -> Result<Proof, Failure> {
        let (Some(access), Some(secret)) = (
            data.text("AWS_ACCESS_KEY_ID"),
            data.text("AWS_SECRET_ACCESS_KEY"),
        ) else {
            return Err(failed(Reason::InternalError, "there is no pair to verify"));
        };
        let mut session = self.for_project(turns, project).await?;
        let owner = owner.unwrap_or(&session.user.id).to_owned();
        match self
            .standing(turns, &mut session, &owner, access, secret)
            .await?
        {
            Standing::Absent | Standing::Another => Ok(Proof::Refused),
            Standing::Hidden => Ok(Proof::Impossible),
            Standing::Same if self.may_check_signatures() => {
                self.check_signature(turns, &session, access, secret).await
            }
            Standing::Same => Ok(Proof::Given),
        }
    }

    /// What Keystone has under an access key, for the project of a session.
    ///
    /// # Errors
    /// Those of a login and of a call.
    pub(in crate::providers) async fn standing(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        owner: &str,
        access: &str,
        secret: &str,
    ) -> Result<Standing, Failure> {
        let shown = match self.show(turns, session, access).await? {
            Sight::Shown(shown) => shown,
            Sight::Absent => return Ok(Standing::Absent),
            Sight::Hidden => return Ok(Standing::Hidden),
        };
        let project = session.project.as_ref().map(|project| &project.id);
        let same = shown.user_id == owner
            && shown.tenant_id.as_ref() == project
            && shown
                .secret
                .is_some_and(|shown| is_same_secret(&shown, secret));
        Ok(if same {
            Standing::Same
        } else {
            Standing::Another
        })
    }

    /// `POST /v3/s3tokens`, which what serves S3 asks. Since 2025 it takes a role that few logins
    /// have.
    async fn check_signature(
        &self,
        turns: &dyn Turns,
        session: &Session,
        access: &str,
        secret: &str,
    ) -> Result<Proof, Failure> {
        // AWS Signature Version 4; what is signed is made up.
        let scope = ["20260101", "us-east-1", "s3", "aws4_request"];
        let text = format!(
            "AWS4-HMAC-SHA256\n20260101T000000Z\n{}\n{}",
            scope.join("/"),
            "0".repeat(64)
        );
        let first = Zeroizing::new(format!("AWS4{secret}").into_bytes());
        let key = scope.iter().fold(first, |key, part| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            Zeroizing::new(hmac::sign(&key, part.as_bytes()).as_ref().to_vec())
        });
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signature: String = hmac::sign(&key, text.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let body = json!({"credentials": {
            "access": access, "token": BASE64_URL_SAFE.encode(text), "signature": signature,
        }});
        let request = Request {
            body: Some(&body),
            ..Request::new(Method::POST, &["v3", "s3tokens"])
        };
        let answer = self.once(turns, session, request).await?;
        match answer.status {
            // Only where Keystone itself says so: this path is one that is often closed.
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND
                if answer::words(&answer).is_some() && self.is_alive(turns, session).await? =>
            {
                return Ok(Proof::Refused);
            }
            StatusCode::FORBIDDEN => self.no_signatures.store(true, Ordering::Relaxed),
            _ => {}
        }
        // Where there is no answer to it, what was read back has to do.
        Ok(Proof::Given)
    }

    /// Revokes whatever is there by the name of a request and a serial and belongs to the right user.
    ///
    /// # Errors
    /// Those of a login and of a call; `Forbidden` where the login may not.
    pub async fn revoke_access_key(
        &self,
        turns: &dyn Turns,
        holder: &Holder<'_>,
        project: Option<&Named>,
    ) -> Result<Revocation, Failure> {
        let access = identity::access_key(holder.identity);
        let id = identity::pair_id(&access);
        let mut session = self.any_session(turns, project).await?;
        let own = session.user.id.clone();
        match self.show(turns, &mut session, &access).await? {
            Sight::Absent => return Ok(Revocation::Absent),
            Sight::Shown(shown) if shown.user_id == own => {}
            Sight::Shown(shown) => match holder.owner {
                Some(owner) if owner == shown.user_id => {}
                // It was issued, and whose it is was written by somebody else.
                Some(_) => {
                    return Err(failed(
                        Reason::Forbidden,
                        "the access key belongs to another user than what is recorded says; who is sure that it may stay \
                         names it in the annotation credential-operator.dev/abandon",
                    ));
                }
                None => return Ok(Revocation::Foreign),
            },
            Sight::Hidden => {
                if !self.is_listed(turns, &mut session, &own, &id).await? {
                    return hidden(&session, holder.owner);
                }
            }
        }
        let path = ["v3", "credentials", id.as_str()];
        let request = Request::new(Method::DELETE, &path);
        let answer = self.call(turns, &mut session, request).await?;
        match answer.status {
            // As owner, one that has gone meanwhile is answered with 403: the confirmation tells.
            StatusCode::NO_CONTENT | StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => {
                Ok(Revocation::Sent)
            }
            _ => Err(answer::failure(&answer)),
        }
    }

    /// Makes sure that nothing is there by the name of a request and a serial.
    ///
    /// # Errors
    /// Those of a login and of a call; `Forbidden` when it is still there.
    pub async fn confirm_access_key(
        &self,
        turns: &dyn Turns,
        holder: &Holder<'_>,
        project: Option<&Named>,
    ) -> Result<(), Failure> {
        let access = identity::access_key(holder.identity);
        let mut session = self.any_session(turns, project).await?;
        let own = session.user.id.clone();
        let there = match self.show(turns, &mut session, &access).await? {
            Sight::Absent => false,
            Sight::Shown(_) => true,
            Sight::Hidden => {
                let id = identity::pair_id(&access);
                self.is_listed(turns, &mut session, &own, &id).await?
            }
        };
        if there {
            return Err(failed(
                Reason::Forbidden,
                "Keystone does not let the login revoke the access key; it is still there",
            ));
        }
        Ok(())
    }

    /// Asks under the login's own user, whoever the pair belongs to: Keystone looks at the access key
    /// alone, and a user whom it does not know would make it answer 404.
    async fn show(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        access: &str,
    ) -> Result<Sight, Failure> {
        let own = session.user.id.clone();
        let path = ["v3", "users", &own, "credentials", "OS-EC2", access];
        let request = Request::new(Method::GET, &path);
        let answer = self.call(turns, session, request).await?;
        match answer.status {
            StatusCode::OK => {
                answer::read::<Shown>(&answer).map(|shown| Sight::Shown(shown.credential))
            }
            StatusCode::NOT_FOUND => Ok(Sight::Absent),
            StatusCode::FORBIDDEN => Ok(Sight::Hidden),
            _ => Err(answer::failure(&answer)),
        }
    }

    /// Whether a pair is among the login's own. An empty list is an answer only for a login with a
    /// password: to others Keystone answers one as well.
    async fn is_listed(
        &self,
        turns: &dyn Turns,
        session: &mut Arc<Session>,
        own: &str,
        id: &str,
    ) -> Result<bool, Failure> {
        if session.delegated {
            return Err(failed(Reason::Forbidden, NEEDS_PASSWORD));
        }
        let request = Request {
            query: &[("type", "ec2"), ("user_id", own)],
            ..Request::list(&["v3", "credentials"])
        };
        let answer = self.call(turns, session, request).await?;
        if answer.status != StatusCode::OK {
            return Err(answer::failure(&answer));
        }
        let rows: Rows = answer::read(&answer)?;
        if rows.credentials.iter().any(|row| row.id == id) {
            return Ok(true);
        }
        rows.are_all().map(|()| false)
    }
}

impl Rows {
    /// # Errors
    /// `UnexpectedAnswer` when they are only a part.
    pub(super) fn are_all(&self) -> Result<(), Failure> {
        if self.truncated {
            return Err(unexpected(
                "lists only a part of the credentials of the login's user; raise its list_limit",
            ));
        }
        Ok(())
    }
}

/// Whether two secrets are the same. Digests, so that how long a comparison takes tells nothing.
pub(in crate::providers) fn is_same_secret(one: &str, other: &str) -> bool {
    Sha256::digest(one) == Sha256::digest(other)
}

/// What Keystone has under an access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::providers) enum Standing {
    /// The pair.
    Same,
    /// Another secret, or a pair of another user or for another project.
    Another,
    /// Nothing.
    Absent,
    /// Something that the login may not see.
    Hidden,
}

/// What Keystone shows of a pair.
enum Sight {
    Shown(Ec2),
    Absent,
    /// It is somebody else's, or the session may not see any.
    Hidden,
}

/// What it means that a pair is hidden and not among the login's own.
fn hidden(session: &Session, owner: Option<&str>) -> Result<Revocation, Failure> {
    match owner {
        Some(owner) if owner != session.user.id => Err(failed(
            Reason::Forbidden,
            format!(
                "the access key belongs to user {owner}, whose credentials the provider's login may not revoke; use a login \
                 of that user, or one with the role admin"
            ),
        )),
        _ => Ok(Revocation::Foreign),
    }
}

fn new_secret() -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| {
        failed(
            Reason::InternalError,
            "the system has no randomness to give",
        )
    })?;
    Ok(Zeroizing::new(
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    ))
}
