//! How the operator logs in, and what a refused login means.

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    answer::{self, NAME, unexpected},
    config::Method,
    names::{Domain, Named},
};
use crate::{
    api::{
        Reason,
        names::{is_id, is_name},
    },
    plan::{Failure, Refusal},
    providers::{
        LoginValues,
        http::{Answer, failed},
    },
};

/// The domain of a user when nothing is said about it; its name is the same in every OpenStack.
const DOMAIN: &str = "Default";

/// The longest password, id or secret that is believed.
const LONGEST: usize = 4096;

/// What the operator logs in with.
pub enum Login {
    /// A user and a password.
    Password {
        /// Who.
        user: Named,
        /// The password.
        password: SecretString,
    },
    /// An application credential. It has a scope of its own.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Its secret.
        secret: SecretString,
    },
}

/// What a session is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Nothing: to see whether the login works, and to find what is left in projects that nobody can
    /// enter any more.
    None,
    /// A project.
    Project(Named),
}

impl Login {
    /// Reads a login Secret.
    ///
    /// # Errors
    /// `LoginInvalid` or `LoginKeyNotFound` with the key.
    pub fn read(method: Method, values: &LoginValues) -> Result<Login, Refusal> {
        let text = |key: &str| values.get(key).map(ExposeSecret::expose_secret);
        let invalid = |what: &str| Err(Refusal::new(Reason::LoginInvalid, what));
        let secret = |key: &str| match values.get(key) {
            Some(value) if value.expose_secret().len() <= LONGEST => Ok(value.clone()),
            _ => Err(Refusal::new(
                Reason::LoginInvalid,
                format!("the value under key {key} is longer than {LONGEST} bytes"),
            )),
        };
        match method {
            Method::ApplicationCredential => {
                let id = text("id").unwrap_or_default();
                if !is_id(id) {
                    return invalid(
                        "the value under key id is no id of an application credential (its name does not do)",
                    );
                }
                Ok(Login::ApplicationCredential {
                    id: id.to_owned(),
                    secret: secret("secret")?,
                })
            }
            Method::Password => {
                let user = match (text("user-id"), text("username")) {
                    (Some(id), None) if is_id(id) => Named::Id(id.to_owned()),
                    (None, Some(name)) if is_name(name) => {
                        let domain = match (text("domain-id"), text("domain")) {
                            (Some(id), None) if is_id(id) => Domain::Id(id.to_owned()),
                            (None, Some(name)) if is_name(name) => Domain::Name(name.to_owned()),
                            (None, None) => Domain::Name(DOMAIN.to_owned()),
                            (Some(_), Some(_)) => {
                                return invalid(
                                    "the login Secret has the keys domain and domain-id; remove one of them (a key \
                                     that was applied under stringData stays until it is removed)",
                                );
                            }
                            (Some(_), None) => {
                                return invalid("the value of key domain-id is no id of a domain");
                            }
                            (None, Some(_)) => {
                                return invalid("the value of key domain is no name of a domain");
                            }
                        };
                        Named::Name(name.to_owned(), domain)
                    }
                    (None, None) => {
                        return Err(Refusal::new(
                            Reason::LoginKeyNotFound,
                            "the login Secret has neither key username nor key user-id",
                        ));
                    }
                    (Some(_), Some(_)) => {
                        return invalid(
                            "the login Secret has the keys username and user-id; remove one of them (a key that was \
                             applied under stringData stays until it is removed)",
                        );
                    }
                    (Some(_), None) => {
                        return invalid("the value of key user-id is no id of a user");
                    }
                    (None, Some(_)) => {
                        return invalid("the value of key username is no name of a user");
                    }
                };
                Ok(Login::Password {
                    user,
                    password: secret("password")?,
                })
            }
        }
    }

    /// The scope in which a project is served: an application credential has its own, and must not
    /// ask for one (Keystone answers 401).
    pub fn scope(&self, project: &Named) -> Scope {
        match self {
            Login::Password { .. } => Scope::Project(project.clone()),
            Login::ApplicationCredential { .. } => Scope::None,
        }
    }

    /// The body of a login (Identity API v3, `POST /v3/auth/tokens`).
    pub fn body(&self, scope: &Scope) -> Value {
        match self {
            Login::Password { user, password } => {
                let mut user = user.to_json();
                user["password"] = json!(password.expose_secret());
                let scope = match scope {
                    // Without these words a user's default project would be the scope.
                    Scope::None => json!("unscoped"),
                    Scope::Project(project) => json!({"project": project.to_json()}),
                };
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": user}},
                    "scope": scope,
                }})
            }
            Login::ApplicationCredential { id, secret } => application_credential_body(id, secret),
        }
    }

    /// Whether a refused login for a project can be told from a refused login by trying without one.
    pub fn can_do_without_scope(&self) -> bool {
        matches!(self, Login::Password { .. })
    }
}

/// The body of a login with an application credential. The user is never sent along with the id
/// (CVE-2026-42998).
pub fn application_credential_body(id: &str, secret: &SecretString) -> Value {
    json!({"auth": {"identity": {
        "methods": ["application_credential"],
        "application_credential": {"id": id, "secret": secret.expose_secret()},
    }}})
}

/// Why a login failed.
pub fn refused(login: &Login, answer: &Answer) -> Failure {
    let words = answer::words(answer);
    match (answer.status, &words) {
        (StatusCode::UNAUTHORIZED, _) if answer.header("openstack-auth-receipt").is_some() => {
            failed(
                Reason::LoginRefused,
                "Keystone asks the login's user for a further factor (MFA), which the operator does not have; use another \
                 user, or an application credential",
            )
        }
        (StatusCode::UNAUTHORIZED, Some(words)) if words.contains("password is expired") => failed(
            Reason::LoginRefused,
            "the password of the login's user has expired and has to be changed",
        ),
        (StatusCode::UNAUTHORIZED, Some(_)) => failed(
            Reason::LoginRefused,
            match login {
                Login::Password { .. } => {
                    "Keystone refuses the login: the password is wrong, or the user or domain does not exist, is disabled, \
                     or is locked after too many attempts (Keystone does not say which)"
                }
                Login::ApplicationCredential { .. } => {
                    "Keystone refuses the login: the secret of the application credential is wrong, it has expired, or its \
                     user or project is disabled (Keystone does not say which)"
                }
            },
        ),
        (StatusCode::UNAUTHORIZED, None) => failed(
            Reason::LoginRefused,
            "something before Keystone refuses the login (HTTP 401)",
        ),
        // What Keystone answers about an application credential that is not there.
        (StatusCode::NOT_FOUND, Some(_)) if !login.can_do_without_scope() => failed(
            Reason::LoginRefused,
            "Keystone refuses the login: there is no application credential with this id (any more)",
        ),
        (StatusCode::FORBIDDEN, Some(_)) => failed(
            Reason::LoginRefused,
            "Keystone forbids the login (HTTP 403)",
        ),
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT, _) => answer.failure(NAME),
        (status, _) if status.is_server_error() => answer.failure(NAME),
        (status, _) => unexpected(&format!(
            "v3 is not at this endpoint (HTTP {} to a login): it may lack a path such as /identity, or be another system",
            status.as_u16()
        )),
    }
}
