//! The list of users and single ones.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::cloudcenter::{Account, IdShape, Lie, PAGE, ROOT_TENANT, Rank};

use super::{Got, Site};

fn ids(got: &Got) -> Vec<String> {
    let body = got.json();
    let users = body["users"].as_array().expect("users").iter();
    users
        .map(|user| user["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Members of an answer, by their names.
fn members(got: &Got, names: [&str; 4]) -> [Value; 4] {
    let body = got.json();
    names.map(|name| body[name].clone())
}

const TOTALS: [&str; 4] = ["size", "pageNumber", "totalElements", "totalPages"];

#[tokio::test]
async fn a_user_has_the_fields_of_the_documentation() {
    let site = Site::new();
    let got = site
        .get(
            &format!("/v1/users/{}?detail=true", site.boss.id),
            &site.root,
        )
        .await;
    let user = got.json();
    let names: BTreeSet<&str> = user
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = "id resource perms username password enabled type firstName lastName companyName tenantId emailAddr \
        emailVerified phoneNumber externalId accessKeys disableReason accountSource status detail activationData created \
        lastUpdated coAdmin tenantAdmin activationProfileId hasSubscriptionPlanType";
    assert_eq!(names, expected.split_whitespace().collect());
    let itself = format!("{}/v1/users/{}", site.cloudcenter.endpoint(), site.boss.id);
    let facts = [
        ("id", json!(site.boss.id)),
        ("resource", json!(itself)),
        ("username", json!(site.boss.username)),
        ("password", json!("===redacted===")),
        ("emailAddr", json!("boss@a.example.com")),
        ("tenantId", json!("7")),
        ("accessKeys", json!(format!("{itself}/keys"))),
        ("type", json!("TENANT")),
        ("tenantAdmin", json!(true)),
        ("enabled", json!(true)),
    ];
    for (name, value) in facts {
        assert_eq!(user[name], value, "{name}");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age = now.as_millis() as i64 - user["created"].as_i64().unwrap();
    assert!((0..60_000).contains(&age), "milliseconds since the epoch");

    // The number of the user name is not the id.
    let (name, number) = site.boss.username.split_once('_').unwrap();
    assert_eq!(name, "boss");
    assert!(number.parse::<u64>().is_ok() && number != site.boss.id);
    assert_eq!(site.root.tenant, ROOT_TENANT);
}

#[tokio::test]
async fn everybody_sees_whom_the_rank_allows() {
    let site = Site::new();
    let Site {
        root,
        boss,
        alice,
        foreign,
        ..
    } = &site;
    let all: [&Account; 4] = [root, boss, alice, foreign];
    let rows: [(&Account, &[&Account]); 4] = [
        (root, &all),
        (boss, &[boss, alice]),
        (alice, &[alice]),
        (foreign, &[foreign]),
    ];
    for (caller, seen) in rows {
        let expected: Vec<&String> = seen.iter().map(|user| &user.id).collect();
        let got = site.get("/v1/users", caller).await;
        assert_eq!(ids(&got).iter().collect::<Vec<_>>(), expected);
        for user in all {
            let got = site.get(&format!("/v1/users/{}", user.id), caller).await;
            match seen.contains(&user) {
                true => assert_eq!(got.json()["username"], user.username),
                false => assert_eq!(got.refusal(), (403, "ACCESS_DENIED".to_owned())),
            }
        }
    }
    site.cloudcenter.set_rank(&alice.id, Rank::TenantAdmin);
    site.cloudcenter.move_user(&foreign.id, "7");
    assert_eq!(ids(&site.get("/v1/users", alice).await).len(), 3);
}

#[tokio::test]
async fn a_list_has_pages_of_twenty_that_count_from_zero() {
    let site = Site::new();
    for number in 0..41 {
        let email = format!("user{number}@c.example.com");
        site.cloudcenter.add_user(&email, "9");
    }
    let all = 4 + 41;
    let cases = [
        ("", 0, PAGE, 3),
        ("?page=0", 0, PAGE, 3),
        ("?page=1", 1, PAGE, 3),
        ("?page=2", 2, 5, 3),
        ("?page=3", 3, 0, 3),
        ("?page=1&size=30", 1, 15, 2),
        ("?size=45", 0, 45, 1),
        ("?size=0", 0, 45, 1),
        ("?size=100000", 0, 45, 1),
        ("?page=18446744073709551615&size=2", u64::MAX, 0, 23),
    ];
    let mut seen = BTreeSet::new();
    for (query, page, size, pages) in cases {
        let got = site.get(&format!("/v1/users{query}"), &site.root).await;
        let expected = [json!(size), json!(page), json!(all), json!(pages)];
        assert_eq!(members(&got, TOTALS), expected, "{query}");
        assert_eq!(ids(&got).len(), size, "{query}");
        if query.starts_with("?page=") && !query.contains("size") {
            seen.extend(ids(&got));
        }
    }
    assert_eq!(seen.len(), all);
    for query in ["?page=x", "?page=-1", "?size=1.5", "?page="] {
        let got = site.get(&format!("/v1/users{query}"), &site.root).await;
        assert_eq!(
            got.refusal(),
            (400, "INVALID_REQUEST".to_owned()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_list_can_repeat_its_first_page_never_end_or_keep_its_length_to_itself() {
    let site = Site::new();
    for number in 0..20 {
        site.cloudcenter
            .add_user(&format!("user{number}@c.example.com"), "9");
    }
    let page = async |page: u32| {
        site.get(&format!("/v1/users?page={page}"), &site.root)
            .await
    };
    let first = ids(&page(0).await);

    site.cloudcenter.lie(Lie::FirstPageAgain);
    let again = page(1).await;
    assert_eq!(ids(&again), first);
    assert_eq!(
        members(&again, TOTALS),
        [json!(20), json!(0), json!(24), json!(2)]
    );

    site.cloudcenter.lie(Lie::EndlessPages);
    let mut seen: BTreeSet<String> = ids(&page(0).await).into_iter().collect();
    assert!(seen.iter().eq(first.iter().collect::<BTreeSet<_>>()));
    for number in 1..50 {
        let got = page(number).await;
        let [size, _, _, pages] = members(&got, TOTALS);
        assert_eq!((size, pages), (json!(20), json!(number + 2)));
        seen.extend(ids(&got));
    }
    assert_eq!(seen.len(), 50 * 20, "each page brings something new");

    site.cloudcenter.lie(Lie::NoTotals);
    let got = page(1).await;
    let unsaid = [json!(4), Value::Null, Value::Null, Value::Null];
    assert_eq!(members(&got, TOTALS), unsaid);
    site.cloudcenter.stop_lying();
    assert_eq!(ids(&page(1).await).len(), 4);
}

#[tokio::test]
async fn ids_links_and_redactions_look_as_they_are_told() {
    let site = Site::new();
    let (simulator, alice) = (&site.cloudcenter, &site.alice);
    let path = format!("/v1/users/{}", alice.id);
    simulator.show_ids_as(IdShape::Number);
    simulator.advertise(Some("https://10.9.8.7:8443"));
    simulator.redact_with("<hidden>");
    let user = site.get(&path, alice).await.json();
    assert_eq!(user["id"], alice.id.parse::<u64>().unwrap());
    assert_eq!(
        (&user["tenantId"], &user["password"]),
        (&json!(7), &json!("<hidden>"))
    );
    let elsewhere = format!("https://10.9.8.7:8443{path}/keys");
    assert_eq!(user["accessKeys"], elsewhere);
    let list = site.get("/v1/users", alice).await.json();
    assert_eq!(list["resource"], "https://10.9.8.7:8443/v1/users");
    simulator.advertise(None);
    let user = site.get(&path, alice).await.json();
    assert!(
        user["accessKeys"]
            .as_str()
            .unwrap()
            .starts_with(&simulator.endpoint())
    );

    simulator.set_email(&alice.id, "boss@a.example.com");
    let list = site.get("/v1/users", &site.boss).await.json();
    let users = list["users"].as_array().unwrap().iter();
    let same = users.filter(|user| user["emailAddr"] == "boss@a.example.com");
    assert_eq!(same.count(), 2, "found twice");
}

#[tokio::test]
async fn ids_that_would_be_other_paths_get_nowhere() {
    let site = Site::new();
    let simulator = &site.cloudcenter;
    for (id, encoded, status) in [
        ("../../v1/users", "..%2F..%2Fv1%2Fusers", 400),
        ("a\\b", "a%5Cb", 400),
        ("4/keys", "4%2Fkeys", 400),
        ("x y?ü", "x%20y%3F%C3%BC", 200),
    ] {
        let user = simulator.add_user("odd@a.example.com", "7");
        simulator.set_id(&user.id, id);
        let path = format!("/v1/users/{encoded}");
        let got = site.get(&path, &site.root).await;
        assert_eq!(got.status, status, "{id}");
        let list = site.get("/v1/users", &site.root).await;
        assert!(ids(&list).contains(&id.to_owned()));
        assert_eq!(simulator.account(id).username, user.username);
    }
    let unknown = site.get("/v1/users/999", &site.root).await;
    assert_eq!(unknown.refusal(), (404, "USER_NOT_FOUND".to_owned()));
    assert_eq!(site.get("/v1/users/%zz", &site.root).await.status, 400);
}
