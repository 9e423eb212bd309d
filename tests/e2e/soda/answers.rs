//! SODA's untruths and outages: the last good Secret stays, nothing is taken for a refused login, and
//! nothing is revoked because SODA does not show it.

use testkit::{
    server::Fault,
    soda::{KEYSTONE_LIST, KEYSTONE_VALIDATE, Lie, READ},
};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_soda_says_the_last_good_secret_stays_until_it_shows_the_new_pair() {
    let mut rig = Rig::simulated("soda-lies", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    let mut request = rig.request("it", json!({}));
    request["spec"]["renewal"] = json!({"overlap": "1s", "verifyEvery": "300ms"});
    rig.stage().apply(&request).await;
    rig.stage().ready("it").await;
    let page = || Fault::status(502, "text/html", "<html>bad gateway</html>");
    let json500 = || {
        let body = json!({"error": {"code": 500, "message": "x", "title": "y"}});
        Fault::status(500, "application/json", body.to_string())
    };
    type Break = Box<dyn Fn(&Rig)>;
    let cases: Vec<(&str, &str, &str, Break)> = vec![
        (
            "its Keystone is down",
            "ProviderUnavailable",
            "nothing about the provider's login",
            Box::new(|rig: &Rig| rig.soda.keystone_down(true)),
        ),
        (
            "its own login is refused",
            "ProviderUnavailable",
            "nothing about the provider's login",
            Box::new(move |rig: &Rig| {
                rig.soda.keystone_faults().set(KEYSTONE_VALIDATE, json500());
            }),
        ),
        (
            "its Keystone fails to list, which is null",
            "ProviderUnavailable",
            "OS_AUTH_AUTHSTRATEGY",
            Box::new(move |rig: &Rig| rig.soda.keystone_faults().set(KEYSTONE_LIST, page())),
        ),
        (
            "null",
            "ProviderUnavailable",
            "OS_AUTH_AUTHSTRATEGY",
            Box::new(|rig: &Rig| rig.soda.lie(Lie::Hidden)),
        ),
        (
            "keys of somebody else",
            "UnexpectedAnswer",
            "another user",
            Box::new(|rig: &Rig| rig.soda.lie(Lie::OtherUser)),
        ),
        (
            "other secrets",
            "ProviderUnavailable",
            "as Keystone has it",
            Box::new(|rig: &Rig| rig.soda.lie(Lie::OtherSecret)),
        ),
        (
            "its service is down",
            "ProviderUnavailable",
            "has failed",
            Box::new(|rig: &Rig| rig.soda.service_down(true)),
        ),
        (
            "a page",
            "UnexpectedAnswer",
            "spec.soda.endpoint",
            Box::new(|rig: &Rig| {
                let sign_in = Fault::Body("<html>sign in</html>".into());
                rig.soda.faults().set(READ, sign_in);
            }),
        ),
        (
            "it is down",
            "ProviderUnavailable",
            "",
            Box::new(|rig: &Rig| rig.soda.down(true)),
        ),
        (
            "its policy forbids it",
            "Forbidden",
            "policy",
            Box::new(|rig: &Rig| rig.soda.forbid(true)),
        ),
    ];
    for (number, (what, reason, said, break_it)) in cases.iter().enumerate() {
        let before = rig.keystone.pair("it").await;
        let value = number.to_string();
        break_it(&rig);
        rig.rotate("it", &value).await;
        let words = rig.failing("it", reason).await;
        assert!(words.contains(said), "{what}: {words}");
        assert_eq!(rig.keystone.pair("it").await, before, "{what}");
        assert!(rig.keystone.accepts(&before).await, "{what}");
        rig.provider_says("True", "LoginWorks").await;
        mend(&rig);
        // What needs people is tried again after half a minute; somebody who has mended it says so.
        rig.touch_login(&value).await;
        rig.rotated("it", &value).await;
        let after = rig.keystone.pair("it").await;
        assert_ne!(after, before, "{what}");
        assert!(rig.keystone.accepts(&after).await, "{what}");
    }
    rig.delete("it").await;
    assert!(rig.keystone.pairs().await.is_empty());
    assert_eq!(rig.creates(), 0);
    rig.finish().await;
}

fn mend(rig: &Rig) {
    rig.soda.keystone_down(false);
    rig.soda.keystone_faults().clear();
    rig.soda.stop_lying();
    rig.soda.service_down(false);
    rig.soda.faults().clear();
    rig.soda.down(false);
    rig.soda.forbid(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_is_gone_only_when_keystone_says_so() {
    let mut rig = Rig::simulated("soda-gone", SodaOptions::default()).await;
    rig.keystone.stage.start().await;
    let mut request = rig.request("it", json!({}));
    request["spec"]["renewal"] = json!({"verifyEvery": "200ms"});
    rig.stage().apply(&request).await;
    rig.stage().ready("it").await;
    let first = rig.keystone.pair("it").await;
    rig.soda.lie(Lie::Hidden);
    let read = rig.soda.server().calls_to(READ).len();
    eventually(SOON, || async {
        let more = rig.soda.server().calls_to(READ).len() - read;
        anyhow::ensure!(more >= 5, "{more} readings");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(rig.keystone.pair("it").await, first);
    rig.soda.stop_lying();

    let Cloud::Simulated(keystone) = &rig.keystone.cloud else {
        panic!("this story has a simulator");
    };
    assert!(keystone.revoke_pair(&first.0));
    eventually(SOON, || async {
        let now = rig.keystone.pair("it").await;
        anyhow::ensure!(now != first && rig.keystone.accepts(&now).await);
        Ok(())
    })
    .await
    .unwrap();
    rig.delete("it").await;
    rig.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_spoils_the_list_is_named() {
    // A real Keystone keeps credentials of any type.
    let mut rig = Rig::new("soda-spoiled").await;
    rig.keystone.stage.start().await;
    rig.ready("it", json!({})).await;
    let user = &rig.keystone.user.id;
    let admin = rig.keystone.admin();
    let seed = "GEZDGNBVGY3TQOJQ";
    let spoiler = admin
        .create_credential_of(user, "totp", seed)
        .await
        .unwrap();
    rig.rotate("it", "1").await;
    let words = rig.failing("it", "ProviderUnavailable").await;
    for part in ["type totp", &spoiler[..12], "user of its own"] {
        assert!(words.contains(part), "{words}");
    }
    admin.delete_credential(&spoiler).await.unwrap();
    rig.rotated("it", "1").await;
    rig.delete("it").await;
    rig.finish().await;
}
