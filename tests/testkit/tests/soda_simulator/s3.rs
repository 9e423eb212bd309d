//! SODA's S3: which access keys it takes, and which signatures.

use serde_json::json;
use testkit::soda::Generation;

use super::Site;

/// The status, and the code of an error.
async fn told(site: &Site, access: &str, secret: &str) -> (u16, String) {
    let (status, body) = site.soda.list_buckets(access, secret).await.unwrap();
    let code = body.split_once("<Code>").map(|(_, rest)| rest);
    let code = code.and_then(|rest| rest.split_once("</Code>"));
    (status, code.map_or("", |(code, _)| code).to_owned())
}

#[tokio::test]
async fn an_access_key_has_5_to_20_characters_whatever_keystone_has() {
    let (site, keystone) = Site::new(Generation::Strato);
    for (access, status) in [
        ("AKONE", 200),
        ("IXHO7RUAZSE2XWU5Z467", 200),
        ("a-b.c_d~e", 200),
        ("AKON", 403),
        ("IXHO7RUAZSE2XWU5Z467A", 403),
        ("45ceefc680cc89abda9dcf3df0188161", 403),
        ("with+plus", 403),
    ] {
        keystone.add_pair(&site.alice.id, &site.project, access, "its-secret");
        let expected = match status {
            200 => (200, String::new()),
            status => (status, "InvalidAccessKeyId".to_owned()),
        };
        assert_eq!(
            told(&site, access, "its-secret").await,
            expected,
            "{access}"
        );
        // Whatever its S3 says, SODA itself lists it.
        let token = site.token(&site.alice).await;
        let listed = site
            .call(&site.read(&site.alice), &token, json!(null))
            .await;
        assert!(listed.text.contains(access), "{}", listed.text);
    }
}

#[tokio::test]
async fn a_signature_is_one_that_was_made_with_the_secret_that_keystone_has() {
    let (site, keystone) = Site::new(Generation::MultiCloud);
    let token = site.token(&site.alice).await;
    let (access, secret) = site.make(&token).await;
    let refused = |code: &str| (403, code.to_owned());
    assert_eq!(told(&site, &access, &secret).await, (200, String::new()));
    let wrong = told(&site, &access, "another-secret").await;
    assert_eq!(wrong, refused("SignatureDoesNotMatch"));
    let unknown = told(&site, "AKNOBODY", &secret).await;
    assert_eq!(unknown, refused("InvalidAccessKeyId"));
    // Backslashes are dropped before the JSON is read.
    for (access, blob, secret, code) in [
        (
            "AKBREAK",
            r#"{"access": "AKBREAK", "secret": "a\nb"}"#,
            "a\nb",
            "SignatureDoesNotMatch",
        ),
        (
            "AKACCENT",
            r#"{"access": "AKACCENT", "secret": "\u00e9"}"#,
            "é",
            "SignatureDoesNotMatch",
        ),
        (
            "AKQUOTE",
            r#"{"access": "AKQUOTE", "secret": "a\"b"}"#,
            "a\"b",
            "InvalidAccessKeyId",
        ),
    ] {
        site.store(&token, "ec2", blob, &site.alice).await;
        assert_eq!(told(&site, access, secret).await, refused(code), "{access}");
    }
    assert!(keystone.revoke_pair(&access));
    let gone = told(&site, &access, &secret).await;
    assert_eq!(gone, refused("InvalidAccessKeyId"));
}

#[tokio::test]
async fn who_signs_nothing_is_refused() {
    let (site, _keystone) = Site::new(Generation::Strato);
    let client = super::client();
    let answer = client.get(site.soda.s3_endpoint()).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("AccessDenied"));
}
