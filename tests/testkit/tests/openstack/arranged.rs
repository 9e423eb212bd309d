//! What an administrator does to users.

use testkit::openstack::{DEFAULT_DOMAIN, Keystone, Refused, Token};
use testkit::wait::eventually;

use super::tenant::Tenant;
use super::{DEADLINE, refusal, unique};

#[tokio::test]
async fn an_expired_password_is_refused_in_keystones_words_until_there_is_another() {
    let mut tenant = Tenant::new(Keystone::shared()).await;
    let admin = tenant.admin();
    let token = tenant.log_in().await.unwrap();
    admin.expire_password(&tenant.user.id).await.unwrap();
    let error = tenant.log_in().await.unwrap_err();
    let Refused {
        status, message, ..
    } = refusal(&error);
    assert_eq!(*status, 401);
    assert!(message.contains("The password is expired"), "{message}");
    assert!(admin.token_lives(&token.id).await.unwrap());

    tenant.user.password = unique();
    let (user, password) = (&tenant.user.id, &tenant.user.password);
    admin.set_password(user, password).await.unwrap();
    tenant.log_in().await.unwrap();
    let nobody = admin.expire_password("nobody").await.unwrap_err();
    assert!(nobody.to_string().contains("nobody"), "{nobody}");
}

#[tokio::test]
async fn what_the_administrator_takes_away_is_gone() {
    let tenant = Tenant::new(Keystone::shared()).await;
    let admin = tenant.admin();
    let (user, project) = (&tenant.user.id, &tenant.project);
    let role = unique();
    admin.create_role(&role).await.unwrap();
    tenant.assign(&role).await;
    let token = tenant.log_in().await.unwrap();
    let names = |token: &Token| token.body["roles"].to_string();
    assert!(names(&token).contains(&role));
    admin.remove_role(user, project, &role).await.unwrap();
    let token = eventually(DEADLINE, || tenant.log_in_and_use()).await;
    let token = token.unwrap();
    assert!(!names(&token).contains(&role));

    admin.set_project_enabled(project, false).await.unwrap();
    assert!(!admin.token_lives(&token.id).await.unwrap());
    let refused = tenant.log_in().await.unwrap_err();
    assert_eq!(refusal(&refused).status, 401);
    admin.set_project_enabled(project, true).await.unwrap();
    eventually(DEADLINE, || tenant.log_in_and_use())
        .await
        .unwrap();

    let other = unique();
    let id = admin.create_project(&other, DEFAULT_DOMAIN).await.unwrap();
    assert_eq!(admin.project_id_by_name(&other).await.unwrap(), id);
    admin.delete_project(&id).await.unwrap();
    let error = admin.project_id_by_name(&other).await.unwrap_err();
    assert!(error.to_string().contains("there are 0"), "{error}");
}

/// SQLite has to be told to obey foreign keys.
#[tokio::test]
async fn a_deleted_user_leaves_nothing_that_is_in_the_way_of_others() {
    let tenant = Tenant::new(Keystone::shared()).await;
    let admin = tenant.admin();
    let (access, secret) = (unique(), unique());
    tenant.make_pair(&access, &secret).await;
    let (id, key) = tenant.make_application_credential("op").await;
    admin.delete_user(&tenant.user.id).await.unwrap();
    assert!(!admin.accepts_pair(&access, &secret).await.unwrap());
    let gone = tenant.keystone.login_application_credential(&id, &key);
    assert_eq!(refusal(&gone.await.unwrap_err()).status, 404);

    let user = admin.create_user("bob", &tenant.domain).await.unwrap();
    let tenant = Tenant { user, ..tenant };
    tenant.assign("member").await;
    tenant.make_application_credential("op").await;
}
