//! The life of DCE's access keys.

use credential_operator::providers;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use testkit::{dce::AccessKey, wire::WireProxy};

use super::*;
use crate::{
    dce_access_key::{Rig, dce_label},
    stage::{Stage, value},
};

/// The kinds whose lives are played here.
pub const KINDS: &[providers::Kind] = &[providers::Kind::DceAccessKey];

/// The kind whose life is played.
#[derive(Clone, Copy, Debug)]
struct DceAccessKey;

/// Such a life.
struct AtDce(Rig);

/// What a key is for, as far as DCE knows: for how long.
const FOR_EVER: &str = "for ever";
const FOR_A_WHILE: &str = "for a while";

fn purpose(key: &AccessKey) -> String {
    let purpose = match key.expires_ms {
        None => FOR_EVER,
        Some(_) => FOR_A_WHILE,
    };
    purpose.to_owned()
}

impl Life for AtDce {
    type Kind = DceAccessKey;

    async fn begin(_: DceAccessKey) -> Self {
        AtDce(Rig::new("dce-crash-ak").await)
    }

    fn stage(&self) -> &Stage {
        &self.0.stage
    }

    fn stage_mut(&mut self) -> &mut Stage {
        &mut self.0.stage
    }

    fn wire(&self) -> &WireProxy {
        &self.0.wire
    }

    async fn provider_ready(&self) {
        self.0.provider_ready().await;
    }

    fn request(&self) -> Value {
        self.0.request("it", 1000)
    }

    fn changed(&self) -> Value {
        let mut request = self.request();
        request["spec"]["dce"]["accessKey"]["lifetime"] = json!("24h");
        request
    }

    fn purposes(&self) -> [String; 2] {
        [FOR_EVER, FOR_A_WHILE].map(str::to_owned)
    }

    fn label(call: &CallHead) -> String {
        dce_label(call)
    }

    fn at_provider(_: DceAccessKey) -> &'static [&'static str] {
        &[
            "POST current-user/accesstoken",
            // The rotation, and the end of its overlap.
            "POST current-user/accesstoken",
            "DELETE current-user/accesstokens/{id}",
            // The change, and the end of its overlap.
            "POST current-user/accesstoken",
            "DELETE current-user/accesstokens/{id}",
            // The farewell.
            "DELETE current-user/accesstokens/{id}",
        ]
    }

    async fn alive(&self) -> Vec<(String, String)> {
        let made = self.0.made().into_iter();
        let lost = self.0.lost().into_iter();
        let mut alive: Vec<_> = made
            .map(|key| (key.id.clone(), purpose(&key)))
            .chain(lost.map(|key| (key.id.clone(), "does not work any more".to_owned())))
            .collect();
        alive.sort();
        alive
    }

    async fn works(&self, secret: &Secret) -> bool {
        self.stage().dce.is_live(&value(secret, "token"))
    }

    async fn finish(self) {
        self.0.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crash_leaks_or_loses_an_access_key_of_dce() {
    no_crash_breaks_it::<AtDce>(DceAccessKey).await;
}
