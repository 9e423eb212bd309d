//! The programs and libraries that people run, with nothing but a published Secret as their environment.

use k8s_openapi::api::core::v1::Secret;
use testkit::openstack::Clients;

/// A program in Python that writes an object into the bucket `reports` and prints the names of all in it.
pub const S3: &str = "import boto3; s3 = boto3.client('s3'); \
                      s3.put_object(Bucket='reports', Key='a', Body=b'x'); \
                      print([item['Key'] for item in s3.list_objects(Bucket='reports')['Contents']])";

/// What Swift says of a pair that Keystone does not know: it cannot tell it from a wrong signature.
pub const PAIR_REFUSED: &str = "SignatureDoesNotMatch";

/// The environment that `envFrom` makes of a Secret: keys that are no names of variables are left out.
fn environment(secret: &Secret) -> Vec<(String, String)> {
    let variable = |key: &str| {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let data = secret.data.iter().flatten();
    data.filter(|(key, _)| variable(key))
        .map(|(key, value)| (key.clone(), String::from_utf8(value.0.clone()).unwrap()))
        .collect()
}

/// Runs a program with a Secret as its environment.
pub async fn run(secret: &Secret, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let variables = environment(secret);
    let variables: Vec<_> = variables
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    Clients::shared().run(program, arguments, &variables).await
}

/// Sees that a program is refused, in the server's own words: it could also fail for want of a module, a
/// variable, or a server.
pub async fn refused(secret: &Secret, program: &str, arguments: &[&str], words: &str) {
    let error = run(secret, program, arguments).await.unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains(words), "{program}: {error}");
}
