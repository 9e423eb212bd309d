//! The life of SODA's access keys: they are made and revoked at the Keystone behind it, and SODA itself is
//! only asked to show them.

use credential_operator::providers;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use testkit::wire::WireProxy;

use super::{keystone::second_project, *};
use crate::{
    keystone::{DOMAIN, keystone_label, pair_in},
    soda::Rig,
    stage::Stage,
};

/// The kinds whose lives are played here.
pub const KINDS: &[providers::Kind] = &[providers::Kind::SodaAccessKey];

/// The kind whose life is played.
#[derive(Clone, Copy, Debug)]
struct SodaAccessKey;

/// Such a life.
struct AtSoda {
    rig: Rig,
    /// The project that the changed request asks for.
    second: String,
}

impl Life for AtSoda {
    type Kind = SodaAccessKey;

    /// In front of a real Keystone.
    async fn begin(_: SodaAccessKey) -> Self {
        let rig = Rig::new("soda-crash").await;
        let second = second_project(&rig.keystone).await;
        AtSoda { rig, second }
    }

    fn stage(&self) -> &Stage {
        self.rig.stage()
    }

    fn stage_mut(&mut self) -> &mut Stage {
        &mut self.rig.keystone.stage
    }

    fn wire(&self) -> &WireProxy {
        &self.rig.keystone.wire
    }

    async fn provider_ready(&self) {
        self.rig.provider_says("True", "LoginWorks").await;
    }

    fn request(&self) -> Value {
        let mut request = self.rig.request("it", json!({}));
        request["spec"]["renewal"] = json!({"overlap": "1s"});
        request
    }

    fn changed(&self) -> Value {
        let mut request = self.request();
        // By its name, as the first one is: by its id there may be a session for it already, since SODA's
        // login is tested with one of the projects.
        let name = format!("{}-2", self.rig.keystone.project);
        request["spec"]["soda"]["accessKey"]["project"] = json!({"name": name, "domainID": DOMAIN});
        request
    }

    /// The projects.
    fn purposes(&self) -> [String; 2] {
        [self.rig.keystone.project_id.clone(), self.second.clone()]
    }

    fn label(call: &CallHead) -> String {
        keystone_label(call)
    }

    fn at_provider(_: SodaAccessKey) -> &'static [&'static str] {
        &[
            "POST /v3/auth/tokens",
            "POST /v3/credentials",
            "POST /v3/credentials",
            "DELETE /v3/credentials/{id}",
            "POST /v3/auth/tokens",
            "POST /v3/credentials",
            "DELETE /v3/credentials/{id}",
            "DELETE /v3/credentials/{id}",
        ]
    }

    async fn alive(&self) -> Vec<(String, String)> {
        let all = self.rig.keystone.pairs().await.into_iter();
        let mut alive: Vec<_> = all.map(|one| (one.id, one.project_id)).collect();
        alive.sort();
        alive
    }

    async fn works(&self, secret: &Secret) -> bool {
        self.rig.keystone.accepts(&pair_in(secret)).await
    }

    /// Nothing was made by SODA, or destroyed.
    async fn finish(self) {
        assert_eq!(self.rig.creates(), 0, "SODA made something");
        self.rig.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_crash_leaks_or_loses_an_access_key_of_soda() {
    no_crash_breaks_it::<AtSoda>(SodaAccessKey).await;
}
