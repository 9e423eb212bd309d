//! Who gets in, and how those are refused who do not.

use serde_json::Value;
use testkit::cloudcenter::{LoginRefusal, USERS};

use super::{MARK, Site};

const LINE: &str = "GET /v1/user/keys";

#[tokio::test]
async fn a_key_or_a_password_opens_the_door() {
    let site = Site::new();
    let (alice, foreign) = (&site.alice, &site.foreign);
    let login = alice.login();
    assert_eq!(login, "alice@a.example.com,7");
    let longer = format!("{}0", alice.key);
    let cases: [(&str, &str, bool); 12] = [
        (&alice.username, &alice.key, true),
        (&login, &alice.password, true),
        (&alice.username, &alice.password, false),
        (&login, &alice.key, false),
        (&alice.email, &alice.key, false),
        (&alice.email, &alice.password, false),
        ("alice@a.example.com,8", &alice.password, false),
        (&alice.username, &foreign.key, false),
        (&alice.username, &longer, false),
        (&alice.username, "", false),
        ("nobody_1", &alice.key, false),
        ("", "", false),
    ];
    for (name, password, opens) in cases {
        for mark in [&[][..], &[(MARK, "true")][..]] {
            let got = site
                .send(LINE, Some((name, password)), mark, Value::Null)
                .await;
            let expected = if opens { 200 } else { 401 };
            assert_eq!(got.status, expected, "{name} {password} {mark:?}");
        }
    }
    assert_eq!(site.send(LINE, None, &[], Value::Null).await.status, 401);
    let counts = site.cloudcenter.counts();
    assert_eq!((counts.logins_by_key, counts.logins_by_password), (2, 2));
    assert_eq!((counts.logins_refused, counts.marked), (21, 12));
    assert_eq!(site.cloudcenter.keys_of(&alice.username)[0].uses, 2);
}

#[tokio::test]
async fn a_bearer_and_a_broken_header_are_no_logins() {
    let site = Site::new();
    for value in ["Bearer x", "Basic", "Basic !!", "Basic bm8tY29sb24="] {
        let headers = [("Authorization", value)];
        let got = site.send(LINE, None, &headers, Value::Null).await;
        assert_eq!(got.status, 401, "{value}");
    }
}

#[tokio::test]
async fn a_401_is_a_page_or_nothing_and_never_json() {
    let site = Site::new();
    for (style, words) in [
        (LoginRefusal::Html, "HTTP Status 401"),
        (LoginRefusal::Empty, ""),
    ] {
        site.cloudcenter.refuse_with(style);
        let got = site.send(LINE, Some(("x", "y")), &[], Value::Null).await;
        assert_eq!((got.status, got.text.contains(words)), (401, true));
        assert_eq!(got.text.is_empty(), words.is_empty());
        let challenge = got.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with("Basic "), "{challenge}");
    }
}

#[tokio::test]
async fn the_mark_may_be_required_of_keys() {
    let site = Site::new();
    let (alice, login) = (&site.alice, site.alice.login());
    site.cloudcenter.require_mark(true);
    let by_key = Some((&*alice.username, &*alice.key));
    let by_password = Some((&*login, &*alice.password));
    for (login, mark, status) in [
        (by_key, None, 401),
        (by_key, Some("false"), 401),
        (by_key, Some("TRUE"), 200),
        (by_password, None, 200),
    ] {
        let mark: Vec<_> = mark.map(|value| (MARK, value)).into_iter().collect();
        let got = site.send(LINE, login, &mark, Value::Null).await;
        assert_eq!(got.status, status, "{login:?} {mark:?}");
    }
    site.cloudcenter.require_mark(false);
    assert_eq!(site.get("/v1/user/keys", alice).await.status, 200);
}

#[tokio::test]
async fn who_is_disabled_deleted_or_has_another_password_stays_outside() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    let login = alice.login();
    let by_password = async |password: &str| {
        let login = Some((&*login, password));
        site.send(LINE, login, &[], Value::Null).await.status
    };
    simulator.enable_user(&alice.id, false);
    assert!(!simulator.is_live(&alice.username, &alice.key));
    assert_eq!(site.get("/v1/users", alice).await.status, 401);
    assert_eq!(by_password(&alice.password).await, 401);
    simulator.enable_user(&alice.id, true);
    assert_eq!(site.get("/v1/users", alice).await.status, 200);

    let password = simulator.change_password(&alice.id);
    assert!(password.starts_with("PWMARK-") && password != alice.password);
    assert_eq!(by_password(&alice.password).await, 401);
    assert_eq!(by_password(&password).await, 200);
    assert!(simulator.is_live(&alice.username, &alice.key));

    simulator.delete_user(&alice.id);
    assert_eq!(site.get("/v1/users", alice).await.status, 401);
    assert_eq!(by_password(&password).await, 401);
    assert!(!simulator.is_live(&alice.username, &alice.key));
    let gone = site.read(alice, &site.root).await;
    assert_eq!(gone.refusal(), (404, "USER_NOT_FOUND".to_owned()));
    assert_eq!(simulator.server().calls_to(USERS).len(), 3);
}
