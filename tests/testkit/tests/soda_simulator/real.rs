//! One story in front of a real Keystone and in front of the simulated one: SODA says the same.

use serde_json::{Value, json};
use testkit::openstack::Keystone;
use testkit::soda::Generation;

use super::{NOBODY, Site, options};

/// What was done, the status of the answer (0 for none), and the answer with names instead of ids and keys.
type Told = (&'static str, u16, String);

/// What SODA says to a day's work, or to that part of it in which the generations differ.
async fn told(site: &Site, all: bool) -> Vec<Told> {
    let mut told = Vec::new();
    let mut names: Vec<(String, &str)> = vec![
        (site.alice.id.clone(), "ALICE"),
        (site.bob.id.clone(), "BOB"),
        (site.project.clone(), "PROJECT"),
        (site.admin_project.clone(), "ADMIN-PROJECT"),
    ];
    let alice = site.token(&site.alice).await;
    let bob = site.token(&site.bob).await;
    let admin = site.admin_token().await;
    let unscoped = site.token_for(&site.alice, None).await;
    let app = site.delegated().await;
    let both = site.both(&site.alice);
    let somewhere = json!({"user_id": site.alice.id, "project_id": site.admin_project});
    let (create, read, delete) = (
        site.create(),
        site.read(&site.alice),
        site.delete(&site.alice),
    );
    let nobody = format!("GET /v1/x/aksks/{NOBODY}");
    let steps = [
        ("no key", &read, &alice, Value::Null),
        ("a key", &create, &alice, both.clone()),
        ("by somebody else", &create, &bob, both.clone()),
        ("by an admin", &create, &admin, both.clone()),
        ("by an admin, elsewhere", &create, &admin, somewhere),
        ("by an application credential", &create, &app, both.clone()),
        (
            "seen by an application credential",
            &read,
            &app,
            Value::Null,
        ),
        ("seen by somebody else", &read, &bob, Value::Null),
        ("seen by an admin", &read, &admin, Value::Null),
        ("of nobody", &nobody, &admin, Value::Null),
        ("without a project", &read, &unscoped, Value::Null),
        (
            "deleted by an application credential",
            &delete,
            &app,
            Value::Null,
        ),
        ("deleted by somebody else", &delete, &bob, Value::Null),
        ("still there", &read, &alice, Value::Null),
        ("deleted", &delete, &alice, Value::Null),
        ("gone", &read, &alice, Value::Null),
    ];
    for (what, line, token, body) in steps {
        if !all && *line != create {
            continue;
        }
        let got = site.try_call(line, token, body).await;
        let (status, mut text) = got.map_or((0, "closed".to_owned()), |got| (got.status, got.text));
        for key in site.soda.issued() {
            names.push((key.access, "AK"));
            names.push((key.secret, "SK"));
        }
        for (id, name) in &names {
            text = text.replace(id, name);
        }
        told.push((what, status, sorted(text)));
    }

    told
}

/// Keystone lists in an order of its own.
fn sorted(text: String) -> String {
    match serde_json::from_str(&text) {
        Ok(Value::Array(mut rows)) => {
            rows.sort_by_key(Value::to_string);
            json!(rows).to_string()
        }
        _ => text,
    }
}

#[tokio::test]
async fn soda_says_the_same_in_front_of_a_real_keystone_and_of_a_simulated_one() {
    for (generation, all) in [(Generation::MultiCloud, false), (Generation::Strato, true)] {
        let (simulated, _keystone) = Site::new(generation);
        let real = Site::real(options(generation)).await;
        let (simulated, real) = (told(&simulated, all).await, told(&real, all).await);
        for (simulated, real) in simulated.iter().zip(&real) {
            assert_eq!(simulated, real, "simulated, then real, {generation:?}");
        }
        let step = |name: &str| {
            let found = real.iter().find(|(what, ..)| *what == name).unwrap();
            (found.1, found.2.as_str())
        };
        let refused = step("by an application credential").0;
        assert_eq!(refused, if all { 400 } else { 500 });
        if all {
            assert_eq!(step("seen by an application credential"), (200, "null"));
            assert_eq!(step("deleted by an application credential"), (200, "{}"));
            assert_eq!(step("without a project"), (0, "closed"));
            assert_ne!(step("still there").1, "null");
            assert_eq!(step("gone").1, "null");
        }
    }
}

/// SODA asks for it before it makes a key.
#[tokio::test]
async fn the_simulated_keystone_shows_projects_as_a_real_one_does() {
    let (simulated, _keystone) = Site::new(Generation::Strato);
    let real = Site::real(options(Generation::Strato)).await;
    let mut told = Vec::new();
    for site in [&simulated, &real] {
        let tokens = [
            site.token(&site.alice).await,
            site.token_for(&site.alice, None).await,
            site.admin_token().await,
            "x".to_owned(),
        ];
        let mut rows = Vec::new();
        for token in &tokens {
            for id in [&*site.project, &site.admin_project, NOBODY] {
                let line = format!("GET /projects/{id}");
                let got = site.at_keystone(&line, token, Value::Null).await;
                rows.push(match got.json()["project"].as_object() {
                    Some(project) => (got.status, project.keys().cloned().collect()),
                    None => (got.status, vec![got.json()["error"]["message"].to_string()]),
                });
            }
        }
        told.push(rows);
    }
    assert_eq!(told[0], told[1], "simulated, then real");
    let statuses = told[1].iter().map(|(status, _)| *status);
    assert!(statuses.eq([200, 403, 403, 403, 403, 403, 200, 200, 404, 401, 401, 401]));
}

#[tokio::test]
async fn a_pair_that_soda_makes_is_one_that_a_real_keystone_takes() {
    let site = Site::real(options(Generation::Strato)).await;
    let token = site.token(&site.alice).await;
    let (access, secret) = site.make(&token).await;
    let admin = Keystone::shared().admin();
    assert!(admin.accepts_pair(&access, &secret).await.unwrap());
    assert!(site.soda.is_live(&access).await.unwrap());
    let id = site.stored(&site.alice).await.remove(0);
    admin.delete_credential(&id).await.unwrap();
    assert!(!site.soda.is_live(&access).await.unwrap());
    assert!(site.soda.live().await.unwrap().is_empty());
}
