//! The way to the Keystone behind, its own faults included, and SODA's account there.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use http::{Method, Response};
use http_body_util::BodyExt;
use reqwest::{Certificate, Client};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use url::Url;

use crate::keystone::{ADMIN_PROJECT, KeystoneSimulator};
use crate::openstack::Keystone;
use crate::server::{AnyBody, Faults, Outcome};

/// The route, at Keystone, by which SODA logs its own account in.
pub const KEYSTONE_LOGIN: &str = "POST */auth/tokens";
/// The route, at Keystone, by which SODA looks at the caller's token.
pub const KEYSTONE_VALIDATE: &str = "GET */auth/tokens";
/// The route, at Keystone, by which SODA stores a key.
pub const KEYSTONE_CREATE: &str = "POST */credentials";
/// The route, at Keystone, by which SODA reads a user's keys, also before it deletes them.
pub const KEYSTONE_LIST: &str = "GET */credentials";
/// The route, at Keystone, by which SODA deletes one key.
pub const KEYSTONE_DELETE: &str = "DELETE */credentials/*";

/// The words of Go for a connection that ends.
const ENDED: &str = "EOF";

/// Which Keystone is behind, and with which account SODA looks at the tokens of its callers. The account must be
/// allowed to look at everybody's: it has the role admin or service.
#[derive(Clone)]
pub struct KeystoneAccount {
    /// The URL of the identity API: it ends with `/v3`.
    pub url: String,
    /// The certificate of the authority to trust, where it speaks HTTPS.
    pub ca_pem: Option<String>,
    /// The name of the account; its domain is the default one, by the name `Default`.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The name of its project, which is in the default domain too.
    pub project: String,
}

impl KeystoneAccount {
    /// A real Keystone, with its administrator as the account.
    pub fn of(keystone: &Keystone) -> Self {
        Self {
            url: keystone.auth_url().to_owned(),
            ca_pem: keystone.ca_pem().map(str::to_owned),
            user: keystone.admin_user().to_owned(),
            password: keystone.admin_password().to_owned(),
            // It has the same name.
            project: keystone.admin_user().to_owned(),
        }
    }

    /// A simulated Keystone, and an account of this name that is made for it.
    pub fn of_simulator(keystone: &KeystoneSimulator, user: &str) -> Self {
        let (_, password) = keystone.add_admin(user);
        Self {
            url: keystone.endpoint(),
            ca_pem: keystone.ca_pem().map(str::to_owned),
            user: user.to_owned(),
            password,
            project: ADMIN_PROJECT.to_owned(),
        }
    }
}

/// A request to Keystone.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// What comes after the URL of the identity API, a query too.
    pub(super) path: String,
    /// Whose request it is; empty for nobody's.
    pub(super) token: &'a str,
    /// The token that it is about.
    pub(super) subject: Option<&'a str>,
    pub(super) body: Option<Value>,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, path: impl Into<String>, token: &'a str) -> Self {
        Self {
            method,
            path: path.into(),
            token,
            subject: None,
            body: None,
        }
    }
}

/// An answer of Keystone, whatever it is.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
    subject_token: Option<String>,
}

/// There was no answer.
pub(super) struct Broken {
    /// The words of Go's HTTP client.
    pub(super) words: String,
    /// The status of the answer that got lost, which SODA does not know.
    pub(super) lost: Option<u16>,
}

/// The way to one Keystone.
pub(super) struct Link {
    account: KeystoneAccount,
    client: Client,
    pub(super) faults: Faults,
    pub(super) down: AtomicBool,
    /// The token of the account, once it has one.
    token: Mutex<Option<String>>,
}

