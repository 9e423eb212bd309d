//! The last good Secret stays, whatever happens to the login, to its project, and to the grant.

use kube::api::{Patch, PatchParams};

use super::*;

/// What can happen to what credentials are made with.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    UserDisabled,
    PasswordExpired,
    RoleRemoved,
    ProjectDisabled,
    GrantWithdrawn,
}

impl Trouble {
    const ALL: [Trouble; 5] = [
        Trouble::UserDisabled,
        Trouble::PasswordExpired,
        Trouble::RoleRemoved,
        Trouble::ProjectDisabled,
        Trouble::GrantWithdrawn,
    ];

    async fn begin(self, rig: &mut Rig) {
        let (user, project) = (&rig.user.id, &rig.project_id);
        match self {
            Trouble::UserDisabled => rig.admin().set_user_enabled(user, false).await.unwrap(),
            Trouble::PasswordExpired => {
                rig.admin().expire_password(user).await.unwrap();
                // Sessions live on at Keystone, but no longer than the operator.
                rig.stage.kill();
                rig.stage.start().await;
            }
            Trouble::RoleRemoved => {
                let removed = rig.admin().remove_role(user, project, "member").await;
                removed.unwrap();
            }
            Trouble::ProjectDisabled => {
                let disabled = rig.admin().set_project_enabled(project, false).await;
                disabled.unwrap();
            }
            Trouble::GrantWithdrawn => {
                let mut provider = rig.provider();
                provider["spec"]["allow"][0]["keystone"]["kinds"] = json!(["token"]);
                rig.stage.apply(&provider).await;
            }
        }
    }

    async fn end(self, rig: &Rig) {
        let (user, project) = (&rig.user, &rig.project_id);
        match self {
            Trouble::UserDisabled => rig.admin().set_user_enabled(&user.id, true).await.unwrap(),
            Trouble::PasswordExpired => {
                let password = rig.admin().set_password(&user.id, &user.password).await;
                password.unwrap();
            }
            Trouble::RoleRemoved => rig.cloud.assign_role(user, project, "member").await,
            Trouble::ProjectDisabled => {
                let enabled = rig.admin().set_project_enabled(project, true).await;
                enabled.unwrap();
            }
            Trouble::GrantWithdrawn => rig.stage.apply(&rig.provider()).await,
        }
        if !matches!(self, Trouble::GrantWithdrawn) {
            // Keystone tells nobody, and half an hour is long.
            touch_login(rig, &format!("{self:?}")).await;
        }
    }

    /// The condition that tells of it, and its reason.
    fn told_as(self) -> (&'static str, (&'static str, &'static str)) {
        match self {
            Trouble::UserDisabled | Trouble::PasswordExpired => {
                ("RenewalFailing", ("True", "LoginRefused"))
            }
            Trouble::RoleRemoved | Trouble::ProjectDisabled => {
                ("RenewalFailing", ("True", "ScopeRefused"))
            }
            Trouble::GrantWithdrawn => ("Ready", ("False", "NotAllowed")),
        }
    }
}

/// Changes the login Secret in a way that means nothing.
async fn touch_login(rig: &Rig, value: &str) {
    let secrets: Api<Secret> = Api::namespaced(rig.stage.client.clone(), &rig.stage.platform);
    let patch = json!({"metadata": {"annotations": {"example.com/touched": value}}});
    secrets
        .patch(
            "keystone-login",
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_good_secret_stays_whatever_happens_to_what_it_was_made_with() {
    const NAMES: [&str; 2] = ["s3", "app"];
    let mut rig = Rig::new("ks-last-good").await;
    rig.stage.start().await;
    for mut request in [rig.access_key("s3"), rig.application_credential("app")] {
        request["spec"]["renewal"] = json!({"overlap": "1s"});
        rig.stage.apply(&request).await;
    }
    for name in NAMES {
        rig.stage.ready(name).await;
    }
    for trouble in Trouble::ALL {
        let (condition, (status, reason)) = trouble.told_as();
        let mut good = Vec::new();
        for name in NAMES {
            good.push(rig.stage.secret(name).await);
        }
        trouble.begin(&mut rig).await;
        let mark = rig.wire.mark();
        let value = format!("{trouble:?}");
        for name in NAMES {
            rig.stage
                .annotate(name, "credential-operator.dev/rotate", &value)
                .await;
        }
        for (name, good) in NAMES.into_iter().zip(&good) {
            let told = rig.stage.until(name, &value, |request| {
                status_of(request, condition) == (status, reason)
            });
            let told = told.await;
            if condition == "RenewalFailing" {
                // What is published is as good as it was, as far as the operator can tell.
                assert_eq!(status_of(&told, "Ready"), ("True", "Synced"), "{value}");
            }
            let kept = rig.stage.secret(name).await;
            assert_eq!(
                (&kept.data, &kept.metadata.resource_version),
                (&good.data, &good.metadata.resource_version),
                "{value}: {name}"
            );
        }
        let refused = rig.wire.since(mark);
        let refused = refused.iter().filter(|call| {
            call.path == "/v3/auth/tokens" && call.method == "POST" && call.status == Some(401)
        });
        // With the project and without: one look at what it is, for both requests.
        assert!(refused.count() <= 2, "{value}");

        trouble.end(&rig).await;
        for name in NAMES {
            rig.stage
                .until(name, &format!("well again after {value}"), |request| {
                    let status = request.status.as_ref().unwrap();
                    status_of(request, "Ready") == ("True", "Synced")
                        && status_of(request, "RenewalFailing").0 == "False"
                        && status.rotated.as_ref() == Some(&value)
                        && status.credentials.len() == 1
                })
                .await;
        }
        assert!(rig.accepts(&rig.pair("s3").await).await, "{value}");
        assert_eq!(rig.pairs().await.len(), 1, "{value}");
        assert_eq!(rig.application_credentials().await.len(), 1, "{value}");
    }
    for name in NAMES {
        rig.delete(name).await;
        rig.gone(name).await;
    }
    assert_eq!(rig.pairs().await, []);
    assert_eq!(rig.application_credentials().await, []);
    rig.finish().await;
}
