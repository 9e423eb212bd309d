//! `POST`: what it takes, what it makes, and how much of it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::keystone::Quota;
use testkit::server::Fault;
use testkit::soda::{Generation, KEYSTONE_CREATE, SodaOptions, SodaSimulator};

use super::{GENERATIONS, NOBODY, Site, options};

const NOT_MADE: &str = "error in creating AKSK for the user, projectId or userId is invalid";

#[tokio::test]
async fn every_post_adds_a_key_and_keystone_has_it_at_once() {
    for generation in GENERATIONS {
        let (site, keystone) = Site::new(generation);
        let token = site.token(&site.alice).await;
        let body = site.both(&site.alice);
        let got = site.call(&site.create(), &token, body).await;
        let pair = got.json();
        let word = |name: &str| pair[name].as_str().unwrap();
        let (access, secret) = (word("access_key"), word("secret_key"));
        let text = format!("{{\n \"access_key\": \"{access}\",\n \"secret_key\": \"{secret}\"\n}}");
        assert_eq!(got.both(), (200, &*text));
        assert_eq!(got.header("content-type"), "application/json");
        for (word, length) in [(access, 16), (secret, 32)] {
            assert_eq!(word.len(), length);
            assert!(word.chars().all(|letter| letter.is_ascii_alphanumeric()));
        }

        let other = site.make(&token).await;
        let pairs = keystone.live_pairs();
        let known: Vec<&str> = pairs.iter().map(|pair| pair.access.as_str()).collect();
        assert_eq!(known, [access, &other.0]);
        assert!(pairs.iter().all(|pair| pair.user == "alice"));
        assert!(
            pairs
                .iter()
                .all(|pair| pair.project_id == Some(site.project.clone()))
        );
        assert!(keystone.pair_works(access, secret));
        let id: String = Sha256::digest(access)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert!(site.stored(&site.alice).await.contains(&id));

        let issued = site.soda.issued();
        assert!(issued.iter().all(|key| key.stored && key.told));
        assert_eq!((issued[1].serial, &issued[1].secret), (2, &other.1));
        keystone.revoke_pair(access);
        let live = site.soda.live().await.unwrap();
        assert_eq!(live, issued[1..]);
        assert!(!site.soda.is_live(access).await.unwrap());
    }
}

#[tokio::test]
async fn each_generation_has_its_own_idea_of_the_body() {
    use Generation::{MultiCloud, Strato};
    const BLANK: &str = "projectId is blank, provide a valid projectId";
    let (old, _keystone) = Site::new(MultiCloud);
    let (new, _other) = Site::new(Strato);
    for (site, generation) in [(old, MultiCloud), (new, Strato)] {
        let token = site.token(&site.alice).await;
        let (user, project) = (&site.alice.id, &site.project);
        let ids = json!({"user_id": user, "project_id": project});
        let envelope = json!({"credential": ids});
        // Status and words at multi-cloud, then at strato.
        let rows = [
            (site.both(&site.alice).to_string(), (200, ""), (200, "")),
            (ids.to_string(), (200, ""), (200, "")),
            (envelope.to_string(), (200, ""), (400, BLANK)),
            ("{}".to_owned(), (200, ""), (400, BLANK)),
            (
                json!({"project_id": project, "user_id": " "}).to_string(),
                (200, ""),
                (400, "userId is blank, provide a valid userId"),
            ),
            (
                json!({"project_id": 7}).to_string(),
                (500, "field AkSkDetail.project_id of type string"),
                (400, "field AkSkCreateRequest.project_id of type string"),
            ),
            (
                String::new(),
                (500, "EOF"),
                (400, "unexpected end of JSON input"),
            ),
            ("{".to_owned(), (500, "invalid"), (400, "invalid")),
            (
                "[]".to_owned(),
                (500, "cannot unmarshal array"),
                (400, "cannot unmarshal array"),
            ),
            (
                "7".to_owned(),
                (500, "unmarshal number"),
                (400, "unmarshal number"),
            ),
        ];
        for (body, at_multi_cloud, at_strato) in rows {
            let (status, words) = match generation {
                MultiCloud => at_multi_cloud,
                Strato => at_strato,
            };
            let url = format!("{}/{project}/aksks", site.soda.endpoint());
            let request = site.client.post(url).header("x-auth-token", &token);
            let request = request.header("content-type", "application/json");
            let got = request.body(body.clone()).send().await.unwrap();
            assert_eq!(got.status(), status, "{generation:?} {body}");
            let kind = got.headers()["content-type"].to_str().unwrap().to_owned();
            let text = got.text().await.unwrap();
            assert!(text.contains(words), "{generation:?} {body}: {text}");
            let expected = if status == 200 {
                "application/json"
            } else {
                "text/plain"
            };
            assert_eq!(kind, expected, "{generation:?} {body}");
        }
        let request = site.client.post(site.soda.url() + "/v1/x/aksks");
        let request = request.header("x-auth-token", &token).body("null");
        let got = request.header("content-type", "application/json").send();
        assert!(got.await.is_err(), "the connection is closed");
    }
}

