//! What happens behind the back of whoever reads values.

use testkit::cloudmc::{Field, Service};

use super::Site;

#[tokio::test]
async fn a_value_changes_wherever_it_is_shared() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudmc, &site.alice);
    let read = async |environment: &str, key: &str| {
        site.values(&site.storage, environment, alice)
            .await
            .value(key)
    };
    simulator.set_value(&alice.id, &site.prod, "password", "PWMARK-new");
    for environment in [&site.prod, &site.test] {
        assert_eq!(read(environment, "password").await, "PWMARK-new");
    }
    simulator.set_value(&alice.id, &site.prod, "project_name", "moved");
    assert_eq!(read(&site.prod, "project_name").await, "moved");
    assert_eq!(read(&site.test, "project_name").await, "acme-test");
    let bob = site.values(&site.storage, &site.prod, &site.bob).await;
    assert_ne!(bob.value("password"), "PWMARK-new");
    assert_eq!(bob.value("project_name"), "acme-prod");
    assert!(simulator.secret_values().contains(&"PWMARK-new".to_owned()));
    assert!(!simulator.secret_values().contains(&"moved".to_owned()));
}

#[tokio::test]
async fn to_regenerate_changes_what_is_secret_in_all_environments() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudmc, &site.alice);
    let before = simulator.fields(&alice.id, &site.test);
    let bob = simulator.fields(&site.bob.id, &site.prod);
    simulator.regenerate(&alice.id, &site.prod);
    let after = simulator.fields(&alice.id, &site.test);
    let changed = before
        .iter()
        .zip(&after)
        .filter(|(old, new)| old.value != new.value);
    let changed: Vec<&str> = changed.map(|(old, _)| &*old.key).collect();
    assert_eq!(changed, ["password", "s3_access_key", "s3_secret_key"]);
    for key in changed {
        let there = simulator.value(&alice.id, &site.prod, key);
        assert_eq!(there, simulator.value(&alice.id, &site.test, key));
    }
    assert_eq!(simulator.fields(&site.bob.id, &site.prod), bob);
    let secrets = simulator.secret_values();
    for fields in [&before, &after] {
        let mut sensitive = fields.iter().filter(|field| field.sensitive);
        assert!(sensitive.all(|field| secrets.contains(&field.text().to_owned())));
    }

    let fields = vec![Field::open("a", "1"), Field::secret("b", "2").specific()];
    let custom = simulator.add_connection(&site.acme, "C", "c", Service::Custom(fields));
    let places = ["x", "y"].map(|name| {
        let place = simulator.add_environment(&site.acme, &custom, name);
        simulator.add_member(&place, &alice.id);
        place
    });
    simulator.regenerate(&alice.id, &places[0]);
    assert_ne!(simulator.value(&alice.id, &places[0], "b"), "2");
    assert_eq!(simulator.value(&alice.id, &places[0], "a"), "1");
    assert_eq!(simulator.value(&alice.id, &places[1], "b"), "2");
}

#[tokio::test]
async fn a_membership_ends_and_begins_again_with_the_same_values() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudmc, &site.alice);
    let read = async || site.values(&site.storage, &site.prod, alice).await;
    let before = read().await.data();
    simulator.remove_member(&site.prod, &alice.id);
    assert_eq!(read().await.refusal().0, 403);
    let list = site.get("/environments", alice).await;
    assert_eq!(list.column("name"), ["machines", "test"]);
    simulator.regenerate(&alice.id, &site.test);
    simulator.add_member(&site.prod, &alice.id);
    let now = read().await;
    assert_ne!(now.data(), before);
    let shared = site.values(&site.storage, &site.test, alice).await;
    assert_eq!(now.value("password"), shared.value("password"));
    assert_eq!(now.value("project_name"), "acme-prod");
    simulator.delete_environment(&site.prod);
    assert_eq!(read().await.refusal().0, 404);
}

#[tokio::test]
async fn api_keys_come_and_go() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudmc, &site.alice);
    let line = "GET /users";
    let second = simulator.add_api_key(&alice.id);
    assert!(second.starts_with("MCKEYMARK-"));
    for key in [&alice.api_key, &second] {
        let got = site.call(line, Some(key)).await;
        assert_eq!(got.column("userName"), ["alice"]);
    }
    simulator.delete_api_key(&alice.api_key);
    let invalid = (401, "Invalid credentials".to_owned());
    for key in [Some(&*alice.api_key), Some("x"), Some(""), None] {
        assert_eq!(site.call(line, key).await.refusal(), invalid, "{key:?}");
    }
    assert_eq!(site.call(line, Some(&second)).await.status, 200);
    assert_eq!(
        (simulator.uses(&alice.api_key), simulator.uses(&second)),
        (1, 2)
    );
    let counts = simulator.counts();
    assert_eq!((counts.accepted, counts.refused), (3, 4));
    let secrets = simulator.secret_values();
    assert!(secrets.contains(&alice.api_key) && secrets.contains(&second));
}
