//! The values of users: `apiInfo`.

use serde_json::{Value, json};
use testkit::cloudmc::{Field, Lie, Read, Rights, Service, Stranger};

use super::{NOBODY, Site};

#[tokio::test]
async fn a_compute_service_has_the_fields_of_the_documentation() {
    let site = Site::new();
    let data = site
        .values(&site.compute, &site.machines, &site.alice)
        .await
        .data();
    let fields = data["fields"].clone();
    let expected = json!([
        {"key": "endpoint", "value": fields[0]["value"], "sensitive": false, "environmentSpecific": false},
        {"key": "api_key", "value": fields[1]["value"], "sensitive": true, "environmentSpecific": false},
        {"key": "secret_key", "value": fields[2]["value"], "sensitive": true, "environmentSpecific": false},
        {"key": "project_id", "value": fields[3]["value"], "sensitive": false, "environmentSpecific": true},
    ]);
    assert_eq!(
        data,
        json!({"canRegenerateCredentials": true, "fields": expected})
    );
    assert!(
        fields
            .as_array()
            .unwrap()
            .iter()
            .all(|field| field["value"].is_string())
    );

    site.cloudmc.allow_regenerating(&site.compute, false);
    site.cloudmc.tell_environment_specific(false);
    let data = site
        .values(&site.compute, &site.machines, &site.alice)
        .await
        .data();
    assert_eq!(data["canRegenerateCredentials"], false);
    let endpoint = json!({"key": "endpoint", "value": fields[0]["value"], "sensitive": false});
    assert_eq!(data["fields"][0], endpoint);
}

#[tokio::test]
async fn object_storage_has_what_the_portal_shows() {
    let site = Site::new();
    let got = site.values(&site.storage, &site.prod, &site.alice).await;
    let data = got.data();
    let fields = data["fields"].as_array().unwrap().iter();
    let told: Vec<(String, bool, bool)> = fields
        .map(|field| {
            let key = field["key"].as_str().unwrap().to_owned();
            (
                key,
                field["sensitive"] == true,
                field["environmentSpecific"] == true,
            )
        })
        .collect();
    let expected = [
        ("auth_endpoint", false, false),
        ("project_name", false, true),
        ("username", false, false),
        ("password", true, false),
        ("auth_url", false, false),
        ("identity_api_version", false, false),
        ("domain_id", false, false),
        ("s3_access_key", false, false),
        ("s3_secret_key", true, false),
    ];
    let expected = expected.map(|(key, a, b)| (key.to_owned(), a, b));
    assert_eq!(told, expected);
    for (key, value) in [
        ("auth_endpoint", "https://auth.example.com/v2.0"),
        ("auth_url", "https://auth.example.com"),
        ("project_name", "acme-prod"),
        ("username", "acme-alice-2925"),
        ("identity_api_version", "3"),
        ("domain_id", "default"),
    ] {
        assert_eq!(got.value(key), value);
    }
    assert!(got.value("password").starts_with("PWMARK-"));
    assert_eq!(got.value("s3_access_key").len(), 32);
}

#[tokio::test]
async fn everybody_gets_the_own_values_and_again_the_same() {
    let site = Site::new();
    let password = async |environment: &str, caller| {
        let got = site.values(&site.storage, environment, caller).await;
        got.value("password")
    };
    let alice = password(&site.prod, &site.alice).await;
    assert_eq!(password(&site.prod, &site.alice).await, alice);
    assert_eq!(password(&site.test, &site.alice).await, alice, "shared");
    assert_ne!(password(&site.prod, &site.bob).await, alice);
    // Rights change nothing.
    let rights = Rights {
        read_all: true,
        manage_connections: true,
    };
    site.cloudmc.set_rights(&site.bob.id, rights);
    assert_ne!(password(&site.prod, &site.bob).await, alice);
    let foreign = site.values(&site.storage, &site.test, &site.bob).await;
    assert_eq!(foreign.refusal().0, 403);

    assert_eq!(
        site.cloudmc.value(&site.alice.id, &site.prod, "password"),
        alice
    );
    let reads = site.cloudmc.reads();
    assert_eq!((reads.len(), site.cloudmc.counts().api_info), (5, 6));
    let last = Read {
        user_id: site.bob.id.clone(),
        connection_id: site.storage.clone(),
        environment_id: site.prod.clone(),
    };
    assert_eq!(reads[4], last);
    assert_eq!(site.cloudmc.counts().changing, 0);
}

