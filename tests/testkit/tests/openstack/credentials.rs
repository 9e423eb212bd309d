//! What users make, and what the ledger says of it.

use serde_json::{Value, json};
use testkit::openstack::{Clients, Keystone};
use testkit::wait::eventually;

use super::tenant::Tenant;
use super::{DEADLINE, refusal, unique};

#[tokio::test]
async fn a_pair_of_keys_works_until_it_is_deleted() {
    let tenant = Tenant::new(Keystone::shared()).await;
    let admin = tenant.admin();
    let (access, secret) = (unique(), unique());
    assert!(!admin.accepts_pair(&access, &secret).await.unwrap());
    let id = tenant.make_pair(&access, &secret).await;
    assert!(admin.accepts_pair(&access, &secret).await.unwrap());
    assert!(!admin.accepts_pair(&access, "another").await.unwrap());

    let own = format!("/users/{}/credentials/OS-EC2", tenant.user.id);
    tenant
        .make(&own, json!({"tenant_id": tenant.project}))
        .await;
    let mut ledger = admin.ec2_credentials(&tenant.user.id).await.unwrap();
    assert_eq!(ledger.len(), 2, "{ledger:?}");
    ledger.sort_by_key(|pair| pair.id != id);
    let [chosen, made_by_keystone] = &ledger[..] else {
        unreachable!()
    };
    assert_eq!((&chosen.access, &chosen.secret), (&access, &secret));
    assert_eq!(chosen.blob["note"], "kept");
    assert_eq!(chosen.project_id, tenant.project);
    let (theirs, key) = (&made_by_keystone.access, &made_by_keystone.secret);
    assert!(admin.accepts_pair(theirs, key).await.unwrap());

    let set = async |enabled| admin.set_user_enabled(&tenant.user.id, enabled).await;
    set(false).await.unwrap();
    assert!(!admin.accepts_pair(&access, &secret).await.unwrap());
    set(true).await.unwrap();
    assert!(admin.accepts_pair(&access, &secret).await.unwrap());

    // Keystone refuses tokens of the second in which the user was disabled.
    eventually(DEADLINE, || tenant.log_in_and_use())
        .await
        .unwrap();
    tenant.deletes(&format!("/credentials/{id}")).await;
    assert!(!admin.accepts_pair(&access, &secret).await.unwrap());
    let left = admin.ec2_credentials(&tenant.user.id).await.unwrap();
    assert_eq!(left, ledger[1..]);
}

#[tokio::test]
async fn an_administrator_can_plant_a_pair_and_remove_it() {
    let tenant = Tenant::new(Keystone::shared()).await;
    let admin = tenant.admin();
    let (access, secret) = (unique(), unique());
    let (user, project) = (&tenant.user.id, &tenant.project);
    let planted = admin.create_credential(user, project, &access, &secret);
    let id = planted.await.unwrap();
    assert!(admin.accepts_pair(&access, &secret).await.unwrap());
    admin.delete_credential(&id).await.unwrap();
    assert!(!admin.accepts_pair(&access, &secret).await.unwrap());
}

#[tokio::test]
async fn an_application_credential_logs_in_until_it_is_deleted() {
    let tenant = Tenant::new(Keystone::shared()).await;
    let admin = tenant.admin();
    let (id, secret) = tenant.make_application_credential("op").await;
    let ledger = admin.application_credentials(&tenant.user.id).await;
    let [listed] = &ledger.unwrap()[..] else {
        panic!("not the one that was made")
    };
    assert_eq!((&listed.id, listed.name.as_str()), (&id, "op"));
    assert_eq!(listed.project_id, tenant.project);
    assert_eq!(listed.roles, ["reader"]);
    assert_eq!(listed.description.as_deref(), Some("a test"));
    assert!(!listed.unrestricted && listed.expires_at.is_none());

    let keystone = tenant.keystone;
    let token = keystone.login_application_credential(&id, &secret).await;
    let token = token.unwrap();
    assert_eq!(token.body["project"]["id"], tenant.project.as_str());
    assert!(admin.token_lives(&token.id).await.unwrap());
    let wrong = keystone.login_application_credential(&id, "wrong").await;
    assert_eq!(refusal(&wrong.unwrap_err()).status, 401);

    let issue = async || {
        let variables = [
            ("OS_AUTH_TYPE", "v3applicationcredential"),
            ("OS_AUTH_URL", keystone.auth_url()),
            ("OS_APPLICATION_CREDENTIAL_ID", &id),
            ("OS_APPLICATION_CREDENTIAL_SECRET", &secret),
        ];
        let arguments = ["token", "issue", "-f", "json"];
        Clients::shared()
            .run("openstack", &arguments, &variables)
            .await
    };
    let issued: Value = serde_json::from_str(&issue().await.unwrap()).unwrap();
    assert_eq!(issued["project_id"], tenant.project.as_str());
    let issued = issued["id"].as_str().unwrap();
    assert!(admin.token_lives(issued).await.unwrap());

    let deleted = admin.delete_application_credential(&tenant.user.id, &id);
    deleted.await.unwrap();
    let gone = keystone.login_application_credential(&id, &secret).await;
    assert_eq!(refusal(&gone.unwrap_err()).status, 404);
    assert!(!admin.token_lives(&token.id).await.unwrap());
    let error = issue().await.unwrap_err().to_string();
    assert!(
        error.contains("Could not find Application Credential"),
        "{error}"
    );
    let left = admin.application_credentials(&tenant.user.id).await;
    assert_eq!(left.unwrap(), []);
}
