//! The names under which Keystone knows what is made for a request. They follow from the request's
//! UID and the serial, so that after a crash looking is enough to recover.

use data_encoding::BASE32;
use sha2::{Digest, Sha256};

use crate::providers::Identity;

/// How a description of something that was made for a request begins.
pub const MARK: &str = "made by credential-operator";

/// How many characters an access key has. AWS's own have as many, and services such as SODA and MinIO
/// refuse longer ones.
const ACCESS_KEY: usize = 20;

/// Derives the access key of a pair from UID and serial: the first 20 characters of a SHA-256 in base32
/// (RFC 4648: `A` to `Z`, `2` to `7`), which are 100 bits. The secret key is random.
pub fn access_key(identity: &Identity) -> String {
    let text = format!(
        "credential-operator/access-key/{}/{}",
        identity.uid, identity.serial
    );
    let mut key = BASE32.encode(&Sha256::digest(text));
    key.truncate(ACCESS_KEY);
    key
}

/// The id of a pair: Keystone derives it from the access key (`/v3/credentials`, type `ec2`).
pub fn pair_id(access_key: &str) -> String {
    hex(&Sha256::digest(access_key))
}

/// The name of an application credential. Names are unique for each user.
pub fn application_credential(identity: &Identity) -> String {
    identity.label()
}

/// What people at Keystone are told about what was made for a request.
pub fn description(identity: &Identity) -> String {
    let text = format!(
        "{MARK} in cluster {} for CredentialRequest {}/{}",
        identity.cluster, identity.namespace, identity.name
    );
    text.chars().take(250).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(uid: &str, serial: u64) -> Identity {
        Identity {
            uid: uid.into(),
            serial,
            cluster: "c".into(),
            namespace: "payments".into(),
            name: "s3".into(),
            held: None,
        }
    }

    #[test]
    fn names_never_change_between_versions() {
        // What an older version made is found by these.
        let uid = "0b8a1f9e-4b1c-4a51-9a3d-0c2f6f8f6f10";
        assert_eq!(access_key(&identity(uid, 1)), "IXHO7RUAZSE2XWU5Z467");
        assert_eq!(
            application_credential(&identity(uid, 7)),
            format!("credential-operator-{uid}-7")
        );
        // As Keystone 30 answered.
        assert_eq!(
            pair_id("AKALICE0001"),
            "c32d35d8bab216ac7d506bb8d8eaec224b6cb47d54a365a1357f3fd45c06ad85"
        );
    }

    #[test]
    fn an_access_key_is_one_that_aws_soda_and_minio_accept() {
        for serial in 1..200 {
            let key = access_key(&identity("0b8a1f9e-4b1c-4a51-9a3d-0c2f6f8f6f10", serial));
            assert_eq!(key.len(), 20, "{key}");
            let is_fit = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            assert!(key.bytes().all(is_fit), "{key}");
        }
    }

    #[test]
    fn no_two_serials_share_a_name() {
        let names: std::collections::BTreeSet<_> = (1..100)
            .map(|serial| access_key(&identity("a", serial)))
            .chain([
                access_key(&identity("a1", 1)),
                access_key(&identity("a/1", 1)),
            ])
            .collect();
        assert_eq!(names.len(), 101);
    }
}