#[tokio::test]
async fn connection_and_environment_must_fit_the_caller() {
    let site = Site::new();
    let Site {
        compute,
        storage,
        prod,
        test,
        theirs,
        machines,
        alice,
        bob,
        zoe,
        ..
    } = &site;
    let rows = [
        (compute, machines, alice, 200),
        (compute, prod, alice, 400),
        (storage, test, bob, 403),
        (storage, theirs, alice, 403),
        (storage, &NOBODY.to_owned(), alice, 404),
        (&NOBODY.to_owned(), prod, alice, 404),
        (compute, machines, zoe, 404),
        (storage, prod, zoe, 403),
        (storage, theirs, zoe, 200),
    ];
    for (connection, environment, caller, status) in rows {
        let got = site.values(connection, environment, caller).await;
        assert_eq!(got.status, status, "{}: {}", caller.username, got.text);
    }
    let path = format!("/services/connections/{storage}/apiInfo");
    for query in ["", "?environmentId=", "?environment=x"] {
        let got = site.get(&format!("{path}{query}"), alice).await;
        assert_eq!(got.refusal(), (400, "environmentId is required".to_owned()));
    }
    site.cloudmc.refuse_strangers_with(Stranger::NotFound);
    let stranger = site.values(storage, test, bob).await;
    let nowhere = site.values(storage, NOBODY, bob).await;
    assert_eq!(stranger.text, nowhere.text, "as if there were none");
    assert_eq!(stranger.status, 404);
}

#[tokio::test]
async fn fields_are_what_a_test_makes_of_them() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudmc, &site.alice);
    let fields = vec![
        Field::open("region", "north"),
        Field::secret("token", "TOKENMARK-1").specific(),
        Field::open("", 7),
        Field::open("twice", "one"),
        Field::open("twice", Value::Null),
        Field::secret("nested", json!({"deep": ["NESTMARK-1"]})),
    ];
    let custom = simulator.add_connection(&site.acme, "Custom", "custom", Service::Custom(fields));
    let place = simulator.add_environment(&site.acme, &custom, "e");
    simulator.add_member(&place, &alice.id);
    let data = site.values(&custom, &place, alice).await.data();
    let values = data["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["value"].clone());
    let expected = [
        json!("north"),
        json!("TOKENMARK-1"),
        json!(7),
        json!("one"),
        Value::Null,
        json!({"deep": ["NESTMARK-1"]}),
    ];
    assert_eq!(values.collect::<Vec<_>>(), expected);
    simulator.set_fields(&alice.id, &place, vec![Field::secret("only", "ONLYMARK-1")]);
    assert_eq!(
        site.values(&custom, &place, alice).await.value("only"),
        "ONLYMARK-1"
    );
    let secrets = simulator.secret_values();
    for secret in ["TOKENMARK-1", "NESTMARK-1", "ONLYMARK-1"] {
        assert!(secrets.iter().any(|known| known == secret), "{secret}");
    }

    simulator.hide_field(&site.storage, "s3_secret_key");
    let data = site.values(&site.storage, &site.prod, alice).await.data();
    assert_eq!(data["fields"].as_array().unwrap().len(), 8);
    assert_eq!(simulator.fields(&alice.id, &site.prod).len(), 9);
}

#[tokio::test]
async fn lies_about_values_are_told_until_they_are_stopped() {
    let site = Site::new();
    let simulator = &site.cloudmc;
    let read = async || site.values(&site.storage, &site.prod, &site.alice).await;
    let honest = read().await.data();
    let can = json!({"canRegenerateCredentials": true});
    let none = json!({"canRegenerateCredentials": true, "fields": []});
    for (lie, expected) in [
        (Lie::NoData, json!({})),
        (Lie::NullData, json!({"data": null})),
        (Lie::NoFields, json!({"data": can})),
        (Lie::EmptyFields, json!({"data": none})),
    ] {
        simulator.lie(lie);
        assert_eq!(read().await.json(), expected);
    }
    simulator.lie(Lie::NoSensitive);
    let fields = read().await.data()["fields"].clone();
    assert!(
        fields
            .as_array()
            .unwrap()
            .iter()
            .all(|field| field.get("sensitive").is_none())
    );

    simulator.lie(Lie::ManyFields(10_000));
    let many = read().await;
    let data = many.data();
    assert_eq!(data["fields"].as_array().unwrap().len(), 9 + 10_000);
    let last = many.value("more_9999");
    let secrets = simulator.secret_values();
    let known = secrets.iter().filter(|secret| last.starts_with(*secret));
    assert_eq!((known.count(), last.ends_with("-9999")), (1, true));
    assert!(secrets.len() < 100, "one mark for all");

    let size = 2 * 1024 * 1024;
    simulator.lie(Lie::HugeValue(size));
    let huge = read().await.value("password");
    assert_eq!(huge.len(), size);
    assert!(
        simulator
            .secret_values()
            .iter()
            .any(|secret| huge.starts_with(secret))
    );
    simulator.lie(Lie::NeverTheSame);
    let (one, other) = (read().await, read().await);
    assert_ne!(one.value("password"), other.value("password"));
    assert_eq!(one.value("username"), other.value("username"));
    assert!(simulator.secret_values().contains(&other.value("password")));
    simulator.stop_lying();
    assert_eq!(read().await.data(), honest);
    assert_eq!(simulator.reads().len(), 8);
}
