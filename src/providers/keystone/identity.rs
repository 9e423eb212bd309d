//! The names under which Keystone knows what is made for a request. They follow from the request's
//! UID and the serial, so that after a crash looking is enough to recover.

use sha2::{Digest, Sha256};

use crate::providers::Identity;

/// How a description of something that was made for a request begins.
pub const MARK: &str = "made by credential-operator";

/// How many characters an access key has; Keystone's own have as many.
const ACCESS_KEY: usize = 32;

/// The access key of a pair. The secret key is random.
pub fn access_key(identity: &Identity) -> String {
    let text = format!(
        "credential-operator/access-key/{}/{}",
        identity.uid, identity.serial
    );
    let mut digest = hex(&Sha256::digest(text));
    digest.truncate(ACCESS_KEY);
    digest
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
        assert_eq!(
            access_key(&identity(uid, 1)),
            "45ceefc680cc89abda9dcf3df0188161"
        );
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
