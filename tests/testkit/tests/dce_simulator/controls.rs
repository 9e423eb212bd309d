//! What tests can make the simulator do, and what they can ask it.

use std::time::Duration;

use testkit::dce::{CURRENT_USER, Lie, TOKEN};
use testkit::server::Fault;

use super::{DAY, Site, decode, now, read};

#[tokio::test]
async fn lies_are_told_until_they_are_stopped() {
    let site = Site::new();
    let minute = Duration::from_secs(60);
    for (lie, expected) in [
        (Lie::EmptyObject, "{}"),
        (Lie::Null, "null"),
        (Lie::EmptyToken, r#"{"token":""}"#),
    ] {
        site.dce.lie(lie);
        assert_eq!(read(site.ask("")).await, (200, expected.to_owned()));
    }
    assert!(site.dce.issued().is_empty());

    site.dce.lie(Lie::ExpMissing);
    let token = site.token().await;
    assert!(decode(&token, 1).get("exp").is_none());
    assert_eq!(site.self_test(&token).await.0, 200);

    site.dce.lie(Lie::ExpPast);
    let token = site.token().await;
    assert!(decode(&token, 1)["exp"].as_i64().unwrap() < now());
    assert_eq!(
        site.self_test(&token).await,
        (401, "Jwt is expired".to_owned())
    );

    site.dce.lie(Lie::IatInFuture(10 * minute));
    let token = site.token().await;
    assert!(decode(&token, 1)["iat"].as_i64().unwrap() > now() + 500);
    assert_eq!(site.self_test(&token).await.0, 200);

    site.dce.lie(Lie::Opaque);
    let token = site.token().await;
    assert!(!token.contains('.'));
    assert_eq!(site.self_test(&token).await.0, 200);

    site.dce.lie(Lie::HugeToken);
    assert!(site.token().await.len() > 1024 * 1024);

    site.dce.lie(Lie::DiesEarly(Duration::ZERO));
    site.dce.grant_at_most(Some(minute));
    let token = site.token().await;
    assert!(decode(&token, 1)["exp"].as_i64().unwrap() > now());
    assert!(!site.dce.is_live(&token));
    assert_eq!(
        site.self_test(&token).await,
        (401, "Jwt is expired".to_owned())
    );
    site.dce.grant_at_most(None);

    site.dce.lie(Lie::OtherUser);
    let token = site.token().await;
    let (_, user) = site.self_test(&token).await;
    assert!(user.contains("somebody-else"), "{user}");

    site.dce.lie(Lie::SelfTestMissing);
    assert_eq!(site.self_test(&token).await.0, 404);
    site.dce.lie(Lie::SelfTestHtml);
    let (status, page) = site.self_test(&token).await;
    assert_eq!((status, page.starts_with("<!DOCTYPE html>")), (200, true));

    site.dce.stop_lying();
    let token = site.token().await;
    assert_eq!(site.self_test(&token).await.0, 200);
    assert_eq!(decode(&token, 1)["preferred_username"], "alice");
}

#[tokio::test]
async fn the_ledger_tells_what_was_issued_and_what_lives() {
    let site = Site::new();
    let (bob_ak, bob_sk) = site.dce.add_user("bob");
    let alice = site.token().await;
    let again = site.token().await;
    let (_, body) = read(site.get(&format!("token?ak={bob_ak}&sk={bob_sk}"))).await;
    let issued = site.dce.issued();
    let serials: Vec<u64> = issued.iter().map(|issue| issue.serial).collect();
    assert_eq!(serials, [1, 2, 3]);
    assert_eq!(
        (issued[0].token == issued[1].token),
        (issued[0].iat == issued[1].iat)
    );
    assert_eq!((&issued[0].token, &issued[1].token), (&alice, &again));
    assert_eq!(
        (issued[2].username.as_str(), issued[2].cycle_asked),
        ("bob", None)
    );
    assert_eq!(issued[2].exp, Some(issued[2].iat + 3 * DAY));
    assert!(body.contains(&issued[2].token));

    site.dce.revoke(&alice);
    let live = site.dce.live();
    assert!(
        live.iter()
            .all(|issue| issue.token != alice && site.dce.is_live(&issue.token))
    );
    assert!(live.iter().any(|issue| issue.username == "bob"));
    let secrets = site.dce.secret_values();
    for secret in [
        &alice,
        &again,
        &issued[2].token,
        &site.ak,
        &site.sk,
        &bob_ak,
        &bob_sk,
    ] {
        assert!(secrets.contains(secret), "{secret}");
    }
    assert!(site.ak.starts_with("AKMARK-") && site.sk.starts_with("SKMARK-"));
}

#[tokio::test]
async fn calls_that_a_fault_answers_are_counted_but_issue_nothing() {
    let site = Site::new();
    site.dce.faults().push_n(TOKEN, Fault::Html(502), 2);
    assert_eq!(read(site.ask("")).await.0, 502);
    assert_eq!(read(site.ask("")).await.0, 502);
    assert_eq!(site.dce.faults().pending(), 0);
    assert_eq!((site.dce.token_requests(), site.dce.issued().len()), (2, 0));

    site.dce.faults().push_n(TOKEN, Fault::LoseAnswer, 1);
    let lost = site.ask("").header("connection", "close").send().await;
    assert!(lost.is_err());
    assert_eq!(
        site.dce.issued().len(),
        1,
        "issued, though nobody heard of it"
    );

    let token = site.token().await;
    site.dce.faults().set(CURRENT_USER, Fault::Html(503));
    assert_eq!(site.self_test(&token).await.0, 503);
    assert_eq!(site.dce.uses(&token), 0);
    let queries = site.dce.calls().into_iter().map(|call| call.query);
    assert_eq!(queries.filter(|query| query.contains(&site.sk)).count(), 4);
    assert_eq!(site.dce.max_in_flight(TOKEN), 1);
}
