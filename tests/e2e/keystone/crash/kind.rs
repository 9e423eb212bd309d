//! The kinds of credentials whose lives are played, and what a life of each is made of.

use super::*;

/// A kind of credential whose life is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    AccessKey,
    ApplicationCredential,
}

impl Kind {
    /// What the stage of such a life is named after.
    pub fn stage(self) -> &'static str {
        match self {
            Kind::AccessKey => "ks-crash-ak",
            Kind::ApplicationCredential => "ks-crash-ac",
        }
    }

    /// The request whose life is played.
    pub fn request(self, rig: &Rig) -> Value {
        let mut request = match self {
            Kind::AccessKey => rig.access_key("it"),
            Kind::ApplicationCredential => rig.application_credential("it"),
        };
        request["spec"]["renewal"] = json!({"overlap": "1s"});
        request
    }

    /// The same request, asking for something else.
    pub fn changed(self, rig: &Rig, project: &str) -> Value {
        let mut request = self.request(rig);
        let field = match self {
            Kind::AccessKey => "accessKey",
            Kind::ApplicationCredential => "applicationCredential",
        };
        request["spec"]["keystone"][field]["project"] = json!({"id": project});
        request
    }

    /// What the fault-free life is made of. A new call cannot slip in without standing here.
    pub fn expected(self) -> Calls {
        let kubernetes = [
            "patch clustercredentialproviders",
            "patch credentialrequests",
            "create secrets",
            "patch credentialrequests/status",
            // The rotation, and the end of its overlap.
            "patch secrets",
            "patch credentialrequests/status",
            "patch credentialrequests/status",
            // The change, and the end of its overlap.
            "patch secrets",
            "patch credentialrequests/status",
            "patch credentialrequests/status",
            // The farewell.
            "patch credentialrequests",
        ];
        let keystone: &[&str] = match self {
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
        };
        let all = |server, calls: &[&str]| -> Calls {
            calls
                .iter()
                .map(|call| (server, (*call).to_owned()))
                .collect()
        };
        let mut calls = all(Server::Kubernetes, &kubernetes);
        calls.extend(all(Server::Keystone, keystone));
        calls
    }

    /// What is alive at Keystone: ids, and the projects that they are for.
    pub async fn alive(self, rig: &Rig) -> Vec<(String, String)> {
        let mut alive: Vec<_> = match self {
            Kind::AccessKey => {
                let all = rig.pairs().await.into_iter();
                all.map(|one| (one.id, one.project_id)).collect()
            }
            Kind::ApplicationCredential => {
                let all = rig.application_credentials().await.into_iter();
                all.map(|one| (one.id, one.project_id)).collect()
            }
        };
        alive.sort();
        alive
    }

    /// Whether Keystone takes what the Secret holds, its secret included.
    pub async fn works(self, rig: &Rig, secret: &Secret) -> bool {
        match self {
            Kind::AccessKey => rig.accepts(&pair_in(secret)).await,
            Kind::ApplicationCredential => rig.logs_in(secret).await,
        }
    }
}
