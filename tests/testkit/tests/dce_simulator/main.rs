//! The DCE simulator does what DCE does, as far as its protocol is known, and every control of it works.

mod access_keys;
mod controls;
mod key_controls;
mod process;
mod protocol;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Certificate, Client, Method, RequestBuilder};
use serde_json::Value;
use testkit::dce::{DceOptions, DceSimulator, Generation};

const DEADLINE: Duration = Duration::from_secs(20);
const DAY: i64 = 24 * 60 * 60;

/// A simulator with one user, and a client.
struct Site {
    dce: DceSimulator,
    client: Client,
    ak: String,
    sk: String,
}

impl Site {
    fn new() -> Self {
        Self::with(DceOptions::default())
    }

    fn of(generation: Generation) -> Self {
        Self::with(DceOptions {
            generation,
            ..DceOptions::default()
        })
    }

    fn with(options: DceOptions) -> Self {
        let dce = DceSimulator::start(options);
        let (ak, sk) = dce.add_user("alice");
        let client = Client::builder().no_proxy();
        let client = match dce.ca_pem() {
            Some(pem) => client.tls_certs_only([Certificate::from_pem(pem.as_bytes()).unwrap()]),
            None => client,
        };
        let client = client.build().unwrap();
        Site {
            dce,
            client,
            ak,
            sk,
        }
    }

    fn get(&self, path_and_query: &str) -> RequestBuilder {
        self.request(Method::GET, path_and_query)
    }

    fn request(&self, method: Method, path_and_query: &str) -> RequestBuilder {
        let (endpoint, api) = (self.dce.endpoint(), "apis/ghippo.io/v1alpha1");
        let url = format!("{endpoint}/{api}/{path_and_query}");
        self.client.request(method, url)
    }

    /// The token request of the user's pair; `more` follows in the query.
    fn ask(&self, more: &str) -> RequestBuilder {
        self.get(&format!("token?ak={}&sk={}{more}", self.ak, self.sk))
    }

    /// A token, which the answer must have.
    async fn token(&self) -> String {
        let (status, body) = read(self.ask("&cycle=1")).await;
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        body["token"].as_str().unwrap().to_owned()
    }

    async fn self_test(&self, token: &str) -> (u16, String) {
        read(self.get("current-user").bearer_auth(token)).await
    }
}

async fn read(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// A part of a JWT: 0 the header, 1 the claims.
fn decode(token: &str, part: usize) -> Value {
    let part = token.split('.').nth(part).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() as i64
}
