//! The lives of Keystone's access keys and application credentials.

use std::sync::OnceLock;

use credential_operator::providers;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use testkit::{
    openstack::{Keystone, Options},
    wire::WireProxy,
};

use super::*;
use crate::{
    keystone::{Rig, cloud::Cloud, keystone_label, pair_in},
    stage::Stage,
};

/// A real Keystone for these lives alone: it does one thing at a time, and other stories want theirs
/// meanwhile.
fn own_keystone() -> &'static Keystone {
    static OWN: OnceLock<Keystone> = OnceLock::new();
    OWN.get_or_init(|| Keystone::start(Options::default()).expect("Keystone starts"))
}

/// The kinds whose lives are played here.
pub const KINDS: &[providers::Kind] = &[
    providers::Kind::KeystoneAccessKey,
    providers::Kind::KeystoneApplicationCredential,
];

/// A kind of credential whose life is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    AccessKey,
    ApplicationCredential,
}

/// Such a life.
struct AtKeystone {
    kind: Kind,
    rig: Rig,
    /// The project that the changed request asks for.
    second: String,
}

impl Life for AtKeystone {
    type Kind = Kind;

    /// At a real Keystone.
    async fn begin(kind: Kind) -> Self {
        let name = match kind {
            Kind::AccessKey => "ks-crash-ak",
            Kind::ApplicationCredential => "ks-crash-ac",
        };
        let rig = Rig::on(Stage::new(name).await, Cloud::at(own_keystone())).await;
        let second = second_project(&rig).await;
        let mut provider = rig.provider();
        provider["spec"]["allow"][0]["keystone"]["projects"]
            .as_array_mut()
            .unwrap()
            .push(json!({"id": second}));
        rig.stage.apply(&provider).await;
        AtKeystone { kind, rig, second }
    }

    fn stage(&self) -> &Stage {
        &self.rig.stage
    }

    fn stage_mut(&mut self) -> &mut Stage {
        &mut self.rig.stage
    }

    fn wire(&self) -> &WireProxy {
        &self.rig.wire
    }

    async fn provider_ready(&self) {
        self.rig.provider_ready().await;
    }

    fn request(&self) -> Value {
        let mut request = match self.kind {
            Kind::AccessKey => self.rig.access_key("it"),
            Kind::ApplicationCredential => self.rig.application_credential("it"),
        };
        request["spec"]["renewal"] = json!({"overlap": "1s"});
        request
    }

    fn changed(&self) -> Value {
        let mut request = self.request();
        let field = match self.kind {
            Kind::AccessKey => "accessKey",
            Kind::ApplicationCredential => "applicationCredential",
        };
        request["spec"]["keystone"][field]["project"] = json!({"id": self.second});
        request
    }

    /// The projects.
    fn purposes(&self) -> [String; 2] {
        [self.rig.project_id.clone(), self.second.clone()]
    }

    fn label(call: &CallHead) -> String {
        keystone_label(call)
    }

    fn at_provider(kind: Kind) -> &'static [&'static str] {
        match kind {
            Kind::AccessKey => &[
                "POST /v3/auth/tokens",
                "POST /v3/credentials",
                // Whether the login may have signatures checked; asked once.
                "POST /v3/s3tokens",
                "POST /v3/credentials",
                "DELETE /v3/credentials/{id}",
                "POST /v3/auth/tokens",
                "POST /v3/credentials",
                "DELETE /v3/credentials/{id}",
                "DELETE /v3/credentials/{id}",
            ],
            Kind::ApplicationCredential => &[
                "POST /v3/auth/tokens",
                "POST /v3/users/{id}/application_credentials",
                // Each is proven by a login with it.
                "POST /v3/auth/tokens",
                "POST /v3/users/{id}/application_credentials",
                "POST /v3/auth/tokens",
                "DELETE /v3/users/{id}/application_credentials/{id}",
                "POST /v3/auth/tokens",
                "POST /v3/users/{id}/application_credentials",
                "POST /v3/auth/tokens",
                "DELETE /v3/users/{id}/application_credentials/{id}",
                "DELETE /v3/users/{id}/application_credentials/{id}",
            ],
        }
    }

    async fn alive(&self) -> Vec<(String, String)> {
        let mut alive: Vec<_> = match self.kind {
            Kind::AccessKey => {
                let all = self.rig.pairs().await.into_iter();
                all.map(|one| (one.id, one.project_id)).collect()
            }
            Kind::ApplicationCredential => {
                let all = self.rig.application_credentials().await.into_iter();
                all.map(|one| (one.id, one.project_id)).collect()
            }
        };
        alive.sort();
        alive
    }

    async fn works(&self, secret: &Secret) -> bool {
        match self.kind {
            Kind::AccessKey => self.rig.accepts(&pair_in(secret)).await,
            Kind::ApplicationCredential => self.rig.logs_in(secret).await,
        }
    }

    async fn finish(self) {
        self.rig.finish().await;
    }
}

/// Makes another project of which the login's user is a member; returns its id.
pub async fn second_project(rig: &Rig) -> String {
    let second = rig
        .cloud
        .create_project(&format!("{}-2", rig.project))
        .await;
    rig.cloud.assign_role(&rig.user, &second, "member").await;
    second
}

/// One after the other, so that other stories have processors as well.
#[tokio::test(flavor = "multi_thread")]
async fn no_crash_leaks_or_loses_an_access_key_or_an_application_credential() {
    no_crash_breaks_it::<AtKeystone>(Kind::AccessKey).await;
    no_crash_breaks_it::<AtKeystone>(Kind::ApplicationCredential).await;
}