impl Link {
    pub(super) fn new(account: KeystoneAccount) -> Self {
        let pem = account.ca_pem.as_ref();
        let authorities = pem.map(|pem| Certificate::from_pem(pem.as_bytes()).unwrap());
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only(authorities)
            // A connection that is kept is served by the runtime that opened it, and tests ask from others.
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        Self {
            account,
            client,
            faults: Faults::default(),
            down: AtomicBool::new(false),
            token: Mutex::default(),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        self.account.url.trim_end_matches('/').to_owned() + path
    }

    /// Makes a request; it meets the faults of the way.
    pub(super) async fn send(&self, ask: Ask<'_>) -> Result<Reply, Broken> {
        let url = self.url(&ask.path);
        let method = ask.method.clone();
        let broken = |words: &str| Broken {
            words: go_error(&method, &url, words),
            lost: None,
        };
        let path = Url::parse(&url).map(|url| url.path().to_owned());
        let path = path.map_err(|error| broken(&error.to_string()))?;
        if self.down.load(Ordering::Relaxed) {
            return Err(broken("dial tcp: connect: connection refused"));
        }
        if let Some(met) = self.faults.meet(&ask.method, &path) {
            match Outcome::from(met.fault) {
                Outcome::AnswerAfter(time) => tokio::time::sleep(time).await,
                Outcome::AnswerWhenReleased => met.released.cancelled().await,
                Outcome::Instead(answer) => {
                    return read(answer).await.ok_or_else(|| broken("unexpected EOF"));
                }
                Outcome::AnswerAndCut => {
                    let lost = self.forward(ask).await.ok().map(|reply| reply.status);
                    return Err(Broken {
                        lost,
                        ..broken(ENDED)
                    });
                }
                Outcome::Cut => return Err(broken(ENDED)),
            }
        }
        self.forward(ask).await.map_err(broken)
    }

    async fn forward(&self, ask: Ask<'_>) -> Result<Reply, &'static str> {
        let mut request = self.client.request(ask.method, self.url(&ask.path));
        if !ask.token.is_empty() {
            request = request.header("x-auth-token", ask.token);
        }
        if let Some(subject) = ask.subject {
            request = request.header("x-subject-token", subject);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| {
            if error.is_connect() {
                "dial tcp: connect: connection refused"
            } else {
                ENDED
            }
        })?;
        let token = answer.headers().get("x-subject-token");
        let subject_token = token.and_then(|token| token.to_str().ok().map(str::to_owned));
        Ok(Reply {
            status: answer.status().as_u16(),
            subject_token,
            body: answer.text().await.map_err(|_| "unexpected EOF")?,
        })
    }

    /// The token of the account; a new one when there is none, or when it is the one that was `refused`.
    pub(super) async fn own_token(&self, refused: Option<&str>) -> Result<String, Broken> {
        let mut token = self.token.lock().await;
        if let Some(known) = token
            .as_ref()
            .filter(|known| Some(known.as_str()) != refused)
        {
            return Ok(known.clone());
        }
        let domain = json!({"name": "Default"});
        let (user, password) = (&self.account.user, &self.account.password);
        let user = json!({"name": user, "domain": domain, "password": password});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let scope = json!({"project": {"name": self.account.project, "domain": domain}});
        let ask = Ask {
            body: Some(json!({"auth": {"identity": identity, "scope": scope}})),
            ..Ask::new(Method::POST, "/auth/tokens", "")
        };
        let reply = self.send(ask).await?;
        match reply.subject_token {
            Some(fresh) if reply.status == 201 => Ok(token.insert(fresh).clone()),
            _ => Err(Broken {
                words: "Authentication failed".to_owned(),
                lost: None,
            }),
        }
    }

    /// The credential that Keystone has under an access key, as the account sees it. Faults are left aside.
    ///
    /// # Errors
    /// When Keystone does not say.
    pub(super) async fn key(&self, access: &str) -> Result<Option<Value>> {
        let digest = Sha256::digest(access.as_bytes());
        let id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut refused = None;
        loop {
            let token = self.own_token(refused.as_deref()).await;
            let Ok(token) = token else {
                bail!("SODA's account cannot log in");
            };
            let ask = Ask::new(Method::GET, format!("/credentials/{id}"), &token);
            let reply = self.forward(ask).await;
            let reply = reply.map_err(anyhow::Error::msg).context("no answer")?;
            match reply.status {
                200 => {
                    let body: Value = serde_json::from_str(&reply.body)?;
                    return Ok(Some(body["credential"].clone()));
                }
                404 => return Ok(None),
                401 if refused.is_none() => refused = Some(token),
                status => bail!("{status}: {}", reply.body),
            }
        }
    }
}

/// Reads an answer that a fault gives; `None` when it breaks off.
async fn read(answer: Response<AnyBody>) -> Option<Reply> {
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.ok()?.to_bytes();
    Some(Reply {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
        subject_token: None,
    })
}

/// `Get "http://…": EOF`.
fn go_error(method: &Method, url: &str, words: &str) -> String {
    let mut name = method.as_str().to_lowercase();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{name} {url:?}: {words}")
}
