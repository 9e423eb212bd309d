//! One Keystone, and what anybody can ask it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::{Value, json};

use super::DEFAULT_DOMAIN;
use super::admin::Admin;
use super::answer::{Answer, Api};
use super::data::{self, ADMIN, ADMIN_PASSWORD};
use super::environment::Environment;
use super::service::{Service, text};
use crate::control_plane::Directory;
use crate::wire::Certificate;

const SERVER: &str = include_str!("../../openstack/keystone_server.py");

/// What kind of Keystone to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether it serves HTTPS, with a certificate that only [`Keystone::ca_pem`] vouches for.
    pub tls: bool,
    /// How long tokens live; Keystone counts whole seconds.
    pub token_expiration: Duration,
}

impl Default for Options {
    /// Plain HTTP, and tokens that live for an hour, as is Keystone's own default.
    fn default() -> Self {
        Self {
            tls: false,
            token_expiration: Duration::from_secs(3600),
        }
    }
}

/// A running Keystone; it ends when dropped, and when this process ends in whatever way.
///
/// It is the real program on SQLite. It works on one request at a time: about sixty logins a
/// second. Each has keys of its own, so its tokens mean nothing to another.
pub struct Keystone {
    service: Service,
    auth_url: String,
    certificate: Option<Certificate>,
    ca_path: PathBuf,
    api: Api,
    admin: Admin,
}

/// A login that succeeded.
#[derive(Clone, Debug)]
pub struct Token {
    /// What goes into `X-Auth-Token`.
    pub id: String,
    /// Keystone's description of it, without the object `token` around it: `expires_at`, `user`,
    /// `project`, `roles`, `catalog`.
    pub body: Value,
}

/// A failure is remembered, too: every test of a binary would wait for it again.
static SHARED: OnceLock<Result<Keystone, String>> = OnceLock::new();

impl Keystone {
    /// Starts one and waits until it serves. Blocks: about two seconds, and on a machine's first
    /// time half a minute for the installation.
    ///
    /// # Errors
    /// When there is no Python that can make virtual environments, when pip fails, and with the end
    /// of its log when Keystone does not come up.
    pub fn start(options: Options) -> Result<Self> {
        let environment = Environment::keystone()?;
        let directory = Directory::create("keystone")?;
        let path = directory.path().to_owned();
        data::fill(&path, &environment, options.token_expiration)?;
        let ca_path = path.join("ca.pem");
        let (certificate, arguments) = if options.tls {
            let certificate = Certificate::for_loopback()?;
            let (chain, key) = (path.join("server.pem"), path.join("server.key"));
            std::fs::write(&ca_path, certificate.ca_pem())?;
            std::fs::write(&chain, certificate.chain_pem())?;
            std::fs::write(&key, certificate.key_pem())?;
            (Some(certificate), vec![text(&chain), text(&key)])
        } else {
            (None, Vec::new())
        };
        let python = environment.python();
        let service = Service::start("keystone", directory, &python, SERVER, &arguments, &[])?;
        let auth_url = format!("{}/v3", service.url());
        let api = Api::new(service.url(), certificate.as_ref().map(Certificate::ca_pem))?;
        let admin = Admin::new(api.clone());
        Ok(Self {
            service,
            auth_url,
            certificate,
            ca_path,
            api,
            admin,
        })
    }

    /// The Keystone of this process, started on first use with [`Options::default`]. It is never
    /// dropped: it ends with the process.
    ///
    /// # Panics
    /// When it cannot start.
    pub fn shared() -> &'static Self {
        let shared = SHARED
            .get_or_init(|| Self::start(Options::default()).map_err(|error| format!("{error:#}")));
        match shared {
            Ok(keystone) => keystone,
            Err(error) => panic!("Keystone did not start: {error}"),
        }
    }

    /// Where it listens: `http://127.0.0.1:<port>`, or `https`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.service.url()
    }

    /// [`Self::url`] with `/v3`: what users call `OS_AUTH_URL`, and what the catalog says.
    #[must_use]
    pub fn auth_url(&self) -> &str {
        &self.auth_url
    }

    /// The certificate authority that vouches for it, if it serves HTTPS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.certificate.as_ref().map(Certificate::ca_pem)
    }

    /// A file with [`Self::ca_pem`]: what users call `OS_CACERT`.
    #[must_use]
    pub fn ca_path(&self) -> Option<&std::path::Path> {
        self.certificate.as_ref().map(|_| self.ca_path.as_path())
    }

    /// The administrator's name; his domain is [`DEFAULT_DOMAIN`], his project has the same name.
    #[must_use]
    pub fn admin_user(&self) -> &'static str {
        ADMIN
    }

    /// The administrator's password.
    #[must_use]
    pub fn admin_password(&self) -> &'static str {
        ADMIN_PASSWORD
    }

    /// The administrator at work.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The one process, to measure what it uses or to stop it for a while.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.service.process_id()
    }

    /// The directory with the database, keys and the log `keystone.log`.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        self.service.directory()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.service.log_tail()
    }

    /// Logs a user in with a password: scoped to `project_id`, or unscoped.
    ///
    /// # Errors
    /// A [`Refused`](super::Refused) with what Keystone says.
    pub async fn login(
        &self,
        user_id: &str,
        password: &str,
        project_id: Option<&str>,
    ) -> Result<Token> {
        let user = json!({"id": user_id, "password": password});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let scope = project_id.map(|id| json!({"project": {"id": id}}));
        log_in(&self.api, identity, scope).await
    }

    /// Logs in with an application credential, which brings its project along.
    ///
    /// # Errors
    /// A [`Refused`](super::Refused) with what Keystone says.
    pub async fn login_application_credential(&self, id: &str, secret: &str) -> Result<Token> {
        self.admin.login_application_credential(id, secret).await
    }

    /// Makes a request as whoever `token` belongs to; `path` comes after `/v3`.
    ///
    /// # Errors
    /// When there is no answer. An answer that is a refusal is an answer.
    pub async fn request(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = self.api.request(method, path).header("x-auth-token", token);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.api.answer(request).await
    }
}

/// Logs the administrator in.
pub(super) async fn log_admin_in(api: &Api) -> Result<Token> {
    let domain = json!({"id": DEFAULT_DOMAIN});
    let user = json!({"name": ADMIN, "domain": domain, "password": ADMIN_PASSWORD});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let scope = json!({"project": {"name": ADMIN, "domain": domain}});
    log_in(api, identity, Some(scope)).await
}

pub(super) async fn log_in(api: &Api, identity: Value, scope: Option<Value>) -> Result<Token> {
    let mut auth = json!({"identity": identity});
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    let request = api.request(Method::POST, "/auth/tokens");
    let answer = api.answer(request.json(&json!({"auth": auth}))).await?;
    let id = answer.subject_token.clone();
    let mut body = answer.success()?;
    Ok(Token {
        id: id.context("Keystone has logged somebody in and sent no token")?,
        body: body["token"].take(),
    })
}
