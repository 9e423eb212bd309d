//! Pairs of keys in the hands of S3 clients.

use testkit::openstack::{Clients, Keystone, Swift};

use super::tenant::Tenant;
use super::unique;

/// `aws s3` with a pair of keys.
pub(crate) async fn s3(
    swift: &Swift,
    access: &str,
    secret: &str,
    arguments: &[&str],
) -> anyhow::Result<String> {
    let variables = [
        ("AWS_ENDPOINT_URL", swift.s3_endpoint()),
        ("AWS_DEFAULT_REGION", swift.region()),
        ("AWS_ACCESS_KEY_ID", access),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ];
    let arguments: Vec<_> = ["s3"].iter().chain(arguments).copied().collect();
    Clients::shared().run("aws", &arguments, &variables).await
}

#[tokio::test]
async fn swift_takes_a_pair_of_keys_for_as_long_as_keystone_does() {
    let tenant = Tenant::new(Keystone::shared()).await;
    let swift = Swift::shared();
    let (access, secret) = (unique(), unique());
    let call = async |arguments: &[&str]| s3(swift, &access, &secret, arguments).await;
    assert!(call(&["ls"]).await.is_err());
    let id = tenant.make_pair(&access, &secret).await;
    call(&["mb", "s3://bucket"]).await.unwrap();
    let file = swift.dir().join("swift.conf");
    let file = file.to_str().unwrap();
    call(&["cp", file, "s3://bucket/file"]).await.unwrap();
    assert!(call(&["ls"]).await.unwrap().contains("bucket"));
    let content = call(&["cp", "s3://bucket/file", "-"]).await.unwrap();
    assert_eq!(content, std::fs::read_to_string(file).unwrap());
    let wrong = s3(swift, &access, "wrong", &["ls"]).await.unwrap_err();
    let wrong = wrong.to_string();
    assert!(wrong.contains("SignatureDoesNotMatch"), "{wrong}");

    let script = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])";
    let variables = [
        ("AWS_ENDPOINT_URL", swift.s3_endpoint()),
        ("AWS_DEFAULT_REGION", swift.region()),
        ("AWS_ACCESS_KEY_ID", &access),
        ("AWS_SECRET_ACCESS_KEY", &secret),
    ];
    let arguments = ["-c", script];
    let listed = Clients::shared().run("python", &arguments, &variables);
    assert_eq!(listed.await.unwrap().trim(), "bucket");

    let token = tenant.log_in().await.unwrap();
    let catalog = token.body["catalog"].to_string();
    assert!(catalog.contains("object-store") && catalog.contains(swift.s3_endpoint()));
    tenant.deletes(&format!("/credentials/{id}")).await;
    let error = call(&["ls"]).await.unwrap_err().to_string();
    assert!(error.contains("SignatureDoesNotMatch"), "{error}");
}