#[tokio::test]
async fn the_old_one_makes_keys_for_the_caller_and_the_new_one_for_whom_it_is_told() {
    let alice = |site: &Site| (site.alice.id.clone(), site.project.clone());
    let (old, keystone) = Site::new(Generation::MultiCloud);
    let admin = old.admin_token().await;
    let got = old.call(&old.create(), &admin, old.both(&old.alice)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let made = keystone.live_pairs().pop().unwrap();
    assert_eq!(
        (made.user_id, made.project_id),
        (old.admin.id, Some(old.admin_project))
    );

    let (new, keystone) = Site::new(Generation::Strato);
    let admin = new.admin_token().await;
    let got = new.call(&new.create(), &admin, new.both(&new.alice)).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let made = keystone.live_pairs().pop().unwrap();
    assert_eq!((made.user_id, made.project_id.unwrap()), alice(&new));
    let elsewhere = json!({"user_id": new.alice.id, "project_id": new.admin_project});
    let got = new.call(&new.create(), &admin, elsewhere).await;
    assert_eq!(got.status, 200, "where alice has no role: {}", got.text);

    let bob = new.token(&new.bob).await;
    for body in [
        new.both(&new.alice),
        json!({"user_id": NOBODY, "project_id": new.project}),
        json!({"user_id": new.bob.id, "project_id": new.admin_project}),
        json!({"user_id": new.bob.id, "project_id": NOBODY}),
    ] {
        let got = new.call(&new.create(), &bob, body.clone()).await;
        assert_eq!(got.both(), (400, NOT_MADE), "{body}");
    }
    assert_eq!(keystone.live_pairs().len(), 2);
}

#[tokio::test]
async fn whoever_knows_when_it_was_started_knows_its_keys() {
    let started = 1_624_000_000;
    let (site, keystone) = Site::with(SodaOptions {
        started: Some(started),
        ..options(Generation::Strato)
    });
    let expected = SodaSimulator::keys_of(started, 5);
    let token = site.token(&site.alice).await;
    assert_eq!(site.make(&token).await, expected[0]);
    let nobody = json!({"user_id": NOBODY, "project_id": site.project});
    let got = site.call(&site.create(), &token, nobody).await;
    assert_eq!(got.status, 400, "both tries have drawn a key all the same");
    assert_eq!(site.make(&token).await, expected[3]);

    // Another that was started in the same second: Keystone has that key already, and the retry draws the next.
    let twin = SodaOptions {
        started: Some(started),
        ..options(Generation::Strato)
    };
    let twin = SodaSimulator::start(twin, site.account.clone());
    let url = format!("{}/x/aksks", twin.endpoint());
    let request = site.client.post(url).header("x-auth-token", &token);
    let got = request.json(&site.both(&site.alice)).send().await.unwrap();
    let got: Value = got.json().await.unwrap();
    assert_eq!(got["access_key"], expected[1].0);
    let stored = twin.issued().into_iter().map(|key| key.stored);
    assert!(stored.eq([false, true]));
    assert_eq!(keystone.live_pairs().len(), 3);
    assert_ne!(SodaSimulator::keys_of(started + 1, 1), expected[..1]);
}

#[tokio::test]
async fn an_answer_that_gets_lost_on_the_way_from_keystone_makes_a_second_key() {
    for generation in GENERATIONS {
        let (site, keystone) = Site::new(generation);
        let token = site.token(&site.alice).await;
        let faults = site.soda.keystone_faults();
        faults.push_n(KEYSTONE_CREATE, Fault::LoseAnswer, 1);
        let (access, _) = site.make(&token).await;
        assert_eq!(keystone.live_pairs().len(), 2, "one POST, two keys");
        let issued = site.soda.issued();
        assert!(issued.iter().all(|key| key.stored));
        let told: Vec<bool> = issued.iter().map(|key| key.told).collect();
        assert_eq!((told, &issued[1].access), (vec![false, true], &access));

        faults.push_n(KEYSTONE_CREATE, Fault::LoseAnswer, 2);
        let got = site
            .call(&site.create(), &token, site.both(&site.alice))
            .await;
        let failed = match generation {
            Generation::MultiCloud => (500, true),
            Generation::Strato => (400, false),
        };
        let micro = got
            .text
            .starts_with(r#"{"id":"go.micro.client","code":500,"#);
        assert_eq!((got.status, micro), failed, "{}", got.text);
        assert_eq!(keystone.live_pairs().len(), 4, "two more, behind an error");
        let secrets = site.soda.secret_values();
        let known = |key: &testkit::soda::IssuedKey| secrets.contains(&key.secret);
        assert!(site.soda.issued().iter().all(known));
    }
}

#[tokio::test]
async fn whatever_keystone_refuses_is_tried_twice_and_an_error() {
    for generation in GENERATIONS {
        let (site, keystone) = Site::new(generation);
        let token = site.token(&site.alice).await;
        let quota = Quota {
            pairs: Some(0),
            application_credentials: None,
        };
        keystone.set_quota(&site.alice.id, quota);
        let faults = site.soda.keystone_faults();
        for (fault, words) in [
            (None, "unexpected end of JSON input"),
            (Some(Fault::Html(502)), "connection error"),
            (Some(Fault::CutConnection), "EOF"),
        ] {
            let before = site.soda.issued().len();
            if let Some(fault) = fault {
                faults.push_n(KEYSTONE_CREATE, fault, 2);
            }
            let got = site
                .call(&site.create(), &token, site.both(&site.alice))
                .await;
            match generation {
                Generation::MultiCloud => {
                    assert_eq!(
                        (got.status, got.text.contains(words)),
                        (500, true),
                        "{}",
                        got.text
                    );
                }
                Generation::Strato => assert_eq!(got.both(), (400, NOT_MADE)),
            }
            assert_eq!(site.soda.issued().len(), before + 2);
        }
        assert!(
            site.soda
                .issued()
                .iter()
                .all(|key| !key.stored && !key.told)
        );
        assert!(site.soda.live().await.unwrap().is_empty());
        assert!(keystone.live_pairs().is_empty());
    }
}
