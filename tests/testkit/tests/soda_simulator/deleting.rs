//! `DELETE`: everything of a user, an answer that means nothing, and a ledger that tells what it has cost.

use anyhow::ensure;
use serde_json::Value;
use testkit::server::Fault;
use testkit::soda::{DELETE, Generation, KEYSTONE_DELETE, KEYSTONE_LIST, SodaOptions, Vanished};
use testkit::wait::eventually;

use super::{DEADLINE, GENERATIONS, NOBODY, Person, Site, options};

#[tokio::test]
async fn everything_that_a_user_has_goes_whatever_it_is_and_wherever_it_is_for() {
    for generation in GENERATIONS {
        let (site, keystone) = Site::new(generation);
        let token = site.token(&site.alice).await;
        let bob = site.token(&site.bob).await;
        site.make(&token).await;
        keystone.add_pair(&site.alice.id, &site.admin_project, "elsewhere", "s");
        let seed = site.store(&token, "totp", "SEED", &site.alice).await;
        let kept = site.store(&bob, "totp", "SEED", &site.bob).await;
        let got = site
            .call(&site.delete(&site.alice), &token, Value::Null)
            .await;
        assert_eq!(got.both(), (200, "{}"));
        assert_eq!(got.header("content-type"), "application/json");
        assert!(site.stored(&site.alice).await.is_empty());
        assert_eq!(site.stored(&site.bob).await, [kept]);
        assert!(site.soda.live().await.unwrap().is_empty());

        let deletions = site.soda.deletions();
        assert_eq!((deletions.len(), site.soda.delete_calls()), (1, 1));
        assert_eq!(deletions[0].user_id, site.alice.id);
        let vanished = &deletions[0].vanished;
        assert_eq!(vanished.len(), 3);
        assert!(vanished.contains(&Vanished {
            id: seed,
            kind: "totp".to_owned(),
            project_id: Some(site.project.clone()),
        }));
        let elsewhere = |v: &Vanished| v.project_id.as_ref() == Some(&site.admin_project);
        assert_eq!(vanished.iter().filter(|v| elsewhere(v)).count(), 1);
    }
}

#[tokio::test]
async fn success_is_claimed_also_when_nothing_was_deleted() {
    let (site, _keystone) = Site::new(Generation::Strato);
    let token = site.token(&site.alice).await;
    let bob = site.token(&site.bob).await;
    site.make(&token).await;
    let credential = site.stored(&site.alice).await.remove(0);
    let faults = site.soda.keystone_faults();
    let person = |id: &str| Person {
        id: id.to_owned(),
        password: String::new(),
    };
    let json = Fault::status(503, "application/json", r#"{"error":{}}"#);
    let refused = Fault::status(403, "application/json", r#"{"error":{}}"#);
    let rows = [
        ("another's", site.delete(&site.alice), &bob, None),
        ("nobody's", site.delete(&person(NOBODY)), &token, None),
        (
            "a key's id",
            site.delete(&person(&credential)),
            &token,
            None,
        ),
        (
            "no list",
            site.delete(&site.alice),
            &token,
            Some((KEYSTONE_LIST, json)),
        ),
        (
            "refused",
            site.delete(&site.alice),
            &token,
            Some((KEYSTONE_DELETE, refused)),
        ),
    ];
    for (what, line, token, fault) in rows {
        if let Some((route, fault)) = fault {
            faults.push_n(route, fault, 1);
        }
        let got = site.call(&line, token, Value::Null).await;
        assert_eq!(got.both(), (200, "{}"), "{what}");
    }
    assert_eq!(faults.pending(), 0);
    assert_eq!(site.stored(&site.alice).await.len(), 1);
    let deletions = site.soda.deletions();
    assert_eq!(deletions.len(), 5);
    assert!(
        deletions
            .iter()
            .all(|deletion| deletion.vanished.is_empty())
    );

    // What is no list at all is an error, after a second try.
    faults.push_n(KEYSTONE_LIST, Fault::Html(502), 2);
    let got = site
        .call(&site.delete(&site.alice), &token, Value::Null)
        .await;
    assert_eq!((got.status, faults.pending()), (500, 0), "{}", got.text);
    site.soda.faults().push_n(DELETE, Fault::Html(502), 1);
    let got = site
        .call(&site.delete(&site.alice), &token, Value::Null)
        .await;
    assert_eq!(got.status, 502);
    assert_eq!(
        (site.soda.delete_calls(), site.soda.deletions().len()),
        (7, 6)
    );
}

#[tokio::test]
async fn an_id_with_signs_of_a_query_in_it_reaches_the_keys_of_others() {
    let (site, keystone) = Site::new(Generation::Strato);
    let admin = site.admin_token().await;
    keystone.add_pair(&site.alice.id, &site.project, "a", "s");
    keystone.add_pair(&site.bob.id, &site.project, "b", "s");
    let line = format!("GET /v1/x/aksks/%26user_id={}", site.bob.id);
    let got = site.call(&line, &admin, Value::Null).await;
    assert_eq!(got.text, "null", "Keystone heeds the first");
    let line = format!("DELETE /v1/x/aksks/{}%26type=cert", site.bob.id);
    let got = site.call(&line, &admin, Value::Null).await;
    assert_eq!(got.both(), (200, "{}"));
    assert_eq!(keystone.live_pairs().len(), 2, "none is of that type");
}

#[tokio::test]
async fn a_deletion_goes_on_after_its_deadline() {
    let (site, _keystone) = Site::with(SodaOptions {
        deadline: std::time::Duration::from_millis(500),
        ..options(Generation::Strato)
    });
    let token = site.token(&site.alice).await;
    for kind in ["totp", "cert"] {
        site.store(&token, kind, "{}", &site.alice).await;
    }
    let faults = site.soda.keystone_faults();
    faults.set(KEYSTONE_DELETE, Fault::Hang);
    let got = site
        .call(&site.delete(&site.alice), &token, Value::Null)
        .await;
    let timed_out = got.text.contains(r#""code":408"#);
    assert_eq!((got.status, timed_out), (500, true), "{}", got.text);
    assert_eq!(site.stored(&site.alice).await.len(), 2);
    faults.clear();
    let gone = eventually(DEADLINE, async || {
        let left = site.stored(&site.alice).await.len();
        ensure!(left == 0, "{left} are left");
        Ok(())
    });
    gone.await.unwrap();
    let vanished = &site.soda.deletions()[0].vanished;
    let mut kinds: Vec<&str> = vanished.iter().map(|v| v.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["cert", "totp"]);
}
