//! Deadlines, and a service that is away.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::Value;
use testkit::server::Fault;
use testkit::soda::{Generation, KEYSTONE_CREATE, KEYSTONE_LIST, KEYSTONE_VALIDATE, SodaOptions};
use testkit::wait::eventually;

use super::{DEADLINE, GENERATIONS, Site, options};

fn hasty(generation: Generation) -> SodaOptions {
    SodaOptions {
        deadline: Duration::from_millis(500),
        ..options(generation)
    }
}

#[tokio::test]
async fn a_key_may_appear_after_the_error() {
    assert_eq!(SodaOptions::default().deadline, Duration::from_secs(5));
    for generation in GENERATIONS {
        let (site, keystone) = Site::with(hasty(generation));
        let token = site.token(&site.alice).await;
        let faults = site.soda.keystone_faults();
        faults.set(KEYSTONE_CREATE, Fault::Hang);
        let started = Instant::now();
        let got = site
            .call(&site.create(), &token, site.both(&site.alice))
            .await;
        assert!(started.elapsed() >= Duration::from_millis(500));
        match generation {
            Generation::MultiCloud => {
                let timed_out = got.text.contains(r#""code":408"#);
                assert_eq!((got.status, timed_out), (500, true), "{}", got.text);
            }
            Generation::Strato => assert_eq!(got.status, 400, "{}", got.text),
        }
        assert!(keystone.live_pairs().is_empty(), "not there yet");
        assert!(site.soda.issued().iter().all(|key| !key.stored));

        faults.clear();
        let appears = eventually(DEADLINE, async || {
            let stored = site.soda.issued().iter().filter(|key| key.stored).count();
            ensure!(stored == 1, "{stored} keys");
            Ok(())
        });
        appears.await.unwrap();
        let key = &site.soda.live().await.unwrap()[0];
        assert!(keystone.pair_works(&key.access, &key.secret));
        assert!(!key.told);
        let got = eventually(DEADLINE, async || {
            let got = site
                .call(&site.read(&site.alice), &token, Value::Null)
                .await;
            ensure!(got.status == 200, "{got:?}");
            Ok(got)
        });
        let got = got.await.unwrap();
        assert_eq!(got.json()[0]["blob"]["access_key"], key.access);
        assert!(site.soda.issued()[0].told);
    }
}

#[tokio::test]
async fn a_list_that_takes_too_long_is_a_500() {
    let (site, _keystone) = Site::with(hasty(Generation::Strato));
    let token = site.token(&site.alice).await;
    site.soda.keystone_faults().set(KEYSTONE_LIST, Fault::Drip);
    let got = site
        .call(&site.read(&site.alice), &token, Value::Null)
        .await;
    let words = r#"{"id":"go.micro.client","code":408,"detail":"context deadline exceeded","status":"Request Timeout"}"#;
    assert_eq!(got.both(), (500, words));
}

#[tokio::test]
async fn what_was_begun_goes_on_when_the_client_leaves() {
    let (site, keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    let faults = site.soda.keystone_faults();
    faults.set(KEYSTONE_VALIDATE, Fault::Hang);
    let create = site.create();
    let call = site.try_call(&create, &token, site.both(&site.alice));
    let arrived = eventually(DEADLINE, async || {
        ensure!(site.soda.calls().len() == 1, "no call");
        Ok(())
    });
    tokio::select! {
        got = call => panic!("an answer: {got:?}"),
        arrived = arrived => arrived.unwrap(),
    }
    let left = eventually(DEADLINE, async || {
        ensure!(site.soda.calls()[0].ended.is_some(), "the client is there");
        Ok(())
    });
    left.await.unwrap();
    assert!(site.soda.issued().is_empty());
    faults.clear();
    let made = eventually(DEADLINE, async || {
        ensure!(keystone.live_pairs().len() == 1, "no key");
        Ok(())
    });
    made.await.unwrap();
}

#[tokio::test]
async fn without_the_service_behind_it_everything_fails() {
    for generation in GENERATIONS {
        let (site, _keystone) = Site::new(generation);
        let token = site.token(&site.alice).await;
        let words = "service aksk: not found";
        site.soda.service_down(true);
        for line in [site.read(&site.alice), site.delete(&site.alice)] {
            let got = site.call(&line, &token, Value::Null).await;
            assert_eq!(
                (got.status, got.text.contains(words)),
                (500, true),
                "{line}"
            );
        }
        let got = site
            .call(&site.create(), &token, site.both(&site.alice))
            .await;
        let told = got.text.contains(words);
        match generation {
            Generation::MultiCloud => assert_eq!((got.status, told), (500, true)),
            Generation::Strato => assert_eq!((got.status, told), (400, false)),
        }
        assert!(site.soda.issued().is_empty());
        site.soda.service_down(false);
        site.make(&token).await;
    }
}
