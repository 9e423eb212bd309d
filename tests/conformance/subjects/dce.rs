//! DCE's kinds.

use serde_json::json;
use testkit::{
    dce::{DceOptions, DceSimulator, Generation},
    server::SimServer,
};

use super::{EXPIRES, Simulated, SomebodyElse, Subject};
use crate::stages::Stage;

impl Simulated for DceSimulator {
    fn server(&self) -> &SimServer {
        self.server()
    }

    fn alive(&self) -> usize {
        let keys = self.live_access_keys();
        keys.iter().filter(|key| key.name != LOGIN).count()
    }

    fn secrets(&self) -> Vec<String> {
        self.secret_values()
    }

    fn lie_about_somebody_else(&self) {
        self.lie(testkit::dce::Lie::SelfTestOtherUser);
    }
}

pub fn token() -> Subject {
    let dce = DceSimulator::start(DceOptions::default());
    let (ak, sk) = dce.add_user("bot");
    Subject {
        provider: json!({
            "dce": {
                "endpoint": dce.endpoint(), "allowHTTP": true,
                "auth": {"keyPair": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{"namespaces": {}, "dce": {"kinds": ["token"]}}],
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "dce"},
            "dce": {"token": {}},
        }),
        login: vec![("ak", ak), ("sk", sk)],
        calls: vec![
            (Stage::Login, Ok(testkit::dce::TOKEN)),
            (Stage::Issue, Ok(testkit::dce::TOKEN)),
            (Stage::Prove, Ok(testkit::dce::CURRENT_USER)),
            (Stage::Revoke, Err(EXPIRES)),
            (Stage::Confirm, Err(EXPIRES)),
        ],
        somebody_else: SomebodyElse::Lie(Stage::Prove),
        system: Box::new(dce),
    }
}

/// The name of the access key that the operator logs in with.
const LOGIN: &str = "login";

pub fn access_key() -> Subject {
    let dce = DceSimulator::start(DceOptions {
        generation: Generation::From014,
        ..DceOptions::default()
    });
    let login = dce.add_access_key("bot", LOGIN, None);
    Subject {
        provider: json!({
            "dce": {
                "endpoint": dce.endpoint(), "allowHTTP": true,
                "auth": {"accessKey": {"secretRef": {"namespace": "platform", "name": "login"}}},
            },
            "allow": [{"namespaces": {}, "dce": {"kinds": ["accessKey"]}}],
        }),
        request: json!({
            "providerRef": {"kind": "ClusterCredentialProvider", "name": "dce"},
            "dce": {"accessKey": {"lifetime": "24h"}},
        }),
        login: vec![("token", login.token)],
        calls: vec![
            (Stage::Login, Ok(testkit::dce::CURRENT_USER)),
            (Stage::Issue, Ok(testkit::dce::ACCESS_KEY_CREATE)),
            (Stage::Prove, Ok(testkit::dce::CURRENT_USER)),
            (Stage::Revoke, Ok(testkit::dce::ACCESS_KEY_LIST)),
            (Stage::Confirm, Ok(testkit::dce::ACCESS_KEY_LIST)),
        ],
        somebody_else: SomebodyElse::Lie(Stage::Prove),
        system: Box::new(dce),
    }
}
