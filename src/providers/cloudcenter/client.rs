//! The calls to CloudCenter that read: all but the one in `regenerate.rs`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use reqwest::{
    Method,
    header::{AUTHORIZATION, HeaderName},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Config, Layout,
    api_key::{is_key, is_username},
    layout::basic,
};
use crate::{
    api::Reason,
    plan::{Failure, Refusal},
    providers::{
        LoginValues,
        http::{Answer, Call, HttpClient, Size, Turns},
    },
};

/// Says that the password is a key and not that of the user interface. Some clients leave it out, and
/// some managers want it.
pub(super) const MARK: HeaderName = HeaderName::from_static("x-cliqr-api-key-auth");

/// Talks to one CloudCenter with one login.
pub struct Client {
    pub(super) http: HttpClient,
    pub(super) login: Login,
    pub(super) layout: Layout,
    /// `true`, as the client for HTTP wants it.
    pub(super) mark: SecretString,
    /// Whether what is published for the login's own user is read as a login.
    pub(super) is_published_as_login: bool,
    /// To whom e-mail addresses belonged when users were listed last; nobody where several had the same
    /// one. A hint, which spares the list.
    directory: Mutex<BTreeMap<String, Option<String>>>,
}

/// What the operator logs in with.
pub(super) struct Login {
    /// The user name of the API.
    pub(super) username: String,
    key: SecretString,
    authorization: SecretString,
}

impl Login {
    pub(super) fn key(&self) -> &str {
        self.key.expose_secret()
    }
}

impl Client {
    /// A client; `login` holds user name and key.
    ///
    /// # Errors
    /// `LoginInvalid` when one of them cannot be one.
    pub fn new(
        config: &Config,
        http: HttpClient,
        login: &LoginValues,
        layout: Layout,
    ) -> Result<Self, Refusal> {
        let invalid = |key: &str, what: &str| {
            Refusal::new(
                Reason::LoginInvalid,
                format!("the value under key {key} (spec.cloudCenter.auth.apiKey) {what}"),
            )
        };
        let username = login.expect(&config.username_key);
        let username = username.expose_secret();
        if !is_username(username) {
            return Err(invalid(
                &config.username_key,
                "is no user name: it is empty, longer than 255 bytes, or has a colon or characters that none has",
            ));
        }
        let key = login.expect(&config.key_key);
        if !is_key(key.expose_secret()) {
            return Err(invalid(
                &config.key_key,
                "is no key: it is empty, longer than 1024 bytes, or has characters that none has",
            ));
        }
        let authorization = SecretString::from(basic(username, key.expose_secret()).as_str());
        Ok(Client {
            http,
            login: Login {
                username: username.to_owned(),
                key,
                authorization,
            },
            layout,
            mark: SecretString::from("true"),
            is_published_as_login: config.username_key == "username" && config.key_key == "key",
            directory: Mutex::default(),
        })
    }

    /// A call that reads. HTTP Basic without being asked for it, as all known clients do: there is no
    /// challenge that could be waited for.
    pub(super) async fn get(
        &self,
        turns: &dyn Turns,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let headers = self.headers();
        // A server that knows no pages shows all users at once.
        let size = if path.ends_with(&["users"]) {
            Size::LIST
        } else {
            Size::USUAL
        };
        let call = Call {
            query,
            headers: &headers,
            size,
            ..Call::new(Method::GET, path)
        };
        self.http.send(turns, call).await
    }

    /// The login, as each call carries it.
    pub(super) fn headers(&self) -> [(HeaderName, &SecretString); 2] {
        [
            (AUTHORIZATION, &self.login.authorization),
            (MARK, &self.mark),
        ]
    }

    /// The id of the user to whom an address belonged when users were listed last.
    pub(super) fn id_of(&self, email: &str) -> Option<String> {
        let directory = self.directory.lock();
        let directory = directory.unwrap_or_else(PoisonError::into_inner);
        directory.get(email).cloned().flatten()
    }

    /// Remembers a list of users.
    pub(super) fn remember(&self, list: BTreeMap<String, Option<String>>) {
        let directory = self.directory.lock();
        *directory.unwrap_or_else(PoisonError::into_inner) = list;
    }
}
