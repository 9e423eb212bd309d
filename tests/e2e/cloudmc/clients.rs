//! Clients of OpenStack and of S3 work with what is published. CloudMC is a simulator; the user, the
//! password and the pair that it hands out are those of a real Keystone with a real Swift.
//!
//! Keystone itself has no version 2.0 any more, since 13.0.0. That its form works is shown as far as it can
//! be: the libraries take it from the environment and log in as the interface of 2.0 has it, at an answer
//! that stands in place of the server and hands out a token of the real one.

use k8s_openapi::api::core::v1::Secret;
use testkit::{
    openstack::{Admin, Clients, Keystone, Swift, User},
    wire::{Fault, ResponseParts, WireProxy},
};

use super::*;
use crate::{
    clients::{PAIR_REFUSED, S3, refused, run},
    keystone::DOMAIN,
    stage::value,
};

/// What Keystone says to a wrong password.
const PASSWORD_REFUSED: &str = "The request you have made requires authentication";

/// What OpenStack's SDK finds out about itself: its project and the names of the containers in it.
const SDK: &str = "import openstack; cloud = openstack.connect(cloud='envvars'); \
                   cloud.object_store.create_container('reports'); \
                   print(cloud.current_project_id, [it.name for it in cloud.object_store.containers()])";

/// Logs in and prints the token.
const TOKEN: &str = "import openstack; print(openstack.connect(cloud='envvars').authorize())";

/// A rig whose CloudMC hands out what belongs to a real user of a real project.
struct RealRig {
    rig: Rig,
    user: User,
    project: String,
    project_id: String,
    /// Between the clients and Keystone.
    keystone: WireProxy,
}

fn admin() -> &'static Admin {
    Keystone::shared().admin()
}

impl RealRig {
    async fn new(name: &str) -> RealRig {
        let rig = Rig::new(name).await;
        let team = &rig.stage.team;
        let project = format!("acme-{team}-prod");
        let project_id = admin().create_project(&project, DOMAIN).await.unwrap();
        let user = admin()
            .create_user(&format!("acme-{team}-bot-2925"), DOMAIN)
            .await
            .unwrap();
        admin()
            .assign_role(&user.id, &project_id, "member")
            .await
            .unwrap();
        let real = RealRig {
            keystone: WireProxy::start(Keystone::shared().url(), None).unwrap(),
            rig,
            user,
            project,
            project_id,
        };
        real.tell("username", &real.user.name);
        real.tell("password", &real.user.password);
        real.tell("project_name", &real.project);
        real.tell("domain_id", DOMAIN);
        real.tell("auth_url", real.keystone.url());
        real.tell("auth_endpoint", &format!("{}/v2.0", real.keystone.url()));
        real.pair("acme-first", "a-secret-key-of-the-first-pair")
            .await;
        real
    }

    /// Has CloudMC show a value from now on.
    fn tell(&self, field: &str, value: &str) {
        let Rig {
            cloudmc,
            bot,
            environment,
            ..
        } = &self.rig;
        cloudmc.set_value(&bot.id, environment, field, value);
    }

    /// Makes a pair of the user at Keystone, and has CloudMC show it.
    async fn pair(&self, name: &str, secret: &str) -> String {
        let access = format!("{name}-{}", self.rig.stage.team);
        let (user, project) = (&self.user.id, &self.project_id);
        let made = admin().create_credential(user, project, &access, secret);
        let id = made.await.unwrap();
        self.tell("s3_access_key", &access);
        self.tell("s3_secret_key", secret);
        id
    }

    /// A request for a preset, with more keys that CloudMC does not tell.
    async fn publish(&self, name: &str, preset: &str, keys: Value) -> Secret {
        let mut request = self.rig.request(name, "500ms");
        let asked = &mut request["spec"]["cloudMC"]["serviceKeys"];
        asked["preset"] = json!(preset);
        if keys != json!([]) {
            asked["keys"] = keys;
        }
        self.rig.stage.apply(&request).await;
        self.rig.stage.ready(name).await;
        self.rig.stage.secret(name).await
    }

    /// Waits until a key of a Secret has another value than in this one.
    async fn changed(&self, name: &str, key: &str, before: &Secret) -> Secret {
        eventually(SOON, || async {
            let secret = self.rig.stage.secret(name).await;
            anyhow::ensure!(value(&secret, key) != value(before, key), "the same {key}");
            Ok(secret)
        })
        .await
        .unwrap()
    }
}

