//! How Keystone is served: connections, tokens that end, HTTPS.

use std::net::TcpStream;
use std::time::Duration;

use anyhow::ensure;
use testkit::openstack::{Clients, Keystone, Options, Swift};
use testkit::wait::eventually;

use super::swift::s3;
use super::tenant::Tenant;
use super::{DEADLINE, unique};

#[tokio::test]
async fn clients_that_connect_and_say_nothing_are_in_nobodys_way() {
    let keystone = Keystone::shared();
    let address = keystone.url().strip_prefix("http://").unwrap();
    let _silent: Vec<_> = (0..40)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    // A thread waits for such a client for five seconds. With one thread it would be minutes.
    assert!(!keystone.admin().token_lives("none").await.unwrap());
}

#[tokio::test]
async fn an_administrator_whose_token_expires_logs_in_again() {
    let keystone = Keystone::start(Options {
        token_expiration: Duration::from_secs(5),
        ..Options::default()
    })
    .unwrap();
    let admin = keystone.admin();
    let tenant = Tenant::new(&keystone).await;
    let token = tenant.log_in().await.unwrap();
    assert!(admin.token_lives(&token.id).await.unwrap());
    // The administrator's first token is older than this one.
    eventually(DEADLINE, || async {
        ensure!(!admin.token_lives(&token.id).await?, "it lives");
        Ok(())
    })
    .await
    .unwrap();
    admin.create_user("bob", &tenant.domain).await.unwrap();
}

#[tokio::test]
async fn an_administrator_whose_token_is_revoked_logs_in_again() {
    let keystone = Keystone::start(Options::default()).unwrap();
    let admin = keystone.admin();
    let (access, secret) = (unique(), unique());
    let tenant = Tenant::new(&keystone).await;
    tenant.make_pair(&access, &secret).await;

    // Even for a pair that is refused with the same status as his token.
    let questions = [(&access, "another", false), (&access, &*secret, true)];
    let own = admin.user_id_by_name(keystone.admin_user()).await.unwrap();
    for (access, secret, expected) in questions {
        // The same password again. For the rest of this second new tokens are refused, too.
        let password = keystone.admin_password();
        admin.set_password(&own, password).await.unwrap();
        let accepted = admin.accepts_pair(access, secret).await.unwrap();
        assert_eq!(accepted, expected, "{secret}");
    }
}

/// Both administrators have the same id, so nothing but the keys can tell their tokens apart.
#[tokio::test]
async fn a_token_of_one_keystone_means_nothing_to_another() {
    let (one, other) = (
        Keystone::shared(),
        Keystone::start(Options::default()).unwrap(),
    );
    let own = async |keystone: &Keystone| {
        let id = keystone.admin().user_id_by_name(keystone.admin_user());
        id.await.unwrap()
    };
    let id = own(one).await;
    assert_eq!(id, own(&other).await);
    let token = one.login(&id, one.admin_password(), None).await.unwrap();
    assert!(one.admin().token_lives(&token.id).await.unwrap());
    assert!(!other.admin().token_lives(&token.id).await.unwrap());
}

#[tokio::test]
async fn over_https_only_its_own_authority_vouches_for_it() {
    let keystone = Keystone::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    assert!(keystone.auth_url().starts_with("https://127.0.0.1:"));
    let strangers = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(strangers.get(keystone.auth_url()).send().await.is_err());
    let ca = reqwest::Certificate::from_pem(keystone.ca_pem().unwrap().as_bytes()).unwrap();
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([ca]);
    let answer = trusting.build().unwrap().get(keystone.auth_url()).send();
    assert_eq!(answer.await.unwrap().status(), 200);

    let tenant = Tenant::new(&keystone).await;
    let token = tenant.log_in().await.unwrap();
    let catalog = token.body["catalog"].to_string();
    assert!(catalog.contains(keystone.auth_url()), "{catalog}");
    let (id, secret) = tenant.make_application_credential("op").await;
    let variables = [
        ("OS_AUTH_TYPE", "v3applicationcredential"),
        ("OS_AUTH_URL", keystone.auth_url()),
        ("OS_APPLICATION_CREDENTIAL_ID", &id),
        ("OS_APPLICATION_CREDENTIAL_SECRET", &secret),
        ("OS_CACERT", keystone.ca_path().unwrap().to_str().unwrap()),
    ];
    let clients = Clients::shared();
    let issue = ["token", "issue"];
    clients.run("openstack", &issue, &variables).await.unwrap();
    let without = clients.run("openstack", &issue, &variables[..4]).await;
    let error = without.unwrap_err().to_string();
    assert!(error.contains("CERTIFICATE_VERIFY_FAILED"), "{error}");

    let swift = Swift::start(&keystone).unwrap();
    let (access, key) = (unique(), unique());
    tenant.make_pair(&access, &key).await;
    s3(&swift, &access, &key, &["mb", "s3://over-https"])
        .await
        .unwrap();
}
