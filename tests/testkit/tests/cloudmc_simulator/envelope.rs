//! The forms of answers, where the sources differ or are silent.

use serde_json::json;
use testkit::cloudmc::{ErrorCodes, Lie, SingleShape};

use super::{NOBODY, Site};

#[tokio::test]
async fn errors_have_the_form_that_is_set() {
    let site = Site::new();
    let simulator = &site.cloudmc;
    let path = format!("/users/{NOBODY}");
    let message = "Cannot locate the specified object of type users";
    let context = json!({"type": "users"});
    for (codes, expected) in [
        (
            ErrorCodes::Number,
            json!({"code": 1404, "message": message, "context": context}),
        ),
        (
            ErrorCodes::Text,
            json!({"code": "1404", "message": message, "context": context}),
        ),
        (
            ErrorCodes::ErrorCode,
            json!({"errorCode": "NOT_FOUND", "message": message, "context": context}),
        ),
    ] {
        for status in [404, 200] {
            simulator.show_codes_as(codes);
            simulator.put_errors_beside_200(status == 200);
            let got = site.get(&path, &site.alice).await;
            assert_eq!(got.json(), json!({"errors": [expected]}), "{codes:?}");
            assert_eq!(got.status, status);
        }
    }
    // Each kind of refusal, beside 200.
    for line in [
        "GET /users",
        "GET /nowhere",
        "POST /users",
        "GET /services/connections/x/apiInfo",
    ] {
        let key = (line != "GET /users").then_some(&*site.alice.api_key);
        assert_eq!(site.call(line, key).await.refusal().0, 200, "{line}");
    }
}

#[tokio::test]
async fn a_single_object_stands_alone_or_in_an_array() {
    let site = Site::new();
    let simulator = &site.cloudmc;
    let paths = [
        format!("/services/connections/{}", site.storage),
        format!("/environments/{}", site.prod),
        format!("/users/{}", site.alice.id),
    ];
    let in_arrays = async || {
        let mut found = Vec::new();
        for path in &paths {
            found.push(site.get(path, &site.alice).await.data().is_array());
        }
        found
    };
    for (shape, expected) in [
        (SingleShape::Documented, [true, false, false]),
        (SingleShape::Array, [true; 3]),
        (SingleShape::Object, [false; 3]),
    ] {
        simulator.show_single_as(shape);
        assert_eq!(in_arrays().await, expected, "{shape:?}");
    }
    let got = site.get(&paths[0], &site.alice).await.data();
    assert_eq!(got["id"], site.storage);
}

#[tokio::test]
async fn lies_about_the_directory_are_told_until_they_are_stopped() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudmc, &site.alice);
    let paths = [
        format!("/services/connections/{}", site.storage),
        format!("/environments/{}", site.prod),
    ];
    simulator.lie(Lie::TwoInOne);
    for path in &paths {
        let two = site.get(path, alice).await.column("id");
        assert!(
            two.len() == 2 && path.ends_with(&two[0]) && two[0] != two[1],
            "{two:?}"
        );
    }
    simulator.lie(Lie::AnotherId);
    let other = site.get(&paths[0], alice).await.column("id");
    assert!(other.len() == 1 && other[0] != site.storage);
    let other = site.get(&paths[1], alice).await.data();
    assert!(other["id"] != site.prod && other["name"] == "prod");
    simulator.lie(Lie::SomebodyElse);
    let users = site.get("/users", alice).await;
    assert_eq!(users.column("userName"), ["somebody-else"]);
    assert_ne!(users.column("id"), [&*alice.id]);
    simulator.lie(Lie::NoMetadata);
    let users = site.get("/users", alice).await;
    assert!(users.json().get("metadata").is_none());
    assert_eq!(users.column("userName"), ["alice"]);
    simulator.lie(Lie::PartOfTheList);
    let users = site.get("/users", alice).await;
    assert_eq!(users.json()["metadata"]["recordCount"], 2);
    assert_eq!(users.column("userName"), ["alice"]);
    simulator.stop_lying();
    assert_eq!(
        site.get("/users", alice).await.json()["metadata"]["recordCount"],
        1
    );
    assert_eq!(
        site.get(&paths[0], alice).await.column("id"),
        [&*site.storage]
    );
}