/// Runs a program with nothing but the file that a Secret has for clients of S3.
async fn with_profile(secret: &Secret, program: &str, what: &[&str]) -> anyhow::Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), value(secret, "credentials"))?;
    let path = file.path().to_string_lossy();
    Clients::shared()
        .run(program, what, &[("AWS_SHARED_CREDENTIALS_FILE", &path)])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_s3_work_with_the_pair_that_cloudmc_shows_and_follow_it() {
    let mut real = RealRig::new("cmc-s3").await;
    let first_pair = real.pair("acme-one", "a-secret-key-of-the-one-pair").await;
    let swift = Swift::shared();
    real.rig.stage.start().await;
    let keys = json!([
        {"as": "AWS_ENDPOINT_URL_S3", "value": swift.s3_endpoint()},
        {"as": "AWS_REGION", "value": swift.region()},
    ]);
    let first = real.publish("s3", "S3", keys).await;
    assert_eq!(value(&first, "AWS_DEFAULT_REGION"), swift.region());
    run(&first, "aws", &["s3", "mb", "s3://reports"])
        .await
        .unwrap();
    let listed = run(&first, "python", &["-c", S3]).await.unwrap();
    assert_eq!(listed.trim(), "['a']");

    // Somebody regenerates: the old pair is dead at once, the new one is published.
    admin().delete_credential(&first_pair).await.unwrap();
    real.pair("acme-two", "a-secret-key-of-the-next-pair").await;
    let second = real.changed("s3", "AWS_ACCESS_KEY_ID", &first).await;
    refused(&first, "aws", &["s3", "ls"], PAIR_REFUSED).await;
    let listed = run(&second, "aws", &["s3", "ls"]).await.unwrap();
    assert!(listed.trim().ends_with("reports"), "{listed}");
    let listed = run(&second, "python", &["-c", S3]).await.unwrap();
    assert_eq!(listed.trim(), "['a']");
    // The file alone, as where the Secret is mounted at `~/.aws`.
    let listed = with_profile(&second, "aws", &["s3", "ls"]).await.unwrap();
    assert!(listed.trim().ends_with("reports"), "{listed}");
    let listed = with_profile(&second, "python", &["-c", S3]).await.unwrap();
    assert_eq!(listed.trim(), "['a']");
    let refused = with_profile(&first, "aws", &["s3", "ls"])
        .await
        .unwrap_err();
    assert!(format!("{refused:#}").contains(PAIR_REFUSED), "{refused:#}");
    real.rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_openstack_log_in_with_the_form_of_version_3_and_use_the_object_storage() {
    const ISSUE: &[&str] = &["token", "issue", "-f", "value", "-c", "project_id"];
    let mut real = RealRig::new("cmc-os3").await;
    let swift = Swift::shared();
    real.rig.stage.start().await;
    let keys = json!([{"as": "OS_REGION_NAME", "value": swift.region()}]);
    let first = real.publish("openstack", "OpenStackV3", keys).await;
    let found = run(&first, "python", &["-c", SDK]).await.unwrap();
    assert_eq!(found.trim(), format!("{} ['reports']", real.project_id));
    let project = run(&first, "openstack", ISSUE).await.unwrap();
    assert_eq!(project.trim(), real.project_id);

    // Somebody regenerates: CloudMC shows another password, and the old one is dead.
    let password = "a-new-password-of-the-user";
    admin().set_password(&real.user.id, password).await.unwrap();
    real.tell("password", password);
    let second = real.changed("openstack", "OS_PASSWORD", &first).await;
    refused(&first, "openstack", ISSUE, PASSWORD_REFUSED).await;
    let found = run(&second, "python", &["-c", SDK]).await.unwrap();
    assert_eq!(found.trim(), format!("{} ['reports']", real.project_id));
    real.rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_openstack_log_in_with_the_form_of_version_2_as_far_as_there_is_one() {
    let mut real = RealRig::new("cmc-os2").await;
    real.rig.stage.start().await;
    let secret = real.publish("openstack", "OpenStackV2", json!([])).await;
    assert!(value(&secret, "OS_AUTH_URL").ends_with("/v2.0"));
    let token = Keystone::shared()
        .login(&real.user.id, &real.user.password, Some(&real.project_id))
        .await
        .unwrap();
    stand_in_for_version_2(&real, &token.id);
    let printed = run(&secret, "python", &["-c", TOKEN]).await.unwrap();
    assert_eq!(printed.trim(), token.id);
    assert!(admin().token_lives(printed.trim()).await.unwrap());
    // The login is the one of the interface of 2.0, with all that the Secret has and nothing else.
    let logins = real.keystone.calls_where(|call| call.method == "POST");
    let [login] = logins.as_slice() else {
        panic!("{} logins", logins.len());
    };
    assert_eq!(login.path, "/v2.0/tokens");
    let expected = json!({"auth": {
        "tenantName": real.project,
        "passwordCredentials": {"username": real.user.name, "password": real.user.password},
    }});
    assert_eq!(login.json(), Some(expected));
    real.rig
        .stage
        .more_secret_values
        .push(printed.trim().to_owned());
    real.rig.finish().await;
}

/// Answers as a Keystone before 13.0.0 did: what there is at `/v2.0`, and a login with a password. The
/// token is another Keystone's.
fn stand_in_for_version_2(real: &RealRig, token: &str) {
    let url = format!("{}/v2.0/", real.keystone.url());
    let version = json!({"version": {
        "id": "v2.0", "status": "deprecated", "updated": "2016-08-04T00:00:00Z",
        "links": [{"rel": "self", "href": url}],
        "media-types": [{
            "base": "application/json", "type": "application/vnd.openstack.identity-v2.0+json",
        }],
    }});
    let access = json!({"access": {
        "token": {
            "id": token, "issued_at": "2026-01-01T00:00:00.000000Z", "expires": "2036-01-01T00:00:00Z",
            "tenant": {"id": real.project_id, "name": real.project, "enabled": true},
        },
        "serviceCatalog": [],
        "user": {
            "id": real.user.id, "name": real.user.name, "username": real.user.name,
            "roles": [{"name": "member"}], "roles_links": [],
        },
        "metadata": {"is_admin": 0, "roles": []},
    }});
    real.keystone.rule(
        |call| call.method == "GET" && call.path.trim_end_matches('/') == "/v2.0",
        Fault::Reply(ResponseParts::json(200, &version)),
        None,
    );
    real.keystone.rule(
        |call| call.method == "POST" && call.path == "/v2.0/tokens",
        Fault::Reply(ResponseParts::json(200, &access)),
        None,
    );
}
